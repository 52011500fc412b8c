"""Clone by PaymentMethod, Token and Source; attach; charge with an application fee."""

from __future__ import annotations

import pytest
from cloneservice import AsyncCloneClient, ChargeState, CloneFlow, CloneState, Money, NotCloneable

from tests.stripe_http import StripeHttp

AMOUNT, FEE = Money(1999, "USD"), Money(199, "USD")


async def saved_as(flow: CloneFlow, client: AsyncCloneClient, stripe: StripeHttp) -> tuple[str, str]:
    """A platform customer with a card saved in the way that the flow clones: (customer, saved id)."""
    given = {
        CloneFlow.PAYMENT_METHOD: "pm_card_visa",
        CloneFlow.TOKEN: "tok_mastercard",
        CloneFlow.SOURCE: "",
    }[flow] or stripe.post("/v1/sources", type="card", token="tok_amex")["id"]
    customer = stripe.post("/v1/customers")["id"]
    saved = await client.save_payment_method(given, platform_customer_id=customer)
    return customer, saved.payment_method.platform_payment_method_id


FLOWS = [CloneFlow.PAYMENT_METHOD, CloneFlow.TOKEN, CloneFlow.SOURCE]


@pytest.mark.parametrize("flow", FLOWS)
async def test_a_clone_by_this_flow_is_attached_and_charged(
    flow: CloneFlow, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, saved = await saved_as(flow, client, stripe)

    made = await client.clone_and_charge(
        customer, account, AMOUNT, platform_payment_method_id=saved, application_fee=FEE
    )

    assert (made.clone.flow, made.clone.state, made.charge.state) == (flow, CloneState.ATTACHED, ChargeState.SUCCEEDED)
    (charge,) = stripe.succeeded_charges(account)
    assert charge["amount"] == 1999
    assert charge["application_fee_amount"] == 199
    assert charge["customer"] == made.clone.connected_customer_id
    assert charge["metadata"]["cloneservice_platform_customer"] == customer
    assert charge["metadata"]["cloneservice_platform_payment_method"] == saved


@pytest.mark.parametrize("flow", FLOWS)
async def test_a_second_charge_reuses_the_clone_and_the_customer(
    flow: CloneFlow, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, saved = await saved_as(flow, client, stripe)
    first = await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=saved)
    second = await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=saved)

    assert second.reused
    assert second.clone == first.clone
    assert len(stripe.succeeded_charges(account)) == 2
    assert len(stripe.listed("/v1/customers", account)) == 1


@pytest.mark.parametrize("flow", FLOWS)
async def test_a_one_shot_clone_is_charged_without_a_customer(
    flow: CloneFlow, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, saved = await saved_as(flow, client, stripe)
    made = await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=saved, one_shot=True)

    assert (made.clone.state, made.charge.state) == (CloneState.CONSUMED, ChargeState.SUCCEEDED)
    assert stripe.listed("/v1/customers", account) == []


async def test_clone_attach_and_charge_one_by_one(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer, saved = stripe.saved_card()
    cloned = await client.clone_payment_method(customer, account, platform_payment_method_id=saved)
    attached = await client.attach_clone(cloned.clone.clone_id)
    charged = await client.create_charge(cloned.clone.clone_id, AMOUNT, application_fee=FEE)

    assert [cloned.clone.state, attached.clone.state] == [CloneState.ACTIVE, CloneState.ATTACHED]
    assert charged.charge.state is ChargeState.SUCCEEDED
    assert await client.get_clone(cloned.clone.clone_id) == attached.clone


async def test_the_default_payment_method_is_taken_when_none_is_named(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, saved = stripe.saved_card()
    made = await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)

    assert made.clone.platform_payment_method_id == saved


async def test_the_connected_customer_has_its_first_clone_as_default(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    made = await client.clone_and_charge(customer, account, AMOUNT)
    connected = stripe.get(f"/v1/customers/{made.clone.connected_customer_id}", account)

    assert connected["invoice_settings"]["default_payment_method"] == made.clone.connected_payment_method_id


async def test_a_paymentmethod_by_the_token_flow_is_told_which_flow_works(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, saved = stripe.saved_card()
    with pytest.raises(NotCloneable) as refused:
        await client.clone_payment_method(
            customer, stripe.connected_account(), platform_payment_method_id=saved, flow=CloneFlow.TOKEN
        )

    assert refused.value.metadata["usable_flow"] == "CLONE_FLOW_PAYMENT_METHOD"


async def test_another_card_of_the_shopper_joins_the_same_connected_customer(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    first = await client.clone_and_charge(customer, account, AMOUNT)
    other = await client.save_payment_method("pm_card_mastercard", platform_customer_id=customer)
    second = await client.clone_and_charge(
        customer, account, AMOUNT, platform_payment_method_id=other.payment_method.platform_payment_method_id
    )

    assert second.clone.connected_customer_id == first.clone.connected_customer_id
    assert second.clone.summary.brand == "mastercard"


async def test_a_connected_customer_that_was_deleted_there_is_made_anew(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    first = await client.clone_and_charge(customer, account, AMOUNT)
    stripe.call("DELETE", f"/v1/customers/{first.clone.connected_customer_id}", account)
    second = await client.clone_and_charge(customer, account, AMOUNT)

    assert second.charge.state is ChargeState.SUCCEEDED
    assert second.clone.connected_customer_id != first.clone.connected_customer_id
    stale = await client.get_clone(first.clone.clone_id)
    assert (stale.state, stale.superseded_by_clone_id) == (CloneState.STALE, second.clone.clone_id)
