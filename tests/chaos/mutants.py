"""Engines with one rule taken out, to prove the proof: the simulation must fail each within so many seeds.

`CAUGHT` must be. `HARMLESS` must not be: each has a second defence behind it, which its text names; were one caught
some day, that defence would be gone. Two rules are behind so much else that taking them out showed once in 2,000
schedules, too seldom to run here each time: the first writer settles an effect (R4; the key gives every writer the
same answer, unless Stripe has forgotten it), and a caller that leaves does not tear the work (R8; the sweep goes on).
"""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.ledger import statements
from cloneservice_server.ports import LedgerUnavailable, NewEffect, Refused, SettleEffect
from cloneservice_server.workflows import calls, engine, run
from cloneservice_server.workflows.effects import Absent, FoundRefused
from cloneservice_server.workflows.engine import Engine
from cloneservice_server.workflows.run import Run

from tests.chaos.simulation import Rates, run_pauses, run_seed

Patch = Callable[[pytest.MonkeyPatch], None]

SEEDS_MAX = 1500
"""A mutant is caught when one of so many seeds fails; the slowest takes a third of them."""
SEEDS_HARMLESS = 300
HARD_DAYS = (
    Rates(stripe_fault=0.3, kill=0.02, freeze=0.05, yields=3),
    Rates(stripe_fault=0.4, kill=0.05, ledger_fault=0.1, leave=0.2, impostor=0.3, yields=2),
)
"""Two seeds in three are run on one of these, on which every defence is needed."""


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
    """R7: a resumed request is parked without asking what was sent before, by the step or by the engine behind it."""

    async def no(*_: Any) -> bool:
        return False

    patch.setattr(Run, "_left_open", no)
    patch.setattr(Run, "money_may_have_moved", no)


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
        with contextlib.suppress(LedgerUnavailable):
            row = await self._ledger.get_request(new.request_id)
            new = dataclasses.replace(new, request_hash=row.request_hash) if row else new
        return await begin(self, new, *rest)

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
        parameters_not_compared,
        stored_500_is_final,
        state_is_final,
        no_recovery,
    )
}
HARMLESS: dict[str, Patch] = {patch.__name__: patch for patch in (parameters_rebuilt, lease_not_respected)}

_FIRST_SEEDS = 60


def first_failure(name: str, limit: int) -> str | None:
    """What fails first with this rule taken out, and the invariant it broke; None if nothing does.

    Some seeds, then every pair of pauses of CloneAndCharge, then the seeds up to `limit`.
    """
    with pytest.MonkeyPatch.context() as patch:
        (CAUGHT | HARMLESS)[name](patch)
        for label, play in _plays(limit):
            try:
                play()
            except Exception as error:  # noqa: BLE001 - a mutant fails as it likes
                return f"{label}: {type(error).__name__} {error}".splitlines()[0]
    return None


def _plays(limit: int) -> Iterator[tuple[str, Callable[[], object]]]:
    def seed_plays(first: int, end: int) -> Iterator[tuple[str, Callable[[], object]]]:
        for seed in range(first, end):
            yield f"seed {seed}", lambda seed=seed: run_seed(seed, (None, *HARD_DAYS)[seed % 3])  # type: ignore[misc]

    yield from seed_plays(0, min(_FIRST_SEEDS, limit))
    for first in range(1, 21):
        for second in range(30):
            plan = ("CloneAndCharge", first, second)
            yield f"pauses at {first} and {second}", lambda plan=plan: run_pauses(*plan)  # type: ignore[misc]
    yield from seed_plays(_FIRST_SEEDS, limit)
