"""What workflows keep of Stripe's answers: plain projections, made in one place, never holding a secret."""

from __future__ import annotations

import dataclasses
from typing import Any

from cloneservice_server.domain.values import (
    Charge,
    ChargeState,
    Decline,
    NextAction,
    PaymentMethodSummary,
)

Body = dict[str, Any]

_CHARGE_STATE = {
    "requires_payment_method": ChargeState.DECLINED,
    "requires_confirmation": ChargeState.REQUIRES_CONFIRMATION,
    "requires_action": ChargeState.REQUIRES_ACTION,
    "requires_capture": ChargeState.REQUIRES_CAPTURE,
    "processing": ChargeState.PROCESSING,
    "succeeded": ChargeState.SUCCEEDED,
    "canceled": ChargeState.CANCELED,
}


def summary_of(body: Body) -> PaymentMethodSummary:
    """Display data of a payment method, card, source, token or bank account object."""
    kind = body.get("type") or body.get("object") or ""
    if body.get("object") in ("card", "bank_account"):
        kind, detail = ("card" if body["object"] == "card" else "us_bank_account"), body
    else:
        detail = body.get(kind) or {}
    return PaymentMethodSummary(
        type=kind,
        brand=(detail.get("brand") or detail.get("bank_name") or "").lower()
        if kind == "card"
        else detail.get("bank_name") or "",
        last4=detail.get("last4") or "",
        exp_month=detail.get("exp_month") or 0,
        exp_year=detail.get("exp_year") or 0,
        fingerprint=detail.get("fingerprint") or "",
    )


def payment_intent_facts(body: Body) -> Body:
    """What the ledger keeps of a PaymentIntent. No client_secret, and no redirect URL since that carries one."""
    latest = body.get("latest_charge")
    error = body.get("last_payment_error")
    facts = {
        "id": body["id"],
        "status": body["status"],
        "latest_charge": latest["id"] if isinstance(latest, dict) else latest or "",
        "amount_capturable": body.get("amount_capturable") or 0,
        "amount_received": body.get("amount_received") or 0,
        "next_action": (body.get("next_action") or {}).get("type", ""),
        "decline": decline_facts(error) if error else None,
    }
    if "application_fee_amount" in body:
        facts["application_fee"] = body["application_fee_amount"] or 0
    if isinstance(latest, dict):
        facts["amount_refunded"] = refunded_of(latest)
    return facts


def refunded_of(charge: Body) -> int:
    """What was refunded of a Charge of Stripe's, which also counts what a partial capture released and never took."""
    if not charge.get("captured"):
        return 0
    released: int = charge["amount"] - charge["amount_captured"]
    return max(int(charge["amount_refunded"]) - released, 0)


def decline_facts(error: Body) -> Body:
    """What the ledger keeps of a card error or last_payment_error."""
    keys = ("code", "decline_code", "advice_code", "network_decline_code", "message")
    return {key: str(error[key])[:500] for key in keys if error.get(key)}


def with_payment_intent(charge: Charge, facts: Body, now_us: int) -> Charge:
    """The charge as a PaymentIntent's facts show it, one version on."""
    state = _CHARGE_STATE.get(facts["status"], ChargeState.INDETERMINATE)
    action = facts.get("next_action")
    decline = facts.get("decline") if state is ChargeState.DECLINED else None
    return dataclasses.replace(
        charge,
        state=state,
        stripe_payment_intent_id=facts["id"],
        stripe_charge_id=facts.get("latest_charge") or charge.stripe_charge_id,
        amount_capturable=facts.get("amount_capturable", 0),
        amount_received=facts.get("amount_received", 0),
        amount_refunded=facts.get("amount_refunded", charge.amount_refunded),
        application_fee=facts.get("application_fee", charge.application_fee),
        next_action=NextAction(type=action) if action and state is ChargeState.REQUIRES_ACTION else None,
        decline=Decline(**decline) if decline else None,
        update_time_us=now_us,
        version=charge.version + 1,
    )


def news_of(charge: Charge, facts: Body, now_us: int) -> Charge | None:
    """The charge as a PaymentIntent's facts show it, one version on; None if they show nothing new."""
    seen = with_payment_intent(charge, facts, now_us)
    same = dataclasses.replace(seen, update_time_us=charge.update_time_us, version=charge.version)
    return None if same == charge else seen


def next_action_of(body: Body) -> NextAction | None:
    """What the front end must do, with its secret: to be handed out, never stored."""
    action = body.get("next_action") or ({} if body.get("object") == "setup_intent" else None)
    if action is None:
        return None
    redirect = (action.get("redirect_to_url") or {}).get("url") or ""
    return NextAction(type=action.get("type", ""), client_secret=body.get("client_secret") or "", redirect_url=redirect)


def default_payment_method(customer: Body) -> str:
    """The customer's default: the invoice default first, since it is what newer set-ups fill, then the source."""
    preferred = (
        (customer.get("invoice_settings") or {}).get("default_payment_method") or customer.get("default_source") or ""
    )
    return preferred["id"] if isinstance(preferred, dict) else preferred
