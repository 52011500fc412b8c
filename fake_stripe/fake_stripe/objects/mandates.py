"""Mandates: a shopper's authorisation to debit a bank account (or, in India and for some setups, a card)."""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Scope, Wire, plain_clone

TYPES = frozenset({"us_bank_account", "sepa_debit", "acss_debit", "au_becs_debit", "bacs_debit"})
"""Payment method types that cannot be debited without a mandate."""


@operation("GET", "/v1/mandates/{mandate}")
def retrieve(call: Call) -> Wire:
    """One mandate."""
    return call.scope.require("mandate", call.path["mandate"], param="mandate", in_path=True)


def create(
    scope: Scope,
    payment_method: Wire,
    *,
    mandate_data: Any,
    single_use: Wire | None = None,
    pending: bool = False,
    on_behalf_of: str | None = None,
) -> Wire:
    """A mandate for one payment method.

    Args:
        scope: the account that may debit.
        payment_method: what is debited.
        mandate_data: the parameter of that name; None stands for an acceptance that was given offline.
        single_use: `{"amount", "currency"}` in minor units for one payment; None for a mandate for many.
        pending: whether the bank account has yet to be verified.
        on_behalf_of: the account that the authorisation is limited to.
    """
    type_ = payment_method["type"]
    made: Wire = {
        "id": scope.new_id("mandate"),
        "object": "mandate",
        "customer_acceptance": _acceptance(scope, mandate_data),
        "livemode": scope.livemode,
        "payment_method": payment_method["id"],
        "payment_method_details": {"type": type_, type_: _details(scope, payment_method)},
        "status": "pending" if pending else "active",
        "type": "single_use" if single_use else "multi_use",
    }
    made["single_use" if single_use else "multi_use"] = single_use or {}
    if on_behalf_of:
        made["on_behalf_of"] = on_behalf_of
    mandate = scope.insert(made)
    scope.hidden(payment_method["id"])["mandate"] = mandate["id"]
    return mandate


def _acceptance(scope: Scope, mandate_data: Any) -> Wire:
    given = mandate_data.get("customer_acceptance") if isinstance(mandate_data, dict) else None
    given = given or {"type": "offline", "offline": {}}
    kind = given.get("type") or "online"
    accepted = given.get("accepted_at") or scope.world.now
    if kind == "offline":
        return {"accepted_at": accepted, "offline": {}, "type": "offline"}
    online = given.get("online") or {}
    shown = {"ip_address": online.get("ip_address"), "user_agent": online.get("user_agent")}
    return {"accepted_at": accepted, "online": shown, "type": "online"}


def _details(scope: Scope, payment_method: Wire) -> Wire:
    type_ = payment_method["type"]
    if type_ == "us_bank_account":
        return {"collection_method": "paper"} if payment_method["customer"] is None and scope.livemode else {}
    if type_ == "sepa_debit":
        return {"reference": scope.world.ids.text(16).upper(), "url": "https://hooks.stripe.com/mandate/sepa_debit"}
    return {}


def activate(scope: Scope, mandate_id: str) -> None:
    """Makes a pending mandate active, once its bank account is verified; emits mandate.updated."""
    mandate = scope.get("mandate", mandate_id)
    if mandate is not None and mandate["status"] == "pending":
        previous = scope.update(mandate, status="active")
        scope.emit("mandate.updated", mandate, previous)


def duplicate(platform: Scope, mandate_id: str, scope: Scope, clone: Wire) -> Wire | None:
    """The mandate of a cloned bank account on the connected account: Stripe duplicates it with the clone.

    (docs.stripe.com/payments/ach-direct-debit.) None when the original has none.
    """
    original = platform.get("mandate", mandate_id)
    if original is None:
        return None
    made: Wire = plain_clone(original)
    made |= {"id": scope.new_id("mandate"), "payment_method": clone["id"], "livemode": scope.livemode}
    mandate = scope.insert(made)
    scope.hidden(clone["id"])["mandate"] = mandate["id"]
    return mandate
