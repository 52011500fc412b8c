"""Sources and the Source clone (docs.stripe.com/sources/connect)."""

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api


@pytest.fixture
def api() -> Api:
    return Api()


def saved_source(api: Api) -> tuple[str, str]:
    source = api.post("/v1/sources", type="card", token="tok_visa")["id"]
    return api.post("/v1/customers", source=source)["id"], source


def test_a_card_source_is_made_from_a_token(api: Api) -> None:
    source = api.post("/v1/sources", type="card", token="tok_visa", owner={"email": "ada@example.com"})
    assert (source["object"], source["status"], source["usage"]) == ("source", "chargeable", "reusable")
    assert (source["card"]["last4"], source["owner"]["email"]) == ("4242", "ada@example.com")
    assert api.get(f"/v1/sources/{source['id']}")["id"] == source["id"]
    changed = api.post(f"/v1/sources/{source['id']}", metadata={"a": "b"}, owner={"name": "Ada"})
    assert (changed["metadata"], changed["owner"]["name"]) == ({"a": "b"}, "Ada")


def test_a_redirect_source_waits_for_the_shopper(api: Api) -> None:
    source = api.post(
        "/v1/sources", type="bancontact", amount=900, currency="eur", redirect={"return_url": "https://shop.example/"}
    )
    assert (source["status"], source["flow"]) == ("pending", "redirect")
    assert source["redirect"]["return_url"] == "https://shop.example/"


def test_row_source_clone(api: Api) -> None:
    customer, original = saved_source(api)
    made = api.post("/v1/sources", account=SELLER, customer=customer, original_source=original, usage="reusable")
    assert made["id"] != original
    assert SELLER[-10:] in made["id"]
    assert (made["type"], made["usage"], made["status"]) == ("card", "reusable", "chargeable")
    assert api.events(account=SELLER) == []
    theirs = api.post("/v1/customers", account=SELLER, source=made["id"])
    assert theirs["default_source"] == made["id"]


def test_row_usage_may_be_overridden(api: Api) -> None:
    customer, original = saved_source(api)
    made = api.post("/v1/sources", account=SELLER, customer=customer, original_source=original, usage="single_use")
    assert made["usage"] == "single_use"
    assert api.post("/v1/sources", account=SELLER, customer=customer, original_source=original)["usage"] == "reusable"


def test_row_customer_without_original_source_shares_the_default(api: Api) -> None:
    customer, _ = saved_source(api)
    made = api.post("/v1/sources", account=SELLER, customer=customer, usage="reusable")
    assert made["card"]["last4"] == "4242"


def test_row_original_may_be_a_card_of_the_named_customer(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_mastercard")
    made = api.post("/v1/sources", account=SELLER, customer=customer["id"], original_source=customer["default_source"])
    assert (made["object"], made["card"]["last4"]) == ("source", "4444")


def test_row_original_of_a_customer_needs_that_customer(api: Api) -> None:
    _, original = saved_source(api)
    assert api.refused(400, "POST", "/v1/sources", account=SELLER, original_source=original)["param"] == "customer"


def test_row_only_card_sources_can_be_cloned(api: Api) -> None:
    original = api.post("/v1/sources", type="bancontact", amount=900, currency="eur")["id"]
    error = api.refused(400, "POST", "/v1/sources", account=SELLER, original_source=original)
    assert "bancontact" in error["message"]


def test_row_source_clone_without_the_account_header(api: Api) -> None:
    customer, original = saved_source(api)
    error = api.refused(400, "POST", "/v1/sources", customer=customer, original_source=original)
    assert error["type"] == "invalid_request_error"


def test_row_unknown_original(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/sources", account=SELLER, original_source="src_1Nowhere")
    assert (error["code"], error["message"]) == ("resource_missing", "No such source: 'src_1Nowhere'")


def test_row_charging_a_reusable_clone_unattached_consumes_it(api: Api) -> None:
    customer, original = saved_source(api)
    made = api.post("/v1/sources", account=SELLER, customer=customer, original_source=original)["id"]
    api.post("/v1/charges", account=SELLER, amount=900, currency="usd", source=made)
    error = api.refused(400, "POST", "/v1/charges", account=SELLER, amount=900, currency="usd", source=made)
    assert error["code"] == "invalid_source_usage"
    assert error["message"] == (
        "The reusable source you provided is consumed because it was previously charged without being attached to a"
        " customer or was detached from a customer. To charge a reusable source multiple time you must attach it to a"
        " customer first."
    )


def test_a_source_detached_from_its_customer_cannot_be_attached_again(api: Api) -> None:
    customer, source = saved_source(api)
    assert api.delete(f"/v1/customers/{customer}/sources/{source}")["status"] == "consumed"
    error = api.refused(400, "POST", f"/v1/customers/{customer}/sources", source=source)
    assert error["code"] == "invalid_source_usage"
