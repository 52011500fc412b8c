"""A clock that tests own: sleeping takes no time, unless the test says otherwise."""

from __future__ import annotations

import asyncio


class VirtualClock:
    """`ports.Clock` whose time passes only by `sleep` and `advance`."""

    def __init__(self, start_s: float = 1_790_000_000.0) -> None:
        self._now_us = int(start_s * 1_000_000)
        self._start_us = self._now_us

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return self._now_us

    def monotonic_s(self) -> float:
        """Seconds since the start."""
        return (self._now_us - self._start_us) / 1_000_000

    async def sleep(self, delay_s: float) -> None:
        """Time passes; others get their turn."""
        self.advance(delay_s)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_us += round(seconds * 1_000_000)
