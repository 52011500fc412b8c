"""A charge lives on after it was made: confirmed, captured, cancelled or refunded, each once, each by the rules."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

import pytest
from cloneservice import (
    AsyncCloneClient,
    AuthenticationRequired,
    CaptureMethod,
    Charge,
    ChargeState,
    EtagMismatch,
    InvalidRequest,
    InvalidState,
    Money,
    RefundState,
    ResourceNotFound,
)

from tests.stripe_http import StripeHttp

AMOUNT = Money(2000, "USD")
FEE = Money(200, "USD")


def control(stripe: StripeHttp, path: str, **body: Any) -> Any:
    """The double's own door, for what happens outside Stripe's API."""
    headers = {"Authorization": f"Bearer {stripe.api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{stripe.url}/_fake/{path}", json.dumps(body).encode(), headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture
def account(stripe: StripeHttp) -> str:
    return stripe.connected_account()


async def charged(client: AsyncCloneClient, stripe: StripeHttp, account: str, **options: Any) -> Charge:
    customer, _ = stripe.saved_card(options.pop("card", "pm_card_visa"))
    made = await client.clone_and_charge(customer, account, AMOUNT, application_fee=FEE, **options)
    return made.charge


async def authorised(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> Charge:
    return await charged(client, stripe, account, capture_method=CaptureMethod.MANUAL)


# -------------------------------------------------------------------------------------------------------- confirming


async def test_a_deferred_charge_is_confirmed_later(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    waiting = await charged(client, stripe, account, defer_confirmation=True)
    done = await client.confirm_charge(waiting.charge_id, off_session=True, etag=waiting.etag)
    again = await client.confirm_charge(
        waiting.charge_id, request_id=done.request_id, off_session=True, etag=waiting.etag
    )
    other = await client.confirm_charge(waiting.charge_id)

    assert waiting.state is ChargeState.REQUIRES_CONFIRMATION
    assert done.charge.state is ChargeState.SUCCEEDED
    assert (again.charge, again.replayed) == (done.charge, True)
    assert other.charge == done.charge
    assert len(stripe.succeeded_charges(account)) == 1


async def test_a_shopper_who_was_absent_comes_back_and_pays_once(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    with pytest.raises(AuthenticationRequired) as refused:
        await charged(client, stripe, account, card="pm_card_authenticationRequired", off_session=True)
    charge_id = refused.value.metadata["charge_id"]
    assert refused.value.metadata["connected_account_id"] == account
    assert refused.value.charge is not None
    assert not refused.value.charge.next_action

    back = await client.confirm_charge(charge_id, return_url="https://shop.example.com/back")
    assert back.charge.state is ChargeState.REQUIRES_ACTION
    assert back.charge.connected_account_id == account
    assert back.charge.next_action is not None
    assert back.charge.next_action.client_secret.startswith(back.charge.stripe_payment_intent_id)
    assert await secret_of(client, charge_id) == ""

    control(stripe, f"authentications/{back.charge.stripe_payment_intent_id}", outcome="succeeded")
    paid = await client.confirm_charge(charge_id)

    assert paid.charge.state is ChargeState.SUCCEEDED
    assert paid.charge.decline is None
    assert len(stripe.succeeded_charges(account)) == 1
    assert len(stripe.listed("/v1/payment_intents", account)) == 1


async def secret_of(client: AsyncCloneClient, charge_id: str) -> str:
    """What a mere read tells of the client secret."""
    charge = await client.get_charge(charge_id)
    return charge.next_action.client_secret if charge.next_action else ""


async def test_a_shopper_who_failed_the_challenge_may_try_again(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    asked = await charged(client, stripe, account, card="pm_card_authenticationRequired")
    control(stripe, f"authentications/{asked.stripe_payment_intent_id}", outcome="failed")
    again = await client.confirm_charge(asked.charge_id)
    control(stripe, f"authentications/{asked.stripe_payment_intent_id}", outcome="succeeded")
    seen = await client.get_charge(asked.charge_id, refresh=True)

    assert asked.state is ChargeState.REQUIRES_ACTION
    assert again.charge.state is ChargeState.REQUIRES_ACTION
    assert seen.state is ChargeState.SUCCEEDED
    assert len(stripe.succeeded_charges(account)) == 1


async def test_a_canceled_charge_is_not_confirmed(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    waiting = await charged(client, stripe, account, defer_confirmation=True)
    await client.cancel_charge(waiting.charge_id)
    with pytest.raises(InvalidState) as refused:
        await client.confirm_charge(waiting.charge_id)

    assert refused.value.state == "CANCELED"


@pytest.mark.parametrize(
    ("bank", "ends"),
    [("pm_usBankAccount_success", ChargeState.SUCCEEDED), ("pm_usBankAccount_insufficientFunds", ChargeState.DECLINED)],
)
async def test_a_bank_debit_is_processing_until_the_bank_answers(
    bank: str, ends: ChargeState, client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    sent = await charged(client, stripe, account, card=bank)
    control(stripe, "clock", advance=10 * 86_400)
    ended = await client.get_charge(sent.charge_id, refresh=True)

    assert sent.state is ChargeState.PROCESSING
    assert ended.state is ends
    assert (ended.decline is None) == (ends is ChargeState.SUCCEEDED)
    with pytest.raises(InvalidState, match="PROCESSING"):
        await client.refund_charge((await charged(client, stripe, account, card=bank)).charge_id)


# --------------------------------------------------------------------------------------------------------- capturing


async def test_an_authorised_charge_is_captured_in_part_with_its_fee_restated(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    held = await authorised(client, stripe, account)
    taken = await client.capture_charge(
        held.charge_id, amount=Money(1500, "USD"), application_fee=Money(150, "USD"), etag=held.etag
    )
    (charge,) = stripe.succeeded_charges(account)

    assert (held.state, held.amount_capturable) == (ChargeState.REQUIRES_CAPTURE, AMOUNT)
    assert taken.charge.state is ChargeState.SUCCEEDED
    assert (taken.charge.amount_received, taken.charge.application_fee) == (Money(1500, "USD"), Money(150, "USD"))
    assert (charge["amount_captured"], charge["application_fee_amount"]) == (1500, 150)
    assert (await client.get_charge(held.charge_id, refresh=True)).amount_refunded == Money(0, "USD")


async def test_only_one_of_two_captures_takes_the_money(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    held = await authorised(client, stripe, account)
    answers = await asyncio.gather(
        *(client.capture_charge(held.charge_id, amount=Money(part, "USD")) for part in (700, 900)),
        return_exceptions=True,
    )
    (charge,) = stripe.succeeded_charges(account)

    assert sorted(type(answer).__name__ for answer in answers) == ["ChargeResult", "InvalidState"]
    assert (await client.get_charge(held.charge_id)).amount_received == Money(charge["amount_captured"], "USD")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"amount": Money(2001, "USD")}, "amount.minor_units"),
        ({"amount": Money(100, "EUR")}, "amount.currency_code"),
        ({"amount": Money(100, "USD")}, "application_fee.minor_units"),
        ({"application_fee": Money(2001, "USD")}, "application_fee.minor_units"),
    ],
)
async def test_a_capture_that_does_not_fit_is_refused_by_its_field(
    asked: dict[str, Any], field: str, client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    held = await authorised(client, stripe, account)
    with pytest.raises(InvalidRequest) as refused:
        await client.capture_charge(held.charge_id, **asked)

    assert [violation.field for violation in refused.value.violations] == [field]
    assert (await client.get_charge(held.charge_id, refresh=True)).state is ChargeState.REQUIRES_CAPTURE


async def test_an_etag_of_the_past_is_refused(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    held = await authorised(client, stripe, account)
    await client.capture_charge(held.charge_id)
    for verb in (client.capture_charge, client.cancel_charge, client.confirm_charge):
        with pytest.raises(EtagMismatch):
            await verb(held.charge_id, etag=held.etag)


# -------------------------------------------------------------------------------------------------------- cancelling


async def test_an_authorised_charge_is_cancelled_and_stays_so(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    held = await authorised(client, stripe, account)
    gone = await client.cancel_charge(held.charge_id, reason="requested_by_customer")
    again = await client.cancel_charge(held.charge_id)
    intent = stripe.get(f"/v1/payment_intents/{held.stripe_payment_intent_id}", account)

    assert gone.charge.state is ChargeState.CANCELED
    assert gone.charge.amount_capturable == Money(0, "USD")
    assert again.charge == gone.charge
    assert intent["cancellation_reason"] == "requested_by_customer"
    with pytest.raises(InvalidState, match="CANCELED"):
        await client.capture_charge(held.charge_id)


async def test_what_was_captured_is_not_cancelled(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    done = await charged(client, stripe, account)
    with pytest.raises(InvalidState) as refused:
        await client.cancel_charge(done.charge_id)

    assert refused.value.state == "SUCCEEDED"


# --------------------------------------------------------------------------------------------------------- refunding


async def test_a_charge_is_refunded_in_parts_and_never_beyond(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    done = await charged(client, stripe, account)
    first = await client.refund_charge(
        done.charge_id,
        amount=Money(500, "USD"),
        reason="requested_by_customer",
        refund_application_fee=True,
        metadata={"rma": "7"},
    )
    with pytest.raises(InvalidRequest) as too_much:
        await client.refund_charge(done.charge_id, amount=Money(1501, "USD"))
    rest = await client.refund_charge(done.charge_id)
    with pytest.raises(InvalidState) as nothing_left:
        await client.refund_charge(done.charge_id)
    listed = [refund async for refund in client.list_refunds(done.charge_id, page_size=1)]

    assert (first.refund.state, first.refund.amount) == (RefundState.SUCCEEDED, Money(500, "USD"))
    assert (first.refund.reason, first.refund.metadata) == ("requested_by_customer", {"rma": "7"})
    assert first.charge.amount_refunded == Money(500, "USD")
    assert too_much.value.metadata["left"] == "1500"
    assert (rest.refund.amount, rest.charge.amount_refunded) == (Money(1500, "USD"), AMOUNT)
    assert nothing_left.value.state == "REFUNDED"
    assert listed == [rest.refund, first.refund]
    (fee,) = stripe.listed("/v1/application_fees")
    assert fee["amount_refunded"] == 50


async def test_the_same_refund_asked_twice_is_made_once(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    done = await charged(client, stripe, account)
    first = await client.refund_charge(done.charge_id, amount=Money(500, "USD"))
    again = await client.refund_charge(done.charge_id, amount=Money(500, "USD"), request_id=first.request_id)
    told = await client.lookup_request(first.request_id)

    assert (again.refund, again.replayed) == (first.refund, True)
    assert told.refund_id == first.refund.refund_id
    assert len(stripe.listed("/v1/refunds", account)) == 1


async def test_two_refunds_at_once_are_both_counted(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    done = await charged(client, stripe, account)
    await asyncio.gather(*(client.refund_charge(done.charge_id, amount=Money(300, "USD")) for _ in range(4)))

    assert (await client.get_charge(done.charge_id)).amount_refunded == Money(1200, "USD")
    assert len(stripe.listed("/v1/refunds", account)) == 4


async def test_what_others_refunded_counts(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    done = await charged(client, stripe, account)
    stripe.post("/v1/refunds", account, payment_intent=done.stripe_payment_intent_id, amount=1900)
    with pytest.raises(InvalidRequest) as refused:
        await client.refund_charge(done.charge_id, amount=Money(500, "USD"))
    seen = await client.get_charge(done.charge_id, refresh=True)

    assert [violation.field for violation in refused.value.violations] == ["amount.minor_units"]
    assert seen.amount_refunded == Money(1900, "USD")


async def test_what_was_only_authorised_is_not_refunded(
    client: AsyncCloneClient, stripe: StripeHttp, account: str
) -> None:
    held = await authorised(client, stripe, account)
    with pytest.raises(InvalidState, match="cancel it"):
        await client.refund_charge(held.charge_id)

    assert stripe.listed("/v1/refunds", account) == []


async def test_a_pending_refund_says_so(client: AsyncCloneClient, stripe: StripeHttp, account: str) -> None:
    done = await charged(client, stripe, account, card="pm_card_pendingRefund")

    assert (await client.refund_charge(done.charge_id)).refund.state is RefundState.PENDING


async def test_a_charge_nobody_made_is_not_found(client: AsyncCloneClient) -> None:
    for verb in (client.confirm_charge, client.capture_charge, client.cancel_charge, client.refund_charge):
        with pytest.raises(ResourceNotFound):
            await verb("chg_nobody")
    with pytest.raises(ResourceNotFound):
        await client.list_refunds("chg_nobody").page()
