"""PaymentMethods: creation, attachment, update, detachment. Rows are those of "attach, detach, update"."""

import pytest
from fake_stripe.openapi.catalog import catalog

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

RAW = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2031, "cvc": "314"}


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_raw_card_is_created_unchecked_and_unattached(api: Api) -> None:
    made = api.post("/v1/payment_methods", type="card", card=RAW)
    assert made["id"].startswith("pm_1")
    assert len(made["id"]) == 27
    assert made["card"]["checks"] == {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": "unchecked",
    }
    assert made["card"]["networks"] == {"available": ["visa"], "preferred": None}
    assert (made["card"]["exp_month"], made["card"]["exp_year"]) == (12, 2031)
    assert (made["customer"], made["shared_payment_granted_token"]) == (None, None)


def test_a_card_without_cvc_has_none_to_check(api: Api) -> None:
    card = {name: value for name, value in RAW.items() if name != "cvc"}
    made = api.post("/v1/payment_methods", type="card", card=card)
    assert made["card"]["checks"]["cvc_check"] is None


def test_a_token_becomes_a_payment_method_with_the_tokens_name_and_address(api: Api) -> None:
    token = api.post("/v1/tokens", card={**RAW, "name": "Ada", "address_zip": "94107"})["id"]
    made = api.post("/v1/payment_methods", type="card", card={"token": token})
    assert (made["billing_details"]["name"], made["billing_details"]["address"]["postal_code"]) == ("Ada", "94107")
    again = api.refused(400, "POST", "/v1/payment_methods", type="card", card={"token": token})
    assert again["code"] == "token_already_used"
    assert api.post("/v1/payment_methods", type="card", card={"token": "tok_amex"})["card"]["brand"] == "amex"


def test_other_types_echo_what_they_are_given(api: Api) -> None:
    eps = api.post("/v1/payment_methods", type="eps", eps={"bank": "bank_austria"}, billing_details={"name": "Ada"})
    assert (eps["type"], eps["eps"], eps["billing_details"]["name"]) == ("eps", {"bank": "bank_austria"}, "Ada")
    assert api.post("/v1/payment_methods", type="wechat_pay")["wechat_pay"] == {}
    ideal = api.post("/v1/payment_methods", type="ideal", ideal={"bank": "ing"})
    assert ideal["ideal"] == {"bank": "ing", "bic": "INGBNL2A"}


def test_every_type_of_the_document_can_be_made_and_shows_its_members(api: Api) -> None:
    operation, _ = catalog().match("POST", "/v1/payment_methods") or (None, {})
    assert operation is not None
    given: dict[str, Wire] = {
        "card": {"token": "tok_visa"},
        "us_bank_account": {"account_number": "000123456789", "routing_number": "110000000"},
        "sepa_debit": {"iban": "DE89370400440532013000"},
        "acss_debit": {"account_number": "000123456789", "institution_number": "000", "transit_number": "11000"},
        "au_becs_debit": {"account_number": "000123456", "bsb_number": "000000"},
        "boleto": {"tax_id": "000.000.000-00"},
        "fpx": {"bank": "maybank2u"},
        "sofort": {"country": "DE"},
        "nz_bank_account": {
            "account_number": "0000000",
            "bank_code": "11",
            "branch_code": "0000",
            "suffix": "010",
        },
    }
    for type_ in catalog().facts(operation.documented["p"]["type"])["e"]:
        params: Wire = {"type": type_, type_: given[type_]} if type_ in given else {"type": type_}
        made = api.post("/v1/payment_methods", **params)
        shape = catalog().object_shape("payment_method")["p"][type_]
        members = catalog().object_shape(catalog().facts(shape)["v"]).get("p", {})
        assert set(made[type_]) >= set(members), type_


def test_a_secret_number_is_never_shown(api: Api) -> None:
    made = api.post(
        "/v1/payment_methods",
        type="au_becs_debit",
        au_becs_debit={"account_number": "000123456", "bsb_number": "000000"},
        billing_details={"name": "Ada", "email": "ada@example.com"},
    )
    assert made["au_becs_debit"]["last4"] == "3456"
    assert "account_number" not in made["au_becs_debit"]


def test_row_attach_ok(api: Api) -> None:
    customer, bare = api.customer(), api.bare_card()
    attached = api.post(f"/v1/payment_methods/{bare}/attach", customer=customer)
    assert (attached["id"], attached["customer"]) == (bare, customer)
    assert attached["card"]["checks"]["cvc_check"] == "pass"
    assert api.events()[-1] == "payment_method.attached"


