"""What callers ask for, as frozen values: made by the rpc layer, stored so that any replica can go on.

`request_id` is not part of a command: it names the intent, the command says what the intent is.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import ClassVar

from cloneservice_server.domain.values import CaptureMethod, CloneFlow, CloneReuse, Money


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """A platform customer to create. E-mail and name go to Stripe only; see `personal` in the codec."""

    external_reference: str = ""
    email: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """How to attach: to a named connected customer, or (empty) to the one that stands for the platform customer."""

    connected_customer_id: str = ""
    set_default: bool = False


@dataclass(frozen=True, slots=True)
class ChargeOptions:
    """What to charge; `application_fee` in the same currency, or None."""

    amount: Money
    application_fee: Money | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    off_session: bool = False
    defer_confirmation: bool = False
    return_url: str = ""
    description: str = ""
    statement_descriptor_suffix: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SavePaymentMethod:
    """Attach pm_, tok_ or src_ to a platform customer, found or new."""

    method: ClassVar[str] = "SavePaymentMethod"
    platform_payment_method_id: str
    platform_customer_id: str = ""
    new_customer: NewCustomer | None = None
    set_default: bool = False


@dataclass(frozen=True, slots=True)
class ClonePaymentMethod:
    """Clone one saved payment method to one connected account; attach it when `attach` is given."""

    method: ClassVar[str] = "ClonePaymentMethod"
    platform_customer_id: str
    connected_account_id: str
    platform_payment_method_id: str = ""
    flow: CloneFlow | None = None
    reuse: CloneReuse = CloneReuse.IF_CURRENT
    attach: AttachOptions | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttachClone:
    """Attach an unattached clone to a connected customer."""

    method: ClassVar[str] = "AttachClone"
    clone_id: str
    attach: AttachOptions = field(default_factory=AttachOptions)
    etag: str = ""


@dataclass(frozen=True, slots=True)
class RefreshClone:
    """Compare a clone with the platform's object; replace it if it is stale."""

    method: ClassVar[str] = "RefreshClone"
    clone_id: str
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class RevokeClone:
    """Detach a clone for good."""

    method: ClassVar[str] = "RevokeClone"
    clone_id: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class CreateCharge:
    """Charge a clone directly on its account."""

    method: ClassVar[str] = "CreateCharge"
    clone_id: str
    charge: ChargeOptions


@dataclass(frozen=True, slots=True)
class CloneAndCharge:
    """Clone (or reuse), attach unless `one_shot`, and charge, as one resumable workflow."""

    method: ClassVar[str] = "CloneAndCharge"
    platform_customer_id: str
    connected_account_id: str
    charge: ChargeOptions
    platform_payment_method_id: str = ""
    flow: CloneFlow | None = None
    reuse: CloneReuse = CloneReuse.IF_CURRENT
    attach: AttachOptions | None = None
    one_shot: bool = False
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class ConfirmCharge:
    """Confirm a charge that waits for it: deferred, or declined for want of the shopper, who is here now."""

    method: ClassVar[str] = "ConfirmCharge"
    charge_id: str
    off_session: bool = False
    return_url: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class CaptureCharge:
    """Capture an authorised charge; `amount` None is all of it, `application_fee` None leaves the fee."""

    method: ClassVar[str] = "CaptureCharge"
    charge_id: str
    amount: Money | None = None
    application_fee: Money | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class CancelCharge:
    """Cancel a charge that was not captured; `reason` is Stripe's cancellation_reason, or ""."""

    method: ClassVar[str] = "CancelCharge"
    charge_id: str
    reason: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class RefundCharge:
    """Refund a captured charge; `amount` None is all that is left."""

    method: ClassVar[str] = "RefundCharge"
    charge_id: str
    amount: Money | None = None
    reason: str = ""
    refund_application_fee: bool = False
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BasketLegOptions:
    """What one seller gets; `application_fee` in the same currency, or None."""

    connected_account_id: str
    amount: Money
    application_fee: Money | None = None
    description: str = ""
    statement_descriptor_suffix: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChargeBasket:
    """Charge one shopper on several accounts, all or nothing."""

    method: ClassVar[str] = "ChargeBasket"
    platform_customer_id: str
    legs: tuple[BasketLegOptions, ...]
    platform_payment_method_id: str = ""
    flow: CloneFlow | None = None
    off_session: bool = False
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateSetup:
    """Make a SetupIntent for a platform customer, found or new; no types is what the platform has on."""

    method: ClassVar[str] = "CreateSetup"
    platform_customer_id: str = ""
    new_customer: NewCustomer | None = None
    on_behalf_of_account_id: str = ""
    payment_method_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EraseCustomer:
    """Erase a shopper on all accounts and in the ledger; on the platform at Stripe if asked.

    With `connected_account_id` on that account alone, as a batch does: what the ledger knows of the others stays.
    """

    method: ClassVar[str] = "EraseCustomer"
    platform_customer_id: str
    delete_platform_customer: bool = False
    validate_only: bool = False
    connected_account_id: str = ""


@dataclass(frozen=True, slots=True)
class HandleStripeEvent:
    """Bring the ledger up to date after an event of Stripe's: its ids only, "" where it has none.

    `account` is the connected account that it happened on, or "" for the platform; the last two are our metadata.
    """

    method: ClassVar[str] = "HandleStripeEvent"
    event_id: str
    type: str
    account: str = ""
    object_id: str = ""
    customer_id: str = ""
    payment_intent_id: str = ""
    clone_id: str = ""
    platform_customer_id: str = ""


Command = (
    SavePaymentMethod
    | ClonePaymentMethod
    | AttachClone
    | RefreshClone
    | RevokeClone
    | CreateCharge
    | CloneAndCharge
    | ConfirmCharge
    | CaptureCharge
    | CancelCharge
    | RefundCharge
    | ChargeBasket
    | CreateSetup
    | EraseCustomer
    | HandleStripeEvent
)
COMMANDS: dict[str, type[Command]] = {command.method: command for command in typing.get_args(Command)}
