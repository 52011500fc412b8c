"""A few connections, handed out last in, first out, with nothing sent on the way out or back.

asyncpg's own pool sends a reset after each use, a second round trip for each transaction; ours run nothing that
outlives a transaction, so there is nothing to reset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from cloneservice_server.ports import Clock, EffectTaken, Fenced, LedgerUnavailable

Connection = Any
Connect = Callable[[], Awaitable[Connection]]


class ConnectionPool:
    """At most `size` connections, made when needed."""

    def __init__(self, connect: Connect, size: int, clock: Clock) -> None:
        self._clock = clock
        self._connect = connect
        self._slots = asyncio.Semaphore(size)
        self._size = size
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self, until_s: float) -> AsyncIterator[Connection]:
        """A connection for one transaction. One that broke or was left in mid-work is not used again.

        Raises LedgerUnavailable when its turn came after `until_s` on the monotonic clock: behind a database that does
        not answer, all that queue then give up with the first of them instead of one after the other.
        """
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        await self._take_slot(until_s)
        try:
            connection = self._take() or await self._connect()
            whole = False
            try:
                yield connection
                whole = True
            except (asyncpg.PostgresError, Fenced, EffectTaken):
                whole = True  # an answer like any other
                raise
            finally:
                if whole and not connection.is_closed() and not connection.is_in_transaction():
                    self._idle.append(connection)
                else:
                    connection.terminate()
        finally:
            self._slots.release()

    async def _take_slot(self, until_s: float) -> None:
        waits = self._slots.locked()
        await self._slots.acquire()
        if waits and self._clock.monotonic_s() > until_s:
            self._slots.release()
            raise LedgerUnavailable(f"all {self._size} connections were in use for too long")

    def discard_idle(self) -> None:
        """Drop the idle connections: after a fail-over each of them may be as dead as the one that was noticed."""
        while self._idle:
            self._idle.pop().terminate()

    async def aclose(self) -> None:
        """Wait for those in use, then close all."""
        self._closed = True
        for _ in range(self._size):
            await self._slots.acquire()
        while self._idle:
            await self._idle.pop().close()
        for _ in range(self._size):
            self._slots.release()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None
