"""What a caller was told stays true behind its back, and a request leaves nothing half done. Found by tests/chaos."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import (
    AttachClone,
    AttachOptions,
    ChargeOptions,
    CloneAndCharge,
    ClonePaymentMethod,
)
from cloneservice_server.domain.results import CloneCharged, CloneMade
from cloneservice_server.domain.values import ChargeState, CloneReuse, CloneState, Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import (
    AnswerLost,
    EffectState,
    LedgerUnavailable,
    NotSent,
    PutClone,
    Refused,
    SettleEffect,
    StripeFault,
)
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.fakes import Held
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")
CLONE = ClonePaymentMethod("cus_shopper", "acct_seller", "pm_saved")


class FailingLedger:
    """A ledger that is lost at the next call of `step`: `done` says whether the call still takes effect."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.step, self.done = "", False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        if name != self.step:
            return method

        async def failing(*args: Any, **named: Any) -> Any:
            self.step = ""
            if self.done:
                await method(*args, **named)
            raise LedgerUnavailable("away")

        return failing


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stripe() -> WorkingStripe:
    return WorkingStripe()


@pytest.fixture
async def ledger(clock: VirtualClock) -> AsyncIterator[Any]:
    opened = open_ledger("sqlite://:memory:", clock)
    await opened.open()
    yield FailingLedger(opened)
    await opened.aclose()


@pytest.fixture
def engine(ledger: Any, stripe: WorkingStripe, clock: VirtualClock) -> Engine:
    settings = EngineSettings(lease_s=30, retry=RetrySettings(attempts=2, backoff_s=0.1))
    return Engine(ledger=ledger, gateway=stripe, clock=clock, settings=settings)


async def recover(engine: Engine, clock: VirtualClock) -> None:
    clock.advance(600)
    await engine.recover_once()
    await engine.settle()


def new_id() -> str:
    return str(uuid.uuid4())


async def test_told_that_nothing_was_started_a_caller_is_not_charged_later(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock
) -> None:
    request_id = new_id()
    ledger.step, ledger.done = "begin_request", True
    told = await engine.submit(request_id, "hash", CHARGE)
    await recover(engine, clock)

    assert isinstance(told.error, errors.LedgerDown)
    assert stripe.sent == []
    assert (await ledger.get_request(request_id)).state is RequestState.PARKED
    assert (await engine.submit(request_id, "hash", CHARGE)).error is None
    assert len(stripe.confirmed()) == 1


async def test_an_intent_that_may_be_on_record_is_not_called_nothing(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock
) -> None:
    request_id = new_id()
    ledger.step, ledger.done = "intend", True
    told = await engine.submit(request_id, "hash", CHARGE)
    await recover(engine, clock)

    assert isinstance(told.error, errors.OutcomeUnknown)
    assert (await ledger.get_request(request_id)).state is RequestState.SUCCEEDED
    assert len(stripe.confirmed()) == 1


@pytest.mark.parametrize(
    "fault",
    [("claim_request", True), ("claim_request", False), ("find_reusable_clone", False), ("commit", False)],
)
async def test_a_parked_request_taken_up_as_the_ledger_goes_away_is_not_called_nothing(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock, fault: tuple[str, bool]
) -> None:
    """Its intent is on record: if the claim is, too, the sweep carries it out. Seeds 46127 and 48370."""
    request_id = new_id()
    busy = Refused(429, "invalid_request_error", "rate_limit", rate_limited_reason="global-rate")
    stripe.on("POST", "/v1/payment_intents", busy, busy, payment_intent("requires_confirmation", "pi_1"))
    parked = await engine.submit(request_id, "hash", CHARGE)
    ledger.step, ledger.done = fault
    told = await engine.submit(request_id, "hash", CHARGE, deadline_s=0.5)  # too short for a step: parked again
    await recover(engine, clock)

    assert isinstance(parked.error, errors.StripeRateLimited)
    assert isinstance(told.error, errors.OutcomeUnknown)
    assert (await engine.submit(request_id, "hash", CHARGE)).error is None
    assert len(stripe.confirmed()) == 1


