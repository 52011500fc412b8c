"""A clock for many tasks at once: time jumps to the next one that sleeps, as soon as all have something to wait for."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class EventClock:
    """`ports.Clock` whose time passes while `run` waits for its task. Everything must be in this loop: no threads."""

    def __init__(self, start_s: float = 1_790_000_000.0) -> None:
        self._start_us = round(start_s * 1_000_000)
        self._now_us = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return self._start_us + self._now_us

    def monotonic_s(self) -> float:
        """Seconds since the start."""
        return self._now_us / 1_000_000

    async def sleep(self, delay_s: float) -> None:
        """Wait until the others have let `delay_s` pass."""
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_us = self._now_us + max(round(delay_s * 1_000_000), 1)
        heapq.heappush(self._sleepers, (at_us, next(self._order), wakes))
        await wakes

    async def run(self, story: Awaitable[T]) -> T:
        """Let time pass until `story` is told."""
        task = asyncio.ensure_future(story)
        loop = asyncio.get_running_loop()
        while not task.done():
            await asyncio.sleep(0)
            if task.done() or len(loop._ready) > 0:  # type: ignore[attr-defined]
                continue
            if not self._sleepers:
                raise AssertionError("everything waits, and nothing sleeps: this would wait for ever")
            at_us, _, wakes = heapq.heappop(self._sleepers)
            self._now_us = max(self._now_us, at_us)
            if not wakes.done():
                wakes.set_result(None)
        return await task
