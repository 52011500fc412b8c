"""SetupIntents: states, declines, 3DS, micro-deposits, and what a set-up leaves behind."""

from typing import Any

import pytest
from fake_stripe.objects import authentication

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

MANDATE = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.9", "user_agent": "test"}}}
BANK: dict[str, Any] = {
    "type": "us_bank_account",
    "us_bank_account": {"account_number": "000123456789", "routing_number": "110000000"},
    "billing_details": {"name": "Ada Buyer"},
}


@pytest.fixture
def api() -> Api:
    return Api()


def set_up(api: Api, magic: str = "pm_card_visa", *, account: str | None = None, **params: Any) -> Wire:
    given: dict[str, Any] = {"payment_method_types": ["card"], "confirm": True, "payment_method": magic, **params}
    return api.post("/v1/setup_intents", account=account, **given)


def resolve(api: Api, intent: str, outcome: str = "succeeded") -> None:
    authentication.resolve(api.world.platform_scope(livemode=False), intent, outcome)


def test_a_bare_intent_waits_for_a_payment_method(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method_types=["card"], metadata={"a": "b"})
    assert (intent["status"], intent["usage"], intent["metadata"]) == (
        "requires_payment_method",
        "off_session",
        {"a": "b"},
    )
    assert intent["id"].startswith("seti_")
    assert len(intent["id"]) == 29
    secret = intent["client_secret"].removeprefix(f"{intent['id']}_secret_")
    assert len(secret) == 31
    assert intent["payment_method_options"]["card"]["request_three_d_secure"] == "automatic"


def test_with_a_payment_method_it_waits_for_confirmation(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method="pm_card_visa", payment_method_types=["card"])
    assert intent["status"] == "requires_confirmation"
    assert api.post(f"/v1/setup_intents/{intent['id']}/confirm")["status"] == "succeeded"


def test_success_attaches_to_the_customer_and_records_the_attempt(api: Api) -> None:
    customer = api.customer()
    intent = set_up(api, customer=customer)
    assert intent["status"] == "succeeded"
    attached = api.get(f"/v1/payment_methods/{intent['payment_method']}")
    assert (attached["customer"], attached["card"]["checks"]["cvc_check"]) == (customer, "pass")
    attempts = api.get("/v1/setup_attempts", setup_intent=intent["id"])["data"]
    assert [(a["id"], a["status"]) for a in attempts] == [(intent["latest_attempt"], "succeeded")]
    assert api.events() == [
        "customer.created",
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]


def test_without_a_customer_it_can_still_be_saved_afterwards(api: Api) -> None:
    saved = set_up(api)["payment_method"]
    customer = api.customer()
    assert api.post(f"/v1/payment_methods/{saved}/attach", customer=customer)["customer"] == customer


def test_automatic_payment_methods_are_the_default_since_2023_08_16(api: Api) -> None:
    intent = api.post("/v1/setup_intents")
    assert intent["automatic_payment_methods"] == {"allow_redirects": "always", "enabled": True}
    before = api.post("/v1/setup_intents", version="2022-11-15")
    assert before["automatic_payment_methods"] is None
    assert before["payment_method_types"] == ["card"]


def test_automatic_payment_methods_want_a_return_url_at_confirmation(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method="pm_card_visa")["id"]
    _, body, _ = api.send("POST", f"/v1/setup_intents/{intent}/confirm", version="2026-06-24.dahlia")
    assert body["error"]["message"].startswith(
        "This SetupIntent is configured to accept payment methods enabled in your Dashboard."
    )
    done = api.post(f"/v1/setup_intents/{intent}/confirm", return_url="https://shop.example/")
    assert done["status"] == "succeeded"


def test_row_decline_at_set_up(api: Api) -> None:
    error = api.refused(
        402,
        "POST",
        "/v1/setup_intents",
        payment_method="pm_card_visa_chargeDeclined",
        payment_method_types=["card"],
        confirm=True,
    )
    assert (error["code"], error["decline_code"]) == ("card_declined", "generic_decline")
    intent = api.get(f"/v1/setup_intents/{error['setup_intent']['id']}")
    assert (intent["status"], intent["payment_method"]) == ("requires_payment_method", None)
    assert intent["last_setup_error"]["code"] == "card_declined"
    assert intent["last_setup_error"]["payment_method"]["id"] == error["payment_method"]["id"]
    assert api.events()[-1] == "setup_intent.setup_failed"


