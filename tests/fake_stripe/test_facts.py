"""Every refusal of the facts, provoked: status, type, code, decline_code, param and message, to the letter."""

from __future__ import annotations

import pytest

from tests.fake_stripe import facts_cards, facts_cloning, facts_payments, facts_protocol
from tests.fake_stripe.facts import Case, ids, provoke
from tests.fake_stripe.facts_cards import AUTHENTICATED, DEBITS, UNAUTHENTICATED, Later
from tests.fake_stripe.stripe_calls import Api, Wire

CASES = facts_cloning.CASES + facts_payments.CASES + facts_protocol.CASES + facts_cards.CASES
INTENTS = "/v1/payment_intents"


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_a_refusal_comes_as_its_row_has_it(case: Case) -> None:
    status, got, expected = provoke(case)
    if case.message is None:
        got.pop("message")
    assert (status, got) == (case.status, expected)


@pytest.fixture
def api() -> Api:
    return Api()


def begun(api: Api, row: Later) -> Wire:
    kind = "sepa_debit" if "sepaDebit" in row.payment_method else "us_bank_account"
    kind = "card" if row.payment_method.startswith("pm_card") else kind
    wanted: Wire = {
        "amount": 1000,
        "currency": "eur" if kind == "sepa_debit" else "usd",
        "payment_method_types": [kind],
    }
    return api.post(INTENTS, payment_method=row.payment_method, confirm=True, **wanted)


def failure(api: Api, intent: Wire) -> tuple[str, str | None]:
    """Code and decline code of an intent that is open again."""
    shown = api.get(f"{INTENTS}/{intent['id']}")
    assert shown["status"] == "requires_payment_method"
    error: Wire = shown["last_payment_error"]
    return error["code"], error.get("decline_code")


@pytest.mark.parametrize("row", AUTHENTICATED, ids=lambda row: row.row)
def test_a_card_may_be_declined_after_authentication(api: Api, row: Later) -> None:
    intent = begun(api, row)
    assert intent["status"] == "requires_action"
    api.send("POST", f"/_fake/authentications/{intent['id']}", {"outcome": "succeeded"})
    assert failure(api, intent) == (row.code, row.decline_code)


@pytest.mark.parametrize("row", UNAUTHENTICATED, ids=lambda row: row.row)
def test_a_failed_authentication_opens_the_intent_again(api: Api, row: Later) -> None:
    intent = begun(api, row)
    api.send("POST", f"/_fake/authentications/{intent['id']}", {"outcome": "failed"})
    assert failure(api, intent) == (row.code, row.decline_code)


@pytest.mark.parametrize("row", DEBITS, ids=lambda row: row.row)
def test_a_bank_refuses_a_debit_days_later(api: Api, row: Later) -> None:
    intent = begun(api, row)
    assert intent["status"] == "processing"
    api.world.settle()
    assert failure(api, intent)[0] == row.code
