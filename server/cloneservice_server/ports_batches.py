"""What the workflows of batches need of the ledger. It is the same ledger as `ports.Ledger`, and the same contract.

A partition is (batch, connected account). Replicas lease partitions as they lease requests; a partition's `fence` grows
with each claim. Item outcomes are settled by the first writer, so that no safety rests on the lease.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from cloneservice_server.domain.batches import (
    BatchItem,
    BatchPlan,
    BatchState,
    CloneBatch,
    Failures,
    ItemState,
    Selection,
)
from cloneservice_server.ports import Ledger, Page, RequestRow


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A caller's request about a batch, recorded as succeeded in the transaction that does what it asks."""

    request_id: str
    method: str
    request_hash: str
    batch_id: str
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Expansion:
    """How far a PENDING batch's items are laid out: the next index, in which selection, after how many of its places.

    A write names the expansion that it starts from; when another replica was faster, EffectTaken is raised.
    """

    next_index: int
    chunk: int
    offset: int


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to lay out."""

    index: int
    connected_account_id: str
    platform_customer_id: str
    platform_payment_method_id: str


@dataclass(frozen=True, slots=True)
class Partition:
    """A claimed partition: all items up to index `cursor` are final."""

    batch_id: str
    connected_account_id: str
    fence: int
    cursor: int


@dataclass(frozen=True, slots=True)
class ItemDone:
    """The outcome of an item. `spent_request_ids`: requests of its own that the item's row now stands for."""

    index: int
    state: ItemState
    attempts: int
    clone_id: str = ""
    reused: bool = False
    reason: str = ""
    error: str = field(default="", repr=False)
    spent_request_ids: tuple[str, ...] = ()
    pseudonym: str = ""
    """Takes the place of a customer that the item has erased."""


@dataclass(frozen=True, slots=True)
class Share:
    """A replica that calls Stripe with this platform's key, and how it uses the limits."""

    owner: str
    wanting: bool
    """Whether it has batch items to send."""
    foreground_per_s: float
    """Calls a second that it makes for callers who wait."""
    age_us: int


class BatchLedger(Protocol):
    """The durable store of batches."""

    async def create_batch(
        self, request: BatchRequest, plan: BatchPlan, chunks: Sequence[Selection], *, sealed: bool
    ) -> RequestRow | None:
        """Store a batch with what is known of its items: PENDING, or OPEN unless `sealed`.

        Returns None when it was stored, or the request that has this request_id already.
        """
        ...

    async def add_to_batch(
        self, request: BatchRequest, chunks: Sequence[Selection], *, sealed: bool
    ) -> RequestRow | None:
        """Store more of an OPEN batch's items; `sealed` makes it PENDING. As `create_batch`.

        Raises EffectTaken when the batch is not OPEN, or would grow beyond ITEMS_MAX.
        """
        ...

    async def cancel_batch(self, request: BatchRequest) -> RequestRow | None:
        """Stop a batch that is not final. As `create_batch`; EffectTaken when it is final or stopping."""
        ...

    async def retry_batch(self, request: BatchRequest) -> RequestRow | None:
        """Start a final batch's failed items again. As `create_batch`; EffectTaken when not final, or none failed."""
        ...

    async def get_batch(self, batch_id: str) -> CloneBatch | None:
        """Read one batch."""
        ...

    async def list_batches(self, page: Page, caller: str = "") -> list[CloneBatch]:
        """Newest first by (create_time_us, batch_id); only those of `caller`, if given."""
        ...

    async def list_items(
        self, batch_id: str, states: Sequence[ItemState], after_index: int, limit: int
    ) -> list[BatchItem]:
        """By index, with their clones."""
        ...

    async def list_events(self, batch_id: str, after_sequence: int, limit: int) -> list[BatchItem]:
        """Items that changed after `after_sequence`, by sequence, with their clones."""
        ...

    async def list_failures(self, batch_id: str) -> list[Failures]:
        """Failed items by reason, most frequent first."""
        ...

    async def list_active_batches(self, limit: int = 100) -> list[CloneBatch]:
        """Those that are PENDING, RUNNING or CANCELING, oldest first."""
        ...

    async def get_expansion(self, batch_id: str) -> tuple[Expansion, Selection | None]:
        """How far a batch is laid out, and the selection that goes on with; None when all is laid out."""
        ...

    async def lay_out(
        self, batch_id: str, start: Expansion, items: Sequence[NewItem], end: Expansion, *, grown: int = 0
    ) -> None:
        """Insert items (at most 500) and move the expansion on, in one transaction; `grown` is added to the total."""
        ...

    async def start_batch(self, batch_id: str) -> None:
        """PENDING -> RUNNING, all being laid out; failed items of an earlier round become PENDING. Idempotent."""
        ...

    async def claim_partition(self, batch_id: str, owner: str, lease_s: float) -> Partition | None:
        """Take one open partition that nobody has: the lowest rank first, and a rank only after all below it."""
        ...

    async def keep_partition(self, claimed: Partition, lease_s: float) -> bool:
        """Renew the lease and store the cursor; False when the claim is lost. A lease of 0 gives it back."""
        ...

    async def end_partition(self, claimed: Partition) -> None:
        """All items of the partition are final."""
        ...

    async def pending_items(self, claimed: Partition, after_index: int, limit: int) -> list[BatchItem]:
        """The partition's items that are not final, by index."""
        ...

    async def finish_items(self, batch_id: str, done: Sequence[ItemDone]) -> BatchState:
        """Store outcomes, count them, and delete the requests they were made by; the batch's state then.

        Ends the batch with its last item. Raises EffectTaken when any item was final before; nothing is written then.
        """
        ...

    async def prune_batches(self, older_than_s: float, limit: int = 500) -> int:
        """Forget batches that ended `older_than_s` ago, or were never sealed; delete up to `limit` rows of items.

        A forgotten batch is gone for every reader at once. How many items were deleted; fewer than `limit`: nothing is
        left to delete. Clones and charges stay.
        """
        ...

    async def renew_share(self, budget: str, mine: Share, lease_s: float) -> list[Share]:
        """Register this replica's use of `budget` for `lease_s`, and return all that are registered, by owner."""
        ...


