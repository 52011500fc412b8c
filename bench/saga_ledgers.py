"""What each ledger costs a CloneAndCharge, and what the service adds to the time that Stripe takes.

    python bench/saga_ledgers.py [--seconds 4] [--in-flight 64] [--store sqlite postgres] [--slow 50 100 200 500]

One run, one local responder (bench/responder.py), everything durable (fsync on). Three tables:

- throughput and CPU of first charges, and the ledger's share of that CPU. The share is measured by recording what the
  engine asks of its ledger and doing the same alone, in a process that does nothing else; the database server's own CPU
  is not the service's and is shown beside it;
- latency added to the same calls made in a row over plain HTTP, one at a time with nothing else going on;
- latency added at 200 ms (`--stripe-ms`) a Stripe call, by calls in flight (`--slow`). Whoever keeps N calls in flight
  asks for N / 0.8 s first charges a second: beyond what the CPU can do, calls queue and the added share means nothing.

Read ratios; absolute times are this machine's, and a busy machine adds to every latency.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from cloneservice_server.ledger import open_ledger  # noqa: E402
from cloneservice_server.workflows.engine import Engine  # noqa: E402

from bench.saga import ACCOUNT, HERE, KEY, cpu_s, hammer, own_cpu_s, process  # noqa: E402
from tests.postgres_fixture import PostgresServer, find_binaries  # noqa: E402
from tests.working_stripe import WorkingStripe  # noqa: E402

CALLS = ("/v1/payment_methods", "/v1/customers", "/v1/payment_intents", "/v1/payment_intents/pi_x/confirm")


@contextmanager
def store(name: str) -> Iterator[tuple[str, int]]:
    """An empty, durable ledger: its URL and the process that serves it (0 for none)."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/{uuid.uuid4().hex}.db", 0
        return
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL on this machine: use --store sqlite")
    server = PostgresServer(binaries, {"listen_addresses": "", "fsync": "on", "max_connections": "50"})
    try:
        server.create()
        yield server.new_database(), int((server.directory / "data" / "postmaster.pid").read_text().split()[0])
    finally:
        server.remove()


@contextmanager
def serving(stripe_url: str, ledger: str) -> Iterator[tuple[int, str]]:
    """The service: its process and address."""
    command = ["serve", "--stripe", stripe_url, "--listen", "127.0.0.1:0", "--json", "--log-level", "error"]
    command += ["--ledger", ledger, "--stripe-max-connections", "2000", "--max-concurrent-rpcs", "2000"]
    with process(sys.executable, "-m", "cloneservice_server", *command, STRIPE_API_KEY=KEY) as (pid, line):
        yield pid, f"127.0.0.1:{orjson.loads(line)['port']}"


def tree_cpu_s(pid: int) -> float:
    """CPU of a process and its children, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    used = cpu_s(pid) + ended
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(FileNotFoundError):  # it has just ended
            used += cpu_s(int(child))
    return used


async def first_charge(client: AsyncCloneClient) -> None:
    """Four calls to Stripe."""
    shopper = uuid.uuid4().hex
    await client.clone_and_charge(
        f"cus_{shopper}", ACCOUNT, Money(1999, "USD"), platform_payment_method_id=f"pm_{shopper}", timeout_s=60
    )


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


async def record(sagas: int) -> list[list[Asked]]:
    """What the engine asks for so many first charges."""
    clock = SystemClock()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    recorded = []
    for _ in range(sagas):
        shopper, recorder = uuid.uuid4().hex, Recorder(ledger)
        options = commands.ChargeOptions(values.Money(1999, "USD"))
        command = commands.CloneAndCharge(f"cus_{shopper}", ACCOUNT, options, f"pm_{shopper}")
        engine = Engine(ledger=recorder, gateway=WorkingStripe(), clock=clock)
        answer = await engine.submit(str(uuid.uuid4()), "0" * 64, command)
        assert answer.error is None, answer.error
        recorded.append(recorder.asked)
    await ledger.aclose()
    return recorded


async def replay(url: str, recorded: list[list[Asked]], in_flight: int) -> float:
    """CPU milliseconds for each saga's share of a ledger that does nothing but this."""
    ledger = open_ledger(url, SystemClock())
    await ledger.open()
    left = iter(recorded)

    async def worker() -> None:
        for asked in left:
            for name, args, named in asked:
                await getattr(ledger, name)(*args, **named)

    before = own_cpu_s()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    used = own_cpu_s() - before
    await ledger.aclose()
    return used / len(recorded) * 1e3


# ------------------------------------------------------------------------------------------------------------- tables


async def timed(operation: Callable[[], Awaitable[object]], seconds: float, in_flight: int) -> list[float]:
    """How long each operation took, in milliseconds."""
    took: list[float] = []

    async def one() -> None:
        begun = time.perf_counter()
        await operation()
        took.append((time.perf_counter() - begun) * 1e3)

    await hammer(one, seconds, in_flight)
    return sorted(took)


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
    async with AsyncCloneClient(address) as client:
        await timed(lambda: first_charge(client), 0.1, in_flight)
        return await timed(lambda: first_charge(client), seconds, in_flight)


