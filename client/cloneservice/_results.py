"""What calls answer, where it is more than one value of the contract.

Every answer to a mutation says under which `request_id` it is stored, and whether it was `replayed`: the work was done
by an earlier call with the same request_id, and this is the stored answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from cloneservice._errors import CloneServiceError
from cloneservice._values import (
    Basket,
    Charge,
    Clone,
    CloneBatch,
    CloneBatchItem,
    NextAction,
    PlatformCustomer,
    PlatformPaymentMethod,
    Refund,
    RequestState,
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupResult:
    """A set-up begun; `next_action` carries the client secret for Stripe.js."""

    platform_customer: PlatformCustomer
    stripe_setup_intent_id: str
    next_action: NextAction
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveResult:
    """A payment method saved on a platform customer."""

    platform_customer: PlatformCustomer
    payment_method: PlatformPaymentMethod
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneResult:
    """The clone after the call. `reused`: it existed before. `changed`: a refresh replaced it by this one."""

    clone: Clone
    reused: bool = False
    changed: bool = False
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeResult:
    """The charge after the call. Look at `charge.state`: REQUIRES_ACTION is an answer, not an error."""

    charge: Charge
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneAndChargeResult:
    """The clone used and the charge made with it. `reused`: the clone existed before."""

    clone: Clone
    charge: Charge
    reused: bool
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    """The refund, and the charge after it."""

    refund: Refund
    charge: Charge
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketResult:
    """The basket, all of its legs captured; one that was given back raises instead."""

    basket: Basket
    request_id: str
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """The batch after the call; with create_batch, how long it takes if Stripe's limits are all its own, in seconds."""

    batch: CloneBatch
    request_id: str
    replayed: bool
    expected_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseResult:
    """The erasure as a batch with one item per connected account, and how much it covers."""

    batch: CloneBatch
    clone_count: int
    charge_count: int
    request_id: str
    replayed: bool
    items: tuple[CloneBatchItem, ...] = ()
    kept: tuple[str, ...] = ()
    """What is not erased, and whose it is: one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """What became of a request_id. `error` is the stored refusal, ready to be raised; None unless it failed."""

    request_id: str
    state: RequestState
    method: str
    clone_id: str
    charge_id: str
    batch_id: str
    error: CloneServiceError | None
    refund_id: str = ""
    basket_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventResult:
    """What became of a Stripe event; `handled` is False if it was ignored or seen before."""

    stripe_event_id: str
    handled: bool


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; `next_page_token` is "" on the last."""

    items: tuple[Item, ...]
    next_page_token: str = ""
