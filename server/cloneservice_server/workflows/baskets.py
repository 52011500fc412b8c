"""A basket: one shopper charged on several accounts, all or nothing.

    AUTHORIZING --all authorised--> CAPTURING --all captured--> SUCCEEDED
         |                              |
         +--------- a leg refused ------+--> CANCELING --> CANCELED, or BROKEN when a captured leg cannot be refunded

Each arrow is a committed write, and each is committed before anything that follows from it is sent: the decision to
capture (the point of no return) before the first capture, the decision to give back before the first cancellation.
Within a state the legs run at once; each step is an effect named after the leg, so a process that takes the basket up
finds what was done. What is not known is never an answer: the request stays open until every leg has its outcome.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cloneservice_server.domain import errors
from cloneservice_server.domain.baskets import Basket, BasketLeg, BasketLegState, BasketState
from cloneservice_server.domain.commands import (
    AttachOptions,
    BasketLegOptions,
    ChargeBasket,
    ChargeOptions,
    RefundCharge,
)
from cloneservice_server.domain.ids import basket_id_of
from cloneservice_server.domain.results import BasketCharged
from cloneservice_server.domain.values import CaptureMethod, Charge, ChargeState, CloneReuse
from cloneservice_server.ports import EffectState, NewEffect, PutBasket
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.charge_life import cancel, refund_part
from cloneservice_server.workflows.charges import Leg, charge_id_of, stage_created, stage_facts, stage_shown
from cloneservice_server.workflows.clone_and_charge import charge_origin
from cloneservice_server.workflows.clones import Origin, resolve_origin
from cloneservice_server.workflows.run import Run

T = TypeVar("T")
Outcomes = Sequence[T | errors.DomainError]

_AT_ONCE = 5
"""Legs in flight at once: Stripe's limits are per second and platform, and other requests want their share."""


async def charge_basket(run: Run, command: ChargeBasket) -> BasketCharged:
    """Authorise every leg; capture all, or give all back."""
    basket = await _opened(run, command)
    if basket.state is BasketState.AUTHORIZING:
        basket = await _authorize(run, basket, command)
    if basket.state is BasketState.CAPTURING:
        basket = await _capture(run, basket)
    if basket.state is BasketState.CANCELING:
        basket = await _give_back(run, basket, command)
    if basket.state is BasketState.SUCCEEDED:
        return BasketCharged(basket)
    raise errors.decode(basket.error)


async def _opened(run: Run, command: ChargeBasket) -> Basket:
    """The basket of this request, recorded before anything is done for it."""
    basket_id = basket_id_of(run.request_id)
    basket = await run.ledger.get_basket(basket_id)
    if basket is not None:
        if not run.resumed or not _is_for(run, basket, command):
            raise errors.RequestIdReused(
                f"This request_id charged the basket {basket_id} in the past, and its answer is kept no longer; "
                "GetBasket shows it. A new intent needs a new request_id",
                {"request_id": run.request_id, "basket_id": basket_id},
            )
        if basket.state is not BasketState.AUTHORIZING or await _anything_held(run, basket):
            run.nobody_waits = False  # what was begun must end, whoever waits
        return basket
    origin = await resolve_origin(run, command.platform_customer_id, command.platform_payment_method_id, command.flow)
    now = run.now_us()
    basket = Basket(
        basket_id=basket_id,
        platform_customer_id=origin.platform_customer_id,
        platform_payment_method_id=origin.payment_method_id,
        flow=origin.flow,
        state=BasketState.AUTHORIZING,
        legs=tuple(map(_planned, command.legs)),
        request_id=run.request_id,
        metadata=command.metadata,
        create_time_us=now,
        update_time_us=now,
    )
    await run.flush(PutBasket(basket))
    return basket


def _planned(options: BasketLegOptions) -> BasketLeg:
    fee = options.application_fee.minor_units if options.application_fee else 0
    return BasketLeg(options.connected_account_id, options.amount, fee)