@dataclass(frozen=True)
class Load:
    """Throughput at full load, and who used the CPU; milliseconds for each saga."""

    per_s: float
    service_ms: float
    ledger_ms: float
    database_ms: float


def load(name: str, stripe_url: str, seconds: float, in_flight: int) -> Load:
    """First charges as fast as they go, then the ledger's part alone."""
    with store(name) as (url, database), serving(stripe_url, url) as (pid, address):

        async def measure() -> tuple[int, float, float, float]:
            async with AsyncCloneClient(address) as client:
                await hammer(lambda: first_charge(client), 1.0, in_flight)
                before = cpu_s(pid), tree_cpu_s(database) if database else 0.0
                done, took = await hammer(lambda: first_charge(client), seconds, in_flight)
                after = cpu_s(pid), tree_cpu_s(database) if database else 0.0
                return done, took, after[0] - before[0], after[1] - before[1]

        done, took, service_s, database_s = asyncio.run(measure())
    with store(name) as (url, _):
        recorded = asyncio.run(record(max(300, min(done, 2000))))
        ledger_ms = uvloop.run(replay(url, recorded, in_flight))
    return Load(done / took, service_s / done * 1e3, ledger_ms, database_s / done * 1e3)


def percentile(took: list[float], share: float) -> float:
    """Of a sorted list."""
    return took[min(int(len(took) * share), len(took) - 1)]


def show_load(stores: list[str], stripe_url: str, seconds: float, in_flight: int) -> float:
    """Print the first table; returns the largest share."""
    print(f"{'ledger':10}{'op/s':>8}{'CPU ms/op':>11}{'ledger alone':>14}{'share':>8}{'database':>10}")
    shares = []
    for name in stores:
        it = load(name, stripe_url, seconds, in_flight)
        shares.append(it.ledger_ms / it.service_ms)
        print(
            f"{name:10}{it.per_s:>8.0f}{it.service_ms:>11.2f}{it.ledger_ms:>14.2f}{shares[-1]:>8.0%}"
            f"{it.database_ms:>10.2f}"
        )
    return max(shares)


def show_added(stores: list[str], stripe_url: str, seconds: float) -> None:
    """Print the second table."""
    bare = asyncio.run(with_plain_http(stripe_url, seconds, 1))
    print(f"\n{'one at a time':20}{'p50 ms':>9}{'p99 ms':>9}{'added p50':>11}{'added p99':>11}")
    print(f"{'four calls, HTTP':20}{percentile(bare, 0.5):>9.1f}{percentile(bare, 0.99):>9.1f}")
    for name in stores:
        with store(name) as (url, _), serving(stripe_url, url) as (_, address):
            took = asyncio.run(through_service(address, seconds, 1))
        p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
        added = p50 - percentile(bare, 0.5), p99 - percentile(bare, 0.99)
        print(f"{name:20}{p50:>9.1f}{p99:>9.1f}{added[0]:>11.1f}{added[1]:>11.1f}")


def show_slow(stores: list[str], stripe_url: str, seconds: float, levels: list[int], stripe_ms: int) -> None:
    """Print the third table: at 200 ms a call, four calls take at least 800."""
    seconds = max(seconds, stripe_ms / 1e3 * len(CALLS) * 3)
    heads = f"{'in flight':>10}{'op/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'added to the median':>21}"
    print(f"\n{f'{stripe_ms} ms a call':14}{heads}")
    for name in stores:
        with store(name) as (url, _), serving(stripe_url, url) as (_, address):
            for in_flight in levels:
                took = asyncio.run(through_service(address, seconds, in_flight))
                p50 = statistics.median(took)
                added = p50 / (len(CALLS) * stripe_ms) - 1
                rate = len(took) / seconds
                print(f"{name:14}{in_flight:>10}{rate:>8.0f}{p50:>9.0f}{percentile(took, 0.99):>9.0f}{added:>21.0%}")


def main() -> int:
    """Measure and print; exit 1 if a ledger takes more than 35 % of the service's CPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    parser.add_argument("--in-flight", type=int, default=64, help="operations at once in the first table")
    parser.add_argument("--store", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--slow", nargs="*", type=int, default=[50, 100, 200, 500], help="in flight at 200 ms a call")
    parser.add_argument(
        "--stripe-ms", type=int, default=200, help="how long Stripe takes for a call in the third table"
    )
    given = parser.parse_args()
    with ExitStack() as processes:
        _, port = processes.enter_context(process(sys.executable, str(HERE / "responder.py")))
        share = show_load(given.store, f"http://127.0.0.1:{port}", given.seconds, given.in_flight)
        show_added(given.store, f"http://127.0.0.1:{port}", given.seconds)
    if given.slow:
        with process(sys.executable, str(HERE / "responder.py"), str(given.stripe_ms / 1e3)) as (_, port):
            show_slow(given.store, f"http://127.0.0.1:{port}", given.seconds, given.slow, given.stripe_ms)
    return 0 if share <= 0.35 else 1


if __name__ == "__main__":
    sys.exit(main())
