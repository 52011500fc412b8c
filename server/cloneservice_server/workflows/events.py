"""What Stripe's events change in the ledger. Each handler asks Stripe how things are now, so that order is no matter.

An event says that something may have changed, never what: late, doubled and reordered deliveries all end in the same
rows. An account that the platform has lost is noted whatever event led there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import HandleStripeEvent
from cloneservice_server.domain.results import EventHandled
from cloneservice_server.domain.values import Charge, Clone, CloneState, RequestState
from cloneservice_server.ports import (
    CloneFilter,
    Page,
    PutCharge,
    PutClone,
    PutConnectedAccount,
    PutConnectedCustomer,
    PutRefund,
    StripeCall,
)
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.accounts import look_at_account, unavailable
from cloneservice_server.workflows.charge_events import refund_in_event
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.staleness import LIVING, Comparison, compare, marked, read_original
from cloneservice_server.workflows.stripe_objects import Body, payment_intent_facts, with_payment_intent

Handler = Callable[[Run, HandleStripeEvent], Awaitable[int]]
"""Brings the ledger up to date after an event; how many rows it changed."""

_PAGE = 100
_WAITS, _WAIT_S = 20, 0.1


async def handle_stripe_event(run: Run, command: HandleStripeEvent) -> EventHandled:
    """Bring the ledger up to date with what the event is about."""
    handler = HANDLED[command.type, bool(command.account)]
    try:
        changed = await handler(run, command)
    except errors.AccountUnavailable:
        if not command.account:
            raise
        changed = await _account_changed(run, command)
    return EventHandled(command.event_id, changed)


# ------------------------------------------------------------------------------------------------------------ clones


async def _original_changed(run: Run, command: HandleStripeEvent) -> int:
    """A payment method, card or source of the platform was renewed, or removed: every clone of it is compared."""
    where = CloneFilter(platform_payment_method_id=command.object_id, states=LIVING)
    return await _mark(run, await _all(run, where))


async def _platform_customer_deleted(run: Run, command: HandleStripeEvent) -> int:
    """The shopper is gone, and with them every saved payment method."""
    try:
        body = await run.read(StripeCall("GET", f"/v1/customers/{command.object_id}"), step="platform_read")
    except errors.ResourceNotFound:
        body = {"deleted": True}
    if not body.get("deleted"):
        return 0
    clones = await _all(run, CloneFilter(platform_customer_id=command.object_id, states=LIVING))
    return await _mark(run, clones, Comparison(saved=False))


async def _clone_changed(run: Run, command: HandleStripeEvent) -> int:
    """A clone was renewed by its network, or detached by the account."""
    return await _mark(run, await _clones_on_account(run, command))


async def _clones_on_account(run: Run, command: HandleStripeEvent) -> list[Clone]:
    """By our metadata; it can be written by the account's owner, so ids must agree. Else by the connected customer."""
    if command.clone_id and (named := await run.ledger.get_clone(command.clone_id)):
        found: Iterable[Clone] = [named]
    elif command.customer_id:
        call = StripeCall("GET", f"/v1/customers/{command.customer_id}", command.account)
        try:
            metadata = (await run.read(call, step="clone_read")).get("metadata") or {}
        except errors.ResourceNotFound:
            metadata = {}
        found = await _of_customer(run, command.account, str(metadata.get(calls.PLATFORM_CUSTOMER, "")))
    else:
        found = []
    return [
        made
        for made in found
        if made.connected_account_id == command.account
        and command.object_id in (made.charge_with, made.connected_object_id)
        and made.state in LIVING
    ]


async def _connected_customer_deleted(run: Run, command: HandleStripeEvent) -> int:
    """An account deleted the customer that stands for a shopper there; the next clone makes another."""
    known = await run.ledger.get_connected_customer(command.account, command.platform_customer_id)
    if known is not None and known.connected_customer_id == command.object_id:
        gone = dataclasses.replace(known, connected_customer_id="", generation=known.generation + 1)
        await run.flush(PutConnectedCustomer(gone))
    clones = await _of_customer(run, command.account, command.platform_customer_id)
    return await _mark(run, [made for made in clones if made.connected_customer_id == command.object_id])


async def _of_customer(run: Run, account: str, platform_customer: str) -> list[Clone]:
    if not platform_customer:
        return []
    where = CloneFilter(platform_customer_id=platform_customer, connected_account_id=account, states=LIVING)
    return await _all(run, where)


async def _all(run: Run, where: CloneFilter) -> list[Clone]:
    found: list[Clone] = []
    page = Page(_PAGE)
    while True:
        rows = await run.ledger.list_clones(where, page)
        found += [made for made in rows if not made.superseded_by_clone_id]
        if len(rows) < _PAGE:
            return found
        page = Page(_PAGE, rows[-1].create_time_us, rows[-1].clone_id)


async def _mark(run: Run, clones: list[Clone], known: Comparison | None = None) -> int:
    """Compare each clone with its original and write down what differs; one that is current is left alone."""
    changed = 0
    originals: dict[str, Body | None] = {}
    for made in clones:
        original = made.platform_payment_method_id
        if known is None and original not in originals:
            originals[original] = await read_original(run, made)
        found = known or await compare(run, made, originals[original])
        seen = marked(made, found, run.now_us())
        if (seen.state, seen.last_error) != (made.state, made.last_error):
            await run.flush(PutClone(seen))
            changed += 1
    return changed


