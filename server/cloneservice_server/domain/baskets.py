"""A basket: one shopper's purchase from several sellers, charged on all of their accounts or on none."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from cloneservice_server.domain.values import CloneFlow, Money


class BasketState(StrEnum):
    """Life of a basket: AUTHORIZING -> CAPTURING -> SUCCEEDED, and from the first two by CANCELING to an end."""

    AUTHORIZING = "authorizing"
    CAPTURING = "capturing"
    """The point of no return: every leg was authorised, and the decision to capture them all is on record."""
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    BROKEN = "broken"
    """Stripe refuses to refund a captured leg."""

    @property
    def final(self) -> bool:
        """Whether the basket will not change any more."""
        return self in (BasketState.SUCCEEDED, BasketState.CANCELED, BasketState.BROKEN)


class BasketLegState(StrEnum):
    """Life of one seller's part."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUNDED = "refunded"
    STUCK = "stuck"
    """Stripe refuses to release or refund it; a mere authorisation lapses by itself."""


@dataclass(frozen=True, slots=True)
class BasketLeg:
    """One seller's part; `state` is as of the basket's last change."""

    connected_account_id: str
    amount: Money
    application_fee: int = 0
    """Minor units; 0 means none."""
    state: BasketLegState = BasketLegState.PENDING
    charge_id: str = ""
    refund_id: str = ""
    error: str = ""
    """Why it is FAILED or STUCK (errors.encode)."""


@dataclass(frozen=True, slots=True)
class Basket:
    """The whole of it; `request_id` is the request that charges it."""

    basket_id: str
    platform_customer_id: str
    platform_payment_method_id: str
    flow: CloneFlow
    state: BasketState
    legs: tuple[BasketLeg, ...]
    request_id: str
    error: str = ""
    """Why it is CANCELING, CANCELED or BROKEN (errors.encode): the answer of its request."""
    metadata: dict[str, str] = field(default_factory=dict)
    create_time_us: int = 0
    update_time_us: int = 0
    version: int = 1
