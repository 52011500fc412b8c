"""The real clock. Tests and the simulation bring their own."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """`ports.Clock` of the machine."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds."""
        await asyncio.sleep(delay_s)
