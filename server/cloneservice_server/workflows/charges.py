"""A direct charge in two phases: create the PaymentIntent (no money moves), record it, confirm that one.

One PaymentIntent succeeds at most once whatever happens to keys, leases and clocks: that is what exactly-once rests on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import ChargeOptions
from cloneservice_server.domain.ids import derived_id
from cloneservice_server.domain.values import Charge, ChargeState, Clone, CloneState
from cloneservice_server.ports import LinkRequest, NewEffect, PutCharge, PutClone, Refused
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.accounts import require_account
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.stripe_objects import (
    Body,
    decline_facts,
    news_of,
    payment_intent_facts,
    with_payment_intent,
)


def charge_id_of(request_id: str) -> str:
    """The id of the charge that `request_id` makes; the same whenever it is asked."""
    return derived_id("chg", f"charge:{request_id}")


@dataclass(frozen=True, slots=True)
class Leg:
    """Which charge of a request that makes several: a leg of a basket. Names of effects end in the request_id."""

    name: str
    """`<index>:<request_id>`."""
    basket_id: str


async def make_charge(run: Run, made: Clone, options: ChargeOptions, leg: Leg | None = None) -> tuple[Clone, Charge]:
    """Create and confirm the charge of this request (or leg) with a clone; the clone comes back as the charge left it.

    Raises CloneNotUsable, CardDeclined or AuthenticationRequired (with the recorded charge), and what `Run.effect`
    raises.
    """
    name = leg.name if leg else run.request_id
    charge_id = charge_id_of(name)
    charge = await run.ledger.get_charge(charge_id) if run.resumed or run.row.charge_id else None
    if charge is not None:
        await _require_own(run, charge, name)
    if leg is not None and made.summary.type == "us_bank_account":
        raise errors.invalid(
            "platform_payment_method_id", "must be a card: a bank debit cannot be authorised first and captured later"
        )
    if charge is None:
        made, charge = await _create(run, made, options, leg, charge_id)
    if not options.defer_confirmation:
        call = calls.confirm_payment_intent(charge, off_session=options.off_session, return_url=options.return_url)
        charge = await confirm(run, charge, NewEffect(f"confirm:{name}", "confirm", call))
    return made, charge


async def _require_own(run: Run, charge: Charge, name: str) -> None:
    """Raise RequestIdReused for a charge that was made under this request_id before the request was forgotten.

    Its amount may be another, and confirming it a second time nobody has asked for. Our own charge was written together
    with the outcome of our own intent.
    """
    intent = await run.ledger.get_effect(f"intent:{name}")
    if intent is None or intent.stripe_id != charge.stripe_payment_intent_id:
        raise errors.RequestIdReused(
            f"This request_id made the charge {charge.charge_id} in the past, and its answer is kept no longer; "
            "GetCharge shows the charge. A new intent needs a new request_id",
            {"request_id": run.request_id, "charge_id": charge.charge_id},
        )


async def _create(
    run: Run, made: Clone, options: ChargeOptions, leg: Leg | None, charge_id: str
) -> tuple[Clone, Charge]:
    require_usable(made)
    if made.state is CloneState.ACTIVE:  # one attempt is all it has: not for an account that is known to refuse it
        await require_account(run, made.connected_account_id, to_charge=True)
    name, basket_id = (leg.name, leg.basket_id) if leg else (run.request_id, "")
    call = calls.create_payment_intent(made, options, name, charge_id, basket_id)
    facts = await run.effect(NewEffect(f"intent:{name}", "intent", call))
    return stage_created(run, made, options, leg, facts)


def stage_created(run: Run, made: Clone, options: ChargeOptions, leg: Leg | None, facts: Body) -> tuple[Clone, Charge]:
    """The charge of a PaymentIntent just created, and the clone as that leaves it; both staged."""
    name, basket_id = (leg.name, leg.basket_id) if leg else (run.request_id, "")
    charge_id = charge_id_of(name)
    now = run.now_us()
    charge = Charge(
        charge_id=charge_id,
        clone_id=made.clone_id,
        platform_customer_id=made.platform_customer_id,
        connected_account_id=made.connected_account_id,
        connected_customer_id=made.connected_customer_id,
        stripe_payment_intent_id=facts["id"],
        amount=options.amount,
        application_fee=options.application_fee.minor_units if options.application_fee else 0,
        capture_method=options.capture_method,
        state=ChargeState.REQUIRES_CONFIRMATION,
        off_session=options.off_session,
        request_id=name,
        basket_id=basket_id,
        metadata=options.metadata,
        create_time_us=now,
        update_time_us=now,
    )
    run.stage(PutCharge(charge))
    if leg is None:
        run.stage(LinkRequest(charge_id=charge_id))
    if made.state is CloneState.ACTIVE:  # unattached: this attempt spends it, even a declined one (recorded)
        made = _with_state(made, CloneState.CONSUMED, now)
        run.stage(PutClone(made))
    return made, charge


async def confirm(run: Run, charge: Charge, effect: NewEffect) -> Charge:
    """Confirm the charge's PaymentIntent; the charge comes back as Stripe then shows it, and staged.

    Raises CardDeclined or AuthenticationRequired (with the recorded charge), and what `Run.effect` raises.
    """
    try:
        facts = await run.effect(effect)
    except errors.CardDeclined as error:
        declined = _declined(charge, error.__cause__, run.now_us())
        run.stage(PutCharge(declined))
        error.charge = declined
        error.metadata.update(charge_id=charge.charge_id, connected_account_id=charge.connected_account_id)
        raise
    except errors.InvalidState as error:
        stage_shown(run, charge, error)
        raise
    except errors.OutcomeUnknown:
        if charge.state is not ChargeState.INDETERMINATE:
            run.stage(
                PutCharge(dataclasses.replace(charge, state=ChargeState.INDETERMINATE, version=charge.version + 1))
            )
        raise
    charged = with_payment_intent(charge, facts, run.now_us())
    run.stage(PutCharge(charged))
    return charged


def stage_shown(run: Run, charge: Charge, error: errors.InvalidState) -> Charge:
    """The charge as the PaymentIntent in Stripe's refusal shows it, staged; as it was if the refusal shows none."""
    cause = error.__cause__
    body = cause.body.get("payment_intent") if isinstance(cause, Refused) else None
    return stage_facts(run, charge, payment_intent_facts(body)) if isinstance(body, dict) else charge


