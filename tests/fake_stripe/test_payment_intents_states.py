"""The states of a PaymentIntent: confirm, capture, cancel, expire; each wrong-state refusal is a row of its table."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

INTENTS = "/v1/payment_intents"
UNEXPECTED = "payment_intent_unexpected_state"


@pytest.fixture
def api() -> Api:
    return Api()


def intent(api: Api, account: str | None = None, **params: Any) -> Wire:
    given = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "payment_method": "pm_card_visa"}
    return api.post(INTENTS, account=account, **{**given, **params})


def held(api: Api, account: str | None = None, **params: Any) -> Wire:
    return intent(api, account, capture_method="manual", confirm=True, **params)


def state_refusal(api: Api, path: str, account: str | None = None, **params: Any) -> Wire:
    error = api.refused(400, "POST", f"{INTENTS}/{path}", account=account, **params)
    assert error["type"] == "invalid_request_error"
    assert error["payment_intent"]["object"] == "payment_intent"
    return error


def test_two_steps_create_then_confirm(api: Api) -> None:
    made = intent(api)
    assert api.post(f"{INTENTS}/{made['id']}/confirm")["status"] == "succeeded"


def test_manual_capture_holds_the_money_first(api: Api) -> None:
    made = held(api)
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert (made["status"], made["amount_capturable"], made["amount_received"]) == ("requires_capture", 1000, 0)
    assert (charge["captured"], charge["paid"], charge["amount_captured"]) == (False, True, 0)
    assert charge["balance_transaction"] is None
    assert charge["payment_method_details"]["card"]["capture_before"] > charge["created"]


def test_capture_takes_all_of_it(api: Api) -> None:
    done = api.post(f"{INTENTS}/{held(api)['id']}/capture")
    charge = api.get(f"/v1/charges/{done['latest_charge']}")
    assert (done["status"], done["amount_received"], done["amount_capturable"]) == ("succeeded", 1000, 0)
    assert (charge["captured"], charge["amount_captured"], charge["amount_refunded"]) == (True, 1000, 0)
    assert charge["balance_transaction"].startswith("txn_")


def test_partial_capture_releases_the_rest_and_restates_the_fee(api: Api) -> None:
    made = held(api, SELLER, application_fee_amount=100)
    done = api.post(f"{INTENTS}/{made['id']}/capture", account=SELLER, amount_to_capture=600, application_fee_amount=60)
    charge = api.get(f"/v1/charges/{done['latest_charge']}", account=SELLER, expand=["application_fee"])
    assert (done["status"], done["amount"], done["amount_received"]) == ("succeeded", 1000, 600)
    assert (charge["amount_captured"], charge["amount_refunded"], charge["refunded"]) == (600, 400, False)
    assert charge["application_fee"]["amount"] == done["application_fee_amount"] == 60


def test_row_capture_in_the_wrong_state(api: Api) -> None:
    error = state_refusal(api, f"{intent(api)['id']}/capture")
    assert error["code"] == UNEXPECTED
    assert error["message"] == (
        "This PaymentIntent could not be captured because it has a status of requires_confirmation. Only a"
        " PaymentIntent with one of the following statuses may be captured: requires_capture."
    )


def test_row_capture_of_a_succeeded_intent(api: Api) -> None:
    error = state_refusal(api, f"{intent(api, confirm=True)['id']}/capture")
    assert error["code"] == UNEXPECTED
    assert error["message"] == "This PaymentIntent could not be captured because it has already been captured."


def test_row_capture_again_after_a_partial_capture(api: Api) -> None:
    made = held(api)
    api.post(f"{INTENTS}/{made['id']}/capture", amount_to_capture=600)
    assert state_refusal(api, f"{made['id']}/capture", amount_to_capture=400)["message"] == (
        "The remaining amount on this PaymentIntent could not be captured because the remainder of the authorized"
        " amount has been released."
    )


def test_row_capture_too_much(api: Api) -> None:
    error = state_refusal(api, f"{held(api)['id']}/capture", amount_to_capture=1001)
    assert (error["code"], error["param"]) == ("amount_too_large", "amount_to_capture")
    assert error["message"].startswith(
        "The payment could not be captured because the requested capture amount is greater"
    )


def test_row_confirm_without_payment_method(api: Api) -> None:
    bare = api.post(INTENTS, amount=1000, currency="usd", payment_method_types=["card"])
    error = state_refusal(api, f"{bare['id']}/confirm")
    assert error["code"] == UNEXPECTED
    assert error["message"].startswith(
        "You cannot confirm this PaymentIntent because it's missing a payment method. You can"
    )


def test_row_confirm_without_payment_method_names_the_customer(api: Api) -> None:
    customer = api.customer()
    bare = api.post(INTENTS, amount=1000, currency="usd", payment_method_types=["card"], customer=customer)
    assert f"To confirm the PaymentIntent with {customer}" in state_refusal(api, f"{bare['id']}/confirm")["message"]


def test_row_confirm_of_a_succeeded_intent(api: Api) -> None:
    error = state_refusal(api, f"{intent(api, confirm=True)['id']}/confirm")
    assert error["code"] == UNEXPECTED
    assert error["message"] == (
        "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
    )


def test_confirm_of_a_canceled_intent_names_the_states_that_can(api: Api) -> None:
    made = intent(api)
    api.post(f"{INTENTS}/{made['id']}/cancel")
    assert "status of canceled" in state_refusal(api, f"{made['id']}/confirm")["message"]


def test_cancel_keeps_the_payment_method_and_the_reason(api: Api) -> None:
    done = api.post(f"{INTENTS}/{intent(api)['id']}/cancel", cancellation_reason="requested_by_customer")
    assert (done["status"], done["cancellation_reason"]) == ("canceled", "requested_by_customer")
    assert done["payment_method"].startswith("pm_")
    assert done["canceled_at"] >= done["created"]


def test_cancel_releases_what_was_authorised(api: Api) -> None:
    made = held(api)
    done = api.post(f"{INTENTS}/{made['id']}/cancel")
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert (done["status"], done["amount_capturable"]) == ("canceled", 0)
    assert (charge["captured"], charge["refunded"], charge["amount_refunded"]) == (False, True, 1000)


@pytest.mark.parametrize("status", ["succeeded", "canceled"])
def test_row_cancel_in_the_wrong_state(api: Api, status: str) -> None:
    made = intent(api, confirm=status == "succeeded")
    if status == "canceled":
        api.post(f"{INTENTS}/{made['id']}/cancel")
    error = state_refusal(api, f"{made['id']}/cancel")
    assert error["code"] == UNEXPECTED
    assert error["message"] == (
        f"You cannot cancel this PaymentIntent because it has a status of {status}. Only a PaymentIntent with one of"
        f" the"
        " following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation,"
        " requires_action, processing."
    )


def test_no_test_card_supports_incremental_authorisation(api: Api) -> None:
    made = held(api)
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert charge["payment_method_details"]["card"]["incremental_authorization"]["status"] == "unavailable"
    for intent_id in (made["id"], intent(api)["id"]):
        assert state_refusal(api, f"{intent_id}/increment_authorization", amount=2000)["code"] == UNEXPECTED


def test_an_authorisation_lapses_after_seven_days(api: Api) -> None:
    made = held(api)
    api.world.advance(7 * 86_400 - 1)
    assert api.get(f"{INTENTS}/{made['id']}")["status"] == "requires_capture"
    api.world.advance(1)
    after = api.get(f"{INTENTS}/{made['id']}")
    assert (after["status"], after["cancellation_reason"]) == ("canceled", "automatic")
    assert api.events()[-2:] == ["charge.expired", "payment_intent.canceled"]


def test_a_captured_authorisation_does_not_lapse(api: Api) -> None:
    made = held(api)
    api.post(f"{INTENTS}/{made['id']}/capture")
    api.world.advance(8 * 86_400)
    assert api.get(f"{INTENTS}/{made['id']}")["status"] == "succeeded"


# ---- bank debits

BANK: Wire = {"payment_method_types": ["us_bank_account"], "confirm": True}


def test_a_bank_debit_is_processing_until_the_bank_pays(api: Api) -> None:
    made = intent(api, payment_method="pm_usBankAccount_success", **BANK)
    assert made["status"] == "processing"
    api.world.settle()
    done = api.get(f"{INTENTS}/{made['id']}", expand=["latest_charge"])
    assert (done["status"], done["amount_received"]) == ("succeeded", 1000)
    assert done["latest_charge"]["id"].startswith("py_")
    assert done["latest_charge"]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("magic", "failure"),
    [
        ("insufficientFunds", "insufficient_funds"),
        ("accountClosed", "account_closed"),
        ("noAccount", "no_account"),
        ("debitNotAuthorized", "debit_not_authorized"),
        ("invalidCurrency", "invalid_currency"),
        ("weeklyLimitExceeded", "charge_exceeds_source_limit"),
    ],
)
def test_a_bank_debit_that_fails_gives_the_intent_back(api: Api, magic: str, failure: str) -> None:
    made = intent(api, payment_method=f"pm_usBankAccount_{magic}", **BANK)
    assert made["status"] == "processing"
    api.world.settle()
    after = api.get(f"{INTENTS}/{made['id']}")
    assert after["status"] == "requires_payment_method"
    assert after["last_payment_error"]["code"] == failure
    assert api.get(f"/v1/charges/{after['latest_charge']}")["failure_code"] == failure
    assert api.events()[-2:] == ["charge.failed", "payment_intent.payment_failed"]


def test_a_bank_debit_has_a_mandate(api: Api) -> None:
    accepted = {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7", "user_agent": "x"}}}
    made = intent(api, payment_method="pm_usBankAccount_success", mandate_data=accepted, **BANK)
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    mandate = api.get(f"/v1/mandates/{charge['payment_method_details']['us_bank_account']['mandate']}")
    assert (mandate["type"], mandate["status"]) == ("single_use", "active")
    assert mandate["single_use"] == {"amount": 1000, "currency": "usd"}
    assert mandate["customer_acceptance"]["type"] == "online"


def test_a_debit_that_stays_processing_stays_so(api: Api) -> None:
    made = intent(api, payment_method="pm_usBankAccount_processing", **BANK)
    api.world.settle()
    assert api.get(f"{INTENTS}/{made['id']}")["status"] == "processing"


def test_an_unverified_bank_account_is_verified_by_its_deposits(api: Api) -> None:
    bank = {
        "account_holder_type": "individual",
        "account_number": "000123456789",
        "routing_number": "110000000",
    }
    data: Wire = {"type": "us_bank_account", "us_bank_account": bank, "billing_details": {"name": "Jane Doe"}}
    made = api.post(INTENTS, amount=1000, currency="usd", payment_method_data=data, **BANK)
    assert made["next_action"]["type"] == "verify_with_microdeposits"
    wrong = api.refused(400, "POST", f"{INTENTS}/{made['id']}/verify_microdeposits", amounts=[1, 2])
    assert wrong["code"] == "payment_method_microdeposit_verification_amounts_mismatch"
    assert api.post(f"{INTENTS}/{made['id']}/verify_microdeposits", amounts=[32, 45])["status"] == "processing"
