"""What CloneAndCharge costs, against the same calls made directly with Stripe's SDKs.

    python -m bench.saga [--seconds 3] [--rounds 5] [--in-flight 64] [--json]

One run, one local responder (bench/responder.py), ledger on (SQLite, synchronous=FULL). CPU is user + system time of
the measured process: the server's for the service, the caller's for direct use; what a call costs the service's caller
is shown beside it. Rounds go through all of them in turn; ratios are taken within a round. Node's SDK takes part where
`bench/node` has been installed (`npm install --prefix bench/node`).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.measure import ACCOUNT, HERE, KEY, cpu_s, hammer, own_cpu_s, process, ratios, spread
from bench.report import Check, Column, Report, Table, Value, arguments

FLOOR = 2.0  # how many times cheaper the service must at least be: a loose guard against regressions
SDK_IDLE = 20  # connections the SDK's async client keeps: more tasks than that measure its reconnecting


@dataclass(frozen=True)
class Figure:
    """One measurement of one contender."""

    cpu_ms: float
    per_s: float
    caller_ms: float


Measure = Callable[[float], Figure]


@dataclass(frozen=True)
class Contender:
    """One row of the table: its name, its calls to Stripe, and how to measure it for so many seconds."""

    name: str
    calls: int
    measure: Measure


def service(target: str, pid: int, in_flight: int, customer: Callable[[], str]) -> Measure:
    """CloneAndCharge through the gRPC service."""
    from cloneservice import AsyncCloneClient, Money  # noqa: PLC0415 - imported where it is measured

    async def run(seconds: float) -> Figure:
        async with AsyncCloneClient(target) as client:

            async def operation() -> None:
                shopper = customer()
                await client.clone_and_charge(
                    platform_customer_id=f"cus_{shopper}",
                    platform_payment_method_id=f"pm_{shopper}",
                    connected_account_id=ACCOUNT,
                    amount=Money(1999, "USD"),
                    application_fee=Money(199, "USD"),
                )

            await hammer(operation, min(0.5, seconds), in_flight)
            before, own = cpu_s(pid), own_cpu_s()
            done, took = await hammer(operation, seconds, in_flight)
            return Figure((cpu_s(pid) - before) / done * 1e3, done / took, (own_cpu_s() - own) / done * 1e3)

    return lambda seconds: asyncio.run(run(seconds))


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


def direct_async(stripe_url: str, in_flight: int, story: Callable[[Any], Awaitable[Any]]) -> Measure:
    """The caller itself, with the SDK's default async client (httpx)."""
    import stripe  # noqa: PLC0415 - imported where it is measured

    async def run(seconds: float) -> Figure:
        client, tasks = stripe.StripeClient(KEY, base_addresses={"api": stripe_url}), min(in_flight, SDK_IDLE)
        await hammer(lambda: story(client), min(0.5, seconds), tasks)
        before = own_cpu_s()
        done, took = await hammer(lambda: story(client), seconds, tasks)
        cpu_ms = (own_cpu_s() - before) / done * 1e3
        return Figure(cpu_ms, done / took, cpu_ms)

    return lambda seconds: asyncio.run(run(seconds))


def direct_sync(stripe_url: str) -> Measure:
    """The caller itself, with the SDK's sync client (requests) in 8 threads."""
    import stripe  # noqa: PLC0415 - imported where it is measured

    local = threading.local()

    def run(limit_s: float) -> tuple[int, float]:
        started = time.monotonic()

        def worker(_: int) -> int:
            done = 0
            local.client = stripe.StripeClient(KEY, base_addresses={"api": stripe_url})
            while time.monotonic() - started < limit_s:
                _guide(local.client)
                done += 1
            return done

        with ThreadPoolExecutor(8) as pool:
            done = sum(pool.map(worker, range(8)))
        return done, time.monotonic() - started

    def measure(seconds: float) -> Figure:
        run(min(0.5, seconds))
        before = own_cpu_s()
        done, took = run(seconds)
        cpu_ms = (own_cpu_s() - before) / done * 1e3
        return Figure(cpu_ms, done / took, cpu_ms)

    return measure


