"""Tokens, and the legacy clone of a platform customer's card or bank account.

(docs.stripe.com/connect/cloning-customers-across-accounts.) Rows are those of its table of refusals.
"""

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api

CARD = {"number": "4242424242424242", "exp_month": 9, "exp_year": 2031, "cvc": "314"}


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_card_token_shows_the_card_unchecked_and_unused(api: Api) -> None:
    token = api.post("/v1/tokens", card=CARD)
    assert (token["object"], token["type"], token["used"]) == ("token", "card", False)
    card = token["card"]
    assert (card["brand"], card["last4"], card["cvc_check"]) == ("Visa", "4242", "unchecked")
    assert "customer" not in card
    assert "allow_redisplay" not in card
    assert api.get(f"/v1/tokens/{token['id']}")["id"] == token["id"]


def test_a_saved_card_is_checked_and_becomes_the_default_source(api: Api) -> None:
    token = api.post("/v1/tokens", card=CARD)
    customer = api.post("/v1/customers", source=token["id"])
    assert customer["default_source"] == token["card"]["id"]
    assert customer["invoice_settings"]["default_payment_method"] is None
    saved = api.get(f"/v1/customers/{customer['id']}/sources", object="card", limit=1)["data"][0]
    assert (saved["cvc_check"], saved["customer"], saved["allow_redisplay"]) == ("pass", customer["id"], "unspecified")
    assert "networks" not in saved
    assert api.get(f"/v1/tokens/{token['id']}")["used"] is True


def test_a_magic_token_is_a_fresh_card_at_each_use(api: Api) -> None:
    first = api.post("/v1/customers", source="tok_visa")["default_source"]
    second = api.post("/v1/customers", source="tok_visa")["default_source"]
    assert first != second


def test_row_token_used_twice(api: Api) -> None:
    token = api.post("/v1/tokens", card=CARD)["id"]
    api.post("/v1/customers", source=token)
    error = api.refused(400, "POST", "/v1/customers", source=token)
    assert error["code"] == "token_already_used"
    assert error["message"] == f"You cannot use a Stripe token more than once: {token}."


def test_row_unknown_token(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/customers", source="tok_1Nowhere")
    assert (error["code"], error["message"]) == ("resource_missing", "No such token: 'tok_1Nowhere'")


def test_row_nothing_at_all(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/tokens")
    assert error["message"].startswith(
        "You must supply either a card, customer, PII data, bank account, or account legal entity to create a token."
    )


def test_row_a_payment_method_given_as_source(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/customers", source=api.bare_card())
    assert error["message"].startswith("You cannot use a PaymentMethod as a source for Customers.")


def test_accounts_may_refuse_legacy_tokens(api: Api) -> None:
    api.world.set_policy({"legacy_tokens": "refused"})
    assert api.refused(400, "POST", "/v1/tokens", card=CARD)["type"] == "invalid_request_error"


# ---- the clone


def test_the_default_card_is_cloned_when_only_the_customer_is_named(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_mastercard")
    token = api.post("/v1/tokens", account=SELLER, customer=customer["id"])
    assert (token["object"], token["type"], token["used"]) == ("token", "card", False)
    assert token["card"]["id"] != customer["default_source"]
    assert (token["card"]["last4"], token["card"]["cvc_check"]) == ("4444", "pass")
    assert "customer" not in token["card"]
    assert "networks" in token["card"]
    theirs = api.post("/v1/customers", account=SELLER, source=token["id"])
    assert theirs["default_source"] == token["card"]["id"]


def test_a_named_card_is_cloned(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    second = api.post(f"/v1/customers/{customer}/sources", source="tok_amex")["id"]
    token = api.post("/v1/tokens", account=SELLER, customer=customer, card=second)
    assert token["card"]["brand"] == "American Express"


def test_a_cloned_token_can_be_used_once(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    token = api.post("/v1/tokens", account=SELLER, customer=customer)["id"]
    api.post("/v1/customers", account=SELLER, source=token)
    assert api.refused(400, "POST", "/v1/customers", account=SELLER, source=token)["code"] == "token_already_used"


def test_a_token_lives_on_the_account_it_was_made_on(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    token = api.post("/v1/tokens", account=SELLER, customer=customer)["id"]
    assert api.refused(400, "POST", "/v1/customers", source=token)["code"] == "resource_missing"


def test_row_customer_with_payment_methods_only(api: Api) -> None:
    customer, _ = api.saved_card()
    error = api.refused(400, "POST", "/v1/tokens", account=SELLER, customer=customer)
    assert error["message"] == "The customer must have an active payment source attached."


def test_row_payment_method_id_given_as_card(api: Api) -> None:
    customer, original = api.saved_card()
    error = api.refused(400, "POST", "/v1/tokens", account=SELLER, customer=customer, card=original)
    assert error["message"] == f"Customer {customer} does not have card with ID {original}"


def test_row_default_is_a_source(api: Api) -> None:
    source = api.post("/v1/sources", type="card", token="tok_visa")["id"]
    customer = api.post("/v1/customers", source=source)["id"]
    error = api.refused(400, "POST", "/v1/tokens", account=SELLER, customer=customer)
    assert error["message"] == (
        "You provided a customer without specifying a source. The default source of the customer is a source and cannot"
        " be shared from existing customers."
    )


def test_row_customer_not_on_the_platform(api: Api) -> None:
    theirs = api.customer(account=SELLER)
    error = api.refused(400, "POST", "/v1/tokens", account=SELLER, customer=theirs)
    assert (error["code"], error["param"], error["message"]) == (
        "resource_missing",
        "customer",
        f"No such customer: '{theirs}'",
    )


def test_row_clone_without_the_account_header(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    assert api.refused(400, "POST", "/v1/tokens", customer=customer)["param"] == "customer"


def test_a_verified_bank_account_is_cloned_by_its_id(api: Api) -> None:
    customer = api.post("/v1/customers", source="btok_us_verified")
    token = api.post("/v1/tokens", account=SELLER, customer=customer["id"], bank_account=customer["default_source"])
    assert token["type"] == "bank_account"
    assert token["bank_account"]["status"] == "verified"
    assert token["bank_account"]["id"] != customer["default_source"]


def test_row_unverified_bank_account_is_refused(api: Api) -> None:
    customer = api.post("/v1/customers", source="btok_us_unverified")
    error = api.refused(
        400, "POST", "/v1/tokens", account=SELLER, customer=customer["id"], bank_account=customer["default_source"]
    )
    assert error["code"] == "bank_account_unverified"
