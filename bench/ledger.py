"""What the ledger costs: one request is an insert and an update (its answer), both durable before the next step.

    python -m bench.ledger [--seconds 2] [--store sqlite postgres] [--rows 100 10000 1000000] [--json]

First the bare shape (two commits), then a whole first charge: begin, five intents each with the outcome of the one
before, and the last outcome together with the answer. Then growth: what the engine asks of its ledger for a first
charge, done alone, in ledgers that already hold so many rows (all tables together).
CPU is this process's own (writer thread included, database server not), fsync is on, and PostgreSQL is started here on
a Unix socket. Read the ratios; absolute times are this machine's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
import uuid
from argparse import Namespace
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "server"), str(ROOT)]

from cloneservice_server.clock import SystemClock  # noqa: E402 - the path is set above
from cloneservice_server.domain.values import RequestState  # noqa: E402
from cloneservice_server.ledger import SqlLedger, open_ledger  # noqa: E402
from cloneservice_server.ports import Claim, FinishRequest, NewEffect, NewRequest, SettleEffect, StripeCall  # noqa: E402

from bench.measure import percentile, spread, timed  # noqa: E402
from bench.report import Column, Report, Table, Value, arguments  # noqa: E402
from bench.saga_ledgers import record, replay, run_saga  # noqa: E402
from bench.stores import NAMES, Stores, here  # noqa: E402
from tests.working_stripe import WorkingStripe  # noqa: E402

COMMAND = '{"charge":{"amount":{"currency_code":"USD","minor_units":1099}},"padding":"' + "x" * 300 + '"}'
RESULT = '{"charge":{"state":"succeeded"},"padding":"' + "y" * 600 + '"}'
CALL = StripeCall("POST", "/v1/payment_intents", "acct_1", {"amount": 1099, "metadata": {"a": "b" * 100}})
Operation = Callable[[SqlLedger, str], Awaitable[int]]


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

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


async def measure(ledger: SqlLedger, operation: Operation, in_flight: int, seconds: float) -> Figure:
    """Run `in_flight` workers for `seconds`."""
    commits = 0

    async def one() -> None:
        nonlocal commits
        made = await operation(ledger, uuid.uuid4().hex)
        commits += made

    cpu, wall = time.process_time(), time.perf_counter()
    took = await timed(one, seconds, in_flight)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Figure(commits / wall, cpu / commits * 1e6, percentile(took, 0.5))


async def shapes(url: str, name: str, seconds: float) -> list[dict[str, Value]]:
    """Both shapes, alone and 64 at once."""
    rows: list[dict[str, Value]] = []
    ledger = open_ledger(url, SystemClock())
    await ledger.open()
    for operation, shape in ((insert_and_update, "insert and update"), (saga, "first charge")):
        for in_flight in (1, 64):
            await measure(ledger, operation, in_flight, min(0.3, seconds))  # statements prepared, pages cached
            it = await measure(ledger, operation, in_flight, seconds)
            figures = {"per_s": it.per_s, "cpu": it.cpu_us, "median": it.median_ms}
            rows.append({"case": NAMES[name], "shape": shape, "in_flight": in_flight, **figures})
    await ledger.aclose()
    return rows


ROWS_OF_A_SAGA = 8
"""Request, four effects, clone, charge, connected customer."""


async def fill(url: str, more: int) -> None:
    """Run first charges until about `more` rows are there."""
    ledger = open_ledger(url, SystemClock())
    await ledger.open()
    left = iter(range(more // ROWS_OF_A_SAGA))

    async def worker() -> None:
        for _ in left:
            await run_saga(ledger, WorkingStripe())

    await asyncio.gather(*(worker() for _ in range(64)))
    await ledger.aclose()


WARM = 50
"""First charges that go before each measurement: statements are prepared, pages read."""
TABLES = ("request", "effect", "clone", "charge", "connected_customer")


async def multiply(url: str, times: int) -> None:
    """Add `times` duplicates of each row, under ids of their own: as first charges would, in a tenth of the time.

    The ids sort beside those they come from; those of later first charges fall anywhere between them, as always.
    """
    tag = uuid.uuid4().hex[:8]
    for table in TABLES:
        names = await columns(url, table)
        made = ", ".join(f"{name} || '~{tag}' || n" if name.endswith("_id") else name for name in names)
        some = f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {times})"
        await sql(url, f"{some} INSERT INTO {table} ({', '.join(names)}) SELECT {made} FROM {table}, s")


async def columns(url: str, table: str) -> list[str]:
    """The names of a table's columns."""
    asked = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'"
    if url.startswith("sqlite"):
        asked = f"SELECT name FROM pragma_table_info('{table}')"
    return [name for (name,) in await sql(url, asked)]


async def sql(url: str, statement: str) -> list[Any]:
    """Run one statement past the ledger, which must be closed."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            return connection.execute(statement).fetchall()
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def held(url: str) -> int:
    """Rows of all tables."""
    return sum([(await sql(url, f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES])


async def grow(url: str, size: int) -> None:
    """Bring a ledger that nobody has open to about `size` rows: by first charges up to 1,000, then by multiplying."""
    await fill(url, 0)  # the schema
    await fill(url, min(size, 1_000) - await held(url))
    if (times := size // await held(url) - 1) > 0:
        await multiply(url, times)
    await fill(url, size - await held(url))


def growth(report: Report, stores: Stores, given: Namespace) -> None:
    """CPU of a first charge in the ledger, by the rows that are there."""
    rows: list[dict[str, Value]] = [{"case": size} for size in given.rows]
    for name in given.store:
        costs = []
        with stores.empty(name) as (url, _):
            for row, size in zip(rows, given.rows, strict=True):
                uvloop.run(grow(url, size))
                sagas = min(given.sagas, max(100, size // 40))
                rounds = [uvloop.run(replay(url, asyncio.run(record(sagas + WARM)), 64, WARM)) for _ in range(3)]
                row[name] = spread(rounds)
                costs.append(min(rounds))
        report.ratios[f"ledger, most rows / fewest, {NAMES[name]}"] = costs[-1] / costs[0]
    columns = [Column("case", "rows held at first")]
    columns += [Column(name, f"{NAMES[name]}, CPU ms", 3) for name in given.store]
    report.table(Table("ledger_growth", "A first charge in the ledger alone, by what it holds", columns, rows))


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--store", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--rows", nargs="*", type=int, default=[100, 1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--sagas", type=int, default=1_000, help="first charges of each measurement of growth")
    given = parser.parse_args()
    report = Report(given.json)
    given.store = here(given.store, report)
    columns = [
        Column("case", "ledger"),
        Column("shape", "what"),
        Column("in_flight", "in flight"),
        Column("per_s", "commits a second"),
        Column("cpu", "CPU a commit, us"),
        Column("median", "median, ms", 2),
    ]
    with Stores() as stores:
        rows = []
        for name in given.store:
            with stores.empty(name) as (url, _):
                rows += uvloop.run(shapes(url, name, given.seconds))
        report.table(Table("ledger", "The ledger alone", columns, rows))
        if given.rows:
            growth(report, stores, given)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
