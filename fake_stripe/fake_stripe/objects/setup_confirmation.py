"""Confirming a SetupIntent: verification, 3DS, micro-deposits, mandates, and what each of them leaves behind."""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects import authentication, confirmation_tokens, mandates, payment_methods, setup_attempts
from fake_stripe.objects.bank_details import MAX_ATTEMPTS, deposit_result
from fake_stripe.objects.card_details import refused
from fake_stripe.objects.registry import Call
from fake_stripe.scope import Scope, Wire, plain_clone
from fake_stripe.world import World

DEPOSITS_EXPIRE = 10 * 86_400
"""Seconds in which micro-deposits must be verified (docs.stripe.com/payments/ach-direct-debit)."""
_MISSING_METHOD = (
    "You cannot confirm this SetupIntent because it's missing a payment method. You can either update the SetupIntent"
    " with a payment method and then confirm it again, or confirm it again directly with a payment method or"
    " ConfirmationToken."
)
_AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)
_RETURN_URL = (
    "This SetupIntent is configured to accept payment methods enabled in your Dashboard. Because some of these payment"
    " methods might redirect your customer off of your page, you must provide a `return_url`. If you don't want to"
    " accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and"
    " `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and Payment Intents."
)


def named_method(call: Call, customer: str | None, intent: Wire | None) -> Wire | None:
    """The payment method that `payment_method` or `payment_method_data` of the call names, None when neither does."""
    params = call.params
    confirmation_tokens.spend(call, intent)
    if params.get("payment_method"):
        named = params["payment_method"]
        return payment_methods.resolve_for_payment(call, named, customer=customer, intent=intent, kind="setup_intent")
    if params.get("payment_method_data"):
        from fake_stripe.objects import payment_method_creation  # noqa: PLC0415 - the rarer way to name one

        return payment_method_creation.from_data(call.scope, params["payment_method_data"])
    return None


def confirm(call: Call, intent: Wire, named: Wire | None) -> Wire:
    """Confirms `intent` with `named`, else with its own payment method; a customer's default is never taken.

    Raises:
        ApiError: 400 without a payment method, in a final state or without a needed return_url; 402 when the issuer
            refuses, or asks for 3DS where that was not allowed.
    """
    scope = call.scope
    if named is None and intent["payment_method"] is None:
        raise state_error(_MISSING_METHOD, code="setup_intent_unexpected_state", setup_intent=dict(intent))
    _refuse_state(intent)
    confirmation_tokens.spent_by(call, intent)
    found = named or payment_methods.require(scope, intent["payment_method"])
    _refuse_without_return_url(call, intent)
    _refuse_type(intent, found)
    if found["customer"] is None and payment_methods.is_consumed(scope, found):
        raise state_error(payment_methods.CONSUMED, code=None, setup_intent=dict(intent))
    scope.update(intent, payment_method=found["id"], last_setup_error=None)
    if found["type"] == "us_bank_account" and not payment_methods.is_verified(scope, found):
        if _verification_method(intent) != "skip":
            return _ask_for_deposits(call, intent, found)
        payment_methods.mark_verified(scope, found)
    outcome = payment_methods.outcome_of(scope, found)
    if outcome.lookup_fails or (outcome.refusal is not None and outcome.attach_refused):
        raise _decline(scope, intent, found, outcome.refusal or cards.CARD_OUTCOMES["generic_decline"].refusal)
    if _needs_authentication(outcome, intent):
        return _authenticate(call, intent, found)
    _give_mandate(call, intent, found)
    attempt = setup_attempts.record(scope, intent, found, "succeeded")
    return succeed(scope, intent, found, attempt["id"])


def _refuse_state(intent: Wire) -> None:
    status = intent["status"]
    why = {
        "succeeded": "it has already succeeded.",
        "canceled": "it has been canceled.",
        "processing": "it has a status of processing. Only a SetupIntent with one of the following statuses may be"
        " confirmed: requires_payment_method, requires_confirmation, requires_action.",
    }.get(status)
    if why is not None:
        text = f"You cannot confirm this SetupIntent because {why}"
        raise state_error(text, code="setup_intent_unexpected_state", setup_intent=dict(intent))


def _refuse_without_return_url(call: Call, intent: Wire) -> None:
    automatic = intent["automatic_payment_methods"] or {}
    wants = call.pinned and automatic.get("enabled") and automatic.get("allow_redirects") == "always"
    if wants and not call.params.get("return_url") and call.key_kind != "pk" and not call.params.get("use_stripe_sdk"):
        raise state_error(_RETURN_URL, code=None, setup_intent=dict(intent))


def _refuse_type(intent: Wire, found: Wire) -> None:
    if found["type"] not in intent["payment_method_types"]:
        text = (
            f"The PaymentMethod provided ({found['type']}) is not allowed for this SetupIntent. Please attach a"
            " PaymentMethod of one of the following types: "
            + ", ".join(intent["payment_method_types"])
            + ". Otherwise,"
            " update the allowed payment_method_types for this SetupIntent to include the type of the PaymentMethod"
            " provided."
        )
        raise state_error(
            text, code="setup_intent_invalid_parameter", param="payment_method", setup_intent=dict(intent)
        )


