"""Refunds, with the fee and the transfer that belonged to the payment; each refusal is a row of their table."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

REFUNDS = "/v1/refunds"


@pytest.fixture
def api() -> Api:
    return Api()


def paid(api: Api, account: str | None = None, magic: str = "pm_card_visa", **params: Any) -> Wire:
    given = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    return api.post("/v1/payment_intents", account=account, payment_method=magic, **{**given, **params})


def refused(api: Api, account: str | None = None, **params: Any) -> Wire:
    return api.refused(400, "POST", REFUNDS, account=account, **params)


def fee_of(api: Api, made: Wire) -> Wire:
    charge = api.get(f"/v1/charges/{made['latest_charge']}", account=SELLER, expand=["application_fee"])
    fee: Wire = charge["application_fee"]
    return fee


def test_a_whole_refund_by_intent(api: Api) -> None:
    made = paid(api)
    refund = api.post(REFUNDS, payment_intent=made["id"], reason="requested_by_customer", metadata={"a": "1"})
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert (refund["status"], refund["amount"], refund["reason"]) == ("succeeded", 1000, "requested_by_customer")
    assert (refund["charge"], refund["payment_intent"]) == (charge["id"], made["id"])
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 1000)
    assert api.get(f"/v1/balance_transactions/{refund['balance_transaction']}")["net"] == -1000


def test_a_refund_in_parts(api: Api) -> None:
    charge = paid(api)["latest_charge"]
    for _ in range(2):
        api.post(f"/v1/charges/{charge}/refunds", amount=300)
    shown = api.get(f"/v1/charges/{charge}")
    assert (shown["refunded"], shown["amount_refunded"]) == (False, 600)
    assert [o["amount"] for o in api.get(f"/v1/charges/{charge}/refunds")["data"]] == [300, 300]


def test_the_oldest_form_answers_with_the_charge(api: Api) -> None:
    charge = paid(api)["latest_charge"]
    assert api.post(f"/v1/charges/{charge}/refund")["refunded"] is True


def test_row_already_refunded(api: Api) -> None:
    charge = paid(api)["latest_charge"]
    api.post(REFUNDS, charge=charge)
    error = refused(api, charge=charge)
    assert (error["code"], error["message"]) == (
        "charge_already_refunded",
        f"Charge {charge} has already been refunded.",
    )


def test_row_disputed(api: Api) -> None:
    charge = paid(api, magic="pm_card_createDispute")["latest_charge"]
    error = refused(api, charge=charge)
    assert (error["code"], error["message"]) == (
        "charge_disputed",
        f"Charge {charge} has been charged back; cannot issue a refund.",
    )


def test_row_more_than_the_charge(api: Api) -> None:
    error = refused(api, charge=paid(api)["latest_charge"], amount=1100)
    assert error["message"] == "Refund amount ($11.00) is greater than charge amount ($10.00)"
    assert error["param"] == "amount"
    assert "code" not in error


def test_row_more_than_the_rest(api: Api) -> None:
    charge = paid(api)["latest_charge"]
    api.post(REFUNDS, charge=charge, amount=500)
    error = refused(api, charge=charge, amount=600)
    assert error["message"] == "Refund amount ($6.00) is greater than unrefunded amount on charge ($5.00)"
    assert (error["param"], "code" in error) == ("amount", False)


def test_row_negative_amount(api: Api) -> None:
    error = refused(api, charge=paid(api)["latest_charge"], amount=-1)
    assert (error["code"], error["param"]) == ("parameter_invalid_integer", "amount")
    assert error["message"] == "This value must be greater than or equal to 1."


def test_row_unknown_charge(api: Api) -> None:
    error = refused(api, charge="ch_nothing")
    assert (error["code"], error["param"], error["message"]) == (
        "resource_missing",
        "charge",
        "No such charge: 'ch_nothing'",
    )


def test_neither_charge_nor_intent(api: Api) -> None:
    assert refused(api)["code"] == "parameter_missing"


def test_an_intent_that_was_never_paid(api: Api) -> None:
    made = api.post("/v1/payment_intents", amount=1000, currency="usd")
    assert "does not have a successful charge to refund" in refused(api, payment_intent=made["id"])["message"]


def test_a_refund_lives_on_the_account_of_its_charge(api: Api) -> None:
    charge = paid(api, SELLER)["latest_charge"]
    assert refused(api, charge=charge)["code"] == "resource_missing"
    assert api.post(REFUNDS, account=SELLER, charge=charge)["status"] == "succeeded"


def test_row_the_platform_keeps_its_fee_by_default(api: Api) -> None:
    made = paid(api, SELLER, application_fee_amount=100)
    api.post(REFUNDS, account=SELLER, payment_intent=made["id"])
    assert fee_of(api, made)["amount_refunded"] == 0


@pytest.mark.parametrize(("amount", "returned"), [(1000, 100), (500, 50), (333, 33)])
def test_row_refund_application_fee_returns_its_share(api: Api, amount: int, returned: int) -> None:
    made = paid(api, SELLER, application_fee_amount=100)
    api.post(REFUNDS, account=SELLER, payment_intent=made["id"], amount=amount, refund_application_fee=True)
    fee = api.get(f"/v1/application_fees/{fee_of(api, made)['id']}")
    assert (fee["amount_refunded"], fee["refunded"]) == (returned, returned == 100)
    assert fee["refunds"]["data"][0]["object"] == "fee_refund"
    transaction = api.get(f"/v1/balance_transactions/{fee['refunds']['data'][0]['balance_transaction']}")
    assert transaction["type"] == "application_fee_refund"


def test_the_last_part_returns_the_rest_of_the_fee(api: Api) -> None:
    made = paid(api, SELLER, application_fee_amount=100)
    for amount in (333, 333, 334):
        api.post(REFUNDS, account=SELLER, payment_intent=made["id"], amount=amount, refund_application_fee=True)
    assert fee_of(api, made)["amount_refunded"] == 100


def test_row_fee_refund_larger_than_the_fee(api: Api) -> None:
    fee = fee_of(api, paid(api, SELLER, application_fee_amount=12))["id"]
    error = api.refused(400, "POST", f"/v1/application_fees/{fee}/refunds", amount=13)
    assert error["message"] == "Refund amount ($0.13) is greater than fee amount ($0.12)"


def test_row_fee_refund_larger_than_what_is_left_of_it(api: Api) -> None:
    fee = fee_of(api, paid(api, SELLER, application_fee_amount=12))["id"]
    api.post(f"/v1/application_fees/{fee}/refunds", amount=10)
    error = api.refused(400, "POST", f"/v1/application_fees/{fee}/refunds", amount=10)
    assert error["message"] == "Refund amount ($0.10) is greater than unrefunded amount on fee ($0.02)"


def test_a_fee_refund_is_kept_and_listed(api: Api) -> None:
    fee = fee_of(api, paid(api, SELLER, application_fee_amount=12))["id"]
    made = api.post(f"/v1/application_fees/{fee}/refunds", amount=5, metadata={"a": "1"})
    assert api.get(f"/v1/application_fees/{fee}/refunds/{made['id']}")["metadata"] == {"a": "1"}
    assert [o["id"] for o in api.get(f"/v1/application_fees/{fee}/refunds")["data"]] == [made["id"]]


def test_row_pending_refund_succeeds_later(api: Api) -> None:
    refund = api.post(REFUNDS, payment_intent=paid(api, magic="pm_card_pendingRefund")["id"])
    assert refund["status"] == "pending"
    api.world.settle()
    assert api.get(f"{REFUNDS}/{refund['id']}")["status"] == "succeeded"
    assert api.events()[-1] == "refund.updated"


def test_row_failing_refund_succeeds_first(api: Api) -> None:
    made = paid(api, magic="pm_card_refundFail")
    refund = api.post(REFUNDS, payment_intent=made["id"])
    assert refund["status"] == "succeeded"
    api.world.settle()
    after = api.get(f"{REFUNDS}/{refund['id']}")
    assert (after["status"], after["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert api.get(f"/v1/charges/{made['latest_charge']}")["amount_refunded"] == 0
    assert "refund.failed" in api.events()


def test_reverse_transfer_takes_the_sellers_share_back(api: Api) -> None:
    made = paid(api, transfer_data={"destination": SELLER})
    api.post(REFUNDS, payment_intent=made["id"], amount=500, reverse_transfer=True)
    transfer = api.get("/v1/transfers")["data"][0]
    assert (transfer["amount_reversed"], transfer["reversed"]) == (500, False)


@pytest.mark.parametrize("flag", ["reverse_transfer", "refund_application_fee"])
def test_a_refund_that_cannot_return_what_it_should_is_refused_whole(api: Api, flag: str) -> None:
    made = paid(api)
    asked: Wire = {"payment_intent": made["id"], flag: True}
    assert refused(api, **asked)["param"] == flag
    assert api.get(REFUNDS)["data"] == []
    assert api.get(f"/v1/charges/{made['latest_charge']}")["amount_refunded"] == 0


def test_refunding_what_is_only_authorised_cancels_the_intent(api: Api) -> None:
    made = paid(api, capture_method="manual")
    api.post(REFUNDS, payment_intent=made["id"])
    assert api.get(f"/v1/payment_intents/{made['id']}")["status"] == "canceled"


def test_metadata_of_a_refund_can_change(api: Api) -> None:
    refund = api.post(REFUNDS, payment_intent=paid(api)["id"])
    assert api.post(f"{REFUNDS}/{refund['id']}", metadata={"a": "1"})["metadata"] == {"a": "1"}


def test_a_refund_that_has_ended_cannot_be_canceled(api: Api) -> None:
    refund = api.post(REFUNDS, payment_intent=paid(api)["id"])
    assert "status of succeeded" in api.refused(400, "POST", f"{REFUNDS}/{refund['id']}/cancel")["message"]


def test_refunds_are_listed_by_charge_and_intent(api: Api) -> None:
    made = paid(api)
    refund = api.post(REFUNDS, payment_intent=made["id"])
    api.post(REFUNDS, payment_intent=paid(api)["id"])
    assert [o["id"] for o in api.get(REFUNDS, payment_intent=made["id"])["data"]] == [refund["id"]]
    assert [o["id"] for o in api.get(REFUNDS, charge=made["latest_charge"])["data"]] == [refund["id"]]


def test_a_yen_refund_is_worded_without_minor_units(api: Api) -> None:
    error = refused(api, charge=paid(api, currency="jpy")["latest_charge"], amount=2000)
    assert error["message"] == "Refund amount (¥2,000) is greater than charge amount (¥1,000)"


def held(api: Api) -> Wire:
    return paid(api, capture_method="manual")


def test_a_hold_is_not_refunded_in_part(api: Api) -> None:
    error = refused(api, payment_intent=held(api)["id"], amount=100)
    assert error["param"] == "amount"
    assert error["message"].startswith("You cannot partially refund an uncaptured charge.")


def test_a_cancelled_hold_has_nothing_to_refund(api: Api) -> None:
    intent = held(api)
    api.post(f"/v1/payment_intents/{intent['id']}/cancel")
    error = refused(api, charge=intent["latest_charge"])
    assert error["message"] == f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