def stage_facts(run: Run, charge: Charge, facts: Body) -> Charge:
    """The charge as the facts of its PaymentIntent show it, staged if that is news."""
    seen = news_of(charge, facts, run.now_us())
    if seen is None:
        return charge
    run.stage(PutCharge(seen))
    return seen


def _declined(charge: Charge, cause: BaseException | None, now_us: int) -> Charge:
    details: Body = cause.body if isinstance(cause, Refused) else {}
    body = details.get("payment_intent")
    facts = payment_intent_facts(body) if body else {"id": charge.stripe_payment_intent_id}
    failed = details.get("charge") or facts.get("latest_charge") or ""
    known = {**facts, "status": "requires_payment_method", "latest_charge": failed, "decline": decline_facts(details)}
    return with_payment_intent(charge, known, now_us)


def require_usable(made: Clone) -> None:
    """Raise CloneNotUsable unless the clone can be charged."""
    if made.state in (CloneState.ATTACHED, CloneState.ACTIVE):
        return
    successor = {"superseded_by_clone_id": made.superseded_by_clone_id} if made.superseded_by_clone_id else {}
    raise errors.CloneNotUsable(
        f"Clone {made.clone_id} is {made.state.value}; clone the payment method again, or use CloneAndCharge",
        {"clone_id": made.clone_id, "state": made.state.value.upper(), **successor},
    )


def _with_state(made: Clone, state: CloneState, now_us: int) -> Clone:
    # `reusable` stays: a spent clone holds its place until another supersedes it with the next generation.
    return dataclasses.replace(made, state=state, update_time_us=now_us, version=made.version + 1)
