"""One attempt to pay a PaymentIntent: from confirmation to a charge, a challenge, a decline or a bank's processing.

Nothing here needs a request: authentication and settlement continue an attempt long after its call has been answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, card_error
from fake_stripe.objects import authentication, charge_settlement, charge_shape, mandates, payment_methods
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

BANK_DEBITS = frozenset(("us_bank_account", "sepa_debit", "acss_debit", "bacs_debit", "au_becs_debit"))
HOLD_SECONDS = 7 * 86_400
"""How long an authorisation lasts (docs.stripe.com/payments/place-a-hold-on-a-payment-method)."""
BANK_SETTLEMENT_SECONDS = 4 * 86_400
_DELAYED_SETTLEMENT_SECONDS = BANK_SETTLEMENT_SECONDS + 180

_NOT_HANDLED = (
    "This payment required an authentication action to complete, but `error_on_requires_action` was set. When you're"
    " ready, you can upgrade your integration to handle actions at"
    " https://stripe.com/docs/payments/payment-intents/upgrade-to-handle-actions."
)
_NOT_AUTHENTICATED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)
_BANK_FAILURES = {
    "account_closed": "The customer's bank account has been closed.",
    "no_account": "The customer's bank account could not be located.",
    "insufficient_funds": "The customer's account has insufficient funds to cover this payment.",
    "debit_not_authorized": "The customer has notified their bank that this payment was unauthorized.",
    "invalid_currency": "The bank was unable to process this payment because of its currency.",
    "charge_exceeds_source_limit": "This payment exceeds the weekly volume limit of the payment method.",
}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How an intent was confirmed: what its payment may ask of the shopper, and where to."""

    off_session: bool = False
    error_on_requires_action: bool = False
    return_url: str | None = None
    base_url: str = ""


def attempt(scope: Scope, intent: Wire, payment_method: Wire, how: Confirmation) -> None:
    """Tries to pay `intent` with `payment_method`, writes the outcome into both and emits its events.

    Raises:
        ApiError: 402 when the payment is declined, or needs an authentication that the call cannot have.
    """
    outcome = payment_methods.outcome_of(scope, payment_method)
    set_up = payment_methods.is_set_up(scope, payment_method)
    payment_methods.consume(scope, payment_method, by=intent["id"])
    state = scope.hidden(intent["id"])
    state["confirms"] = state.get("confirms", 0) + 1
    state["off_session"] = how.off_session
    scope.update(intent, last_payment_error=None)
    if payment_method["type"] in BANK_DEBITS:
        _debit(scope, intent, payment_method, outcome, how)
        return
    if _asks(outcome, intent, how, set_up=set_up):
        _authenticate(scope, intent, payment_method, how)
        return
    refusal = outcome.refusal
    if refusal is not None:
        decline(scope, intent, payment_method, refusal, risk_level=outcome.risk_level)
        raise declined(scope, intent, payment_method, refusal)
    pay(scope, intent, payment_method, outcome)


def _asks(outcome: cards.Outcome, intent: Wire, how: Confirmation, *, set_up: bool) -> bool:
    if outcome.needs_authentication(off_session=how.off_session, set_up=set_up):
        return True
    options = (intent.get("payment_method_options") or {}).get("card") or {}
    wished = options.get("request_three_d_secure") in ("any", "challenge")
    return wished and not how.off_session and outcome.authentication == "optional"


def _authenticate(scope: Scope, intent: Wire, payment_method: Wire, how: Confirmation) -> None:
    """Shows the challenge, or refuses where no shopper is there to answer it."""
    if how.off_session:
        refusal = cards.AUTHENTICATION_REQUIRED
        decline(scope, intent, payment_method, refusal)
        raise declined(scope, intent, payment_method, refusal)
    if how.error_on_requires_action:
        refusal = cards.Refusal("authentication_required", "authentication_not_handled", _NOT_HANDLED)
        decline(scope, intent, payment_method, refusal, with_charge=False)
        raise declined(scope, intent, payment_method, refusal)
    action = authentication.begin(scope, intent, how.return_url, base_url=how.base_url)
    scope.update(intent, status="requires_action", next_action=action, latest_charge=None)
    scope.emit("payment_intent.requires_action", intent)


