"""What an object looks like to a client of an older API version: the changes of the newer ones taken back.

Objects are kept and handled in the newest shape. Of Stripe's changelog only what was taken away or gated by version
appears here; members that were merely added show in every version, as recordings with old versions have them.
(docs.stripe.com/changelog. `charges` of PaymentIntents before 2022-11-15: `objects.legacy_members`.)
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Wire = dict[str, Any]

OLDEST_UNCHANGED = "2025-03-31"
"""From this version on objects are shown as they are kept."""

_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(\.([a-z]+))?(;.*)?")


@lru_cache(maxsize=256)
def exists(version: str) -> bool:
    """Whether Stripe answers requests of this version, whatever features (`; name=v1`) it asks for besides.

    Versions that are younger than the document are taken when they have a name and their day has come, so that newer
    SDKs work; previews are taken whatever their day.
    """
    from fake_stripe.openapi.catalog import versions  # noqa: PLC0415 - clients that name no version never need it

    match = _VERSION.fullmatch(version)
    if match is None:
        return False
    day, _, name, _ = match.groups()
    if version.partition(";")[0].strip() in versions() or name == "preview":
        return True
    today = datetime.now(UTC).date().isoformat()
    return name is not None and max(versions())[:10] < day <= today


# A charge's outcome is not among them: recorded in 2026 at 2020-08-27, it has the newest members.
_FAILURES = {
    "payment_intent": "last_payment_error",
    "setup_intent": "last_setup_error",
    "setup_attempt": "setup_error",
}


def _with_invoice(obj: Wire) -> Wire:
    """2025-03-31.basil took `invoice` from charges and PaymentIntents; without Billing it was null."""
    if obj["object"] in ("charge", "payment_intent") and "invoice" not in obj and "id" in obj:
        return {**obj, "invoice": None}
    return obj


def _with_older_billing(obj: Wire) -> Wire:
    """2025-03-31.basil moved the period of a subscription to its items, and the payments of an invoice into a list."""
    if obj["object"] == "invoice" and "id" in obj:
        gone = ("charge", "discount", "payment_intent", "quote", "subscription", "tax")
        return {**dict.fromkeys(gone), "paid": obj.get("status") == "paid", "paid_out_of_band": False, **obj}
    items = (obj.get("items") or {}).get("data") if obj["object"] == "subscription" else None
    if not items:
        return obj
    period = {name: items[0].get(name) for name in ("current_period_end", "current_period_start", "plan", "quantity")}
    return {**period, "discount": None, **obj}


def _failure_without(*gone: str) -> Callable[[Wire], Wire]:
    def undo(obj: Wire) -> Wire:
        member = _FAILURES.get(obj["object"], "")
        failure = obj.get(member)
        if not failure or not any(name in failure for name in gone):
            return obj
        return {**obj, member: {name: value for name, value in failure.items() if name not in gone}}

    return undo


# The version that made a change, the members of errors it brought, and how to take it back from an object.
_CHANGES: list[tuple[str, tuple[str, ...], Callable[[Wire], Wire]]] = [
    ("2025-03-31", (), _with_invoice),
    ("2025-03-31", (), _with_older_billing),
    ("2025-01-27", ("advice_code",), _failure_without("advice_code")),
    (
        "2024-12-18",
        ("network_advice_code", "network_decline_code"),
        _failure_without("network_advice_code", "network_decline_code"),
    ),
]


def reshape(obj: Any, version: str) -> Any:
    """The object, and every object inside it, as that version shows them; what is kept is never touched."""
    if version >= OLDEST_UNCHANGED:
        return obj
    return _reshape(obj, [undo for since, _, undo in _CHANGES if version < since])


def _reshape(value: Any, undoing: list[Callable[[Wire], Wire]]) -> Any:
    if isinstance(value, list):
        return [_reshape(item, undoing) if isinstance(item, (dict, list)) else item for item in value]
    if not isinstance(value, dict):
        return value
    shown = {name: _reshape(item, undoing) if isinstance(item, (dict, list)) else item for name, item in value.items()}
    if isinstance(shown.get("object"), str):
        for undo in undoing:
            shown = undo(shown)
    return shown


def reshape_error(members: Wire, version: str) -> Wire:
    """The members of an error object as that version shows them, objects inside included."""
    if version >= OLDEST_UNCHANGED:
        return members
    gone = {name for since, names, _ in _CHANGES if version < since for name in names}
    return {name: reshape(value, version) for name, value in members.items() if name not in gone}
