"""Making, reusing and attaching clones: the part that ClonePaymentMethod, AttachClone and CloneAndCharge share.

What many requests may want at once (the reusable clone of a payment method on an account, the connected customer of a
shopper there) is an effect named after what it makes, so that all of them make one; the rest is the request's own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import AttachOptions
from cloneservice_server.domain.ids import derived_id
from cloneservice_server.domain.values import (
    Clone,
    CloneFlow,
    CloneReuse,
    CloneState,
    ConnectedCustomer,
    PaymentMethodSummary,
)
from cloneservice_server.ports import EffectState, LinkRequest, NewEffect, PutClone, PutConnectedCustomer, StripeCall
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.accounts import require_account
from cloneservice_server.workflows.run import Restart, Run
from cloneservice_server.workflows.stripe_objects import Body, default_payment_method

FLOWS: dict[str, tuple[CloneFlow, ...]] = {
    # What Stripe lets be cloned how, by the id's prefix; the first is our choice when the caller has none.
    "pm": (CloneFlow.PAYMENT_METHOD,),
    "card": (CloneFlow.TOKEN, CloneFlow.PAYMENT_METHOD),
    "ba": (CloneFlow.TOKEN,),
    "src": (CloneFlow.SOURCE,),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """What is to be cloned, and how."""

    platform_customer_id: str
    payment_method_id: str
    flow: CloneFlow


async def resolve_origin(run: Run, customer: str, payment_method: str, flow: CloneFlow | None) -> Origin:
    """The payment method named, or the customer's default; with the flow that fits its id.

    Raises ResourceNotFound, NotCloneable (metadata `usable_flow` when another flow would do).
    """
    if run.resumed and run.row.clone_id and (known := await run.ledger.get_clone(run.row.clone_id)):
        return Origin(known.platform_customer_id, known.platform_payment_method_id, known.flow)
    if not payment_method:
        payment_method = await _default_of(run, customer)
    usable = FLOWS.get(payment_method.split("_", 1)[0], ())
    if not usable:
        raise errors.NotCloneable(f"{payment_method} is not a payment method, card, bank account or source")
    if flow is not None and flow not in usable:
        best = usable[0].value.upper()
        raise errors.NotCloneable(
            f"{payment_method} cannot be cloned by the {flow.value.upper()} flow; use {best}",
            {"id": payment_method, "usable_flow": f"CLONE_FLOW_{best}"},
        )
    return Origin(customer, payment_method, flow or usable[0])


async def _default_of(run: Run, customer: str) -> str:
    body = await run.read(StripeCall("GET", f"/v1/customers/{customer}"), step="platform_read")
    if body.get("deleted"):  # Stripe answers 200 for a deleted customer
        raise errors.not_found("platform_customer", customer)
    if default := default_payment_method(body):
        return default
    raise errors.NotCloneable(
        f"{customer} has no default payment method; name one with platform_payment_method_id", {"id": customer}
    )


async def ensure_clone(
    run: Run,
    origin: Origin,
    account: str,
    *,
    reuse: CloneReuse,
    attach: AttachOptions | None,
    labels: dict[str, str] | None = None,
) -> tuple[Clone, bool]:
    """A usable clone on `account`, attached and its customer's default if asked, and whether it was there before."""
    made, reused = await _found_or_made(run, origin, account, reuse=reuse, attach=attach, labels=labels or {})
    if attach is not None:
        await set_default_if_asked(run, made, attach)
    return made, reused


async def _found_or_made(
    run: Run,
    origin: Origin,
    account: str,
    *,
    reuse: CloneReuse,
    attach: AttachOptions | None,
    labels: dict[str, str],
) -> tuple[Clone, bool]:
    current = None
    if reuse is CloneReuse.IF_CURRENT:
        current = await run.ledger.find_reusable_clone(account, origin.payment_method_id, origin.flow)
    if current is not None and _serves(current, origin, attach) and not await _has_begun_its_own(run):
        # After a crash the clone of this very request is found: it is not one that was there before.
        return current, not (run.resumed and run.row.clone_id == current.clone_id)
    shared = reuse is CloneReuse.IF_CURRENT and attach is not None and not attach.connected_customer_id
    if shared and current is not None and current.state is CloneState.ACTIVE:
        made = current
    else:
        made = await _make_clone(run, origin, account, labels, shared=shared, replaced=current if shared else None)
    if attach is not None and made.state is CloneState.ACTIVE:
        made = await attach_to_customer(run, made, attach)
    return made, False


