"""ConfirmationTokens: payment details from Stripe.js, spent by one confirmation."""

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api


@pytest.fixture
def api() -> Api:
    return Api()


def token(api: Api, account: str | None = None, **params: str) -> str:
    given = {"payment_method": "pm_card_visa", "return_url": "https://shop.example/back", **params}
    return str(api.done("POST", "/v1/test_helpers/confirmation_tokens", given, account=account)["id"])


def test_a_token_previews_the_details_and_knows_its_end(api: Api) -> None:
    api.world.clock.freeze(1_790_000_000)
    shown = api.get(f"/v1/confirmation_tokens/{token(api)}")
    assert shown["payment_method_preview"]["card"]["last4"] == "4242"
    assert (shown["expires_at"], shown["payment_intent"]) == (1_790_000_000 + 12 * 3600, None)


def test_details_may_be_given_as_data(api: Api) -> None:
    shown = api.post(
        "/v1/test_helpers/confirmation_tokens",
        payment_method_data={
            "type": "us_bank_account",
            "us_bank_account": {"account_number": "000123456789"},
            "billing_details": {"name": "Ada"},
        },
    )
    assert shown["payment_method_preview"]["billing_details"]["name"] == "Ada"
    assert api.refused(400, "POST", "/v1/test_helpers/confirmation_tokens")["param"] == "payment_method"


def test_a_payment_is_created_and_confirmed_with_one(api: Api) -> None:
    named = token(api, SELLER)
    paid = api.post(
        "/v1/payment_intents", account=SELLER, amount=900, currency="usd", confirmation_token=named, confirm=True
    )
    assert paid["status"] == "succeeded"
    assert api.get(f"/v1/confirmation_tokens/{named}", account=SELLER)["payment_intent"] == paid["id"]


def test_an_existing_intent_is_confirmed_with_one_and_no_other_afterwards(api: Api) -> None:
    intent = api.post("/v1/payment_intents", amount=900, currency="usd")["id"]
    named = token(api)
    assert api.post(f"/v1/payment_intents/{intent}/confirm", confirmation_token=named)["status"] == "succeeded"
    second = api.post("/v1/payment_intents", amount=900, currency="usd")["id"]
    error = api.refused(400, "POST", f"/v1/payment_intents/{second}/confirm", confirmation_token=named)
    assert error["param"] == "confirmation_token"
    assert api.get(f"/v1/payment_intents/{second}")["status"] == "requires_payment_method"


def test_the_return_url_of_the_token_counts(api: Api) -> None:
    named = token(api, payment_method="pm_card_authenticationRequired")
    paid = api.post("/v1/payment_intents", amount=900, currency="usd", confirmation_token=named, confirm=True)
    assert paid["next_action"]["redirect_to_url"]["return_url"] == "https://shop.example/back"


def test_an_unknown_token_is_missing(api: Api) -> None:
    error = api.refused(
        400, "POST", "/v1/payment_intents", amount=900, currency="usd", confirmation_token="ctoken_1", confirm=True
    )
    assert (error["code"], error["param"]) == ("resource_missing", "confirmation_token")
