"""CreateSetup: the shopper's browser gets a secret and nobody else; what it saves can be cloned and charged."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from cloneservice import AsyncCloneClient, ChargeState, Money, NewCustomer, ResourceNotFound
from cloneservice_server.app import App

from tests.stripe_http import StripeHttp


def browser(stripe: StripeHttp) -> StripeHttp:
    """Stripe as a browser reaches it: with the publishable key alone."""
    return StripeHttp(stripe.url, stripe.api_key.replace("sk_test_", "pk_test_"))


async def test_what_the_browser_saved_is_cloned_and_charged(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    new = NewCustomer(external_reference="shopper-1", email="zoe@example.com")
    made = await client.create_setup(new_customer=new, on_behalf_of_account_id=account, payment_method_types=["card"])
    customer = made.platform_customer.platform_customer_id
    assert made.next_action is not None

    saved = browser(stripe).post(
        f"/v1/setup_intents/{made.stripe_setup_intent_id}/confirm",
        client_secret=made.next_action.client_secret,
        payment_method="pm_card_visa",
    )

    assert saved["status"] == "succeeded"
    intent = stripe.get(f"/v1/setup_intents/{made.stripe_setup_intent_id}")
    assert (intent["usage"], intent["on_behalf_of"], intent["customer"]) == ("off_session", account, customer)
    charged = await client.clone_and_charge(
        customer, account, Money(1999, "USD"), platform_payment_method_id=intent["payment_method"], off_session=True
    )
    assert charged.charge.state is ChargeState.SUCCEEDED


async def test_a_repeated_call_hands_out_the_same_secret_which_nothing_stores(
    app: App, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, _ = stripe.saved_card()
    first = await client.create_setup(platform_customer_id=customer)
    again = await client.create_setup(platform_customer_id=customer, request_id=first.request_id)

    def stored() -> str:
        with sqlite3.connect(app.settings.ledger.removeprefix("sqlite:///")) as connection:
            return "\n".join(connection.iterdump())

    assert again.replayed
    assert again.next_action == first.next_action
    assert first.next_action is not None
    assert first.next_action.client_secret.startswith("seti_")
    assert "_secret_" not in await asyncio.to_thread(stored)
    assert len(stripe.listed("/v1/setup_intents")) == 1


async def test_one_customer_for_one_reference(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    new = NewCustomer(external_reference="shopper-2")
    made = [await client.create_setup(new_customer=new) for _ in range(2)]
    saved = await client.save_payment_method("pm_card_visa", new_customer=new)

    customers = {answer.platform_customer.platform_customer_id for answer in made}
    assert customers == {saved.platform_customer.platform_customer_id}
    assert len(stripe.listed("/v1/customers")) == 1


async def test_nothing_is_collected_for_a_customer_that_does_not_exist(client: AsyncCloneClient) -> None:
    with pytest.raises(ResourceNotFound):
        await client.create_setup(platform_customer_id="cus_nobody")
