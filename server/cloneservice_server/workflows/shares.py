"""How replicas share one budget: each says every second that it is there, and takes its part of what it sees.

No replica waits for another. A replica that comes leaves the others two beats to see it before it takes its part; one
that goes is missed when its lease has run out, and has stopped by then, since its own part ends with the lease.
"""

from __future__ import annotations

from collections.abc import Callable

from cloneservice_server.ports import Clock
from cloneservice_server.ports_batches import Allotment, BatchLedger, Pace, Share

BEAT_S = 1.0
_LEASE_S = 4 * BEAT_S
_SETTLE_US = round(2.5 * BEAT_S * 1_000_000)


class Shares:
    """This replica's place among those that use `budget`. `wanting` says whether it has batch items to send."""

    def __init__(
        self, ledger: BatchLedger, clock: Clock, pace: Pace, *, budget: str, owner: str, wanting: Callable[[], bool]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pace = pace
        self._budget = budget
        self._owner = owner
        self._wanting = wanting
        self._seen = False

    async def beat_once(self) -> None:
        """Say what is wanted, and take what is ours. Raises LedgerUnavailable; the part then ends by itself."""
        mine = Share(self._owner, self._wanting(), self._pace.foreground_per_s(), 0)
        if not (mine.wanting or mine.foreground_per_s or self._seen):
            return
        self._seen = mine.wanting or bool(mine.foreground_per_s)  # the last one says that we have gone
        if not mine.wanting:
            self._pace.allot(Allotment(until_s=float("-inf")))  # before the others hear of it, and take our part
        asked_s = self._clock.monotonic_s()
        shares = await self._ledger.renew_share(self._budget, mine, _LEASE_S)
        sharers = [share for share in shares if share.wanting]
        others_per_s = sum(share.foreground_per_s for share in shares if share.owner != self._owner)
        for place, share in enumerate(sharers):
            if share.owner == self._owner and (len(sharers) == 1 or share.age_us >= _SETTLE_US):
                self._pace.allot(Allotment(len(sharers), place, others_per_s, asked_s + _LEASE_S))