async def test_a_restart_without_a_ledger_is_not_called_nothing(
    engine: Engine, ledger: Any, stripe: WorkingStripe
) -> None:
    """Another settles the shared effect first; this run, which had sent it too, cannot read its own row again."""
    request_id, held = new_id(), Held({"id": "pm_shared", "type": "card", "card": {}})
    stripe.on("POST", "/v1/payment_methods", held)
    asking = asyncio.create_task(engine.submit(request_id, "hash", CHARGE))
    await held.arrived.wait()
    name = next(sent.call.params["metadata"]["cloneservice_effect"] for sent in stripe.sent)
    await ledger.commit(None, [SettleEffect(name, 0, "pm_shared", {"id": "pm_shared"})])
    ledger.step, ledger.done = "get_request", False
    held.release.set()

    assert isinstance((await asking).error, errors.OutcomeUnknown)


async def test_a_caller_that_asks_while_it_is_taken_up_is_served(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock
) -> None:
    request_id = new_id()
    ledger.step, ledger.done = "begin_request", True
    assert (await engine.submit(request_id, "hash", CHARGE)).error is not None
    clock.advance(600)
    await engine.recover_once()
    answer = await engine.submit(request_id, "hash", CHARGE)

    assert answer.error is None
    assert len(stripe.confirmed()) == 1


async def test_a_clone_of_its_own_is_finished_although_another_came_to_be(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock
) -> None:
    request_id = new_id()
    stripe.on("POST", "/v1/payment_methods", AnswerLost(), AnswerLost(), {"id": "pm_own", "type": "card", "card": {}})
    assert (await engine.submit(request_id, "hash", CLONE)).error is not None
    stripe.on("POST", "/v1/payment_methods", {"id": "pm_shared", "type": "card", "card": {}})
    shared = await engine.submit(new_id(), "other", CHARGE)
    stripe.on("POST", "/v1/payment_methods", {"id": "pm_own", "type": "card", "card": {}})
    clock.advance(60)
    answer = await engine.submit(request_id, "hash", CLONE)

    assert shared.error is None
    assert isinstance(answer.result, CloneMade)
    assert answer.result.clone.connected_object_id == "pm_own"
    assert (await ledger.get_effect(f"clone:{request_id}")).state is EffectState.DONE


async def test_a_confirmation_that_came_late_from_elsewhere_is_the_answer(
    engine: Engine, stripe: WorkingStripe
) -> None:
    """Frozen before its send, a replica may confirm a day later, under a key that another has given up."""
    late = Refused(400, "invalid_request_error", "payment_intent_unexpected_state")
    stripe.on("POST", "/v1/payment_intents/[^/]+/confirm", late)
    stripe.on("GET", "/v1/payment_intents/[^/]+", payment_intent("succeeded", "pi_3"))
    answer = await engine.submit(new_id(), "hash", CHARGE)

    assert isinstance(answer.result, CloneCharged)
    assert answer.result.charge is not None
    assert answer.result.charge.state is ChargeState.SUCCEEDED


@pytest.mark.parametrize("status", ["canceled", "requires_confirmation"])
async def test_a_confirmation_refused_for_another_state_is_refused(
    engine: Engine, stripe: WorkingStripe, status: str
) -> None:
    refused = Refused(400, "invalid_request_error", "payment_intent_unexpected_state")
    stripe.on("POST", "/v1/payment_intents/[^/]+/confirm", refused)
    stripe.on("GET", "/v1/payment_intents/[^/]+", payment_intent(status, "pi_3"))
    answer = await engine.submit(new_id(), "hash", CHARGE)

    assert isinstance(answer.error, errors.InvalidState)


async def test_a_confirmation_left_open_is_not_called_nothing_when_a_read_fails(
    engine: Engine, ledger: Any, stripe: WorkingStripe
) -> None:
    """The resumed request stops at a read, before it comes to the step that may have been done."""
    assert (await engine.submit(new_id(), "hash", CHARGE)).error is None
    of_the_default = dataclasses.replace(CHARGE, platform_payment_method_id="")
    stripe.on("GET", "/v1/customers/cus_shopper", {"id": "cus_shopper", "default_source": "pm_saved"})
    stripe.on("POST", "/v1/payment_intents/[^/]+/confirm", AnswerLost())
    request_id = new_id()
    assert (await engine.submit(request_id, "other", of_the_default)).error is not None
    stripe.on("GET", "/v1/customers/cus_shopper", NotSent())
    answer = await engine.submit(request_id, "other", of_the_default)

    assert isinstance(answer.error, errors.OutcomeUnknown)
    assert (await ledger.get_request(request_id)).state is RequestState.INDETERMINATE


