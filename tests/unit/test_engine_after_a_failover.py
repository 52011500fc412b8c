"""A standby that lacks the last commits: what the lost rows did is found again, and no owner from before may write."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge, Command, CreateCharge, RefundCharge
from cloneservice_server.domain.results import ChargeMade, CloneCharged, RefundMade
from cloneservice_server.domain.values import ChargeState, Clone, CloneState, Money
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import PutCharge, PutClone, StripeCall
from cloneservice_server.workflows.engine import Answer, Engine

from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

OPTIONS = ChargeOptions(Money(1999, "USD"))
FIRST = CloneAndCharge("cus_shopper", "acct_seller", OPTIONS, "pm_saved")


class ListingStripe(WorkingStripe):
    """Lists what was made, newest first, with the metadata it was made with."""

    def __init__(self) -> None:
        super().__init__()
        self.on("GET", "/v1/payment_intents", lambda _: self._list("/v1/payment_intents", "requires_confirmation"))
        self.on("GET", "/v1/refunds", lambda _: self._list("/v1/refunds", "succeeded"))
        self.on("POST", "/v1/refunds", {"id": "re_1", "status": "succeeded", "amount": 1999})

    def _list(self, path: str, status: str) -> dict[str, Any]:
        stored = [(call, body) for call, body in self._stored.values() if call.path == path and isinstance(body, dict)]
        return {"data": [{**call.params, **body, "status": status} for call, body in reversed(stored)]}

    def made(self, path: str) -> list[StripeCall]:
        return [call for call in self.done if (call.method, call.path) == ("POST", path)]


@pytest.fixture
def stripe() -> ListingStripe:
    return ListingStripe()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def start(stripe: ListingStripe, clock: VirtualClock) -> AsyncIterator[Callable[[], Any]]:
    """Opens an engine over a new ledger: the one that has lost everything."""
    ledgers = []

    async def opened() -> tuple[Engine, Any]:
        ledger = open_ledger("sqlite://:memory:", clock)
        await ledger.open()
        ledgers.append(ledger)
        return Engine(ledger=ledger, gateway=stripe, clock=clock), ledger

    yield opened
    for ledger in ledgers:
        await ledger.aclose()


async def charged(engine: Engine) -> CloneCharged:
    result = (await engine.submit(str(uuid.uuid4()), "first", FIRST)).result
    assert isinstance(result, CloneCharged)
    return result


async def again_without_the_attachment(start: Any, clone: Clone, request_id: str, command: Command) -> Answer:
    """The same request on a ledger that knows the clone as it was before it was attached."""
    engine, ledger = await start()
    before = dataclasses.replace(clone, state=CloneState.ACTIVE, connected_customer_id="", version=1)
    await ledger.commit(None, [PutClone(before)])
    answer: Answer = await engine.submit(request_id, "hash", command)
    return answer


async def test_a_charge_whose_record_was_lost_is_found_although_it_would_be_made_otherwise_now(
    start: Any, stripe: ListingStripe
) -> None:
    engine, _ = await start()
    clone = (await charged(engine)).clone
    assert clone is not None
    request_id, command = str(uuid.uuid4()), CreateCharge(clone.clone_id, OPTIONS)
    before = await engine.submit(request_id, "hash", command)
    confirmed = len(stripe.confirmed())
    after = await again_without_the_attachment(start, clone, request_id, command)

    assert isinstance(before.result, ChargeMade)
    assert isinstance(after.result, ChargeMade)
    assert after.result.charge.stripe_payment_intent_id == before.result.charge.stripe_payment_intent_id
    assert after.result.charge.state is ChargeState.SUCCEEDED
    assert len(stripe.confirmed()) == confirmed


async def test_a_lost_charge_of_another_amount_is_not_taken_for_this_one(start: Any, stripe: ListingStripe) -> None:
    engine, _ = await start()
    clone = (await charged(engine)).clone
    assert clone is not None
    request_id = str(uuid.uuid4())
    await engine.submit(request_id, "hash", CreateCharge(clone.clone_id, OPTIONS))
    confirmed = len(stripe.confirmed())
    more = CreateCharge(clone.clone_id, ChargeOptions(Money(2999, "USD")))
    answer = await again_without_the_attachment(start, clone, request_id, more)

    assert isinstance(answer.error, errors.StripeMisconfigured)
    assert len(stripe.confirmed()) == confirmed


async def test_a_key_that_is_held_by_a_call_that_made_nothing_is_left_for_the_next(
    start: Any, stripe: ListingStripe
) -> None:
    engine, _ = await start()
    clone = (await charged(engine)).clone
    assert clone is not None
    request_id, command = str(uuid.uuid4()), CreateCharge(clone.clone_id, OPTIONS)
    await engine.submit(request_id, "hash", command)
    stripe.on("GET", "/v1/payment_intents", {"data": []})
    stripe.on("GET", "/v1/payment_intents/[^/]+", payment_intent("requires_confirmation"))
    made = len(stripe.made("/v1/payment_intents"))
    answer = await again_without_the_attachment(start, clone, request_id, command)

    assert len(stripe.made("/v1/payment_intents")) == made + 1
    # The confirmation's key, too, is held, by that of a PaymentIntent which does not show: nobody confirms another.
    assert isinstance(answer.error, errors.StripeMisconfigured)


@pytest.mark.parametrize(("listed", "refunded"), [(True, RefundMade), (False, type(None))])
async def test_a_lost_refund_of_other_parameters_is_found_or_not_made_again(
    start: Any, stripe: ListingStripe, listed: bool, refunded: type
) -> None:
    engine, _ = await start()
    first = await charged(engine)
    charge = first.charge
    assert charge is not None
    request_id = str(uuid.uuid4())
    await engine.submit(request_id, "hash", RefundCharge(charge.charge_id))
    standby, ledger = await start()
    known = dataclasses.replace(charge, version=1, clone_id="")
    await ledger.commit(None, [PutCharge(known)])
    if not listed:
        stripe.on("GET", "/v1/refunds", {"data": []})
    stripe.on("GET", "/v1/payment_intents/[^/]+", payment_intent("succeeded", charge.stripe_payment_intent_id))
    answer = await standby.submit(request_id, "hash", RefundCharge(charge.charge_id, metadata={"since": "then"}))

    assert isinstance(answer.result, refunded)
    assert (await ledger.get_request(request_id)).state.final
    assert len(stripe.made("/v1/refunds")) == 1
