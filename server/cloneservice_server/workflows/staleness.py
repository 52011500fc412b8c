"""Is a clone still what the platform has? Comparing, marking, and making the successor of one that is stale.

A clone is an object of its own: Stripe renews, removes and deletes the original without telling it. Both are read and
compared on what is shown of them. Fingerprints are compared over time on the platform only, because they are not the
same across accounts.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import RefreshClone
from cloneservice_server.domain.results import CloneRefreshed
from cloneservice_server.domain.values import Clone, CloneState, PaymentMethodSummary
from cloneservice_server.ports import EffectTaken, PutClone, StripeCall
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.clones import attach_successor, replace_clone
from cloneservice_server.workflows.run import Run
from cloneservice_server.workflows.stripe_objects import Body, default_payment_method, summary_of

LIVING = (CloneState.ACTIVE, CloneState.ATTACHED, CloneState.STALE)
"""States of a clone that can be compared, and brought up to date."""
_COMPARED = ("type", "brand", "last4", "exp_month", "exp_year")
_SUCCESSORS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the platform and the account show of a clone now."""

    saved: bool
    """Whether the original is still saved on its customer."""
    differing: tuple[str, ...] = ()
    """What differs: names of PaymentMethodSummary, or "attachment"."""
    summary: PaymentMethodSummary = dataclasses.field(default_factory=PaymentMethodSummary)
    """The clone, as its account shows it."""
    platform_fingerprint: str = ""

    @property
    def current(self) -> bool:
        """Whether the clone can stay."""
        return self.saved and not self.differing


async def refresh_clone(run: Run, command: RefreshClone) -> CloneRefreshed:
    """Compare; keep what is current, replace what is stale. Raises NotCloneable when the original is gone."""
    made, before = await _newest(run, command.clone_id)
    ours = run.resumed and made.clone_id == run.row.clone_id
    if before is not None and (ours or made.state is CloneState.ACTIVE):
        # A successor that is not attached yet: of this request, before a crash; or of another that runs just now.
        set_default = await _is_default(run, before)
        return CloneRefreshed(await attach_successor(run, made, before, set_default=set_default), changed=ours)
    _require_living(made)
    found = await compare(run, made, await read_original(run, made))
    if found.current:
        kept = marked(made, found, run.now_us())
        run.stage(PutClone(kept))
        return CloneRefreshed(kept)
    stale = marked(made, found, run.now_us())
    run.stage(PutClone(stale))
    if not found.saved:
        raise errors.decode(stale.last_error)
    set_default = await _is_default(run, stale)
    return CloneRefreshed(await replace_clone(run, stale, set_default=set_default), changed=True)


async def preview_refresh_clone(run: Run, command: RefreshClone) -> CloneRefreshed:
    """`validate_only`: compare and mark, change nothing at Stripe."""
    made, _ = await _newest(run, command.clone_id)
    _require_living(made)
    found = await compare(run, made, await read_original(run, made))
    seen = marked(made, found, run.now_us())
    try:
        await run.ledger.commit(None, [PutClone(seen)])
    except EffectTaken:  # a workflow wrote at the same time: its word is newer than what we read
        seen = await run.ledger.get_clone(made.clone_id) or seen
    return CloneRefreshed(seen)


async def read_original(run: Run, made: Clone) -> Body | None:
    """The original of a clone; None when there is none any more."""
    try:
        body = await run.read(calls.read_original(made), step="platform_read")
    except errors.ResourceNotFound:
        return None
    return None if body.get("deleted") else body


async def compare(run: Run, made: Clone, original: Body | None) -> Comparison:
    """Read the clone and compare. Raises AccountUnavailable, and what else a read raises."""
    if original is None or original.get("customer") != made.platform_customer_id:
        return Comparison(saved=False)
    on_platform = summary_of(original)
    try:
        body = await run.read(calls.read_clone(made), step="clone_read")
    except (errors.CloneNotUsable, errors.ResourceNotFound):
        return Comparison(saved=True, differing=("attachment",), summary=made.summary)
    differing = _differing(on_platform, body, made)
    return Comparison(True, differing, _summary(body), on_platform.fingerprint)


def _differing(on_platform: PaymentMethodSummary, body: Body, made: Clone) -> tuple[str, ...]:
    on_account = _summary(body)
    names = [name for name in _COMPARED if getattr(on_platform, name) != getattr(on_account, name)]
    if made.platform_fingerprint not in ("", on_platform.fingerprint):
        names.append("fingerprint")
    if made.connected_customer_id and body.get("customer") != made.connected_customer_id:
        names.append("attachment")
    return tuple(names)


def _summary(body: Body) -> PaymentMethodSummary:
    return summary_of(body.get("card") or body.get("bank_account") or body if body.get("object") == "token" else body)


def marked(made: Clone, found: Comparison, now_us: int) -> Clone:
    """The clone as the comparison leaves it: verified, or STALE with the reason."""
    attached = CloneState.ATTACHED if made.connected_customer_id else CloneState.ACTIVE
    return dataclasses.replace(
        made,
        state=attached if found.current else CloneState.STALE,
        summary=found.summary if found.current else made.summary,
        platform_fingerprint=found.platform_fingerprint if found.current else made.platform_fingerprint,
        last_error="" if found.current else errors.encode(_why_stale(made, found)),
        update_time_us=now_us,
        verify_time_us=now_us,
        version=made.version + 1,
    )


def _why_stale(made: Clone, found: Comparison) -> errors.DomainError:
    facts = {"clone_id": made.clone_id, "state": "STALE"}
    if not found.saved:
        original = made.platform_payment_method_id
        return errors.NotCloneable(
            f"{original} is no longer saved on {made.platform_customer_id}: the shopper removed it, or it was deleted",
            {**facts, "id": original},
        )
    differing = ",".join(found.differing)
    return errors.CloneNotUsable(
        f"The clone differs from {made.platform_payment_method_id} ({differing})", {**facts, "differing": differing}
    )


async def _newest(run: Run, clone_id: str) -> tuple[Clone, Clone | None]:
    """The clone, or the last of those that superseded it one after the other; and the one before that."""
    made = await run.ledger.get_clone(clone_id)
    if made is None:
        raise errors.not_found("clone", clone_id)
    before = None
    for _ in range(_SUCCESSORS_MAX):
        later = await run.ledger.get_clone(made.superseded_by_clone_id) if made.superseded_by_clone_id else None
        if later is None:
            break
        made, before = later, made
    return made, before


def _require_living(made: Clone) -> None:
    if made.state not in LIVING:
        raise errors.CloneNotUsable(
            f"Clone {made.clone_id} is {made.state.value}; clone the payment method again",
            {"clone_id": made.clone_id, "state": made.state.value.upper()},
        )


async def _is_default(run: Run, made: Clone) -> bool:
    """Whether the connected customer pays by this clone unless told otherwise: then its successor takes the place."""
    if not made.connected_customer_id:
        return False
    call = StripeCall("GET", f"/v1/customers/{made.connected_customer_id}", made.connected_account_id)
    try:
        body = await run.read(call, step="clone_read")
    except errors.ResourceNotFound:
        return False
    return default_payment_method(body) == made.charge_with
