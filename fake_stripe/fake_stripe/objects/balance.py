"""The balance of an account: what its balance transactions add up to."""

from __future__ import annotations

from fake_stripe.objects import accounts, balance_transactions
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Wire


@operation("GET", "/v1/balance")
def retrieve(call: Call) -> Wire:
    """Available and pending funds by currency, the account's own currency always among them."""
    own = accounts.account_of(call.world, call.scope.account_id, livemode=call.livemode)["default_currency"]
    totals = {own: (0, 0)} | balance_transactions.totals(call.scope)
    available = [_part(currency, sums[0]) for currency, sums in sorted(totals.items())]
    pending = [_part(currency, sums[1]) for currency, sums in sorted(totals.items())]
    balance: Wire = {"object": "balance", "available": available}
    if call.scope.is_platform:
        balance["connect_reserved"] = [{"amount": 0, "currency": currency} for currency in sorted(totals)]
        balance["issuing"] = {"available": [{"amount": 0, "currency": own}]}
    if own == "usd":
        balance["instant_available"] = [_part(own, max(sum(totals[own]), 0))]
    return balance | {
        "livemode": call.livemode,
        "pending": pending,
        "refund_and_dispute_prefunding": {
            "available": [{"amount": 0, "currency": own}],
            "pending": [{"amount": 0, "currency": own}],
        },
    }


def _part(currency: str, amount: int) -> Wire:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}
