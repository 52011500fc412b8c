"""Declines and authentication of PaymentIntents: the whole 402, the intent inside, the failed charge."""

from typing import Any

import pytest

from fake_stripe import cards
from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

INTENTS = "/v1/payment_intents"
DECLINES = [
    # magic id, code, decline_code, param, message, advice, network advice, network decline code
    (
        "visa_chargeDeclined",
        "card_declined",
        "generic_decline",
        None,
        "Your card was declined.",
        "try_again_later",
        None,
        "01",
    ),
    (
        "visa_chargeDeclinedInsufficientFunds",
        "card_declined",
        "insufficient_funds",
        None,
        "Your card has insufficient funds.",
        "try_again_later",
        "02",
        "51",
    ),
    (
        "visa_chargeDeclinedLostCard",
        "card_declined",
        "lost_card",
        None,
        "Your card was declined.",
        "do_not_try_again",
        "01",
        "41",
    ),
    (
        "visa_chargeDeclinedStolenCard",
        "card_declined",
        "stolen_card",
        None,
        "Your card was declined.",
        "do_not_try_again",
        "01",
        "43",
    ),
    (
        "chargeDeclinedExpiredCard",
        "expired_card",
        "expired_card",
        "exp_month",
        "Your card has expired.",
        "confirm_card_data",
        "03",
        "54",
    ),
    (
        "chargeDeclinedIncorrectCvc",
        "incorrect_cvc",
        "incorrect_cvc",
        "cvc",
        "Your card's security code is incorrect.",
        "confirm_card_data",
        "03",
        "N7",
    ),
    (
        "chargeDeclinedProcessingError",
        "processing_error",
        "processing_error",
        None,
        "An error occurred while processing your card. Try again in a little bit.",
        "try_again_later",
        None,
        "06",
    ),
    (
        "visa_chargeDeclinedVelocityLimitExceeded",
        "card_declined",
        "card_velocity_exceeded",
        None,
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        "try_again_later",
        "02",
        "61",
    ),
    (
        "chargeCustomerFail",
        "card_declined",
        "generic_decline",
        None,
        "Your card was declined.",
        "try_again_later",
        None,
        "01",
    ),
]


@pytest.fixture
def api() -> Api:
    return Api()


def declined(api: Api, magic: str, **params: Any) -> Wire:
    params = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "payment_method": magic, **params}
    status, body, _ = api.send("POST", INTENTS, {**params, "confirm": True}, version="2026-08-26.dahlia")
    assert status == 402, body
    error: Wire = body["error"]
    return error


@pytest.mark.parametrize("row", DECLINES, ids=lambda row: row[0])
def test_row_decline_carries_every_member_and_the_whole_intent(api: Api, row: tuple[Any, ...]) -> None:
    magic, code, decline_code, param, message, advice, network_advice, network_code = row
    error = declined(api, f"pm_card_{magic}")
    assert error["type"] == "card_error"
    assert (error["code"], error["decline_code"], error.get("param"), error["message"]) == (
        code,
        decline_code,
        param,
        message,
    )
    assert (error.get("advice_code"), error.get("network_advice_code")) == (advice, network_advice)
    assert error["network_decline_code"] == network_code
    assert error["doc_url"] == f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"
    assert list(error) == sorted(error)
    inside = error["payment_intent"]
    assert (inside["status"], inside["payment_method"], inside["next_action"]) == (
        "requires_payment_method",
        None,
        None,
    )
    assert inside["latest_charge"] == error["charge"] == inside["last_payment_error"]["charge"]
    assert inside["last_payment_error"]["payment_method"] == error["payment_method"]
    assert inside["last_payment_error"]["code"] == code


def test_row_failed_charge_tells_who_refused_it(api: Api) -> None:
    error = declined(api, "pm_card_visa_chargeDeclinedInsufficientFunds")
    charge = api.get(f"/v1/charges/{error['charge']}")
    assert (charge["status"], charge["paid"], charge["captured"]) == ("failed", False, False)
    assert (charge["failure_code"], charge["failure_message"]) == ("card_declined", "Your card has insufficient funds.")
    outcome = charge["outcome"]
    assert (outcome["type"], outcome["network_status"]) == ("issuer_declined", "declined_by_network")
    assert outcome["reason"] == "insufficient_funds"
    assert charge["balance_transaction"] is None