async def _has_begun_its_own(run: Run) -> bool:
    """A clone of the request's own that may be there already is finished, not left behind for one made since."""
    if not run.resumed:
        return False
    row = await run.ledger.get_effect(f"clone:{run.request_id}")
    return row is not None and row.state is EffectState.INTENT


def _serves(current: Clone, origin: Origin, attach: AttachOptions | None) -> bool:
    named = attach.connected_customer_id if attach else ""
    return (
        current.state is CloneState.ATTACHED
        and current.platform_customer_id == origin.platform_customer_id
        and named in ("", current.connected_customer_id)
    )


async def replace_clone(run: Run, stale: Clone, *, set_default: bool) -> Clone:
    """A new clone of the same original that supersedes `stale`, attached where that one was."""
    origin = Origin(stale.platform_customer_id, stale.platform_payment_method_id, stale.flow)
    made = await _make_clone(
        run, origin, stale.connected_account_id, stale.metadata, shared=stale.reusable, replaced=stale
    )
    return await attach_successor(run, made, stale, set_default=set_default)


async def attach_successor(run: Run, made: Clone, stale: Clone, *, set_default: bool) -> Clone:
    """Attach `made` to the customer that `stale` is attached to, if it is."""
    if not stale.connected_customer_id:
        return made
    # The shared customer is found by lineage, so that one deleted at Stripe is made anew; any other is the caller's.
    options = AttachOptions("" if made.reusable else stale.connected_customer_id, set_default)
    if made.state is CloneState.ACTIVE:
        made = await attach_to_customer(run, made, options)
    await set_default_if_asked(run, made, options)
    return made


def shared_clone_effect(account: str, payment_method: str, flow: CloneFlow, generation: int) -> str:
    """The effect that makes a reusable clone, named after what it makes; the clone's id is derived from it."""
    return f"clone:{account}:{payment_method}:{flow.value}:{generation}"


async def _first_generation(run: Run, account: str, origin: Origin, *, shared: bool) -> int:
    """0, or the one after a clone that was erased: the names up to that one are spent, and so are their keys."""
    if not shared:
        return 0
    original = run.pseudonyms.of(origin.payment_method_id)
    erased = await run.ledger.find_reusable_clone(account, original, origin.flow)
    return erased.generation + 1 if erased else 0


async def _make_clone(
    run: Run, origin: Origin, account: str, labels: dict[str, str], *, shared: bool, replaced: Clone | None
) -> Clone:
    generation = replaced.generation + 1 if replaced else await _first_generation(run, account, origin, shared=shared)
    natural = shared_clone_effect(account, origin.payment_method_id, origin.flow, generation)
    effect_id = natural if shared else f"clone:{run.request_id}"
    clone_id = derived_id("cln", effect_id)
    if run.resumed and (known := await run.ledger.get_clone(clone_id)):
        return known
    metadata = {
        **labels,
        calls.EFFECT: effect_id,
        calls.CLONE: clone_id,
        calls.PLATFORM_CUSTOMER: origin.platform_customer_id,
        calls.PLATFORM_PAYMENT_METHOD: origin.payment_method_id,
    }
    await require_account(run, account)
    call = calls.clone(origin.flow, account, origin.platform_customer_id, origin.payment_method_id, metadata)
    kept = await run.effect(NewEffect(effect_id, "clone", call))
    now = run.now_us()
    made = Clone(
        clone_id=clone_id,
        platform_customer_id=origin.platform_customer_id,
        platform_payment_method_id=origin.payment_method_id,
        connected_account_id=account,
        flow=origin.flow,
        state=CloneState.ACTIVE,
        connected_object_id=kept["id"],
        charge_with=kept["id"],
        summary=_summary(kept),
        generation=generation,
        reusable=shared,
        metadata=labels,
        create_time_us=now,
        update_time_us=now,
        verify_time_us=now,
    )
    if replaced is not None:
        run.stage(PutClone(_superseded(replaced, clone_id, now)))
    run.stage(PutClone(made), LinkRequest(clone_id=clone_id))
    return made


