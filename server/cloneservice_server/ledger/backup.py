"""A backup of a SQLite ledger while its server runs."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

_PAGES_A_STEP = 1000


class BackupFailed(Exception):  # noqa: N818 - reads as what happened
    """No backup was made; says why."""


def back_up(source: Path, target: Path) -> int:
    """Write a consistent snapshot of `source` to the new file `target`; returns its size in bytes.

    It reads through a connection that can neither write nor checkpoint, so the server beside it keeps the one
    connection that does (see `sqlite_connection.py`). The snapshot is checked and synced before it takes its name.

    Raises BackupFailed; then `target` does not exist.
    """
    if target.exists():
        raise BackupFailed(f"{target} exists: a backup never replaces a file")
    if not source.exists():
        raise BackupFailed(f"there is no ledger at {source}")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        _snapshot(source, partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.rename(target)
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise BackupFailed(f"{source} was not backed up: {error}") from error
    return target.stat().st_size


def _snapshot(source: Path, partial: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(partial)) as writer,
    ):
        # One read transaction for the whole of it: a backup in steps would begin anew at each of the server's commits.
        reader.execute("BEGIN").close()
        reader.execute("SELECT count(*) FROM schema_version").fetchone()
        reader.backup(writer, pages=_PAGES_A_STEP)
        writer.execute("PRAGMA journal_mode = DELETE").fetchone()  # one file, with no log beside it
        found = writer.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise sqlite3.DatabaseError(f"the snapshot is damaged: {found[0][0]}")
