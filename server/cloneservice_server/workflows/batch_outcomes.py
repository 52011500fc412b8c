"""Stores items' outcomes: those that come together, in one transaction of the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cloneservice_server.domain.batches import BatchState
from cloneservice_server.ports import EffectTaken, LedgerUnavailable
from cloneservice_server.ports_batches import BatchLedger, ItemDone

log = logging.getLogger("cloneservice.batches")

_AT_ONCE = 50

Waiting = tuple[ItemDone, "asyncio.Future[bool]"]


class Outcomes:
    """One writer for each batch, as long as there is something to write. `after` hears the batch's state each time."""

    def __init__(self, ledger: BatchLedger, after: Callable[[str, BatchState], None]) -> None:
        self._ledger = ledger
        self._after = after
        self._waiting: dict[str, list[Waiting]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}

    async def store(self, batch_id: str, done: ItemDone) -> bool:
        """Whether it is stored: not when it was final before, nor when the ledger is away (then it is begun again)."""
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(batch_id, []).append((done, stored))
        if batch_id not in self._writers:
            self._writers[batch_id] = asyncio.create_task(self._write(batch_id), name="batch outcomes")
        return await stored

    async def aclose(self) -> None:
        """Finish what is being written."""
        await asyncio.gather(*self._writers.values(), return_exceptions=True)

    async def _write(self, batch_id: str) -> None:
        waiting = self._waiting[batch_id]
        try:
            while waiting:
                group = waiting[:_AT_ONCE]
                del waiting[:_AT_ONCE]
                await self._store(batch_id, group)
        finally:
            del self._writers[batch_id], self._waiting[batch_id]

    async def _store(self, batch_id: str, group: list[Waiting]) -> None:
        stored = True
        try:
            self._after(batch_id, await self._ledger.finish_items(batch_id, [done for done, _ in group]))
        except EffectTaken:  # one of them was final before, or the batch is: find out which
            if len(group) > 1:
                for one in group:
                    await self._store(batch_id, [one])
                return
            stored = False
        except LedgerUnavailable as error:
            log.warning("outcomes of batch %s are not stored: %s", batch_id, error)
            stored = False
        for _, future in group:
            if not future.done():
                future.set_result(stored)