def test_row_needs_3ds_and_goes_on_when_authenticated(api: Api) -> None:
    customer = api.customer()
    intent = set_up(api, "pm_card_authenticationRequired", customer=customer, return_url="https://shop.example/back")
    assert intent["status"] == "requires_action"
    assert intent["next_action"]["type"] == "redirect_to_url"
    assert intent["next_action"]["redirect_to_url"]["return_url"] == "https://shop.example/back"
    resolve(api, intent["id"])
    done = api.get(f"/v1/setup_intents/{intent['id']}")
    assert (done["status"], done["next_action"]) == ("succeeded", None)
    assert api.get(f"/v1/payment_methods/{done['payment_method']}")["customer"] == customer


def test_row_failed_authentication(api: Api) -> None:
    intent = set_up(api, "pm_card_authenticationRequired")
    assert intent["next_action"]["type"] == "use_stripe_sdk"
    resolve(api, intent["id"], "failed")
    failed = api.get(f"/v1/setup_intents/{intent['id']}")
    assert (failed["status"], failed["payment_method"]) == ("requires_payment_method", None)
    assert failed["last_setup_error"]["code"] == "setup_intent_authentication_failure"
    attempts = api.get("/v1/setup_attempts", setup_intent=intent["id"])["data"]
    assert [a["status"] for a in attempts] == ["failed"]


def test_a_set_up_card_is_charged_off_session_without_authentication(api: Api) -> None:
    customer = api.customer()
    intent = set_up(api, "pm_card_authenticationRequiredOnSetup", customer=customer)
    resolve(api, intent["id"])
    paid = api.post(
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        customer=customer,
        payment_method=api.get(f"/v1/setup_intents/{intent['id']}")["payment_method"],
        payment_method_types=["card"],
        off_session=True,
        confirm=True,
    )
    assert paid["status"] == "succeeded"


def test_row_confirm_without_a_payment_method_comes_before_the_state(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method_types=["card"])["id"]
    words = "You cannot confirm this SetupIntent because it's missing a payment method."
    for _ in range(2):
        error = api.refused(400, "POST", f"/v1/setup_intents/{intent}/confirm")
        assert error["code"] == "setup_intent_unexpected_state"
        assert error["message"].startswith(words)
        assert error["setup_intent"]["id"] == intent
        if api.get(f"/v1/setup_intents/{intent}")["status"] != "canceled":
            api.post(f"/v1/setup_intents/{intent}/cancel")


def test_row_confirm_succeeded_and_canceled(api: Api) -> None:
    done = set_up(api)["id"]
    error = api.refused(400, "POST", f"/v1/setup_intents/{done}/confirm")
    assert error["message"] == "You cannot confirm this SetupIntent because it has already succeeded."
    gone = api.post("/v1/setup_intents", payment_method="pm_card_visa", payment_method_types=["card"])["id"]
    api.post(f"/v1/setup_intents/{gone}/cancel")
    error = api.refused(400, "POST", f"/v1/setup_intents/{gone}/confirm")
    assert error["message"] == "You cannot confirm this SetupIntent because it has been canceled."


def test_row_cancel_keeps_reason_and_payment_method(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method="pm_card_visa", payment_method_types=["card"])
    canceled = api.post(f"/v1/setup_intents/{intent['id']}/cancel", cancellation_reason="abandoned")
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "abandoned")
    assert canceled["payment_method"] == intent["payment_method"]
    assert api.events()[-1] == "setup_intent.canceled"


def test_row_cancel_a_succeeded_one(api: Api) -> None:
    error = api.refused(400, "POST", f"/v1/setup_intents/{set_up(api)['id']}/cancel")
    assert error["code"] == "setup_intent_unexpected_state"
    assert error["message"] == (
        "You cannot cancel this SetupIntent because it has a status of succeeded. Only a SetupIntent with one of the"
        " following statuses may be canceled: `requires_payment_method`, `requires_confirmation`, or `requires_action`."
    )


def test_row_cancel_a_canceled_one(api: Api) -> None:
    intent = api.post("/v1/setup_intents")["id"]
    api.post(f"/v1/setup_intents/{intent}/cancel")
    error = api.refused(400, "POST", f"/v1/setup_intents/{intent}/cancel")
    assert error["message"] == "You cannot cancel this SetupIntent because it it already canceled."


