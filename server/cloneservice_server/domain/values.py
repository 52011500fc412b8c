"""What the service knows: money, clones, charges, customers and their states.

Times are integer microseconds since the Unix epoch; money is integer minor units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class CloneFlow(StrEnum):
    """Which Stripe mechanism makes the clone."""

    PAYMENT_METHOD = "payment_method"
    TOKEN = "token"  # noqa: S105 - the name of a flow
    SOURCE = "source"


class CloneReuse(StrEnum):
    """What to do when a usable clone of the same object exists on the account."""

    IF_CURRENT = "if_current"
    NEVER = "never"


class CaptureMethod(StrEnum):
    """When funds move."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class CloneState(StrEnum):
    """Life of a clone."""

    CREATING = "creating"
    ACTIVE = "active"
    ATTACHED = "attached"
    CONSUMED = "consumed"
    STALE = "stale"
    REVOKED = "revoked"
    ERASED = "erased"
    FAILED = "failed"


class ChargeState(StrEnum):
    """Life of a direct charge, named after Stripe's PaymentIntent statuses."""

    CREATING = "creating"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    CANCELED = "canceled"
    INDETERMINATE = "indeterminate"


class RequestState(StrEnum):
    """What became of a request_id.

    PARKED: stopped before a step that would have changed something, with an error that says nothing new was started;
    only the same request_id takes it up again. INDETERMINATE: Stripe's word is awaited; the reconciler takes it up.
    """

    RUNNING = "running"
    PARKED = "parked"
    INDETERMINATE = "indeterminate"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether the stored answer will never change."""
        return self in (RequestState.SUCCEEDED, RequestState.FAILED)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: `minor_units` of `currency_code` (ISO 4217, upper case); 1099 USD is 10.99 dollars."""

    minor_units: int
    currency_code: str


@dataclass(frozen=True, slots=True)
class PaymentMethodSummary:
    """What may safely be shown about a payment method."""

    type: str = ""
    brand: str = ""
    last4: str = ""
    exp_month: int = 0
    exp_year: int = 0
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class PlatformCustomer:
    """A customer on the platform account (cus_...)."""

    platform_customer_id: str
    external_reference: str = ""
    default_platform_payment_method_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    create_time_us: int = 0


@dataclass(frozen=True, slots=True)
class PlatformPaymentMethod:
    """A payment method saved on the platform account (pm_..., or the legacy card_... and src_...)."""

    platform_payment_method_id: str
    platform_customer_id: str
    summary: PaymentMethodSummary
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class ConnectedCustomer:
    """The one customer that stands for a platform customer on a connected account."""

    connected_account_id: str
    platform_customer_id: str
    connected_customer_id: str
    """cus_..., or "" when the last one was found deleted and `generation` is yet to be made."""
    generation: int = 0
    """0 for the first, one more for each that replaced a deleted one."""
    create_time_us: int = 0


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    """What an event last told of a connected account (acct_...)."""

    connected_account_id: str
    authorized: bool = True
    """Whether the platform may act on it."""
    charges_enabled: bool = True
    update_time_us: int = 0


@dataclass(frozen=True, slots=True)
class Clone:
    """One platform payment method made usable on one connected account, with its lineage."""

    clone_id: str
    platform_customer_id: str
    platform_payment_method_id: str
    connected_account_id: str
    flow: CloneFlow
    state: CloneState
    connected_object_id: str = ""
    """pm_..., tok_... or src_..., after the flow."""
    charge_with: str = ""
    """What a PaymentIntent on the account takes: the object itself, or the card_... a token became when attached."""
    connected_customer_id: str = ""
    summary: PaymentMethodSummary = field(default_factory=PaymentMethodSummary)
    platform_fingerprint: str = ""
    """The original's fingerprint on the platform at verify_time; "" until the original was first read."""
    generation: int = 0
    """0 for the first reusable clone of (account, payment method, flow), one more for each that superseded it."""
    reusable: bool = False
    """Whether this is the clone that others of the same (account, payment method, flow) reuse."""
    superseded_by_clone_id: str = ""
    last_error: str = ""
    """The stored error as JSON (errors.encode), why it is FAILED or STALE."""
    metadata: dict[str, str] = field(default_factory=dict)
    create_time_us: int = 0
    update_time_us: int = 0
    verify_time_us: int = 0
    version: int = 1
    """Grows with every write; the etag is made of it."""


@dataclass(frozen=True, slots=True)
class Decline:
    """Why an issuer or Stripe declined, in Stripe's codes."""

    code: str = ""
    decline_code: str = ""
    advice_code: str = ""
    network_decline_code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the front end must do. `client_secret` is never stored: it is read from Stripe when it is handed out."""

    type: str = ""
    client_secret: str = field(default="", repr=False)
    redirect_url: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """A direct charge on a connected account, in the charge's own currency."""

    charge_id: str
    clone_id: str
    platform_customer_id: str
    connected_account_id: str
    amount: Money
    state: ChargeState
    connected_customer_id: str = ""
    stripe_payment_intent_id: str = ""
    stripe_charge_id: str = ""
    amount_capturable: int = 0
    amount_received: int = 0
    amount_refunded: int = 0
    application_fee: int = 0
    """Minor units; 0 means none."""
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    next_action: NextAction | None = None
    decline: Decline | None = None
    off_session: bool = False
    stripe_dispute_id: str = ""
    dispute_status: str = ""
    """Stripe's word for how the dispute stands (needs_response, won, lost, ...); "" without one."""
    request_id: str = ""
    """The request that made it; `<leg>:<request_id>` for a leg of a basket."""
    basket_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    create_time_us: int = 0
    update_time_us: int = 0
    version: int = 1


class RefundState(StrEnum):
    """Life of a refund."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund of a direct charge."""

    refund_id: str
    charge_id: str
    connected_account_id: str
    amount: Money
    state: RefundState
    stripe_refund_id: str = ""
    reason: str = ""
    request_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    create_time_us: int = 0
    update_time_us: int = 0
    version: int = 1


def etag(version: int, identifier: str) -> str:
    """Opaque guard of a row: changes on every write."""
    return f'"{identifier[-6:]}-{version}"'
