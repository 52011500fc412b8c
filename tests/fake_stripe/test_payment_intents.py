"""PaymentIntents: what their parameters mean and what is refused about them.

Rows are those of the tables of PaymentIntent parameters, amounts, and "whose PaymentMethod is it".
"""

from typing import Any

import pytest
from fake_stripe.amounts import CURRENCIES

from tests.fake_stripe.stripe_calls import OTHER_SELLER, SELLER, Api, Wire

INTENTS = "/v1/payment_intents"
CARD: Wire = {"payment_method_types": ["card"]}


@pytest.fixture
def api() -> Api:
    return Api()


def intent(api: Api, account: str | None = None, **params: Any) -> Wire:
    return api.post(INTENTS, account=account, **{"amount": 1000, "currency": "usd", **CARD, **params})


def refused(api: Api, status: int = 400, account: str | None = None, **params: Any) -> Wire:
    return api.refused(
        status, "POST", INTENTS, account=account, **{"amount": 1000, "currency": "usd", **CARD, **params}
    )


def test_without_a_payment_method_it_requires_one(api: Api) -> None:
    assert intent(api)["status"] == "requires_payment_method"


def test_with_a_payment_method_it_requires_confirmation_and_nothing_is_charged(api: Api) -> None:
    made = intent(api, payment_method="pm_card_visa")
    assert made["status"] == "requires_confirmation"
    assert made["latest_charge"] is None
    assert api.get("/v1/charges")["data"] == []


def test_a_confirmed_one_succeeds_and_names_its_charge(api: Api) -> None:
    made = intent(api, payment_method="pm_card_visa", confirm=True, metadata={"order": "7"})
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert (made["status"], made["amount_received"], made["next_action"]) == ("succeeded", 1000, None)
    assert (charge["status"], charge["paid"], charge["captured"]) == ("succeeded", True, True)
    assert charge["payment_intent"] == made["id"]
    assert charge["metadata"] == {"order": "7"}
    assert charge["outcome"]["seller_message"] == "Payment complete."
    assert charge["outcome"]["network_status"] == "approved_by_network"


def test_the_ids_of_one_payment_share_their_middle(api: Api) -> None:
    made = intent(api, payment_method="pm_card_visa", confirm=True)
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    refund = api.post("/v1/refunds", charge=charge["id"])
    middles = {i.split("_")[1][:16] for i in (made["id"], charge["id"], charge["balance_transaction"], refund["id"])}
    assert len(middles) == 1


def test_a_direct_charge_with_fee_shows_application_and_fee(api: Api) -> None:
    made = intent(api, SELLER, payment_method="pm_card_visa", confirm=True, application_fee_amount=100)
    charge = api.get(f"/v1/charges/{made['latest_charge']}", account=SELLER)
    assert made["application"].startswith("ca_")
    assert made["application_fee_amount"] == charge["application_fee_amount"] == 100
    assert charge["application_fee"].startswith("fee_")
    assert charge["application"] == made["application"]


def test_the_platforms_own_intent_has_no_application(api: Api) -> None:
    assert intent(api)["application"] is None


def test_client_secret_is_the_id_with_25_characters(api: Api) -> None:
    made = intent(api)
    head, _, tail = made["client_secret"].partition("_secret_")
    assert head == made["id"]
    assert len(tail) == 25


@pytest.mark.parametrize(
    ("version", "method"), [("2024-04-10", "automatic_async"), ("2022-11-15", "automatic"), ("2023-10-16", "automatic")]
)
def test_capture_method_defaults_to_async_since_2024_04_10(api: Api, version: str, method: str) -> None:
    made = api.post(INTENTS, version=version, amount=1000, currency="usd", **CARD)
    assert made["capture_method"] == method


@pytest.mark.parametrize(("version", "enabled"), [("2023-08-16", True), ("2022-11-15", False)])
def test_automatic_payment_methods_are_the_default_since_2023_08_16(api: Api, version: str, enabled: bool) -> None:
    made = api.post(INTENTS, version=version, amount=1000, currency="usd")
    assert (made["automatic_payment_methods"] is not None) is enabled
    assert ("link" in made["payment_method_types"]) is enabled


@pytest.mark.parametrize(
    ("version", "start"),
    [
        ("2026-08-26.dahlia", "This PaymentIntent is configured to accept payment methods enabled in your Dashboard."),
        ("2023-10-16", "A `return_url` must be specified because this Payment Intent is configured to automatically"),
    ],
)
def test_row_return_url_is_demanded_by_the_dashboard_methods_default(api: Api, version: str, start: str) -> None:
    params = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    status, body, _ = api.send("POST", INTENTS, params, version=version)
    assert status == 400
    assert body["error"]["message"].startswith(start)
    assert "code" not in body["error"]
    assert body["error"]["payment_intent"]["status"] == "requires_confirmation"