def _is_for(run: Run, basket: Basket, command: ChargeBasket) -> bool:
    """Whether it is what is asked for, its shopper erased meanwhile or not."""
    shopper = command.platform_customer_id
    wanted = tuple(map(_planned, command.legs))
    planned = tuple(BasketLeg(leg.connected_account_id, leg.amount, leg.application_fee) for leg in basket.legs)
    return planned == wanted and basket.platform_customer_id in (shopper, run.pseudonyms.of(shopper))


def _leg(basket: Basket, index: int) -> Leg:
    return Leg(f"{index}:{basket.request_id}", basket.basket_id)


# -------------------------------------------------------------------------------------------------------- authorising


async def _authorize(run: Run, basket: Basket, command: ChargeBasket) -> Basket:
    outcomes = await _each(basket, lambda index: _authorize_leg(run, basket, index, command))
    legs = tuple(map(_authorized, basket.legs, outcomes))
    refused = _refused(outcomes)
    if refused is None:
        await _require_known(run, basket, outcomes)
        return await _decide(run, basket, BasketState.CAPTURING, legs)
    index, error = refused
    told = {"basket_id": basket.basket_id, "leg": str(index)}
    error.metadata = {"connected_account_id": basket.legs[index].connected_account_id, **error.metadata, **told}
    return await _decide(run, basket, BasketState.CANCELING, legs, error)


async def _authorize_leg(run: Run, basket: Basket, index: int, command: ChargeBasket) -> Charge:
    options = _charge_options(command, index)
    origin = Origin(basket.platform_customer_id, basket.platform_payment_method_id, basket.flow)
    account, leg = basket.legs[index].connected_account_id, _leg(basket, index)
    _, charge, _ = await charge_origin(
        run, origin, account, options, reuse=CloneReuse.IF_CURRENT, attach=AttachOptions(), leg=leg
    )
    known = {"charge_id": charge.charge_id, "connected_account_id": account}
    if charge.state is ChargeState.REQUIRES_ACTION:
        raise errors.AuthenticationRequired(
            "The issuer wants the customer to authenticate, which a basket cannot wait for: set the card up on session "
            "first",
            known,
            charge=charge,
        )
    if charge.state is not ChargeState.REQUIRES_CAPTURE:
        state = charge.state.value.upper()
        raise errors.InvalidState(f"Charge {charge.charge_id} is {state}, not authorised", {**known, "state": state})
    return charge


def _charge_options(command: ChargeBasket, index: int) -> ChargeOptions:
    leg = command.legs[index]
    return ChargeOptions(
        amount=leg.amount,
        application_fee=leg.application_fee,
        capture_method=CaptureMethod.MANUAL,
        off_session=command.off_session,
        description=leg.description,
        statement_descriptor_suffix=leg.statement_descriptor_suffix,
        metadata=leg.metadata,
    )


def _authorized(leg: BasketLeg, outcome: Charge | errors.DomainError) -> BasketLeg:
    if isinstance(outcome, Charge):
        return dataclasses.replace(leg, state=BasketLegState.AUTHORIZED, charge_id=outcome.charge_id)
    if not outcome.final:
        return leg
    charge_id = outcome.charge.charge_id if outcome.charge else ""
    return dataclasses.replace(leg, state=BasketLegState.FAILED, charge_id=charge_id, error=errors.encode(outcome))


# ---------------------------------------------------------------------------------------------------------- capturing


async def _capture(run: Run, basket: Basket) -> Basket:
    outcomes = await _each(basket, lambda index: _capture_leg(run, basket, index))
    legs = tuple(
        dataclasses.replace(leg, state=BasketLegState.CAPTURED) if isinstance(outcome, Charge) else leg
        for leg, outcome in zip(basket.legs, outcomes, strict=True)
    )
    refused = _refused(outcomes)
    if refused is None:
        await _require_known(run, basket, outcomes)
        return _stage(run, basket, BasketState.SUCCEEDED, legs)
    index, cause = refused
    account = basket.legs[index].connected_account_id
    error = errors.BasketNotCaptured(
        f"All legs were authorised, but Stripe refused to capture the one of {account}: {cause.message}",
        {"basket_id": basket.basket_id, "leg": str(index), "connected_account_id": account, "cause": cause.reason},
    )
    return await _decide(run, basket, BasketState.CANCELING, legs, error)


