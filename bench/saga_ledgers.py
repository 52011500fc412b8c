"""What each ledger costs a CloneAndCharge, and what the service adds to the time that Stripe takes.

    python -m bench.saga_ledgers [--seconds 4] [--store sqlite postgres] [--growth 1 64 1000] [--slow 50 500] [--json]

One run, one local responder (bench/responder.py), everything durable (fsync on). Four tables:

- throughput and CPU of first charges, and the ledger's share of that CPU. The share is measured by recording what the
  engine asks of its ledger and doing the same alone, in a process that does nothing else; the database server's own CPU
  is not the service's and is shown beside it;
- the same by calls in flight, from 1 to 1,000 (`--growth`): what a waiting call costs;
- latency added to the same calls made in a row over plain HTTP, one at a time with nothing else going on;
- latency added at 200 ms (`--stripe-ms`) a Stripe call, by calls in flight (`--slow`). Whoever keeps N calls in flight
  asks for N / 0.8 s first charges a second: beyond what the CPU can do, calls queue and the added share means nothing.

Read ratios; absolute times are this machine's, and a busy machine adds to every latency.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import uuid
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "server"), str(ROOT)]

import aiohttp  # noqa: E402 - the path is set above
import orjson  # noqa: E402
import uvloop  # noqa: E402
from cloneservice import AsyncCloneClient, Money  # noqa: E402
from cloneservice_server.clock import SystemClock  # noqa: E402
from cloneservice_server.domain import commands, values  # noqa: E402
from cloneservice_server.ledger import SqlLedger, open_ledger  # noqa: E402
from cloneservice_server.ports import Claim  # noqa: E402
from cloneservice_server.workflows.engine import Engine  # noqa: E402

from bench.measure import (  # noqa: E402
    ACCOUNT,
    HERE,
    KEY,
    cpu_s,
    hammer,
    own_cpu_s,
    percentile,
    process,
    spread,
    timed,
    tree_cpu_s,
)
from bench.report import Column, Report, Table, Value, arguments  # noqa: E402
from bench.stores import NAMES, Stores, here  # noqa: E402
from tests.working_stripe import WorkingStripe  # noqa: E402

LEDGER_SHARE_MOST = 35.0
CALLS = ("/v1/payment_methods", "/v1/customers", "/v1/payment_intents", "/v1/payment_intents/pi_x/confirm")


@contextmanager
def serving(stripe_url: str, ledger: str) -> Iterator[tuple[int, str]]:
    """The service: its process and address."""
    command = ["serve", "--stripe", stripe_url, "--listen", "127.0.0.1:0", "--json", "--log-level", "error"]
    command += ["--ledger", ledger, "--stripe-max-connections", "2000", "--max-concurrent-rpcs", "2000"]
    with process(sys.executable, "-m", "cloneservice_server", *command, STRIPE_API_KEY=KEY) as (pid, line):
        yield pid, f"127.0.0.1:{orjson.loads(line)['port']}"


async def first_charge(client: AsyncCloneClient) -> None:
    """Four calls to Stripe."""
    shopper = uuid.uuid4().hex
    await client.clone_and_charge(
        f"cus_{shopper}", ACCOUNT, Money(1999, "USD"), platform_payment_method_id=f"pm_{shopper}", timeout_s=60
    )


@asynccontextmanager
async def callers(address: str, in_flight: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """First charges, over a connection of its own for every 250 in flight: a connection carries 1,000 at most."""
    async with AsyncExitStack() as stack:
        own = (("grpc.use_local_subchannel_pool", 1),)
        clients = itertools.cycle(
            [
                await stack.enter_async_context(AsyncCloneClient(address, options=own))
                for _ in range(-(-in_flight // 250))
            ]
        )
        yield lambda: first_charge(next(clients))


# ---------------------------------------------------------------------------------------------------- the ledger alone

Asked = tuple[str, tuple[Any, ...], dict[str, Any]]


class Recorder:
    """A ledger that notes what it is asked."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.asked: list[Asked] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)

        async def noted(*args: Any, **named: Any) -> Any:
            self.asked.append((name, args, named))
            return await method(*args, **named)

        return noted


async def run_saga(ledger: Any, gateway: WorkingStripe) -> None:
    """A first charge by the engine, on a Stripe that answers at once."""
    shopper = uuid.uuid4().hex
    options = commands.ChargeOptions(values.Money(1999, "USD"))
    command = commands.CloneAndCharge(f"cus_{shopper}", ACCOUNT, options, f"pm_{shopper}")
    engine = Engine(ledger=ledger, gateway=gateway, clock=SystemClock())
    answer = await engine.submit(str(uuid.uuid4()), "0" * 64, command)
    assert answer.error is None, answer.error