# ---------------------------------------------------------------------------------------------------------- accounts


async def _account_changed(run: Run, command: HandleStripeEvent) -> int:
    """Onboarding went on, or the seller left; clones on an account that left cannot be charged."""
    account = command.account
    now = await look_at_account(run, account)
    await run.flush(PutConnectedAccount(now))
    if now.authorized:
        return 1
    why, changed = errors.encode(unavailable(now)), 1
    where = CloneFilter(connected_account_id=account, states=(CloneState.ACTIVE, CloneState.ATTACHED))
    while rows := await run.ledger.list_clones(where, Page(_PAGE)):
        now_us = run.now_us()
        stale = [
            dataclasses.replace(
                made, state=CloneState.STALE, last_error=why, update_time_us=now_us, version=made.version + 1
            )
            for made in rows
        ]
        await run.flush(*map(PutClone, stale))
        changed += len(stale)
    return changed


# ----------------------------------------------------------------------------------------------------------- charges


async def _charge_changed(run: Run, command: HandleStripeEvent) -> int:
    """A PaymentIntent went on, or its charge was refunded."""
    charge = await _charge_of(run, command)
    if charge is None:
        return 0
    return await _keep(run, charge, await _read_charge(run, charge))


async def _refund_changed(run: Run, command: HandleStripeEvent) -> int:
    """A refund went through, or came back; a refund made elsewhere shows in its charge alone."""
    changed = 0
    known = await run.ledger.find_refund(command.account, command.object_id)
    if known is not None:
        body = await run.read(StripeCall("GET", f"/v1/refunds/{command.object_id}", command.account))
        seen = refund_in_event(known, body, run.now_us())
        if seen is not None:
            await run.flush(PutRefund(seen))
            changed = 1
    return changed + await _charge_changed(run, command)


async def _dispute_changed(run: Run, command: HandleStripeEvent) -> int:
    """A dispute was opened, went on or was decided."""
    charge = await _charge_of(run, command)
    if charge is None:
        return 0
    dispute = await run.read(StripeCall("GET", f"/v1/disputes/{command.object_id}", command.account))
    seen = await _read_charge(run, charge)
    seen = dataclasses.replace(seen, stripe_dispute_id=dispute["id"], dispute_status=dispute["status"])
    return await _keep(run, charge, seen)


async def _charge_of(run: Run, command: HandleStripeEvent) -> Charge | None:
    """The charge of the event's PaymentIntent; None when it is not one of ours.

    While the request that makes it still runs, its own answer is as new as the event, and two writers would only
    send each other back: wait a little for it.
    """
    if not command.payment_intent_id:
        return None
    for _ in range(_WAITS):
        charge = await run.ledger.find_charge(command.account, command.payment_intent_id)
        if charge is None:
            return None
        making = await run.ledger.get_request(charge.request_id)
        if making is None or making.state is not RequestState.RUNNING:
            return charge
        await run.clock.sleep(_WAIT_S)
    return charge


async def _read_charge(run: Run, charge: Charge) -> Charge:
    body = await run.read(calls.read_payment_intent(charge))
    return with_payment_intent(charge, payment_intent_facts(body), run.now_us())


async def _keep(run: Run, known: Charge, seen: Charge) -> int:
    if dataclasses.replace(seen, update_time_us=known.update_time_us, version=known.version) == known:
        return 0
    await run.flush(PutCharge(seen))
    return 1


# ------------------------------------------------------------------------------------------------------------- table


def _table(rows: Iterable[tuple[Handler, bool, str]]) -> dict[tuple[str, bool], Handler]:
    return {(kind, connected): handler for handler, connected, kinds in rows for kind in kinds.split()}


_SAVED = (
    "payment_method.updated payment_method.automatically_updated payment_method.detached "
    "customer.source.updated customer.source.deleted"
)
_PAYMENT = (
    "payment_intent.succeeded payment_intent.payment_failed payment_intent.canceled payment_intent.processing "
    "payment_intent.requires_action payment_intent.amount_capturable_updated "
    "charge.refunded"
)
_REFUND = "charge.refund.updated refund.created refund.updated refund.failed"
_DISPUTE = (
    "charge.dispute.created charge.dispute.updated charge.dispute.closed charge.dispute.funds_withdrawn "
    "charge.dispute.funds_reinstated"
)

HANDLED = _table(
    [
        (_original_changed, False, _SAVED),
        (_platform_customer_deleted, False, "customer.deleted"),
        (_clone_changed, True, _SAVED),
        (_connected_customer_deleted, True, "customer.deleted"),
        (_account_changed, True, "account.updated account.application.deauthorized capability.updated"),
        (_charge_changed, True, _PAYMENT),
        (_refund_changed, True, _REFUND),
        (_dispute_changed, True, _DISPUTE),
    ]
)
"""(event type, whether it is a connected account's) to what it changes; every other event is ignored."""
