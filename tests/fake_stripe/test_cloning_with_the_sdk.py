"""The three cloning flows as a platform runs them: stripe-python over real HTTP."""

from collections.abc import Iterator

import pytest
import stripe
from fake_stripe.app import FakeStripe

SELLER = "acct_1SellerSellerSel1"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeStripe]:
    with FakeStripe(api_key="sk_test_sdk_flows") as running:
        yield running


@pytest.fixture
def client(fake: FakeStripe) -> stripe.StripeClient:
    fake.world().connect(SELLER)
    return stripe.StripeClient(fake.api_key, base_addresses={"api": fake.url}, max_network_retries=0)


def there() -> stripe.RequestOptions:
    return {"stripe_account": SELLER}


def test_a_payment_method_is_cloned_attached_and_charged(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "ada@example.com", "payment_method": "pm_card_visa"})
    original = client.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data[0]
    clone = client.v1.payment_methods.create({"customer": customer.id, "payment_method": original.id}, there())
    assert clone.id != original.id
    assert clone.customer is None
    theirs = client.v1.customers.create({"email": "ada@example.com", "payment_method": clone.id}, there())
    intent = client.v1.payment_intents.create(
        {
            "amount": 1250,
            "currency": "usd",
            "customer": theirs.id,
            "payment_method": clone.id,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "application_fee_amount": 125,
            "confirm": True,
        },
        there(),
    )
    assert (intent.status, intent.amount_received, intent.application_fee_amount) == ("succeeded", 1250, 125)


def test_a_legacy_card_is_cloned_as_a_token_and_charged(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"source": "tok_visa"})
    token = client.v1.tokens.create({"customer": customer.id}, there())
    charge = client.v1.charges.create({"amount": 900, "currency": "usd", "source": token.id}, there())
    assert (charge.status, charge.paid) == ("succeeded", True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.create({"source": token.id}, there())
    assert refused.value.code == "token_already_used"


def test_a_source_is_cloned_and_saved(client: stripe.StripeClient) -> None:
    source = client.v1.sources.create({"type": "card", "token": "tok_visa"})
    customer = client.v1.customers.create({"source": source.id})
    clone = client.v1.sources.create(
        {"customer": customer.id, "original_source": source.id, "usage": "reusable"}, there()
    )
    theirs = client.v1.customers.create({"source": clone.id}, there())
    assert theirs.default_source == clone.id


def test_a_platform_payment_method_is_refused_on_the_connected_account(client: stripe.StripeClient) -> None:
    original = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    with pytest.raises(stripe.InvalidRequestError, match="platform-owned payment method ID") as refused:
        client.v1.payment_intents.create({"amount": 900, "currency": "usd", "payment_method": original.id}, there())
    assert (refused.value.code, refused.value.param) == ("resource_missing", "payment_method")


def test_a_declining_card_raises_a_card_error_at_attachment(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({})
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    error = refused.value.error
    assert error is not None
    assert (refused.value.code, error.decline_code) == ("card_declined", "generic_decline")