async def record(sagas: int) -> list[list[Asked]]:
    """What the engine asks for so many first charges."""
    ledger, recorded = open_ledger("sqlite://:memory:", SystemClock()), []
    await ledger.open()
    for _ in range(sagas):
        recorder = Recorder(ledger)
        await run_saga(recorder, WorkingStripe())
        recorded.append(recorder.asked)
    await ledger.aclose()
    return recorded


async def ask_again(ledger: SqlLedger, asked: list[Asked]) -> None:
    """One saga's part, under the fence that this ledger gives it."""
    claim: Claim | None = None
    for name, args, named in asked:
        given = [claim if isinstance(arg, Claim) else arg for arg in args]
        answer = await getattr(ledger, name)(*given, **named)
        if name == "begin_request":
            claim = Claim(answer[0].request_id, answer[0].fence)


async def replay(url: str, recorded: list[list[Asked]], in_flight: int, warm: int = 0) -> float:
    """CPU milliseconds for each saga's share of a ledger that does nothing but this; the first `warm` do not count."""
    ledger = open_ledger(url, SystemClock())
    await ledger.open()

    async def ask(sagas: list[list[Asked]]) -> None:
        left = iter(sagas)

        async def worker() -> None:
            for asked in left:
                await ask_again(ledger, asked)

        await asyncio.gather(*(worker() for _ in range(in_flight)))

    await ask(recorded[:warm])
    before = own_cpu_s()
    await ask(recorded[warm:])
    used = own_cpu_s() - before
    await ledger.aclose()
    return used / (len(recorded) - warm) * 1e3


# ------------------------------------------------------------------------------------------------------------- tables


async def with_plain_http(url: str, seconds: float, in_flight: int) -> list[float]:
    """The same four calls in a row, by a caller that does nothing else."""
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def four() -> None:
            for path in CALLS:
                async with session.post(path, data={"amount": 1999}) as answer:
                    await answer.read()

        await timed(four, 0.5, in_flight)
        return await timed(four, seconds, in_flight)


async def through_service(address: str, seconds: float, in_flight: int) -> list[float]:
    """First charges through the service."""
    async with callers(address, in_flight) as charge:
        await timed(charge, 0.1, in_flight)
        return await timed(charge, seconds, in_flight)


@dataclass(frozen=True)
class Load:
    """Throughput at full load, and who used the CPU; milliseconds for each saga."""

    per_s: float
    service_ms: float
    database_ms: float


def load(pid: int, address: str, database: int, seconds: float, in_flight: int) -> Load:
    """First charges as fast as they go."""

    async def measure() -> Load:
        async with callers(address, in_flight) as charge:
            await hammer(charge, min(1.0, seconds), in_flight)
            before = cpu_s(pid), tree_cpu_s(database) if database else 0.0
            done, took = await hammer(charge, seconds, in_flight)
            after = cpu_s(pid), tree_cpu_s(database) if database else 0.0
            return Load(done / took, (after[0] - before[0]) / done * 1e3, (after[1] - before[1]) / done * 1e3)

    return asyncio.run(measure())


def ledger_alone(stores: Stores, name: str, in_flight: int, sagas: int) -> float:
    """CPU milliseconds of a first charge in a ledger that does nothing else."""
    with stores.empty(name) as (url, _):
        return uvloop.run(replay(url, asyncio.run(record(sagas)), in_flight))


def measure_load(report: Report, stores: Stores, given: Namespace, stripe_url: str) -> None:
    """Throughput, CPU and the ledger's share of it; rounds alternate between service and ledger."""
    rows = []
    for name in given.store:
        with stores.empty(name) as (url, database), serving(stripe_url, url) as (pid, address):
            rounds = [
                (
                    load(pid, address, database, given.seconds, given.in_flight),
                    ledger_alone(stores, name, given.in_flight, 500 if given.seconds < 2 else 2000),
                )
                for _ in range(given.rounds)
            ]
        share = spread([alone / it.service_ms * 100 for it, alone in rounds])
        rows.append(
            {
                "case": NAMES[name],
                "per_s": spread([it.per_s for it, _ in rounds]),
                "cpu_ms": spread([it.service_ms for it, _ in rounds]),
                "ledger_ms": spread([alone for _, alone in rounds]),
                "share": share,
                "database_ms": spread([it.database_ms for it, _ in rounds]) if name == "postgres" else None,
            }
        )
        report.at_most(f"share of the ledger: {NAMES[name]}", share[0], LEDGER_SHARE_MOST, " %")
        report.ratios[f"ledger / first charge, {NAMES[name]}"] = share[0] / 100
    columns = [
        Column("case", "ledger"),
        Column("per_s", "first charges a second"),
        Column("cpu_ms", "CPU, ms", 2),
        Column("ledger_ms", "of which the ledger, ms", 2),
        Column("share", "share, %"),
        Column("database_ms", "database server, ms", 2),
    ]
    report.table(Table("ledgers", f"First charges, {given.in_flight} in flight", columns, rows))


