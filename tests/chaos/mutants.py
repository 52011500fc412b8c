"""Engines with one rule taken out, to prove the proof: the simulation must fail each within so many seeds.

`CAUGHT` must be. `HARMLESS` must not be: each has a second defence behind it, which its text names; were one caught
some day, that defence would be gone.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.ledger import statements
from cloneservice_server.ports import NewEffect, Refused, SettleEffect
from cloneservice_server.workflows import calls, engine, run
from cloneservice_server.workflows.effects import Absent, FoundRefused
from cloneservice_server.workflows.engine import Engine
from cloneservice_server.workflows.run import Run

from tests.chaos.simulation import run_seed

Patch = Callable[[pytest.MonkeyPatch], None]

SEEDS_MAX = 600
"""A mutant is caught when one of so many seeds fails. The slowest takes about half of them."""
SEEDS_HARMLESS = 300


def random_key(patch: pytest.MonkeyPatch) -> None:
    """R2: a fresh key with each send."""
    patch.setattr(run, "idempotency_key", lambda _effect, _epoch: uuid.uuid4().hex)


def parameters_rebuilt(patch: pytest.MonkeyPatch) -> None:
    """R1: a resend builds its parameters anew instead of taking the stored ones.

    Harmless while calls are pure functions of the stored command: they come out the same. Where another request made
    the same thing with other parameters, Stripe refuses the key, and the engine looks at what was made.
    """
    intend = Run._intend

    async def rebuilt(self: Run, new: NewEffect) -> Any:
        return dataclasses.replace(await intend(self, new), call=new.call)

    patch.setattr(Run, "_intend", rebuilt)


def customer_per_request(patch: pytest.MonkeyPatch) -> None:
    """R3: the connected customer is named after who asked, not after what it is."""
    effect = Run.effect

    async def own(self: Run, new: NewEffect) -> Any:
        if new.kind == "customer":
            new = dataclasses.replace(new, effect_id=f"customer:{self.request_id}")
        return await effect(self, new)

    patch.setattr(Run, "effect", own)


def any_writer_settles(patch: pytest.MonkeyPatch) -> None:
    """R4: a later writer replaces the first one's outcome.

    Harmless: the derived key gives every writer of an epoch the same answer of Stripe's to record, and the fence stops
    the writers of other epochs.
    """
    patch.setattr(
        statements, "_SETTLE", statements._SETTLE.replace("AND epoch = $2 AND state = 'intent'", "AND $2 = $2")
    )


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A writer need not hold the claim: no compare-and-set on the request."""
    for name in ("_GUARD", "_LINK", "_FINISH"):
        sql = getattr(statements, name).replace("fence = $2 AND state = 'running'", "$2 = $2")
        patch.setattr(statements, name, sql)


def new_intent_for_each_attempt(patch: pytest.MonkeyPatch) -> None:
    """R5: each attempt makes and confirms a PaymentIntent of its own."""
    effect = Run.effect

    async def own_effect(self: Run, new: NewEffect) -> Any:
        if new.kind in ("intent", "confirm"):
            new = dataclasses.replace(new, effect_id=f"{new.effect_id}:{self.row.fence}")
        return await effect(self, new)

    async def forget(*_: Any) -> None:
        return None

    patch.setattr(Run, "effect", own_effect)
    patch.setattr("cloneservice_server.ledger.sqlite.SqliteLedger.get_charge", forget)


def one_call_charge(patch: pytest.MonkeyPatch) -> None:
    """R5: the PaymentIntent is created and confirmed in one call, before its id is on record."""
    create = calls.create_payment_intent

    def confirmed(*args: Any) -> Any:
        call = create(*args)
        return dataclasses.replace(call, params={**call.params, "confirm": True})

    effect = Run.effect

    async def already(self: Run, new: NewEffect) -> Any:
        if new.kind != "confirm":
            return await effect(self, new)
        name = f"intent:{self.request_id}"
        staged = [write for write in self.staged if isinstance(write, SettleEffect) and write.effect_id == name]
        row = await self.ledger.get_effect(name)
        return (staged[0] if staged else row).result  # type: ignore[union-attr]

    patch.setattr(calls, "create_payment_intent", confirmed)
    patch.setattr(Run, "effect", already)


def no_look_after_23_hours(patch: pytest.MonkeyPatch) -> None:
    """R6: a key is trusted for ever."""
    patch.setattr(run, "KEY_LIFETIME_US", 10**18)


def new_epoch_without_a_look(patch: pytest.MonkeyPatch) -> None:
    """R6: what cannot be known any more is taken for not done."""

    async def absent(*_: Any) -> Absent:
        return Absent()

    patch.setattr(Run, "_look", absent)


