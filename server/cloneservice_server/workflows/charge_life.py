"""What happens to a charge after it was made: confirmed, captured, cancelled, refunded.

Each verb reads the ledger's charge, asks Stripe only where the ledger does not already allow the verb (the shopper may
have acted since), records one effect named after the request, and lets Stripe decide between two requests that want
the same: a PaymentIntent is confirmed and captured once, and no more is refunded than there is.

What holds already is answered and not refused: confirming a charge that is confirmed, cancelling one that is cancelled.
"""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import CancelCharge, CaptureCharge, ConfirmCharge, RefundCharge
from cloneservice_server.domain.ids import refund_id_of
from cloneservice_server.domain.results import ChargeMade, RefundMade
from cloneservice_server.domain.values import Charge, ChargeState, CloneState, Money, Refund, RefundState, etag
from cloneservice_server.ports import EffectRow, EffectState, NewEffect, PutCharge, PutRefund, StripeCall
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.charges import confirm, stage_facts, stage_shown
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.stripe_objects import next_action_of, payment_intent_facts

_CONFIRMED = (ChargeState.PROCESSING, ChargeState.REQUIRES_CAPTURE, ChargeState.SUCCEEDED)


async def confirm_charge(run: Run, command: ConfirmCharge) -> ChargeMade:
    """Confirm a deferred charge, or one that was declined for want of the shopper; see what became of one in 3DS."""
    charge = await _known(run, command.charge_id)
    effect_id = f"confirm:{run.request_id}"
    begun = await _begun(run, effect_id)
    if begun is not None:
        return ChargeMade(await confirm(run, charge, NewEffect(effect_id, begun.kind, begun.call)))
    _require_etag(charge, command.etag)
    await _require_free(run, charge)
    charge = await _refreshed(run, charge)
    if charge.state in _CONFIRMED or charge.state is ChargeState.REQUIRES_ACTION:
        return ChargeMade(charge)
    if charge.state is ChargeState.DECLINED:
        call = await _confirmation_anew(run, charge, command)
        return ChargeMade(await confirm(run, charge, NewEffect(effect_id, "reconfirm", call)))
    if charge.state is not ChargeState.REQUIRES_CONFIRMATION:
        raise _not_possible(charge, "confirmed")
    call = calls.confirm_payment_intent(charge, off_session=command.off_session, return_url=command.return_url)
    return ChargeMade(await confirm(run, charge, NewEffect(effect_id, "confirm", call)))


async def _confirmation_anew(run: Run, charge: Charge, command: ConfirmCharge) -> StripeCall:
    """A decline took the payment method off the PaymentIntent, so it is named again."""
    made = await run.ledger.get_clone(charge.clone_id)
    if made is None or made.state is not CloneState.ATTACHED:
        state = made.state.value.upper() if made else "ERASED"
        raise errors.CloneNotUsable(
            f"Clone {charge.clone_id} is {state}: the charge cannot be tried again with it",
            {"clone_id": charge.clone_id, "state": state},
        )
    return calls.confirm_payment_intent(
        charge, off_session=command.off_session, return_url=command.return_url, payment_method=made.charge_with
    )


async def capture_charge(run: Run, command: CaptureCharge) -> ChargeMade:
    """Capture an authorised charge, whole or in part; the fee may be restated."""
    charge = await _known(run, command.charge_id)
    effect_id = f"capture:{run.request_id}"
    begun = await _begun(run, effect_id)
    if begun is not None:
        return ChargeMade(await capture(run, charge, NewEffect(effect_id, "capture", begun.call)))
    _require_etag(charge, command.etag)
    await _require_free(run, charge)
    if charge.state is not ChargeState.REQUIRES_CAPTURE:
        charge = await _refreshed(run, charge)
    if charge.state is not ChargeState.REQUIRES_CAPTURE:
        raise _not_possible(charge, "captured")
    _require_capturable(charge, command)
    call = calls.capture_payment_intent(charge, effect_id, command)
    return ChargeMade(await capture(run, charge, NewEffect(effect_id, "capture", call)))


