"""Charges, and the legacy way to make them; each refusal is a row of the table of legacy charges."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

CHARGES = "/v1/charges"


@pytest.fixture
def api() -> Api:
    return Api()


def charge(api: Api, account: str | None = None, **params: Any) -> Wire:
    return api.post(CHARGES, account=account, **{"amount": 1000, "currency": "usd", **params})


def refused(api: Api, status: int, account: str | None = None, **params: Any) -> Wire:
    return api.refused(status, "POST", CHARGES, account=account, **{"amount": 1000, "currency": "usd", **params})


def test_a_token_is_charged(api: Api) -> None:
    made = charge(api, source="tok_visa", description="tea", metadata={"a": "1"})
    assert (made["status"], made["paid"], made["captured"], made["amount_captured"]) == ("succeeded", True, True, 1000)
    assert made["source"]["object"] == "card"
    assert made["payment_method"] == made["source"]["id"]
    assert made["payment_intent"] is None
    assert made["metadata"] == {"a": "1"}
    assert api.get(f"{CHARGES}/{made['id']}")["id"] == made["id"]


def test_a_cloned_token_is_charged_on_the_connected_account(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    token = api.post("/v1/tokens", account=SELLER, customer=customer)["id"]
    made = charge(api, SELLER, source=token, application_fee_amount=100)
    assert made["application_fee"].startswith("fee_")
    assert refused(api, 400, SELLER, source=token)["code"] == "token_already_used"


def test_a_customers_default_source_is_charged(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    made = charge(api, customer=customer["id"])
    assert (made["customer"], made["source"]["id"]) == (customer["id"], customer["default_source"])


def test_row_customer_without_card(api: Api) -> None:
    error = refused(api, 402, customer=api.customer())
    assert (error["code"], error["message"]) == ("missing", "Cannot charge a customer that has no active card")


def test_row_source_of_another_customer(api: Api) -> None:
    owner = api.post("/v1/customers", source="tok_visa")
    other = api.customer()
    error = refused(api, 404, customer=other, source=owner["default_source"])
    assert (error["code"], error["param"]) == ("missing", "source")
    assert error["message"] == f"Customer {other} does not have a linked source with ID {owner['default_source']}."


def test_row_payment_methods_are_no_sources(api: Api) -> None:
    error = refused(api, 400, source=api.bare_card())
    assert (error["code"], error["param"]) == ("resource_missing", "source")


def test_row_a_card_that_needs_3ds_is_declined(api: Api) -> None:
    error = refused(api, 402, source="tok_threeDSecure2Required")
    assert (error["code"], error["decline_code"]) == ("authentication_required", "authentication_required")


def test_row_fee_without_connect(api: Api) -> None:
    error = refused(api, 400, source="tok_visa", application_fee_amount=10)
    assert error["message"] == (
        "Can only apply an application_fee when the request is made on behalf of another account (using an OAuth"
        " key, the"
        " Stripe-Account header, or the destination parameter)."
    )


def test_nothing_to_charge(api: Api) -> None:
    assert refused(api, 400)["message"] == "Must provide source or customer."


def test_a_decline_leaves_a_failed_charge(api: Api) -> None:
    error = refused(api, 402, source="tok_chargeDeclinedInsufficientFunds")
    failed = api.get(f"{CHARGES}/{error['charge']}")
    assert (error["decline_code"], failed["status"]) == ("insufficient_funds", "failed")
    assert failed["failure_message"] == "Your card has insufficient funds."
    assert api.events() == ["charge.failed"]


def test_capture_later_and_less(api: Api) -> None:
    made = charge(api, source="tok_visa", capture=False)
    assert (made["captured"], made["balance_transaction"]) == (False, None)
    done = api.post(f"{CHARGES}/{made['id']}/capture", amount=600)
    assert (done["captured"], done["amount_captured"], done["amount_refunded"]) == (True, 600, 400)
    error = api.refused(400, "POST", f"{CHARGES}/{made['id']}/capture")
    assert error["code"] == "charge_already_captured"


def test_capturing_the_charge_of_an_intent_completes_the_intent(api: Api) -> None:
    held = api.post(
        "/v1/payment_intents",
        amount=1000,
        currency="usd",
        payment_method="pm_card_visa",
        payment_method_types=["card"],
        capture_method="manual",
        confirm=True,
    )
    api.post(f"{CHARGES}/{held['latest_charge']}/capture")
    assert api.get(f"/v1/payment_intents/{held['id']}")["status"] == "succeeded"


def test_an_uncaptured_charge_lapses_after_seven_days(api: Api) -> None:
    made = charge(api, source="tok_visa", capture=False)
    api.world.advance(7 * 86_400)
    assert api.get(f"{CHARGES}/{made['id']}")["refunded"] is True
    assert api.events()[-1] == "charge.expired"


def test_row_unknown_charge(api: Api) -> None:
    error = api.refused(404, "GET", f"{CHARGES}/ch_nothing")
    assert (error["code"], error["param"], error["message"]) == (
        "resource_missing",
        "id",
        "No such charge: 'ch_nothing'",
    )


def test_update_changes_what_may_change_and_says_what_it_was(api: Api) -> None:
    made = charge(api, source="tok_visa", description="tea")
    changed = api.post(f"{CHARGES}/{made['id']}", description="coffee", metadata={"a": "1"})
    event = api.get("/v1/events", type="charge.updated")["data"][0]
    assert (changed["description"], changed["metadata"]) == ("coffee", {"a": "1"})
    assert event["data"]["previous_attributes"] == {"description": "tea", "metadata": {}}


def test_list_by_transfer_group_and_customer(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    mine = charge(api, customer=customer, transfer_group="g")["id"]
    charge(api, source="tok_visa")
    assert [o["id"] for o in api.get(CHARGES, transfer_group="g")["data"]] == [mine]
    assert [o["id"] for o in api.get(CHARGES, customer=customer)["data"]] == [mine]
    assert len(api.get(CHARGES)["data"]) == 2


def test_search_by_amount(api: Api) -> None:
    big = charge(api, source="tok_visa", amount=5000)["id"]
    charge(api, source="tok_visa")
    assert [o["id"] for o in api.get(f"{CHARGES}/search", query="amount>1000")["data"]] == [big]


def test_a_destination_charge_pays_the_seller_and_brings_the_fee_back(api: Api) -> None:
    made = charge(api, source="tok_visa", transfer_data={"destination": SELLER}, application_fee_amount=123)
    transfer = api.get(f"/v1/transfers/{made['transfer']}")
    payment = api.get(f"{CHARGES}/{transfer['destination_payment']}", account=SELLER, expand=["balance_transaction"])
    fee = api.get(f"/v1/application_fees/{made['application_fee']}")
    assert (made["destination"], transfer["amount"], payment["amount"]) == (SELLER, 1000, 1000)
    assert payment["balance_transaction"]["net"] == 877
    assert (fee["amount"], fee["account"], fee["originating_transaction"]) == (123, SELLER, made["id"])
    assert made["transfer_group"].startswith("group_")


def test_a_legacy_bank_debit_pays_later(api: Api) -> None:
    token = api.post(
        "/v1/tokens",
        bank_account={
            "country": "US",
            "currency": "usd",
            "routing_number": "110000000",
            "account_number": "000123456789",
        },
    )
    customer = api.post("/v1/customers", source=token["id"])
    api.post(f"/v1/customers/{customer['id']}/sources/{customer['default_source']}/verify", amounts=[32, 45])
    made = charge(api, customer=customer["id"])
    assert (made["status"], made["id"][:3]) == ("pending", "py_")
    api.world.settle()
    assert api.get(f"{CHARGES}/{made['id']}")["status"] == "succeeded"


def test_refunds_show_in_a_charge_when_expanded_and_always_before_2022_11_15(api: Api) -> None:
    made = charge(api, source="tok_visa")
    api.post("/v1/refunds", charge=made["id"], amount=100)
    path = f"{CHARGES}/{made['id']}"
    newest = "2026-08-26.dahlia"
    assert "refunds" not in api.get(path, version=newest)
    assert api.get(path, version=newest, expand=["refunds"])["refunds"]["data"][0]["amount"] == 100
    assert api.get(path, version="2020-08-27")["refunds"]["data"][0]["amount"] == 100


def test_facts_7_4_a_transfer_group_of_more_than_a_hundred_charges_is_not_listed(api: Api) -> None:
    for _ in range(100):
        charge(api, source="tok_visa", transfer_group="5")
    assert len(api.get(CHARGES, transfer_group="5", limit=100)["data"]) == 100
    charge(api, source="tok_visa", transfer_group="5")
    error = api.refused(400, "GET", CHARGES, transfer_group="5")
    assert (error["message"], error["param"]) == ("Too many charges with transfer group: `5`", "transfer_group")
