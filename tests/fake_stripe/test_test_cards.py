"""Stripe's test cards: every one materialises, and does what the testing page says."""

from datetime import UTC, datetime

import pytest

from fake_stripe import cards
from tests.fake_stripe.stripe_calls import Api

NOW = int(datetime(2026, 8, 15, tzinfo=UTC).timestamp())


@pytest.fixture
def api() -> Api:
    made = Api()
    made.world.clock.freeze(NOW)
    return made


MAGIC_METHODS = [id_ for id_ in cards.magic_ids() if id_.startswith("pm_")]
MAGIC_TOKENS = [id_ for id_ in cards.magic_ids() if id_.startswith("tok_")]
DECLINES = [
    ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline", None),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", None),
    ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card", None),
    ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card", None),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card", "exp_month"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc", "cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error", None),
    ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded", None),
]


def test_every_magic_payment_method_materialises(api: Api) -> None:
    for magic in MAGIC_METHODS:
        made = api.get(f"/v1/payment_methods/{magic}")
        assert made["id"].startswith("pm_1"), magic
        known = cards.magic_payment_method(magic)
        if isinstance(known, cards.Card):
            shown = made["card"]
            assert (shown["brand"], shown["country"], shown["funding"]) == (known.brand, known.country, known.funding)
            assert shown["last4"] == known.number[-4:]


def test_every_magic_token_is_a_card(api: Api) -> None:
    for magic in MAGIC_TOKENS:
        made = api.post("/v1/payment_methods", type="card", card={"token": magic})
        known = cards.magic_token(magic)
        assert known is not None
        assert made["card"]["last4"] == known.number[-4:], magic


def test_every_listed_number_is_a_card_that_can_be_entered() -> None:
    for magic in MAGIC_METHODS:
        known = cards.magic_payment_method(magic)
        if isinstance(known, cards.Card):
            assert cards.luhn_ok(known.number), magic
            assert cards.by_number(known.number) is not None


def test_every_behaviour_of_the_data_is_modelled() -> None:
    for magic in cards.magic_ids():
        known = cards.magic_token(magic) or cards.magic_payment_method(magic)
        if isinstance(known, cards.Card):
            assert known.behaviour in cards.CARD_OUTCOMES, magic


def test_magic_cards_are_valid_to_this_month_of_next_year(api: Api) -> None:
    card = api.get("/v1/payment_methods/pm_card_visa")["card"]
    assert (card["exp_month"], card["exp_year"]) == (8, 2027)


@pytest.mark.parametrize(("magic", "code", "decline_code", "param"), DECLINES)
def test_row_declining_cards_can_be_created_and_not_attached(
    api: Api, magic: str, code: str, decline_code: str, param: str | None
) -> None:
    assert api.bare_card(magic).startswith("pm_1")
    error = api.refused(402, "POST", f"/v1/payment_methods/{magic}/attach", customer=api.customer())
    assert (error["type"], error["code"], error["decline_code"]) == ("card_error", code, decline_code)
    assert error.get("param") == param


@pytest.mark.parametrize(("magic", "code", "decline_code", "param"), DECLINES)
def test_row_a_declined_payment_says_what_the_network_said(
    api: Api, magic: str, code: str, decline_code: str, param: str | None
) -> None:
    error = api.refused(
        402,
        "POST",
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        payment_method=magic,
        payment_method_types=["card"],
        confirm=True,
    )
    known = cards.magic_payment_method(magic)
    assert isinstance(known, cards.Card)
    refusal = cards.outcome(known.behaviour).refusal
    assert refusal is not None
    assert (error["code"], error["decline_code"], error.get("param")) == (code, decline_code, param)
    assert (error["message"], error.get("advice_code")) == (refusal.message, refusal.advice_code)
    assert error.get("network_decline_code") == refusal.network_decline_code


def test_row_0341_attaches_and_then_declines(api: Api) -> None:
    customer, saved = api.saved_card("pm_card_chargeCustomerFail")
    error = api.refused(
        402,
        "POST",
        "/v1/payment_intents",
        amount=900,
        currency="usd",
        customer=customer,
        payment_method=saved,
        payment_method_types=["card"],
        confirm=True,
    )
    assert error["code"] == "card_declined"


