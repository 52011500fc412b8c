"""Charges: read, changed and captured here; made by PaymentIntents or by the legacy POST /v1/charges."""

from __future__ import annotations

from dataclasses import dataclass

from fake_stripe import cards
from fake_stripe.amounts import below_one, check_amount, check_currency
from fake_stripe.errors import CARD, INVALID_REQUEST, ApiError, card_error, invalid, state_error
from fake_stripe.objects import (
    charge_settlement,
    charge_shape,
    customer_sources,
    legacy_views,
    payment_attempts,
    payment_intents,
    payment_methods,
    tokens,
)
from fake_stripe.objects import payment_intent_params as parameters
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate, search
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

_FEE_WITHOUT_CONNECT = (
    "Can only apply an application_fee when the request is made on behalf of another account (using an OAuth key, the"
    " Stripe-Account header, or the destination parameter)."
)
_BROUGHT = (
    "description", "on_behalf_of", "receipt_email", "statement_descriptor", "statement_descriptor_suffix",
    "transfer_group",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a legacy charge takes its money from: the source as shown, and the same as a PaymentMethod."""

    source: Wire
    view: Wire


_LISTED_OF_A_GROUP = 100  # the OpenAPI document: "limited to 100"


@operation("GET", "/v1/charges")
def list_all(call: Call) -> Wire:
    """Charges, newest first, by `customer`, `payment_intent`, `transfer_group` and `created`.

    Raises:
        ApiError: a transfer group of more charges than Stripe lists (400).
    """
    asked = {name: call.params.get(name) for name in ("customer", "payment_intent", "transfer_group")}
    group = asked["transfer_group"]
    if group and sum(1 for _ in call.scope.list("charge", transfer_group=group)) > _LISTED_OF_A_GROUP:
        raise invalid(f"Too many charges with transfer group: `{group}`", param="transfer_group")
    return paginate(call, call.scope.list("charge", **asked), "/v1/charges")


@operation("GET", "/v1/charges/search")
def search_all(call: Call) -> Wire:
    """Charges that match `query`."""
    return search(call, call.scope.list("charge"), "/v1/charges/search")


def _required(call: Call) -> Wire:
    return call.scope.require("charge", call.path["charge"], param="id", in_path=True)


@operation("GET", "/v1/charges/{charge}")
def retrieve(call: Call) -> Wire:
    """One charge."""
    return _required(call)


@operation("POST", "/v1/charges/{charge}")
def update(call: Call) -> Wire:
    """Changes description, metadata, receipt_email, shipping, transfer_group, customer; emits charge.updated."""
    charge, params = _required(call), call.params
    changes: Wire = {n: params[n] or None for n in ("description", "receipt_email", "transfer_group") if n in params}
    if params.get("customer"):
        changes["customer"] = call.scope.require("customer", params["customer"], param="customer")["id"]
    if "metadata" in params:
        changes["metadata"] = merged_metadata(charge["metadata"], params["metadata"])
    if "shipping" in params:
        changes["shipping"] = parameters.shipping(params["shipping"])
    if isinstance(params.get("fraud_details"), dict):
        changes["fraud_details"] = {name: value for name, value in params["fraud_details"].items() if value}
    previous = call.scope.update(charge, **changes)
    if previous:
        call.scope.emit("charge.updated", charge, previous)
    return charge


# ---- the legacy way to pay


@operation("POST", "/v1/charges")
def create(call: Call) -> Wire:
    """Charges a token, a card or Source, or a customer's source.

    Raises:
        ApiError: nothing to charge, somebody else's source, a wrong amount or fee, a decline (402).
    """
    scope, params = call.scope, call.params
    for name in ("amount", "currency"):
        if params.get(name) in (None, ""):
            raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)
    currency = check_currency(params["currency"])
    if params["amount"] < 1:
        raise below_one("amount")
    check_amount(params["amount"], currency)
    brought = _brought(scope, params)
    parameters.check_account(scope)
    instrument = _instrument(call)
    charge_id = scope.new_id("ch" if instrument.view["type"] == "card" else "py")
    outcome = payment_methods.outcome_of(scope, instrument.view)
    payment_methods.consume(scope, instrument.view, by=charge_id)
    refusal = _refusal(outcome)
    described = payment_methods.payment_method_details(scope, instrument.view)
    capture = params.get("capture") is not False
    charge = charge_shape.build(
        scope,
        charge_id,
        amount=params["amount"],
        currency=currency,
        payment_method=instrument.view["id"],
        details=charge_shape.card_details(
            scope, described, charge_id=charge_id, amount=params["amount"], captured=capture
        ),
        billing=instrument.view["billing_details"],
        outcome_=charge_shape.outcome(scope, refusal, outcome.risk_level),
        given=brought,
    )
    charge["source"] = dict(instrument.source)
    if refusal is not None:
        raise _declined(scope, charge, refusal)
    return _pay(scope, charge, outcome, capture=capture)


def _brought(scope: Scope, params: Wire) -> Wire:
    """What the charge takes over from the parameters, checked."""
    fee = params.get("application_fee_amount", params.get("application_fee"))
    destination = params.get("destination")
    transfer_data = params.get("transfer_data") or None
    if isinstance(destination, str) and destination:
        transfer_data = {"destination": destination}
    elif isinstance(destination, dict):
        transfer_data = {"destination": destination["account"], "amount": destination.get("amount")}
    parameters.check_references(scope, {**params, "transfer_data": transfer_data})
    if fee and scope.is_platform and not transfer_data:
        raise invalid(_FEE_WITHOUT_CONNECT, param="application_fee")
    parameters.check_fee(scope, {"application_fee_amount": fee}, amount=params["amount"], transfer_data=transfer_data)
    return {
        "application_fee_amount": fee,
        "customer": params.get("customer") or None,
        "metadata": merged_metadata({}, params.get("metadata")),
        "shipping": parameters.shipping(params.get("shipping")),
        "transfer_data": transfer_data,
    } | {name: params.get(name) or None for name in _BROUGHT}


def _refusal(outcome: cards.Outcome) -> cards.Refusal | None:
    """Legacy charges cannot run 3DS: a card that asks for it is declined."""
    if outcome.needs_authentication(off_session=False, set_up=False):
        return cards.AUTHENTICATION_REQUIRED
    return outcome.refusal


def _instrument(call: Call) -> Instrument:
    scope, params = call.scope, call.params
    customer_id, source = params.get("customer"), params.get("source") or params.get("card")
    if customer_id:
        customer = scope.require("customer", customer_id, param="customer")
        return _of_customer(scope, customer, source)
    if not source:
        raise invalid("Must provide source or customer.", code="parameter_missing")
    if isinstance(source, str) and source.startswith("src_"):
        found = scope.require("source", source, param="source")
        return Instrument(found, payment_methods.resolve_for_payment(call, source, customer=None, param="source"))
    if isinstance(source, str):
        card, entered = tokens.redeem_card(scope, source, param="source")
        kept = entered.instrument()
    else:
        offered = customer_sources.check(scope, {"object": "card", **source}, param="source")
        if offered.card is None or offered.instrument is None:
            raise invalid("Invalid source object: must be a dictionary or a non-empty string.", param="source")
        card, kept = offered.card, offered.instrument
    shown = {"customer": None, "metadata": {}, **card}
    scope.hidden(shown["id"])["instrument"] = kept
    return Instrument(shown, legacy_views.of_card(scope, shown))


def _of_customer(scope: Scope, customer: Wire, source: object) -> Instrument:
    if not source:
        source = customer.get("default_source")
        if not source:
            text = "Cannot charge a customer that has no active card"
            raise ApiError(402, CARD, text, code="missing", param="card", executed=True)
    found = customer_sources.own(scope, customer["id"], str(source))
    view = legacy_views.find(scope, str(source)) if found is not None else None
    if found is None or view is None:
        text = f"Customer {customer['id']} does not have a linked source with ID {source}."
        raise ApiError(404, INVALID_REQUEST, text, code="missing", param="source")
    return Instrument(found, view)


def _declined(scope: Scope, charge: Wire, refusal: cards.Refusal) -> ApiError:
    scope.insert(charge | charge_shape.failure(refusal))
    scope.emit("charge.failed", scope.require("charge", charge["id"]))
    members = charge_shape.error_members(refusal)
    message, code = members.pop("message"), members.pop("code")
    members.pop("type")
    return card_error(message, code=code, charge=charge["id"], **members)


def _pay(scope: Scope, charge: Wire, outcome: cards.Outcome, *, capture: bool) -> Wire:
    kind = charge["payment_method_details"]["type"]
    charge |= {"captured": capture, "amount_captured": charge["amount"] if capture else 0}
    if kind in payment_attempts.BANK_DEBITS:
        scope.insert(charge | {"status": "pending"})
        charge = scope.require("charge", charge["id"])
        scope.emit("charge.pending", charge)
        at = scope.world.clock.now() + payment_attempts.BANK_SETTLEMENT_SECONDS
        scope.world.schedule(at, settle_debit, scope.account_id, scope.livemode, charge["id"], outcome.bank_failure)
        return charge
    charge |= {"paid": True, "status": "succeeded", "receipt_url": charge_shape.receipt_url(charge)}
    scope.insert(charge)
    if capture:
        charge_settlement.settle(scope, charge, at_once=outcome.available_at_once)
    else:
        at = scope.world.clock.now() + payment_attempts.HOLD_SECONDS
        scope.world.schedule(at, expire_hold, scope.account_id, scope.livemode, charge["id"])
    scope.emit("charge.succeeded", charge)
    if capture:
        charge_settlement.follow(scope, charge, outcome)
    return charge


@operation("POST", "/v1/charges/{charge}/capture")
def capture_charge(call: Call) -> Wire:
    """Captures an authorised charge, all or less (`amount`, minor units); a PaymentIntent's goes with its intent."""
    charge, params, scope = _required(call), call.params, call.scope
    if charge["captured"]:
        raise state_error(f"Charge {charge['id']} has already been captured.", code="charge_already_captured")
    if charge["refunded"] or charge["status"] == "failed":
        text = f"Charge {charge['id']} cannot be captured because it has expired, failed or been refunded."
        raise state_error(text, code="charge_expired_for_capture")
    amount = params.get("amount")
    amount = charge["amount"] if amount in (None, "") else int(amount)
    if amount < 1:
        raise below_one("amount")
    if amount > charge["amount"]:
        raise state_error(payment_intents.CAPTURE_TOO_MUCH, code="amount_too_large", param="amount")
    fee = params.get("application_fee_amount", params.get("application_fee"))
    restated = {"application_fee_amount": fee} if fee is not None else {}
    if params.get("statement_descriptor"):
        restated["statement_descriptor"] = params["statement_descriptor"]
    intent = scope.get("payment_intent", charge["payment_intent"] or "")
    if intent is not None:
        payment_intents.finish_capture(scope, charge, intent, amount=amount, restated=restated)
        return charge
    charge_settlement.capture(scope, charge, amount=amount, restated=restated)
    return charge


def expire_hold(world: World, account_id: str, livemode: bool, charge_id: str) -> None:
    """Lets an authorisation lapse that was not captured in time: charge.expired."""
    scope = world.scope(account_id, livemode)
    charge = scope.require("charge", charge_id)
    if not charge["captured"] and not charge["refunded"]:
        payment_attempts.release(scope, charge)
        scope.emit("charge.expired", charge)


def settle_debit(world: World, account_id: str, livemode: bool, charge_id: str, failure: str | None) -> None:
    """The bank's answer to a legacy debit: paid, or failed with the failure code `failure`."""
    scope = world.scope(account_id, livemode)
    charge = scope.require("charge", charge_id)
    if failure is not None:
        message = payment_attempts.bank_failure_message(failure)
        gone = {"captured": False, "amount_captured": 0, "failure_code": failure, "failure_message": message}
        scope.update(charge, status="failed", paid=False, **gone)
        scope.emit("charge.failed", charge)
        return
    scope.update(charge, paid=True, status="succeeded", receipt_url=charge_shape.receipt_url(charge))
    charge_settlement.settle(scope, charge)
    scope.emit("charge.succeeded", charge)