def _summary(kept: Body) -> PaymentMethodSummary:
    return PaymentMethodSummary(
        **{name: kept[name] for name in ("type", "brand", "last4", "exp_month", "exp_year", "fingerprint")}
    )


def _superseded(old: Clone, clone_id: str, now_us: int) -> Clone:
    return dataclasses.replace(
        old, reusable=False, superseded_by_clone_id=clone_id, update_time_us=now_us, version=old.version + 1
    )


async def attach_to_customer(run: Run, made: Clone, options: AttachOptions) -> Clone:
    """Attach an ACTIVE clone to the named connected customer, or to the one that stands for the platform customer."""
    known = None
    customer = options.connected_customer_id
    if not customer:
        known = await run.ledger.get_connected_customer(made.connected_account_id, made.platform_customer_id)
        customer = known.connected_customer_id if known else ""
        if known is None:  # one that was erased has left its generation: its name is spent
            alias = run.pseudonyms.of(made.platform_customer_id)
            known = await run.ledger.get_connected_customer(made.connected_account_id, alias)
        if customer:
            await _require_unchanged(run, made)
    if customer:
        charge_with = await _attach(run, made, customer, known)
    else:
        customer, charge_with = await _create_customer(run, made, known.generation if known else 0)
    attached = dataclasses.replace(
        made,
        state=CloneState.ATTACHED,
        connected_customer_id=customer,
        charge_with=charge_with,
        update_time_us=run.now_us(),
        version=made.version + 1,
    )
    run.stage(PutClone(attached))
    return attached


async def _require_unchanged(run: Run, made: Clone) -> None:
    """Raise Restart if another request made the customer with this very clone after we had read the clone as ACTIVE.

    It is attached then, and what was attached as a token or source can be attached no second time.
    """
    stored = await run.ledger.get_clone(made.clone_id)
    if stored is not None and stored.version != made.version:
        raise Restart


async def _create_customer(run: Run, made: Clone, generation: int) -> tuple[str, str]:
    """The connected customer, created with this clone attached and as its default: (customer, what to charge)."""
    account, original = made.connected_account_id, made.platform_customer_id
    effect_id = f"customer:{account}:{original}:{generation}"
    kept = await run.effect(NewEffect(effect_id, "customer", calls.create_connected_customer(made, effect_id)))
    customer: str = kept["id"]
    run.stage(PutConnectedCustomer(ConnectedCustomer(account, original, customer, generation, run.now_us())))
    if kept["made_with"] != made.clone_id:  # another request made it, with another of the shopper's cards
        return customer, await _attach(run, made, customer, None)
    return customer, kept["default_source"] if made.flow is CloneFlow.TOKEN else made.connected_object_id


async def _attach(run: Run, made: Clone, customer: str, known: ConnectedCustomer | None) -> str:
    effect_id = f"attach:{made.clone_id}:{customer}"
    try:
        kept = await run.effect(NewEffect(effect_id, "attach", calls.attach_clone(made, customer, effect_id)))
    except errors.ResourceNotFound as error:
        if known is None or error.resource_name != customer:
            raise
        # Somebody deleted our customer on the account: forget it, and make the next one.
        gone = dataclasses.replace(known, connected_customer_id="", generation=known.generation + 1)
        await run.flush(PutConnectedCustomer(gone))
        raise Restart from error
    return kept["id"] if made.flow is CloneFlow.TOKEN else made.connected_object_id


async def set_default_if_asked(run: Run, made: Clone, options: AttachOptions) -> None:
    """Make an attached clone its customer's default, also one that was found attached."""
    if options.set_default:
        call = calls.set_default(made.connected_customer_id, made.charge_with, made.connected_account_id)
        await run.effect(NewEffect(f"default:{run.request_id}", "connected_default", call))
