"""Cloning a platform's PaymentMethod to a connected account (docs.stripe.com/connect/direct-charges-multiple-accounts).

Rows are those of the table of refusals for the PaymentMethod clone.
"""

from typing import Any

import pytest
from fake_stripe.objects import authentication, payment_methods

from fake_stripe import cards
from tests.fake_stripe.stripe_calls import OTHER_SELLER, SELLER, Api, Wire

CONSUMED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a"
    " connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use"
    " a PaymentMethod multiple times, you must attach it to a Customer first."
)


@pytest.fixture
def api() -> Api:
    return Api()


def clone(api: Api, account: str = SELLER, **params: Any) -> Wire:
    return api.post("/v1/payment_methods", account=account, **params)


def test_a_clone_is_a_new_unattached_payment_method_with_the_same_card(api: Api) -> None:
    customer, original = api.saved_card()
    made = clone(api, customer=customer, payment_method=original)
    shown = api.get(f"/v1/payment_methods/{original}")
    assert made["id"].startswith("pm_")
    assert made["id"] != original
    assert made["customer"] is None
    assert made["customer_account"] is None
    assert made["metadata"] == {}
    assert made["allow_redisplay"] == "unspecified"
    assert made["card"] == shown["card"]
    assert made["card"]["checks"]["cvc_check"] == "pass"
    assert list(made) == sorted(made, key=lambda name: (name != "id", name != "object", name))


def test_a_clone_has_the_infix_of_the_account_it_was_made_on(api: Api) -> None:
    customer, original = api.saved_card()
    made = clone(api, customer=customer, payment_method=original)
    assert SELLER[-10:] in made["id"]
    assert SELLER[-10:] not in original


def test_a_clone_belongs_to_the_connected_account_alone(api: Api) -> None:
    customer, original = api.saved_card()
    made = clone(api, customer=customer, payment_method=original)
    assert api.get(f"/v1/payment_methods/{made['id']}", account=SELLER)["id"] == made["id"]
    assert api.refused(404, "GET", f"/v1/payment_methods/{made['id']}")["code"] == "resource_missing"
    assert (
        api.refused(404, "GET", f"/v1/payment_methods/{made['id']}", account=OTHER_SELLER)["param"] == "payment_method"
    )


def test_an_attached_original_can_be_cloned_any_number_of_times_and_stays_usable(api: Api) -> None:
    customer, original = api.saved_card()
    made = {
        clone(api, account, customer=customer, payment_method=original)["id"]
        for account in (SELLER, SELLER, OTHER_SELLER)
    }
    assert len(made) == 3
    paid = api.post(
        "/v1/payment_intents",
        amount=500,
        currency="usd",
        customer=customer,
        payment_method=original,
        payment_method_types=["card"],
        confirm=True,
    )
    assert paid["status"] == "succeeded"


def test_billing_details_are_carried_and_metadata_is_not(api: Api) -> None:
    made = api.post(
        "/v1/payment_methods",
        type="card",
        card={"number": "4242424242424242", "exp_month": 4, "exp_year": 2031, "cvc": "123"},
        billing_details={"name": "Ada Buyer", "address": {"postal_code": "94107"}},
        metadata={"of": "the platform"},
    )
    customer = api.customer()
    api.post(f"/v1/payment_methods/{made['id']}/attach", customer=customer)
    cloned = clone(api, customer=customer, payment_method=made["id"], metadata={"cloned": "yes"})
    assert cloned["billing_details"]["address"]["postal_code"] == "94107"
    assert cloned["billing_details"]["name"] == "Ada Buyer"
    assert cloned["metadata"] == {"cloned": "yes"}


def test_later_changes_to_either_side_do_not_reach_the_other(api: Api) -> None:
    customer, original = api.saved_card()
    cloned = clone(api, customer=customer, payment_method=original)
    api.post(f"/v1/payment_methods/{original}", card={"exp_month": 1, "exp_year": 2033})
    assert (
        api.get(f"/v1/payment_methods/{cloned['id']}", account=SELLER)["card"]["exp_year"] == cloned["card"]["exp_year"]
    )
    seller_customer = api.customer(account=SELLER)
    api.post(f"/v1/payment_methods/{cloned['id']}/attach", account=SELLER, customer=seller_customer)
    api.post(f"/v1/payment_methods/{cloned['id']}", account=SELLER, metadata={"a": "b"})
    assert api.get(f"/v1/payment_methods/{original}")["metadata"] == {}