@pytest.mark.parametrize(
    "way_out",
    [
        {"return_url": "https://shop.example/done"},
        {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}},
        {"payment_method_types": ["card"]},
    ],
)
def test_row_three_ways_out_of_the_return_url_demand(api: Api, way_out: Wire) -> None:
    params = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, **way_out}
    status, body, _ = api.send("POST", INTENTS, params, version="2026-08-26.dahlia")
    assert (status, body["status"]) == (200, "succeeded")


def test_a_call_that_names_no_version_may_rely_on_the_older_default(api: Api) -> None:
    made = api.post(INTENTS, amount=1000, currency="usd", payment_method="pm_card_visa", confirm=True)
    assert (made["status"], made["payment_method_types"]) == ("succeeded", ["card"])


def test_off_session_payments_need_no_return_url(api: Api) -> None:
    customer, card = api.saved_card()
    params = {"amount": 1000, "currency": "usd", "payment_method": card, "customer": customer, "confirm": True}
    status, body, _ = api.send("POST", INTENTS, {**params, "off_session": True}, version="2026-08-26.dahlia")
    assert (status, body["status"]) == (200, "succeeded")


@pytest.mark.parametrize("path", [INTENTS, "/v1/setup_intents"])
def test_since_endive_types_can_no_longer_be_named(api: Api, path: str) -> None:
    params = {"payment_method_types": ["card"]} | ({"amount": 1000, "currency": "usd"} if path == INTENTS else {})
    status, body, _ = api.send("POST", path, params, version="2026-09-30.endive")
    assert (status, body["error"]["code"]) == (400, "payment_method_types_no_longer_supported")
    assert api.send("POST", path, params, version="2026-08-26.dahlia")[0] == 200


def test_allowed_types_leave_out_in_silence_what_does_not_work(api: Api) -> None:
    allowed = ["card", "us_bank_account"]
    made = api.post(INTENTS, amount=1000, currency="eur", allowed_payment_method_types=allowed)
    assert (made["allowed_payment_method_types"], made["payment_method_types"]) == (allowed, ["card"])


@pytest.mark.parametrize(
    "beside", [{"payment_method_types": ["card"]}, {"automatic_payment_methods": {"enabled": True}}]
)
def test_allowed_types_exclude_other_ways_to_choose(api: Api, beside: Wire) -> None:
    given = {"amount": 1000, "currency": "usd", "allowed_payment_method_types": ["card"], **beside}
    assert api.refused(400, "POST", INTENTS, **given)["code"] == "parameters_exclusive"


def test_row_types_and_automatic_methods_exclude_each_other(api: Api) -> None:
    error = refused(api, automatic_payment_methods={"enabled": True})
    assert error["code"] == "parameters_exclusive"


def test_row_a_type_that_does_not_exist_is_an_invalid_parameter(api: Api) -> None:
    error = refused(api, payment_method_types=["card", "barter"])
    assert (error["code"], error["param"]) == ("payment_intent_invalid_parameter", "payment_method_types")
    assert '"barter" is invalid' in error["message"]


def test_row_a_type_not_enabled_on_that_account_is_an_invalid_parameter(api: Api) -> None:
    api.world.set_policy({"capabilities": "enforced"}, SELLER)
    error = refused(api, account=SELLER, payment_method_types=["cashapp"])
    assert error["code"] == "payment_intent_invalid_parameter"


def test_row_fee_on_a_plain_platform_intent(api: Api) -> None:
    error = refused(api, application_fee_amount=10)
    assert error["code"] == "parameter_missing"
    assert error["message"].startswith("Can only apply an application_fee_amount when the PaymentIntent is attempting")


def test_row_fee_above_the_amount(api: Api) -> None:
    error = refused(api, account=SELLER, application_fee_amount=1001)
    assert "must be less than or equal to the charge amount" in error["message"]


def test_facts_7_2_a_fee_and_a_stated_amount_to_transfer_exclude_each_other(api: Api) -> None:
    error = refused(api, application_fee_amount=10, transfer_data={"destination": SELLER, "amount": 900})
    assert error["code"] == "parameters_exclusive"
    assert error["message"] == (
        "You may only specify one of these parameters: application_fee_amount, transfer_data[amount]."
    )


def test_row_unknown_destination(api: Api) -> None:
    error = refused(api, transfer_data={"destination": "acct_1NobodyNobodyNo"})
    assert error["message"] == "No such destination: 'acct_1NobodyNobodyNo'"
    assert (error["code"], error["param"]) == ("resource_missing", "transfer_data[destination]")


