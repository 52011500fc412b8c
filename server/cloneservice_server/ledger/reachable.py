"""Whether a ledger can be used, found out without changing it: for a check before a rollout."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cloneservice_server.ledger import migrations
from cloneservice_server.ledger.migrations import SchemaTooNew
from cloneservice_server.ledger.sqlite import MEMORY, SqliteLedger
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports import LedgerUnavailable


async def examine(ledger: SqlLedger) -> str:
    """What is there, in words; the server brings the schema up to date when it starts. Raises LedgerUnavailable."""
    try:
        if isinstance(ledger, SqliteLedger):
            return await asyncio.to_thread(_examine_sqlite, ledger.path)
        return _said("postgres", await _postgres_versions(ledger))
    except SchemaTooNew as wrong:
        raise LedgerUnavailable(str(wrong)) from wrong


async def _postgres_versions(ledger: SqlLedger) -> list[int]:
    from cloneservice_server.ledger.postgres import PostgresLedger  # noqa: PLC0415 - asyncpg is an optional extra

    assert isinstance(ledger, PostgresLedger)
    return await ledger.schema_versions()


def _examine_sqlite(path: str) -> str:
    if path == MEMORY:
        return "in memory: gone when the server stops"
    file = Path(path)
    if not file.exists():
        if not os.access(file.resolve().parent, os.W_OK | os.X_OK):
            raise LedgerUnavailable(f"{file.resolve().parent} is not a folder that can be written to")
        return "not there yet: made when the server starts"
    if not os.access(file, os.R_OK | os.W_OK):
        raise LedgerUnavailable(f"{path} cannot be read and written")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as reader:
            return _said("sqlite", [version for (version,) in reader.execute(migrations.SELECT_VERSIONS)])
    except sqlite3.OperationalError as wrong:
        if "no such table" in str(wrong):
            return "empty: filled when the server starts"
        raise LedgerUnavailable(f"{path}: {wrong}") from wrong
    except sqlite3.DatabaseError as wrong:
        raise LedgerUnavailable(f"{path}: {wrong}") from wrong


def _said(store: str, applied: list[int]) -> str:
    pending = migrations.pending(store, applied)
    if not applied:
        return "empty: filled when the server starts"
    if not pending:
        return f"schema at version {max(applied)}"
    return f"schema at version {max(applied)}, {len(pending)} migration(s) to come when the server starts"
