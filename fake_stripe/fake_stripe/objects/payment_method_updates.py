"""Changes to a saved PaymentMethod: billing details, metadata, expiry, preferred network."""

from __future__ import annotations

from typing import Any

from fake_stripe.errors import invalid, state_error
from fake_stripe.objects import payment_methods
from fake_stripe.objects.card_details import checked_expiry, display_brand
from fake_stripe.objects.metadata import billing_details, merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Scope, Wire


@operation("POST", "/v1/payment_methods/{payment_method}")
def update(call: Call) -> Wire:
    """Changes billing details, metadata, expiry and such of an attached PaymentMethod."""
    scope, params = call.scope, call.params
    found = payment_methods.require(scope, call.path["payment_method"], in_path=True)
    if found["customer"] is None:
        text = "You must save this PaymentMethod to a customer before you can update it."
        raise state_error(text, code=None)
    changes = _changes(scope, found, params)
    if scope.get("payment_method", found["id"]) is None:
        return {**found, **changes}
    previous = scope.update(found, **changes)
    if previous:
        scope.emit("payment_method.updated", found, previous)
    return found


def _changes(scope: Scope, found: Wire, params: Wire) -> Wire:
    changes: Wire = {}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    if params.get("billing_details"):
        changes["billing_details"] = billing_details(found["billing_details"], params["billing_details"])
    if "allow_redisplay" in params:
        changes["allow_redisplay"] = params["allow_redisplay"]
    if params.get("card") and "card" in found:
        changes["card"] = _changed_card(scope, found["card"], params["card"])
    if params.get("us_bank_account") and "us_bank_account" in found:
        changes["us_bank_account"] = {**found["us_bank_account"], **params["us_bank_account"]}
    return changes


def _changed_card(scope: Scope, card: Wire, given: Wire) -> Wire:
    changed = dict(card)
    if "exp_month" in given or "exp_year" in given:
        month, year = given.get("exp_month", card["exp_month"]), given.get("exp_year", card["exp_year"])
        changed["exp_month"], changed["exp_year"] = checked_expiry(scope, int(month or 0), int(year or 0))
    preferred: Any = (given.get("networks") or {}).get("preferred")
    if preferred is not None:
        chosen = preferred or None
        if chosen is not None and chosen not in card["networks"]["available"]:
            text = f"The card network {chosen} is not available on this card."
            raise invalid(text, param="card[networks][preferred]")
        changed["networks"] = {**card["networks"], "preferred": chosen}
        changed["display_brand"] = display_brand(chosen or card["brand"])
    return changed
