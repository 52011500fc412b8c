from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import SqliteLedger, open_ledger
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.sqlite_connection import Outcome, SqliteConnection, Transaction
from cloneservice_server.ports import (
    Clock,
    EffectTaken,
    Fenced,
    LedgerUnavailable,
    PutClone,
    PutPlatformCustomer,
    SettleEffect,
)

from tests.ledger_values import LEASE_S, OTHER, OWNER, SUCCEEDED, begin, clone, customer, new_effect, new_request
from tests.virtual_clock import VirtualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(str(path), clock=SystemClock())
    await ledger.open()
    yield ledger
    await ledger.aclose()


class GatedConnection(SqliteConnection):
    """Notes the size of each batch; once `gate` is set, waits for it before the next one."""

    gate: threading.Event | None = None
    waiting: threading.Event
    sizes: list[int]

    def __init__(self, path: str, clock: Clock) -> None:
        super().__init__(path, clock)
        self.sizes = []
        self.waiting = threading.Event()

    def run(self, batch: Sequence[Transaction]) -> list[Outcome]:
        self.sizes.append(len(batch))
        gate, self.gate = self.gate, None
        if gate is not None:
            self.waiting.set()
            gate.wait(10)
        return super().run(batch)


@pytest.fixture
async def gated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[SqliteLedger, GatedConnection, threading.Event]]:
    """A ledger whose writer is held at the gate, busy with a ping, while others queue up."""
    made: list[GatedConnection] = []

    def make(path: str, clock: Clock) -> GatedConnection:
        made.append(GatedConnection(path, clock))
        return made[-1]

    monkeypatch.setattr("cloneservice_server.ledger.sqlite.SqliteConnection", make)
    ledger = SqliteLedger(str(path), clock=SystemClock())
    await ledger.open()
    gate = threading.Event()
    made[0].sizes.clear()
    made[0].gate = gate
    ping = asyncio.create_task(ledger.ping())
    await asyncio.to_thread(made[0].waiting.wait, 10)
    yield ledger, made[0], gate
    gate.set()
    await ping
    await ledger.aclose()


