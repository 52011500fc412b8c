"""What a customer is owed or owes, apart from payments: the invoice balance and the cash balance."""

from __future__ import annotations

from fake_stripe.errors import state_error
from fake_stripe.objects.metadata import merged_metadata, unset_to_none
from fake_stripe.objects.registry import Call, expansion, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

_BASE = "/v1/customers/{customer}/balance_transactions"


def _customer(call: Call) -> Wire:
    return call.scope.require("customer", call.path["customer"], param="customer", in_path=True)


@operation("POST", _BASE)
def adjust(call: Call) -> Wire:
    """Changes the invoice balance by `amount` minor units: below zero is credit, above is owed."""
    scope, params, customer = call.scope, call.params, _customer(call)
    currency = params["currency"]
    if customer["currency"] not in (None, currency):
        text = (
            f"You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or"
            f" invoice item with currency {customer['currency']}"
        )
        raise state_error(text, code=None)
    ending = customer["balance"] + int(params["amount"])
    made = scope.insert(
        {
            "id": scope.new_id("cbtxn"),
            "object": "customer_balance_transaction",
            "amount": int(params["amount"]),
            "checkout_session": None,
            "created": call.now,
            "credit_note": None,
            "currency": currency,
            "customer": customer["id"],
            "customer_account": None,
            "description": unset_to_none(params.get("description")),
            "ending_balance": ending,
            "invoice": None,
            "livemode": scope.livemode,
            "metadata": merged_metadata(None, params.get("metadata")),
            "type": "adjustment",
        }
    )
    previous = scope.update(customer, balance=ending, currency=currency)
    scope.emit("customer.updated", customer, previous)
    return made


@operation("GET", _BASE)
def list_adjustments(call: Call) -> Wire:
    """The changes of the invoice balance, newest first."""
    customer = _customer(call)
    found = call.scope.list("customer_balance_transaction", customer=customer["id"])
    return paginate(call, found, f"/v1/customers/{customer['id']}/balance_transactions")


def _adjustment(call: Call) -> Wire:
    customer = _customer(call)
    found = call.scope.get("customer_balance_transaction", call.path["transaction"])
    if found is None or found["customer"] != customer["id"]:
        raise call.scope.missing(
            "customer_balance_transaction", call.path["transaction"], param="transaction", in_path=True
        )
    return found


@operation("GET", _BASE + "/{transaction}")
def retrieve_adjustment(call: Call) -> Wire:
    """One change of the invoice balance."""
    return _adjustment(call)


@operation("POST", _BASE + "/{transaction}")
def update_adjustment(call: Call) -> Wire:
    """Changes its description and metadata; the amount stands."""
    found, params = _adjustment(call), call.params
    changes: Wire = {}
    if "description" in params:
        changes["description"] = unset_to_none(params["description"])
    if "metadata" in params:
        changes["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    call.scope.update(found, **changes)
    return found


# ---- cash balance


def _cash(scope: Scope, customer: Wire) -> Wire:
    mode = scope.hidden(customer["id"]).get("reconciliation_mode")
    return {
        "object": "cash_balance",
        "available": None,
        "customer": customer["id"],
        "customer_account": None,
        "livemode": scope.livemode,
        "settings": {"reconciliation_mode": mode or "automatic", "using_merchant_default": mode is None},
    }


@expansion("customer", "cash_balance")
def expand_cash_balance(scope: Scope, customer: Wire) -> Wire:
    """The customer's cash balance: no bank transfers are modelled, so nothing is ever available."""
    return _cash(scope, customer)


@operation("GET", "/v1/customers/{customer}/cash_balance")
def retrieve_cash_balance(call: Call) -> Wire:
    """The customer's cash balance."""
    return _cash(call.scope, _customer(call))


@operation("POST", "/v1/customers/{customer}/cash_balance")
def update_cash_balance(call: Call) -> Wire:
    """Chooses how bank transfers are matched to payments."""
    customer = _customer(call)
    mode = (call.params.get("settings") or {}).get("reconciliation_mode")
    if mode:
        hidden = call.scope.hidden(customer["id"])
        hidden["reconciliation_mode"] = None if mode == "merchant_default" else mode
    return _cash(call.scope, customer)
