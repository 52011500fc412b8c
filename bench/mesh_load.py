"""Two thousand callers through Envoy for a minute, Stripe at 200 ms a call, one of two replicas killed and restarted.

    python bench/mesh_load.py [--callers 2000] [--seconds 60] [--latency 0.2]

`make mesh` brings the Envoy.

Each caller buys, waits for the answer, buys again; whatever is UNAVAILABLE, ABORTED or RESOURCE_EXHAUSTED it asks again
under the same request_id, after a pause. In the end the double's book is laid beside what the callers were told:
every purchase told as succeeded took money once, and no money was taken for anything else. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub

if TYPE_CHECKING:
    from cloneservice.v1.clone_service_pb2_grpc import CloneServiceAsyncStub

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.mesh.envoy_process import configuration, running_envoy  # noqa: E402 - the checkout must be importable first
from tests.mesh.servers import Server, running  # noqa: E402
from tests.postgres_fixture import PostgresServer, find_binaries  # noqa: E402
from tests.stripe_http import StripeHttp  # noqa: E402

KEY = "sk_test_meshload"
AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED)
SHOPPERS, SELLERS = 40, 5


@dataclass
class Told:
    """What callers were told."""

    succeeded: list[str] = field(default_factory=list)
    other: dict[str, str] = field(default_factory=dict)
    """Purchases that ended otherwise, by request_id; none should."""
    first_try_codes: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: list[float] = field(default_factory=list)
    """From the first try of a purchase to its answer."""


@contextmanager
def double() -> Iterator[StripeHttp]:
    """The double in a process of its own."""
    command = [sys.executable, "-m", "fake_stripe", "serve", "--port", "0", "--journal", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        url = next(word for word in line.replace(",", " ").split() if word.startswith("http://"))
        yield StripeHttp(url.rstrip("/"), KEY)
    finally:
        process.terminate()
        process.wait(20)


def control(stripe: StripeHttp, method: str, path: str, body: object = None) -> None:
    """One call of the double's control API."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{stripe.url}/_fake{path}", sent, headers, method=method)
    urllib.request.urlopen(request, timeout=10).close()


async def caller(stub: CloneServiceAsyncStub, pairs: list[tuple[str, str]], told: Told, ends: float) -> None:
    """One caller until `ends`, then until its last purchase has an answer."""
    while time.monotonic() < ends:
        customer, account = random.choice(pairs)
        asked = pb.CloneAndChargeRequest(
            request_id=str(uuid.uuid4()),
            platform_customer_id=customer,
            connected_account_id=account,
            charge=pb.ChargeOptions(amount=types_pb2.Money(minor_units=1999, currency_code="USD")),
        )
        began, pause, tries = time.monotonic(), 0.25, 0
        while True:
            tries += 1
            try:
                made = await stub.CloneAndCharge(asked, timeout=60)
            except grpc.aio.AioRpcError as error:
                if tries == 1:
                    told.first_try_codes[error.code().name] += 1
                if error.code() in (*AGAIN, grpc.StatusCode.DEADLINE_EXCEEDED):
                    await asyncio.sleep(pause * random.uniform(0.5, 1))
                    pause = min(pause * 2, 8)
                    continue
                told.other[asked.request_id] = f"{error.code().name} {error.details()}"
            else:
                if tries == 1:
                    told.first_try_codes["OK"] += 1
                if made.charge.state == types_pb2.Charge.STATE_SUCCEEDED:
                    told.succeeded.append(asked.request_id)
                else:
                    told.other[asked.request_id] = types_pb2.Charge.State.Name(made.charge.state)
            break
        told.seconds.append(time.monotonic() - began)


async def load(port: int, pairs: list[tuple[str, str]], callers: int, seconds: float, victim: Server) -> Told:
    """All callers over 20 connections; a third of the way the victim is killed, and restarted five seconds later."""
    told = Told()
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) for _ in range(20)]
    stubs: list[Any] = [CloneServiceStub(channel) for channel in channels]
    ends = time.monotonic() + seconds

    async def death() -> None:
        await asyncio.sleep(seconds / 3)
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(5)
        await asyncio.to_thread(victim.start)

    calls = [caller(stubs[number % len(stubs)], pairs, told, ends) for number in range(callers)]
    await asyncio.gather(death(), *calls)
    for channel in channels:
        await channel.close()
    return told