def _needs_authentication(outcome: cards.Outcome, intent: Wire) -> bool:
    options = (intent["payment_method_options"] or {}).get("card") or {}
    asked = options.get("request_three_d_secure") in ("any", "challenge") and outcome.three_d_secure_supported
    return outcome.authentication in ("always", "unless_set_up", "on_session") or (
        asked and outcome.authentication == "optional"
    )


def _authenticate(call: Call, intent: Wire, found: Wire) -> Wire:
    scope = call.scope
    attempt = setup_attempts.record(scope, intent, found, "requires_action")
    action = authentication.begin(scope, intent, call.params.get("return_url") or None, base_url=call.base_url)
    scope.hidden(intent["id"])["mandate_data"] = call.params.get("mandate_data") or None
    scope.update(intent, status="requires_action", next_action=action, latest_attempt=attempt["id"])
    scope.emit("setup_intent.requires_action", intent)
    return intent


def _error(refusal: cards.Refusal, rendered: Wire) -> Wire:
    """`last_setup_error` of a refusal, as its 402 shows it."""
    error: Wire = {
        "advice_code": refusal.advice_code,
        "code": refusal.code,
        "decline_code": refusal.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{refusal.code.replace('_', '-')}",
        "message": refusal.message,
        "network_advice_code": refusal.network_advice_code,
        "network_decline_code": refusal.network_decline_code,
        "param": refusal.param,
        "payment_method": rendered,
        "type": "card_error",
    }
    return {name: value for name, value in error.items() if value is not None}


def _decline(scope: Scope, intent: Wire, found: Wire, refusal: cards.Refusal | None) -> ApiError:
    assert refusal is not None
    rendered = payment_methods.render(scope, found)
    error = _error(refusal, rendered)
    attempt = setup_attempts.record(scope, intent, found, "failed", error=error)
    payment_methods.consume(scope, found, by=intent["id"])
    _fail(scope, intent, error, attempt["id"])
    return refused(refusal, payment_method=rendered, setup_intent=plain_clone(intent))


def _fail(scope: Scope, intent: Wire, error: Wire, attempt: str) -> None:
    scope.update(
        intent,
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=error,
        latest_attempt=attempt,
    )
    scope.emit("setup_intent.setup_failed", intent)


def succeed(scope: Scope, intent: Wire, found: Wire, attempt: str) -> Wire:
    """The set-up is done: the method is attached to the intent's customer and may be charged off session."""
    payment_methods.verify(scope, found)
    payment_methods.mark_set_up(scope, found, on_behalf_of=intent["on_behalf_of"])
    if intent["customer"] is not None:
        payment_methods.attach(scope, found, intent["customer"])
    else:
        payment_methods.consume(scope, found, by=intent["id"])
    scope.update(intent, status="succeeded", next_action=None, latest_attempt=attempt)
    scope.emit("setup_intent.succeeded", intent)
    return intent


# ---- 3DS


def authenticated(scope: Scope, intent: Wire, outcome: str) -> None:
    """How a SetupIntent goes on once its challenge is answered: `succeeded`, `failed` or `canceled`."""
    found = payment_methods.require(scope, intent["payment_method"])
    attempt = intent["latest_attempt"]
    if outcome == "succeeded":
        setup_attempts.finish(scope, attempt, "succeeded", proof=authentication.proof())
        succeed(scope, intent, found, attempt)
        return
    error: Wire = {
        "code": "setup_intent_authentication_failure",
        "doc_url": "https://stripe.com/docs/error-codes/setup-intent-authentication-failure",
        "message": _AUTHENTICATION_FAILED,
        "payment_method": payment_methods.render(scope, found),
        "type": "invalid_request_error",
    }
    setup_attempts.finish(scope, attempt, "failed", error=error)
    payment_methods.consume(scope, found, by=intent["id"])
    _fail(scope, intent, error, attempt)


authentication.continue_with("setup_intent", authenticated)


# ---- bank accounts


def _give_mandate(call: Call, intent: Wire, found: Wire, *, pending: bool = False) -> None:
    """A mandate where the type needs one; 400 when a server-side confirmation brings no `mandate_data`."""
    given: Any = call.params.get("mandate_data") or None
    if found["type"] not in mandates.TYPES:
        return
    if given is None and call.key_kind != "pk":
        text = (
            "To confirm this SetupIntent with a payment method of type"
            f" {found['type']}, you must provide `mandate_data`."
        )
        raise invalid(text, code="parameter_missing", param="mandate_data", setup_intent=dict(intent))
    once = call.params.get("single_use") or None
    mandate = mandates.create(
        call.scope,
        found,
        mandate_data=given,
        single_use=once,
        pending=pending,
        on_behalf_of=intent["on_behalf_of"],
    )
    call.scope.update(intent, **{"single_use_mandate" if once else "mandate": mandate["id"]})


