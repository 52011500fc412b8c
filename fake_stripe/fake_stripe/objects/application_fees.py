"""Application fees: what the platform earns from its connected accounts' payments, and their refunds.

The objects live on the platform; the charges that they name live on the connected accounts.
"""

from __future__ import annotations

from typing import Any

from fake_stripe.amounts import below_one, spelt
from fake_stripe.errors import state_error
from fake_stripe.objects import balance_transactions
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import list_object, paginate
from fake_stripe.scope import Scope, Wire


def collect(scope: Scope, charge: Wire, *, amount: int, originating: str | None = None) -> Wire:
    """Takes `amount` minor units of a charge of `scope` for the platform; returns the new application fee.

    `originating` is the platform's own charge, where the fee comes out of a destination charge.
    """
    home = scope.world.platform_scope(scope.livemode)
    fee_id = home.new_id("fee")
    transaction = balance_transactions.record(
        home,
        "application_fee",
        amount=amount,
        currency=charge["currency"],
        source=fee_id,
        description=None,
    )
    return home.insert(
        {
            "id": fee_id,
            "object": "application_fee",
            "account": scope.account_id,
            "amount": amount,
            "amount_refunded": 0,
            "application": scope.world.application,
            "balance_transaction": transaction["id"],
            "charge": charge["id"],
            "created": scope.world.clock.now(),
            "currency": charge["currency"],
            "fee_source": {"charge": charge["id"], "type": "charge"},
            "livemode": scope.livemode,
            "originating_transaction": originating,
            "refunded": False,
            "refunds": list_object([], f"/v1/application_fees/{fee_id}/refunds", total_count=0),
        }
    )


def announce(scope: Scope, fee_id: str) -> None:
    """Tells the platform of a fee: application_fee.created."""
    home = scope.world.platform_scope(scope.livemode)
    home.emit("application_fee.created", home.require("application_fee", fee_id))


def give_back(home: Scope, fee: Wire, amount: int, *, metadata: dict[str, str] | None = None) -> Wire:
    """Refunds `amount` minor units of a fee from the platform (`home`) to the account that paid it.

    Raises:
        ApiError: more than the fee, or than what is left of it.
    """
    rest = fee["amount"] - fee["amount_refunded"]
    if amount > fee["amount"]:
        raise _too_much(amount, fee["amount"], fee["currency"], "fee amount")
    if amount > rest:
        raise _too_much(amount, rest, fee["currency"], "unrefunded amount on fee")
    refund_id = home.new_id("fr")
    transaction = balance_transactions.record(
        home, "application_fee_refund", amount=-amount, currency=fee["currency"], source=refund_id
    )
    refund = home.insert(
        {
            "id": refund_id,
            "object": "fee_refund",
            "amount": amount,
            "balance_transaction": transaction["id"],
            "created": home.world.clock.now(),
            "currency": fee["currency"],
            "fee": fee["id"],
            "metadata": metadata or {},
        }
    )
    _credit(home, fee, amount)
    _show(home, fee, amount_refunded=fee["amount_refunded"] + amount, refunded=amount == rest)
    home.emit("application_fee.refunded", fee)
    return refund


def _credit(home: Scope, fee: Wire, amount: int) -> None:
    seller = home.world.scope(fee["account"], home.livemode)
    balance_transactions.record(
        seller,
        "adjustment",
        amount=amount,
        currency=fee["currency"],
        source=fee["charge"],
        reporting_category="platform_earning_refund",
        description="Application fee refund",
    )


def _too_much(amount: int, limit: int, currency: str, what: str) -> Exception:
    text = f"Refund amount ({spelt(amount, currency)}) is greater than {what} ({spelt(limit, currency)})"
    return state_error(text, code=None, param="amount")


def _show(home: Scope, fee: Wire, **changes: Any) -> None:
    data = [dict(refund) for refund in home.list("fee_refund", fee=fee["id"])]
    listed = list_object(data[:10], f"/v1/application_fees/{fee['id']}/refunds", has_more=len(data) > 10)
    home.update(fee, refunds={**listed, "total_count": len(data)}, **changes)


@operation("GET", "/v1/application_fees")
def list_all(call: Call) -> Wire:
    """The platform's fees, newest first; `charge` narrows the list."""
    return paginate(call, call.scope.list("application_fee", charge=call.params.get("charge")), "/v1/application_fees")


@operation("GET", "/v1/application_fees/{id}")
def retrieve(call: Call) -> Wire:
    """One fee."""
    return call.scope.require("application_fee", call.path["id"], in_path=True)


@operation("POST", "/v1/application_fees/{id}/refunds")
def refund(call: Call) -> Wire:
    """Refunds a fee to the connected account, whole or in part (`amount`, minor units)."""
    fee = call.scope.require("application_fee", call.path["id"], in_path=True)
    return give_back(call.scope, fee, _amount(call, fee), metadata=merged_metadata({}, call.params.get("metadata")))


@operation("POST", "/v1/application_fees/{id}/refund")
def refund_whole(call: Call) -> Wire:
    """The older call: refunds, and answers with the fee."""
    fee = call.scope.require("application_fee", call.path["id"], in_path=True)
    give_back(call.scope, fee, _amount(call, fee))
    return fee


def _amount(call: Call, fee: Wire) -> int:
    amount = call.params.get("amount")
    if amount is None:
        amount = fee["amount"] - fee["amount_refunded"]
    if amount < 1:
        if fee["refunded"]:
            text = f"Application fee {fee['id']} has already been refunded."
            raise state_error(text, code="application_fee_already_refunded")
        raise below_one("amount")
    return int(amount)


@operation("GET", "/v1/application_fees/{id}/refunds")
def list_refunds(call: Call) -> Wire:
    """The refunds of a fee, newest first."""
    fee = call.scope.require("application_fee", call.path["id"], in_path=True)
    found = call.scope.list("fee_refund", fee=fee["id"])
    return paginate(call, found, f"/v1/application_fees/{fee['id']}/refunds")


@operation("GET", "/v1/application_fees/{fee}/refunds/{id}")
def retrieve_refund(call: Call) -> Wire:
    """One refund of a fee."""
    return _refund_of(call)


@operation("POST", "/v1/application_fees/{fee}/refunds/{id}")
def update_refund(call: Call) -> Wire:
    """Changes the metadata of a fee's refund; emits application_fee.refund.updated."""
    found = _refund_of(call)
    if "metadata" in call.params:
        metadata = merged_metadata(found["metadata"], call.params["metadata"])
        previous = call.scope.update(found, metadata=metadata)
        call.scope.emit("application_fee.refund.updated", found, previous)
    return found


def _refund_of(call: Call) -> Wire:
    fee = call.scope.require("application_fee", call.path["fee"], param="fee", in_path=True)
    found = call.scope.get("fee_refund", call.path["id"])
    if found is None or found["fee"] != fee["id"]:
        raise call.scope.missing("fee_refund", call.path["id"], in_path=True)
    return found