async def test_a_request_is_parked_although_a_row_moved_under_its_last_write(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock
) -> None:
    assert (await engine.submit(new_id(), "hash", CHARGE)).error is None
    own = await engine.submit(new_id(), "hash", dataclasses.replace(CLONE, reuse=CloneReuse.NEVER))
    assert isinstance(own.result, CloneMade)
    made = own.result.clone
    held = Held({"id": made.connected_object_id, "type": "card", "card": {}})
    stripe.on("POST", "/v1/payment_methods/[^/]+/attach", held)
    stripe.on("POST", "/v1/customers/[^/]+", NotSent())
    request_id = new_id()
    command = AttachClone(made.clone_id, AttachOptions(set_default=True))
    attaching = asyncio.create_task(engine.submit(request_id, "hash", command, deadline_s=5.0))
    await held.arrived.wait()
    clock.advance(4.5)  # too little is left for the next step
    customer = (await ledger.get_connected_customer("acct_seller", "cus_shopper")).connected_customer_id
    other = dataclasses.replace(made, state=CloneState.ATTACHED, connected_customer_id=customer, version=2)
    await ledger.commit(None, [PutClone(other)])
    held.release.set()
    answer = await attaching

    assert isinstance(answer.error, errors.DeadlineTooShort)
    assert (await ledger.get_request(request_id)).state is RequestState.PARKED


async def test_what_stripe_did_is_on_record_although_the_clone_was_written_by_another(
    engine: Engine, ledger: Any, stripe: WorkingStripe
) -> None:
    assert (await engine.submit(new_id(), "hash", CHARGE)).error is None
    own = await engine.submit(new_id(), "hash", dataclasses.replace(CLONE, reuse=CloneReuse.NEVER))
    assert isinstance(own.result, CloneMade)
    made = own.result.clone
    held = Held({"id": made.connected_object_id, "type": "card", "card": {}})
    stripe.on("POST", "/v1/payment_methods/[^/]+/attach", held)
    attaching = asyncio.create_task(engine.submit(new_id(), "hash", AttachClone(made.clone_id)))
    await held.arrived.wait()
    customer = (await ledger.get_connected_customer("acct_seller", "cus_shopper")).connected_customer_id
    other = dataclasses.replace(made, state=CloneState.ATTACHED, connected_customer_id=customer, version=2)
    await ledger.commit(None, [PutClone(other)])
    held.release.set()
    answer = await attaching

    assert answer.error is None
    assert (await ledger.get_effect(f"attach:{made.clone_id}:{customer}")).state is EffectState.DONE


@pytest.mark.parametrize(
    "trouble",
    [
        Refused(429, "invalid_request_error", "rate_limit", rate_limited_reason="global-rate"),
        Refused(429, "invalid_request_error", "lock_timeout"),
        Refused(403, "invalid_request_error", "account_invalid"),
        Refused(401, "invalid_request_error"),
        AnswerLost(),
    ],
)
async def test_an_outcome_that_cannot_be_looked_up_stays_unknown(
    engine: Engine, ledger: Any, stripe: WorkingStripe, clock: VirtualClock, trouble: StripeFault
) -> None:
    request_id = new_id()
    stripe.on("POST", "/v1/payment_intents/[^/]+/confirm", AnswerLost())
    stripe.on("GET", "/v1/payment_intents/[^/]+", trouble)
    assert (await engine.submit(request_id, "hash", CHARGE)).error is not None
    clock.advance(25 * 3600)
    answer = await engine.submit(request_id, "hash", CHARGE)

    assert isinstance(answer.error, errors.OutcomeUnknown)
    assert (await ledger.get_request(request_id)).state is RequestState.INDETERMINATE


async def test_a_clone_found_attached_becomes_the_default_when_asked(engine: Engine, stripe: WorkingStripe) -> None:
    assert (await engine.submit(new_id(), "hash", CHARGE)).error is None
    attached = ClonePaymentMethod("cus_shopper", "acct_seller", "pm_saved", attach=AttachOptions(set_default=True))
    answer = await engine.submit(new_id(), "other", attached)

    assert isinstance(answer.result, CloneMade)
    assert answer.result.reused
    assert answer.result.clone.state is CloneState.ATTACHED
    customer = answer.result.clone.connected_customer_id
    assert [sent.call.params for sent in stripe.sent_to(f"/v1/customers/{customer}")] == [
        {"invoice_settings": {"default_payment_method": answer.result.clone.connected_object_id}}
    ]
