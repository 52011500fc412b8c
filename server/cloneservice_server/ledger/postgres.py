"""The ledger in PostgreSQL, for any number of replicas."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

import asyncpg

from cloneservice_server.ledger import migrations
from cloneservice_server.ledger.migrations import SchemaTooNew
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.postgres_errors import Meaning, meaning
from cloneservice_server.ledger.postgres_pool import ConnectionPool
from cloneservice_server.ledger.postgres_statement import MISS_STATES, NOW, can_be_one, compose, render
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports import Clock, EffectTaken, Fenced, LedgerUnavailable

_MIGRATION_LOCK = 0x636C6F6E65  # "clone": one advisory lock id for all replicas


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How to use the database. Times in seconds."""

    connections: int = 10
    """At most so many per replica."""
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 10.0
    """The database gives up a statement after this, also one that waits for a row."""
    answer_grace_s: float = 2.0
    """A connection on which no answer comes for this much longer is given up: the network may swallow everything."""
    retry_for_s: float = 5.0
    """How long one transaction is tried again while the database is away or fails over."""
    backoff_s_max: float = 0.5
    read_only: bool = False
    """The database itself refuses every write."""


class PostgresLedger(SqlLedger):
    """`ports.Ledger` on PostgreSQL 12 or newer, READ COMMITTED; leases are on the database's clock.

    A transaction is one statement wherever it can be. Serialization failures and deadlocks are done again; after a
    broken connection the ledger looks whether its transaction had been committed before it does it again. When the
    database stays away for `retry_for_s`, LedgerUnavailable is raised; the next call connects anew.
    """

    def __init__(self, dsn: str, *, clock: Clock, settings: PostgresSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or PostgresSettings()
        self._dsn = dsn
        self._clock = clock
        self._pool = ConnectionPool(self._connect, self.settings.connections, self._clock)

    async def open(self) -> None:
        """Connect and migrate. Raises LedgerUnavailable with the reason."""
        self._pool = ConnectionPool(self._connect, self.settings.connections, self._clock)
        try:
            async with self._pool.connection(self._clock.monotonic_s()) as connection:
                await _migrate(connection)
        except SchemaTooNew as error:
            await self._pool.aclose()
            raise LedgerUnavailable(str(error)) from error
        except ValueError as error:  # asyncpg quotes the URL that it cannot read
            await self._pool.aclose()
            raise self._unavailable(error) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            await self._pool.aclose()
            raise self._unavailable(error) from error

    async def schema_versions(self) -> list[int]:
        """Versions of the schema that are applied, without opening or migrating. Raises LedgerUnavailable."""
        try:
            connection = await self._connect()
            try:
                return [row["version"] for row in await connection.fetch(migrations.SELECT_VERSIONS)]
            finally:
                await connection.close()
        except asyncpg.UndefinedTableError:
            return []
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
            raise self._unavailable(error) from None  # asyncpg quotes a URL that it cannot read

    def reader(self) -> PostgresLedger:
        """The same database through two connections that cannot write and do not wait for long; not to be opened."""
        settings = PostgresSettings(
            connections=2,
            connect_timeout_s=2.0,
            statement_timeout_s=2.0,
            answer_grace_s=1.0,
            retry_for_s=1.0,
            read_only=True,
        )
        return PostgresLedger(self._dsn, clock=self._clock, settings=settings)

    async def aclose(self) -> None:
        """Finish running transactions and close."""
        await self._pool.aclose()

    async def _connect(self) -> Any:
        settings = self.settings
        return await asyncpg.connect(
            self._dsn,
            timeout=settings.connect_timeout_s,
            command_timeout=settings.statement_timeout_s + settings.answer_grace_s,
            statement_cache_size=512,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
            target_session_attrs="primary" if settings.read_only else "read-write",
            server_settings={
                "application_name": "cloneservice",
                "statement_timeout": str(round(settings.statement_timeout_s * 1000)),
                "idle_in_transaction_session_timeout": str(round(settings.statement_timeout_s * 1000)),
                "default_transaction_isolation": "read committed",
                # Not "off" for the others: by the server's own setting an operator takes writes away.
                **({"default_transaction_read_only": "on"} if settings.read_only else {}),
                "jit": "off",  # all statements are short
            },
        )

    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT. Raises LedgerUnavailable."""
        return await self._persist([part], None)

    async def write(self, parts: Sequence[Part], proof: Part | None = None) -> Sequence[Row]:
        """Run the parts as one transaction, see SqlLedger."""
        return await self._persist(parts, proof)

    async def _persist(self, parts: Sequence[Part], proof: Part | None) -> Sequence[Row]:
        """Run the transaction until it is done, refused, or the database has been away for too long."""
        give_up_s = self._clock.monotonic_s() + self.settings.retry_for_s
        look_first = looked_again = False
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._pool.connection(give_up_s) as connection:
                    return await _run(connection, parts, proof if look_first else None)
            except (Fenced, EffectTaken) as miss:
                if not look_first or proof is None or looked_again:
                    raise miss from None
                looked_again = True  # the send we gave up may have been committed after we looked
            except Exception as error:
                match meaning(error):
                    case Meaning.BUG:
                        raise
                    case Meaning.UNAVAILABLE:
                        raise self._unavailable(error) from error
                    case Meaning.LOST:
                        look_first = True
                        self._pool.discard_idle()
                    case Meaning.AGAIN:
                        pass
                if self._clock.monotonic_s() >= give_up_s:
                    raise self._unavailable(error) from error
            longest = min(0.02 * 2**attempt, self.settings.backoff_s_max)
            await self._clock.sleep(longest * random.uniform(0.5, 1))

    def _unavailable(self, error: BaseException) -> LedgerUnavailable:
        """The error in words, without what is secret in the URL, which a message might quote."""
        reason = str(error) or type(error).__name__
        for secret in _secrets(self._dsn):
            reason = reason.replace(secret, "***")
        return LedgerUnavailable(f"PostgreSQL at {_shown(self._dsn)}: {reason}")


async def _run(connection: Any, parts: Sequence[Part], proof: Part | None) -> Sequence[Row]:
    """One attempt. Raises Fenced or EffectTaken, or what asyncpg raises."""
    try:
        return await _run_parts(connection, parts, proof)
    except asyncpg.PostgresError as error:
        if (miss := MISS_STATES.get(error.sqlstate)) is not None:
            raise miss from error
        if meaning(error) is Meaning.TAKEN:
            raise EffectTaken(getattr(error, "constraint_name", None) or "") from error
        raise


async def _run_parts(connection: Any, parts: Sequence[Part], proof: Part | None) -> Sequence[Row]:
    if proof is not None and (proven := await connection.fetch(render(proof.sql), *proof.args)):
        return list(proven)
    if len(parts) == 1:
        return await _run_part(connection, parts[0])
    if can_be_one(parts):
        sql, args = compose(parts)
        found = await connection.fetch(sql, *args)
        return [] if parts[-1].miss is not None or _is_blank(found[0]) else list(found)
    async with connection.transaction():
        rows: Sequence[Row] = []
        for part in parts:
            rows = await _run_part(connection, part)
    return rows


async def _run_part(connection: Any, part: Part) -> Sequence[Row]:
    rows = list(await connection.fetch(render(part.sql), *part.args))
    if part.miss is not None and not rows:
        raise part.miss
    return rows


def _is_blank(record: Any) -> bool:
    """Whether the outer join found no row of the last part: its first column, a key, is null."""
    return record[1] is None


async def _migrate(connection: Any) -> None:
    """Bring the schema up to date in one transaction; replicas that start together wait for each other."""
    if connection.get_server_version() < (12,):
        raise ValueError("PostgreSQL 12 or newer is needed")
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATION_LOCK)
        await connection.execute(migrations.CREATE_VERSIONS)
        applied = {row["version"] for row in await connection.fetch(migrations.SELECT_VERSIONS)}
        for migration in migrations.pending("postgres", applied):
            await connection.execute(migration.sql)
            await connection.execute(
                f"INSERT INTO schema_version (version, name, applied_time_us) VALUES ($1, $2, {NOW})",  # noqa: S608 - NOW is ours
                migration.version,
                migration.name,
            )


def _shown(dsn: str) -> str:
    """The URL without user, password and parameters."""
    address = dsn.partition("://")[2].partition("?")[0]
    return address.rpartition("@")[2] or "its default address"  # a password may hold an @ that should be %40


def _secrets(dsn: str) -> set[str]:
    """What is secret in the URL, as it is written there and decoded."""
    address, _, query = dsn.partition("://")[2].partition("?")
    raw = [address.rpartition("@")[0].partition(":")[2]]
    raw += [value for name, _, value in (pair.partition("=") for pair in query.split("&")) if name.endswith("password")]
    return {text for value in raw for text in (value, unquote(value), unquote_plus(value)) if text}
