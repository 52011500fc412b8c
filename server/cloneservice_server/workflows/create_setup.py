"""Collecting a payment method: a platform customer, found or new, and a SetupIntent for the shopper's browser."""

from __future__ import annotations

from cloneservice_server.domain.commands import CreateSetup
from cloneservice_server.domain.results import SetupMade
from cloneservice_server.ports import NewEffect, PutPlatformCustomer
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.save_payment_method import find_or_create_customer, recorded_customer


async def create_setup(run: Run, command: CreateSetup) -> SetupMade:
    """Find or create the customer, make the SetupIntent. Its client secret is in the answer, and nowhere else."""
    if command.new_customer is not None:
        customer = await find_or_create_customer(run, command.new_customer)
    else:
        customer = command.platform_customer_id
    effect_id = f"setup:{run.request_id}"
    call = calls.create_setup_intent(customer, command.on_behalf_of_account_id, command.payment_method_types, effect_id)
    kept = await run.effect(NewEffect(effect_id, "setup", call))
    shown = await recorded_customer(run, customer, command.new_customer)
    run.stage(PutPlatformCustomer(shown))
    return SetupMade(shown, str(kept["id"]))