def _require_capturable(charge: Charge, command: CaptureCharge) -> None:
    amount = command.amount or Money(charge.amount_capturable, charge.amount.currency_code)
    _require_currency(charge, "amount", amount)
    if amount.minor_units > charge.amount_capturable:
        raise errors.invalid("amount.minor_units", f"must be at most {charge.amount_capturable}, what was authorised")
    fee = command.application_fee or Money(charge.application_fee, charge.amount.currency_code)
    _require_currency(charge, "application_fee", fee)
    if fee.minor_units > amount.minor_units:
        raise errors.invalid(
            "application_fee.minor_units", f"must be at most the {amount.minor_units} to be captured; restate the fee"
        )


async def capture(run: Run, charge: Charge, effect: NewEffect) -> Charge:
    """Carry out a capture; the charge comes back captured and staged. Raises what `Run.effect` raises."""
    try:
        facts = await run.effect(effect)
    except errors.InvalidState as error:
        stage_shown(run, charge, error)
        raise
    return stage_facts(run, charge, facts)


async def cancel_charge(run: Run, command: CancelCharge) -> ChargeMade:
    """Cancel a charge that was not captured."""
    charge = await _known(run, command.charge_id)
    effect_id = f"cancel:{run.request_id}"
    begun = await _begun(run, effect_id)
    if begun is None:
        _require_etag(charge, command.etag)
        await _require_free(run, charge)
        if charge.state is ChargeState.CANCELED:
            return ChargeMade(charge)
        if charge.state is ChargeState.SUCCEEDED:
            raise _not_possible(charge, "cancelled; refund it")
    call = begun.call if begun else calls.cancel_payment_intent(charge, command.reason)
    charge = await cancel(run, charge, NewEffect(effect_id, "cancel", call))
    if charge.state is not ChargeState.CANCELED:
        raise _not_possible(charge, "cancelled; refund it")
    return ChargeMade(charge)


async def cancel(run: Run, charge: Charge, effect: NewEffect) -> Charge:
    """Carry out a cancellation; the charge comes back staged, and CANCELED unless Stripe shows that it is too late.

    Raises what `Run.effect` raises but InvalidState.
    """
    try:
        facts = await run.effect(effect)
    except errors.InvalidState as error:
        return stage_shown(run, charge, error)
    return stage_facts(run, charge, facts)


async def refund_charge(run: Run, command: RefundCharge) -> RefundMade:
    """Refund a captured charge, whole or in part."""
    charge = await _known(run, command.charge_id)
    begun = await _begun(run, f"refund:{run.request_id}")
    if begun is None:
        await _require_new_refund(run)
        await _require_basket_over(run, charge)
        if charge.state is not ChargeState.SUCCEEDED or _left(charge, command) < 0:
            charge = await _refreshed(run, charge)
        _require_refundable(charge, command)
    refund, charge = await refund_part(run, charge, run.request_id, command, begun)
    return RefundMade(refund, charge)


async def _require_new_refund(run: Run) -> None:
    """Raise RequestIdReused for a refund made under this request_id before the request was forgotten."""
    refund_id = refund_id_of(run.request_id)
    if await run.ledger.get_refund(refund_id) is not None:
        raise errors.RequestIdReused(
            f"This request_id made the refund {refund_id} in the past, and its answer is kept no longer; ListRefunds "
            "shows it. A new intent needs a new request_id",
            {"request_id": run.request_id, "refund_id": refund_id},
        )


def _left(charge: Charge, command: RefundCharge) -> int:
    """What would be left of the charge after the refund; negative when it is too much."""
    asked = command.amount.minor_units if command.amount else 1
    return charge.amount_received - charge.amount_refunded - asked


def _require_refundable(charge: Charge, command: RefundCharge) -> None:
    if charge.state is not ChargeState.SUCCEEDED:
        raise _not_possible(
            charge, "refunded; cancel it" if charge.state is ChargeState.REQUIRES_CAPTURE else "refunded"
        )
    if command.amount is not None:
        _require_currency(charge, "amount", command.amount)
    left = charge.amount_received - charge.amount_refunded
    if left <= 0:
        raise errors.InvalidState(
            f"Charge {charge.charge_id} is refunded in full",
            {"charge_id": charge.charge_id, "state": "REFUNDED"},
        )
    if _left(charge, command) < 0:
        error = errors.invalid("amount.minor_units", f"must be at most {left}, what is left of the charge")
        error.metadata.update(charge_id=charge.charge_id, left=str(left))
        raise error


