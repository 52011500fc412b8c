"""Disputes: opened by test cards or by hand, answered, won and lost."""

from typing import Any

import pytest
from fake_stripe.objects import disputes

from tests.fake_stripe.stripe_calls import Api, Wire

DISPUTES = "/v1/disputes"


@pytest.fixture
def api() -> Api:
    return Api()


def paid(api: Api, magic: str = "pm_card_createDispute", **params: Any) -> Wire:
    given = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    return api.post("/v1/payment_intents", payment_method=magic, **{**given, **params})


def dispute_of(api: Api, made: Wire) -> Wire:
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert charge["disputed"] is True
    return api.get(f"{DISPUTES}/{charge['dispute']}")


@pytest.mark.parametrize(
    ("magic", "reason", "status"),
    [
        ("createDispute", "fraudulent", "needs_response"),
        ("createDisputeProductNotReceived", "product_not_received", "needs_response"),
        ("createDisputeInquiry", "general", "warning_needs_response"),
        ("createCe3EligibleDispute", "fraudulent", "needs_response"),
        ("createComplianceDispute", "noncompliant", "needs_response"),
        ("createRapidDisputeResolutionDispute", "fraudulent", "prevented"),
    ],
)
def test_row_dispute_card(api: Api, magic: str, reason: str, status: str) -> None:
    dispute = dispute_of(api, paid(api, f"pm_card_{magic}"))
    assert (dispute["reason"], dispute["status"], dispute["amount"]) == (reason, status, 1000)
    assert dispute["is_charge_refundable"] is (status == "warning_needs_response")


def test_a_dispute_takes_the_money_and_a_fee(api: Api) -> None:
    dispute = dispute_of(api, paid(api))
    taken = dispute["balance_transactions"][0]
    assert (taken["type"], taken["amount"], taken["fee"]) == ("adjustment", -1000, disputes.DISPUTE_FEE)


def test_row_several_disputes_on_one_charge(api: Api) -> None:
    made = paid(api, "pm_card_createMultipleDisputes")
    assert len(api.get(DISPUTES, charge=made["latest_charge"])["data"]) == 2


def test_row_disputes_wait_for_the_capture(api: Api) -> None:
    made = paid(api, capture_method="manual")
    assert api.get(DISPUTES)["data"] == []
    api.post(f"/v1/payment_intents/{made['id']}/capture")
    assert len(api.get(DISPUTES, payment_intent=made["id"])["data"]) == 1


def test_row_early_fraud_warning(api: Api) -> None:
    paid(api, "pm_card_createIssuerFraudRecord")
    assert api.events()[-1] == "radar.early_fraud_warning.created"
    assert api.get(DISPUTES)["data"] == []


@pytest.mark.parametrize(("evidence", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
def test_row_magic_evidence_decides(api: Api, evidence: str, status: str) -> None:
    dispute = dispute_of(api, paid(api))
    answered = api.post(f"{DISPUTES}/{dispute['id']}", evidence={"uncategorized_text": evidence})
    assert answered["status"] == "under_review"
    api.world.settle()
    after = api.get(f"{DISPUTES}/{dispute['id']}")
    assert after["status"] == status
    assert len(after["balance_transactions"]) == (2 if status == "won" else 1)
    assert api.events()[-1] == "charge.dispute.closed"
    assert ("charge.dispute.funds_reinstated" in api.events()) is (status == "won")


def test_row_escalated_inquiry_becomes_a_chargeback(api: Api) -> None:
    dispute = dispute_of(api, paid(api, "pm_card_createDisputeInquiry"))
    api.post(f"{DISPUTES}/{dispute['id']}", evidence={"uncategorized_text": "escalate_inquiry_evidence"})
    api.world.settle()
    after = api.get(f"{DISPUTES}/{dispute['id']}")
    assert (after["status"], after["is_charge_refundable"]) == ("needs_response", False)
    assert api.events()[-1] == "charge.dispute.funds_withdrawn"


def test_staged_evidence_is_not_submitted(api: Api) -> None:
    dispute = dispute_of(api, paid(api))
    staged = api.post(f"{DISPUTES}/{dispute['id']}", evidence={"uncategorized_text": "draft"}, submit=False)
    assert (staged["status"], staged["evidence_details"]["has_evidence"]) == ("needs_response", True)
    assert staged["evidence_details"]["submission_count"] == 0


def test_closing_a_dispute_loses_it(api: Api) -> None:
    dispute = dispute_of(api, paid(api))
    assert api.post(f"{DISPUTES}/{dispute['id']}/close")["status"] == "lost"
    api.refused(400, "POST", f"{DISPUTES}/{dispute['id']}/close")
    api.refused(400, "POST", f"{DISPUTES}/{dispute['id']}", evidence={"uncategorized_text": "late"})


def test_an_inquiry_may_still_be_refunded(api: Api) -> None:
    made = paid(api, "pm_card_createDisputeInquiry")
    assert api.post("/v1/refunds", payment_intent=made["id"])["status"] == "succeeded"


def test_a_dispute_can_be_opened_by_hand(api: Api) -> None:
    made = paid(api, "pm_card_visa")
    scope = api.world.platform_scope(livemode=False)
    charge = scope.require("charge", made["latest_charge"])
    dispute = disputes.open_for(scope, charge, reason="duplicate", amount=400)
    assert api.get(f"{DISPUTES}/{dispute['id']}")["amount"] == 400
    assert disputes.decide(scope, dispute, "won")["status"] == "won"


def test_row_dispute_events_in_their_order(api: Api) -> None:
    paid(api)
    assert api.events()[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
