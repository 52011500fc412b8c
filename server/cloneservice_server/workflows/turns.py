"""A number of places that several queues share fairly: the first in the queue whose turn it is goes next."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """At most `places` at once; queues take turns, however long each of them is."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, queue: str) -> AsyncIterator[None]:
        """Hold one place; waits for it in `queue`."""
        if self._free and not self._queues:
            self._free -= 1
        else:
            await self._wait(queue)
        try:
            yield
        finally:
            self._free += 1
            self._pass_on()

    async def _wait(self, queue: str) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(queue, deque()).append(place)
        self._pass_on()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it came together with the end
                self._free += 1
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._free and self._queues:
            queue, waiting = self._queues.popitem(last=False)
            place = waiting.popleft()
            if waiting:
                self._queues[queue] = waiting  # at the end: the others come first
            if not place.done():
                self._free -= 1
                place.set_result(None)
