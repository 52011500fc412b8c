"""What must be true of ledger, Stripe and answers in every simulated world, by the names of docs/guarantees.md.

I1  at most one succeeded charge per request
I2  every acknowledged answer is the ledger's and every other acknowledged answer; "nothing was started" stays true
I3  a request succeeded if and only if it has exactly its one charge, of the right amount, on the right account
I4  a request that failed has taken no money, and its PaymentIntent cannot take any
I5  every object at Stripe has its effect in the ledger, and every effect that is done has its object
I6  one connected customer per (account, platform customer), one attached clone per effect that makes it
I7  every request ends: after two sweeps nothing is running, and its caller gets a final answer
I8  the same seed gives the same run (see simulate.py)
I9  each item of a batch is done once (tests/unit/test_batch_runner.py)
I10 only a PaymentIntent that is on record is ever confirmed
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from cloneservice_server.domain.commands import Command, RefundCharge
from cloneservice_server.domain.ids import idempotency_key
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import inspection, rows
from cloneservice_server.ports import EffectRow, EffectState
from cloneservice_server.workflows import calls

from tests.chaos.cases import may_be_charged_by_another, money_wanted
from tests.chaos.simulated_stripe import Made

if TYPE_CHECKING:
    from tests.chaos.simulation import World

_PRIMARY = {
    "customer": ("platform_customer", "customer"),
    "payment_intent": ("intent",),
    "payment_method": ("clone",),
    "token": ("clone",),
    "source": ("clone",),
    "refund": ("refund",),
}
"""Objects that an effect is named after, and the effects that make them; others (cards, charges) come along."""
_TAKES_MONEY = ("succeeded", "processing", "requires_capture")


class StripeTruth(Protocol):
    """What Stripe has, whoever is asked."""

    made: list[Made]
    executed: Counter[tuple[str, str]]
    """How often a call was carried out under (account, key), replays not counted."""

    def money_taken(self, account: str) -> list[dict[str, Any]]:
        """The charges of an account that took or hold money."""
        ...

    def all_of(self, kind: str, account: str) -> list[dict[str, Any]]:
        """Every object of a kind on an account."""
        ...

    def object_of(self, made: Made) -> dict[str, Any] | None:
        """The object as it is now."""
        ...

    def exists(self, account: str, name: str) -> bool:
        """Whether an account has an object of that id, of whatever kind."""
        ...


class Audited(Protocol):
    """A world at rest: simulated, or real processes that have stopped."""

    ledger: Any
    commands: dict[str, Command]
    """What each request asked."""
    failovers: int
    froze: bool
    """Whether any process was paused for longer than Stripe keeps a key."""

    @property
    def truth(self) -> StripeTruth:
        """Stripe."""
        ...

    @property
    def accounts(self) -> list[str]:
        """The connected accounts."""
        ...

    def depends_on_no_other(self, request_id: str) -> bool:
        """Whether the request is the first of its caller."""
        ...


async def acknowledged(world: World, request_id: str) -> None:
    """A final answer has just been given: it is the ledger's, and no other was given before."""
    row = await world.ledger.get_request(request_id)
    if world.failovers and (row is None or not row.state.final):
        return  # it was committed, told and lost
    assert row is not None, "I2: acknowledged, and not in the ledger"
    assert row.state.final, f"I2: acknowledged as final, and {row.state} in the ledger"
    told = world.told.setdefault(request_id, [])
    told.append(f"{row.state} {row.result}{row.error}")
    if world.failovers:  # lost answers come again under another time of day, or with another clone
        strict = world.depends_on_no_other(request_id) and money_wanted(world.commands[request_id])
        told = [_money_of(answer) for answer in told] if strict else []
    assert len(set(told)) <= 1, f"I2: two answers for one request:\n{told[0]}\n{told[-1]}"


def _money_of(answer: str) -> str:
    state, _, body = answer.partition(" ")
    charge = json.loads(body).get("charge") or {}
    return f"{state} {charge.get('charge_id')} {charge.get('amount')} {charge.get('stripe_payment_intent_id')}"


