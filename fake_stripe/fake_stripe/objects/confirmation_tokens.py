"""ConfirmationTokens: payment details that Stripe.js collected, spent by one confirmation of an intent.

Real ones come from Stripe.js; tests make theirs with POST /v1/test_helpers/confirmation_tokens.
"""

from __future__ import annotations

from typing import Any

from fake_stripe.errors import invalid, state_error
from fake_stripe.objects.metadata import EMPTY_ADDRESS, address, billing_details
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Scope, Wire

LIFETIME = 12 * 3600
"""Seconds until an unused token expires (docs.stripe.com/api/confirmation_tokens: twelve hours)."""


@operation("POST", "/v1/test_helpers/confirmation_tokens")
def create(call: Call) -> Wire:
    """A test token of a PaymentMethod (an id or `payment_method_data`)."""
    from fake_stripe.objects import payment_methods  # noqa: PLC0415 - intents import this module

    scope, params = call.scope, call.params
    named, data = params.get("payment_method"), params.get("payment_method_data")
    if bool(named) == bool(data):
        text = "You must provide exactly one of `payment_method` or `payment_method_data`."
        raise invalid(text, code="parameter_missing", param="payment_method")
    found = payment_methods.require(scope, named) if named else _from_data(scope, data)
    token = scope.insert(
        {
            "id": scope.new_id("ctoken"),
            "object": "confirmation_token",
            "created": call.now,
            "expires_at": call.now + LIFETIME,
            "livemode": scope.livemode,
            "mandate_data": None,
            "payment_intent": None,
            "payment_method_options": params.get("payment_method_options") or None,
            "payment_method_preview": _preview(found),
            "return_url": params.get("return_url") or None,
            "setup_future_usage": params.get("setup_future_usage") or None,
            "setup_intent": None,
            "shipping": _shipping(params.get("shipping")),
            "use_stripe_sdk": True,
        }
    )
    scope.hidden(token["id"])["payment_method"] = found["id"]
    return token


def _from_data(scope: Scope, data: Any) -> Wire:
    from fake_stripe.objects import payment_method_creation  # noqa: PLC0415 - intents import this module

    return payment_method_creation.from_data(scope, data)


def _preview(found: Wire) -> Wire:
    type_ = found["type"]
    return {
        "allow_redisplay": found["allow_redisplay"],
        "billing_details": billing_details(found["billing_details"], None),
        "customer": found["customer"],
        "customer_account": None,
        "type": type_,
        type_: found.get(type_),
    }


def _shipping(given: Any) -> Wire | None:
    if not isinstance(given, dict):
        return None
    placed = address(given.get("address")) or dict(EMPTY_ADDRESS)
    return {"address": placed, "name": given.get("name") or "", "phone": given.get("phone") or None}


@operation("GET", "/v1/confirmation_tokens/{confirmation_token}")
def retrieve(call: Call) -> Wire:
    """One token."""
    named = call.path["confirmation_token"]
    return call.scope.require("confirmation_token", named, param="confirmation_token", in_path=True)


def spend(call: Call, intent: Wire | None) -> None:
    """Puts what the call's `confirmation_token` holds in place of the parameters that it stands for.

    Explicit parameters win. `intent` is None at creation; `spent_by` records it afterwards.

    Raises:
        ApiError: unknown (400), used by another intent, or expired.
    """
    named = call.params.get("confirmation_token")
    if not named:
        return
    scope = call.scope
    token = scope.require("confirmation_token", named, param="confirmation_token")
    user = token["payment_intent"] or token["setup_intent"]
    if user is not None and (intent is None or user != intent["id"]):
        text = f"The ConfirmationToken {named} has already been used by {user}. Please create a new one."
        raise state_error(text, code=None, param="confirmation_token")
    if token["expires_at"] is not None and token["expires_at"] <= call.now:
        raise state_error(f"The ConfirmationToken {named} has expired.", code=None, param="confirmation_token")
    call.params.setdefault("payment_method", scope.hidden(named)["payment_method"])
    for name in ("return_url", "setup_future_usage", "shipping"):
        if token[name] is not None:
            call.params.setdefault(name, token[name])


def spent_by(call: Call, intent: Wire) -> None:
    """Records which intent the call's token was used for."""
    named = call.params.get("confirmation_token")
    if named:
        token = call.scope.require("confirmation_token", named, param="confirmation_token")
        call.scope.update(token, **{intent["object"]: intent["id"]}, expires_at=None)
