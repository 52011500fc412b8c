"""Customers and their default payment details."""

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api

GENERIC = {
    "type": "card_error",
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
    "advice_code": "try_again_later",
    "network_decline_code": "01",
}


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_bare_customer_has_every_member_of_the_newest_shape(api: Api) -> None:
    made = api.post("/v1/customers", email="ada@example.com", name="", metadata={"k": "v"})
    assert made["id"].startswith("cus_")
    assert len(made["id"]) == 18
    assert made["name"] is None
    assert made["metadata"] == {"k": "v"}
    assert made["invoice_settings"] == {
        "custom_fields": None,
        "default_payment_method": None,
        "footer": None,
        "rendering_options": None,
    }
    assert (made["default_source"], made["tax_exempt"], made["preferred_locales"]) == (None, "none", [])
    assert "sources" not in made
    assert "tax" not in made


def test_a_payment_method_at_creation_is_attached_and_no_default(api: Api) -> None:
    made = api.post("/v1/customers", payment_method="pm_card_visa")
    assert (made["default_source"], made["invoice_settings"]["default_payment_method"]) == (None, None)
    attached = api.get("/v1/payment_methods", customer=made["id"])["data"]
    assert [method["customer"] for method in attached] == [made["id"]]
    assert attached[0]["card"]["checks"]["cvc_check"] == "pass"
    assert api.events() == ["customer.created", "payment_method.attached"]


def test_one_call_attaches_and_makes_it_the_invoice_default(api: Api) -> None:
    bare = api.bare_card()
    made = api.post("/v1/customers", payment_method=bare, invoice_settings={"default_payment_method": bare})
    assert made["invoice_settings"]["default_payment_method"] == bare
    magic = api.post(
        "/v1/customers", payment_method="pm_card_visa", invoice_settings={"default_payment_method": "pm_card_visa"}
    )
    assert magic["invoice_settings"]["default_payment_method"].startswith("pm_1")


def test_a_default_can_be_set_later(api: Api) -> None:
    customer, saved = api.saved_card()
    changed = api.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": saved})
    assert changed["invoice_settings"]["default_payment_method"] == saved


def test_row_invoice_default_must_be_attached(api: Api) -> None:
    customer, bare = api.customer(), api.bare_card()
    error = api.refused(400, "POST", f"/v1/customers/{customer}", invoice_settings={"default_payment_method": bare})
    assert error["param"] == "invoice_settings[default_payment_method]"
    assert error["message"] == (
        f"The customer does not have a payment method with the ID {bare}. The payment method must be attached to the"
        " customer."
    )


def test_row_create_with_a_declining_card_makes_no_customer(api: Api) -> None:
    error = api.refused(402, "POST", "/v1/customers", payment_method="pm_card_visa_chargeDeclined")
    assert error == GENERIC
    error = api.refused(402, "POST", "/v1/customers", source="tok_chargeDeclinedIncorrectCvc")
    assert (error["code"], error["param"]) == ("incorrect_cvc", "cvc")
    assert api.get("/v1/customers")["data"] == []


def test_row_deleted_customer_answers_three_members(api: Api) -> None:
    customer, saved = api.saved_card()
    gone = {"id": customer, "object": "customer", "deleted": True}
    assert api.delete(f"/v1/customers/{customer}") == gone
    assert api.get(f"/v1/customers/{customer}") == gone
    assert api.get("/v1/customers")["data"] == []
    assert api.get(f"/v1/payment_methods/{saved}")["customer"] is None


def test_row_use_of_a_deleted_customer_is_resource_missing(api: Api) -> None:
    customer = api.customer()
    api.delete(f"/v1/customers/{customer}")
    assert (
        api.refused(404, "POST", f"/v1/customers/{customer}", name="x")["message"] == f"No such customer: '{customer}'"
    )
    error = api.refused(400, "POST", "/v1/payment_methods/pm_card_visa/attach", customer=customer)
    assert (error["code"], error["param"]) == ("resource_missing", "customer")


def test_a_payment_method_of_a_deleted_customer_cannot_be_used_again(api: Api) -> None:
    customer, saved = api.saved_card()
    api.delete(f"/v1/customers/{customer}")
    error = api.refused(400, "POST", f"/v1/payment_methods/{saved}/attach", customer=api.customer())
    assert error["message"].endswith("may not be used again.")


