"""Payouts: from an account's balance to its external account (docs.stripe.com/api/payouts)."""

from __future__ import annotations

from fake_stripe.amounts import below_one, check_currency
from fake_stripe.errors import invalid, state_error
from fake_stripe.objects import balance_transactions, external_accounts
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

_DAY = 86_400
_ARRIVAL_DAYS = 2
_INSUFFICIENT = (
    "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low. You can use"
    " the"
    " /v1/balance endpoint to view your Stripe balance (for more details, see stripe.com/docs/api#balance)."
)
_NO_DESTINATION = (
    "Sorry, you don't have any external accounts in that currency ({}). You can add one from your account settings"
    " in the"
    " Dashboard."
)
# Last digits of Stripe's test bank accounts that refuse a payout (docs.stripe.com/connect/testing#account-numbers).
_FAILING = {
    "1116": "no_account",
    "1113": "account_closed",
    "2227": "insufficient_funds",
    "3335": "debit_not_authorized",
}


@operation("POST", "/v1/payouts")
def create(call: Call) -> Wire:
    """Pays `amount` minor units of the available balance out; it arrives two days later on the world's clock.

    Raises:
        ApiError: no external account in that currency, or less available than that (400).
    """
    scope, params = call.scope, call.params
    currency = check_currency(params["currency"])
    if params["amount"] < 1:
        raise below_one("amount")
    destination = _destination(scope, params.get("destination"), currency)
    if balance_transactions.totals(scope).get(currency, (0, 0))[0] < params["amount"]:
        raise state_error(_INSUFFICIENT, code="balance_insufficient")
    payout_id = scope.new_id("po")
    taken = balance_transactions.record(
        scope,
        "payout",
        amount=-params["amount"],
        currency=currency,
        source=payout_id,
        description="STRIPE PAYOUT",
        at_once=True,
    )
    arrival = (call.now // _DAY + _ARRIVAL_DAYS) * _DAY
    payout = scope.insert(_shape(call, payout_id, destination, currency, taken["id"], arrival=arrival))
    scope.emit("payout.created", payout)
    call.world.schedule(arrival, arrive, scope.account_id, scope.livemode, payout_id)
    return payout


def _shape(call: Call, payout_id: str, destination: Wire, currency: str, taken: str, *, arrival: int) -> Wire:
    params = call.params
    return {
        "id": payout_id,
        "object": "payout",
        "amount": params["amount"],
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": arrival,
        "automatic": False,
        "balance_transaction": taken,
        "created": call.now,
        "currency": currency,
        "description": params.get("description") or None,
        "destination": destination["id"],
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": call.livemode,
        "metadata": merged_metadata({}, params.get("metadata")),
        "method": params.get("method") or "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": params.get("source_type") or "card",
        "statement_descriptor": params.get("statement_descriptor") or None,
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": destination["object"],
    }


def _destination(scope: Scope, named: str | None, currency: str) -> Wire:
    if named:
        return external_accounts.require(scope, named, param="destination", in_path=False)
    found = external_accounts.default_of(scope, currency)
    if found is None:
        raise invalid(_NO_DESTINATION.format(currency))
    return found


def arrive(world: World, account_id: str, livemode: bool, payout_id: str) -> None:
    """The bank's answer to a payout: payout.paid, or payout.failed for a test account that refuses it."""
    scope = world.scope(account_id, livemode)
    payout = scope.require("payout", payout_id)
    if payout["status"] != "pending":
        return
    external = scope.get("bank_account", payout["destination"])
    failure = _FAILING.get(external["last4"]) if external else None
    if failure is None:
        traced = {"status": "supported", "value": world.ids.text(15).upper()}
        scope.update(payout, status="paid", trace_id=traced)
        scope.emit("payout.paid", payout)
        return
    back = _give_back(scope, payout, "payout_failure")
    message = "The bank could not take this payout."
    scope.update(
        payout, status="failed", failure_code=failure, failure_message=message, failure_balance_transaction=back
    )
    scope.emit("payout.failed", payout)


def _give_back(scope: Scope, payout: Wire, kind: str) -> str:
    amount, currency = payout["amount"], payout["currency"]
    back = balance_transactions.record(
        scope, kind, amount=amount, currency=currency, source=payout["id"], like=payout["id"], at_once=True
    )
    return str(back["id"])


@operation("GET", "/v1/payouts")
def list_all(call: Call) -> Wire:
    """Payouts, newest first, by `destination` and `status`."""
    asked = {name: call.params.get(name) for name in ("destination", "status")}
    return paginate(call, call.scope.list("payout", **asked), "/v1/payouts")


@operation("GET", "/v1/payouts/{payout}")
def retrieve(call: Call) -> Wire:
    """One payout."""
    return call.scope.require("payout", call.path["payout"], param="id", in_path=True)


@operation("POST", "/v1/payouts/{payout}")
def update(call: Call) -> Wire:
    """Changes the metadata of a payout; emits payout.updated."""
    payout = retrieve(call)
    if "metadata" in call.params:
        metadata = merged_metadata(payout["metadata"], call.params["metadata"])
        call.scope.emit("payout.updated", payout, call.scope.update(payout, metadata=metadata))
    return payout


@operation("POST", "/v1/payouts/{payout}/cancel")
def cancel(call: Call) -> Wire:
    """Takes a payout back that is still pending; emits payout.canceled.

    Raises:
        ApiError: it has been paid, has failed or was canceled (400).
    """
    payout = retrieve(call)
    if payout["status"] != "pending":
        text = f"Payouts can only be canceled while they are pending; this one is {payout['status']}."
        raise state_error(text, code="payouts_not_allowed")
    back = _give_back(call.scope, payout, "payout_cancel")
    call.scope.update(payout, status="canceled", failure_balance_transaction=back)
    call.scope.emit("payout.canceled", payout)
    return payout