async def _capture_leg(run: Run, basket: Basket, index: int) -> Charge:
    effect_id = f"capture:{_leg(basket, index).name}"
    charge = await run.ledger.get_charge(basket.legs[index].charge_id)
    assert charge is not None, "an authorised leg has its charge"
    try:
        facts = await run.effect(NewEffect(effect_id, "capture", calls.capture_payment_intent(charge, effect_id)))
    except errors.InvalidState as error:
        shown = stage_shown(run, charge, error)
        if shown.state is ChargeState.SUCCEEDED and shown.amount_received == charge.amount.minor_units:
            return shown  # by other hands, such as the seller's in the dashboard: it is taken, as decided
        raise
    return stage_facts(run, charge, facts)


# -------------------------------------------------------------------------------------------------------- giving back


async def _give_back(run: Run, basket: Basket, command: ChargeBasket) -> Basket:
    outcomes = await _each(basket, lambda index: _give_back_leg(run, basket, index, command))
    legs = tuple(
        outcome if isinstance(outcome, BasketLeg) else leg for leg, outcome in zip(basket.legs, outcomes, strict=True)
    )
    await _require_known(run, basket, outcomes)
    await _settle_open(run, basket)
    stuck = [await _is_stuck_with_money(run, leg) for leg in legs]
    state = BasketState.BROKEN if any(stuck) else BasketState.CANCELED
    error = errors.decode(basket.error)
    if isinstance(error, errors.BasketNotCaptured):
        error.metadata["state"] = state.value.upper()
    return _stage(run, basket, state, legs, error)


async def _give_back_leg(run: Run, basket: Basket, index: int, command: ChargeBasket) -> BasketLeg:
    """Cancel one leg, or refund it where Stripe says that it is captured; a final refusal leaves it STUCK.

    A capture whose answer was lost is not sent again to learn of it: the cancellation tells, and takes no money.
    """
    leg, name = basket.legs[index], _leg(basket, index).name
    charge = await _charge_of(run, basket, index, command)
    if charge is None:
        return _ended(leg, BasketLegState.CANCELED)
    leg = dataclasses.replace(leg, charge_id=charge.charge_id)
    try:
        if charge.state is not ChargeState.SUCCEEDED:
            effect = NewEffect(f"cancel:{name}", "cancel", calls.cancel_payment_intent(charge))
            charge = await cancel(run, charge, effect)
        if charge.state is ChargeState.CANCELED:
            return _ended(leg, BasketLegState.CANCELED)
        whole = RefundCharge(charge.charge_id, refund_application_fee=True)
        refund, _ = await refund_part(run, charge, name, whole)
    except errors.DomainError as error:
        if not error.final:
            raise
        if isinstance(error, errors.InvalidState) and error.metadata.get("state") == "REFUNDED":
            return dataclasses.replace(leg, state=BasketLegState.REFUNDED)  # by other hands
        return dataclasses.replace(leg, state=BasketLegState.STUCK, error=errors.encode(error))
    return dataclasses.replace(leg, state=BasketLegState.REFUNDED, refund_id=refund.refund_id)


def _ended(leg: BasketLeg, state: BasketLegState) -> BasketLeg:
    """A leg of which nothing is held: the one that was refused stays FAILED."""
    return leg if leg.state is BasketLegState.FAILED else dataclasses.replace(leg, state=state)


