"""What the engine tells an observer, and that retention and counting are part of its work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.results import CloneCharged
from cloneservice_server.domain.values import Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import AnswerLost, Ledger, Refused
from cloneservice_server.ports_observer import EngineObserver, RunEnded, Unfinished
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.fakes import Held
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")
METHOD = CHARGE.method
CONFIRM = r"/v1/payment_intents/[^/]+/confirm"
DAY_S = 86_400.0


class Notes(EngineObserver):
    """Writes down what it hears: (method, what it was given)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.on_pruned: Callable[[], None] = lambda: None

    def run_ended(self, ended: RunEnded) -> None:
        self.heard.append(("run_ended", ended))

    def replayed(self, method: str) -> None:
        self.heard.append(("replayed", method))

    def joined(self, method: str) -> None:
        self.heard.append(("joined", method))

    def taken_up(self, method: str) -> None:
        self.heard.append(("taken_up", method))

    def looked(self, kind: str, finding: str) -> None:
        self.heard.append(("looked", (kind, finding)))

    def unfinished(self, counts: Unfinished) -> None:
        self.heard.append(("unfinished", counts))

    def pruned(self, requests: int) -> None:
        self.heard.append(("pruned", requests))
        self.on_pruned()

    def named(self, name: str) -> list[Any]:
        return [what for heard, what in self.heard if heard == name]


class Broken(EngineObserver):
    """A counter with a fault of its own."""

    def run_ended(self, ended: RunEnded) -> None:
        raise ZeroDivisionError


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stripe() -> WorkingStripe:
    return WorkingStripe()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
async def ledger(clock: VirtualClock) -> AsyncIterator[Ledger]:
    opened = open_ledger("sqlite://:memory:", clock)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
def engine(ledger: Ledger, stripe: WorkingStripe, clock: VirtualClock, notes: Notes) -> Engine:
    settings = EngineSettings(retry=RetrySettings(attempts=2, backoff_s=0.1), retention_s=30 * DAY_S)
    return Engine(ledger=ledger, gateway=stripe, clock=clock, settings=settings, observer=notes)


def new_id() -> str:
    return str(uuid.uuid4())


async def test_a_run_a_replay_and_a_joining_caller_are_told(
    engine: Engine, stripe: WorkingStripe, clock: VirtualClock, notes: Notes
) -> None:
    held = Held(payment_intent("requires_confirmation"))
    stripe.on("POST", r"/v1/payment_intents", held)
    request_id = new_id()
    callers = [asyncio.create_task(engine.submit(request_id, "hash", CHARGE)) for _ in range(2)]
    await held.arrived.wait()
    clock.advance(2.0)
    held.release.set()
    await asyncio.gather(*callers)
    await engine.submit(request_id, "hash", CHARGE)

    ended = RunEnded(METHOD, RequestState.SUCCEEDED, "", elapsed_s=2.0, attempts=1, reconciled=False)
    assert notes.heard == [("joined", METHOD), ("run_ended", ended), ("replayed", METHOD)]


async def test_an_outcome_that_was_unknown_is_told_when_it_is_known(
    engine: Engine, stripe: WorkingStripe, clock: VirtualClock, notes: Notes
) -> None:
    stripe.on("POST", CONFIRM, AnswerLost())
    await engine.submit(new_id(), "hash", CHARGE)
    stripe.on("GET", r"/v1/payment_intents/[^/]+", payment_intent("succeeded"))
    clock.advance(2 * DAY_S)
    await engine._upkeep.count_once()
    await engine.recover_once()
    await engine.settle()
    await engine._upkeep.count_once()

    ends = [(end.state, end.reason, end.attempts, end.reconciled) for end in notes.named("run_ended")]
    assert ends == [
        (RequestState.INDETERMINATE, "STRIPE_OUTCOME_UNKNOWN", 1, False),
        (RequestState.SUCCEEDED, "", 2, True),
    ]
    assert notes.named("taken_up") == [METHOD]
    assert notes.named("looked") == [("confirm", "found")]
    before, after = notes.named("unfinished")
    assert (before.indeterminate, after) == (1, Unfinished())
    assert before.oldest_indeterminate_s >= 2 * DAY_S


async def test_a_decline_is_told_with_its_reason(engine: Engine, stripe: WorkingStripe, notes: Notes) -> None:
    stripe.on("POST", CONFIRM, Refused(402, "card_error", "card_declined"))
    await engine.submit(new_id(), "hash", CHARGE)
    [ended] = notes.named("run_ended")
    assert (ended.state, ended.reason) == (RequestState.FAILED, "CARD_DECLINED")


async def test_an_observer_that_fails_stops_no_charge(
    ledger: Ledger, stripe: WorkingStripe, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(ledger=ledger, gateway=stripe, clock=clock, observer=Broken())
    answer = await engine.submit(new_id(), "hash", CHARGE)
    assert answer.error is None
    assert "an observer failed" in caplog.text


async def test_requests_are_forgotten_when_their_retention_is_over_and_the_lineage_stays(
    engine: Engine, stripe: WorkingStripe, ledger: Ledger, clock: VirtualClock, notes: Notes
) -> None:
    ids = [new_id() for _ in range(450)]
    for request_id in ids:
        await engine.submit(request_id, "hash", CHARGE)
    clock.advance(29 * DAY_S)
    assert await engine.prune_once() == 0
    clock.advance(2 * DAY_S)
    assert await engine.prune_once() == len(ids)

    assert notes.named("pruned") == [200, 200, 50]
    assert await ledger.get_request(ids[0]) is None
    known = await engine.submit(new_id(), "hash", CHARGE)
    assert isinstance(known.result, CloneCharged)
    assert known.result.reused
    assert len(stripe.sent_to(r"/v1/payment_methods")) == 1


async def test_retention_runs_in_the_background(
    engine: Engine, ledger: Ledger, clock: VirtualClock, notes: Notes
) -> None:
    request_id = new_id()
    await engine.submit(request_id, "hash", CHARGE)
    clock.advance(31 * DAY_S)
    forgotten = asyncio.Event()
    notes.on_pruned = forgotten.set
    await engine.start()
    await forgotten.wait()
    await engine.drain(0)
    assert await ledger.get_request(request_id) is None


@pytest.mark.parametrize("amount", [1999, 500], ids=["same", "other parameters"])
async def test_an_id_used_again_after_its_retention_never_charges_a_second_time(
    engine: Engine, stripe: WorkingStripe, clock: VirtualClock, amount: int
) -> None:
    request_id = new_id()
    await engine.submit(request_id, "hash", CHARGE)
    clock.advance(31 * DAY_S)
    stripe._stored.clear()  # Stripe has forgotten its keys long ago
    await engine.prune_once()
    command = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(amount, "USD")), "pm_saved")
    answer = await engine.submit(request_id, f"hash-{amount}", command)

    assert answer.error is not None
    assert answer.error.reason == "REQUEST_ID_REUSED"
    assert answer.error.metadata["charge_id"].startswith("chg_")
    assert len(stripe.confirmed()) == 1
