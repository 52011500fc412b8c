"""Handing out what the front end needs: client secrets live in Stripe and in the answer, nowhere in between."""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain.results import ChargeMade, CloneCharged, Result, SetupMade
from cloneservice_server.domain.values import Charge
from cloneservice_server.ports import StripeCall
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.stripe_objects import next_action_of


async def with_next_action(run: Run, result: Result) -> Result:
    """The result with its charge's next action in full: out of this run's memory, or read from Stripe for a replay."""
    if isinstance(result, SetupMade):
        return await _with_setup_secret(run, result)
    if not isinstance(result, (ChargeMade, CloneCharged)) or result.charge is None or result.charge.next_action is None:
        return result
    return dataclasses.replace(result, charge=await _filled(run, result.charge))


async def _with_setup_secret(run: Run, made: SetupMade) -> SetupMade:
    """The SetupIntent's client secret, for the shopper's browser."""
    action = run.actions.get(made.stripe_setup_intent_id)
    if action is None:
        call = StripeCall("GET", f"/v1/setup_intents/{made.stripe_setup_intent_id}")
        action = next_action_of(await run.read(call, step="platform_read"))
    return dataclasses.replace(made, next_action=action)


async def _filled(run: Run, charge: Charge) -> Charge:
    action = run.actions.get(charge.stripe_payment_intent_id)
    if action is None:
        path = f"/v1/payment_intents/{charge.stripe_payment_intent_id}"
        action = next_action_of(await run.read(StripeCall("GET", path, charge.connected_account_id)))
    # The customer may have acted since: then there is nothing left to hand out, and GetCharge tells the state.
    return dataclasses.replace(charge, next_action=action or charge.next_action)