async def confirmable(world: World, intent: str) -> None:
    """A confirmation reaches Stripe: its PaymentIntent must be on record."""
    if world.failovers:
        return
    recorded = await world.ledger.read(_intents_on_record(intent))
    assert recorded, f"I10: {intent} is confirmed and not on record"


def _intents_on_record(intent: str) -> Any:
    from cloneservice_server.ledger.part import Part

    return Part("SELECT effect_id FROM effect WHERE kind = 'intent' AND state = 'done' AND stripe_id = $1", (intent,))


def _charged(world: World, request_id: str) -> bool:
    taken = world.truth.money_taken(world.accounts[0])
    return any(charge["metadata"].get(calls.REQUEST) == request_id for charge in taken)


async def parked(world: World) -> None:
    """At any moment: a request that is said to be parked has changed nothing that its caller would have to know."""
    for request_id in world.commands if not world.failovers else ():  # what was done and lost cannot be spoken of
        row = await world.ledger.get_request(request_id)
        if row is not None and row.state is RequestState.PARKED:
            assert not _charged(world, request_id), "I2: PARKED says nothing was done, and money moved"


async def at_rest(world: World) -> None:
    """Nothing is in flight and no caller has asked since: nobody's word may be broken behind his back."""
    await parked(world)
    for request_id, words in world.words.items():
        row = await world.ledger.get_request(request_id)
        if row is not None:
            assert row.state not in (RequestState.RUNNING, RequestState.INDETERMINATE), f"I7: {row.state} after sweeps"
        if words == {"nothing was started"} and not world.failovers:
            assert not _charged(world, request_id), "I2: told that nothing was started, and money moved"


async def audit(world: Audited) -> None:
    """All of them, when every caller has his answer."""
    effects = [rows.effect_row(row) async for row in inspection.every_row(world.ledger, "effect")]
    charges = _by_request(world, world.truth.money_taken)
    intents = _by_request(world, lambda account: world.truth.all_of("payment_intent", account))
    for request_id in world.commands:
        if world.failovers and not world.depends_on_no_other(request_id):
            continue  # the clone that it names may be lost
        await _audit_request(world, request_id, charges[request_id], intents[request_id])
    _audit_objects(world, effects)
    _audit_effects(world, effects)
    for account in world.accounts:
        _audit_one_of_each(world, account)
    await _audit_refunds(world)
    async for problem in inspection.problems(world.ledger):
        raise AssertionError(f"I5: the ledger itself: {problem}")


