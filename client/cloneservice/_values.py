"""The contract's messages as frozen values: what calls take and what they answer.

Money is integer minor units; times are timezone-aware UTC datetimes, None when the service has none to tell. A text
field that is not set is "". Enum values are Stripe's own words where Stripe has one. An enum value from a newer service
reads as UNRECOGNIZED: treat it as neither usable nor final.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class CloneFlow(StrEnum):
    """Which Stripe mechanism makes the clone."""

    PAYMENT_METHOD = "payment_method"
    TOKEN = "token"  # noqa: S105 - the name of a Stripe mechanism
    SOURCE = "source"
    UNRECOGNIZED = "unrecognized"


class CloneReuse(StrEnum):
    """What to do when a usable clone of the same object already exists on the account."""

    IF_CURRENT = "if_current"
    NEVER = "never"
    UNRECOGNIZED = "unrecognized"


class CaptureMethod(StrEnum):
    """When funds move: on confirmation, or later with `capture_charge`."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    UNRECOGNIZED = "unrecognized"


class CloneState(StrEnum):
    """Life of a clone: ACTIVE is good for one charge only, ATTACHED is reusable."""

    UNSPECIFIED = "unspecified"
    CREATING = "creating"
    ACTIVE = "active"
    ATTACHED = "attached"
    CONSUMED = "consumed"
    STALE = "stale"
    REVOKED = "revoked"
    ERASED = "erased"
    FAILED = "failed"
    UNRECOGNIZED = "unrecognized"


class ChargeState(StrEnum):
    """Life of a direct charge, named after Stripe's PaymentIntent statuses.

    INDETERMINATE means that Stripe's answer was lost; the service finds out and leaves the state by itself.
    """

    UNSPECIFIED = "unspecified"
    CREATING = "creating"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    REQUIRES_CAPTURE = "requires_capture"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    CANCELED = "canceled"
    INDETERMINATE = "indeterminate"
    UNRECOGNIZED = "unrecognized"


class RefundState(StrEnum):
    """Life of a refund."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNRECOGNIZED = "unrecognized"


class BasketState(StrEnum):
    """Life of a basket: SUCCEEDED is all legs captured, CANCELED is none, BROKEN needs a person."""

    UNSPECIFIED = "unspecified"
    AUTHORIZING = "authorizing"
    CAPTURING = "capturing"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    BROKEN = "broken"
    UNRECOGNIZED = "unrecognized"

    @property
    def final(self) -> bool:
        """Whether the basket will not change by itself any more."""
        return self in (BasketState.SUCCEEDED, BasketState.CANCELED, BasketState.BROKEN)


class BasketLegState(StrEnum):
    """Life of one seller's part of a basket."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUNDED = "refunded"
    STUCK = "stuck"
    UNRECOGNIZED = "unrecognized"


class RequestState(StrEnum):
    """What became of a request_id. UNKNOWN is the service's word for "never seen: nothing was done"."""

    UNSPECIFIED = "unspecified"
    UNKNOWN = "unknown"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    UNRECOGNIZED = "unrecognized"


class BatchOperation(StrEnum):
    """What each item of a batch does."""

    UNSPECIFIED = "unspecified"
    CLONE = "clone"
    REFRESH = "refresh"
    REVOKE = "revoke"
    ERASE = "erase"
    UNRECOGNIZED = "unrecognized"


class BatchState(StrEnum):
    """Life of a batch."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    PARTIALLY_FAILED = "partially_failed"
    CANCELED = "canceled"
    OPEN = "open"
    UNRECOGNIZED = "unrecognized"

    @property
    def final(self) -> bool:
        """Whether the batch will not change by itself any more."""
        return self in (BatchState.SUCCEEDED, BatchState.PARTIALLY_FAILED, BatchState.CANCELED)


class BatchItemState(StrEnum):
    """Life of one item of a batch."""

    UNSPECIFIED = "unspecified"
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNRECOGNIZED = "unrecognized"


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in the currency's smallest unit.

    `Money(1099, "USD")` is 10.99 dollars, `Money(1099, "JPY")` is 1099 yen. `currency_code` is
    ISO 4217, taken in any case and kept in upper case.

    Raises:
        TypeError: `minor_units` is not an int. A float would be off by a factor of 100 sooner or later.
    """

    minor_units: int
    currency_code: str

    def __post_init__(self) -> None:
        if not isinstance(self.minor_units, int) or isinstance(self.minor_units, bool):
            raise TypeError(f"minor_units must be an int in the smallest unit, not {self.minor_units!r}")
        object.__setattr__(self, "currency_code", self.currency_code.upper())

    def __str__(self) -> str:
        return f"{self.minor_units} {self.currency_code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCustomer:
    """A platform customer to create. E-mail and name go to Stripe and are not stored by the service."""

    external_reference: str = ""
    email: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions:
    """How to attach: to a named customer on the connected account, or (empty) to the one for this platform customer."""

    connected_customer_id: str = ""
    set_default: bool = False


@dataclass(frozen=True, slots=True)
class BasketLegOptions:
    """What one seller of a basket gets; `application_fee` is the platform's share, in the same currency."""

    connected_account_id: str
    amount: Money
    application_fee: Money | None = None
    description: str = ""
    statement_descriptor_suffix: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class BatchPair:
    """One item to be: a platform customer (and one of its methods, or "" for the default) on one connected account."""

    platform_customer_id: str
    connected_account_id: str
    platform_payment_method_id: str = ""


