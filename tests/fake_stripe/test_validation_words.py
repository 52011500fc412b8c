"""Words that Stripe does not know, and parameters that exclude each other."""

from __future__ import annotations

import pytest

from tests.fake_stripe.stripe_calls import Api, Wire

ONE: Wire = {"amount": 500, "currency": "usd"}
URL = "https://shop.example/hooks"


@pytest.fixture
def api() -> Api:
    return Api()


def test_an_event_that_does_not_exist_is_refused_with_the_list_of_all(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/webhook_endpoints", url=URL, enabled_events=["charge.succeeded", "foo.bar"])
    assert error["param"] == "enabled_events[1]"
    assert error["message"].startswith(
        "Invalid enabled_events[1]: must be one of account.application.authorized, account.application.deauthorized,"
    )
    assert error["message"].endswith(", or *")
    assert api.get("/v1/webhook_endpoints")["data"] == []


def test_a_reason_that_does_not_exist_cancels_nothing(api: Api) -> None:
    intent = api.post("/v1/payment_intents", **ONE)["id"]
    error = api.refused(400, "POST", f"/v1/payment_intents/{intent}/cancel", cancellation_reason="x")
    assert error["param"] == "cancellation_reason"
    assert error["message"].startswith("Invalid cancellation_reason: must be one of ")
    assert api.get(f"/v1/payment_intents/{intent}")["status"] == "requires_payment_method"


def test_the_types_of_a_checkout_session_are_listed_with_card_first(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/checkout/sessions", mode="payment", payment_method_types=["cardi"])
    assert error["message"].startswith("Invalid payment_method_types[0]: must be one of card, acss_debit, affirm, ")


@pytest.mark.parametrize("mode", ["hosted", "embedded", "custom", "hosted_page", "embedded_page", "elements"])
def test_a_checkout_session_takes_the_modes_of_older_versions_too(api: Api, mode: str) -> None:
    assert api.post("/v1/checkout/sessions", mode="setup", currency="usd", ui_mode=mode)["object"] == "checkout.session"


def test_a_set_up_of_a_type_that_does_not_exist_is_refused(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/setup_intents", payment_method_types=["card", "barter"])
    assert (error["code"], error["param"]) == ("setup_intent_invalid_parameter", "payment_method_types")
    assert error["message"].startswith('The payment method type "barter" is invalid.')
    intent = api.post("/v1/setup_intents", payment_method_types=["card"])["id"]
    api.refused(400, "POST", f"/v1/setup_intents/{intent}", payment_method_types=["barter"])


@pytest.mark.parametrize(
    ("call", "params", "named"),
    [
        (
            "POST /v1/payment_intents",
            {"automatic_payment_methods": {"enabled": True}, "confirmation_method": "manual", **ONE},
            "automatic_payment_methods, confirmation_method",
        ),
        ("POST /v1/checkout/sessions", {"customer": "cus_1", "customer_email": "a@b.co"}, "customer, customer_email"),
        (
            "POST /v1/checkout/sessions",
            {"allow_promotion_codes": False, "discounts": [{"coupon": "c"}]},
            "allow_promotion_codes, discounts",
        ),
        ("POST /v1/invoices", {"days_until_due": 5, "due_date": 1_900_000_000}, "days_until_due, due_date"),
        (
            "POST /v1/prices",
            {"currency": "usd", "unit_amount": 5, "unit_amount_decimal": "5"},
            "unit_amount, unit_amount_decimal",
        ),
        ("GET /v1/payment_methods", {"customer": "cus_1", "customer_account": "acct_1"}, "customer, customer_account"),
        ("GET /v1/events", {"type": "charge.succeeded", "types": ["charge.failed"]}, "type, types"),
    ],
)
def test_parameters_that_exclude_each_other_are_named_both(api: Api, call: str, params: Wire, named: str) -> None:
    method, _, path = call.partition(" ")
    error = api.refused(400, method, path, **params)
    assert error["code"] == "parameters_exclusive"
    assert error["message"] == f"You may only specify one of these parameters: {named}."


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/payment_intents", "return_url"),
        ("/v1/checkout/sessions", "success_url"),
        ("/v1/checkout/sessions", "cancel_url"),
        ("/v1/billing_portal/sessions", "return_url"),
    ],
)
def test_an_address_needs_a_scheme(api: Api, path: str, name: str) -> None:
    needed: Wire = {"amount": 500, "currency": "usd", "confirm": True} if path.endswith("intents") else {}
    error = api.refused(400, "POST", path, **needed, **{name: "undefined/thanks"})
    assert (error["code"], error["param"]) == ("url_invalid", name)
    assert error["message"] == "Invalid URL: An explicit scheme (such as https) must be provided."


def test_an_apps_own_scheme_is_one(api: Api) -> None:
    params: Wire = {"payment_method": "pm_card_visa", "payment_method_types": ["card"], "confirm": True, **ONE}
    assert api.post("/v1/payment_intents", return_url="hats://paid", **params)["status"] == "succeeded"


def test_a_whole_statement_descriptor_is_not_for_intents_that_take_cards(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/payment_intents", statement_descriptor="HATS", **ONE)
    assert error["param"] == "statement_descriptor"
    assert error["message"].startswith(
        "The statement_descriptor parameter is not supported for the payment_method_type `card`."
    )
    made = api.post("/v1/payment_intents", statement_descriptor_suffix="HATS", **ONE)["id"]
    api.refused(400, "POST", f"/v1/payment_intents/{made}", statement_descriptor="HATS")
    bank = api.post("/v1/payment_intents", statement_descriptor="HATS", payment_method_types=["us_bank_account"], **ONE)
    assert bank["statement_descriptor"] == "HATS"