def declined(scope: Scope, intent: Wire, payment_method: Wire, refusal: cards.Refusal) -> ApiError:
    """The 402 of a declined attempt: the refusal's members, the charge, the whole intent and PaymentMethod."""
    members = charge_shape.error_members(refusal)
    message, code = members.pop("message"), members.pop("code")
    members.pop("type")
    return card_error(
        message,
        code=code,
        charge=intent["latest_charge"] if scope.hidden(intent["id"]).get("charged") else None,
        payment_intent=intent,
        payment_method=payment_methods.render(scope, payment_method),
        **members,
    )


def decline(
    scope: Scope,
    intent: Wire,
    payment_method: Wire,
    refusal: cards.Refusal,
    *,
    with_charge: bool = True,
    risk_level: str = "normal",
) -> None:
    """Writes a decline: a failed charge, and the intent back in requires_payment_method without its PaymentMethod."""
    error = charge_shape.error_members(refusal)
    error["doc_url"] = charge_shape.doc_url(refusal.code)
    charge: Wire | None = None
    if with_charge:
        charge = _charge(scope, intent, payment_method, charge_shape.outcome(scope, refusal, risk_level), captured=True)
        scope.insert(charge | charge_shape.failure(refusal))
        error["charge"] = charge["id"]
        scope.emit("charge.failed", charge)
    scope.hidden(intent["id"])["charged"] = with_charge
    error["payment_method"] = payment_methods.render(scope, payment_method)
    give_back(scope, intent, dict(sorted(error.items())), latest_charge=charge["id"] if charge else None)


def give_back(scope: Scope, intent: Wire, error: Wire, *, latest_charge: str | None) -> None:
    """Returns the intent to requires_payment_method with `error` as its last_payment_error."""
    scope.update(
        intent,
        last_payment_error=error,
        latest_charge=latest_charge,
        next_action=None,
        payment_method=None,
        processing=None,
        status="requires_payment_method",
    )
    scope.emit("payment_intent.payment_failed", intent)


def _charge(
    scope: Scope, intent: Wire, payment_method: Wire, outcome: Wire, *, captured: bool, authenticated: bool = False
) -> Wire:
    prefix = "ch" if payment_method["type"] == "card" else "py"
    charge_id = scope.new_id(prefix, like=intent["id"])
    described = payment_methods.payment_method_details(scope, payment_method)
    details = charge_shape.card_details(
        scope, described, charge_id=charge_id, amount=intent["amount"], captured=captured
    )
    if authenticated and details["type"] == "card":
        details["card"]["three_d_secure"] = authentication.proof()
    return charge_shape.build(
        scope,
        charge_id,
        amount=intent["amount"],
        currency=intent["currency"],
        payment_method=payment_method["id"],
        details=details,
        billing=payment_method.get("billing_details"),
        outcome_=outcome,
        intent=intent,
        given=intent,
    )


def pay(
    scope: Scope, intent: Wire, payment_method: Wire, outcome: cards.Outcome, *, authenticated: bool = False
) -> Wire:
    """Charges the intent successfully: authorised only for manual capture, otherwise captured at once."""
    manual = _manual(intent, payment_method)
    charge = _charge(
        scope,
        intent,
        payment_method,
        charge_shape.outcome(scope, None, outcome.risk_level),
        captured=not manual,
        authenticated=authenticated,
    )
    charge |= {"paid": True, "status": "succeeded", "receipt_url": charge_shape.receipt_url(charge)}
    charge |= {"captured": not manual, "amount_captured": 0 if manual else charge["amount"]}
    scope.insert(charge)
    scope.hidden(intent["id"])["charged"] = True
    done: dict[str, Any] = {"latest_charge": charge["id"], "next_action": None, "last_payment_error": None}
    _save(scope, intent, payment_method)
    if manual:
        scope.emit("charge.succeeded", charge)
        scope.update(intent, **done, status="requires_capture", amount_capturable=intent["amount"])
        scope.emit("payment_intent.amount_capturable_updated", intent)
        scope.world.schedule(
            scope.world.clock.now() + HOLD_SECONDS, expire_hold, scope.account_id, scope.livemode, intent["id"]
        )
        return charge
    charge_settlement.settle(scope, charge, at_once=outcome.available_at_once)
    scope.emit("charge.succeeded", charge)
    scope.update(
        intent,
        **done,
        status="succeeded",
        amount_received=intent["amount"],
        transfer_group=charge["transfer_group"],
        processing=None,
    )
    scope.emit("payment_intent.succeeded", intent)
    charge_settlement.follow(scope, charge, outcome)
    return charge


