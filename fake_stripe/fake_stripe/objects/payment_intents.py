"""PaymentIntents: create, update, confirm, capture, cancel (docs.stripe.com/payments/paymentintents/lifecycle)."""

from __future__ import annotations

from typing import Any

from fake_stripe.amounts import below_one, check_amount, check_currency
from fake_stripe.errors import ApiError, state_error
from fake_stripe.objects import (
    bank_details,
    charge_settlement,
    confirmation_tokens,
    payment_attempts,
    payment_method_types,
    payment_methods,
)
from fake_stripe.objects import payment_intent_params as parameters
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate, search
from fake_stripe.scope import Scope, Wire

_UNEXPECTED = "payment_intent_unexpected_state"
_OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE = "requires_payment_method, requires_capture, requires_confirmation, requires_action, processing"
_ALWAYS_CHANGEABLE = ("description", "metadata", "receipt_email", "shipping", "statement_descriptor", "transfer_group")

_MISSING = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the"
    " PaymentIntent"
    " with a payment method and then confirm it again, or confirm it again directly with a payment method or"
    " ConfirmationToken."
)
_MISSING_OF_CUSTOMER = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. To confirm the PaymentIntent with {},"
    " specify a payment method attached to this customer along with the customer ID."
)
_RETURN_URL = (
    "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these"
    " payment"
    " methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want to"
    " accept"
    " redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and"
    " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)
_RETURN_URL_BEFORE_2025 = (
    "A `return_url` must be specified because this Payment Intent is configured to automatically accept the payment"
    " methods enabled in the Dashboard, some of which may require a full page redirect to succeed. If you do not"
    " want to"
    " accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and"
    " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)
CAPTURE_TOO_MUCH = (
    "The payment could not be captured because the requested capture amount is greater than the amount you can capture"
    " for this charge. Contact us via https://support.stripe.com/contact/ for help."
)


@operation("POST", "/v1/payment_intents")
def create(call: Call) -> Wire:
    """A new PaymentIntent, with `confirm=true` paid at once.

    Raises:
        ApiError: parameters that do not go together, and what confirming raises.
    """
    scope, params = call.scope, call.params
    if not params.get("confirm"):
        parameters.check_confirm_only(params)
    confirmation_tokens.spend(call, None)
    intent = parameters.build(call)
    payment_method = parameters.payment_method_of(call, intent)
    if payment_method is not None:
        intent |= {"payment_method": payment_method["id"], "status": "requires_confirmation"}
    scope.insert(intent)
    scope.emit("payment_intent.created", intent)
    if params.get("confirm"):
        confirmation_tokens.spent_by(call, intent)
        _confirm(call, intent, payment_method)
    return intent


@operation("GET", "/v1/payment_intents")
def list_all(call: Call) -> Wire:
    """PaymentIntents, newest first, by `customer` and `created`."""
    customer = call.params.get("customer")
    return paginate(call, call.scope.list("payment_intent", customer=customer), "/v1/payment_intents")


@operation("GET", "/v1/payment_intents/search")
def search_all(call: Call) -> Wire:
    """PaymentIntents that match `query`."""
    return search(call, call.scope.list("payment_intent"), "/v1/payment_intents/search")


def _required(call: Call) -> Wire:
    return call.scope.require("payment_intent", call.path["intent"], in_path=True)


@operation("GET", "/v1/payment_intents/{intent}")
def retrieve(call: Call) -> Wire:
    """One PaymentIntent."""
    return _required(call)


@operation("POST", "/v1/payment_intents/{intent}")
def update(call: Call) -> Wire:
    """Changes an intent that is still open; a new PaymentMethod or amount asks for a new confirmation."""
    intent = _required(call)
    changes = _changes(call, intent)
    call.scope.update(intent, **changes)
    return intent


def _changes(call: Call, intent: Wire) -> Wire:
    """What the parameters of an update or of a confirmation change in the intent; checked, nothing written."""
    scope, params = call.scope, call.params
    if intent["status"] not in _OPEN:
        _refuse_change(intent, params)
    payment_method_types.refuse_named_types(call)
    changes: Wire = {}
    currency = check_currency(params["currency"]) if params.get("currency") else intent["currency"]
    amount = int(params["amount"] if "amount" in params else intent["amount"])
    if "amount" in params or "currency" in params:
        check_amount(amount, currency)
        changes |= {"amount": amount, "currency": currency}
    parameters.check_references(scope, params)
    transfer_data = {**(intent["transfer_data"] or {}), **(params.get("transfer_data") or {})} or None
    parameters.check_fee(scope, params, amount=amount, transfer_data=transfer_data)
    if "transfer_data" in params:
        changes["transfer_data"] = transfer_data
    for name in ("application_fee_amount", "customer", *parameters.PLAIN, "capture_method"):
        if name in params:
            changes[name] = None if params[name] == "" else params[name]
    if "shipping" in params:
        changes["shipping"] = parameters.shipping(params["shipping"])
    if "metadata" in params:
        changes["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    if params.get("payment_method_types"):
        named = payment_method_types.check_types(scope, list(params["payment_method_types"]))
        payment_method_types.check_currency(named, currency)
        changes |= {"payment_method_types": named, "automatic_payment_methods": None}
    if params.get("allowed_payment_method_types"):
        allowed = payment_method_types.refuse_beside_allowed(params)
        compatible = payment_method_types.compatible(allowed, currency)
        changes |= {"allowed_payment_method_types": allowed, "payment_method_types": compatible}
    parameters.check_descriptor(params, changes.get("payment_method_types") or intent["payment_method_types"])
    if "payment_method_options" in params or "payment_method_types" in changes:
        types = changes.get("payment_method_types") or intent["payment_method_types"]
        given = {**(intent["payment_method_options"] or {})}
        merged = {
            name: {**given.get(name, {}), **o} for name, o in (params.get("payment_method_options") or {}).items() if o
        }
        changes["payment_method_options"] = payment_method_types.options(types, {**given, **merged}, currency)
    return changes | _new_payment_method(call, {**intent, **changes}, intent, changes)


def _new_payment_method(call: Call, changed: Wire, intent: Wire, changes: Wire) -> Wire:
    """The part of a change that the named PaymentMethod, or the wish for another confirmation, makes."""
    payment_method = parameters.payment_method_of(call, changed, carried=intent)
    if payment_method is not None:
        return {"payment_method": payment_method["id"], "status": "requires_confirmation", "next_action": None}
    if call.params.get("payment_method") == "":
        return {"payment_method": None, "status": "requires_payment_method", "next_action": None}
    if intent["status"] == "requires_action" and {"amount", "currency"} & set(changes):
        return {"status": "requires_confirmation", "next_action": None}
    return {}


def _refuse_change(intent: Wire, params: Wire) -> None:
    for name in params:
        if name in _ALWAYS_CHANGEABLE or name == "expand":
            continue
        raise _wrong_state(
            f"This PaymentIntent's {name} could not be updated because it has a status of {intent['status']}. You"
            f" may only"
            f" update the {name} of a PaymentIntent with one of the following statuses: {', '.join(_OPEN)}.",
            intent,
        )


def _wrong_state(text: str, intent: Wire) -> ApiError:
    return state_error(text, code=_UNEXPECTED, payment_intent=intent)


# ---- confirmation


@operation("POST", "/v1/payment_intents/{intent}/confirm")
def confirm(call: Call) -> Wire:
    """Tries to pay the intent, with the PaymentMethod it has or with the one that the call names."""
    intent = _required(call)
    scope, params = call.scope, call.params
    confirmation_tokens.spend(call, intent)
    named = params.get("payment_method") or params.get("payment_method_data")
    if not named and not intent["payment_method"] and not _default_source(scope, intent):
        raise _missing(intent)
    _check_confirmable(intent)
    confirmation_tokens.spent_by(call, intent)
    given = {name: value for name, value in params.items() if name in _CONFIRM_CHANGES}
    if given:
        changes = _changes(_only(call, given), intent)
        scope.update(intent, **changes)
    payment_method: Wire | None = None
    if intent["payment_method"]:
        payment_method = _own_payment_method(call, intent)
    _confirm(call, intent, payment_method)
    return intent


def _own_payment_method(call: Call, intent: Wire) -> Wire:
    """What the intent names already; an earlier attempt of the same intent has not used it up for this one."""
    named = intent["payment_method"]
    if call.scope.hidden(named).get("consumed") == intent["id"]:
        return payment_methods.require(call.scope, named)
    return payment_methods.resolve_for_payment(call, named, customer=intent["customer"], intent=intent)


_CONFIRM_CHANGES = frozenset(
    (
        "allowed_payment_method_types", "capture_method", "payment_method", "payment_method_data",
        "payment_method_options", "payment_method_types",
        "receipt_email", "setup_future_usage", "shipping",
    )
)  # fmt: skip


def _only(call: Call, params: dict[str, Any]) -> Call:
    from dataclasses import replace  # noqa: PLC0415 - confirmations that change something only

    return replace(call, params=params)


def _missing(intent: Wire) -> ApiError:
    customer = intent["customer"]
    return _wrong_state(_MISSING_OF_CUSTOMER.format(customer) if customer else _MISSING, intent)


def _check_confirmable(intent: Wire) -> None:
    status = intent["status"]
    if status in _OPEN:
        return
    if status == "succeeded":
        text = (
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
        )
        raise _wrong_state(text, intent)
    raise _wrong_state(
        f"This PaymentIntent could not be confirmed because it has a status of {status}. Only a PaymentIntent with"
        f" one of the following statuses may be confirmed: {', '.join(_OPEN)}.",
        intent,
    )


def _default_source(scope: Scope, intent: Wire) -> str | None:
    """What pays when no PaymentMethod is named: the customer's default source."""
    customer = scope.get("customer", intent["customer"] or "")
    return None if customer is None else customer.get("default_source")


def _confirm(call: Call, intent: Wire, payment_method: Wire | None) -> None:
    scope, params = call.scope, call.params
    if payment_method is None:
        default = _default_source(scope, intent)
        if default is None:
            raise _missing(intent)
        payment_method = payment_methods.resolve_for_payment(call, default, customer=intent["customer"], intent=intent)
        scope.update(intent, payment_method=payment_method["id"], status="requires_confirmation")
    _check_return_url(call, intent)
    state = scope.hidden(intent["id"])
    state["mandate_data"] = params.get("mandate_data") or None
    if params.get("mandate"):
        scope.require("mandate", params["mandate"], param="mandate")
    if state.pop("authenticated", False):
        refusal = payment_attempts.finish(scope, intent, payment_method)
        if refusal is not None:
            raise payment_attempts.declined(scope, intent, payment_method, refusal)
        return
    how = payment_attempts.Confirmation(
        off_session=params.get("off_session") not in (None, "", False),
        error_on_requires_action=bool(params.get("error_on_requires_action")),
        return_url=params.get("return_url") or None,
        base_url=call.base_url,
    )
    payment_attempts.attempt(scope, intent, payment_method, how)


def _check_return_url(call: Call, intent: Wire) -> None:
    automatic = intent["automatic_payment_methods"]
    if automatic is None or automatic.get("allow_redirects") == "never" or call.params.get("return_url"):
        return
    if not call.pinned or call.params.get("off_session") not in (None, "", False):
        # docs.stripe.com/changelog/2023-08-16: nobody is there to be redirected.
        return
    text = _RETURN_URL if call.version >= "2025" else _RETURN_URL_BEFORE_2025
    raise state_error(text, code=None, payment_intent=intent)


# ---- capture and cancel


@operation("POST", "/v1/payment_intents/{intent}/capture")
def capture(call: Call) -> Wire:
    """Takes authorised money, all or less (`amount_to_capture`, minor units); the rest is released."""
    intent = _required(call)
    scope, params = call.scope, call.params
    _check_capturable(intent)
    asked = params.get("amount_to_capture")
    amount = intent["amount_capturable"] if asked in (None, "") else int(asked)
    if amount < 1:
        raise below_one("amount_to_capture")
    if amount > intent["amount_capturable"]:
        raise state_error(CAPTURE_TOO_MUCH, code="amount_too_large", param="amount_to_capture", payment_intent=intent)
    parameters.check_fee(scope, params, amount=amount, transfer_data=intent["transfer_data"])
    restated = {
        n: params[n] for n in ("application_fee_amount", "statement_descriptor") if params.get(n) not in (None, "")
    }
    if "metadata" in params:
        restated["metadata"] = merged_metadata(intent["metadata"], params["metadata"])
    charge = scope.require("charge", intent["latest_charge"])
    scope.update(intent, **restated)
    finish_capture(scope, charge, intent, amount=amount, restated=restated)
    return intent


def finish_capture(scope: Scope, charge: Wire, intent: Wire, *, amount: int, restated: Wire) -> None:
    """Captures the charge of an intent and completes the intent: charge.captured, payment_intent.succeeded."""
    payment_method = payment_methods.find(scope, charge["payment_method"] or "")
    outcome = payment_methods.outcome_of(scope, payment_method) if payment_method is not None else None
    charge_settlement.capture(scope, charge, amount=amount, restated=restated, outcome=outcome)
    scope.update(
        intent,
        amount_capturable=0,
        amount_received=amount,
        status="succeeded",
        transfer_group=charge["transfer_group"],
    )
    scope.emit("payment_intent.succeeded", intent)
    if outcome is not None:
        charge_settlement.follow(scope, charge, outcome)


def _check_capturable(intent: Wire) -> None:
    status = intent["status"]
    if status == "requires_capture":
        return
    if status == "succeeded":
        partial = intent["amount_received"] < intent["amount"]
        text = (
            "The remaining amount on this PaymentIntent could not be captured because the remainder of the authorized"
            " amount has been released."
            if partial
            else "This PaymentIntent could not be captured because it has already been captured."
        )
        raise _wrong_state(text, intent)
    raise _wrong_state(
        f"This PaymentIntent could not be captured because it has a status of {status}. Only a PaymentIntent with"
        " one of the following statuses may be captured: requires_capture.",
        intent,
    )


@operation("POST", "/v1/payment_intents/{intent}/cancel")
def cancel(call: Call) -> Wire:
    """Gives an intent up; what was authorised is released. Its PaymentMethod stays named, as recorded."""
    intent = _required(call)
    scope = call.scope
    if intent["status"] in ("succeeded", "canceled"):
        raise _wrong_state(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a"
            f" PaymentIntent with one of the following statuses may be canceled: {_CANCELABLE}.",
            intent,
        )
    if intent["status"] == "requires_capture":
        payment_attempts.release(scope, scope.require("charge", intent["latest_charge"]))
    scope.update(
        intent,
        amount_capturable=0,
        canceled_at=call.now,
        cancellation_reason=call.params.get("cancellation_reason") or None,
        next_action=None,
        status="canceled",
    )
    scope.emit("payment_intent.canceled", intent)
    return intent


@operation("POST", "/v1/payment_intents/{intent}/verify_microdeposits")
def verify_microdeposits(call: Call) -> Wire:
    """Proves a bank account with the two amounts or the code of its test deposits; then the debit goes to the bank.

    Raises:
        ApiError: the intent waits for no deposits, or they do not match (400).
    """
    intent = _required(call)
    scope, params = call.scope, call.params
    if (
        intent["status"] != "requires_action"
        or (intent["next_action"] or {}).get("type") != "verify_with_microdeposits"
    ):
        text = "This PaymentIntent cannot be verified with microdeposits because it does not wait for them."
        raise _wrong_state(text, intent)
    payment_method = payment_methods.require(scope, intent["payment_method"])
    outcome = payment_methods.outcome_of(scope, payment_method)
    found = bank_details.deposit_result(
        params.get("amounts"), params.get("descriptor_code"), fails=outcome.microdeposits_fail
    )
    if found != "verified":
        code = {
            "mismatch": "payment_method_microdeposit_verification_amounts_mismatch",
            "timeout": "payment_method_microdeposit_verification_timeout",
        }.get(found, "payment_method_microdeposit_verification_attempts_exceeded")
        raise state_error("The microdeposits provided do not match those that were sent.", code=code)
    payment_methods.mark_verified(scope, payment_method)
    payment_attempts.start_processing(scope, intent, payment_method, outcome)
    return intent


@operation("POST", "/v1/payment_intents/{intent}/increment_authorization")
def increment_authorization(call: Call) -> Wire:
    """Refuses: test cards do not support it, as `incremental_authorization.status` of their charges says.

    Raises:
        ApiError: always, 400: nothing is authorised, or it cannot be more.
    """
    intent = _required(call)
    if intent["status"] != "requires_capture":
        raise _wrong_state(
            f"This PaymentIntent could not be incremented because it has a status of {intent['status']}. Only a"
            " PaymentIntent with one of the following statuses may be incremented: requires_capture.",
            intent,
        )
    raise _wrong_state("This PaymentIntent's payment method does not support incremental authorization.", intent)
