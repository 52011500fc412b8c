"""What objects of fixtures must say to be worth keeping: amounts, periods and states of Billing's objects.

No more than arithmetic on the parameters: what Stripe works out by charging somebody is left as the fixture has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fake_stripe.objects.registry import Call
from fake_stripe.scope import Scope, Wire

DAY = 86_400
_INTERVALS = {"day": 1, "week": 7, "month": 30, "year": 365}


def complete(call: Call, made: Wire) -> Wire:
    """A new object with what its type's rules add to the fixture."""
    rule = _RULES.get(made["object"])
    return made | rule(call, made) if rule else made


def _price(call: Call, made: Wire) -> Wire:
    amount = made.get("unit_amount")
    shown: Wire = {"type": "recurring" if call.params.get("recurring") else "one_time"}
    if isinstance(amount, int):
        shown["unit_amount_decimal"] = str(amount)
    if call.params.get("product_data"):
        shown["product"] = call.scope.new_id("prod")
    return shown


def _coupon(call: Call, made: Wire) -> Wire:
    return {"valid": True, "times_redeemed": 0, "percent_off": call.params.get("percent_off", made.get("percent_off"))}


def _invoice(call: Call, made: Wire) -> Wire:
    return {"status": "draft", "currency": call.params.get("currency") or made["currency"], "attempted": False}


def _subscription(call: Call, made: Wire) -> Wire:
    """Active, trialing or incomplete, with items of its own and one period from now on."""
    params, now = call.params, call.now
    days = params.get("trial_period_days")
    trial_end = now + days * DAY if days else params.get("trial_end")
    trial_end = trial_end if isinstance(trial_end, int) else None
    status = "incomplete" if params.get("payment_behavior") == "default_incomplete" else "active"
    items = [_subscription_item(call, made, item, trial_end) for item in made["items"]["data"]]
    url = f"/v1/subscription_items?subscription={made['id']}"
    shown: Wire = {
        "billing_cycle_anchor": trial_end or now,
        "items": made["items"] | {"data": items, "total_count": len(items), "url": url},
        "status": "trialing" if trial_end else status,
        "trial_end": trial_end,
        "trial_start": now if trial_end else None,
    }
    if items:
        shown["currency"] = items[0]["price"]["currency"]
    return shown


def _subscription_item(call: Call, made: Wire, item: Wire, trial_end: int | None) -> Wire:
    price = item["price"]
    recurring = price.get("recurring") or {}
    length = _INTERVALS.get(recurring.get("interval", "month"), 30) * (recurring.get("interval_count") or 1)
    return item | {
        "id": call.scope.new_id("si"),
        "created": call.now,
        "current_period_end": trial_end or call.now + length * DAY,
        "current_period_start": call.now,
        "plan": _plan(price),
        "quantity": item.get("quantity") or 1,
        "subscription": made["id"],
        "tax_rates": item.get("tax_rates") or [],
    }


def _plan(price: Wire) -> Wire:
    """The price as the older `plan`, which items still show."""
    recurring = price.get("recurring") or {}
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring.get("interval", "month"),
        "interval_count": recurring.get("interval_count", 1),
        "livemode": price["livemode"],
        "metadata": {},
        "meter": recurring.get("meter"),
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring.get("usage_type", "licensed"),
    }


def _session(call: Call, made: Wire) -> Wire:
    """An open Checkout Session; its line items show when they are expanded, as on Stripe."""
    params, mode = call.params, call.params.get("mode") or "payment"
    total, currency = _sum(call.scope, params.get("line_items") or [])
    hosted = params.get("ui_mode") in (None, "hosted", "hosted_page")
    id_ = made["id"]
    return {
        "amount_subtotal": total,
        "amount_total": total,
        "client_secret": None if hosted else f"{id_}_secret_{call.world.ids.text(32)}",
        "currency": params.get("currency") or currency,
        "expires_at": params.get("expires_at") or call.now + DAY,
        "mode": mode,
        "payment_method_types": params.get("payment_method_types") or ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "status": "open",
        "url": f"https://checkout.stripe.com/c/pay/{id_}" if hosted else None,
    }


def _sum(scope: Scope, items: list[Any]) -> tuple[int | None, str | None]:
    total, currency = 0, None
    for item in items:
        price = item.get("price_data") or scope.get("price", item.get("price") or "") or {}
        total += (price.get("unit_amount") or 0) * (item.get("quantity") or 1)
        currency = currency or price.get("currency")
    return (total, currency) if items else (None, None)


_RULES: dict[str, Callable[[Call, Wire], Wire]] = {
    "checkout.session": _session,
    "coupon": _coupon,
    "invoice": _invoice,
    "price": _price,
    "quote": lambda _call, _made: {"status": "draft"},
    "subscription": _subscription,
}
