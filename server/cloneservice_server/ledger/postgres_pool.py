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

from cloneservice_server.ports import EffectTaken, Fenced, LedgerUnavailable

Connection = Any
Connect = Callable[[], Awaitable[Connection]]


class ConnectionPool:
    """At most `size` connections, made when needed."""

    def __init__(self, connect: Connect, size: int) -> None:
        self._connect = connect
        self._slots = asyncio.Semaphore(size)
        self._size = size
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self, wait_s: float) -> AsyncIterator[Connection]:
        """A connection for one transaction. One that broke or was left in mid-work is not used again.

        Raises LedgerUnavailable when none became free for `wait_s` seconds: behind a database that does not answer
        callers would otherwise queue for as long as all before them take to give up.
        """
        if self._closed:
            raise LedgerUnavailable("the ledger is closed")
        await self._take_slot(wait_s)
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

    async def _take_slot(self, wait_s: float) -> None:
        if not self._slots.locked():  # the usual case pays for no timer
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise LedgerUnavailable(f"all {self._size} connections were in use for {wait_s:.1f} s") from None

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