def test_row_confirm_only_parameters_need_confirm(api: Api) -> None:
    assert refused(api, return_url="https://shop.example")["param"] == "return_url"
    assert refused(api, off_session=True)["param"] == "off_session"


def test_row_off_session_false_without_confirm_is_accepted(api: Api) -> None:
    assert intent(api, off_session=False)["status"] == "requires_payment_method"


def test_row_default_source_pays_when_no_payment_method_is_named(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    made = intent(api, customer=customer["id"], confirm=True)
    assert (made["status"], made["payment_method"]) == ("succeeded", customer["default_source"])


def test_setup_future_usage_saves_an_unattached_clone_to_the_connected_customer(api: Api) -> None:
    platform_customer, original = api.saved_card()
    clone = api.post("/v1/payment_methods", account=SELLER, customer=platform_customer, payment_method=original)
    customer = api.customer(account=SELLER)
    intent(api, SELLER, payment_method=clone["id"], customer=customer, setup_future_usage="off_session", confirm=True)
    assert api.get(f"/v1/payment_methods/{clone['id']}", account=SELLER)["customer"] == customer
    again = intent(api, SELLER, payment_method=clone["id"], customer=customer, off_session=True, confirm=True)
    assert again["status"] == "succeeded"


def test_unknown_customer(api: Api) -> None:
    error = refused(api, customer="cus_nobody")
    assert (error["code"], error["param"], error["message"]) == (
        "resource_missing",
        "customer",
        "No such customer: 'cus_nobody'",
    )


# ---- amounts


def test_row_amount_zero(api: Api) -> None:
    error = refused(api, amount=0)
    assert (error["code"], error["param"]) == ("parameter_invalid_integer", "amount")
    assert ".  If you want to save a Payment Method for future use without an immediate payment" in error["message"]
    assert error["message"].startswith("The amount must be greater than or equal to the minimum charge amount allowed")


@pytest.mark.parametrize(
    ("amount", "currency", "least"), [(49, "usd", "$0.50"), (29, "gbp", "£0.30"), (1, "eur", "€0.50")]
)
def test_row_amount_under_the_minimum(api: Api, amount: int, currency: str, least: str) -> None:
    error = refused(api, amount=amount, currency=currency)
    assert (error["code"], error["param"]) == ("amount_too_small", "amount")
    assert error["message"] == f"Amount must be at least {least} {currency}"


def test_row_amount_of_more_than_eight_digits(api: Api) -> None:
    error = refused(api, amount=100_000_000)
    assert (error["code"], error["param"]) == ("amount_too_large", "amount")


def test_row_amount_with_a_point(api: Api) -> None:
    error = refused(api, amount="20.0")
    assert (error["code"], error["message"]) == ("parameter_invalid_integer", "Invalid integer: 20.0")


def test_row_negative_amount(api: Api) -> None:
    error = refused(api, amount=-1)
    assert error["code"] == "parameter_invalid_integer"
    assert error["message"] == "This value must be greater than or equal to 1."


def test_row_unknown_currency_names_those_that_stripe_supports(api: Api) -> None:
    error = refused(api, currency="xyz")
    assert error["param"] == "currency"
    assert error["message"] == f"Invalid currency: xyz. Stripe currently supports these currencies: {CURRENCIES}"


# ---- whose PaymentMethod is it


def test_row_payment_method_of_another_customer(api: Api) -> None:
    _, card = api.saved_card()
    other = api.customer()
    error = refused(api, payment_method=card, customer=other)
    assert error["param"] == "payment_method"
    assert "code" not in error
    assert error["message"] == (
        f"The PaymentMethod {card} does not belong to the Customer you supplied {other}. Please use this PaymentMethod"
        " with the Customer that it belongs to instead."
    )


def test_row_attached_payment_method_without_its_customer(api: Api) -> None:
    customer, card = api.saved_card()
    error = refused(api, payment_method=card)
    assert (error["code"], error["param"]) == ("parameter_missing", "source")
    assert error["message"] == (
        f"The `payment_method` parameter supplied {card} belongs to the Customer {customer}. Please include the"
        f" Customer"
        " in the `customer` parameter on the PaymentIntent."
    )


def test_row_consumed_payment_method_is_refused_when_an_intent_is_created(api: Api) -> None:
    card = api.bare_card()
    intent(api, payment_method=card, confirm=True)
    error = refused(api, payment_method=card)
    assert error["message"].startswith("The provided PaymentMethod was previously used with a PaymentIntent without")
    assert "code" not in error
    assert "param" not in error


def test_row_a_declined_attempt_consumes_too(api: Api) -> None:
    card = api.bare_card("pm_card_visa_chargeDeclined")
    refused(api, 402, payment_method=card, confirm=True)
    assert "may not be used again" in refused(api, payment_method=card)["message"]


def test_row_fresh_payment_method_with_a_customer_is_accepted_and_not_attached(api: Api) -> None:
    customer, card = api.customer(), api.bare_card()
    assert intent(api, payment_method=card, customer=customer, confirm=True)["status"] == "succeeded"
    assert api.get(f"/v1/payment_methods/{card}")["customer"] is None


def test_row_platform_payment_method_on_a_connected_account(api: Api) -> None:
    customer, card = api.saved_card()
    error = refused(api, account=SELLER, payment_method=card, customer=None or api.customer(account=SELLER))
    assert customer
    assert (error["code"], error["param"]) == ("resource_missing", "payment_method")
    assert "API request was provided with a platform-owned payment method ID" in error["message"]


def test_an_intent_is_seen_by_its_own_account_alone(api: Api) -> None:
    made = intent(api, SELLER)
    for account in (None, OTHER_SELLER):
        error = api.refused(404, "GET", f"{INTENTS}/{made['id']}", account=account)
        assert (error["code"], error["param"]) == ("resource_missing", "intent")
        assert error["message"] == f"No such payment_intent: '{made['id']}'"


def test_a_payment_method_of_a_type_that_the_intent_does_not_take(api: Api) -> None:
    error = refused(api, payment_method="pm_usBankAccount_success")
    assert error["message"].startswith(
        "The PaymentMethod provided (us_bank_account) is not allowed for this PaymentIntent."
    )


# ---- update, list, search


def test_update_with_a_payment_method_asks_for_confirmation(api: Api) -> None:
    made = intent(api)
    changed = api.post(f"{INTENTS}/{made['id']}", payment_method="pm_card_visa", description="two", metadata={"a": "1"})
    assert (changed["status"], changed["description"], changed["metadata"]) == (
        "requires_confirmation",
        "two",
        {"a": "1"},
    )


def test_update_of_a_succeeded_intent_changes_only_what_is_harmless(api: Api) -> None:
    made = intent(api, payment_method="pm_card_visa", confirm=True)
    assert api.post(f"{INTENTS}/{made['id']}", metadata={"a": "1"})["metadata"] == {"a": "1"}
    error = api.refused(400, "POST", f"{INTENTS}/{made['id']}", amount=2000)
    assert error["code"] == "payment_intent_unexpected_state"
    assert error["payment_intent"]["amount"] == 1000


def test_list_is_newest_first_and_narrowed_by_customer(api: Api) -> None:
    customer = api.customer()
    mine = [intent(api, customer=customer)["id"] for _ in range(2)]
    intent(api)
    listed = api.get(INTENTS, customer=customer)
    assert [o["id"] for o in listed["data"]] == mine[::-1]
    assert listed["url"] == INTENTS


def test_search_finds_by_metadata_and_status(api: Api) -> None:
    made = intent(api, metadata={"order": "42"})
    intent(api)
    found = api.get(f"{INTENTS}/search", query="metadata['order']:'42' AND status:'requires_payment_method'")
    assert [o["id"] for o in found["data"]] == [made["id"]]


def test_charges_are_part_of_an_intent_before_2022_11_15_only(api: Api) -> None:
    made = intent(api, payment_method="pm_card_visa", confirm=True)
    old = api.get(f"{INTENTS}/{made['id']}", version="2020-08-27")
    new = api.get(f"{INTENTS}/{made['id']}", version="2026-08-26.dahlia")
    assert [charge["id"] for charge in old["charges"]["data"]] == [made["latest_charge"]]
    assert old["charges"]["data"][0]["refunds"]["total_count"] == 0
    assert "charges" not in new


def test_expansion_reaches_the_balance_transaction_of_the_latest_charge(api: Api) -> None:
    made = intent(api, payment_method="pm_card_visa", confirm=True, expand=["latest_charge.balance_transaction"])
    transaction = made["latest_charge"]["balance_transaction"]
    assert (transaction["object"], transaction["amount"], transaction["fee"]) == ("balance_transaction", 1000, 59)


@pytest.mark.parametrize(
    ("kind", "currency", "known"),
    [("bancontact", "usd", "eur"), ("us_bank_account", "eur", "usd"), ("p24", "usd", "eur, pln")],
)
def test_a_type_that_does_not_work_with_the_currency_is_refused(api: Api, kind: str, currency: str, known: str) -> None:
    error = api.refused(400, "POST", INTENTS, amount=1000, currency=currency, payment_method_types=[kind])
    assert error["param"] == "currency"
    assert error["message"] == (
        f"The currency provided ({currency}) is invalid. Payments with {kind} support the following currencies:"
        f" {known}."
    )