async def queued(*works: object) -> list[asyncio.Task[object]]:
    """Tasks that have all put their transaction into the queue."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return tasks


async def test_transactions_that_wait_together_share_one_commit(
    gated: tuple[SqliteLedger, GatedConnection, threading.Event],
) -> None:
    ledger, connection, gate = gated
    tasks = await queued(*(ledger.begin_request(new_request(f"request-{n}"), OWNER, LEASE_S) for n in range(50)))
    gate.set()
    await asyncio.gather(*tasks)
    assert connection.sizes == [1, 50]
    assert all([await ledger.get_request(f"request-{n}") for n in range(50)])


async def test_a_transaction_that_fails_undoes_only_itself(
    gated: tuple[SqliteLedger, GatedConnection, threading.Event],
) -> None:
    ledger, connection, gate = gated
    tasks = await queued(
        ledger.commit(None, [PutClone(clone("before"))]),
        ledger.commit(None, [PutClone(clone("undone")), PutClone(clone("unborn", version=7))]),
        ledger.commit(None, [PutPlatformCustomer(customer("cus_1", "shopper")), PutClone(clone("middle"))]),
        ledger.commit(None, [PutClone(clone("refused")), PutPlatformCustomer(customer("cus_2", "shopper"))]),
        ledger.commit(None, [PutClone(clone("after"))]),
    )
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert connection.sizes == [1, 5]
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        EffectTaken,
        type(None),
        EffectTaken,
        type(None),
    ]
    found = {name: await ledger.get_clone(name) for name in ("before", "undone", "middle", "refused", "after")}
    assert {name for name, row in found.items() if row} == {"before", "middle", "after"}


async def test_a_transaction_whose_caller_has_gone_is_not_begun(
    gated: tuple[SqliteLedger, GatedConnection, threading.Event],
) -> None:
    ledger, _, gate = gated
    gone, stays = await queued(
        ledger.commit(None, [PutClone(clone("gone"))]), ledger.commit(None, [PutClone(clone("stays"))])
    )
    gone.cancel()
    gate.set()
    await stays
    assert await ledger.get_clone("gone") is None
    assert await ledger.get_clone("stays") is not None


async def test_closing_finishes_what_is_queued_and_refuses_what_comes_later(
    gated: tuple[SqliteLedger, GatedConnection, threading.Event], path: Path
) -> None:
    ledger, _, gate = gated
    tasks = await queued(*(ledger.commit(None, [PutClone(clone(f"clone_{n}"))]) for n in range(20)))
    closing = asyncio.create_task(ledger.aclose())
    await asyncio.sleep(0)
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.get_clone("clone_1")
    gate.set()
    await asyncio.gather(*tasks, closing)
    again = SqliteLedger(str(path), clock=SystemClock())
    await again.open()
    assert all([await again.get_clone(f"clone_{n}") for n in range(20)])
    await again.aclose()


async def pages(ledger: SqliteLedger, limit: int | None = None) -> int:
    """Set how many pages the file may have (None: as many as it has now); SQLite then says the disk is full."""
    if limit is None:
        limit = (await ledger.read(Part("PRAGMA page_count")))[0]["page_count"]
    return int((await ledger.read(Part(f"PRAGMA max_page_count = {limit}")))[0]["max_page_count"])


async def fill(ledger: SqliteLedger) -> list[str]:
    """Insert until the ledger cannot be written any more; the ids that were acknowledged."""
    acknowledged: list[str] = []
    for number in range(1000):
        try:
            row, _ = await ledger.begin_request(new_request(f"filler-{number}", command="x" * 500), OWNER, LEASE_S)
        except LedgerUnavailable:
            return acknowledged
        acknowledged.append(row.request_id)
    raise AssertionError("the limit was never reached")


async def test_on_a_full_disk_writes_fail_whole_reads_go_on_and_room_ends_it(ledger: SqliteLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    await pages(ledger)
    acknowledged = await fill(ledger)
    big = {"note": "y" * 20_000}
    with pytest.raises(LedgerUnavailable, match="full"):
        await ledger.commit(claim, [SettleEffect("clone:acct_1:pm_1", 0, "pm_9", big), SUCCEEDED])
    row, effect = await ledger.get_request("request-1"), await ledger.get_effect("clone:acct_1:pm_1")
    assert row is not None
    assert effect is not None
    assert (row.state, effect.stripe_id) == (RequestState.RUNNING, "")
    assert all([await ledger.get_request(name) for name in acknowledged])
    await pages(ledger, 1_000_000)
    await ledger.commit(claim, [SettleEffect("clone:acct_1:pm_1", 0, "pm_9", big), SUCCEEDED])
    assert (await ledger.read(Part("PRAGMA integrity_check")))[0]["integrity_check"] == "ok"


def test_a_full_disk_undoes_the_whole_batch_and_tells_no_writer_of_success_but_answers_readers(path: Path) -> None:
    connection = SqliteConnection(str(path), SystemClock())
    connection.migrate()
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count')[0]['page_count']}")
    put = "INSERT INTO meta (name, value) SELECT $1, $2 RETURNING value"
    seen = Transaction((Part("SELECT count(*) AS rows FROM meta"),), reads=True)
    batch = [
        Transaction((Part(put, ("small", "x")),)),
        seen,
        Transaction((Part(put, ("big", "x" * 100_000)),)),
        Transaction((Part(put, ("later", "x")),)),
    ]
    outcomes = connection.run(batch)
    assert [isinstance(outcome, LedgerUnavailable) for outcome in outcomes] == [True, False, True, True]
    read = outcomes[1]
    assert not isinstance(read, Exception)
    assert read[0]["rows"] == 0
    alone = connection.run([Transaction((Part(put, ("small", "x")),))])[0]
    assert not isinstance(alone, Exception)
    connection.close()


async def test_a_second_ledger_on_the_same_file_is_refused_and_told_what_to_do(
    ledger: SqliteLedger, path: Path
) -> None:
    with pytest.raises(LedgerUnavailable, match=r"open in another process.*PostgreSQL"):
        await SqliteLedger(str(path), clock=SystemClock()).open()
    await ledger.ping()


def test_another_process_is_refused_until_the_first_one_ends(path: Path) -> None:
    held = (
        "import asyncio, sys; from cloneservice_server.ledger import open_ledger;"
        "from cloneservice_server.clock import SystemClock;"
        "asyncio.run(open_ledger('sqlite:///' + sys.argv[1], SystemClock()).open());"
        "print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", held, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": "server"},
        cwd=Path(__file__).parents[2],
        text=True,
    )

    async def open_and_close() -> None:
        ledger = SqliteLedger(str(path), clock=SystemClock())
        await ledger.open()
        await ledger.aclose()

    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(LedgerUnavailable, match="another process"):
            asyncio.run(open_and_close())
        process.kill()
    asyncio.run(open_and_close())


async def test_the_injected_clock_owns_times_and_leases() -> None:
    clock = VirtualClock(1_000.0)
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    claim = await begin(ledger, lease_s=30.0)
    clock.advance(29.9)
    assert await ledger.claim_request("request-1", OTHER, 30.0) is None
    assert await ledger.renew(OWNER, [claim], 30.0) == set()
    clock.advance(29.9)
    assert await ledger.claim_due(OTHER, 30.0, 10) == []
    clock.advance(0.1)
    due = await ledger.claim_due(OTHER, 30.0, 10)
    assert [(row.create_time_us, row.lease_until_us) for row in due] == [(1_000_000_000, 1_089_900_000)]
    with pytest.raises(Fenced):
        await ledger.commit(claim, [])
    await ledger.aclose()


async def test_a_restart_finds_everything_and_waits_for_no_lease_of_the_dead(path: Path) -> None:
    first = open_ledger(f"sqlite:///{path}", SystemClock())
    await first.open()
    claim = await begin(first)
    effect = await first.intend(claim, [PutClone(clone())], new_effect())
    await first.aclose()
    second = open_ledger(f"sqlite:///{path}", SystemClock())
    await second.open()
    assert await second.get_effect(effect.effect_id) == effect
    assert await second.get_clone("clone_1") == clone()
    assert [row.attempts for row in await second.claim_due(OTHER, LEASE_S, 10)] == [2]
    await second.aclose()


async def test_what_cannot_be_opened_is_unavailable_with_its_path_and_reason(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is a text and no database, long enough to be read as a header" * 20)
    (tmp_path / "folder").mkdir()
    for name in ("text.db", "folder", "missing/ledger.db"):
        ledger = SqliteLedger(str(tmp_path / name), clock=SystemClock())
        with pytest.raises(LedgerUnavailable, match=name):
            await ledger.open()


async def test_every_transaction_is_synced_to_a_write_ahead_log(ledger: SqliteLedger, path: Path) -> None:
    settings = {name: (await ledger.read(Part(f"PRAGMA {name}")))[0][name] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as reader:
        assert reader.execute("SELECT count(*) FROM request").fetchone() == (0,)
    reader.close()


async def test_a_value_that_does_not_fit_is_its_callers_error_alone(ledger: SqliteLedger) -> None:
    with pytest.raises(OverflowError):
        await ledger.commit(None, [PutClone(clone(create_time_us=2**70))])
    await ledger.ping()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:ledger.db", "mysql://host/db", "ledger.db", ""])
def test_a_url_that_names_no_ledger_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ledger"):
        open_ledger(url, SystemClock())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/ledger.db", "data/ledger.db"),
        ("sqlite:////var/lib/ledger.db", "/var/lib/ledger.db"),
        ("sqlite://:memory:", ":memory:"),
        ("sqlite:///:memory:", ":memory:"),
    ],
)
def test_a_sqlite_url_has_three_slashes_before_a_relative_path_and_four_before_an_absolute(url: str, path: str) -> None:
    ledger = open_ledger(url, SystemClock())
    assert isinstance(ledger, SqliteLedger)
    assert ledger.path == path


async def test_reads_and_writes_go_through_one_connection(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite before 3.51.3 can damage a file in WAL mode when two connections write or checkpoint (WAL-reset)."""
    connect, made = sqlite3.connect, []

    def counting(*arguments: object, **named: object) -> sqlite3.Connection:
        made.append(arguments)
        return connect(*arguments, **named)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", counting)
    ledger = SqliteLedger(str(path), clock=SystemClock())
    await ledger.open()
    await asyncio.gather(*(begin(ledger, f"request-{number}") for number in range(50)), ledger.ping())
    await asyncio.gather(*(ledger.get_request(f"request-{number}") for number in range(50)))
    await ledger.prune(0.0)
    await ledger.aclose()
    assert len(made) == 1
