"""The shape of a charge: what each outcome of a payment writes into it."""

from __future__ import annotations

from typing import Any

from fake_stripe.cards import Refusal
from fake_stripe.scope import Scope, Wire

_NO_DETAILS = "The bank did not return any further details with this decline."
_BLOCKED = "Stripe blocked this payment as too risky."
_SCORES = {"normal": (1, 64), "elevated": (65, 74), "highest": (75, 99)}

EMPTY_BILLING: Wire = {
    "address": {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None},
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}


_UNPAID: Wire = {
    "object": "charge",
    "amount_captured": 0,
    "amount_refunded": 0,
    "application_fee": None,
    "balance_transaction": None,
    "captured": False,
    "dispute": None,
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "order": None,
    "paid": False,
    "receipt_number": None,
    "receipt_url": None,
    "refunded": False,
    "review": None,
    "source": None,
    "source_transfer": None,
    "status": "failed",
}


def outcome(scope: Scope, refusal: Refusal | None, risk_level: str) -> Wire:
    """The `outcome` of a charge (docs.stripe.com/declines): authorized, issuer_declined or blocked."""
    if refusal is not None and refusal.blocked:
        risk_level = "highest"
    low, high = _SCORES[risk_level]
    result: Wire = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": risk_level,
        "risk_score": low + scope.world.ids.number(high - low + 1),
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if refusal is None:
        return result
    result["advice_code"] = refusal.advice_code
    if refusal.blocked:
        return result | {
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "seller_message": _BLOCKED,
            "type": "blocked",
        }
    reason = refusal.decline_code or refusal.code
    told = _NO_DETAILS if reason == "generic_decline" else f"The bank returned the decline code `{reason}`."
    return result | {
        "network_advice_code": refusal.network_advice_code,
        "network_decline_code": refusal.network_decline_code,
        "network_status": "declined_by_network",
        "reason": reason,
        "seller_message": told,
        "type": "issuer_declined",
    }


def card_details(scope: Scope, described: Wire, *, charge_id: str, amount: int, captured: bool) -> Wire:
    """`payment_method_details` of a card charge: the instrument as `described`, with what belongs to this charge."""
    kind = described["type"]
    part = dict(described[kind])
    if kind == "card":
        number = scope.world.ids.number(900_000) + 100_000
        visa = part.get("network") != "mastercard"
        part |= {
            "amount_authorized": amount,
            "authorization_code": str(number),
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "multicapture": {"status": "unavailable"},
            "network_token": {"used": False},
            "network_transaction_id": f"{number}{number}{number % 1000:03}"
            if visa
            else f"MCC{number}{number % 10}0803",
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "transaction_link_id": f"test-{charge_id[3:16]}",
        }
        if not captured:
            part["capture_before"] = scope.world.clock.now() + 7 * 86_400
    return {"type": kind, kind: part}


def build(
    scope: Scope,
    charge_id: str,
    *,
    amount: int,
    currency: str,
    payment_method: str | None,
    details: Wire,
    billing: Wire | None,
    outcome_: Wire,
    intent: Wire | None = None,
    given: Wire | None = None,
) -> Wire:
    """A charge before its result is written: not paid, nothing captured.

    `given` holds what a PaymentIntent or a POST /v1/charges brings along: application_fee_amount, customer,
    description, metadata, receipt_email, shipping, statement descriptors, on_behalf_of, transfer_data, transfer_group.
    """
    brought = given or {}
    descriptor = brought.get("statement_descriptor") or brought.get("statement_descriptor_suffix")
    destination = (brought.get("transfer_data") or {}).get("destination")
    charge: Wire = {
        **_UNPAID,
        "id": charge_id,
        "amount": amount,
        "application": None if scope.is_platform else scope.world.application,
        "application_fee_amount": brought.get("application_fee_amount"),
        "billing_details": billing or EMPTY_BILLING,
        "calculated_statement_descriptor": str(descriptor or "EXAMPLE.COM").upper()[:22],
        "created": scope.world.clock.now(),
        "currency": currency,
        "customer": brought.get("customer"),
        "description": brought.get("description"),
        "destination": destination,
        "fraud_details": {},
        "livemode": scope.livemode,
        "metadata": dict(brought.get("metadata") or {}),
        "on_behalf_of": brought.get("on_behalf_of"),
        "outcome": outcome_,
        "payment_intent": intent["id"] if intent else None,
        "payment_method": payment_method,
        "payment_method_details": details,
        "radar_options": {},
        "receipt_email": brought.get("receipt_email"),
        "shipping": brought.get("shipping"),
        "statement_descriptor": brought.get("statement_descriptor"),
        "statement_descriptor_suffix": brought.get("statement_descriptor_suffix"),
        "transfer_data": _transfer_data(brought.get("transfer_data")),
        "transfer_group": brought.get("transfer_group"),
    }
    return charge


def _transfer_data(given: Any) -> Wire | None:
    if not isinstance(given, dict) or not given.get("destination"):
        return None
    return {"amount": given.get("amount"), "destination": given["destination"]}


def receipt_url(charge: Wire) -> str:
    """Where a receipt would be shown."""
    return f"https://pay.stripe.com/receipts/payment/{charge['id']}"


def failure(refusal: Refusal) -> Wire:
    """The members of a charge that a refusal sets."""
    return {"failure_code": refusal.code, "failure_message": refusal.message, "paid": False, "status": "failed"}


def error_members(refusal: Refusal) -> Wire:
    """The members of a card error, and of `last_payment_error`, that come from the refusal itself."""
    members = {
        "advice_code": refusal.advice_code,
        "code": refusal.code,
        "decline_code": refusal.decline_code,
        "message": refusal.message,
        "network_advice_code": refusal.network_advice_code,
        "network_decline_code": refusal.network_decline_code,
        "param": refusal.param,
        "type": "card_error",
    }
    return {name: value for name, value in members.items() if value is not None}


def doc_url(code: str) -> str:
    """The `doc_url` that goes with an error code."""
    return "https://stripe.com/docs/error-codes/" + code.replace("_", "-")
