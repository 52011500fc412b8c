"""Disputes: opened by the dispute test cards or by hand, answered with evidence, won or lost.

(docs.stripe.com/disputes, docs.stripe.com/testing#disputes.)
"""

from __future__ import annotations

from typing import Any

from fake_stripe.errors import state_error
from fake_stripe.objects import balance_transactions, files
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

DISPUTE_FEE = 1500
"""What Stripe takes for a dispute, in minor units of the charge's currency."""
_DECISION_SECONDS = 60
_DAYS_TO_ANSWER = 9
_ANSWERABLE = ("needs_response", "warning_needs_response")
_FILES = (
    "cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation", "receipt",
    "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file",
)  # fmt: skip
_MAGIC = {"winning_evidence": "won", "losing_evidence": "lost", "escalate_inquiry_evidence": "escalated"}
_NETWORK_CODES = {"fraudulent": "10.4", "product_not_received": "13.1", "general": "10.4", "noncompliant": "compliance"}

_EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def open_for(
    scope: Scope, charge: Wire, *, reason: str = "fraudulent", kind: str = "chargeback", amount: int | None = None
) -> Wire:
    """Has a cardholder dispute a captured charge of `scope`; returns the dispute.

    Args:
        scope: the account that was paid.
        charge: the charge.
        reason: Stripe's `reason`, for example `fraudulent` or `product_not_received`.
        kind: `chargeback` and `compliance` take the money at once; `inquiry` only asks; `prevented` and `alert` were
            settled by a refund before they became disputes.
        amount: in minor units; by default all that was captured.
    """
    now = scope.world.clock.now()
    inquiry, prevented = kind == "inquiry", kind in ("prevented", "alert")
    dispute: Wire = {
        "id": scope.new_id("du", like=charge["id"]),
        "object": "dispute",
        "amount": amount or charge["amount_captured"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": ((now // 86_400) + _DAYS_TO_ANSWER) * 86_400 - 1,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": None,
        },
        "is_charge_refundable": inquiry,
        "livemode": scope.livemode,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _method_details(charge, reason, kind),
        "reason": reason,
        "status": "prevented" if prevented else "warning_needs_response" if inquiry else "needs_response",
    }
    scope.insert(dispute)
    scope.update(charge, disputed=True, dispute=dispute["id"])
    scope.emit("charge.dispute.created", dispute)
    if not inquiry and not prevented:
        _withdraw(scope, dispute)
    return dispute


def _method_details(charge: Wire, reason: str, kind: str) -> Wire:
    described = charge["payment_method_details"]
    if described["type"] != "card":
        return {described["type"]: {}, "type": described["type"]}
    case = {"inquiry": "inquiry", "compliance": "compliance"}.get(kind, "chargeback")
    card = {
        "brand": described["card"]["brand"],
        "case_type": case,
        "network": described["card"].get("network") or described["card"]["brand"],
        "network_reason_code": _NETWORK_CODES.get(reason, "10.4"),
    }
    return {"card": card, "type": "card"}


def _withdraw(scope: Scope, dispute: Wire) -> None:
    fee = {
        "amount": DISPUTE_FEE,
        "application": None,
        "currency": dispute["currency"],
        "description": "Dispute fee",
        "type": "stripe_fee",
    }
    taken = balance_transactions.record(
        scope,
        "adjustment",
        amount=-dispute["amount"],
        currency=dispute["currency"],
        source=dispute["id"],
        like=dispute["id"],
        fee_details=[fee],
        description=f"Chargeback withdrawal for {dispute['charge']}",
    )
    scope.update(dispute, balance_transactions=[*dispute["balance_transactions"], dict(taken)])
    scope.emit("charge.dispute.funds_withdrawn", dispute)


def warn(scope: Scope, charge: Wire) -> Wire:
    """The issuer's early fraud warning about a charge: radar.early_fraud_warning.created."""
    warning = scope.insert(
        {
            "id": scope.new_id("issfr", like=charge["id"]),
            "object": "radar.early_fraud_warning",
            "actionable": True,
            "charge": charge["id"],
            "created": scope.world.clock.now(),
            "fraud_type": "fraudulent_use_of_card",
            "livemode": scope.livemode,
            "payment_intent": charge["payment_intent"],
        }
    )
    scope.emit("radar.early_fraud_warning.created", warning)
    return warning