@dataclass(frozen=True, slots=True)
class CrossProduct:
    """Every customer on every account; at most 1,000,000 items."""

    platform_customer_ids: tuple[str, ...]
    connected_account_ids: tuple[str, ...]
    all_payment_methods: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A stored error: why a clone is FAILED or STALE, or why an item of a batch failed.

    `code` is the name of the gRPC status ("FAILED_PRECONDITION"); `reason` is the contract's word, "" if none is given.
    """

    code: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodSummary:
    """What may safely be shown about a payment method; `exp_month` and `exp_year` are 0 when it has none."""

    type: str = ""
    brand: str = ""
    last4: str = ""
    exp_month: int = 0
    exp_year: int = 0
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCustomer:
    """A customer on the platform account (cus_...)."""

    platform_customer_id: str
    external_reference: str = ""
    default_platform_payment_method_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    create_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPaymentMethod:
    """A payment method saved on the platform account (pm_..., or the legacy card_... and src_...)."""

    platform_payment_method_id: str
    platform_customer_id: str = ""
    summary: PaymentMethodSummary = PaymentMethodSummary()
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """A platform payment method made usable on one connected account, with the lineage that Stripe does not keep.

    Exactly one of the three `connected_..._id` of the Stripe object is set, by `flow`.
    """

    clone_id: str
    platform_customer_id: str = ""
    platform_payment_method_id: str = ""
    connected_account_id: str = ""
    connected_customer_id: str = ""
    flow: CloneFlow | None = None
    connected_payment_method_id: str = ""
    connected_token_id: str = ""
    connected_source_id: str = ""
    state: CloneState = CloneState.UNSPECIFIED
    summary: PaymentMethodSummary = PaymentMethodSummary()
    superseded_by_clone_id: str = ""
    last_error: Failure | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    create_time: datetime | None = None
    update_time: datetime | None = None
    verify_time: datetime | None = None
    etag: str = ""

    @property
    def connected_object_id(self) -> str:
        """The Stripe object on the connected account, whichever kind it is."""
        return self.connected_payment_method_id or self.connected_token_id or self.connected_source_id


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAction:
    """What the front end must do before a charge or set-up can go on; only the call that made it is told.

    `client_secret` is for Stripe.js, with the connected account's id; it is kept out of repr and belongs in no log.
    """

    type: str = ""
    client_secret: str = field(default="", repr=False)
    redirect_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """Why an issuer or Stripe declined, in Stripe's codes; `message` is for people, not for parsing."""

    code: str = ""
    decline_code: str = ""
    advice_code: str = ""
    network_decline_code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A direct charge on a connected account; the amounts are None where the service did not state them."""

    charge_id: str
    clone_id: str = ""
    platform_customer_id: str = ""
    connected_account_id: str = ""
    connected_customer_id: str = ""
    stripe_payment_intent_id: str = ""
    stripe_charge_id: str = ""
    amount: Money | None = None
    amount_capturable: Money | None = None
    amount_received: Money | None = None
    amount_refunded: Money | None = None
    application_fee: Money | None = None
    capture_method: CaptureMethod | None = None
    state: ChargeState = ChargeState.UNSPECIFIED
    next_action: NextAction | None = None
    decline: Decline | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    create_time: datetime | None = None
    update_time: datetime | None = None
    etag: str = ""
    basket_id: str = ""
    stripe_dispute_id: str = ""
    """The dispute (du_... or dp_...), once the cardholder disputed the charge."""
    dispute_status: str = ""
    """Stripe's word for how it stands: needs_response, under_review, won, lost and others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund of a direct charge."""

    refund_id: str
    stripe_refund_id: str = ""
    charge_id: str = ""
    amount: Money | None = None
    state: RefundState = RefundState.UNSPECIFIED
    create_time: datetime | None = None
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketLeg:
    """One seller's part of a basket, as of the basket's last change; `error` says why it is FAILED or STUCK."""

    connected_account_id: str
    amount: Money | None = None
    application_fee: Money | None = None
    state: BasketLegState = BasketLegState.UNSPECIFIED
    charge_id: str = ""
    refund_id: str = ""
    error: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """One shopper's purchase from several sellers: charged on all of their accounts, or on none."""

    basket_id: str
    platform_customer_id: str = ""
    platform_payment_method_id: str = ""
    state: BasketState = BasketState.UNSPECIFIED
    legs: tuple[BasketLeg, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    create_time: datetime | None = None
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFailures:
    """Items of a batch that failed for one reason (an ErrorReason's name); the indexes of the first few."""

    reason: str
    count: int
    example_indexes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneBatch:
    """A durable job over many (payment method, account) pairs.

    `failures`, `items_per_second` and `items_per_second_limit` (what Stripe's limits allow; 0.0 where nothing limits)
    are told by get_batch, and by the last event of a watch.
    """

    batch_id: str
    operation: BatchOperation = BatchOperation.UNSPECIFIED
    state: BatchState = BatchState.UNSPECIFIED
    total_count: int = 0
    succeeded_count: int = 0
    failed_count: int = 0
    skipped_count: int = 0
    last_sequence: int = 0
    create_time: datetime | None = None
    end_time: datetime | None = None
    reused_count: int = 0
    start_time: datetime | None = None
    failures: tuple[BatchFailures, ...] = ()
    items_per_second: float = 0.0
    items_per_second_limit: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneBatchItem:
    """One item of a batch; once final it has a `clone` or an `error`."""

    index: int
    platform_customer_id: str = ""
    platform_payment_method_id: str = ""
    connected_account_id: str = ""
    state: BatchItemState = BatchItemState.UNSPECIFIED
    clone: Clone | None = None
    error: Failure | None = None
    attempt_count: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEvent:
    """One event of a watched batch: an `item` changed, or the `batch` did (or is alive: a heartbeat every 15 s).

    Store `sequence` to go on from here later with `watch_batch(batch_id, after_sequence=...)`.
    """

    sequence: int
    item: CloneBatchItem | None = None
    batch: CloneBatch | None = None