async def _charge_of(run: Run, basket: Basket, index: int, command: ChargeBasket) -> Charge | None:
    """The leg's charge; one whose creation is still unknown is learnt first. None when there is none to give back."""
    leg = _leg(basket, index)
    charge = await run.ledger.get_charge(charge_id_of(leg.name))
    if charge is not None:
        return charge
    row = await run.ledger.get_effect(f"intent:{leg.name}")
    if row is None or row.state is EffectState.VOID:
        return None
    made = await run.ledger.get_clone(row.call.params["metadata"][calls.CLONE])
    assert made is not None, "a clone is recorded before it is charged"
    try:
        facts = await run.effect(NewEffect(row.effect_id, row.kind, row.call))
    except errors.DomainError as error:
        if not error.final:
            raise
        return None
    return stage_created(run, made, _charge_options(command, index), leg, facts)[1]


async def _settle_open(run: Run, basket: Basket) -> None:
    """Learn what became of every step that is still open, so that none is left to happen later."""
    await run.flush()
    for row in await run.ledger.open_effects(run.request_id):
        try:
            await run.effect(NewEffect(row.effect_id, row.kind, row.call))
        except errors.DomainError as error:
            if not error.final:
                raise _under_way(basket, error) from error


async def _is_stuck_with_money(run: Run, leg: BasketLeg) -> bool:
    if leg.state is not BasketLegState.STUCK:
        return False
    charge = await run.ledger.get_charge(leg.charge_id)
    return charge is not None and charge.state is ChargeState.SUCCEEDED


# ------------------------------------------------------------------------------------------------ what the states share


async def _each(basket: Basket, work: Callable[[int], Awaitable[T]]) -> Outcomes[T]:
    """The outcome of `work` for each leg, a few at once. All of them end first, so that none goes on behind the run."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(index: int) -> T:
        async with places:
            return await work(index)

    outcomes = await asyncio.gather(*map(one, range(len(basket.legs))), return_exceptions=True)
    known: list[T | errors.DomainError] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, errors.DomainError):
            raise outcome
        known.append(outcome)
    return known


def _refused(outcomes: Outcomes[T]) -> tuple[int, errors.DomainError] | None:
    """The first leg that was refused for good, and why."""
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, errors.DomainError) and outcome.final:
            return index, outcome
    return None


async def _require_known(run: Run, basket: Basket, outcomes: Outcomes[T]) -> None:
    """Raise unless every leg has its outcome.

    Once a PaymentIntent may exist, nobody may be told that nothing was done, and the basket must end with no caller.
    """
    open_ones = [outcome for outcome in outcomes if isinstance(outcome, errors.DomainError)]
    if not open_ones:
        return
    if basket.state is BasketState.AUTHORIZING and not await _anything_held(run, basket):
        raise open_ones[0]
    raise _under_way(basket, open_ones[0]) from open_ones[0]


async def _anything_held(run: Run, basket: Basket) -> bool:
    """Whether a PaymentIntent of the basket may exist."""
    for index in range(len(basket.legs)):
        if await run.ledger.get_effect(f"intent:{_leg(basket, index).name}") is not None:
            return True
    return False


def _under_way(basket: Basket, cause: errors.DomainError) -> errors.OutcomeUnknown:
    return errors.OutcomeUnknown(
        f"Basket {basket.basket_id} is under way ({cause.message}). It ends by itself; repeat with the same "
        "request_id, or ask GetBasket",
        {"basket_id": basket.basket_id, "state": basket.state.value.upper(), "cause": cause.reason},
        retry_after_s=1.0,
    )


async def _decide(
    run: Run,
    basket: Basket,
    state: BasketState,
    legs: tuple[BasketLeg, ...],
    error: errors.DomainError | None = None,
) -> Basket:
    """Commit a decision, with all that led to it, before anything that follows from it is sent."""
    decided = _stage(run, basket, state, legs, error)
    await run.flush()
    return decided


def _stage(
    run: Run,
    basket: Basket,
    state: BasketState,
    legs: tuple[BasketLeg, ...],
    error: errors.DomainError | None = None,
) -> Basket:
    changed = dataclasses.replace(
        basket,
        state=state,
        legs=legs,
        error=errors.encode(error) if error else basket.error,
        update_time_us=run.now_us(),
        version=basket.version + 1,
    )
    run.stage(PutBasket(changed))
    return changed
