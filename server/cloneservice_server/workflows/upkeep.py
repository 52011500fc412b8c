"""What is done for the ledger as a whole, besides carrying out requests: forgetting old ones, counting open ones."""

from __future__ import annotations

import logging

from cloneservice_server.ports import Clock, Ledger
from cloneservice_server.ports_observer import EngineObserver, tell

_log = logging.getLogger("cloneservice.engine")

_PRUNED_AT_ONCE = 200
"""Requests in one transaction: others write between two of them."""
_PRUNE_PAUSE_S = 0.05


class Upkeep:
    """`retention_s`: how long a request is remembered after it ended or was parked, in seconds."""

    def __init__(self, ledger: Ledger, clock: Clock, observer: EngineObserver, retention_s: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._observer = observer
        self._retention_s = retention_s

    async def prune_once(self) -> int:
        """Forget all requests whose retention is over, a few at a time; return how many.

        Clones, charges and customers stay. Requests that run or whose outcome is awaited stay, too, however old.
        """
        pruned = 0
        while True:
            some = await self._ledger.prune(self._retention_s, _PRUNED_AT_ONCE)
            pruned += some
            if some:
                tell(self._observer.pruned, some)
            if some < _PRUNED_AT_ONCE:
                break
            await self._clock.sleep(_PRUNE_PAUSE_S)
        if pruned:
            _log.info("forgot %d requests whose retention is over", pruned)
        return pruned

    async def count_once(self) -> None:
        """Tell the observer how many requests are unfinished."""
        tell(self._observer.unfinished, await self._ledger.count_unfinished())