def direct_node(stripe_url: str, in_flight: int) -> Measure | None:
    """The caller itself, with the SDK for Node; None where it is not installed."""
    node = shutil.which("node")
    if node is None or not (HERE / "node" / "node_modules" / "stripe").exists():
        return None

    def measure(seconds: float) -> Figure:
        command = [node, str(HERE / "node" / "saga.mjs"), stripe_url, str(seconds), str(in_flight)]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        cpu_ms = told["cpu_ms"] / told["done"]
        return Figure(cpu_ms, told["done"] / told["seconds"], cpu_ms)

    return measure


def contenders(stack: ExitStack, stripe_url: str, in_flight: int, report: Report) -> list[Contender]:
    """All that can be measured here; the first is what the others are divided by."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    command = ["serve", "--stripe", stripe_url, "--listen", "127.0.0.1:0", "--json", "--log-level", "warning"]
    command += ["--ledger", f"sqlite:///{folder}/bench.db"]
    server = process(sys.executable, "-m", "cloneservice_server", *command, STRIPE_API_KEY=KEY)
    pid, line = stack.enter_context(server)
    target = f"127.0.0.1:{json.loads(line)['port']}"
    found = [
        Contender("service, first time", 4, service(target, pid, in_flight, lambda: uuid.uuid4().hex)),
        Contender("service, clone known", 2, service(target, pid, in_flight, lambda: "known")),
        Contender("Python SDK, async (httpx), first time", 3, direct_async(stripe_url, in_flight, _guide_async)),
        Contender("Python SDK, async (httpx), charge only", 1, direct_async(stripe_url, in_flight, _charge_async)),
        Contender("Python SDK, sync (requests), first time", 3, direct_sync(stripe_url)),
    ]
    if node := direct_node(stripe_url, in_flight):
        found.append(Contender("Node SDK, first time", 3, node))
    else:
        report.remark("Node's SDK was left out: no node, or bench/node is not installed.")
    return found


COLUMNS = [
    Column("case", "who makes the calls"),
    Column("calls", "calls to Stripe"),
    Column("cpu_ms", "CPU, ms", 2),
    Column("caller_ms", "the caller's CPU, ms", 2),
    Column("per_s", "a second"),
    Column("ratio", "CPU, service = 1", 2),
]


def main() -> int:
    """Measure, print the table; exit 1 if the service has lost its lead over the default async client."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, alternating")
    parser.add_argument("--in-flight", type=int, default=64, help="operations at once")
    given = parser.parse_args()
    report = Report(given.json)
    with ExitStack() as stack:
        _, port = stack.enter_context(process(sys.executable, str(HERE / "responder.py")))
        found = contenders(stack, f"http://127.0.0.1:{port}", given.in_flight, report)
        rounds = [[contender.measure(given.seconds) for contender in found] for _ in range(given.rounds)]
    cpu = [[figures[at].cpu_ms for figures in rounds] for at in range(len(found))]
    rows: list[dict[str, Value]] = [
        {
            "case": contender.name,
            "calls": contender.calls,
            "cpu_ms": spread(cpu[at]),
            "caller_ms": spread([figures[at].caller_ms for figures in rounds]),
            "per_s": spread([figures[at].per_s for figures in rounds]),
            "ratio": ratios(cpu[at], cpu[0]),
        }
        for at, contender in enumerate(found)
    ]
    report.table(Table("saga", "One purchase: clone, customer and charge, or the charge alone", COLUMNS, rows))
    report.ratios = {
        "first charge / Python SDK async": ratios(cpu[0], cpu[2])[0],
        "first charge / Python SDK sync": ratios(cpu[0], cpu[4])[0],
        "clone known / first charge": ratios(cpu[1], cpu[0])[0],
    }
    cheaper = 1 / report.ratios["first charge / Python SDK async"]
    report.checks.append(
        Check(
            "first charge, CPU of the Python SDK's async client",
            f"1/{cheaper:.1f} of it",
            f"at most 1/{FLOOR:.0f}; hoped for 1/4",
            cheaper >= FLOOR,
        )
    )
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