def test_fingerprints_follow_the_policy_of_the_account(api: Api) -> None:
    customer, original = api.saved_card()
    platform_print = api.get(f"/v1/payment_methods/{original}")["card"]["fingerprint"]
    assert clone(api, customer=customer, payment_method=original)["card"]["fingerprint"] == platform_print
    api.world.set_policy({"fingerprints": "different"}, OTHER_SELLER)
    there = [clone(api, OTHER_SELLER, customer=customer, payment_method=original)["card"]["fingerprint"] for _ in "ab"]
    assert there[0] == there[1] != platform_print


def test_cloning_emits_no_event(api: Api) -> None:
    customer, original = api.saved_card()
    clone(api, customer=customer, payment_method=original)
    assert api.events(account=SELLER) == []


# ---- attachment on the platform


def test_a_bare_original_is_cloned_without_a_customer_and_used_up_by_it(api: Api) -> None:
    original = api.bare_card()
    assert clone(api, payment_method=original)["customer"] is None
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original)
    assert error == {"type": "invalid_request_error", "message": CONSUMED}


def test_a_magic_id_is_cloned_like_the_card_it_stands_for(api: Api) -> None:
    assert clone(api, payment_method="pm_card_mastercard")["card"]["last4"] == "4444"


def test_row_attached_original_without_its_customer_is_refused(api: Api) -> None:
    _, original = api.saved_card()
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original)
    assert error["message"] == (
        "The payment method you provided is attached to a customer so for security purposes you must provide the"
        " customer in the request."
    )
    assert "code" not in error


def test_row_original_of_another_customer_is_refused(api: Api) -> None:
    _, original = api.saved_card()
    other = api.customer()
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original, customer=other)
    assert error["message"].startswith(
        f"The PaymentMethod {original} does not belong to the Customer you supplied {other}."
    )
    assert error["param"] == "payment_method"


def test_row_bare_original_with_a_customer_is_refused(api: Api) -> None:
    original, customer = api.bare_card(), api.customer()
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original, customer=customer)
    assert error["message"].startswith(f"The customer does not have a payment method with the ID {original}.")


def test_row_original_unknown_on_the_platform(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method="pm_1Nowhere")
    assert error["code"] == "resource_missing"
    assert error["param"] == "payment_method"
    assert error["message"].startswith("No such PaymentMethod: 'pm_1Nowhere'; It's possible this PaymentMethod exists")


def test_row_ids_are_always_looked_up_on_the_platform(api: Api) -> None:
    _, of_the_seller = api.saved_card(account=SELLER)
    error = api.refused(400, "POST", "/v1/payment_methods", account=OTHER_SELLER, payment_method=of_the_seller)
    assert error["code"] == "resource_missing"


def test_row_customer_not_on_the_platform(api: Api) -> None:
    _, original = api.saved_card()
    seller_customer = api.customer(account=SELLER)
    error = api.refused(
        400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original, customer=seller_customer
    )
    assert error["message"] == f"No such customer: '{seller_customer}'"
    assert (error["code"], error["param"]) == ("resource_missing", "customer")


def test_row_deleted_platform_customer_is_refused_like_a_missing_one(api: Api) -> None:
    customer, original = api.saved_card()
    api.delete(f"/v1/customers/{customer}")
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original, customer=customer)
    assert error["message"] == f"No such customer: '{customer}'"


def test_row_clone_without_the_account_header_is_refused(api: Api) -> None:
    customer, original = api.saved_card()
    words = (
        "You cannot attach a PaymentMethod to a Customer during PaymentMethod creation. Please instead create the"
        " PaymentMethod and then attach it using the attachment method of the PaymentMethods API."
    )
    assert api.refused(400, "POST", "/v1/payment_methods", type="card", customer=customer)["message"] == words
    refused = api.refused(400, "POST", "/v1/payment_methods", customer=customer, payment_method=original)
    assert refused["message"] == words


def test_row_unclonable_type_is_refused_in_words_of_our_own(api: Api) -> None:
    customer = api.customer()
    debit = api.post("/v1/payment_methods/pm_sepaDebit_success_de/attach", customer=customer)["id"]
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=debit, customer=customer)
    assert error["param"] == "payment_method"
    assert "sepa_debit" in error["message"]


def test_row_account_that_is_not_connected(api: Api) -> None:
    customer, original = api.saved_card()
    error = api.refused(
        403, "POST", "/v1/payment_methods", account="acct_1Nobody", payment_method=original, customer=customer
    )
    assert error["code"] == "account_invalid"


