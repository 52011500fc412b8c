"""Innermost: a bound on the RPCs in flight, so that overload is refused at once and not queued until it times out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cloneservice_server.domain.errors import ServiceOverloaded
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor


def limits_interceptor(concurrent_max: int) -> GuardInterceptor:
    """At most `concurrent_max` RPCs at once; one more gets SERVICE_OVERLOADED. Health is not counted."""
    in_flight = 0

    @asynccontextmanager
    async def guard(_method: str, _request: Any, _context: Context) -> AsyncIterator[None]:
        nonlocal in_flight
        if in_flight >= concurrent_max:
            raise ServiceOverloaded(
                f"This server has {concurrent_max} calls in flight, its limit; nothing was done",
                {"concurrent_max": str(concurrent_max)},
                retry_after_s=1.0,
            )
        in_flight += 1
        try:
            yield
        finally:
            in_flight -= 1

    return GuardInterceptor(guard)