def _by_request(world: Audited, read: Callable[[str], list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for account in world.accounts:
        for body in read(account):
            found[body["metadata"].get(calls.REQUEST)].append({**body, "account": account})
    return found


async def _audit_request(
    world: Audited, request_id: str, taken: list[dict[str, Any]], intents: list[dict[str, Any]]
) -> None:
    row = await world.ledger.get_request(request_id)
    assert row is not None, "I7: forgotten"
    assert row.state.final, f"I7: {row.state}"
    assert len(taken) <= 1, f"I1: charged {len(taken)} times"
    command = world.commands[request_id]
    wanted = money_wanted(command)
    if row.state is RequestState.SUCCEEDED and wanted is not None:
        assert len(taken) == 1, "I3: succeeded without a charge"
        account, amount = wanted
        assert taken[0]["amount"] == amount.minor_units, f"I3: charged {taken[0]['amount']}"
        assert account in ("", taken[0]["account"]), f"I3: charged on {taken[0]['account']}"
        charge = json.loads(row.result)["charge"]
        assert charge["stripe_payment_intent_id"] == taken[0]["payment_intent"], "I3: another charge is answered"
        return
    if may_be_charged_by_another(command):
        return
    assert not taken, f"I4: {row.state}, and money was taken"
    for intent in intents:
        assert intent["status"] not in _TAKES_MONEY, f"I4: {row.state}, and its intent is {intent['status']}"


async def _audit_refunds(world: Audited) -> None:
    """A refund moves money, too: one for each request that succeeded, of its amount, and none for any other."""
    refunds = defaultdict(list)
    for account in world.accounts:
        for refund in world.truth.all_of("refund", account):
            refunds[refund["metadata"].get(calls.EFFECT, "").removeprefix("refund:")].append(refund)
    for request_id, made in refunds.items():
        if world.failovers:
            continue  # the charge that it names may be lost
        row = await world.ledger.get_request(request_id)
        assert row is not None, f"I5: a refund of a request that is not there: {made}"
        assert row.state is RequestState.SUCCEEDED, f"I4: {row.state}, and money was given back"
        # Stripe has no two phases for a refund: nothing is promised of a process that sleeps past the life of its key.
        assert len(made) == 1 or world.froze, f"I1: refunded {len(made)} times"
        told = json.loads(row.result)["refund"]
        assert told["stripe_refund_id"] in [refund["id"] for refund in made], "I3: another refund is answered"
    for request_id, command in world.commands.items():
        row = await world.ledger.get_request(request_id)
        if isinstance(command, RefundCharge) and row is not None and row.state is RequestState.SUCCEEDED:
            assert request_id in refunds or world.failovers, "I3: succeeded without a refund"


def _audit_objects(world: Audited, effects: list[EffectRow]) -> None:
    known = {
        idempotency_key(effect.effect_id, epoch): (effect, epoch)
        for effect in effects
        # A fail-over may lose epochs; what the last of them made is adopted, or is as harmless as any orphan.
        for epoch in range(effect.epoch + 1 + 4 * world.failovers)
    }
    for (_, key), times in world.truth.executed.items():
        assert times == 1 or world.froze, f"I5: {known.get(key)} was carried out {times} times"
    for made in world.truth.made:
        if made.key not in known and world.failovers:
            _assert_harmless(world, made)
            continue
        assert made.key in known, f"I5: {made} has no effect in the ledger"
        effect, epoch = known[made.key]
        if effect.kind not in _PRIMARY.get(made.kind, ()):
            continue
        if effect.state is EffectState.DONE and made.id == effect.stripe_id:
            continue
        forgotten = world.truth.executed[made.account, made.key] > 1
        # A replica that slept past the life of its key sends an epoch that was found absent and given up: a look may
        # adopt what that makes, and this is then the orphan (seed 83089).
        overtaken = world.froze and any(
            late.id == effect.stripe_id and known.get(late.key, (effect, epoch)) != (effect, epoch)
            for late in world.truth.made
        )
        excused = made.answered_500 or forgotten or epoch != effect.epoch or overtaken
        assert excused, f"I5: {made} is not what the ledger has for {effect.effect_id}: {effect.stripe_id}"
        _assert_harmless(world, made)


def _assert_harmless(world: Audited, made: Made) -> None:
    """What only a stored 500 or a forgotten key can leave behind: it moves no money, and nobody finds it in use."""
    found = world.truth.object_of(made)
    assert found is not None
    if made.kind == "payment_intent":
        assert found["status"] not in _TAKES_MONEY, f"I5: an orphan took money: {made}"
    if made.kind == "payment_method" and not world.failovers:  # else the attachment may be what was lost
        assert not found["customer"], f"I5: an orphan is attached: {made}"


def _audit_effects(world: Audited, effects: list[EffectRow]) -> None:
    for effect in effects:
        if effect.state is EffectState.DONE:
            found = world.truth.exists(effect.call.account, effect.stripe_id)
            assert found, f"I5: {effect.effect_id} is done, and {effect.stripe_id} is not at Stripe"


def _audit_one_of_each(world: Audited, account: str) -> None:
    stripe = world.truth
    orphans = {made.id for made in stripe.made if stripe.executed[made.account, made.key] > 1}
    customers = Counter(
        customer["metadata"].get(calls.PLATFORM_CUSTOMER)
        for customer in stripe.all_of("customer", account)
        if customer["id"] not in orphans
    )
    twice = [name for name, count in customers.items() if count > 1]
    assert not twice, f"I6: {twice} have more than one connected customer"
    attached = Counter(
        body["metadata"].get(calls.EFFECT)
        for kind in ("payment_method", "source")
        for body in stripe.all_of(kind, account)
        if body.get("customer")
    )
    twice = [name for name, count in attached.items() if count > 1]
    assert not twice, f"I6: {twice} are attached more than once"
