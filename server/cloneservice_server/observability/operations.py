"""Names of calls to Stripe for labels and spans: without ids, so that there are few of them and none is personal."""

from __future__ import annotations

from cloneservice_server.ports import StripeCall

_COLLECTIONS = frozenset({"account", "accounts", "balance", "charges", "customers", "disputes", "events", "tokens"})
_OBJECTS = frozenset({"payment_intents", "payment_methods", "refunds", "setup_intents", "sources"})
_VERBS = frozenset({"attach", "cancel", "capture", "confirm", "detach", "search"})
_WORDS = _COLLECTIONS | _OBJECTS | _VERBS


def operation_of(call: StripeCall) -> str:
    """`POST /payment_intents/{id}/confirm`: whatever is not one of the words above counts as an id."""
    parts = call.path.removeprefix("/v1/").split("/")
    return f"{call.method} /{'/'.join(part if part in _WORDS else '{id}' for part in parts)}"