def test_row_unknown_customer_in_the_path(api: Api) -> None:
    assert api.refused(404, "GET", "/v1/customers/cus_nowhere") == {
        "type": "invalid_request_error",
        "code": "resource_missing",
        "param": "id",
        "message": "No such customer: 'cus_nowhere'",
    }


def test_a_customer_of_a_connected_account_is_not_on_the_platform(api: Api) -> None:
    theirs = api.customer(account=SELLER)
    assert api.refused(404, "GET", f"/v1/customers/{theirs}")["message"] == f"No such customer: '{theirs}'"
    assert api.get(f"/v1/customers/{theirs}", account=SELLER)["id"] == theirs


def test_an_update_merges_metadata_and_unsets_with_empty_strings(api: Api) -> None:
    customer = api.customer(description="one", metadata={"a": "1", "b": "2"}, address={"city": "Bonn", "line1": "x"})
    changed = api.post(
        f"/v1/customers/{customer}", description="", metadata={"a": "", "c": "3"}, address={"line1": "y"}
    )
    assert changed["description"] is None
    assert changed["metadata"] == {"b": "2", "c": "3"}
    assert changed["address"]["line1"] == "y"
    assert api.post(f"/v1/customers/{customer}", metadata="")["metadata"] == {}


def test_an_update_says_what_changed(api: Api) -> None:
    customer = api.customer(name="Ada")
    api.post(f"/v1/customers/{customer}", name="Bea")
    event = api.get("/v1/events", type="customer.updated")["data"][0]
    assert event["data"]["previous_attributes"] == {"name": "Ada"}


def test_lists_filter_by_exact_email_newest_first(api: Api) -> None:
    first, second = api.customer(email="a@example.com"), api.customer(email="a@example.com")
    api.customer(email="A@example.com")
    assert [o["id"] for o in api.get("/v1/customers", email="a@example.com")["data"]] == [second, first]


def test_search_finds_customers_by_metadata_and_email(api: Api) -> None:
    wanted = api.customer(email="find@example.com", metadata={"ref": "7"})
    api.customer(email="other@example.com", metadata={"ref": "8"})
    for query in ("metadata['ref']:'7'", "email:'find@example.com'"):
        assert [o["id"] for o in api.get("/v1/customers/search", query=query)["data"]] == [wanted]


def test_expanding_shows_sources_and_tax(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")["id"]
    shown = api.get(f"/v1/customers/{customer}", expand=["sources", "tax", "default_source", "invoice_credit_balance"])
    assert shown["sources"]["total_count"] == 1
    assert shown["sources"]["url"] == f"/v1/customers/{customer}/sources"
    assert shown["sources"]["data"][0]["id"] == shown["default_source"]["id"]
    assert shown["tax"]["automatic_tax"] == "unrecognized_location"
    assert shown["invoice_credit_balance"] == {}


def test_a_new_source_on_update_becomes_the_default(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    changed = api.post(f"/v1/customers/{customer['id']}", source="tok_mastercard")
    assert changed["default_source"] not in (None, customer["default_source"])
    back = api.post(f"/v1/customers/{customer['id']}", default_source=customer["default_source"])
    assert back["default_source"] == customer["default_source"]


def test_row_default_source_must_be_the_customers_own(api: Api) -> None:
    other = api.post("/v1/customers", source="tok_visa")["default_source"]
    error = api.refused(400, "POST", f"/v1/customers/{api.customer()}", default_source=other)
    assert (error["code"], error["message"]) == ("resource_missing", f"No such source: '{other}'")


def test_a_customer_with_a_source_tells_so_in_this_order(api: Api) -> None:
    api.post("/v1/customers", source="tok_visa")
    assert api.events() == ["customer.created", "customer.source.created"]


def test_removing_a_customer_detaches_before_it_says_deleted(api: Api) -> None:
    customer, _ = api.saved_card()
    api.delete(f"/v1/customers/{customer}")
    assert api.events()[-2:] == ["payment_method.detached", "customer.deleted"]
