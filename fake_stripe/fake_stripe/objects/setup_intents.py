"""SetupIntents: saving payment details for later, with the authentication that this asks for.

requires_payment_method -> requires_confirmation -> (requires_action | processing) -> succeeded, or canceled.
(docs.stripe.com/payments/paymentintents/lifecycle)
"""

from __future__ import annotations

from typing import Any

from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects import payment_method_types, payment_methods, setup_confirmation
from fake_stripe.objects.metadata import merged_metadata, unset_to_none
from fake_stripe.objects.registry import Call, operation
from fake_stripe.openapi.exclusive import together
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

_DYNAMIC = ["card", "link", "us_bank_account"]
"""The types that automatic payment methods offer on an account of this double."""
_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def state(intent: Wire, message: str, *, code: str = "setup_intent_unexpected_state") -> ApiError:
    """The 400 of a call that the intent's status forbids; it carries the intent."""
    return state_error(message, code=code, setup_intent=dict(intent))


@operation("POST", "/v1/setup_intents")
def create(call: Call) -> Wire:
    """A new SetupIntent; with `confirm=true` it is confirmed in the same call."""
    scope, params = call.scope, call.params
    _check(call)
    customer = params.get("customer") or None
    payment_method = setup_confirmation.named_method(call, customer, None)
    intent = scope.insert(_shape(call, customer, payment_method))
    scope.emit("setup_intent.created", intent)
    if params.get("confirm"):
        return setup_confirmation.confirm(call, intent, payment_method)
    return intent


def _check(call: Call) -> None:
    scope, params = call.scope, call.params
    payment_method_types.refuse_named_types(call)
    automatic = params.get("automatic_payment_methods")
    if params.get("payment_method_types") and isinstance(automatic, dict) and automatic.get("enabled"):
        raise together(("automatic_payment_methods", "payment_method_types"))
    if params.get("customer"):
        scope.require("customer", params["customer"], param="customer")
    if params.get("on_behalf_of") and not call.world.reaches(params["on_behalf_of"]):
        raise scope.missing("account", params["on_behalf_of"], param="on_behalf_of")
    if params.get("mandate_data") and not params.get("confirm"):
        text = (
            "The parameter `mandate_data` cannot be passed when creating a SetupIntent unless `confirm` is set to true."
        )
        raise invalid(text, param="mandate_data")


def _shape(call: Call, customer: str | None, payment_method: Wire | None) -> Wire:
    scope, params = call.scope, call.params
    id_ = scope.new_id("seti")
    types, automatic = _types(call, payment_method)
    shape: Wire = {
        "id": id_,
        "object": "setup_intent",
        "allowed_payment_method_types": params.get("allowed_payment_method_types") or None,
        "application": scope.world.application if call.connect and not scope.is_platform else None,
        "automatic_payment_methods": automatic,
        "cancellation_reason": None,
        "client_secret": f"{id_}_secret_{scope.world.ids.text(31)}",
        "created": scope.world.now,
        "customer": customer,
        "customer_account": None,
        "description": unset_to_none(params.get("description")),
        "excluded_payment_method_types": params.get("excluded_payment_method_types") or None,
        "flow_directions": params.get("flow_directions") or None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": scope.livemode,
        "managed_payments": {"enabled": False},
        "mandate": None,
        "metadata": merged_metadata(None, params.get("metadata")),
        "next_action": None,
        "on_behalf_of": params.get("on_behalf_of") or None,
        "payment_method": payment_method["id"] if payment_method else None,
        "payment_method_configuration_details": _configuration(scope) if automatic else None,
        "payment_method_options": _options(types, params.get("payment_method_options")),
        "payment_method_types": types,
        "single_use_mandate": None,
        "status": "requires_confirmation" if payment_method else "requires_payment_method",
        "usage": params.get("usage") or "off_session",
    }
    return shape | ({"attach_to_self": True} if params.get("attach_to_self") else {})


def _configuration(scope: Scope) -> Wire:
    return {"id": f"pmc_1{scope.account_id[-15:]}{'0' * 8}", "parent": None}


def _types(call: Call, payment_method: Wire | None) -> tuple[list[str], Wire | None]:
    """The intent's types, and its `automatic_payment_methods`, which are the default since 2023-08-16."""
    asked = call.params.get("payment_method_types")
    if asked:
        return _named_types(call, asked), None
    allowed = call.params.get("allowed_payment_method_types")
    if allowed:
        return payment_method_types.refuse_beside_allowed(call.params), None
    automatic = call.params.get("automatic_payment_methods")
    if isinstance(automatic, dict):
        enabled = bool(automatic.get("enabled"))
        shown = {"allow_redirects": automatic.get("allow_redirects") or "always", "enabled": enabled}
        return (list(_DYNAMIC) if enabled else ["card"]), (shown if enabled else None)
    if call.version < "2023-08-16" or _relies_on_older_default(call):
        return ["card"], None
    type_ = payment_method["type"] if payment_method else "card"
    types = _DYNAMIC if type_ in _DYNAMIC else [*_DYNAMIC, type_]
    return list(types), {"allow_redirects": "always", "enabled": True}


def _named_types(call: Call, asked: list[str]) -> list[str]:
    return payment_method_types.check_types(call.scope, list(asked), kind="setup_intent")


def _relies_on_older_default(call: Call) -> bool:
    """Confirmed at once without a return_url and without naming a version: that works only before 2023-08-16."""
    return not call.pinned and bool(call.params.get("confirm")) and not call.params.get("return_url")