def measure_growth(report: Report, stores: Stores, given: Namespace, stripe_url: str) -> None:
    """Throughput and CPU by calls in flight."""
    rows: list[dict[str, Value]] = [{"case": level} for level in given.growth]
    for name in given.store:
        with stores.empty(name) as (url, database), serving(stripe_url, url) as (pid, address):
            for row, level in zip(rows, given.growth, strict=True):
                it = load(pid, address, database, given.seconds, level)
                row |= {f"{name}_per_s": it.per_s, f"{name}_ms": it.service_ms}
        many = given.growth.index(64) if 64 in given.growth else 0
        grown = float(rows[-1][f"{name}_ms"]) / float(rows[many][f"{name}_ms"])  # type: ignore[arg-type]
        report.ratios[f"first charge, most in flight / 64, {NAMES[name]}"] = grown
    columns = [Column("case", "in flight")]
    for name in given.store:
        columns += [Column(f"{name}_per_s", f"{NAMES[name]}: a second"), Column(f"{name}_ms", "CPU, ms", 2)]
    report.table(Table("in_flight", "First charges by calls in flight, Stripe answering at once", columns, rows))


def measure_added(report: Report, stores: Stores, given: Namespace, stripe_url: str) -> None:
    """Latency, one at a time."""
    bare = asyncio.run(with_plain_http(stripe_url, given.seconds, 1))
    rows: list[dict[str, Value]] = [
        {"case": "the four calls over plain HTTP", "p50": percentile(bare, 0.5), "p99": percentile(bare, 0.99)}
    ]
    for name in given.store:
        with stores.empty(name) as (url, _), serving(stripe_url, url) as (_, address):
            took = asyncio.run(through_service(address, given.seconds, 1))
        p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
        added = {"added_p50": p50 - percentile(bare, 0.5), "added_p99": p99 - percentile(bare, 0.99)}
        rows.append({"case": f"service, {NAMES[name]}", "p50": p50, "p99": p99, **added})
    columns = [Column("case", "one at a time")]
    columns += [
        Column(key, head, 1)
        for key, head in (
            ("p50", "p50, ms"),
            ("p99", "p99, ms"),
            ("added_p50", "added p50, ms"),
            ("added_p99", "added p99, ms"),
        )
    ]
    report.table(Table("added", "What the service adds to Stripe's own time, Stripe answering at once", columns, rows))


def measure_slow(report: Report, stores: Stores, given: Namespace, stripe_url: str) -> None:
    """Latency with a Stripe that takes its time: at 200 ms a call, four calls take at least 800."""
    seconds, rows = max(given.seconds, given.stripe_ms / 1e3 * len(CALLS) * 3), []
    for name in given.store:
        with stores.empty(name) as (url, _), serving(stripe_url, url) as (_, address):
            for in_flight in given.slow:
                rounds = [asyncio.run(through_service(address, seconds, in_flight)) for _ in range(given.rounds)]
                added = [(percentile(took, 0.5) / (len(CALLS) * given.stripe_ms) - 1) * 100 for took in rounds]
                rows.append(
                    {
                        "case": NAMES[name],
                        "in_flight": in_flight,
                        "per_s": spread([len(took) / seconds for took in rounds]),
                        "p50": spread([percentile(took, 0.5) for took in rounds]),
                        "p99": spread([percentile(took, 0.99) for took in rounds]),
                        "added": spread(added),
                    }
                )
    columns = [
        Column("case", "ledger"),
        Column("in_flight", "in flight"),
        Column("per_s", "first charges a second"),
        Column("p50", "p50, ms"),
        Column("p99", "p99, ms"),
        Column("added", "added to the median, %"),
    ]
    report.table(Table("slow", f"What the service adds when Stripe takes {given.stripe_ms} ms a call", columns, rows))


def main() -> int:
    """Measure and print; exit 1 if a ledger takes more than 35 % of the service's CPU."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of shares and of latency")
    parser.add_argument("--in-flight", type=int, default=64, help="operations at once in the first table")
    parser.add_argument("--store", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--growth", nargs="*", type=int, default=[1, 4, 16, 64, 250, 1000], help="in flight")
    parser.add_argument("--slow", nargs="*", type=int, default=[50, 100, 200, 500], help="in flight at 200 ms a call")
    parser.add_argument("--stripe-ms", type=int, default=200, help="how long Stripe takes for a call in the last table")
    given = parser.parse_args()
    report = Report(given.json)
    given.store = here(given.store, report)
    with Stores() as stores:
        with process(sys.executable, str(HERE / "responder.py")) as (_, port):
            measure_load(report, stores, given, f"http://127.0.0.1:{port}")
            if given.growth:
                measure_growth(report, stores, given, f"http://127.0.0.1:{port}")
            measure_added(report, stores, given, f"http://127.0.0.1:{port}")
        if given.slow:
            with process(sys.executable, str(HERE / "responder.py"), str(given.stripe_ms / 1e3)) as (_, port):
                measure_slow(report, stores, given, f"http://127.0.0.1:{port}")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
