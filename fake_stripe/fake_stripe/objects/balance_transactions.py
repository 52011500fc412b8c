"""Balance transactions: every movement of an account's money, and the balance that they add up to."""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

DAY = 86_400
_BALANCE = "balance"
_DELAY_DAYS = 7

_CATEGORIES = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_failure_refund": "charge_failure",
    "adjustment": "dispute",
    "application_fee": "platform_earning",
    "application_fee_refund": "platform_earning_refund",
    "transfer": "transfer",
    "transfer_refund": "transfer_reversal",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "topup": "topup",
}


def record(
    scope: Scope,
    kind: str,
    *,
    amount: int,
    currency: str,
    source: str,
    like: str | None = None,
    fee_details: list[Wire] | None = None,
    description: str | None = None,
    at_once: bool = False,
    reporting_category: str | None = None,
) -> Wire:
    """Moves money of `scope`: a balance transaction of type `kind` for `amount` (negative: out), in minor units.

    `like` is an id of the same payment: they share their middle part. `at_once` makes the funds available now instead
    of after the settlement delay, at the midnight (UTC) that ends it.
    """
    now = scope.world.clock.now()
    fees = fee_details or []
    fee = sum(int(part["amount"]) for part in fees)
    available_on = now if at_once else (now // DAY + _DELAY_DAYS) * DAY
    transaction: Wire = {
        "id": scope.new_id("txn", like=like),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": available_on,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": fees,
        "net": amount - fee,
        "reporting_category": reporting_category or _CATEGORIES.get(kind, kind),
        "source": source,
        "status": "available" if at_once else "pending",
        "type": kind,
    }
    _move(scope, transaction)
    return scope.insert(transaction)


def _move(scope: Scope, transaction: Wire) -> None:
    empty = {"available": 0, "pending": 0, "maturing": []}
    state = scope.hidden(_BALANCE).setdefault(transaction["currency"], empty)
    state[transaction["status"]] += transaction["net"]
    # Days, not transactions: what is hidden is duplicated by every call that sees it, and must stay small.
    if transaction["status"] == "pending" and transaction["available_on"] not in state["maturing"][-1:]:
        state["maturing"].append(transaction["available_on"])


def totals(scope: Scope) -> dict[str, tuple[int, int]]:
    """Available and pending minor units by currency, after moving what has matured by the world's clock."""
    now = scope.world.clock.now()
    found: dict[str, tuple[int, int]] = {}
    for currency, state in scope.hidden(_BALANCE).items():
        # In order, since a world's clock only goes forward.
        if state["maturing"] and state["maturing"][0] <= now:
            _mature(scope, state, currency)
        found[currency] = (state["available"], state["pending"])
    return found


def _mature(scope: Scope, state: dict[str, Any], currency: str) -> None:
    now = scope.world.clock.now()
    state["maturing"] = [day for day in state["maturing"] if day > now]
    for transaction in reversed(list(scope.list("balance_transaction", currency=currency))):
        if transaction["status"] == "pending" and transaction["available_on"] <= now:
            state["pending"] -= transaction["net"]
            state["available"] += transaction["net"]
            scope.update(transaction, status="available")


@operation("GET", "/v1/balance_transactions")
def list_all(call: Call) -> Wire:
    """Movements, newest first, by `type`, `source`, `currency`, `payout` and `created`."""
    totals(call.scope)
    params = call.params
    found = call.scope.list("balance_transaction", source=params.get("source"), currency=params.get("currency"))
    kind = params.get("type")
    wanted = (transaction for transaction in found if not kind or transaction["type"] == kind)
    return paginate(call, wanted, "/v1/balance_transactions")


@operation("GET", "/v1/balance_transactions/{id}")
def retrieve(call: Call) -> Wire:
    """One movement."""
    totals(call.scope)
    return call.scope.require("balance_transaction", call.path["id"], in_path=True)


@operation("GET", "/v1/balance/history")
def list_history(call: Call) -> Wire:
    """The older name of the list."""
    return {**list_all(call), "url": "/v1/balance/history"}


@operation("GET", "/v1/balance/history/{id}")
def retrieve_history(call: Call) -> Wire:
    """The older name of one movement."""
    return retrieve(call)
