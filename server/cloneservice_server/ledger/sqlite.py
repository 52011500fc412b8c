"""The ledger in one SQLite file beside one process: nothing to set up, many transactions under one fsync."""

from __future__ import annotations

import asyncio
import errno
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloneservice_server.ledger import batches, statements
from cloneservice_server.ledger.filelock import FileInUse, FileLock
from cloneservice_server.ledger.migrations import SchemaTooNew
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ledger.sqlite_connection import Outcome, SqliteConnection, Transaction
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports import Clock, LedgerUnavailable

_BATCH_MAX = 512
"""Transactions under one commit: bounds how long the first of them waits for the last."""

MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class _Job:
    transaction: Transaction
    future: asyncio.Future[Sequence[Row]]


class SqliteLedger(SqlLedger):
    """`ports.Ledger` on SQLite in WAL mode with synchronous=FULL.

    One writer thread owns the one connection. It takes all transactions that wait, runs each in a savepoint, commits
    once and then answers all of them: under load a commit is shared, when idle nobody waits for company. Reads go the
    same way, so they see what was committed before them.

    A file belongs to one process at a time; a lock on `<path>-lock` refuses the second. `:memory:` lives in the
    caller's thread and dies with the ledger.
    """

    def __init__(self, path: str, *, clock: Clock) -> None:
        super().__init__()
        self.path = path
        self._clock = clock
        self._lock = None if path == MEMORY else FileLock(f"{path}-lock")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._connection: SqliteConnection | None = None
        self._open = False

    async def open(self) -> None:
        """Lock the file, open or create it, migrate. Raises LedgerUnavailable with the reason."""
        if self._open:
            return
        self._take_lock()
        try:
            if self.path == MEMORY:
                self._connection = self._connect()
            else:
                await self._start_thread()
        except (sqlite3.Error, SchemaTooNew, OSError) as error:
            self._release_lock()
            raise LedgerUnavailable(f"cannot open the ledger {self.path}: {error}") from error
        self._open = True
        try:
            # We hold the file's lock, so whoever held these leases is gone: nothing need wait for them to run out.
            await self.write([statements.release_all(), *batches.release_all()])
        except LedgerUnavailable:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Finish queued transactions, checkpoint and close."""
        if not self._open:
            return
        self._open = False
        if self._thread is not None:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._release_lock()

    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT. Raises LedgerUnavailable."""
        return await self._submit(Transaction((part,), reads=True))

    async def write(self, parts: Sequence[Part], proof: Part | None = None) -> Sequence[Row]:
        """Run the parts as one transaction, see SqlLedger."""
        del proof  # no answer is ever lost between threads of one process
        return await self._submit(Transaction(tuple(parts)))

    async def _submit(self, transaction: Transaction) -> Sequence[Row]:
        if not self._open:
            raise LedgerUnavailable("the ledger is closed")
        if self._connection is not None:
            outcome = self._connection.run([transaction])[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        future: asyncio.Future[Sequence[Row]] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(transaction, future))
        return await future

    def _connect(self) -> SqliteConnection:
        connection = SqliteConnection(self.path, self._clock)
        try:
            connection.migrate()
        except BaseException:
            connection.close()
            raise
        return connection

    async def _start_thread(self) -> None:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        self._thread = threading.Thread(
            target=self._serve, args=(loop, opened), name="cloneservice-ledger", daemon=True
        )
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._thread = None
            raise

    def _serve(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        """The writer thread."""
        try:
            connection = self._connect()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised in open()
            loop.call_soon_threadsafe(_settle, opened, error)
            return
        loop.call_soon_threadsafe(_settle, opened, None)
        try:
            more = True
            while more:
                jobs, more = self._take()
                if jobs:
                    answers = _answer(connection, jobs)
                    loop.call_soon_threadsafe(_deliver, answers)
        finally:
            connection.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """All jobs that wait, and whether more may come. A job whose caller has gone is not begun."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            if not job.future.cancelled():
                jobs.append(job)
            if len(jobs) >= _BATCH_MAX:
                return jobs, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, True
        return jobs, False

    def _take_lock(self) -> None:
        if self._lock is None:
            return
        if Path(self.path).is_dir():
            raise LedgerUnavailable(f"cannot open the ledger {self.path}: it is a directory; name a file in it")
        try:
            self._lock.acquire()
        except FileInUse as error:
            raise LedgerUnavailable(
                f"the ledger {self.path} is open in another process. A SQLite ledger serves one process: stop "
                "the other one, or use PostgreSQL for several replicas"
            ) from error
        except OSError as error:
            raise LedgerUnavailable(f"cannot open the ledger {self.path}: {_why(error, self.path)}") from error

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _why(error: OSError, path: str) -> str:
    folder = Path(path).parent
    if isinstance(error, FileNotFoundError):
        return f"there is no directory {folder}; make it, or name another file"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{folder} cannot be written to ({error.strerror}); name a file elsewhere, or change its permissions"
    return str(error)


def _answer(connection: SqliteConnection, jobs: list[_Job]) -> list[tuple[_Job, Outcome]]:
    try:
        outcomes = connection.run([job.transaction for job in jobs])
    except Exception as error:  # noqa: BLE001 - the thread must live on, and every caller must hear
        outcomes = [LedgerUnavailable(f"SQLite: {error!r}") for _ in jobs]
    return list(zip(jobs, outcomes, strict=True))


def _deliver(answers: list[tuple[_Job, Outcome]]) -> None:
    for job, outcome in answers:
        if job.future.done():
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)


def _settle(opened: asyncio.Future[None], error: Exception | None) -> None:
    if opened.done():
        return
    if error is None:
        opened.set_result(None)
    else:
        opened.set_exception(error)
