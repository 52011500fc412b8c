from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger.migrations import known
from cloneservice_server.ledger.postgres import PostgresLedger, PostgresSettings
from cloneservice_server.ports import (
    Claim,
    EffectState,
    EffectTaken,
    Fenced,
    LedgerUnavailable,
    PutClone,
    SettleEffect,
    VoidEffect,
)

from tests.ledger_values import EXPIRED_S, LEASE_S, OTHER, OWNER, SUCCEEDED, begin, call, clone, new_effect, new_request
from tests.postgres_fixture import PostgresServer
from tests.virtual_clock import VirtualClock

EFFECT = "clone:acct_1:pm_1"
SETTLE = SettleEffect(EFFECT, 0, "pm_9", {"id": "pm_9"})
Trouble = Callable[[], Exception]


class TroubledConnection:
    """A connection that breaks on order, before or after the database has done what it was asked."""

    def __init__(self, real: Any, orders: list[tuple[str, Trouble]]) -> None:
        self._real = real
        self._orders = orders

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        when, trouble = self._orders.pop(0) if self._orders else ("never", ValueError)
        if when == "before":
            raise trouble()
        rows = await self._real.fetch(sql, *arguments)
        if when == "after":
            raise trouble()
        return rows


class TroubledLedger(PostgresLedger):
    """A ledger whose connections follow `orders`, one a statement."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, clock=VirtualClock())
        self.orders: list[tuple[str, Trouble]] = []
        self.refusals: list[Trouble] = []

    async def _connect(self) -> Any:
        if self.refusals:
            trouble = self.refusals.pop(0)
            raise trouble()
        return TroubledConnection(await super()._connect(), self.orders)


def broken() -> Exception:
    return ConnectionResetError("connection reset by peer")


@pytest.fixture
async def troubled(postgres_url: str) -> AsyncIterator[TroubledLedger]:
    ledger = TroubledLedger(postgres_url)
    await ledger.open()
    yield ledger
    assert not ledger.orders
    await ledger.aclose()


BREAKS = pytest.mark.parametrize(
    "orders",
    [
        [("before", broken)],
        [("after", broken)],
        [("after", broken), ("before", broken), ("after", broken)],
        [("after", lambda: asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"))],
        [("before", lambda: asyncpg.AdminShutdownError("terminating connection"))],
        [("before", lambda: asyncpg.DeadlockDetectedError("deadlock")), ("after", broken)],
        [("before", lambda: asyncpg.SerializationError("could not serialize"))],
        [("before", lambda: asyncpg.ReadOnlySQLTransactionError("a standby now"))],
    ],
    ids=["before", "after", "thrice", "closed", "shut down", "deadlock", "serialization", "demoted"],
)
Orders = list[tuple[str, Trouble]]


@BREAKS
async def test_a_request_is_inserted_once_and_its_inserter_knows_it(troubled: TroubledLedger, orders: Orders) -> None:
    troubled.orders[:] = orders
    row, inserted = await troubled.begin_request(new_request(), OWNER, LEASE_S)
    assert inserted
    assert row == await troubled.get_request("request-1")


@BREAKS
async def test_a_claim_is_made_once_and_its_claimer_knows_it(troubled: TroubledLedger, orders: Orders) -> None:
    await begin(troubled, lease_s=EXPIRED_S)
    troubled.orders[:] = orders
    row = await troubled.claim_request("request-1", OTHER, LEASE_S)
    assert row is not None
    assert row.attempts == 2


@BREAKS
async def test_due_requests_are_claimed_once_and_their_claimer_knows_it(
    troubled: TroubledLedger, orders: Orders
) -> None:
    for number in range(4):
        await begin(troubled, f"request-{number}", EXPIRED_S)
    troubled.orders[:] = orders
    due = await troubled.claim_due(OTHER, LEASE_S, 3)
    assert [(row.request_id, row.attempts) for row in due] == [("request-0", 2), ("request-1", 2), ("request-2", 2)]


@BREAKS
async def test_an_intent_and_the_outcome_before_it_are_written_once(troubled: TroubledLedger, orders: Orders) -> None:
    claim = await begin(troubled)
    await troubled.intend(claim, [], new_effect())
    troubled.orders[:] = orders
    row = await troubled.intend(claim, [SETTLE, PutClone(clone())], new_effect("next"))
    settled = await troubled.get_effect(EFFECT)
    assert settled is not None
    assert (row.effect_id, row.state, settled.state) == ("next", EffectState.INTENT, EffectState.DONE)


async def test_a_void_and_new_intent_of_several_statements_is_written_once(troubled: TroubledLedger) -> None:
    claim = await begin(troubled)
    await troubled.intend(claim, [], new_effect())
    troubled.orders[:] = [("after", broken), ("before", broken), ("never", broken), ("after", broken)]
    row = await troubled.intend(claim, [VoidEffect(EFFECT, 0)], new_effect(name="second"))
    assert (row.epoch, row.state, row.call) == (1, EffectState.INTENT, call("second"))


@BREAKS
async def test_an_answer_is_committed_once(troubled: TroubledLedger, orders: Orders) -> None:
    claim = await begin(troubled)
    await troubled.intend(claim, [], new_effect())
    troubled.orders[:] = orders
    await troubled.commit(claim, [SETTLE, PutClone(clone()), SUCCEEDED])
    row = await troubled.get_request("request-1")
    assert row is not None
    assert (row.state, row.result) == (RequestState.SUCCEEDED, SUCCEEDED.result)
    assert await troubled.get_clone("clone_1") == clone()


async def test_a_fenced_owner_is_told_so_even_when_its_first_answer_was_lost(troubled: TroubledLedger) -> None:
    claim = await begin(troubled, lease_s=EXPIRED_S)
    await troubled.claim_request("request-1", OTHER, LEASE_S)
    troubled.orders[:] = [("before", broken)]
    with pytest.raises(Fenced):
        await troubled.commit(claim, [SUCCEEDED])


async def test_a_write_for_no_request_whose_answer_was_lost_says_read_again(troubled: TroubledLedger) -> None:
    troubled.orders[:] = [("after", broken)]
    with pytest.raises(EffectTaken):
        await troubled.commit(None, [PutClone(clone())])
    assert await troubled.get_clone("clone_1") == clone()


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: asyncpg.DiskFullError("could not extend file"),
        lambda: asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    ],
    ids=["disk full", "statement timeout"],
)
async def test_what_retrying_at_once_would_not_cure_is_unavailable_and_passes(
    troubled: TroubledLedger, trouble: Trouble
) -> None:
    troubled.orders[:] = [("before", trouble)]
    with pytest.raises(LedgerUnavailable, match=str(trouble())[:20]):
        await troubled.begin_request(new_request(), OWNER, LEASE_S)
    assert await troubled.get_request("request-1") is None


async def test_a_database_that_stays_away_is_unavailable_after_the_patience_set(troubled: TroubledLedger) -> None:
    clock = troubled._clock
    before = clock.monotonic_s()
    troubled.orders[:] = [("before", broken)] * 30
    with pytest.raises(LedgerUnavailable, match="connection reset"):
        await troubled.ping()
    troubled.orders.clear()
    assert 5.0 <= clock.monotonic_s() - before < 6.0
    await troubled.ping()


async def test_a_server_without_a_free_connection_is_asked_again(troubled: TroubledLedger) -> None:
    full = lambda: asyncpg.TooManyConnectionsError("sorry, too many clients already")  # noqa: E731
    troubled._pool.discard_idle()
    troubled.refusals[:] = [full, full]
    await troubled.ping()
    assert not troubled.refusals

    troubled._pool.discard_idle()
    troubled.refusals[:] = [full] * 30
    with pytest.raises(LedgerUnavailable, match="too many clients"):
        await troubled.ping()
    troubled.refusals.clear()
    await troubled.ping()


async def test_callers_who_queued_too_long_for_a_connection_give_up_together(postgres_url: str) -> None:
    """Behind a database that does not answer they would otherwise give up one after the other."""
    clock = VirtualClock()
    ledger = PostgresLedger(postgres_url, clock=clock, settings=PostgresSettings(connections=1))
    await ledger.open()
    async with ledger._pool.connection(0):
        queued = [asyncio.create_task(ledger.ping()) for _ in range(5)]
        await asyncio.sleep(0)
        clock.advance(6.0)
        patient = asyncio.create_task(ledger.ping())
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*queued, return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"all 1 connections were in use for too long"}
    await patient
    await ledger.aclose()


async def test_a_bug_is_not_taken_for_an_outage(troubled: TroubledLedger) -> None:
    troubled.orders[:] = [("before", lambda: asyncpg.UndefinedColumnError("no such column"))]
    with pytest.raises(asyncpg.UndefinedColumnError):
        await troubled.ping()


@pytest.fixture
def restartable(postgres_server: PostgresServer) -> PostgresServer:
    if not postgres_server.can_restart:
        pytest.skip("DATABASE_URL's server is not ours to stop")
    return postgres_server


async def test_a_stopped_database_is_unavailable_and_a_started_one_works_again_by_itself(
    restartable: PostgresServer, postgres_url: str
) -> None:
    ledger = PostgresLedger(postgres_url, clock=VirtualClock())
    await ledger.open()
    claim = await begin(ledger)
    await asyncio.to_thread(restartable.stop)
    try:
        with pytest.raises(LedgerUnavailable):
            await ledger.ping()
        with pytest.raises(LedgerUnavailable):
            await ledger.get_request("request-1")
    finally:
        await asyncio.to_thread(restartable.start)
    await ledger.commit(claim, [SUCCEEDED])
    await ledger.aclose()


async def test_a_primary_that_became_a_standby_is_unavailable_until_there_is_a_primary_again(
    restartable: PostgresServer, postgres_url: str
) -> None:
    """What PostgreSQL answers after a fail-over: `cannot execute UPDATE in a read-only transaction`."""
    ledger = PostgresLedger(postgres_url, clock=VirtualClock())
    await ledger.open()
    claim = await begin(ledger)
    admin = await asyncpg.connect(postgres_url)

    async def demote(*, yes: bool) -> None:
        await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if yes else 'off'}")
        await admin.execute("SELECT pg_reload_conf()")
        shown = None
        while shown != (
            "on" if yes else "off"
        ):  # the server tells the sessions that are open before it takes a new one
            probe = await asyncpg.connect(postgres_url)
            shown = await probe.fetchval("SHOW transaction_read_only")
            await probe.close()

    await admin.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    try:
        await demote(yes=True)
        with pytest.raises(LedgerUnavailable, match=r"read-only|read-write"):
            await ledger.commit(claim, [SUCCEEDED])
    finally:
        await demote(yes=False)
    await ledger.commit(claim, [SUCCEEDED])
    await admin.close()
    await ledger.aclose()


class Wire:
    """A network between ledger and database that can swallow everything without closing a connection."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._flows: list[asyncio.Task[None]] = []
        self.intact = asyncio.Event()
        self.intact.set()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, in both directions."""
        from_server, to_server = await asyncio.open_unix_connection(self._socket)
        self._flows += [
            asyncio.create_task(self._flow(reader, to_server)),
            asyncio.create_task(self._flow(from_server, writer)),
        ]

    async def _flow(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self.intact.wait()
            target.write(data)
        target.close()

    async def cut(self) -> None:
        """End everything."""
        for flow in self._flows:
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)


async def test_a_network_that_swallows_everything_is_an_outage_and_not_a_hang(
    restartable: PostgresServer, postgres_url: str
) -> None:
    wire = Wire(f"{restartable.directory}/.s.PGSQL.5432")
    server = await asyncio.start_server(wire.join, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = postgres_url.partition("@/")[2].partition("?")[0]
    settings = PostgresSettings(
        connections=2, connect_timeout_s=0.2, statement_timeout_s=0.2, answer_grace_s=0.1, retry_for_s=0.3
    )
    ledger = PostgresLedger(
        f"postgresql://cloneservice@127.0.0.1:{port}/{database}", clock=SystemClock(), settings=settings
    )
    await ledger.open()
    claim = await begin(ledger)
    wire.intact.clear()
    outcomes = await asyncio.gather(*(ledger.commit(claim, [SUCCEEDED]) for _ in range(8)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {LedgerUnavailable}

    wire.intact.set()
    with contextlib.suppress(Fenced):  # what was swallowed may arrive after all, and be first
        await ledger.commit(claim, [SUCCEEDED])
    row = await ledger.get_request(claim.request_id)
    assert row is not None
    assert row.state is RequestState.SUCCEEDED
    await ledger.aclose()
    server.close()
    await wire.cut()


async def test_whatever_was_acknowledged_is_there_after_crashes_of_the_database_under_load(
    restartable: PostgresServer, postgres_url: str
) -> None:
    settings = PostgresSettings(retry_for_s=60.0)
    replicas = [PostgresLedger(postgres_url, clock=SystemClock(), settings=settings) for _ in range(2)]
    for replica in replicas:
        await replica.open()
    acknowledged: dict[str, str] = {}
    progress, over = asyncio.Semaphore(0), asyncio.Event()

    async def work(worker: int) -> None:
        ledger, number = replicas[worker % 2], 0
        while not over.is_set():
            number += 1
            name = f"{worker}-{number}"
            row, inserted = await ledger.begin_request(new_request(name), f"owner-{worker}", LEASE_S)
            assert inserted
            claim = Claim(name, row.fence)
            await ledger.intend(claim, [], new_effect(f"effect-{name}"))
            await ledger.commit(claim, [SettleEffect(f"effect-{name}", 0, f"pi_{name}", {}), SUCCEEDED])
            acknowledged[name] = f"pi_{name}"
            progress.release()

    async def crash_twice() -> None:
        for _ in range(2):
            for _ in range(60):
                await progress.acquire()
            await asyncio.to_thread(restartable.stop)
            await asyncio.to_thread(restartable.start)
        over.set()

    await asyncio.gather(crash_twice(), *(work(worker) for worker in range(16)))
    for name, stripe_id in acknowledged.items():
        row, effect = await replicas[0].get_request(name), await replicas[1].get_effect(f"effect-{name}")
        assert row is not None
        assert effect is not None
        assert (row.state, row.attempts, effect.stripe_id) == (RequestState.SUCCEEDED, 1, stripe_id)
    for replica in replicas:
        await replica.aclose()


async def test_a_row_locked_for_too_long_is_unavailable_and_not_waited_for_for_ever(postgres_url: str) -> None:
    settings = PostgresSettings(statement_timeout_s=0.2)
    ledger = PostgresLedger(postgres_url, clock=SystemClock(), settings=settings)
    await ledger.open()
    claim = await begin(ledger)
    other = await asyncpg.connect(postgres_url)
    async with other.transaction():
        await other.execute("SELECT 1 FROM request FOR UPDATE")
        with pytest.raises(LedgerUnavailable, match="statement timeout"):
            await ledger.commit(claim, [SUCCEEDED])
    await ledger.commit(claim, [SUCCEEDED])
    await other.close()
    await ledger.aclose()


async def test_replicas_that_start_together_migrate_once(postgres_url: str) -> None:
    replicas = [PostgresLedger(postgres_url, clock=SystemClock()) for _ in range(5)]
    await asyncio.gather(*(replica.open() for replica in replicas))
    raw = await asyncpg.connect(postgres_url)
    versions = [row["version"] for row in await raw.fetch("SELECT version FROM schema_version ORDER BY version")]
    assert versions == [step.version for step in known("postgres")]
    await raw.execute("INSERT INTO schema_version VALUES (9999, 'from_the_future', 0)")
    await raw.close()
    with pytest.raises(LedgerUnavailable, match=r"version 9999.*newer release"):
        await PostgresLedger(postgres_url, clock=SystemClock()).open()
    for replica in replicas:
        await replica.aclose()


async def test_a_cancelled_caller_leaves_the_connection_fit_for_the_next(postgres_url: str) -> None:
    settings = dataclasses.replace(PostgresSettings(), connections=1)
    ledger = PostgresLedger(postgres_url, clock=SystemClock(), settings=settings)
    await ledger.open()
    for number in range(20):
        task = asyncio.create_task(ledger.begin_request(new_request(f"request-{number}"), OWNER, LEASE_S))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await ledger.ping()
    await ledger.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://clerk:sesame@127.0.0.1:1/ledger",
        "postgresql://127.0.0.1:1/ledger?user=clerk&password=sesame",
        "postgresql://clerk:sesame@127.0.0.1:1/ledger?nonsense=sesame",
        "postgresql://clerk:open@sesame@127.0.0.1:1/ledger",
        "postgresql://clerk:open%40sesame@127.0.0.1:1/ledger?sslmode=verify-full&sslrootcert=sesame",
        "postgresql://clerk@127.0.0.1:1/ledger?sslmode=prefer&sslpassword=sesame",
        "postgresql://clerk:sesame@127.0.0.1:1/ledger?sslmode=sesame",
    ],
)
async def test_a_database_out_of_reach_is_named_without_its_password(url: str) -> None:
    ledger = PostgresLedger(url, clock=VirtualClock())
    with pytest.raises(LedgerUnavailable, match=r"127\.0\.0\.1:1/ledger") as caught:
        await ledger.open()
    told = "".join(traceback.format_exception(caught.value))
    assert "sesame" not in told.replace("sslrootcert=sesame", "")


async def test_a_closed_ledger_is_unavailable(postgres_url: str) -> None:
    ledger = PostgresLedger(postgres_url, clock=SystemClock())
    await ledger.open()
    await ledger.aclose()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.ping()
