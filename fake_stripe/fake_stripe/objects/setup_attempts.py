"""SetupAttempts: what each confirmation of a SetupIntent led to."""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire


@operation("GET", "/v1/setup_attempts")
def list_all(call: Call) -> Wire:
    """The attempts of one SetupIntent, newest first."""
    intent = call.params["setup_intent"]
    call.scope.require("setup_intent", intent, param="setup_intent")
    return paginate(call, call.scope.list("setup_attempt", setup_intent=intent), "/v1/setup_attempts")


def record(scope: Scope, intent: Wire, payment_method: Wire, status: str, *, error: Any = None) -> Wire:
    """One attempt: `status` is succeeded, failed, requires_action or processing."""
    return scope.insert(
        {
            "id": scope.new_id("setatt"),
            "object": "setup_attempt",
            "application": intent["application"],
            "created": scope.world.now,
            "customer": intent["customer"],
            "customer_account": None,
            "flow_directions": intent["flow_directions"],
            "livemode": scope.livemode,
            "on_behalf_of": intent["on_behalf_of"],
            "payment_method": payment_method["id"],
            "payment_method_details": _details(payment_method),
            "setup_error": error,
            "setup_intent": intent["id"],
            "status": status,
            "usage": intent["usage"],
        }
    )


def _details(payment_method: Wire) -> Wire:
    type_ = payment_method["type"]
    block = payment_method.get(type_) or {}
    if type_ != "card":
        return {"type": type_, type_: {}}
    shown = {name: block.get(name) for name in ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint")}
    shown |= {name: block.get(name) for name in ("funding", "last4", "wallet")}
    return {"type": "card", "card": shown | {"network": block.get("brand"), "three_d_secure": None}}


def finish(scope: Scope, attempt_id: str, status: str, *, proof: Wire | None = None, error: Any = None) -> None:
    """How an attempt that waited for the shopper ended; `proof` is the result of a passed challenge."""
    attempt = scope.get("setup_attempt", attempt_id)
    if attempt is None:
        return
    details = attempt["payment_method_details"]
    if proof is not None and "card" in details:
        details = {**details, "card": {**details["card"], "three_d_secure": proof}}
    scope.update(attempt, status=status, setup_error=error, payment_method_details=details)