def test_row_unknown_setup_intent(api: Api) -> None:
    error = api.refused(404, "GET", "/v1/setup_intents/seti_nowhere")
    assert (error["message"], error["param"]) == ("No such setupintent: 'seti_nowhere'", "intent")


def test_a_customers_default_is_never_taken(api: Api) -> None:
    customer, saved = api.saved_card()
    api.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": saved})
    error = api.refused(
        400, "POST", "/v1/setup_intents", customer=customer, payment_method_types=["card"], confirm=True
    )
    assert "missing a payment method" in error["message"]


def test_an_update_sets_method_customer_and_metadata(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method_types=["card"])["id"]
    customer = api.customer()
    changed = api.post(
        f"/v1/setup_intents/{intent}", customer=customer, payment_method="pm_card_visa", metadata={"a": "b"}
    )
    assert (changed["status"], changed["customer"], changed["metadata"]) == (
        "requires_confirmation",
        customer,
        {"a": "b"},
    )
    assert [o["id"] for o in api.get("/v1/setup_intents", customer=customer)["data"]] == [intent]


def test_row_update_of_the_method_after_success(api: Api) -> None:
    intent = set_up(api)["id"]
    error = api.refused(400, "POST", f"/v1/setup_intents/{intent}", payment_method="pm_card_visa")
    assert error["message"] == "You cannot update this SetupIntent because it has already succeeded."
    assert api.post(f"/v1/setup_intents/{intent}", description="late")["description"] == "late"


def test_on_a_connected_account_the_application_is_named(api: Api) -> None:
    assert set_up(api, account=SELLER)["application"].startswith("ca_")
    assert set_up(api)["application"] is None


# ---- bank accounts


def bank_intent(api: Api, customer: str) -> Wire:
    made = api.post("/v1/payment_methods", **BANK)["id"]
    return set_up(api, made, customer=customer, payment_method_types=["us_bank_account"], mandate_data=MANDATE)


def test_an_unverified_bank_account_waits_for_micro_deposits(api: Api) -> None:
    customer = api.customer()
    intent = bank_intent(api, customer)
    assert intent["status"] == "requires_action"
    assert intent["next_action"]["type"] == "verify_with_microdeposits"
    assert api.get(f"/v1/mandates/{intent['mandate']}")["status"] == "pending"
    done = api.post(f"/v1/setup_intents/{intent['id']}/verify_microdeposits", descriptor_code="SM11AA")
    assert done["status"] == "succeeded"
    assert api.get(f"/v1/mandates/{intent['mandate']}")["status"] == "active"
    assert api.get(f"/v1/payment_methods/{done['payment_method']}")["customer"] == customer


def test_micro_deposits_are_verified_by_their_amounts_too(api: Api) -> None:
    intent = bank_intent(api, api.customer())["id"]
    error = api.refused(400, "POST", f"/v1/setup_intents/{intent}/verify_microdeposits", amounts=[1, 2])
    assert error["code"] == "payment_method_microdeposit_verification_amounts_mismatch"
    assert api.post(f"/v1/setup_intents/{intent}/verify_microdeposits", amounts=[32, 45])["status"] == "succeeded"


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("SM33CC", "payment_method_microdeposit_verification_attempts_exceeded"),
        ("SM44DD", "payment_method_microdeposit_verification_timeout"),
    ],
)
def test_micro_deposits_may_fail_for_good(api: Api, code: str, refusal: str) -> None:
    intent = bank_intent(api, api.customer())["id"]
    error = api.refused(400, "POST", f"/v1/setup_intents/{intent}/verify_microdeposits", descriptor_code=code)
    assert error["code"] == refusal
    assert api.get(f"/v1/setup_intents/{intent}")["status"] == "requires_payment_method"


def test_micro_deposits_expire_after_ten_days(api: Api) -> None:
    api.world.clock.freeze()
    intent = bank_intent(api, api.customer())["id"]
    api.world.advance(10 * 86_400)
    shown = api.get(f"/v1/setup_intents/{intent}")
    assert shown["last_setup_error"]["code"] == "payment_method_microdeposit_verification_timeout"