def ack_before_commit(patch: pytest.MonkeyPatch) -> None:
    """R7: the answer goes out although its commit was not made."""
    commit = Run.flush

    async def flush(self: Run, *writes: Any) -> None:
        if not any(getattr(write, "result", "") for write in writes):
            await commit(self, *writes)

    patch.setattr(Run, "flush", flush)


def unknown_is_nothing_done(patch: pytest.MonkeyPatch) -> None:
    """R7: a lost answer is taken for a call that was never made: parked, although money may have moved."""
    original = Engine._finish_with_error

    async def finish(self: Engine, of: Run, command: Any, error: Any) -> Any:
        if isinstance(error, errors.OutcomeUnknown):
            error = errors.StripeUnreachable("nothing was done", retry_after_s=1.0)
        return await original(self, of, command, error)

    patch.setattr(Engine, "_finish_with_error", finish)


def unbegun_work_is_taken_up(patch: pytest.MonkeyPatch) -> None:
    """R7: the sweep carries out what a caller was told was not started."""
    patch.setattr(engine, "_was_told_to_wait", lambda _row: True)


def state_is_final(patch: pytest.MonkeyPatch) -> None:
    """A PaymentIntent that cannot be confirmed any more is taken for a failed one, without asking what it became."""

    async def refusal(_: Run, _row: Any, refused: Refused, _error: Any) -> FoundRefused:
        return FoundRefused(refused)

    patch.setattr(Run, "_refusal", refusal)


def deadline_before_look(patch: pytest.MonkeyPatch) -> None:
    """R7: a resumed request with a short deadline is parked without asking what was sent before."""

    async def no(*_: Any) -> bool:
        return False

    patch.setattr(Run, "_left_open", no)


def caller_tears_the_work(patch: pytest.MonkeyPatch) -> None:
    """R8: a caller that leaves cancels the workflow in the midst of its step."""

    async def wait(_: Engine, work: Any) -> Any:
        return await work.task

    patch.setattr(Engine, "_wait", wait)


def lease_not_respected(patch: pytest.MonkeyPatch) -> None:
    """R9: everyone takes over what another is working on.

    Harmless: leases save work, no safety rests on them; fence and keys do that.
    """
    for name in ("_CLAIM_REQUEST", "_CLAIM_DUE"):
        sql = getattr(statements, name)
        patch.setattr(statements, name, sql.replace("lease_until_us <= {now}", "lease_until_us <> {now}"))


def parameters_not_compared(patch: pytest.MonkeyPatch) -> None:
    """R10: a used request_id is answered whatever it now stands for."""
    begin = Engine._begin

    async def unaware(self: Engine, new: Any, *rest: Any) -> Any:
        row = await self._ledger.get_request(new.request_id)
        return await begin(self, dataclasses.replace(new, request_hash=row.request_hash) if row else new, *rest)

    patch.setattr(Engine, "_begin", unaware)


def stored_500_is_final(patch: pytest.MonkeyPatch) -> None:
    """A server error of Stripe's is taken for a refusal."""
    original = Run._carry_out

    async def carry_out(self: Run, row: Any) -> Any:
        try:
            return await original(self, row)
        except errors.OutcomeUnknown:
            return FoundRefused(Refused(402, "card_error", "card_declined"))

    patch.setattr(Run, "_carry_out", carry_out)


def no_recovery(patch: pytest.MonkeyPatch) -> None:
    """Nobody takes up what a dead process left, and no caller's retry does."""

    async def never(*_: Any, **__: Any) -> None:
        return None

    async def none_due(_: Engine) -> int:
        return 0

    patch.setattr("cloneservice_server.ledger.sqlite.SqliteLedger.claim_request", never)
    patch.setattr(Engine, "recover_once", none_due)


CAUGHT: dict[str, Patch] = {
    patch.__name__: patch
    for patch in (
        random_key,
        customer_per_request,
        no_fence,
        new_intent_for_each_attempt,
        one_call_charge,
        no_look_after_23_hours,
        new_epoch_without_a_look,
        ack_before_commit,
        unknown_is_nothing_done,
        unbegun_work_is_taken_up,
        deadline_before_look,
        caller_tears_the_work,
        parameters_not_compared,
        stored_500_is_final,
        state_is_final,
        no_recovery,
    )
}
HARMLESS: dict[str, Patch] = {
    patch.__name__: patch for patch in (parameters_rebuilt, any_writer_settles, lease_not_respected)
}


def first_failure(name: str, limit: int) -> tuple[int, str] | None:
    """The first seed below `limit` that fails with this rule taken out, and the invariant it broke; None if none."""
    with pytest.MonkeyPatch.context() as patch:
        (CAUGHT | HARMLESS)[name](patch)
        for seed in range(limit):
            try:
                run_seed(seed)
            except Exception as error:  # noqa: BLE001 - a mutant fails as it likes
                return seed, f"{type(error).__name__} {error}".splitlines()[0]
    return None