def enter(api: Api, **changes: object) -> dict[str, object]:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123", **changes}
    return api.refused(402, "POST", "/v1/payment_methods", type="card", card=card)


@pytest.mark.parametrize(
    ("changes", "code", "param", "message"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number", "Your card number is incorrect."),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month", "Your card's expiration month is invalid."),
        ({"exp_year": 1995}, "invalid_expiry_year", "exp_year", "Your card's expiration year is invalid."),
        (
            {"exp_year": 2026, "exp_month": 7},
            "invalid_expiry_month",
            "exp_month",
            "Your card's expiration month is invalid.",
        ),
        ({"cvc": "99"}, "invalid_cvc", "cvc", "Your card's security code is invalid."),
    ],
)
def test_row_details_that_cannot_be_are_refused_at_creation(
    api: Api, changes: dict[str, object], code: str, param: str, message: str
) -> None:
    assert enter(api, **changes) == {"type": "card_error", "code": code, "param": param, "message": message}


def test_row_a_real_card_is_no_test_card(api: Api) -> None:
    error = enter(api, number="4024007134364842")
    assert (error["code"], error["decline_code"]) == ("card_declined", "test_mode_live_card")


def test_row_raw_numbers_are_refused_where_the_account_may_not_send_them(api: Api) -> None:
    api.world.set_policy({"raw_card_numbers": "refused"})
    error = enter(api)
    assert str(error["message"]).startswith(
        "Sending credit card numbers directly to the Stripe API is generally unsafe."
    )
    assert error["type"] == "invalid_request_error"


def test_two_digit_years_are_this_century(api: Api) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 30}
    assert api.post("/v1/payment_methods", type="card", card=card)["card"]["exp_year"] == 2030


def test_row_checks_fail_where_the_card_says_so(api: Api) -> None:
    bare = api.post(
        "/v1/payment_methods",
        type="card",
        card={"number": "4000000000000010", "exp_month": 12, "exp_year": 2030, "cvc": "123"},
        billing_details={"address": {"line1": "1 Way", "postal_code": "94107"}},
    )
    assert bare["card"]["checks"]["address_line1_check"] == "unchecked"
    saved = api.post(f"/v1/payment_methods/{bare['id']}/attach", customer=api.customer())
    assert saved["card"]["checks"] == {
        "address_line1_check": "fail",
        "address_postal_code_check": "fail",
        "cvc_check": "pass",
    }
    failed = api.post("/v1/payment_methods/pm_card_cvcCheckFail/attach", customer=api.customer())
    assert failed["card"]["checks"]["cvc_check"] == "fail"


def test_co_branded_cards_have_the_local_network_beside_the_global_one(api: Api) -> None:
    card = api.get("/v1/payment_methods/pm_card_visa_cartesBancaires")["card"]
    assert card["networks"]["available"] == ["cartes_bancaires", "visa"]


def test_the_same_number_has_the_same_fingerprint_within_an_account(api: Api) -> None:
    first = api.get("/v1/payment_methods/pm_card_visa")["card"]["fingerprint"]
    assert api.get("/v1/payment_methods/pm_card_us")["card"]["fingerprint"] == first
    assert api.get("/v1/payment_methods/pm_card_visa_debit")["card"]["fingerprint"] != first
    assert len(first) == 16


@pytest.mark.parametrize(
    ("authentication", "off_session", "set_up", "asks"),
    [
        ("never", False, False, False),
        ("optional", False, False, False),
        ("always", True, True, True),
        ("unless_set_up", True, True, False),
        ("unless_set_up", True, False, True),
        ("unless_set_up", False, True, True),
        ("on_session", True, False, False),
        ("on_session", False, False, True),
    ],
)
def test_row_when_a_card_asks_for_authentication(
    authentication: cards.Authentication, off_session: bool, set_up: bool, asks: bool
) -> None:
    outcome = cards.Outcome(authentication=authentication)
    assert outcome.needs_authentication(off_session=off_session, set_up=set_up) is asks
