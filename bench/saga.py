"""What CloneAndCharge costs, against the same calls made directly with the stripe SDK.

    python bench/saga.py [--seconds 4] [--in-flight 64]

One run, one local responder (bench/responder.py), ledger on. CPU is the measured process's own user + system time: the
server's for the service, the caller's for direct use. Read the ratios; absolute times are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ACCOUNT = "acct_1Bench000000001"
KEY = "sk_test_bench"
FLOOR = 2.0  # how many times cheaper the service must at least be: a loose guard against regressions


@dataclass(frozen=True)
class Figure:
    """One row of the table: CPU milliseconds per operation and operations per second."""

    name: str
    cpu_ms: float
    per_s: float
    calls: int


@contextmanager
def process(*command: str, **environment: str) -> Iterator[tuple[int, str]]:
    """A process that prints one line when it is ready: (pid, line)."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert child.stdout is not None
    try:
        yield child.pid, child.stdout.readline().strip()
    finally:
        child.terminate()
        child.wait(timeout=20)


def cpu_s(pid: int) -> float:
    """User + system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu_s() -> float:
    """User + system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def hammer(operation: Callable[[], Awaitable[object]], seconds: float, in_flight: int) -> tuple[int, float]:
    """Run `operation` from `in_flight` tasks; (how many, in how many seconds)."""
    done, started = 0, time.monotonic()

    async def worker() -> None:
        nonlocal done
        while time.monotonic() - started < seconds:
            await operation()
            done += 1

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done, time.monotonic() - started


def service(stripe_url: str, seconds: float, in_flight: int) -> Iterator[Figure]:
    """The gRPC service, first time (four calls) and with the clone known (two)."""
    import orjson  # noqa: PLC0415 - imported where it is measured
    from cloneservice import AsyncCloneClient, Money  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        command = ["serve", "--stripe", stripe_url, "--listen", "127.0.0.1:0", "--json", "--log-level", "warning"]
        command += ["--ledger", f"sqlite:///{folder}/bench.db"]
        server = process(sys.executable, "-m", "cloneservice_server", *command, STRIPE_API_KEY=KEY)
        with server as (pid, line):
            port = orjson.loads(line)["port"]

            async def measure(name: str, calls: int, customer: Callable[[], str]) -> Figure:
                async with AsyncCloneClient(f"127.0.0.1:{port}") as client:

                    async def operation() -> None:
                        shopper = customer()
                        await client.clone_and_charge(
                            platform_customer_id=f"cus_{shopper}",
                            platform_payment_method_id=f"pm_{shopper}",
                            connected_account_id=ACCOUNT,
                            amount=Money(1999, "USD"),
                            application_fee=Money(199, "USD"),
                        )

                    await hammer(operation, min(1.0, seconds), in_flight)
                    before = cpu_s(pid)
                    done, took = await hammer(operation, seconds, in_flight)
                    return Figure(name, (cpu_s(pid) - before) / done * 1e3, done / took, calls)

            yield asyncio.run(measure("service, first time", 4, lambda: uuid.uuid4().hex))
            yield asyncio.run(measure("service, clone known", 2, lambda: "known"))


def _guide(client: Any) -> Any:
    """The guide's calls of a first charge with the sync client: clone, customer, a PaymentIntent confirmed at once."""
    options = {"stripe_account": ACCOUNT}
    method = client.v1.payment_methods.create({"customer": "cus_a", "payment_method": "pm_a"}, options)
    customer = client.v1.customers.create({"payment_method": method.id}, options)
    return client.v1.payment_intents.create(_payment(method.id, customer.id), options)


async def _guide_async(client: Any) -> Any:
    options = {"stripe_account": ACCOUNT}
    method = await client.v1.payment_methods.create_async({"customer": "cus_a", "payment_method": "pm_a"}, options)
    customer = await client.v1.customers.create_async({"payment_method": method.id}, options)
    return await client.v1.payment_intents.create_async(_payment(method.id, customer.id), options)


async def _charge_async(client: Any) -> Any:
    return await client.v1.payment_intents.create_async(_payment("pm_a", "cus_a"), {"stripe_account": ACCOUNT})


def _payment(method: str, customer: str) -> dict[str, Any]:
    return {
        "amount": 1999,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "payment_method_types": ["card"],
        "application_fee_amount": 199,
        "confirm": True,
    }


def direct_async(stripe_url: str, seconds: float, in_flight: int) -> Iterator[Figure]:
    """The caller itself, with the SDK's default async client (httpx)."""
    import stripe  # noqa: PLC0415 - imported where it is measured

    async def measure(name: str, calls: int, story: Callable[[Any], Awaitable[Any]]) -> Figure:
        client = stripe.StripeClient(KEY, base_addresses={"api": stripe_url})
        # The SDK's client keeps 20 idle connections: more tasks than that measure its reconnecting.
        tasks = min(in_flight, 20)
        await hammer(lambda: story(client), min(1.0, seconds), tasks)
        before = own_cpu_s()
        done, took = await hammer(lambda: story(client), seconds, tasks)
        return Figure(name, (own_cpu_s() - before) / done * 1e3, done / took, calls)

    yield asyncio.run(measure("direct, default async client, first time", 3, _guide_async))
    yield asyncio.run(measure("direct, default async client, charge only", 1, _charge_async))


def direct_sync(stripe_url: str, seconds: float, _in_flight: int) -> Iterator[Figure]:
    """The caller itself, with the SDK's sync client (requests) in threads."""
    import stripe  # noqa: PLC0415 - imported where it is measured

    local = threading.local()

    def one() -> None:
        if not hasattr(local, "client"):
            local.client = stripe.StripeClient(KEY, base_addresses={"api": stripe_url})
        _guide(local.client)

    def run(limit_s: float) -> tuple[int, float]:
        started = time.monotonic()

        def worker(_: int) -> int:
            done = 0
            while time.monotonic() - started < limit_s:
                one()
                done += 1
            return done

        with ThreadPoolExecutor(8) as pool:
            done = sum(pool.map(worker, range(8)))
        return done, time.monotonic() - started

    run(min(1.0, seconds))
    before = own_cpu_s()
    done, took = run(seconds)
    yield Figure("direct, sync client, first time", (own_cpu_s() - before) / done * 1e3, done / took, 3)


def main() -> int:
    """Measure, print the table; exit 1 if the service has lost its lead over the default async client."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--in-flight", type=int, default=64, help="operations at once")
    options = parser.parse_args()
    figures: list[Figure] = []
    with process(sys.executable, str(HERE / "responder.py")) as (_, port):
        for story in (service, direct_async, direct_sync):
            for figure in story(f"http://127.0.0.1:{port}", options.seconds, options.in_flight):
                figures.append(figure)
                print(f"measured: {figure.name}", file=sys.stderr)
    base = figures[0]
    print(f"{'':44}{'calls':>6}{'CPU ms/op':>11}{'op/s':>8}{'CPU, service = 1':>18}")
    for figure in figures:
        ratio = figure.cpu_ms / base.cpu_ms
        print(f"{figure.name:44}{figure.calls:>6}{figure.cpu_ms:>11.2f}{figure.per_s:>8.0f}{ratio:>18.2f}")
    cheaper = figures[2].cpu_ms / base.cpu_ms
    print(f"\nFirst charge: the service takes 1/{cheaper:.1f} of the default async client's CPU (hoped for: 1/4).")
    return 0 if cheaper >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
