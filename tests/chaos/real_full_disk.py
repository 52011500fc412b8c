"""SQLite on a full disk: nothing is begun that cannot be recorded, nothing is lost, and with room it goes on."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from cloneservice import AsyncCloneClient, CloneServiceError, LedgerUnavailable, Money, OutcomeUnknown, RetryPolicy

from tests.chaos.real_audit import audit
from tests.chaos.real_disk import Disk, small_disk
from tests.chaos.real_load import Load, Request, control
from tests.chaos.real_processes import API_KEY, Server, Template, fake_stripe_process, working_folder
from tests.stripe_http import StripeHttp

_ONCE = [("grpc.enable_retries", 0)]


def fill_up(own: Template) -> str:
    """The whole story; what it came to. Raises AssertionError, and NoSmallDisk where there is none."""
    with working_folder() as folder, fake_stripe_process() as url, small_disk(folder, megabytes=4) as disk:
        stripe, ledger = StripeHttp(url, API_KEY), f"sqlite:///{disk.path}/ledger.db"
        server = Server(own, folder, ledger, url)
        server.start()
        server.wait_until_serving()
        return asyncio.run(_Story(stripe, server, disk, ledger).tell())


class _Story:
    def __init__(self, stripe: StripeHttp, server: Server, disk: Disk, ledger: str) -> None:
        self.stripe, self.server, self.disk, self.ledger = stripe, server, disk, ledger
        self.load = Load(stripe, [server.target], 0)
        self.shopper, self.account = self.load.shoppers[3], self.load.accounts[0]

    async def tell(self) -> str:
        async with AsyncCloneClient(self.server.target, options=_ONCE, retry=RetryPolicy(max_attempts=1)) as client:
            before = await self._charged(client)
            self.disk.fill()
            refused, sent = await self._refused_before_any_effect(client)
            in_flight = await self._lost_in_flight(client)
            self.disk.empty()
            for request in (*refused, in_flight):
                await self._answer(client, request)
            await self._answer(client, before)
        self.server.stop()
        truth = await audit(self.load, self.stripe, self.ledger)
        charges = len(truth.money_taken(self.account))
        assert charges == len(self.load.requests), f"I1: {charges} charges for {len(self.load.requests)} requests"
        caught = "one lost in flight" if in_flight.tries else "none lost in flight"
        return f"{len(refused)} refused on a full disk after {sent} calls to Stripe, {caught}: all charged once"

    async def _charged(self, client: AsyncCloneClient) -> Request:
        request = self._request()
        await self._answer(client, request)
        return request

    async def _refused_before_any_effect(self, client: AsyncCloneClient) -> tuple[list[Request], int]:
        """Fill the rest of the log's pages with requests until one is refused, then look at ten more."""
        while True:
            request = self._request()
            if isinstance(await self._error(client, request), LedgerUnavailable):
                break
        calls = self._posts()
        refused = [request, *(self._request() for _ in range(10))]
        for each in refused:
            error = await self._error(client, each)
            assert isinstance(error, LedgerUnavailable), f"a full disk was answered with {error}"
            assert error.resumable
        sent = self._posts() - calls
        assert sent == 0, f"I5: {sent} calls changed something at Stripe and could not be recorded"
        return refused, sent

    async def _lost_in_flight(self, client: AsyncCloneClient) -> Request:
        """The disk fills while Stripe confirms: the outcome is unknown to the caller, and found out afterwards."""
        self.disk.empty()
        confirm = {"method": "POST", "path": "/v1/payment_intents/{intent}/confirm"}
        control(self.stripe, "POST", "/_fake/faults", match=confirm, act="latency", latency=1.0)
        request = self._request()
        asked = asyncio.create_task(self._error(client, request))
        await self._confirmed()
        self.disk.fill()
        error = await asked
        request.tries = error is not None
        assert error is None or isinstance(error, OutcomeUnknown), f"a lost outcome was answered with {error}"
        return request

    async def _confirmed(self) -> None:
        path = "/_fake/journal?method=POST&path=/v1/payment_intents/*/confirm"
        before = control(self.stripe, "GET", path)["total"]
        for _ in range(1000):
            if control(self.stripe, "GET", path)["total"] > before:
                return
            await asyncio.sleep(0.01)

    async def _error(self, client: AsyncCloneClient, request: Request) -> CloneServiceError | None:
        try:
            result = await request.ask(client, request.request_id)
        except CloneServiceError as error:
            return error
        request.answers.append(f"{result.clone} {result.charge}")
        return None

    async def _answer(self, client: AsyncCloneClient, request: Request) -> None:
        for _ in range(100):
            error = await self._error(client, request)
            if error is None:
                return
            assert error.resumable, f"I2: {request.request_id} is refused for good: {error}"
            await asyncio.sleep(0.1)
        raise AssertionError(f"I7: {request.request_id} is not answered after the disk has room: {error}")

    def _request(self) -> Request:
        async def ask(client: AsyncCloneClient, request_id: str) -> Any:
            return await client.clone_and_charge(
                self.shopper.customer, self.account, Money(1999, "USD"), request_id=request_id
            )

        request = Request(str(uuid.uuid4()), ask)
        self.load.requests.append(request)
        return request

    def _posts(self) -> int:
        return int(control(self.stripe, "GET", "/_fake/journal?method=POST")["total"])
