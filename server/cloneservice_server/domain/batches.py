"""Durable jobs over many customers and accounts: what one does, what it is made of, and how far it has come."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from cloneservice_server.domain.values import Clone, CloneFlow

ITEMS_MAX = 1_000_000
"""Items of one batch."""
PLATFORM = ""
"""The connected account of an item that is done on the platform itself; only ERASE has such items."""


class BatchOperation(StrEnum):
    """What each item does."""

    CLONE = "clone"
    REFRESH = "refresh"
    REVOKE = "revoke"
    ERASE = "erase"


class BatchState(StrEnum):
    """Life of a batch."""

    OPEN = "open"
    PENDING = "pending"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    PARTIALLY_FAILED = "partially_failed"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        """Whether nothing runs or will run, unless failed items are queued again."""
        return self in (BatchState.SUCCEEDED, BatchState.PARTIALLY_FAILED, BatchState.CANCELED)


class ItemState(StrEnum):
    """Life of an item. An item in flight is PENDING: a write for every start would buy nothing."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a batch does to each of its items."""

    operation: BatchOperation
    flow: CloneFlow | None = None
    set_default: bool = False
    all_payment_methods: bool = False
    """Each item without a payment method stands for all that the customer has saved."""
    named: bool = False
    """Whether every item names its payment method; one that does not costs a call more."""
    max_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Customers times accounts, or, with one account for each customer, pairs. Stored as it came, expanded later."""

    customers: tuple[str, ...]
    accounts: tuple[str, ...]
    payment_methods: tuple[str, ...] = ()
    """Pairs only, in the order of the customers; "" is the customer's default."""
    paired: bool = False

    @property
    def count(self) -> int:
        """How many items it makes."""
        return len(self.customers) if self.paired else len(self.customers) * len(self.accounts)

    def items(self, start: int, stop: int) -> list[tuple[str, str, str]]:
        """(account, customer, payment method) from item `start` up to `stop`, account by account."""
        if self.paired:
            methods = self.payment_methods or ("",) * len(self.customers)
            return list(zip(self.accounts[start:stop], self.customers[start:stop], methods[start:stop], strict=True))
        many = len(self.customers)
        return [
            (self.accounts[place // many], self.customers[place % many], "")
            for place in range(start, min(stop, self.count))
        ]


@dataclass(frozen=True, slots=True)
class CloneBatch:
    """A batch, and how far it has come."""

    batch_id: str
    plan: BatchPlan
    state: BatchState
    total_count: int = 0
    succeeded_count: int = 0
    """Reused ones included."""
    failed_count: int = 0
    skipped_count: int = 0
    reused_count: int = 0
    last_sequence: int = 0
    create_time_us: int = 0
    start_time_us: int = 0
    end_time_us: int = 0
    caller: str = ""

    @property
    def done_count(self) -> int:
        """Items that are final."""
        return self.succeeded_count + self.failed_count + self.skipped_count


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One item. `clone` is what it made, refreshed or revoked; `error` (errors.encode) is why it failed."""

    index: int
    platform_customer_id: str
    platform_payment_method_id: str
    connected_account_id: str
    state: ItemState = ItemState.PENDING
    attempts: int = 0
    sequence: int = 0
    clone_id: str = ""
    error: str = field(default="", repr=False)
    clone: Clone | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """Items of a batch that failed for one reason; `examples` are the indexes of the first few."""

    reason: str
    count: int
    examples: tuple[int, ...]


def batch_number(batch_id: str) -> int:
    """The key under which the ledger keeps a batch's items: 63 bits in place of 40 characters in a million rows."""
    return int.from_bytes(hashlib.sha256(batch_id.encode()).digest()[:8], "big") >> 1


_ITEMS = uuid.UUID("5f1c7a52-6d0e-5a4e-8f0a-0d8f3c1f9b77")


def item_request_id(batch_id: str, index: int, place: int = 0) -> str:
    """The request_id of an item's `place`-th command: the same after a crash, a take-over and a retry."""
    return str(uuid.uuid5(_ITEMS, f"{batch_id}/{index}" + (f"/{place}" if place else "")))
