"""Saving a payment method on the platform: a customer, found or new, with pm_, tok_ or src_ attached."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TypeVar

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import CreateSetup, NewCustomer, SavePaymentMethod
from cloneservice_server.domain.results import SavedPaymentMethod
from cloneservice_server.domain.values import PaymentMethodSummary, PlatformCustomer, PlatformPaymentMethod
from cloneservice_server.ports import NewEffect, PutPlatformCustomer, StripeCall
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.stripe_objects import default_payment_method

Collecting = TypeVar("Collecting", SavePaymentMethod, CreateSetup)


async def save_payment_method(run: Run, command: SavePaymentMethod) -> SavedPaymentMethod:
    """Find or create the customer, attach, make default if asked."""
    if command.new_customer is not None:
        customer = await find_or_create_customer(run, command.new_customer)
    else:
        customer = command.platform_customer_id
    saved, summary = await _attach(run, command.platform_payment_method_id, customer)
    if command.set_default:
        await run.effect(
            NewEffect(f"platform_default:{run.request_id}", "platform_default", calls.set_default(customer, saved))
        )
    shown = await recorded_customer(run, customer, command.new_customer)
    run.stage(PutPlatformCustomer(shown))
    return SavedPaymentMethod(
        shown,
        PlatformPaymentMethod(saved, customer, summary, is_default=saved == shown.default_platform_payment_method_id),
    )


async def find_or_create_customer(run: Run, new: NewCustomer) -> str:
    """One customer per external reference, however many requests bring it; without one, the request's own."""
    if not new.external_reference:
        effect_id = f"platform_customer:{run.request_id}"
    elif known := await run.ledger.find_platform_customer(new.external_reference):
        return known.platform_customer_id
    else:
        digest = hashlib.sha256(new.external_reference.encode()).hexdigest()[:32]
        effect_id = f"platform_customer:ref:{digest}"
    call = calls.create_platform_customer(new, effect_id)
    kept = await run.effect(NewEffect(effect_id, "platform_customer", call))
    return str(kept["id"])


async def recorded_customer(run: Run, customer: str, new: NewCustomer | None) -> PlatformCustomer:
    """A platform customer as the ledger keeps it: read from Stripe, without e-mail and name."""
    body = await run.read(StripeCall("GET", f"/v1/customers/{customer}"), step="platform_read")
    if body.get("deleted"):
        raise errors.not_found("platform_customer", customer)
    known = await run.ledger.get_platform_customer(customer)
    reference = new.external_reference if new else ""
    labels = {key: value for key, value in (body.get("metadata") or {}).items() if not key.startswith("cloneservice_")}
    return PlatformCustomer(
        platform_customer_id=customer,
        external_reference=known.external_reference if known else reference,
        default_platform_payment_method_id=default_payment_method(body),
        metadata=labels,
        create_time_us=known.create_time_us if known else run.now_us(),
    )


async def _attach(run: Run, payment_method: str, customer: str) -> tuple[str, PaymentMethodSummary]:
    effect_id = f"platform_attach:{run.request_id}"
    if payment_method.startswith("pm_"):
        call = calls.attach_platform_payment_method(payment_method, customer)
    elif payment_method.startswith(("tok_", "src_")):
        call = calls.attach_platform_source(payment_method, customer, effect_id)
    else:
        raise errors.invalid("platform_payment_method_id", "must be a pm_, tok_ or src_ id")
    kept = await run.effect(NewEffect(effect_id, "platform_attach", call))
    fields = {field.name: kept[field.name] for field in dataclasses.fields(PaymentMethodSummary)}
    return str(kept["id"]), PaymentMethodSummary(**fields)


def without_personal_data(command: Collecting) -> Collecting:
    """The command as it may stay in the ledger: e-mail and name are kept only while the request runs."""
    if command.new_customer is None:
        return command
    return dataclasses.replace(command, new_customer=dataclasses.replace(command.new_customer, email="", name=""))