def test_row_platform_owned_id_used_directly_on_the_connected_account(api: Api) -> None:
    _, original = api.saved_card()
    words = (
        f"No such PaymentMethod: '{original}'; OAuth key or Stripe-Account header was used but API request was provided"
        " with a platform-owned payment method ID. Please ensure that the provided payment method matches the specified"
        " account."
    )
    for path, params in (
        ("/v1/payment_intents", {"amount": 900, "currency": "usd", "payment_method": original}),
        ("/v1/setup_intents", {"payment_method": original}),
        ("/v1/customers", {"payment_method": original}),
    ):
        error = api.refused(400, "POST", path, account=SELLER, **params)
        assert (error["code"], error["param"], error["message"]) == ("resource_missing", "payment_method", words)


def test_row_original_of_the_other_mode_is_missing_with_a_hint(api: Api) -> None:
    live = api.world.platform_scope(livemode=True)
    original = payment_methods.materialise(live, cards.Card("4242424242424242", "visa", "credit", "US", "success"))
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=original["id"])
    assert (error["code"], error["param"]) == ("resource_missing", "payment_method")
    assert error["message"] == (
        f"No such PaymentMethod: '{original['id']}'; a similar object exists in live mode, but a test mode key was used"
        " to make this request."
    )


def test_row_an_account_that_is_not_onboarded_can_be_cloned_to(api: Api) -> None:
    account = api.post("/v1/accounts", type="standard", country="AU")
    assert (account["charges_enabled"], account["capabilities"]) == (False, {})
    customer, original = api.saved_card()
    made = clone(api, account["id"], customer=customer, payment_method=original)
    assert account["id"][-10:] in made["id"]


# ---- life of a clone


def test_an_unattached_clone_lives_for_one_attempt_even_a_declined_one(api: Api) -> None:
    customer, original = api.saved_card("pm_card_chargeCustomerFail")
    made = clone(api, customer=customer, payment_method=original)["id"]
    pay = {"amount": 700, "currency": "usd", "payment_method": made, "payment_method_types": ["card"]}
    assert (
        api.refused(402, "POST", "/v1/payment_intents", account=SELLER, confirm=True, **pay)["code"] == "card_declined"
    )
    again = api.refused(400, "POST", "/v1/payment_intents", account=SELLER, **pay)
    assert again == {"type": "invalid_request_error", "message": CONSUMED}
    assert api.get(f"/v1/payment_methods/{made}", account=SELLER)["id"] == made


def test_a_consumed_clone_cannot_be_attached_any_more(api: Api) -> None:
    customer, original = api.saved_card()
    made = clone(api, customer=customer, payment_method=original)["id"]
    api.post(
        "/v1/payment_intents",
        account=SELLER,
        amount=700,
        currency="usd",
        payment_method=made,
        payment_method_types=["card"],
        confirm=True,
    )
    seller_customer = api.customer(account=SELLER)
    error = api.refused(400, "POST", f"/v1/payment_methods/{made}/attach", account=SELLER, customer=seller_customer)
    assert error["message"] == (
        "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer,"
        " and may not be used again."
    )


def test_an_attached_clone_is_charged_again_and_again(api: Api) -> None:
    customer, original = api.saved_card()
    made = clone(api, customer=customer, payment_method=original)["id"]
    seller_customer = api.customer(account=SELLER, payment_method=made)
    for _ in range(2):
        paid = api.post(
            "/v1/payment_intents",
            account=SELLER,
            amount=700,
            currency="usd",
            customer=seller_customer,
            payment_method=made,
            payment_method_types=["card"],
            confirm=True,
        )
        assert paid["status"] == "succeeded"


def test_the_set_up_state_is_carried_to_the_clone(api: Api) -> None:
    customer = api.customer()
    intent = api.post(
        "/v1/setup_intents",
        customer=customer,
        payment_method="pm_card_authenticationRequiredOnSetup",
        payment_method_types=["card"],
        confirm=True,
    )
    assert intent["status"] == "requires_action"
    authentication.resolve(api.world.platform_scope(livemode=False), intent["id"], "succeeded")
    original = api.get(f"/v1/setup_intents/{intent['id']}")["payment_method"]
    made = clone(api, customer=customer, payment_method=original)["id"]
    seller_customer = api.customer(account=SELLER, payment_method=made)
    pay = {"amount": 700, "currency": "usd", "customer": seller_customer, "payment_method": made, "confirm": True}
    paid = api.post("/v1/payment_intents", account=SELLER, off_session=True, payment_method_types=["card"], **pay)
    assert paid["status"] == "succeeded"


