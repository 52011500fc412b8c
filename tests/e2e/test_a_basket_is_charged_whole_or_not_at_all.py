"""One shopper, several sellers: every leg is captured, or no leg keeps any money, whatever happens on the way."""

from __future__ import annotations

import json
import urllib.request
import uuid
from typing import Any

import grpc
import pytest
from cloneservice import (
    AsyncCloneClient,
    AuthenticationRequired,
    BasketLegOptions,
    BasketLegState,
    BasketNotCaptured,
    BasketState,
    CardDeclined,
    ChargeState,
    CloneServiceError,
    InvalidRequest,
    InvalidState,
    Money,
    RequestIdReused,
    RequestState,
)
from cloneservice._calls.baskets import charge_basket
from cloneservice._errors import from_rpc_error
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server.app import App

from tests.stripe_http import StripeHttp

LEG = BasketLegState
CONFIRM = "/v1/payment_intents/{intent}/confirm"
CAPTURE = "/v1/payment_intents/{intent}/capture"
TOO_FAST = {"kind": "status", "status": 429, "reason": "global-rate"}


@pytest.fixture
def sellers(stripe: StripeHttp) -> list[str]:
    return [stripe.connected_account() for _ in range(3)]


def legs_of(sellers: list[str]) -> list[BasketLegOptions]:
    """1,000 for the first, 1,100 for the second and so on, each with a tenth as the platform's fee."""
    return [
        BasketLegOptions(seller, Money(amount, "USD"), Money(amount // 10, "USD"), metadata={"order": "7"})
        for seller, amount in zip(sellers, range(1000, 3000, 100), strict=False)
    ]


def control(stripe: StripeHttp, method: str, path: str, body: Any = None) -> None:
    """The double's own door."""
    headers = {"Authorization": f"Bearer {stripe.api_key}", "Content-Type": "application/json"}
    data = json.dumps(body or {}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{stripe.url}/_fake/{path}", data, headers, method=method)):
        pass


def fault(stripe: StripeHttp, path: str, account: str, act: Any, times: int = 1) -> None:
    """The next calls of `path` on `account` go wrong."""
    match = {"method": "POST", "path": path, "account": account}
    control(stripe, "POST", "faults", {"match": match, "act": act, "times": times})


def answer(status: int, **error: str) -> dict[str, Any]:
    """An error of Stripe's, without anything being done."""
    return {"kind": "answer", "status": status, "body": {"error": {"message": "No.", **error}}}


def kept(stripe: StripeHttp, seller: str) -> int:
    """What a seller has of the shopper's money: captured and not refunded."""
    return sum(
        charge["amount_captured"] - charge["amount_refunded"]
        for charge in stripe.succeeded_charges(seller)
        if charge["captured"]
    )


def held(stripe: StripeHttp, seller: str) -> int:
    """What is still held for a seller."""
    return sum(intent["amount_capturable"] for intent in stripe.listed("/v1/payment_intents", seller))


async def refused(client: AsyncCloneClient, customer: str, sellers: list[str], **more: Any) -> CloneServiceError:
    with pytest.raises(CloneServiceError) as error:
        await client.charge_basket(customer, legs_of(sellers), **more)
    return error.value


async def asked_once(app: App, customer: str, sellers: list[str]) -> tuple[str, CloneServiceError]:
    """One try, with no retry of the channel's or the client's: its request_id and its error."""
    request_id = str(uuid.uuid4())
    once: Any = charge_basket(customer, legs_of(sellers), request_id=request_id)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}", [("grpc.enable_retries", 0)]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await CloneServiceStub(channel).ChargeBasket(once.request, timeout=20)
    return request_id, from_rpc_error(lost.value)


async def test_every_seller_is_paid(client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]) -> None:
    customer, card = stripe.saved_card()
    done = await client.charge_basket(customer, legs_of(sellers), metadata={"cart": "9"})
    again = await client.charge_basket(customer, legs_of(sellers), metadata={"cart": "9"}, request_id=done.request_id)
    charges = [charge async for charge in client.list_charges(platform_customer_id=customer)]
    told = await client.lookup_request(done.request_id)

    assert done.basket.state is BasketState.SUCCEEDED
    assert (done.basket.platform_payment_method_id, done.basket.metadata) == (card, {"cart": "9"})
    assert [leg.state for leg in done.basket.legs] == [LEG.CAPTURED] * 3
    assert [leg.connected_account_id for leg in done.basket.legs] == sellers
    assert (again.basket, again.replayed) == (done.basket, True)
    assert await client.get_basket(done.basket.basket_id) == done.basket
    assert {charge.charge_id for charge in charges} == {leg.charge_id for leg in done.basket.legs}
    assert {charge.basket_id for charge in charges} == {done.basket.basket_id}
    assert {charge.state for charge in charges} == {ChargeState.SUCCEEDED}
    assert (told.state, told.basket_id) == (RequestState.SUCCEEDED, done.basket.basket_id)
    assert [kept(stripe, seller) for seller in sellers] == [1000, 1100, 1200]
    assert sorted(fee["amount"] for fee in stripe.listed("/v1/application_fees")) == [100, 110, 120]


async def test_a_second_basket_reuses_the_clones(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    for _ in range(2):
        await client.charge_basket(customer, legs_of(sellers))

    assert [len(stripe.listed("/v1/customers", seller)) for seller in sellers] == [1, 1, 1]
    assert [kept(stripe, seller) for seller in sellers] == [2000, 2200, 2400]


async def test_one_leg_declined_and_nobody_keeps_anything(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    no_funds = answer(402, type="card_error", code="card_declined", decline_code="insufficient_funds")
    fault(stripe, CONFIRM, sellers[1], no_funds)
    error = await refused(client, customer, sellers)
    again = await refused(client, customer, sellers, request_id=error.request_id)
    basket = await client.get_basket(error.metadata["basket_id"])

    assert isinstance(error, CardDeclined)
    assert (error.metadata["leg"], error.metadata["connected_account_id"]) == ("1", sellers[1])
    assert (again.metadata, again.replayed) == (error.metadata, True)
    assert basket.state is BasketState.CANCELED
    assert [leg.state for leg in basket.legs] == [LEG.CANCELED, LEG.FAILED, LEG.CANCELED]
    assert basket.legs[1].error is not None
    assert basket.legs[1].error.reason == "CARD_DECLINED"
    assert [(kept(stripe, seller), held(stripe, seller)) for seller in sellers] == [(0, 0)] * 3


async def test_a_leg_that_wants_the_shopper_fails_the_basket(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card("pm_card_authenticationRequired")
    for off_session in (True, False):
        error = await refused(client, customer, sellers, off_session=off_session)
        assert isinstance(error, AuthenticationRequired)
        assert (await client.get_basket(error.metadata["basket_id"])).state is BasketState.CANCELED

    states = {intent["status"] for seller in sellers for intent in stripe.listed("/v1/payment_intents", seller)}
    assert states == {"canceled"}


async def test_a_seller_who_left_fails_the_basket_before_anything_is_taken(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    control(stripe, "DELETE", f"accounts/{sellers[2]}")
    error = await refused(client, customer, sellers)

    assert error.reason == "CONNECTED_ACCOUNT_UNAVAILABLE"
    assert [(kept(stripe, seller), held(stripe, seller)) for seller in sellers[:2]] == [(0, 0)] * 2


async def test_a_leg_whose_outcome_is_unknown_is_learnt_before_the_basket_is_given_back(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str], app: App
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CONFIRM, sellers[0], "commit_then_drop")
    fault(stripe, CONFIRM, sellers[0], {"kind": "status", "status": 409}, times=3)
    fault(stripe, CONFIRM, sellers[1], answer(402, type="card_error", code="card_declined"))
    error = await refused(client, customer, sellers)

    assert isinstance(error, CardDeclined)
    assert [(kept(stripe, seller), held(stripe, seller)) for seller in sellers] == [(0, 0)] * 3
    assert await app.ledger.open_effects(error.request_id) == []


async def test_once_money_may_be_held_nobody_is_told_that_nothing_was_done(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str], app: App
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CONFIRM, sellers[1], TOO_FAST, times=4)
    request_id, error = await asked_once(app, customer, sellers)
    told = await client.lookup_request(request_id)
    done = await client.charge_basket(customer, legs_of(sellers), request_id=request_id)

    assert (error.reason, error.metadata["cause"]) == ("STRIPE_OUTCOME_UNKNOWN", "STRIPE_RATE_LIMITED")
    assert told.state is RequestState.INDETERMINATE
    assert done.basket.state is BasketState.SUCCEEDED


async def test_before_anything_is_held_the_trouble_is_told_as_it_is(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str], app: App
) -> None:
    customer, _ = stripe.saved_card()
    for seller in sellers:
        fault(
            stripe, "/v1/payment_methods", seller, {"kind": "status", "status": 429, "reason": "global-rate"}, times=4
        )
    request_id, error = await asked_once(app, customer, sellers)

    assert error.reason == "STRIPE_RATE_LIMITED"
    assert (await client.lookup_request(request_id)).state is RequestState.FAILED


NOT_CAPTURABLE = answer(400, type="invalid_request_error", code="charge_expired_for_capture")


async def test_a_capture_refused_after_the_decision_gives_everything_back(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CAPTURE, sellers[1], NOT_CAPTURABLE)
    error = await refused(client, customer, sellers)
    basket = await client.get_basket(error.metadata["basket_id"])

    assert isinstance(error, BasketNotCaptured)
    assert (error.state, error.metadata["leg"], error.metadata["cause"]) == ("CANCELED", "1", "INVALID_STATE")
    assert [leg.state for leg in basket.legs] == [LEG.REFUNDED, LEG.CANCELED, LEG.REFUNDED]
    assert [(kept(stripe, seller), held(stripe, seller)) for seller in sellers] == [(0, 0)] * 3
    assert {fee["amount"] - fee["amount_refunded"] for fee in stripe.listed("/v1/application_fees")} == {0}
    listed = [refund async for refund in client.list_refunds(basket.legs[0].charge_id)]
    assert [refund.refund_id for refund in listed] == [basket.legs[0].refund_id]


async def test_a_leg_that_cannot_be_given_back_is_said_to_be_stuck(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CAPTURE, sellers[1], NOT_CAPTURABLE)
    gone = answer(403, type="invalid_request_error", code="account_invalid")
    fault(stripe, "/v1/refunds", sellers[0], gone)
    error = await refused(client, customer, sellers)
    basket = await client.get_basket(error.metadata["basket_id"])

    assert isinstance(error, BasketNotCaptured)
    assert (error.state, basket.state) == ("BROKEN", BasketState.BROKEN)
    assert [leg.state for leg in basket.legs] == [LEG.STUCK, LEG.CANCELED, LEG.REFUNDED]
    assert basket.legs[0].error is not None
    assert basket.legs[0].error.reason == "CONNECTED_ACCOUNT_UNAVAILABLE"
    assert (await client.refund_charge(basket.legs[0].charge_id)).charge.amount_refunded == Money(1000, "USD")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payment_methods",
        "/v1/customers",
        "/v1/payment_intents",
        CONFIRM,
        CAPTURE,
    ],
)
async def test_an_answer_lost_on_the_way_changes_nothing(
    path: str, client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    for seller in sellers:
        fault(stripe, path, seller, "commit_then_drop")
    done = await client.charge_basket(customer, legs_of(sellers))

    assert done.basket.state is BasketState.SUCCEEDED
    assert [kept(stripe, seller) for seller in sellers] == [1000, 1100, 1200]
    assert [len(stripe.listed("/v1/payment_intents", seller)) for seller in sellers] == [1, 1, 1]


@pytest.mark.parametrize("path", ["/v1/payment_intents/{intent}/cancel", "/v1/refunds"])
async def test_an_answer_lost_on_the_way_back_changes_nothing(
    path: str, client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CAPTURE, sellers[1], NOT_CAPTURABLE)
    for seller in sellers:
        fault(stripe, path, seller, "commit_then_drop")
    await refused(client, customer, sellers)

    assert [(kept(stripe, seller), held(stripe, seller)) for seller in sellers] == [(0, 0)] * 3
    assert [len(stripe.listed("/v1/refunds", seller)) for seller in sellers] == [1, 0, 1]


async def test_only_the_basket_decides_over_its_legs(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str], app: App
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CAPTURE, sellers[1], "drop_before", times=4)
    request_id, lost = await asked_once(app, customer, sellers)
    basket_id = (await client.lookup_request(request_id)).basket_id
    basket = await client.get_basket(basket_id)

    assert lost.reason == "STRIPE_OUTCOME_UNKNOWN"
    assert basket.state is BasketState.CAPTURING
    for leg in basket.legs:
        for verb in (client.cancel_charge, client.capture_charge, client.refund_charge, client.confirm_charge):
            with pytest.raises(InvalidState, match=basket_id):
                await verb(leg.charge_id)
    done = await client.charge_basket(customer, legs_of(sellers), request_id=request_id)
    assert done.basket.state is BasketState.SUCCEEDED