def _verification_method(intent: Wire) -> str:
    options = (intent["payment_method_options"] or {}).get("us_bank_account") or {}
    return str(options.get("verification_method") or "automatic")


def _ask_for_deposits(call: Call, intent: Wire, found: Wire) -> Wire:
    scope = call.scope
    _give_mandate(call, intent, found, pending=True)
    attempt = setup_attempts.record(scope, intent, found, "requires_action")
    action = authentication.microdeposits(scope, intent, base_url=call.base_url)
    scope.update(intent, status="requires_action", next_action=action, latest_attempt=attempt["id"])
    scope.emit("setup_intent.requires_action", intent)
    at = scope.world.now + DEPOSITS_EXPIRE
    scope.world.schedule(at, deposits_expired, scope.account_id, scope.livemode, intent["id"], attempt["id"])
    return intent


def deposits_entered(call: Call, intent: Wire) -> Wire:
    """What `amounts` or `descriptor_code` say about the bank account of an intent that waits for them.

    Raises:
        ApiError: 400 for a mismatch, for too many tries and when time is over (docs.stripe.com/error-codes).
    """
    scope, params = call.scope, call.params
    amounts, code = params.get("amounts"), params.get("descriptor_code") or None
    if bool(amounts) == bool(code):
        text = "You must provide exactly one of `amounts` or `descriptor_code`."
        raise invalid(text, code="parameter_missing" if code is None else "parameters_exclusive")
    found = payment_methods.require(scope, intent["payment_method"])
    fails = payment_methods.outcome_of(scope, found).microdeposits_fail
    result = deposit_result(amounts, code, fails=fails)
    if result == "verified":
        return _verified(scope, intent, found)
    raise _not_verified(scope, intent, found, result, by_code=code is not None)


def _verified(scope: Scope, intent: Wire, found: Wire) -> Wire:
    payment_methods.mark_verified(scope, found)
    for name in ("mandate", "single_use_mandate"):
        if intent[name]:
            mandates.activate(scope, intent[name])
    setup_attempts.finish(scope, intent["latest_attempt"], "succeeded")
    return succeed(scope, intent, found, intent["latest_attempt"])


def _not_verified(scope: Scope, intent: Wire, found: Wire, result: str, *, by_code: bool) -> ApiError:
    hidden = scope.hidden(intent["id"])
    hidden["deposit_attempts"] = hidden.get("deposit_attempts", 0) + 1
    if result == "timeout":
        error = _give_up(scope, intent, found, "payment_method_microdeposit_verification_timeout")
        return state_error(error["message"], code=error["code"], setup_intent=plain_clone(intent))
    if result == "too_many_attempts" or hidden["deposit_attempts"] >= MAX_ATTEMPTS:
        error = _give_up(scope, intent, found, "payment_method_microdeposit_verification_attempts_exceeded")
        return state_error(error["message"], code=error["code"], setup_intent=plain_clone(intent))
    kind = "descriptor_code" if by_code else "amounts"
    what = "descriptor code you provided does" if by_code else "amounts you provided do"
    text = f"The {what} not match the micro-deposits that we sent. You have {_left(hidden)} attempts left."
    code = f"payment_method_microdeposit_verification_{kind}_mismatch"
    return state_error(text, code=code, setup_intent=dict(intent))


def _left(hidden: dict[str, Any]) -> int:
    return MAX_ATTEMPTS - int(hidden["deposit_attempts"])


_GIVEN_UP = {
    "payment_method_microdeposit_verification_timeout": (
        "Microdeposit verification was not completed within the required timeout."
    ),
    "payment_method_microdeposit_verification_attempts_exceeded": (
        "You have exceeded the number of allowed verification attempts."
    ),
}


def _give_up(scope: Scope, intent: Wire, found: Wire, code: str) -> Wire:
    error: Wire = {
        "code": code,
        "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
        "message": _GIVEN_UP[code],
        "payment_method": payment_methods.render(scope, found),
        "type": "invalid_request_error",
    }
    setup_attempts.finish(scope, intent["latest_attempt"], "failed", error=error)
    scope.hidden(found["id"])["consumed"] = intent["id"]
    _fail(scope, intent, error, intent["latest_attempt"])
    return error


def deposits_expired(world: World, account: str, livemode: bool, intent_id: str, attempt: str) -> None:
    """The scheduled end of an intent whose micro-deposits nobody verified in ten days."""
    scope = world.scope(account, livemode)
    intent = scope.get("setup_intent", intent_id)
    if intent is None or intent["status"] != "requires_action" or intent["latest_attempt"] != attempt:
        return
    found = payment_methods.require(scope, intent["payment_method"])
    _give_up(scope, intent, found, "payment_method_microdeposit_verification_timeout")