def test_row_micro_deposits_of_an_intent_that_waits_for_none(api: Api) -> None:
    intent = api.post("/v1/setup_intents")["id"]
    error = api.refused(400, "POST", f"/v1/setup_intents/{intent}/verify_microdeposits", amounts=[32, 45])
    assert error["code"] == "intent_invalid_state"


def test_a_bank_account_needs_mandate_data_when_confirmed_by_the_server(api: Api) -> None:
    error = api.refused(
        400,
        "POST",
        "/v1/setup_intents",
        payment_method="pm_usBankAccount_success",
        payment_method_types=["us_bank_account"],
        confirm=True,
    )
    assert error["param"] == "mandate_data"


def test_a_mandate_says_who_accepted_it(api: Api) -> None:
    intent = set_up(api, "pm_usBankAccount_success", payment_method_types=["us_bank_account"], mandate_data=MANDATE)
    mandate = api.get(f"/v1/mandates/{intent['mandate']}")
    assert mandate["customer_acceptance"]["online"]["ip_address"] == "203.0.113.9"
    assert (mandate["type"], mandate["status"]) == ("multi_use", "active")


def test_a_mandate_for_one_payment_is_named_apart(api: Api) -> None:
    intent = set_up(
        api,
        "pm_usBankAccount_success",
        payment_method_types=["us_bank_account"],
        mandate_data=MANDATE,
        single_use={"amount": 900, "currency": "usd"},
    )
    assert intent["mandate"] is None
    mandate = api.get(f"/v1/mandates/{intent['single_use_mandate']}")
    assert (mandate["type"], mandate["single_use"]) == ("single_use", {"amount": 900, "currency": "usd"})


def test_details_may_come_with_the_set_up(api: Api) -> None:
    data = {"type": "card", "card": {"number": "4242424242424242", "exp_month": 5, "exp_year": 2032, "cvc": "123"}}
    intent = api.post("/v1/setup_intents", payment_method_data=data, payment_method_types=["card"], confirm=True)
    assert intent["status"] == "succeeded"
    assert api.get(f"/v1/payment_methods/{intent['payment_method']}")["card"]["exp_year"] == 2032


def test_a_type_that_the_intent_does_not_take_is_refused(api: Api) -> None:
    intent = api.post("/v1/setup_intents", payment_method_types=["card"])["id"]
    error = api.refused(
        400,
        "POST",
        f"/v1/setup_intents/{intent}/confirm",
        payment_method="pm_usBankAccount_success",
        mandate_data=MANDATE,
    )
    assert error["param"] == "payment_method"
    assert "us_bank_account" in error["message"]


def test_a_confirmation_token_confirms_once(api: Api) -> None:
    token = api.post(
        "/v1/test_helpers/confirmation_tokens", payment_method="pm_card_visa", return_url="https://shop.example/"
    )
    assert token["payment_method_preview"]["card"]["last4"] == "4242"
    intent = api.post("/v1/setup_intents", confirmation_token=token["id"], confirm=True)
    assert intent["status"] == "succeeded"
    assert api.get(f"/v1/confirmation_tokens/{token['id']}")["setup_intent"] == intent["id"]
    error = api.refused(400, "POST", "/v1/setup_intents", confirmation_token=token["id"], confirm=True)
    assert error["param"] == "confirmation_token"
    unknown = api.refused(400, "POST", "/v1/setup_intents", confirmation_token="ctoken_1Nowhere", confirm=True)
    assert unknown["code"] == "resource_missing"


def test_a_confirmation_token_expires_after_twelve_hours(api: Api) -> None:
    api.world.clock.freeze()
    token = api.post("/v1/test_helpers/confirmation_tokens", payment_method="pm_card_visa")["id"]
    api.world.advance(12 * 3600)
    error = api.refused(400, "POST", "/v1/setup_intents", confirmation_token=token, confirm=True)
    assert "expired" in error["message"]


def test_verification_of_a_bank_account_may_be_skipped(api: Api) -> None:
    made = api.post("/v1/payment_methods", **BANK)["id"]
    options = {"us_bank_account": {"verification_method": "skip"}}
    intent = set_up(
        api,
        made,
        payment_method_types=["us_bank_account"],
        payment_method_options=options,
        mandate_data=MANDATE,
    )
    assert intent["status"] == "succeeded"
