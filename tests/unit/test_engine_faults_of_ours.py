"""A fault on our side of Stripe's answer must not look as if nothing had happened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.values import Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import AnswerLost, Ledger, NotSent, StripeCall
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.fakes import Body
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")
REQUEST = "7d3f0a52-31f5-4c0e-9d3e-5ad3b1a4f004"
CONFIRM = r"/v1/payment_intents/[^/]+/confirm"


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
    settings = EngineSettings(retry=RetrySettings(attempts=2, backoff_s=0.1))
    return Engine(ledger=ledger, gateway=stripe, clock=clock, settings=settings)


async def state_of(ledger: Ledger) -> RequestState:
    row = await ledger.get_request(REQUEST)
    assert row is not None
    return row.state


def charged(call: StripeCall) -> Body:
    return payment_intent("succeeded", call.path.split("/")[3])


def unreadable(call: StripeCall) -> Body:
    """It is done, and the answer is one that we were not made for."""
    return {"id": call.path.split("/")[3], "object": "payment_intent"}


async def test_a_charge_whose_answer_we_cannot_read_is_awaited_and_not_parked(
    engine: Engine, stripe: WorkingStripe, ledger: Ledger, clock: VirtualClock
) -> None:
    stripe.on("POST", CONFIRM, unreadable)
    answer = await engine.submit(REQUEST, "hash", CHARGE)
    assert isinstance(answer.error, errors.InternalError)
    assert await state_of(ledger) is RequestState.INDETERMINATE

    stripe.on("GET", r"/v1/payment_intents/[^/]+", charged)
    clock.advance(86_400)
    assert await engine.recover_once() == 1
    await engine.settle()
    assert await state_of(ledger) is RequestState.SUCCEEDED
    assert len(stripe.confirmed()) == 1


async def test_a_fault_before_anything_was_begun_parks(engine: Engine, stripe: WorkingStripe, ledger: Ledger) -> None:
    def fault(call: StripeCall) -> Body:
        raise ZeroDivisionError

    stripe.on("GET", r"/v1/customers/[^/]+", fault)
    command = CloneAndCharge("cus_shopper", "acct_seller", CHARGE.charge)  # the default is read first
    answer = await engine.submit(REQUEST, "hash", command)
    assert isinstance(answer.error, errors.InternalError)
    assert await state_of(ledger) is RequestState.PARKED


async def test_an_awaited_outcome_stays_awaited_while_stripe_cannot_be_read(
    engine: Engine, stripe: WorkingStripe, ledger: Ledger, clock: VirtualClock
) -> None:
    stripe.on("GET", r"/v1/customers/[^/]+", {"id": "cus_shopper", "default_source": "src_saved"}, NotSent())
    stripe.on("POST", r"/v1/sources", AnswerLost())
    command = CloneAndCharge("cus_shopper", "acct_seller", CHARGE.charge)
    await engine.submit(REQUEST, "hash", command)
    assert await state_of(ledger) is RequestState.INDETERMINATE

    clock.advance(600)
    assert await engine.recover_once() == 1
    await engine.settle()
    assert await state_of(ledger) is RequestState.INDETERMINATE
