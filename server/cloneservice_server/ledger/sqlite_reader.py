"""A second connection to a SQLite ledger, which can only read.

The ledger has one connection that writes and checkpoints, because SQLite before 3.51.3 can corrupt a file in WAL mode
when two do so at once (see `sqlite_connection.py`). This one is opened with `mode=ro`: it can do neither. In WAL mode a
reader never waits for the writer, nor the writer for it; its reads are short, so that it does not hold up checkpoints.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ledger.sqlite_connection import rendered
from cloneservice_server.ports import Clock, LedgerUnavailable

READ_S_MAX = 2.0
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine: some 0.1 ms


class SqliteReader:
    """Reads in a thread of its own, one after the other; opens the file when it is first asked."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = Path(path)
        self._clock = clock
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._until_s = 0.0

    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT. Raises LedgerUnavailable, also when it takes longer than READ_S_MAX."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "cloneservice-ledger-reader")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, part)

    async def aclose(self) -> None:
        """Close the file and end the thread."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown()

    def _read(self, part: Part) -> Sequence[Row]:
        self._until_s = self._clock.monotonic_s() + READ_S_MAX
        try:
            connection = self._connection or self._open()
            with closing(connection.execute(rendered(part.sql), part.args)) as cursor:
                return list(cursor.fetchall())
        except sqlite3.Error as error:
            self._close()
            raise LedgerUnavailable(f"SQLite: {error}") from error

    def _open(self) -> sqlite3.Connection:
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        connection = self._connection = sqlite3.connect(address, uri=True, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.create_function("cloneservice_now_us", 0, self._clock.now_us)
        connection.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)
        for pragma in ("query_only = ON", "busy_timeout = 1000", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}").close()
        return connection

    def _is_late(self) -> bool:
        return self._clock.monotonic_s() > self._until_s

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
