"""One request_id, one charge, one answer: however often, however many at once, whatever is lost on the way."""

from __future__ import annotations

import asyncio
import json
import urllib.request
import uuid

import grpc
import pytest
from cloneservice import AsyncCloneClient, ChargeState, Money, OutcomeUnknown, RequestIdReused, RequestState
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import clone_service_pb2_grpc as pb_grpc
from cloneservice_server.app import App

from tests.stripe_http import StripeHttp

AMOUNT = Money(1999, "USD")


def lose_answers(stripe: StripeHttp, path: str, account: str, times: int) -> None:
    """Stripe does what is asked, `times` times, and then drops the connection."""
    headers = {"Authorization": f"Bearer {stripe.api_key}", "Content-Type": "application/json"}
    rule = {"match": {"method": "POST", "path": path, "account": account}, "act": "commit_then_drop", "times": times}
    body = json.dumps(rule).encode()
    request = urllib.request.Request(f"{stripe.url}/_fake/faults", body, headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status in (200, 201)


def charge_request(customer: str, account: str) -> pb.CloneAndChargeRequest:
    """The same charge as the client makes, as a bare message."""
    request = pb.CloneAndChargeRequest(
        request_id=str(uuid.uuid4()), platform_customer_id=customer, connected_account_id=account
    )
    request.charge.amount.minor_units = AMOUNT.minor_units
    request.charge.amount.currency_code = AMOUNT.currency_code
    return request


async def test_a_repeated_request_is_replayed_byte_for_byte(app: App, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    request = charge_request(customer, account)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        stub = pb_grpc.CloneServiceStub(channel)
        bodies, replays = [], []
        for _ in range(3):
            call = stub.CloneAndCharge(request, timeout=20)
            bodies.append((await call).SerializeToString(deterministic=True))
            replays.append(("idempotent-replayed", "true") in list(await call.initial_metadata()))

    assert replays == [False, True, True]
    assert len(set(bodies)) == 1
    assert len(stripe.succeeded_charges(account)) == 1


async def test_twenty_callers_at_once_charge_once(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    request_id = str(uuid.uuid4())
    answers = await asyncio.gather(
        *(client.clone_and_charge(customer, account, AMOUNT, request_id=request_id) for _ in range(20))
    )

    assert len({answer.charge.charge_id for answer in answers}) == 1
    assert len(stripe.succeeded_charges(account)) == 1


async def test_twenty_first_charges_at_once_make_one_customer_and_one_clone(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    answers = await asyncio.gather(*(client.clone_and_charge(customer, account, AMOUNT) for _ in range(20)))

    assert len({answer.clone.clone_id for answer in answers}) == 1
    assert len(stripe.succeeded_charges(account)) == 20
    (connected,) = stripe.listed("/v1/customers", account)
    assert len(stripe.listed("/v1/payment_methods", account, customer=connected["id"])) == 1


async def test_other_parameters_under_the_same_id_are_refused(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    first = await client.clone_and_charge(customer, account, AMOUNT)
    with pytest.raises(RequestIdReused):
        await client.clone_and_charge(customer, account, Money(2000, "USD"), request_id=first.request_id)

    assert len(stripe.succeeded_charges(account)) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payment_methods",
        "/v1/customers",
        "/v1/payment_intents",
        "/v1/payment_intents/{intent}/confirm",
    ],
)
async def test_an_answer_lost_after_stripe_committed_changes_nothing(
    path: str, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    lose_answers(stripe, path, account, times=1)
    made = await client.clone_and_charge(customer, account, AMOUNT)

    assert made.charge.state is ChargeState.SUCCEEDED
    assert len(stripe.succeeded_charges(account)) == 1
    assert len(stripe.listed("/v1/payment_intents", account)) == 1
    assert len(stripe.listed("/v1/customers", account)) == 1


async def test_lookup_tells_what_became_of_a_request(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    made = await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)
    known = await client.lookup_request(made.request_id)
    unknown = await client.lookup_request(str(uuid.uuid4()))

    assert (known.state, known.charge_id, known.clone_id) == (
        RequestState.SUCCEEDED,
        made.charge.charge_id,
        made.clone.clone_id,
    )
    assert unknown.state is RequestState.UNKNOWN


async def test_an_outcome_nobody_knows_is_said_to_be_unknown_and_settles_later(
    client: AsyncCloneClient, stripe: StripeHttp, app: App
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    request = charge_request(customer, account)
    lose_answers(stripe, "/v1/payment_intents/{intent}/confirm", account, times=4)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:  # no service config: one try
        with pytest.raises(grpc.aio.AioRpcError) as lost:
            await pb_grpc.CloneServiceStub(channel).CloneAndCharge(request, timeout=20)
    told = await client.lookup_request(request.request_id)
    waiting = await client.get_charge(told.charge_id)
    made = await client.clone_and_charge(customer, account, AMOUNT, request_id=request.request_id)

    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    assert told.state is RequestState.INDETERMINATE
    assert isinstance(told.error, OutcomeUnknown)
    assert waiting.state is ChargeState.INDETERMINATE
    assert made.charge.state is ChargeState.SUCCEEDED
    assert len(stripe.succeeded_charges(account)) == 1