def book(stripe: StripeHttp, accounts: list[str]) -> collections.Counter[str]:
    """How often money was taken for each request_id, by Stripe's own lists."""
    taken: collections.Counter[str] = collections.Counter()
    for account in accounts:
        after: dict[str, str] = {}
        while True:
            page = stripe.get("/v1/payment_intents", account, limit=100, **after)
            for intent in page["data"]:
                if intent["status"] == "succeeded":
                    taken[intent["metadata"]["cloneservice_request_id"]] += 1
            if not page["has_more"]:
                break
            after = {"starting_after": page["data"][-1]["id"]}
    return taken


def main() -> int:
    """Run, print what came of it; exit 1 when an answer was wrong or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds that Stripe takes for a call")
    options = parser.parse_args()
    binaries = find_binaries()
    if binaries is None:
        sys.exit("needs PostgreSQL's initdb and pg_ctl")
    postgres = PostgresServer(binaries)
    postgres.create()
    try:
        with double() as stripe, tempfile.TemporaryDirectory() as folder:
            return _run(options, postgres.new_database(), stripe, Path(folder))
    finally:
        postgres.remove()


def _run(options: argparse.Namespace, ledger: str, stripe: StripeHttp, folder: Path) -> int:
    customers = [stripe.saved_card()[0] for _ in range(SHOPPERS)]
    accounts = [stripe.connected_account() for _ in range(SELLERS)]
    pairs = [(customer, account) for customer in customers for account in accounts]
    control(stripe, "POST", "/faults", {"act": "latency", "latency": options.latency, "times": None})
    first, second = (
        Server(
            stripe=stripe.url, api_key=KEY, ledger=ledger, log=folder / f"{number}.log", flags=("--log-level", "error")
        )
        for number in (1, 2)
    )
    with running(first, second):
        config = configuration("minimal.yaml", {"cloneservice": [first.port, second.port]}, period="1s")
        with running_envoy(config, folder / "envoy") as envoy:
            envoy.until(lambda: envoy.healthy() == 2)
            told = asyncio.run(load(envoy.ports["grpc"], pairs, options.callers, options.seconds, first))
            retried = envoy.count("cluster.cloneservice.upstream_rq_retry")
    control(stripe, "DELETE", "/faults")
    return _report(told, book(stripe, accounts), retried, options)


def _report(told: Told, taken: collections.Counter[str], retried: int, options: argparse.Namespace) -> int:
    total, ordered = len(told.seconds), sorted(told.seconds)
    doubled = [request for request, times in taken.items() if times > 1]
    lost = [request for request in told.succeeded if taken[request] == 0]
    untold = set(taken) - set(told.succeeded)
    errors = sum(count for code, count in told.first_try_codes.items() if code != "OK")
    print(f"{options.callers} callers, {options.seconds:g} s, Stripe at {options.latency * 1000:g} ms a call")
    print(f"purchases answered           {total}  ({total / options.seconds:.0f}/s)")
    print(f"first tries that failed      {errors / max(total, 1):.2%}  {dict(told.first_try_codes)}")
    print(f"repeated by Envoy            {retried}")
    print(f"p50 / p99 to the answer      {ordered[total // 2]:.2f} s / {ordered[int(total * 0.99)]:.2f} s")
    print(
        f"charged twice {len(doubled)}, told but not charged {len(lost)}, charged but not told {len(untold)}, ", end=""
    )
    print(f"ended otherwise {len(told.other)}")
    for request, ending in list(told.other.items())[:5]:
        print(f"  {request}: {ending}")
    return 1 if doubled or lost or untold or told.other else 0


if __name__ == "__main__":
    sys.exit(main())