def _manual(intent: Wire, payment_method: Wire) -> bool:
    options = (intent.get("payment_method_options") or {}).get(payment_method["type"]) or {}
    return bool(intent["capture_method"] == "manual" or options.get("capture_method") == "manual")


def _save(scope: Scope, intent: Wire, payment_method: Wire) -> None:
    """Keeps the PaymentMethod for later, where setup_future_usage asked for it."""
    options = (intent.get("payment_method_options") or {}).get(payment_method["type"]) or {}
    usage = options.get("setup_future_usage") or intent["setup_future_usage"]
    if not usage or usage == "none":
        return
    if usage == "off_session":
        payment_methods.mark_set_up(scope, payment_method)
    if intent["customer"] and payment_method.get("customer") is None:
        payment_methods.attach(scope, payment_method, intent["customer"])


# ---- bank debits


def _debit(scope: Scope, intent: Wire, payment_method: Wire, outcome: cards.Outcome, how: Confirmation) -> None:
    if outcome.refusal is not None:
        decline(scope, intent, payment_method, outcome.refusal, risk_level=outcome.risk_level)
        raise declined(scope, intent, payment_method, outcome.refusal)
    if not payment_methods.is_verified(scope, payment_method):
        action = authentication.microdeposits(scope, intent, base_url=how.base_url)
        scope.update(intent, status="requires_action", next_action=action)
        scope.emit("payment_intent.requires_action", intent)
        return
    start_processing(scope, intent, payment_method, outcome)


def start_processing(scope: Scope, intent: Wire, payment_method: Wire, outcome: cards.Outcome) -> None:
    """Hands a debit to the bank: the intent is `processing` until the bank answers, days later on the world's clock."""
    _authorise_debit(scope, intent, payment_method)
    charge = _charge(scope, intent, payment_method, charge_shape.outcome(scope, None, "normal"), captured=True)
    charge |= {"captured": True, "amount_captured": charge["amount"], "status": "pending"}
    charge["outcome"] |= {"network_status": "approved_by_network", "seller_message": "Payment complete."}
    scope.insert(charge)
    scope.hidden(intent["id"])["charged"] = True
    scope.emit("charge.pending", charge)
    _save(scope, intent, payment_method)
    scope.update(
        intent,
        status="processing",
        latest_charge=charge["id"],
        next_action=None,
        processing=None,
        last_payment_error=None,
    )
    scope.emit("payment_intent.processing", intent)
    if outcome.bank_stays_processing:
        return
    wait = _DELAYED_SETTLEMENT_SECONDS if outcome.settles_later else BANK_SETTLEMENT_SECONDS
    scope.world.schedule(
        scope.world.clock.now() + wait,
        settle_debit,
        scope.account_id,
        scope.livemode,
        intent["id"],
        outcome.bank_failure,
    )


def _authorise_debit(scope: Scope, intent: Wire, payment_method: Wire) -> None:
    """Sees to the mandate that a debit needs: the one that a set-up or a clone left, else one of this payment's own."""
    if scope.hidden(payment_method["id"]).get("mandate") or scope.get("payment_method", payment_method["id"]) is None:
        return
    once = None if intent["setup_future_usage"] else {"amount": intent["amount"], "currency": intent["currency"]}
    given = scope.hidden(intent["id"]).get("mandate_data")
    mandates.create(scope, payment_method, mandate_data=given, single_use=once, on_behalf_of=intent["on_behalf_of"])