def test_a_clone_that_was_not_set_up_needs_authentication_on_session(api: Api) -> None:
    customer, original = api.saved_card("pm_card_authenticationRequiredOnSetup")
    made = clone(api, customer=customer, payment_method=original)["id"]
    paid = api.post(
        "/v1/payment_intents",
        account=SELLER,
        amount=700,
        currency="usd",
        payment_method=made,
        payment_method_types=["card"],
        confirm=True,
    )
    assert paid["status"] == "requires_action"


def test_row_the_trap_of_authentication_off_session_on_an_unattached_clone(api: Api) -> None:
    customer, original = api.saved_card("pm_card_authenticationRequired")
    made = clone(api, customer=customer, payment_method=original)["id"]
    pay: dict[str, Any] = {
        "amount": 700,
        "currency": "usd",
        "payment_method": made,
        "payment_method_types": ["card"],
        "confirm": True,
    }
    error = api.refused(402, "POST", "/v1/payment_intents", account=SELLER, off_session=True, **pay)
    assert (error["code"], error["decline_code"]) == ("authentication_required", "authentication_required")
    intent = error["payment_intent"]["id"]
    again = api.refused(400, "POST", f"/v1/payment_intents/{intent}/confirm", account=SELLER, payment_method=made)
    assert again["message"] == CONSUMED


# ---- bank accounts and legacy cards


def test_a_verified_bank_account_is_cloned(api: Api) -> None:
    customer = api.customer()
    bank = api.post("/v1/payment_methods/pm_usBankAccount_success/attach", customer=customer)["id"]
    made = clone(api, customer=customer, payment_method=bank)
    assert made["us_bank_account"]["last4"] == "6789"
    assert made["type"] == "us_bank_account"


def test_row_unverified_bank_account_is_refused(api: Api) -> None:
    bank = api.post(
        "/v1/payment_methods",
        type="us_bank_account",
        us_bank_account={
            "account_number": "000123456789",
            "routing_number": "110000000",
            "account_holder_type": "individual",
        },
        billing_details={"name": "Ada Buyer"},
    )["id"]
    error = api.refused(400, "POST", "/v1/payment_methods", account=SELLER, payment_method=bank)
    assert error["code"] == "bank_account_unverified"


def test_the_mandate_of_a_bank_account_is_duplicated_with_its_clone(api: Api) -> None:
    customer = api.customer()
    intent = api.post(
        "/v1/setup_intents",
        customer=customer,
        payment_method="pm_usBankAccount_success",
        payment_method_types=["us_bank_account"],
        mandate_data={"customer_acceptance": {"type": "offline"}},
        confirm=True,
    )
    made = clone(api, customer=customer, payment_method=intent["payment_method"])["id"]
    theirs = api.world.scope(SELLER, livemode=False).hidden(made)["mandate"]
    assert theirs != intent["mandate"]
    shown = api.get(f"/v1/mandates/{theirs}", account=SELLER)
    assert shown["payment_method"] == made
    assert shown["status"] == "active"


def test_row_a_mandate_on_behalf_of_one_account_serves_no_other(api: Api) -> None:
    customer = api.customer()
    intent = api.post(
        "/v1/setup_intents",
        customer=customer,
        payment_method="pm_usBankAccount_success",
        payment_method_types=["us_bank_account"],
        mandate_data={"customer_acceptance": {"type": "offline"}},
        on_behalf_of=SELLER,
        confirm=True,
    )
    named = {"customer": customer, "payment_method": intent["payment_method"]}
    assert clone(api, SELLER, **named)["type"] == "us_bank_account"
    error = api.refused(400, "POST", "/v1/payment_methods", account=OTHER_SELLER, **named)
    assert SELLER in error["message"]


def test_a_legacy_card_is_cloned_by_its_card_id(api: Api) -> None:
    customer = api.post("/v1/customers", source="tok_visa")
    made = clone(api, customer=customer["id"], payment_method=customer["default_source"])
    assert made["id"].startswith("pm_")
    assert made["card"]["last4"] == "4242"


def test_a_publishable_key_cannot_clone_what_a_customer_has_saved(api: Api) -> None:
    customer, original = api.saved_card()
    for path, params in (
        ("/v1/payment_methods", {"customer": customer, "payment_method": original}),
        ("/v1/tokens", {"customer": customer}),
        ("/v1/sources", {"customer": customer, "original_source": "src_1"}),
    ):
        status, body, _ = api.send("POST", path, params, account=SELLER, key="pk_test_calls")
        assert (status, body["error"]["code"]) == (403, "secret_key_required")
    status, _, _ = api.send(
        "POST",
        "/v1/tokens",
        {"card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2039}},
        account=SELLER,
        key="pk_test_calls",
    )
    assert status == 200
