"""Refunds: of charges and PaymentIntents, with the application fee and the transfer that belonged to them."""

from __future__ import annotations

from typing import Any

from fake_stripe.amounts import below_one, spelt
from fake_stripe.errors import invalid, state_error
from fake_stripe.objects import application_fees, balance_transactions, payment_attempts, transfers
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, expansion, operation
from fake_stripe.render.lists import first_page, paginate
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

_LATER_SECONDS = 60
"""How long a test refund stays pending, or pretends to have succeeded, before its end shows."""


@operation("POST", "/v1/refunds")
def create(call: Call) -> Wire:
    """Refunds a charge, or the charge of a PaymentIntent, whole or in part.

    Raises:
        ApiError: already refunded, disputed, more than there is.
    """
    return refund(call.scope, _charge_of(call), call.params)


@operation("POST", "/v1/charges/{charge}/refunds")
def create_of_charge(call: Call) -> Wire:
    """The same on the charge's own path."""
    return refund(call.scope, call.scope.require("charge", call.path["charge"], param="id", in_path=True), call.params)


@operation("POST", "/v1/charges/{charge}/refund")
def create_and_show_charge(call: Call) -> Wire:
    """The oldest form: refunds, and answers with the charge."""
    charge = call.scope.require("charge", call.path["charge"], param="id", in_path=True)
    refund(call.scope, charge, call.params)
    return charge


def _charge_of(call: Call) -> Wire:
    scope, params = call.scope, call.params
    named, intent_id = params.get("charge"), params.get("payment_intent")
    if named and intent_id:
        text = "You may only specify one of these parameters: charge, payment_intent."
        raise invalid(text, code="parameters_exclusive")
    if named:
        return scope.require("charge", named, param="charge")
    if not intent_id:
        text = "One of the following params should be provided for this request: payment_intent or charge."
        raise invalid(text, code="parameter_missing")
    intent = scope.require("payment_intent", intent_id, param="payment_intent")
    charge = scope.get("charge", intent["latest_charge"] or "")
    if charge is None or charge["status"] == "failed":
        text = f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
        raise state_error(text, code="payment_intent_unexpected_state", param="payment_intent")
    return charge


def refund(scope: Scope, charge: Wire, params: Wire) -> Wire:
    """Refunds `charge` of `scope` as `params` ask (amount in minor units, reason, metadata, the two return flags)."""
    amount = _checked_amount(scope, charge, params.get("amount"))
    fee, transfer = _returned_too(scope, charge, params)
    if not charge["captured"]:
        return _let_go(scope, charge, params)
    behaviour = scope.hidden(charge["id"]).get("refund", "succeeds")
    status = "pending" if behaviour == "pending" or charge["payment_method_details"]["type"] != "card" else "succeeded"
    made = _build(scope, charge, amount, params, status=status)
    if fee is not None:
        _return_fee(scope, fee, charge, amount)
    if transfer is not None:
        _return_transfer(scope, transfer, charge, amount, refund=made)
    gone = charge["amount_refunded"] + amount
    reported = {"user_report": "fraudulent"} if made["reason"] == "fraudulent" else charge["fraud_details"]
    scope.update(charge, amount_refunded=gone, refunded=gone == charge["amount"], fraud_details=reported)
    scope.emit("charge.refunded", charge)
    scope.emit("refund.created", made)
    if status == "pending" or behaviour == "fails":
        at = scope.world.clock.now() + _LATER_SECONDS
        end = "failed" if behaviour == "fails" else "succeeded"
        scope.world.schedule(at, end_refund, scope.account_id, scope.livemode, made["id"], end)
    return made