def _options(types: list[str], given: Any) -> Wire:
    options: Wire = {}
    if "card" in types:
        options["card"] = {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    if "link" in types:
        options["link"] = {"persistent_token": None}
    if "us_bank_account" in types:
        options["us_bank_account"] = {"mandate_options": {}, "verification_method": "automatic"}
    for type_, chosen in (given or {}).items():
        if isinstance(chosen, dict):
            options[type_] = {**options.get(type_, {}), **chosen}
    return options


def require(call: Call) -> Wire:
    """The intent in the path, of which a publishable key must know the client secret."""
    intent = call.scope.require("setup_intent", call.path["intent"], in_path=True)
    secret = call.params.get("client_secret")
    if secret and secret != intent["client_secret"]:
        text = "The client_secret provided does not match the client_secret associated with the SetupIntent."
        raise invalid(text, code="setup_intent_invalid_parameter", param="client_secret")
    return intent


@operation("GET", "/v1/setup_intents/{intent}")
def retrieve(call: Call) -> Wire:
    """One SetupIntent."""
    return require(call)


@operation("GET", "/v1/setup_intents")
def list_all(call: Call) -> Wire:
    """SetupIntents, newest first, of a customer or a payment method."""
    asked = {name: call.params.get(name) or None for name in ("customer", "payment_method")}
    for name, value in asked.items():
        if value is not None:
            call.scope.require(name, value, param=name)
    found = call.scope.list("setup_intent", **asked)
    wanted = call.params.get("attach_to_self")
    items = (o for o in found if not wanted or o.get("attach_to_self"))
    return paginate(call, items, "/v1/setup_intents", type="setup_intent")


@operation("POST", "/v1/setup_intents/{intent}")
def update(call: Call) -> Wire:
    """Changes an intent; its payment method only while it is open."""
    scope, params = call.scope, call.params
    intent = require(call)
    payment_method_types.refuse_named_types(call)
    if params.get("customer"):
        scope.require("customer", params["customer"], param="customer")
    changes: Wire = {}
    if params.get("payment_method") or params.get("payment_method_data"):
        if intent["status"] in ("succeeded", "canceled"):
            done = "has already succeeded" if intent["status"] == "succeeded" else "has been canceled"
            raise state(intent, f"You cannot update this SetupIntent because it {done}.")
        found = setup_confirmation.named_method(call, params.get("customer") or intent["customer"], intent)
        if found is not None:
            changes |= {"payment_method": found["id"], "next_action": None, "status": "requires_confirmation"}
    for name in ("customer", "description"):
        if name in params:
            changes[name] = unset_to_none(params[name])
    for name in ("flow_directions", "excluded_payment_method_types"):
        if name in params:
            changes[name] = params[name] or None
    if "payment_method_types" in params:
        changes["payment_method_types"] = _named_types(call, params["payment_method_types"])
        changes["automatic_payment_methods"] = None
        changes["payment_method_options"] = _options(
            changes["payment_method_types"], params.get("payment_method_options")
        )
    elif params.get("payment_method_options"):
        chosen = {**intent["payment_method_options"], **params["payment_method_options"]}
        changes["payment_method_options"] = _options(intent["payment_method_types"], chosen)
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    scope.update(intent, **changes)
    return intent


@operation("POST", "/v1/setup_intents/{intent}/confirm")
def confirm(call: Call) -> Wire:
    """Confirms: the details are verified, 3DS is asked for where the card wants it."""
    intent = require(call)
    found = setup_confirmation.named_method(call, intent["customer"], intent)
    return setup_confirmation.confirm(call, intent, found)


@operation("POST", "/v1/setup_intents/{intent}/cancel")
def cancel(call: Call) -> Wire:
    """Cancels an open intent; its payment method stays where it is."""
    scope, intent = call.scope, require(call)
    if intent["status"] == "canceled":
        raise state(intent, "You cannot cancel this SetupIntent because it it already canceled.")
    if intent["status"] not in _OPEN:
        text = (
            f"You cannot cancel this SetupIntent because it has a status of {intent['status']}. Only a SetupIntent with"
            " one of the following statuses may be canceled: `requires_payment_method`, `requires_confirmation`, or"
            " `requires_action`."
        )
        raise state(intent, text)
    reason = call.params.get("cancellation_reason") or None
    scope.update(intent, status="canceled", cancellation_reason=reason, next_action=None)
    scope.emit("setup_intent.canceled", intent)
    return intent


@operation("POST", "/v1/setup_intents/{intent}/verify_microdeposits")
def verify_microdeposits(call: Call) -> Wire:
    """Proves a bank account by its micro-deposits: amounts in cents, or the code in the deposit's descriptor."""
    intent = require(call)
    waiting = (intent["next_action"] or {}).get("type") == "verify_with_microdeposits"
    if intent["status"] != "requires_action" or not waiting:
        text = (
            f"This SetupIntent cannot be actioned on because it has a status of {intent['status']}. Only a SetupIntent"
            ' with one of the following statuses may be actioned on: ["requires_action"].'
        )
        raise state(intent, text, code="intent_invalid_state")
    return setup_confirmation.deposits_entered(call, intent)


def method_of(scope: Scope, intent: Wire) -> Wire:
    """The payment method that the intent names."""
    return payment_methods.require(scope, intent["payment_method"])
