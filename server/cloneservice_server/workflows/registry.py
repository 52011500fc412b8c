"""Which workflow carries out which command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cloneservice_server.domain.commands import (
    AttachClone,
    CancelCharge,
    CaptureCharge,
    ChargeBasket,
    CloneAndCharge,
    ClonePaymentMethod,
    Command,
    ConfirmCharge,
    CreateCharge,
    CreateSetup,
    EraseCustomer,
    HandleStripeEvent,
    RefreshClone,
    RefundCharge,
    RevokeClone,
    SavePaymentMethod,
)
from cloneservice_server.domain.results import Result
from cloneservice_server.workflows import baskets, charge_life, create_setup, events, staleness
from cloneservice_server.workflows import clone_and_charge as cloning
from cloneservice_server.workflows import erase_customer as erasing
from cloneservice_server.workflows import revoke_clone as revoking
from cloneservice_server.workflows import save_payment_method as saving
from cloneservice_server.workflows.run import Run


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow, how to preview it (`validate_only`), and how its command loses personal data once it is over."""

    carry_out: Callable[[Run, Any], Awaitable[Result]]
    preview: Callable[[Run, Any], Awaitable[Result]] | None = None
    without_personal_data: Callable[[Any], Command] | None = None
    unattended: bool = False
    """Nobody waits for it and nobody repeats it: what fails for now is tried again by itself."""


WORKFLOWS: dict[type[Command], Workflow] = {
    SavePaymentMethod: Workflow(saving.save_payment_method, without_personal_data=saving.without_personal_data),
    ClonePaymentMethod: Workflow(cloning.clone_payment_method),
    AttachClone: Workflow(cloning.attach_clone),
    RefreshClone: Workflow(staleness.refresh_clone, preview=staleness.preview_refresh_clone),
    RevokeClone: Workflow(revoking.revoke_clone),
    CreateCharge: Workflow(cloning.create_charge),
    CloneAndCharge: Workflow(cloning.clone_and_charge, preview=cloning.preview_clone_and_charge),
    ConfirmCharge: Workflow(charge_life.confirm_charge),
    CaptureCharge: Workflow(charge_life.capture_charge),
    CancelCharge: Workflow(charge_life.cancel_charge),
    RefundCharge: Workflow(charge_life.refund_charge),
    CreateSetup: Workflow(create_setup.create_setup, without_personal_data=saving.without_personal_data),
    EraseCustomer: Workflow(
        erasing.erase_customer,
        preview=erasing.preview_erase_customer,
        without_personal_data=erasing.without_personal_data,
    ),
    HandleStripeEvent: Workflow(events.handle_stripe_event, unattended=True),
    ChargeBasket: Workflow(baskets.charge_basket),
}