def decide(scope: Scope, dispute: Wire, status: str) -> Wire:
    """Ends a dispute: `won` (the money comes back), `lost`, or `warning_closed` for an inquiry."""
    scope.update(dispute, status=status, is_charge_refundable=status == "warning_closed")
    if status == "won" and dispute["balance_transactions"]:
        back = balance_transactions.record(
            scope,
            "adjustment",
            amount=dispute["amount"],
            currency=dispute["currency"],
            source=dispute["id"],
            like=dispute["id"],
            reporting_category="dispute_reversal",
            description=f"Chargeback reversal for {dispute['charge']}",
        )
        scope.update(dispute, balance_transactions=[*dispute["balance_transactions"], dict(back)])
        scope.emit("charge.dispute.funds_reinstated", dispute)
    scope.emit("charge.dispute.closed", dispute)
    return dispute


def decide_later(world: World, account_id: str, livemode: bool, dispute_id: str, verdict: str) -> None:
    """The card network's answer to submitted evidence."""
    scope = world.scope(account_id, livemode)
    dispute = scope.require("dispute", dispute_id)
    inquiry = dispute["status"] == "warning_under_review"
    if dispute["status"] not in ("under_review", "warning_under_review"):
        return
    if verdict == "escalated" and inquiry:
        previous = scope.update(dispute, status="needs_response", is_charge_refundable=False)
        scope.emit("charge.dispute.updated", dispute, previous)
        _withdraw(scope, dispute)
        return
    decide(scope, dispute, "warning_closed" if inquiry else "lost" if verdict == "escalated" else verdict)


@operation("GET", "/v1/disputes")
def list_all(call: Call) -> Wire:
    """Disputes, newest first, by `charge` and `payment_intent`."""
    asked = {name: call.params.get(name) for name in ("charge", "payment_intent")}
    return paginate(call, call.scope.list("dispute", **asked), "/v1/disputes")


@operation("GET", "/v1/disputes/{dispute}")
def retrieve(call: Call) -> Wire:
    """One dispute."""
    return call.scope.require("dispute", call.path["dispute"], param="id", in_path=True)


@operation("GET", "/v1/charges/{charge}/dispute")
def retrieve_of_charge(call: Call) -> Wire:
    """The dispute of a charge."""
    charge = call.scope.require("charge", call.path["charge"], param="id", in_path=True)
    return call.scope.require("dispute", charge["dispute"] or "", param="id", in_path=True)


@operation("POST", "/v1/charges/{charge}/dispute")
def update_of_charge(call: Call) -> Wire:
    """Evidence for the dispute of a charge."""
    return _answer(call, retrieve_of_charge(call))


@operation("POST", "/v1/disputes/{dispute}")
def update(call: Call) -> Wire:
    """Stages (`submit=false`) or submits evidence; test evidence with a magic word decides the dispute."""
    return _answer(call, retrieve(call))


def _answer(call: Call, dispute: Wire) -> Wire:
    scope, params = call.scope, call.params
    evidence = params.get("evidence")
    if isinstance(evidence, dict) and evidence and dispute["status"] not in _ANSWERABLE:
        text = f"This dispute is already {dispute['status']}; its evidence can no longer be changed."
        raise state_error(text, code=None)
    given = evidence if isinstance(evidence, dict) else {}
    for name in _FILES:
        files.require(scope, given.get(name) or "", param=f"evidence[{name}]")
    changes: Wire = {}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(dispute["metadata"], params["metadata"])
    submit = params.get("submit", True)
    if isinstance(evidence, dict) and evidence:
        kept = {**dispute["evidence"], **{name: value or None for name, value in evidence.items()}}
        details = {**dispute["evidence_details"], "has_evidence": True}
        if submit:
            details["submission_count"] += 1
            inquiry = dispute["status"].startswith("warning")
            changes["status"] = "warning_under_review" if inquiry else "under_review"
        changes |= {"evidence": kept, "evidence_details": details}
    previous = scope.update(dispute, **changes)
    if previous:
        scope.emit("charge.dispute.updated", dispute, previous)
    if "status" in changes:
        at = scope.world.clock.now() + _DECISION_SECONDS
        verdict = _verdict(dispute["evidence"].get("uncategorized_text"))
        scope.world.schedule(at, decide_later, scope.account_id, scope.livemode, dispute["id"], verdict)
    return dispute


def _verdict(text: Any) -> str:
    for word, verdict in _MAGIC.items():
        if word in str(text or ""):
            return verdict
    return "lost"


@operation("POST", "/v1/charges/{charge}/dispute/close")
def close_of_charge(call: Call) -> Wire:
    """Accepts the dispute of a charge."""
    return _close(call, retrieve_of_charge(call))


@operation("POST", "/v1/disputes/{dispute}/close")
def close(call: Call) -> Wire:
    """Accepts a dispute: it is lost."""
    return _close(call, retrieve(call))


def _close(call: Call, dispute: Wire) -> Wire:
    if dispute["status"] not in _ANSWERABLE:
        raise state_error(f"This dispute is already closed; its status is {dispute['status']}.", code=None)
    return decide(call.scope, dispute, "lost")
