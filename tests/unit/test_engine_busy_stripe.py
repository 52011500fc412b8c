"""What the engine does when Stripe is too busy: repeats under the same key, and never calls unknown what is known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.results import CloneCharged
from cloneservice_server.domain.values import ChargeState, Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Ledger, Refused
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")
REQUEST = "7d3f0a52-31f5-4c0e-9d3e-5ad3b1a4f002"
CONFIRM = r"/v1/payment_intents/[^/]+/confirm"
ATTEMPTS = 3

KEY_IN_USE = Refused(409, "invalid_request_error", "idempotency_key_in_use")
KEY_IN_USE_OTHER_TYPE = Refused(409, "idempotency_error", "idempotency_key_in_use")
LOCKED = Refused(429, "invalid_request_error", "lock_timeout")
LIMITED = Refused(429, "invalid_request_error", "rate_limit", rate_limited_reason="endpoint-rate")
LIMITED_WITHOUT_CODE = Refused(429, "invalid_request_error", rate_limited_reason="global-concurrency")
WITHOUT_HEADER = Refused(429, "invalid_request_error")
BUSY = pytest.mark.parametrize(
    "busy",
    [KEY_IN_USE, KEY_IN_USE_OTHER_TYPE, LOCKED, LIMITED, LIMITED_WITHOUT_CODE, WITHOUT_HEADER],
    ids=["key in use", "key in use, other type", "lock", "rate", "rate without a code", "429 without header"],
)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stripe() -> WorkingStripe:
    return WorkingStripe()


@pytest.fixture
async def ledger(clock: VirtualClock) -> AsyncIterator[Ledger]:
    opened = open_ledger("sqlite://:memory:", clock)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
def engine(ledger: Ledger, stripe: WorkingStripe, clock: VirtualClock) -> Engine:
    settings = EngineSettings(retry=RetrySettings(attempts=ATTEMPTS, backoff_s=0.1))
    return Engine(ledger=ledger, gateway=stripe, clock=clock, settings=settings)


async def state_of(ledger: Ledger) -> RequestState:
    row = await ledger.get_request(REQUEST)
    assert row is not None
    return row.state


@BUSY
@pytest.mark.parametrize("path", [r"/v1/payment_methods", r"/v1/customers", r"/v1/payment_intents", CONFIRM])
async def test_a_step_that_meets_a_busy_stripe_is_repeated_under_its_key(
    engine: Engine, stripe: WorkingStripe, busy: Refused, path: str
) -> None:
    works: dict[str, Any] = {
        r"/v1/payment_methods": {"id": "pm_clone", "object": "payment_method", "type": "card"},
        r"/v1/customers": lambda call: {"id": "cus_made", "object": "customer", "metadata": call.params["metadata"]},
        r"/v1/payment_intents": payment_intent("requires_confirmation"),
        CONFIRM: lambda call: payment_intent("succeeded", call.path.split("/")[3]),
    }
    stripe.on("POST", path, busy, busy, works[path])
    answer = await engine.submit(REQUEST, "hash", CHARGE)

    assert isinstance(answer.result, CloneCharged), answer.error
    assert answer.result.charge is not None
    assert answer.result.charge.state is ChargeState.SUCCEEDED
    sent = stripe.sent_to(path)
    assert (len(sent), len({call.idempotency_key for call in sent})) == (ATTEMPTS, 1)


@pytest.mark.parametrize(
    ("busy", "reason"), [(LOCKED, "REQUEST_IN_PROGRESS"), (LIMITED, "STRIPE_RATE_LIMITED")], ids=["lock", "rate"]
)
async def test_a_stripe_that_stays_busy_parks_the_request_and_nothing_happens_until_its_caller_comes_back(
    engine: Engine, stripe: WorkingStripe, clock: VirtualClock, busy: Refused, reason: str
) -> None:
    stripe.on("POST", CONFIRM, busy)
    answer = await engine.submit(REQUEST, "hash", CHARGE)
    assert answer.error is not None
    assert answer.error.reason == reason
    assert answer.error.retry_after_s is not None
    assert await state_of(engine._ledger) is RequestState.PARKED

    stripe.on("POST", CONFIRM, lambda call: payment_intent("succeeded", call.path.split("/")[3]))
    stripe.on("GET", r"/v1/payment_intents/[^/]+", lambda call: payment_intent("requires_confirmation", call.path[20:]))
    sent = len(stripe.sent)
    for _ in range(3):
        clock.advance(86_400)
        assert await engine.recover_once() == 0
    assert len(stripe.sent) == sent  # never charged behind the caller's back

    again = await engine.submit(REQUEST, "hash", CHARGE)
    assert isinstance(again.result, CloneCharged), again.error
    assert len(stripe.confirmed()) == 1


async def test_a_key_that_stays_in_use_leaves_the_outcome_unknown_and_the_reconciler_learns_it(
    engine: Engine, stripe: WorkingStripe, ledger: Ledger, clock: VirtualClock
) -> None:
    """Somebody's send under our key is under way: it may charge, so this must not look as if nothing happened."""
    stripe.on("POST", CONFIRM, KEY_IN_USE)
    answer = await engine.submit(REQUEST, "hash", CHARGE)
    assert isinstance(answer.error, errors.OutcomeUnknown)
    assert await state_of(ledger) is RequestState.INDETERMINATE

    stripe.on("POST", CONFIRM, lambda call: payment_intent("succeeded", call.path.split("/")[3]))
    clock.advance(600)
    assert await engine.recover_once() == 1
    await engine.settle()
    assert await state_of(ledger) is RequestState.SUCCEEDED
    assert len(stripe.confirmed()) == 1
