"""Two replicas on PostgreSQL behind a plain round-robin client: a request_id sent to both at once is charged once."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from typing import Any

from cloneservice import AsyncCloneClient, CloneServiceError, Money

from tests.chaos.real_audit import audit
from tests.chaos.real_load import Load, Request
from tests.chaos.real_processes import API_KEY, Server, Template, fake_stripe_process, working_folder
from tests.chaos.real_runs import postgres
from tests.stripe_http import StripeHttp

AT_ONCE = 8
_TRIES = 20


def round_robin(ports: list[int]) -> tuple[str, list[tuple[str, Any]]]:
    """Target and channel options of one client over several servers: gRPC's own load balancing, nothing of ours."""
    config = json.loads(AsyncCloneClient("localhost:1")._connection.channel_options()[0][1])
    config["loadBalancingConfig"] = [{"round_robin": {}}]
    return "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports), [("grpc.service_config", json.dumps(config))]


async def send_to_both(load: Load, client: AsyncCloneClient, times: int) -> None:
    """`times` intents, each sent twice at the same time: the turns go round, so one goes to each server."""
    rng, places = random.Random(0), asyncio.Semaphore(AT_ONCE)

    async def intent() -> None:
        shopper, account = rng.choice(load.shoppers[1:]), rng.choice(load.accounts)
        amount = Money(rng.randint(200, 9999), "USD")

        async def ask(_: AsyncCloneClient, request_id: str) -> Any:
            return await client.clone_and_charge(
                shopper.customer, account, amount, platform_payment_method_id=shopper.saved, request_id=request_id
            )

        request = Request(str(uuid.UUID(int=rng.getrandbits(128))), ask)
        load.requests.append(request)
        async with places:
            await asyncio.gather(*(_answered(request, client) for _ in range(2)))

    await asyncio.gather(*(intent() for _ in range(times)))


async def _answered(request: Request, client: AsyncCloneClient) -> None:
    for _ in range(_TRIES):
        try:
            done = await request.ask(client, request.request_id)
        except CloneServiceError as error:
            if not error.resumable:
                raise
        else:
            request.answers.append(f"{done.clone} {done.charge} {done.reused}")
            return
    raise AssertionError(f"I7: {request.request_id} is not answered")


def charge_through_both(own: Template, times: int) -> str:
    """The whole story; what it came to. Raises AssertionError."""
    with working_folder() as folder, fake_stripe_process() as url, postgres() as database:
        stripe, ledger = StripeHttp(url, API_KEY), database.new_database()
        servers = [Server(own, folder, ledger, url) for _ in range(2)]
        for server in servers:
            server.start()
            server.wait_until_serving()

        async def story() -> str:
            load = Load(stripe, [], 0)
            target, options = round_robin([server.port for server in servers])
            async with AsyncCloneClient(target, options=options, insecure=True) as client:
                await send_to_both(load, client, times)
            for server in servers:
                await asyncio.to_thread(server.stop)
            truth = await audit(load, stripe, ledger)
            charges = sum(len(truth.money_taken(account)) for account in load.accounts)
            assert charges == times, f"I1: {charges} charges for {times} requests"
            return f"{times} requests sent to both servers at once: {charges} charges"

        return asyncio.run(story())
