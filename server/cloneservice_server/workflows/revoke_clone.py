"""Revoking a clone: off its connected customer at Stripe, and never charged by this service again."""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import RevokeClone
from cloneservice_server.domain.results import CloneMade
from cloneservice_server.domain.values import Clone, CloneState, etag
from cloneservice_server.ports import NewEffect, PutClone
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.run import Run


async def revoke_clone(run: Run, command: RevokeClone) -> CloneMade:
    """Detach, unless that was done before."""
    made = await run.ledger.get_clone(command.clone_id)
    if made is None:
        raise errors.not_found("clone", command.clone_id)
    if command.etag and command.etag != etag(made.version, made.clone_id) and not run.resumed:
        raise errors.EtagMismatch(f"Clone {made.clone_id} was changed since", {"clone_id": made.clone_id})
    if made.state in (CloneState.REVOKED, CloneState.ERASED):
        return CloneMade(made)
    await detach(run, made)
    gone = revoked(made, run.now_us())
    run.stage(PutClone(gone))
    return CloneMade(gone)


async def detach(run: Run, made: Clone) -> None:
    """Take a clone off its connected customer; one that is off already, or was never on, needs nothing."""
    if not made.connected_customer_id:
        return  # unattached: Stripe has no call that ends it, but nobody holds its id except the account and us
    try:
        await run.effect(NewEffect(f"detach:{made.clone_id}", "detach", calls.detach_clone(made)))
    except (errors.InvalidState, errors.CloneNotUsable, errors.ResourceNotFound):
        return  # somebody detached it on the account, or deleted the customer there


def revoked(made: Clone, now_us: int) -> Clone:
    """The clone, revoked. It holds its place (`reusable`) until another supersedes it with the next generation."""
    return dataclasses.replace(
        made, state=CloneState.REVOKED, last_error="", update_time_us=now_us, version=made.version + 1
    )
