"""How often one caller may call, so that none can take the service from the others: a token bucket each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cloneservice_server.domain.errors import ServiceOverloaded
from cloneservice_server.rpc.caller import CALLER
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor

_BUCKETS_MAX = 10_000
_BURST_S = 2.0
"""A caller that was quiet may send the calls of so many seconds at once."""


@dataclass(slots=True)
class _Bucket:
    level: float
    filled_s: float


class Rates:
    """Token buckets by caller; `per_second` for those whose policy says nothing, 0 for no bound."""

    def __init__(self, per_second: int, monotonic_s: Callable[[], float]) -> None:
        self._per_second = per_second
        self._monotonic_s = monotonic_s
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, per_second: int = 0) -> None:
        """Count one call of `caller`. Raises ServiceOverloaded when it comes too soon."""
        rate = per_second or self._per_second
        if not rate:
            return
        now_s, burst = self._monotonic_s(), max(1.0, rate * _BURST_S)
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(burst, now_s)
            if len(self._buckets) > _BUCKETS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
        bucket.level = min(burst, bucket.level + (now_s - bucket.filled_s) * rate)
        bucket.filled_s = now_s
        if bucket.level < 1:
            raise ServiceOverloaded(
                f"This caller has a limit of {rate} calls a second; nothing was done",
                {"requests_per_second": str(rate)},
                retry_after_s=(1 - bucket.level) / rate,
            )
        bucket.level -= 1


def rates_interceptor(rates: Rates) -> GuardInterceptor:
    """Innermost: by then it is known who calls."""

    @asynccontextmanager
    async def guard(_method: str, _request: Any, _context: Context) -> AsyncIterator[None]:
        caller = CALLER.get()
        rates.take(caller.name, caller.requests_per_second)
        yield

    return GuardInterceptor(guard)