async def test_an_erasure_meanwhile_leaves_no_basket_half_paid(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str], app: App
) -> None:
    customer, _ = stripe.saved_card()
    fault(stripe, CAPTURE, sellers[1], "drop_before", times=4)
    request_id, _ = await asked_once(app, customer, sellers)
    await client.erase_customer(customer)
    done = await client.charge_basket(customer, legs_of(sellers), request_id=request_id)

    assert done.basket.state is BasketState.SUCCEEDED
    assert done.basket.platform_customer_id != customer
    assert [kept(stripe, seller) for seller in sellers] == [1000, 1100, 1200]


async def test_what_does_not_make_a_basket_is_refused(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    bank = stripe.post("/v1/payment_methods/pm_usBankAccount_success/attach", customer=customer)["id"]
    many = [BasketLegOptions(f"acct_{number}", Money(100, "USD")) for number in range(21)]
    for legs, field in (([], "legs"), (many, "legs"), (many[:1] * 2, "legs[1].connected_account_id")):
        with pytest.raises(InvalidRequest) as wrong:
            await client.charge_basket(customer, legs)
        assert [violation.field for violation in wrong.value.violations] == [field]
    error = await refused(client, customer, sellers, platform_payment_method_id=bank)

    assert error.reason == "INVALID_REQUEST"
    assert [held(stripe, seller) for seller in sellers] == [0, 0, 0]


async def test_another_basket_under_the_same_id_is_refused(
    client: AsyncCloneClient, stripe: StripeHttp, sellers: list[str]
) -> None:
    customer, _ = stripe.saved_card()
    done = await client.charge_basket(customer, legs_of(sellers))
    with pytest.raises(RequestIdReused):
        await client.charge_basket(customer, legs_of(sellers[:2]), request_id=done.request_id)