def test_row_radar_block_never_reaches_the_network(api: Api) -> None:
    error = declined(api, "pm_card_radarBlock")
    outcome = api.get(f"/v1/charges/{error['charge']}")["outcome"]
    assert (error["code"], error["decline_code"]) == ("card_declined", "fraudulent")
    assert (outcome["type"], outcome["network_status"], outcome["risk_level"]) == (
        "blocked",
        "not_sent_to_network",
        "highest",
    )


def test_the_intent_is_kept_after_a_decline_and_can_be_paid_with_another_card(api: Api) -> None:
    kept = declined(api, "pm_card_visa_chargeDeclined")["payment_intent"]["id"]
    assert api.get(f"{INTENTS}/{kept}")["status"] == "requires_payment_method"
    assert api.post(f"{INTENTS}/{kept}/confirm", payment_method="pm_card_visa")["status"] == "succeeded"


@pytest.mark.parametrize("magic", ["authenticationRequired", "authenticationRequiredOnSetup", "threeDSecure2Required"])
def test_row_off_session_payment_that_needs_3ds_is_declined(api: Api, magic: str) -> None:
    error = declined(api, f"pm_card_{magic}", off_session=True)
    assert (error["code"], error["decline_code"]) == ("authentication_required", "authentication_required")
    assert error["message"] == "Your card was declined. This transaction requires authentication."
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert error["charge"] == error["payment_intent"]["latest_charge"]


def test_row_error_on_requires_action(api: Api) -> None:
    error = declined(api, "pm_card_threeDSecure2Required", error_on_requires_action=True)
    assert error["code"] == "authentication_required"
    assert error["message"].startswith(
        "This payment required an authentication action to complete, but `error_on_requires_action` was set"
    )
    assert error["payment_intent"]["status"] == "requires_payment_method"


def test_row_3155_set_up_before_pays_off_session_and_its_clone_inherits_that(api: Api) -> None:
    customer = api.customer()
    setup = api.post(
        "/v1/setup_intents",
        customer=customer,
        payment_method="pm_card_authenticationRequiredOnSetup",
        payment_method_types=["card"],
        confirm=True,
    )
    from fake_stripe.objects import authentication

    authentication.resolve(api.world.platform_scope(livemode=False), setup["id"])
    original = setup["payment_method"]
    common: Wire = {
        "amount": 1000,
        "currency": "usd",
        "payment_method_types": ["card"],
        "confirm": True,
        "off_session": True,
    }
    assert api.post(INTENTS, payment_method=original, customer=customer, **common)["status"] == "succeeded"
    clone = api.post("/v1/payment_methods", account=SELLER, customer=customer, payment_method=original)["id"]
    assert api.post(INTENTS, account=SELLER, payment_method=clone, **common)["status"] == "succeeded"


def test_a_3ds_card_that_fails_after_authentication_gives_the_intent_back(api: Api) -> None:
    assert cards.magic_payment_method("pm_card_threeDSecureRequiredChargeDeclined") is not None
    made = api.post(
        INTENTS,
        amount=1000,
        currency="usd",
        payment_method_types=["card"],
        payment_method="pm_card_threeDSecureRequiredChargeDeclined",
        confirm=True,
    )
    assert made["status"] == "requires_action"
    from fake_stripe.objects import authentication

    after = authentication.resolve(api.world.platform_scope(livemode=False), made["id"])
    assert after["status"] == "requires_payment_method"
    assert after["last_payment_error"]["decline_code"] == "generic_decline"


def test_a_failed_lookup_declines_at_once(api: Api) -> None:
    assert declined(api, "pm_card_threeDSecureRequiredProcessingError")["code"] == "card_declined"


def test_old_versions_do_not_know_the_advice_members(api: Api) -> None:
    params = {
        "amount": 1000,
        "currency": "usd",
        "payment_method_types": ["card"],
        "payment_method": "pm_card_visa_chargeDeclined",
        "confirm": True,
    }
    _, body, _ = api.send("POST", INTENTS, params, version="2023-10-16")
    error = body["error"]
    assert not {"advice_code", "network_advice_code", "network_decline_code"} & (
        set(error) | set(error["payment_intent"]["last_payment_error"])
    )