async def refund_part(
    run: Run, charge: Charge, name: str, command: RefundCharge, begun: EffectRow | None = None
) -> tuple[Refund, Charge]:
    """Carry out the refund named `name` (a request_id, or a basket's leg); both come back staged.

    Raises what `Run.effect` raises.
    """
    if run.resumed and (known := await run.ledger.get_refund(refund_id_of(name))) is not None:
        return known, charge
    effect_id = f"refund:{name}"
    call = begun.call if begun else calls.refund(charge, name, command)
    kept = await run.effect(NewEffect(effect_id, "refund", call))
    now = run.now_us()
    refund = Refund(
        refund_id=refund_id_of(name),
        charge_id=charge.charge_id,
        connected_account_id=charge.connected_account_id,
        amount=Money(kept["amount"], charge.amount.currency_code),
        state=RefundState(kept["status"]),
        stripe_refund_id=kept["id"],
        reason=command.reason,
        request_id=name,
        metadata=command.metadata,
        create_time_us=now,
        update_time_us=now,
    )
    # Two refunds at once: the later answer may be recorded first, so the sum must not go back.
    gone = max(charge.amount_refunded, kept.get("amount_refunded", charge.amount_refunded + kept["amount"]))
    refunded = dataclasses.replace(charge, amount_refunded=gone, update_time_us=now, version=charge.version + 1)
    run.stage(PutRefund(refund), PutCharge(refunded))
    return refund, refunded


# ------------------------------------------------------------------------------------------------- what the verbs share


async def _known(run: Run, charge_id: str) -> Charge:
    charge = await run.ledger.get_charge(charge_id)
    if charge is None:
        raise errors.not_found("charge", charge_id)
    return charge


async def _begun(run: Run, effect_id: str) -> EffectRow | None:
    """The effect that an earlier attempt of this request recorded: what was decided then is carried out."""
    row = await run.ledger.get_effect(effect_id) if run.resumed else None
    return None if row is None or row.state is EffectState.VOID else row


def _require_etag(charge: Charge, given: str) -> None:
    if given and given != etag(charge.version, charge.charge_id):
        raise errors.EtagMismatch(f"Charge {charge.charge_id} was changed since", {"charge_id": charge.charge_id})


async def _require_free(run: Run, charge: Charge) -> None:
    """Raise InvalidState while a basket decides over it, RequestInProgress while its confirmation is unknown."""
    await _require_basket_over(run, charge)
    confirmation = await run.ledger.get_effect(f"confirm:{charge.request_id}")
    if confirmation is not None and confirmation.state is EffectState.INTENT:
        raise errors.RequestInProgress(
            f"What became of the confirmation of {charge.charge_id} is not known yet; it will be",
            {"charge_id": charge.charge_id},
            retry_after_s=2.0,
        )


async def _require_basket_over(run: Run, charge: Charge) -> None:
    basket = await run.ledger.get_basket(charge.basket_id) if charge.basket_id else None
    if basket is not None and not basket.state.final:
        raise errors.InvalidState(
            f"Charge {charge.charge_id} is a leg of basket {basket.basket_id}, which captures or cancels it",
            {"charge_id": charge.charge_id, "basket_id": basket.basket_id, "state": charge.state.value.upper()},
        )


async def _refreshed(run: Run, charge: Charge) -> Charge:
    """The charge as Stripe shows it now; staged if that is news."""
    body = await run.read(calls.read_payment_intent(charge))
    if action := next_action_of(body):
        run.actions[charge.stripe_payment_intent_id] = action
    return stage_facts(run, charge, payment_intent_facts(body))


def _require_currency(charge: Charge, field: str, amount: Money) -> None:
    if amount.currency_code != charge.amount.currency_code:
        raise errors.invalid(f"{field}.currency_code", f"must be {charge.amount.currency_code}, the charge's")


def _not_possible(charge: Charge, verb: str) -> errors.InvalidState:
    state = charge.state.value.upper()
    return errors.InvalidState(
        f"Charge {charge.charge_id} is {state}: it cannot be {verb}", {"charge_id": charge.charge_id, "state": state}
    )
