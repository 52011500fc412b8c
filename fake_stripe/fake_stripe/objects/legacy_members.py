"""Members that API versions before 2022-11-15 show without being asked: a charge's refunds, an intent's charges.

(docs.stripe.com/upgrades, 2022-11-15.) Requests that name no version get them, too: the default version of the account
that they speak for may be older than that, and more members than expected harm nobody.
"""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.refunds import refunds_of
from fake_stripe.objects.registry import expansion
from fake_stripe.render.lists import list_object
from fake_stripe.scope import Scope, Wire

LAST_VERSION = "2022-11-15"
_REFERENCES = ("charge", "latest_charge", "payment_intent", "source", "data", "refunds")


def complete(scope: Scope, value: Wire) -> Wire:
    """`value` with the old members of every charge and PaymentIntent in it; stored objects stay as they are."""
    kind = value.get("object")
    shown = value
    if kind == "charge" and value.get("id"):
        refunds = {} if "refunds" in value else {"refunds": refunds_of(scope, value)}
        shown = {"invoice": None, **value, **refunds}
    elif kind == "payment_intent":
        shown = {"charges": charges_of(scope, value), "invoice": None} | value
    for name in _REFERENCES:
        inside = shown.get(name)
        if isinstance(inside, dict) and "object" in inside:
            shown = _with(shown, value, name, complete(scope, inside))
        elif isinstance(inside, list) and inside and kind in ("list", "search_result"):
            shown = _with(shown, value, name, [complete(scope, o) if isinstance(o, dict) else o for o in inside])
    return shown


def _with(shown: Wire, original: Wire, name: str, value: Any) -> Wire:
    if shown is original:
        shown = dict(shown)
    shown[name] = value
    return shown


@expansion("payment_intent", "charges")
def charges_of(scope: Scope, intent: Wire) -> Wire:
    """The `charges` of a PaymentIntent, newest first, as before 2022-11-15: only the latest is embedded."""
    named = intent["latest_charge"]
    latest = named if isinstance(named, dict) else scope.get("charge", named or "")
    data = [] if latest is None else [complete(scope, latest)]
    url = f"/v1/charges?payment_intent={intent['id']}"
    return list_object(data, url, total_count=len(data))
