"""What workflows answer, as frozen values: stored as JSON, replayed byte for byte."""

from __future__ import annotations

from dataclasses import dataclass

from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.values import Charge, Clone, NextAction, PlatformCustomer, PlatformPaymentMethod, Refund


@dataclass(frozen=True, slots=True)
class SavedPaymentMethod:
    """Answer of SavePaymentMethod."""

    platform_customer: PlatformCustomer
    payment_method: PlatformPaymentMethod


@dataclass(frozen=True, slots=True)
class CloneMade:
    """Answer of ClonePaymentMethod and AttachClone; `reused` if the clone existed before."""

    clone: Clone
    reused: bool = False


@dataclass(frozen=True, slots=True)
class CloneRefreshed:
    """Answer of RefreshClone: the clone that is current now, and whether a new object was made for it."""

    clone: Clone
    changed: bool = False


@dataclass(frozen=True, slots=True)
class ChargeMade:
    """Answer of CreateCharge and of the other verbs on a charge."""

    charge: Charge


@dataclass(frozen=True, slots=True)
class CloneCharged:
    """Answer of CloneAndCharge. With validate_only, clone and charge are None and nothing was done."""

    clone: Clone | None
    charge: Charge | None
    reused: bool = False


@dataclass(frozen=True, slots=True)
class RefundMade:
    """Answer of RefundCharge: the refund, and the charge after it."""

    refund: Refund
    charge: Charge


@dataclass(frozen=True, slots=True)
class BasketCharged:
    """Answer of ChargeBasket: every leg captured."""

    basket: Basket


@dataclass(frozen=True, slots=True)
class SetupMade:
    """Answer of CreateSetup; `next_action` with the client secret is filled in when it is handed out."""

    platform_customer: PlatformCustomer
    stripe_setup_intent_id: str
    next_action: NextAction | None = None


@dataclass(frozen=True, slots=True)
class AccountErased:
    """How much of a shopper was on one account; `error` (errors.encode) is why Stripe could not erase there."""

    connected_account_id: str
    clone_count: int
    charge_count: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class CustomerErased:
    """Answer of EraseCustomer; with `preview` nothing was done."""

    accounts: tuple[AccountErased, ...] = ()
    clone_count: int = 0
    charge_count: int = 0
    kept: tuple[str, ...] = ()
    """What is not erased, in words."""
    create_time_us: int = 0
    end_time_us: int = 0
    preview: bool = False
    pseudonym: str = ""
    """What stands for the shopper in the ledger from now on."""


@dataclass(frozen=True, slots=True)
class EventHandled:
    """What came of an event of Stripe's: how many rows of the ledger it changed."""

    event_id: str
    changed: int = 0


Result = (
    SavedPaymentMethod
    | CloneMade
    | CloneRefreshed
    | ChargeMade
    | CloneCharged
    | RefundMade
    | BasketCharged
    | SetupMade
    | CustomerErased
    | EventHandled
)
RESULTS: dict[str, type[Result]] = {
    "SavePaymentMethod": SavedPaymentMethod,
    "ClonePaymentMethod": CloneMade,
    "AttachClone": CloneMade,
    "RefreshClone": CloneRefreshed,
    "RevokeClone": CloneMade,
    "CreateCharge": ChargeMade,
    "CloneAndCharge": CloneCharged,
    "ConfirmCharge": ChargeMade,
    "CaptureCharge": ChargeMade,
    "CancelCharge": ChargeMade,
    "RefundCharge": RefundMade,
    "ChargeBasket": BasketCharged,
    "CreateSetup": SetupMade,
    "EraseCustomer": CustomerErased,
    "HandleStripeEvent": EventHandled,
}