class WholeLedger(Ledger, BatchLedger, Protocol):
    """Both parts of the one ledger."""


# ---------------------------------------------------------------------------------------------------------- limits

HEADROOM = 0.97
"""Share of a limit that is used: the rest is for the jitter between our sends and their arrival at Stripe."""
BACKGROUND: ContextVar[bool] = ContextVar("background", default=False)
"""Whether the work at hand is a batch's, which gives way to callers who wait."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Requests a second: of the platform's key in its mode, and of each endpoint. 0 is no limit."""

    per_second: int = 0
    per_endpoint: int = 0


@dataclass(frozen=True, slots=True)
class Allotment:
    """This replica's part of the limits: the `place`-th of `sharers`, until `until_s` on the monotonic clock."""

    sharers: int = 1
    place: int = 0
    others_per_s: float = 0.0
    """What other replicas use for callers who wait: taken off before the rest is shared."""
    until_s: float = float("inf")

    def of(self, limit: int) -> int:
        """Requests a second of `limit`: all parts together make what is there, and none is more than one larger."""
        left = max(limit - math.ceil(self.others_per_s), 1)
        return left // self.sharers + (self.place < left % self.sharers)


class Pace(Protocol):
    """The local keeper of the limits."""

    def allot(self, allotment: Allotment) -> None:
        """From now on this much of the limits is ours."""
        ...

    def foreground_per_s(self) -> float:
        """Calls a second made of late for callers who wait."""
        ...


class BatchObserver:
    """What batches tell whoever counts. Does nothing by itself; called on the loop, it must only count."""

    def item_done(self, operation: str, state: str, reason: str, elapsed_s: float) -> None:
        """An item is final: `state` is succeeded, reused, failed or skipped; `reason` is why it failed, or ""."""

    def batch_ended(self, operation: str, state: str) -> None:
        """The batch's last item was finished here."""

    def partitions_held(self, count: int) -> None:
        """So many partitions are leased to this replica."""

    def paced(self, endpoint: str, waited_s: float) -> None:
        """A batch item's call waited so long for its turn."""

    def slowed(self, endpoint: str, reason: str) -> None:
        """Stripe refused a call as too fast, and the rate was halved."""
