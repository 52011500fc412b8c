"""A decline is a typed, final answer that carries the recorded charge; 3-D Secure is a state, not an error."""

from __future__ import annotations

import pytest
from cloneservice import (
    AsyncCloneClient,
    AuthenticationRequired,
    CardDeclined,
    ChargeState,
    CloneState,
    Money,
)

from tests.stripe_http import StripeHttp

AMOUNT = Money(1500, "USD")


async def saved(client: AsyncCloneClient, stripe: StripeHttp, payment_method: str) -> str:
    """A platform customer whose default is this test card."""
    customer = str(stripe.post("/v1/customers")["id"])
    await client.save_payment_method(payment_method, platform_customer_id=customer, set_default=True)
    return customer


async def test_a_declined_charge_is_recorded_and_told(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer = await saved(client, stripe, "pm_card_chargeCustomerFail")
    with pytest.raises(CardDeclined) as declined:
        await client.clone_and_charge(customer, account, AMOUNT)

    charge = declined.value.charge
    assert charge is not None
    assert (charge.state, charge.amount) == (ChargeState.DECLINED, AMOUNT)
    assert declined.value.decline is not None
    assert declined.value.decline.code == "card_declined"
    assert await client.get_charge(charge.charge_id) == charge
    assert (await client.get_clone(charge.clone_id)).state is CloneState.ATTACHED


async def test_a_decline_is_replayed_and_not_tried_again(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer = await saved(client, stripe, "pm_card_chargeCustomerFail")
    with pytest.raises(CardDeclined) as first:
        await client.clone_and_charge(customer, account, AMOUNT)
    with pytest.raises(CardDeclined) as again:
        await client.clone_and_charge(customer, account, AMOUNT, request_id=first.value.request_id)

    assert again.value.charge == first.value.charge
    assert len(stripe.listed("/v1/charges", account)) == 1


async def test_a_declined_one_shot_clone_is_spent(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer = await saved(client, stripe, "pm_card_chargeCustomerFail")
    with pytest.raises(CardDeclined) as declined:
        await client.clone_and_charge(customer, account, AMOUNT, one_shot=True)

    assert declined.value.charge is not None
    assert (await client.get_clone(declined.value.charge.clone_id)).state is CloneState.CONSUMED


async def test_on_session_3d_secure_hands_out_the_secret(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer = await saved(client, stripe, "pm_card_authenticationRequired")
    made = await client.clone_and_charge(customer, account, AMOUNT, return_url="https://shop.example.com/back")
    again = await client.clone_and_charge(
        customer, account, AMOUNT, return_url="https://shop.example.com/back", request_id=made.request_id
    )

    assert made.charge.state is ChargeState.REQUIRES_ACTION
    for answer in (made, again):
        assert answer.charge.next_action is not None
        assert answer.charge.next_action.client_secret.startswith(made.charge.stripe_payment_intent_id)
    listed = [charge async for charge in client.list_charges(platform_customer_id=customer)]
    assert [bool(charge.next_action and charge.next_action.client_secret) for charge in listed] == [False]


async def test_off_session_3d_secure_says_that_the_shopper_is_needed(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer = await saved(client, stripe, "pm_card_authenticationRequired")
    with pytest.raises(AuthenticationRequired) as refused:
        await client.clone_and_charge(customer, account, AMOUNT, off_session=True)

    assert refused.value.charge is not None
    assert refused.value.charge.connected_account_id == account
    assert stripe.succeeded_charges(account) == []