def test_row_attach_a_magic_id_gives_a_new_id_at_each_use(api: Api) -> None:
    customer = api.customer()
    ids = {api.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(id_.startswith("pm_1") for id_ in ids)


def test_row_attach_again_to_the_same_customer_changes_nothing(api: Api) -> None:
    customer, saved = api.saved_card()
    before = api.events()
    assert api.post(f"/v1/payment_methods/{saved}/attach", customer=customer)["customer"] == customer
    assert api.events() == before


def test_row_attach_to_a_second_customer(api: Api) -> None:
    _, saved = api.saved_card()
    assert api.refused(400, "POST", f"/v1/payment_methods/{saved}/attach", customer=api.customer()) == {
        "type": "invalid_request_error",
        "message": "The payment method you provided has already been attached to a customer.",
    }


def test_row_attach_without_a_customer(api: Api) -> None:
    error = api.refused(400, "POST", f"/v1/payment_methods/{api.bare_card()}/attach")
    assert error == {
        "type": "invalid_request_error",
        "code": "parameter_missing",
        "message": "Must provide customer or customer_account.",
    }


def test_row_attach_to_an_unknown_customer(api: Api) -> None:
    error = api.refused(400, "POST", f"/v1/payment_methods/{api.bare_card()}/attach", customer="cus_nowhere")
    assert (error["code"], error["param"]) == ("resource_missing", "customer")


def test_row_attach_an_unknown_payment_method(api: Api) -> None:
    error = api.refused(404, "POST", "/v1/payment_methods/abcd/attach", customer=api.customer())
    assert (error["code"], error["param"]) == ("resource_missing", "payment_method")
    assert error["message"].startswith("No such PaymentMethod: 'abcd'; It's possible this PaymentMethod exists")


def test_row_attach_a_declining_card(api: Api) -> None:
    customer = api.customer()
    error = api.refused(402, "POST", "/v1/payment_methods/pm_card_chargeDeclinedIncorrectCvc/attach", customer=customer)
    assert (error["code"], error["param"]) == ("incorrect_cvc", "cvc")
    assert not {"charge", "payment_intent"} & set(error)
    assert api.get(f"/v1/customers/{customer}/payment_methods")["data"] == []


def test_row_detach_ok(api: Api) -> None:
    customer, saved = api.saved_card()
    api.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": saved})
    assert api.post(f"/v1/payment_methods/{saved}/detach")["customer"] is None
    event = api.get("/v1/events", type="payment_method.detached")["data"][0]
    assert event["data"]["previous_attributes"] == {"customer": customer}
    assert api.get(f"/v1/customers/{customer}")["invoice_settings"]["default_payment_method"] is None


def test_row_a_detached_one_cannot_be_attached_or_used_again(api: Api) -> None:
    customer, saved = api.saved_card()
    api.post(f"/v1/payment_methods/{saved}/detach")
    error = api.refused(400, "POST", f"/v1/payment_methods/{saved}/attach", customer=customer)
    assert error["message"] == (
        "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer,"
        " and may not be used again."
    )
    error = api.refused(400, "POST", "/v1/payment_intents", amount=100, currency="usd", payment_method=saved)
    assert error["message"].startswith("The provided PaymentMethod was previously used with a PaymentIntent")


def test_row_detach_a_bare_one(api: Api) -> None:
    error = api.refused(400, "POST", f"/v1/payment_methods/{api.bare_card()}/detach")
    assert error == {
        "type": "invalid_request_error",
        "message": "The payment method you provided is not attached to a customer so detachment is impossible.",
    }


def test_row_update_a_bare_one(api: Api) -> None:
    error = api.refused(400, "POST", f"/v1/payment_methods/{api.bare_card()}", metadata={"a": "b"})
    assert error["message"] == "You must save this PaymentMethod to a customer before you can update it."


def test_row_update_what_may_be_updated(api: Api) -> None:
    _, saved = api.saved_card("pm_card_visa_cartesBancaires")
    changed = api.post(
        f"/v1/payment_methods/{saved}",
        allow_redisplay="always",
        billing_details={"email": "ada@example.com"},
        card={"exp_month": 2, "exp_year": 2039, "networks": {"preferred": "cartes_bancaires"}},
        metadata={"a": "b"},
    )
    assert (changed["allow_redisplay"], changed["billing_details"]["email"]) == ("always", "ada@example.com")
    assert (changed["card"]["exp_month"], changed["card"]["exp_year"]) == (2, 2039)
    assert changed["card"]["networks"]["preferred"] == "cartes_bancaires"
    assert changed["metadata"] == {"a": "b"}
    assert api.events()[-1] == "payment_method.updated"


def test_row_lists_show_attached_ones_newest_first_by_type(api: Api) -> None:
    customer, first = api.saved_card()
    second = api.saved_card("pm_card_amex", customer=customer)[1]
    api.post("/v1/payment_methods/pm_sepaDebit_success_de/attach", customer=customer)
    listed = api.get("/v1/payment_methods", customer=customer, type="card")
    assert [o["id"] for o in listed["data"]] == [second, first]
    assert listed["url"] == "/v1/payment_methods"
    assert len(api.get(f"/v1/customers/{customer}/payment_methods")["data"]) == 3
    assert api.get(f"/v1/customers/{customer}/payment_methods/{first}")["id"] == first


def test_row_list_of_an_unknown_customer(api: Api) -> None:
    assert api.refused(400, "GET", "/v1/payment_methods", customer="cus_nowhere")["param"] == "customer"
    assert api.refused(404, "GET", "/v1/customers/cus_nowhere/payment_methods")["code"] == "resource_missing"


def test_an_unverified_bank_account_cannot_be_attached(api: Api) -> None:
    made = api.post(
        "/v1/payment_methods",
        type="us_bank_account",
        us_bank_account={"account_number": "000123456789", "routing_number": "110000000"},
        billing_details={"name": "Ada Buyer"},
    )
    assert made["us_bank_account"]["networks"] == {"preferred": "ach", "supported": ["ach"]}
    error = api.refused(400, "POST", f"/v1/payment_methods/{made['id']}/attach", customer=api.customer())
    assert error["message"].endswith("must be verified before they can be attached to a customer.")


# ---- whose PaymentMethod is it


def test_row_payment_method_of_another_customer(api: Api) -> None:
    _, saved = api.saved_card()
    other = api.customer()
    words = (
        f"The PaymentMethod {saved} does not belong to the Customer you supplied {other}. Please use this PaymentMethod"
        " with the Customer that it belongs to instead."
    )
    error = api.refused(
        400, "POST", "/v1/payment_intents", amount=100, currency="usd", customer=other, payment_method=saved
    )
    assert error == {"type": "invalid_request_error", "param": "payment_method", "message": words}
    error = api.refused(400, "POST", "/v1/setup_intents", customer=other, payment_method=saved)
    assert error["message"] == words
    assert "setup_intent" not in error


def test_row_attached_payment_method_without_its_customer_on_a_payment_intent(api: Api) -> None:
    customer, saved = api.saved_card()
    error = api.refused(400, "POST", "/v1/payment_intents", amount=100, currency="usd", payment_method=saved)
    assert (error["code"], error["param"]) == ("parameter_missing", "source")
    assert error["message"] == (
        f"The `payment_method` parameter supplied {saved} belongs to the Customer {customer}. Please include the"
        " Customer in the `customer` parameter on the PaymentIntent."
    )


def test_row_attached_payment_method_without_its_customer_on_a_setup_intent(api: Api) -> None:
    customer, saved = api.saved_card()
    words = (
        f"The payment method supplied ({saved}) belongs to the Customer {customer}. Please include the Customer in the"
        " `customer` parameter on the SetupIntent."
    )
    error = api.refused(400, "POST", "/v1/setup_intents", payment_method=saved)
    assert error["message"] == words
    assert "setup_intent" not in error
    intent = api.post("/v1/setup_intents")["id"]
    error = api.refused(400, "POST", f"/v1/setup_intents/{intent}/confirm", payment_method=saved)
    assert error["message"] == words
    assert error["setup_intent"]["id"] == intent


def test_row_bare_fresh_payment_method_with_a_customer_is_accepted_and_not_attached(api: Api) -> None:
    customer, bare = api.customer(), api.bare_card()
    paid = api.post(
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        customer=customer,
        payment_method=bare,
        payment_method_types=["card"],
        confirm=True,
    )
    assert paid["status"] == "succeeded"
    assert api.get(f"/v1/payment_methods/{bare}")["customer"] is None


def test_magic_ids_work_on_connected_accounts(api: Api) -> None:
    assert api.bare_card("pm_card_visa", account=SELLER) != api.bare_card("pm_card_visa", account=SELLER)


@pytest.mark.parametrize("type_", ["card", "fpx", "sepa_debit", "us_bank_account", "sofort"])
def test_a_type_that_needs_details_says_so(api: Api, type_: str) -> None:
    error = api.refused(400, "POST", "/v1/payment_methods", type=type_)
    assert (error["code"], error["param"]) == ("parameter_missing", type_)
    assert error["message"] == f"Missing required param: {type_}."
