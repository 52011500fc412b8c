"""The workflows that clone and charge: each reads as its story."""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import (
    AttachClone,
    AttachOptions,
    ChargeOptions,
    CloneAndCharge,
    ClonePaymentMethod,
    CreateCharge,
)
from cloneservice_server.domain.results import ChargeMade, CloneCharged, CloneMade
from cloneservice_server.domain.values import Charge, Clone, CloneReuse, CloneState, etag
from cloneservice_server.ports import PutClone, StripeCall
from cloneservice_server.workflows.charges import Leg, make_charge
from cloneservice_server.workflows.clones import (
    Origin,
    attach_to_customer,
    ensure_clone,
    resolve_origin,
    set_default_if_asked,
)
from cloneservice_server.workflows.run import Run


async def clone_payment_method(run: Run, command: ClonePaymentMethod) -> CloneMade:
    """Clone, and attach if asked."""
    origin = await resolve_origin(run, command.platform_customer_id, command.platform_payment_method_id, command.flow)
    made, reused = await ensure_clone(
        run, origin, command.connected_account_id, reuse=command.reuse, attach=command.attach, labels=command.metadata
    )
    return CloneMade(made, reused)


async def attach_clone(run: Run, command: AttachClone) -> CloneMade:
    """Attach a clone that was made without."""
    made = await _known_clone(run, command.clone_id)
    if command.etag and command.etag != etag(made.version, made.clone_id) and not run.resumed:
        raise errors.EtagMismatch(f"Clone {made.clone_id} was changed since", {"clone_id": made.clone_id})
    wanted = command.attach.connected_customer_id
    if made.state is CloneState.ATTACHED and wanted in ("", made.connected_customer_id):
        await set_default_if_asked(run, made, command.attach)
        return CloneMade(made, reused=True)
    if made.state is not CloneState.ACTIVE:
        raise errors.InvalidState(
            f"Clone {made.clone_id} is {made.state.value}; only an ACTIVE clone can be attached",
            {"clone_id": made.clone_id, "state": made.state.value.upper()},
        )
    attached = await attach_to_customer(run, made, command.attach)
    await set_default_if_asked(run, attached, command.attach)
    return CloneMade(attached)


async def create_charge(run: Run, command: CreateCharge) -> ChargeMade:
    """Charge a clone."""
    made = await _known_clone(run, command.clone_id)
    _, charge = await make_charge(run, made, command.charge)
    return ChargeMade(charge)


async def clone_and_charge(run: Run, command: CloneAndCharge) -> CloneCharged:
    """Clone or reuse, attach unless one-shot, charge; a clone found spent on the way is made anew, once."""
    origin = await resolve_origin(run, command.platform_customer_id, command.platform_payment_method_id, command.flow)
    attach = None if command.one_shot else command.attach or AttachOptions()
    reuse = CloneReuse.NEVER if command.one_shot else command.reuse
    account = command.connected_account_id
    return CloneCharged(*await charge_origin(run, origin, account, command.charge, reuse=reuse, attach=attach))


async def charge_origin(
    run: Run,
    origin: Origin,
    account: str,
    options: ChargeOptions,
    *,
    reuse: CloneReuse,
    attach: AttachOptions | None,
    leg: Leg | None = None,
) -> tuple[Clone, Charge, bool]:
    """Clone or reuse, attach if asked, charge: the clone, the charge, and whether the clone was there before."""
    made, reused = await ensure_clone(run, origin, account, reuse=reuse, attach=attach)
    try:
        made, charge = await make_charge(run, made, options, leg)
    except (errors.CloneNotUsable, errors.ResourceNotFound) as error:
        # Spent or detached there, or its connected customer was deleted there: the lineage did not know.
        gone = isinstance(error, errors.CloneNotUsable) or error.resource_name == made.connected_customer_id
        if not (reused and gone):
            raise
        await run.flush(PutClone(_stale(made, run.now_us())))
        made, _ = await ensure_clone(run, origin, account, reuse=reuse, attach=attach)
        made, charge = await make_charge(run, made, options, leg)
        reused = False
    return made, charge, reused


async def preview_clone_and_charge(run: Run, command: CloneAndCharge) -> CloneCharged:
    """`validate_only`: look at everything the workflow would rest on, change nothing, record nothing."""
    origin = await resolve_origin(run, command.platform_customer_id, command.platform_payment_method_id, command.flow)
    await _require_saved(run, origin.platform_customer_id, origin.payment_method_id)
    account = await run.read(StripeCall("GET", "/v1/account", command.connected_account_id), step="account_read")
    if run.livemode and not account.get("charges_enabled", True):
        raise errors.AccountUnavailable(
            f"{command.connected_account_id} cannot take charges yet",
            {"connected_account_id": command.connected_account_id},
        )
    current = await run.ledger.find_reusable_clone(command.connected_account_id, origin.payment_method_id, origin.flow)
    usable = current if current is not None and current.state is CloneState.ATTACHED else None
    return CloneCharged(usable, None, reused=usable is not None)


async def _require_saved(run: Run, customer: str, payment_method: str) -> None:
    """The original must be saved on the named customer, or the clone would use it up."""
    if payment_method.startswith("pm_"):
        call = StripeCall("GET", f"/v1/payment_methods/{payment_method}")
    else:
        call = StripeCall("GET", f"/v1/customers/{customer}/sources/{payment_method}")
    body = await run.read(call, step="platform_read")
    if body.get("customer") != customer:
        raise errors.NotCloneable(
            f"{payment_method} is not saved on {customer}", {"id": payment_method, "platform_customer_id": customer}
        )


async def _known_clone(run: Run, clone_id: str) -> Clone:
    made = await run.ledger.get_clone(clone_id)
    if made is None:
        raise errors.not_found("clone", clone_id)
    return made


def _stale(made: Clone, now_us: int) -> Clone:
    return dataclasses.replace(made, state=CloneState.STALE, update_time_us=now_us, version=made.version + 1)
