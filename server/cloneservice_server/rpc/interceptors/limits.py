"""A bound on the RPCs in flight, so that overload is refused at once and not queued until it times out.

It is also the gate that closes when the server stops: a late RPC gets an answer that makes its caller go elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cloneservice_server.domain.errors import ServiceOverloaded, ServiceStopping
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor


class Gate:
    """Counts RPCs in flight, at most `concurrent_max`; lets none in once it is closed."""

    def __init__(self, concurrent_max: int) -> None:
        self.concurrent_max = concurrent_max
        self.in_flight = 0
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def enter(self) -> None:
        """Count one RPC in. Raises ServiceStopping, ServiceOverloaded."""
        if self._closed:
            raise ServiceStopping(
                "This server is stopping; nothing was done, another one takes the call", retry_after_s=0.0
            )
        if self.in_flight >= self.concurrent_max:
            raise ServiceOverloaded(
                f"This server has {self.concurrent_max} calls in flight, its limit; nothing was done",
                {"concurrent_max": str(self.concurrent_max)},
                retry_after_s=1.0,
            )
        self.in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count one RPC out."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    async def close(self, grace_s: float) -> None:
        """Let nobody in any more; return when all have left, or after `grace_s` seconds."""
        self._closed = True
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            return


def limits_interceptor(gate: Gate) -> GuardInterceptor:
    """Sends every RPC through `gate`. Health and reflection are not counted."""

    @asynccontextmanager
    async def guard(_method: str, _request: Any, _context: Context) -> AsyncIterator[None]:
        gate.enter()
        try:
            yield
        finally:
            gate.leave()

    return GuardInterceptor(guard)
