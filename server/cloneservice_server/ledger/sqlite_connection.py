"""One SQLite connection: opening, migrating, and running a batch of transactions under one commit."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from cloneservice_server.ledger import migrations
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ports import Clock, EffectTaken, LedgerUnavailable

_OLDEST = (3, 35, 0)  # RETURNING
_STATEMENTS_KEPT = 256
_ARGUMENT = re.compile(r"\$(\d+)")

# What one transaction brings on itself; any other error of SQLite (full disk, I/O, lock, corruption) concerns all.
_OWN_ERRORS = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    }
)

Outcome = Sequence[Row] | Exception
"""The rows of a transaction's last part, or why it was undone."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is to be done together. `reads` promises that no part writes."""

    parts: tuple[Part, ...]
    reads: bool = False


@lru_cache(maxsize=512)
def rendered(sql: str) -> str:
    """A part's statement in SQLite's words."""
    filled = sql.replace("{after}", "true").replace("{now}", "cloneservice_now_us()").replace("{skip_locked}", "")
    return _ARGUMENT.sub(r"?\1", filled)


class SqliteConnection:
    """Not safe for threads: it lives in the one that opened it.

    SQLite before 3.51.3 can corrupt a file in WAL mode when two connections write or checkpoint at once (the WAL-reset
    bug). A ledger therefore has one connection, and everything, reads too, goes through it; what reads beside it (a
    backup, the admin page) opens the file read-only, and can do neither.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        """Open or create. Raises sqlite3.Error."""
        if sqlite3.sqlite_version_info < _OLDEST:
            raise sqlite3.NotSupportedError(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed")
        self._clock = clock
        self._now_us = 0
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=_STATEMENTS_KEPT)
        try:
            self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def _set_up(self) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.create_function("cloneservice_now_us", 0, lambda: self._now_us)
        for pragma in (
            "busy_timeout = 5000",
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",  # macOS: fsync alone does not reach the disk there
            "checkpoint_fullfsync = ON",
            "journal_size_limit = 67108864",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    def execute(self, sql: str) -> list[Row]:
        """Run one plain statement (a pragma, a check)."""
        with closing(self._connection.execute(sql)) as cursor:
            return list(cursor.fetchall())

    def migrate(self) -> None:
        """Bring the schema up to date, each migration in its own transaction. Raises SchemaTooNew."""
        self.execute(migrations.CREATE_VERSIONS)
        applied = {row["version"] for row in self.execute(migrations.SELECT_VERSIONS)}
        for migration in migrations.pending("sqlite", applied):
            self.execute("BEGIN IMMEDIATE")
            try:
                for statement in _statements_of(migration.sql):
                    self.execute(statement)
                self._connection.execute(
                    "INSERT INTO schema_version (version, name, applied_time_us) VALUES (?, ?, ?)",
                    (migration.version, migration.name, self._clock.now_us()),
                ).close()
                self.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def run(self, batch: Sequence[Transaction]) -> list[Outcome]:
        """Run all transactions in one commit; one that fails is undone alone.

        When the commit or the file fails, everything is undone and every write is answered with LedgerUnavailable;
        reads are then run again by themselves, since they may have seen what was undone.
        """
        try:
            return self._run_together(batch)
        except sqlite3.Error as error:
            self._roll_back()
            reason = f"SQLite: {error}"
        except BaseException:
            self._roll_back()
            raise
        return [
            self._read_alone(transaction) if transaction.reads else LedgerUnavailable(reason) for transaction in batch
        ]

    def close(self) -> None:
        """Checkpoint and close."""
        self._connection.close()

    def _run_together(self, batch: Sequence[Transaction]) -> list[Outcome]:
        if all(transaction.reads for transaction in batch):
            return [self._attempt(transaction) for transaction in batch]
        self.execute("BEGIN IMMEDIATE")
        outcomes = [self._attempt(transaction) for transaction in batch]
        if any(isinstance(outcome, Exception) for outcome in outcomes):
            # Rare (a lost race), so nothing is paid for it in advance: begin again, each transaction undoable alone.
            self.execute("ROLLBACK")
            self.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(item) if item.reads else self._attempt_undoable(item) for item in batch]
        self.execute("COMMIT")
        return outcomes

    def _attempt_undoable(self, transaction: Transaction) -> Outcome:
        self.execute("SAVEPOINT one")
        outcome = self._attempt(transaction)
        if isinstance(outcome, Exception):
            self.execute("ROLLBACK TO one")
        self.execute("RELEASE one")
        return outcome

    def _attempt(self, transaction: Transaction) -> Outcome:
        """The rows, or the transaction's own error; raises the errors that concern the whole batch."""
        self._now_us = self._clock.now_us()
        found: list[Row] = []
        try:
            for part in transaction.parts:
                with closing(self._connection.execute(rendered(part.sql), part.args)) as cursor:
                    found = list(cursor.fetchall())
                if part.miss is not None and not found:
                    return part.miss()
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
                return EffectTaken(str(error))
            return error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)  # absent when Python itself objects
            if code & 0xFF not in _OWN_ERRORS:
                raise
            return error
        except (OverflowError, ValueError) as error:  # a value that SQLite cannot hold
            return error
        return found

    def _read_alone(self, transaction: Transaction) -> Outcome:
        try:
            return self._attempt(transaction)
        except sqlite3.Error as error:
            return LedgerUnavailable(f"SQLite: {error}")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self.execute("ROLLBACK")
            except sqlite3.Error:
                # SQLite rolls back by itself on some errors; what it could not undo is not committed either.
                return


def _statements_of(script: str) -> list[str]:
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
