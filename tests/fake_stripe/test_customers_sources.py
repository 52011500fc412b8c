"""A customer's legacy sources: cards and bank accounts."""

import pytest

from tests.fake_stripe.stripe_calls import Api


@pytest.fixture
def api() -> Api:
    return Api()


def bank(api: Api, magic: str = "btok_us_unverified") -> tuple[str, str]:
    made = api.post("/v1/customers", source=magic)
    return made["id"], made["default_source"]


def test_sources_are_created_listed_read_changed_and_removed(api: Api) -> None:
    customer = api.customer()
    card = api.post(f"/v1/customers/{customer}/sources", source="tok_visa", metadata={"a": "b"})
    assert (card["object"], card["metadata"]) == ("card", {"a": "b"})
    assert api.get(f"/v1/customers/{customer}/sources/{card['id']}")["id"] == card["id"]
    changed = api.post(f"/v1/customers/{customer}/sources/{card['id']}", name="Ada", exp_year=2040)
    assert (changed["name"], changed["exp_year"]) == ("Ada", 2040)
    left = api.delete(f"/v1/customers/{customer}/sources/{card['id']}")
    assert left == {"id": card["id"], "object": "card", "deleted": True}
    assert api.get(f"/v1/customers/{customer}/sources")["data"] == []
    assert api.get(f"/v1/customers/{customer}")["default_source"] is None


def test_the_default_moves_on_when_its_card_is_removed(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    second = api.post(f"/v1/customers/{customer['id']}/sources", source="tok_amex")["id"]
    assert api.get(f"/v1/customers/{customer['id']}")["default_source"] == customer["default_source"]
    api.delete(f"/v1/customers/{customer['id']}/sources/{customer['default_source']}")
    assert api.get(f"/v1/customers/{customer['id']}")["default_source"] == second


def test_raw_details_are_saved_too(api: Api) -> None:
    card = {"object": "card", "number": "5555555555554444", "exp_month": 3, "exp_year": 2032, "cvc": "123"}
    saved = api.post(f"/v1/customers/{api.customer()}/sources", source=card)
    assert (saved["brand"], saved["cvc_check"]) == ("MasterCard", "pass")


def test_a_legacy_card_is_among_the_payment_methods(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    listed = api.get(f"/v1/customers/{customer['id']}/payment_methods", type="card")["data"]
    assert [(o["id"], o["object"]) for o in listed] == [(customer["default_source"], "payment_method")]
    shown = api.get(f"/v1/payment_methods/{customer['default_source']}")
    assert (shown["card"]["brand"], shown["customer"]) == ("visa", customer["id"])


def test_a_legacy_card_pays_where_a_payment_method_is_expected(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    paid = api.post(
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        customer=customer["id"],
        payment_method=customer["default_source"],
        payment_method_types=["card"],
        confirm=True,
    )
    assert (paid["status"], paid["payment_method"]) == ("succeeded", customer["default_source"])


def test_row_source_of_another_customer_is_missing(api: Api) -> None:
    card = api.post("/v1/customers", source="tok_visa")["default_source"]
    error = api.refused(404, "GET", f"/v1/customers/{api.customer()}/sources/{card}")
    assert (error["code"], error["message"]) == ("resource_missing", f"No such source: '{card}'")


def test_row_declining_token_is_not_saved(api: Api) -> None:
    customer = api.customer()
    error = api.refused(402, "POST", f"/v1/customers/{customer}/sources", source="tok_chargeDeclined")
    assert (error["code"], error["decline_code"]) == ("card_declined", "generic_decline")
    assert api.get(f"/v1/customers/{customer}/sources")["data"] == []


def test_a_bank_account_is_verified_by_its_two_deposits(api: Api) -> None:
    customer, account = bank(api)
    error = api.refused(400, "POST", f"/v1/customers/{customer}/sources/{account}/verify", amounts=[1, 2])
    assert error["type"] == "invalid_request_error"
    verified = api.post(f"/v1/customers/{customer}/sources/{account}/verify", amounts=[32, 45])
    assert verified["status"] == "verified"
    again = api.refused(400, "POST", f"/v1/customers/{customer}/sources/{account}/verify", amounts=[32, 45])
    assert again["message"] == "This bank account has already been verified."


def test_too_many_wrong_deposits_fail_for_good(api: Api) -> None:
    customer, account = bank(api)
    path = f"/v1/customers/{customer}/sources/{account}"
    api.refused(400, "POST", f"{path}/verify", amounts=[10, 11])
    assert api.get(path)["status"] == "verification_failed"
    assert api.refused(400, "POST", f"{path}/verify", amounts=[32, 45])["code"] == "bank_account_verification_failed"


def test_an_expanded_legacy_card_is_shown_as_a_payment_method(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    intent = api.post(
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        customer=customer["id"],
        payment_method=customer["default_source"],
        expand=["payment_method"],
    )
    shown = intent["payment_method"]
    assert (shown["object"], shown["id"], shown["card"]["brand"]) == (
        "payment_method",
        customer["default_source"],
        "visa",
    )


def test_the_older_paths_name_the_same_cards_and_bank_accounts(api: Api) -> None:
    customer = api.customer()
    card = api.post(f"/v1/customers/{customer}/cards", source="tok_visa")["id"]
    account = api.post(f"/v1/customers/{customer}/bank_accounts", source="btok_us_unverified")["id"]
    assert [o["id"] for o in api.get(f"/v1/customers/{customer}/cards")["data"]] == [card]
    assert api.get(f"/v1/customers/{customer}/cards/{card}")["id"] == card
    path = f"/v1/customers/{customer}/bank_accounts/{account}"
    assert api.post(f"{path}/verify", amounts=[32, 45])["status"] == "verified"
    assert api.delete(path)["deleted"] is True
