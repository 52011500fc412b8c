"""One way to drive both clients, so that each promise is written once and kept by both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloneservice import AsyncCloneClient, CloneClient


@dataclass
class FakeTime:
    """A clock that only moves when somebody sleeps."""

    now_s: float = 1000.0
    slept_s: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass
class BlockingDriver:
    """Drives CloneClient, off the loop."""

    target: str
    time: FakeTime = field(default_factory=FakeTime)
    options: dict[str, Any] = field(default_factory=dict)

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """One call on a new client."""
        return await self._run(lambda client: getattr(client, name)(*args, **kwargs))

    async def page(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return await self._run(lambda client: getattr(client, name)(*args, **kwargs).page())

    async def collect(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """All that an iterator gives."""
        found: list[Any] = await self._run(lambda client: list(getattr(client, name)(*args, **kwargs)))
        return found

    async def first(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """What an iterator gives first; then it is dropped."""
        return await self._run(lambda client: next(iter(getattr(client, name)(*args, **kwargs))))

    async def _run(self, work: Callable[[CloneClient], Any]) -> Any:
        def run() -> Any:
            time = self.time
            with CloneClient(self.target, sleep=time.sleep, clock=time.clock, **self.options) as client:
                return work(client)

        return await asyncio.to_thread(run)


@dataclass
class AsyncioDriver:
    """Drives AsyncCloneClient."""

    target: str
    time: FakeTime = field(default_factory=FakeTime)
    options: dict[str, Any] = field(default_factory=dict)

    def _client(self) -> AsyncCloneClient:
        return AsyncCloneClient(self.target, sleep=self.time.async_sleep, clock=self.time.clock, **self.options)

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        async with self._client() as client:
            return await getattr(client, name)(*args, **kwargs)

    async def page(self, name: str, *args: Any, **kwargs: Any) -> Any:
        async with self._client() as client:
            return await getattr(client, name)(*args, **kwargs).page()

    async def collect(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        async with self._client() as client:
            return [item async for item in getattr(client, name)(*args, **kwargs)]

    async def first(self, name: str, *args: Any, **kwargs: Any) -> Any:
        async with self._client() as client:
            events = getattr(client, name)(*args, **kwargs)
            found = await anext(events)
            await events.aclose()
            return found


Driver = BlockingDriver | AsyncioDriver