def settle_debit(world: World, account_id: str, livemode: bool, intent_id: str, failure: str | None) -> None:
    """The bank's answer to a debit: paid, or failed with the failure code `failure`."""
    scope = world.scope(account_id, livemode)
    intent = scope.require("payment_intent", intent_id)
    if intent["status"] != "processing":
        return
    charge = scope.require("charge", intent["latest_charge"])
    payment_method = payment_methods.require(scope, intent["payment_method"])
    if failure is not None:
        _fail_debit(scope, intent, charge, payment_method, failure)
        return
    outcome = payment_methods.outcome_of(scope, payment_method)
    scope.update(charge, paid=True, status="succeeded", receipt_url=charge_shape.receipt_url(charge))
    charge_settlement.settle(scope, charge)
    scope.emit("charge.succeeded", charge)
    scope.update(intent, status="succeeded", amount_received=intent["amount"], transfer_group=charge["transfer_group"])
    scope.emit("payment_intent.succeeded", intent)
    charge_settlement.follow(scope, charge, outcome)


def bank_failure_message(failure: str) -> str:
    """What a bank's failure code means, as `failure_message` says it."""
    return _BANK_FAILURES.get(failure, "The bank returned this payment.")


def _fail_debit(scope: Scope, intent: Wire, charge: Wire, payment_method: Wire, failure: str) -> None:
    message = bank_failure_message(failure)
    scope.update(
        charge,
        status="failed",
        paid=False,
        captured=False,
        amount_captured=0,
        failure_code=failure,
        failure_message=message,
    )
    scope.emit("charge.failed", charge)
    error = {
        "charge": charge["id"],
        "code": failure,
        "decline_code": failure,
        "doc_url": charge_shape.doc_url(failure),
        "message": message,
        "payment_method": payment_methods.render(scope, payment_method),
        "type": "card_error",
    }
    give_back(scope, intent, error, latest_charge=charge["id"])


# ---- what happens later


def authenticated(scope: Scope, intent: Wire, outcome_of_challenge: str) -> None:
    """Continues an intent after its 3DS challenge: `succeeded` pays it, anything else gives it back."""
    payment_method = payment_methods.require(scope, intent["payment_method"])
    if outcome_of_challenge != "succeeded":
        error = {
            "code": "payment_intent_authentication_failure",
            "doc_url": charge_shape.doc_url("payment_intent_authentication_failure"),
            "message": _NOT_AUTHENTICATED,
            "payment_method": payment_methods.render(scope, payment_method),
            "type": "invalid_request_error",
        }
        give_back(scope, intent, error, latest_charge=None)
        return
    if intent["confirmation_method"] == "manual":
        scope.hidden(intent["id"])["authenticated"] = True
        scope.update(intent, status="requires_confirmation", next_action=None)
        return
    finish(scope, intent, payment_method)


def finish(scope: Scope, intent: Wire, payment_method: Wire) -> cards.Refusal | None:
    """Charges an intent whose shopper has been authenticated; returns the issuer's refusal, if it refuses still."""
    outcome = payment_methods.outcome_of(scope, payment_method)
    if outcome.refusal is not None:
        decline(scope, intent, payment_method, outcome.refusal, risk_level=outcome.risk_level)
        return outcome.refusal
    pay(scope, intent, payment_method, outcome, authenticated=True)
    return None


def expire_hold(world: World, account_id: str, livemode: bool, intent_id: str) -> None:
    """Lets an authorisation lapse that was not captured in time: charge.expired, and the intent is canceled."""
    scope = world.scope(account_id, livemode)
    intent = scope.get("payment_intent", intent_id)
    if intent is None or intent["status"] != "requires_capture":
        return
    charge = scope.require("charge", intent["latest_charge"])
    release(scope, charge)
    scope.emit("charge.expired", charge)
    scope.update(
        intent, status="canceled", canceled_at=world.clock.now(), cancellation_reason="automatic", amount_capturable=0
    )
    scope.emit("payment_intent.canceled", intent)


def release(scope: Scope, charge: Wire) -> None:
    """Gives an uncaptured authorisation back to the shopper."""
    scope.update(charge, amount_refunded=charge["amount"], refunded=True)


authentication.continue_with("payment_intent", authenticated)