def _checked_amount(scope: Scope, charge: Wire, asked: Any) -> int:
    if asked is not None and int(asked) < 1:
        raise below_one("amount")
    if charge["status"] == "failed":
        text = f"Charge {charge['id']} cannot be refunded because it has not succeeded."
        raise state_error(text, code="charge_not_refundable")
    _refuse_released(scope, charge, asked)
    if charge["refunded"]:
        raise state_error(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    dispute = scope.get("dispute", charge["dispute"] or "")
    if dispute is not None and not dispute["is_charge_refundable"] and dispute["status"] != "won":
        text = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise state_error(text, code="charge_disputed")
    rest = charge["amount"] - charge["amount_refunded"]
    amount = rest if asked is None else int(asked)
    currency = charge["currency"]
    if amount > charge["amount"]:
        raise _too_much(amount, charge["amount"], currency, "charge amount")
    if amount > rest:
        raise _too_much(amount, rest, currency, "unrefunded amount on charge")
    return amount


def _refuse_released(scope: Scope, charge: Wire, asked: Any) -> None:
    """A hold goes back as a whole, and once it was cancelled there is nothing to give back."""
    intent = scope.get("payment_intent", charge["payment_intent"] or "")
    if charge["captured"]:
        return
    if intent is not None and intent["status"] == "canceled":
        text = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise state_error(text, code="payment_intent_unexpected_state", param="charge")
    if asked is not None and int(asked) < charge["amount"]:
        text = (
            "You cannot partially refund an uncaptured charge. Instead, capture the charge for an amount less than the"
            " original amount"
        )
        raise state_error(text, code=None, param="amount")


def _too_much(amount: int, limit: int, currency: str, what: str) -> Exception:
    text = f"Refund amount ({spelt(amount, currency)}) is greater than {what} ({spelt(limit, currency)})"
    return state_error(text, code=None, param="amount")


def _build(scope: Scope, charge: Wire, amount: int, params: Wire, *, status: str) -> Wire:
    prefix = "re" if charge["id"].startswith("ch_") else "pyr"
    refund_id = scope.new_id(prefix, like=charge["id"])
    kind = charge["payment_method_details"]["type"]
    transaction: str | None = None
    if charge["captured"]:
        transaction = balance_transactions.record(
            scope,
            "refund" if prefix == "re" else "payment_refund",
            amount=-amount,
            currency=charge["currency"],
            source=refund_id,
            like=charge["id"],
            description="REFUND FOR CHARGE" + (f" ({charge['description']})" if charge["description"] else ""),
        )["id"]
    details: Wire = {"card": {}, "type": "card"} if kind == "card" else {kind: {}, "type": kind}
    if kind == "card":
        details["card"] = {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        }
    made: Wire = {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction,
        "charge": charge["id"],
        "created": scope.world.clock.now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": details,
        "metadata": merged_metadata({}, params.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason") or None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    if status == "pending":
        made["pending_reason"] = "processing"
    return scope.insert(made)


def _let_go(scope: Scope, charge: Wire, params: Wire) -> Wire:
    """A refund of what was only authorised: the hold is released, its PaymentIntent canceled."""
    made = _build(scope, charge, charge["amount"], params, status="succeeded")
    payment_attempts.release(scope, charge)
    scope.emit("charge.refunded", charge)
    scope.emit("refund.created", made)
    intent = scope.get("payment_intent", charge["payment_intent"] or "")
    if intent is not None and intent["status"] == "requires_capture":
        now = scope.world.clock.now()
        scope.update(intent, status="canceled", canceled_at=now, amount_capturable=0)
        scope.emit("payment_intent.canceled", intent)
    return made


def _returned_too(scope: Scope, charge: Wire, params: Wire) -> tuple[Wire | None, Wire | None]:
    """The application fee and the transfer that the refund is to return with it; raises where the charge has none."""
    fee: Wire | None = None
    transfer: Wire | None = None
    if params.get("refund_application_fee"):
        home = scope.world.platform_scope(scope.livemode)
        fee = home.get("application_fee", charge["application_fee"] or "")
        if fee is None:
            text = f"Charge {charge['id']} has no application fee that could be refunded."
            raise state_error(text, code=None, param="refund_application_fee")
    if params.get("reverse_transfer"):
        transfer = scope.get("transfer", charge.get("transfer") or "")
        if transfer is None:
            text = f"Charge {charge['id']} has no transfer that could be reversed."
            raise state_error(text, code=None, param="reverse_transfer")
    return fee, transfer


def _return_fee(scope: Scope, fee: Wire, charge: Wire, amount: int) -> None:
    """Returns the platform's fee in proportion to the refund; the rest of it with a full refund."""
    share = _share(fee["amount"], fee["amount"] - fee["amount_refunded"], charge, amount)
    if share > 0:
        application_fees.give_back(scope.world.platform_scope(scope.livemode), fee, share)


def _return_transfer(scope: Scope, transfer: Wire, charge: Wire, amount: int, *, refund: Wire) -> None:
    share = _share(transfer["amount"], transfer["amount"] - transfer["amount_reversed"], charge, amount)
    if share > 0:
        reversal = transfers.take_back(scope, transfer, share, refund=refund["id"])
        scope.update(refund, transfer_reversal=reversal["id"])


def _share(whole: int, rest: int, charge: Wire, amount: int) -> int:
    """What of `whole` goes back with a refund of `amount`: its proportion; all the rest with the last of the charge."""
    if charge["amount_refunded"] + amount == charge["amount"]:
        return rest
    total = int(charge["amount"])
    return min(rest, (whole * amount + total // 2) // total)


def end_refund(world: World, account_id: str, livemode: bool, refund_id: str, status: str) -> None:
    """How a test refund ends later: a pending one succeeds, one of the refund-fail card fails."""
    scope = world.scope(account_id, livemode)
    made = scope.require("refund", refund_id)
    if made["status"] in ("failed", "canceled") or made["status"] == status:
        return
    if status == "succeeded":
        scope.update(made, status=status, pending_reason=None)
    else:
        charge = scope.require("charge", made["charge"])
        back = balance_transactions.record(
            scope, "refund_failure", amount=made["amount"], currency=made["currency"], source=refund_id, like=refund_id
        )
        scope.update(
            made,
            status="failed",
            failure_reason="expired_or_canceled_card",
            failure_balance_transaction=back["id"],
        )
        scope.update(charge, amount_refunded=charge["amount_refunded"] - made["amount"], refunded=False)
        scope.emit("refund.failed", made)
    scope.emit("charge.refund.updated", made)
    scope.emit("refund.updated", made)


@expansion("charge", "refunds")
def refunds_of(scope: Scope, charge: Wire) -> Wire:
    """The `refunds` of a charge, which appear when they are expanded: the ten newest."""
    data = list(scope.list("refund", charge=charge["id"]))
    url = f"/v1/charges/{charge['id']}/refunds"
    return first_page(data, url)


@operation("GET", "/v1/refunds")
def list_all(call: Call) -> Wire:
    """Refunds, newest first, by `charge` and `payment_intent`."""
    asked = {name: call.params.get(name) for name in ("charge", "payment_intent")}
    return paginate(call, call.scope.list("refund", **asked), "/v1/refunds")


@operation("GET", "/v1/charges/{charge}/refunds")
def list_of_charge(call: Call) -> Wire:
    """The refunds of one charge, newest first."""
    charge = call.scope.require("charge", call.path["charge"], param="id", in_path=True)
    return paginate(call, call.scope.list("refund", charge=charge["id"]), f"/v1/charges/{charge['id']}/refunds")


@operation("GET", "/v1/charges/{charge}/refunds/{refund}")
@operation("GET", "/v1/refunds/{refund}")
def retrieve(call: Call) -> Wire:
    """One refund."""
    return call.scope.require("refund", call.path["refund"], param="id", in_path=True)


@operation("POST", "/v1/charges/{charge}/refunds/{refund}")
@operation("POST", "/v1/refunds/{refund}")
def update(call: Call) -> Wire:
    """Changes the metadata of a refund; emits refund.updated."""
    made = retrieve(call)
    if "metadata" in call.params:
        previous = call.scope.update(made, metadata=merged_metadata(made["metadata"], call.params["metadata"]))
        if previous:
            call.scope.emit("charge.refund.updated", made, previous)
            call.scope.emit("refund.updated", made, previous)
    return made


@operation("POST", "/v1/refunds/{refund}/cancel")
def cancel(call: Call) -> Wire:
    """Cancels a refund that waits for the customer; any other is refused."""
    made = retrieve(call)
    if made["status"] != "requires_action":
        text = f"You cannot cancel this Refund because it has a status of {made['status']}."
        raise state_error(text, code=None)
    call.scope.update(made, status="canceled")
    return made
