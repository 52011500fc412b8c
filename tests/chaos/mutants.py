"""Engines with one rule taken out, to prove the proof: the simulation must fail each within so many seeds."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.ledger import statements
from cloneservice_server.ports import NewEffect, Refused
from cloneservice_server.workflows import charges, run
from cloneservice_server.workflows.effects import FoundRefused
from cloneservice_server.workflows.engine import Engine
from cloneservice_server.workflows.run import Run

Patch = Callable[[pytest.MonkeyPatch], None]


def random_key(patch: pytest.MonkeyPatch) -> None:
    """R2: a fresh key with each send, and no trust in the PaymentIntent's own state."""
    patch.setattr(run, "idempotency_key", lambda _effect, _epoch: uuid.uuid4().hex)


def no_recovery(patch: pytest.MonkeyPatch) -> None:
    """Nobody takes up what a dead process left, and no caller's retry does."""

    async def never(*_: Any, **__: Any) -> None:
        return None

    async def none_due(_: Engine) -> int:
        return 0

    patch.setattr("cloneservice_server.ledger.sqlite.SqliteLedger.claim_request", never)
    patch.setattr(Engine, "recover_once", none_due)


def ack_before_commit(patch: pytest.MonkeyPatch) -> None:
    """R7: the answer goes out although its commit was not made."""
    commit = Run.flush

    async def flush(self: Run, *writes: Any) -> None:
        if not any(getattr(write, "result", "") for write in writes):
            await commit(self, *writes)

    patch.setattr(Run, "flush", flush)


def stored_500_is_final(patch: pytest.MonkeyPatch) -> None:
    """A server error of Stripe's is taken for a refusal."""
    original = Run._carry_out

    async def carry_out(self: Run, row: Any) -> Any:
        try:
            return await original(self, row)
        except errors.OutcomeUnknown:
            return FoundRefused(Refused(402, "card_error", "card_declined"))

    patch.setattr(Run, "_carry_out", carry_out)


def unknown_is_nothing_done(patch: pytest.MonkeyPatch) -> None:
    """A lost answer is taken for a call that was never made: parked, although money may have moved."""
    original = Engine._finish_with_error

    async def finish(self: Engine, of: Run, command: Any, error: Any) -> Any:
        if isinstance(error, errors.OutcomeUnknown):
            error = errors.StripeUnreachable("nothing was done", retry_after_s=1.0)
        return await original(self, of, command, error)

    patch.setattr(Engine, "_finish_with_error", finish)


def deadline_before_look(patch: pytest.MonkeyPatch) -> None:
    """A resumed request with a short deadline is parked without asking what was sent before."""
    patch.setattr(Run, "_left_open", _no)


def new_intent_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """R5: each attempt makes and confirms a PaymentIntent of its own."""
    original = charges._create

    async def create(of: Run, *args: Any) -> Any:
        charge = await of.ledger.get_charge(args[-1])
        assert charge is None
        return await original(of, *args)

    patch.setattr(charges, "_create", create)
    effect = Run.effect

    async def own_effect(self: Run, new: Any) -> Any:
        if new.kind in ("intent", "confirm"):
            new = NewEffect(f"{new.effect_id}:{self.row.fence}", new.kind, new.call)
        return await effect(self, new)

    async def forget(*_: Any) -> None:
        return None

    patch.setattr(Run, "effect", own_effect)
    patch.setattr("cloneservice_server.ledger.sqlite.SqliteLedger.get_charge", forget)


def no_look_after_23_hours(patch: pytest.MonkeyPatch) -> None:
    """R6: a key is trusted for ever."""
    patch.setattr(run, "KEY_LIFETIME_US", 10**18)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A writer need not hold the claim."""
    for name in ("_GUARD", "_LINK", "_FINISH"):
        sql = getattr(statements, name).replace("fence = $2 AND state = 'running'", "$2 = $2")
        patch.setattr(statements, name, sql)


def any_writer_settles(patch: pytest.MonkeyPatch) -> None:
    """R4: a later writer replaces the first one's outcome."""
    patch.setattr(
        statements, "_SETTLE", statements._SETTLE.replace("AND epoch = $2 AND state = 'intent'", "AND $2 = $2")
    )


async def _no(*_: Any) -> bool:
    return False


CAUGHT: dict[str, Patch] = {
    patch.__name__: patch
    for patch in (
        no_recovery,
        ack_before_commit,
        stored_500_is_final,
        unknown_is_nothing_done,
        deadline_before_look,
        new_intent_for_each_attempt,
        random_key,
        no_look_after_23_hours,
        no_fence,
    )
}
SURVIVED: dict[str, Patch] = {any_writer_settles.__name__: any_writer_settles}
"""Not caught in 1,500 seeds: the derived key gives every writer of an epoch the same answer of Stripe's to record."""
