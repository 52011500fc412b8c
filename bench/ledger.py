"""What the ledger costs: one request is an insert and an update (its answer), both durable before the next step.

    python bench/ledger.py [--seconds 2] [--store sqlite postgres] [--saga]

`--saga` measures a whole first charge instead: begin, five intents each with the outcome of the one before, and the
last outcome together with the answer. CPU is this process's own (writer thread included, database server not), fsync
is on, and PostgreSQL is started here on a Unix socket. Read the ratios; absolute times are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "server"), str(ROOT)]

from cloneservice_server.clock import SystemClock  # noqa: E402 - the path is set above
from cloneservice_server.domain.values import RequestState  # noqa: E402
from cloneservice_server.ledger import SqlLedger, open_ledger  # noqa: E402
from cloneservice_server.ports import Claim, FinishRequest, NewEffect, NewRequest, SettleEffect, StripeCall  # noqa: E402

from tests.postgres_fixture import PostgresServer, find_binaries  # noqa: E402

COMMAND = '{"charge":{"amount":{"currency_code":"USD","minor_units":1099}},"padding":"' + "x" * 300 + '"}'
RESULT = '{"charge":{"state":"succeeded"},"padding":"' + "y" * 600 + '"}'
CALL = StripeCall("POST", "/v1/payment_intents", "acct_1", {"amount": 1099, "metadata": {"a": "b" * 100}})
Operation = Callable[[SqlLedger, str], Awaitable[int]]


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    store: str
    in_flight: int
    per_s: float
    cpu_us: float
    median_ms: float


async def insert_and_update(ledger: SqlLedger, name: str) -> int:
    """The shape of facts: two commits."""
    row, _ = await ledger.begin_request(NewRequest(name, "CreateCharge", "0" * 64, COMMAND), "bench", 30.0)
    await ledger.commit(Claim(name, row.fence), [FinishRequest(RequestState.SUCCEEDED, result=RESULT)])
    return 2


async def saga(ledger: SqlLedger, name: str) -> int:
    """A first charge: clone, customer, attach, intent, confirm."""
    row, _ = await ledger.begin_request(NewRequest(name, "CloneAndCharge", "0" * 64, COMMAND), "bench", 30.0)
    claim = Claim(name, row.fence)
    writes: list[SettleEffect] = []
    for kind in ("clone", "customer", "attach", "intent", "confirm"):
        effect = f"{kind}:{name}"
        await ledger.intend(claim, writes, NewEffect(effect, kind, CALL))
        writes = [SettleEffect(effect, 0, "pi_1", {"id": "pi_1", "status": "succeeded"})]
    await ledger.commit(claim, [*writes, FinishRequest(RequestState.SUCCEEDED, result=RESULT)])
    return 7


async def measure(store: str, ledger: SqlLedger, operation: Operation, in_flight: int, seconds: float) -> Figure:
    """Run `in_flight` workers for `seconds`."""
    latencies: list[float] = []
    run_id, commits = uuid.uuid4().hex[:8], 0
    end = time.perf_counter() + seconds

    async def work(worker: int) -> None:
        nonlocal commits
        number = 0
        while (begun := time.perf_counter()) < end:
            number += 1
            written = await operation(ledger, f"{run_id}-{worker}-{number}")
            commits += written
            latencies.append(time.perf_counter() - begun)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work(worker) for worker in range(in_flight)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    median = sorted(latencies)[len(latencies) // 2] * 1000
    return Figure(store, in_flight, commits / wall, cpu / commits * 1e6, median)


@asynccontextmanager
async def opened(store: str, directory: str) -> AsyncIterator[SqlLedger]:
    """An empty ledger with everything durable."""
    server: PostgresServer | None = None
    url = f"sqlite:///{directory}/ledger.db"
    if store == "postgres":
        binaries = find_binaries()
        if binaries is None:
            raise SystemExit("no PostgreSQL on this machine: use --store sqlite")
        server = PostgresServer(binaries, {"listen_addresses": "", "fsync": "on", "max_connections": "50"})
        await asyncio.to_thread(server.create)
        url = await asyncio.to_thread(server.new_database)
    ledger = open_ledger(url, SystemClock())
    try:
        await ledger.open()
        yield ledger
        await ledger.aclose()
    finally:
        if server is not None:
            await asyncio.to_thread(server.remove)


async def run(stores: list[str], operation: Operation, seconds: float) -> None:
    print(operation.__name__)
    print(f"{'store':>10} {'in flight':>10} {'commits/s':>10} {'CPU us/commit':>14} {'median ms':>10}")
    for store in stores:
        with tempfile.TemporaryDirectory() as directory:
            async with opened(store, directory) as ledger:
                for in_flight in (1, 64):
                    await measure(store, ledger, operation, in_flight, 0.3)  # statements prepared, pages cached
                    figure = await measure(store, ledger, operation, in_flight, seconds)
                    print(
                        f"{figure.store:>10} {figure.in_flight:>10} "
                        f"{figure.per_s:>10.0f} {figure.cpu_us:>14.0f} {figure.median_ms:>10.2f}"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--store", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--saga", action="store_true", help="a whole first charge instead of an insert and an update")
    given = parser.parse_args()
    operation = saga if given.saga else insert_and_update
    uvloop.run(run(given.store, operation, given.seconds))


if __name__ == "__main__":
    main()
