"""For each kind of call, the reasons with which Stripe may refuse it for good: what the contract's comments rest on.

Reasons that any call may meet (rate limits, lost answers, our own mistakes) are not here. A bad value of the caller is
INVALID_REQUEST wherever `field_paths` knows the field, so neither is that.
"""

from __future__ import annotations

_ACCOUNT = frozenset({"CONNECTED_ACCOUNT_UNAVAILABLE"})
_CONFIRM = _ACCOUNT | {
    "AUTHENTICATION_REQUIRED",
    "CAPABILITY_MISSING",
    "CARD_DECLINED",
    "CLONE_NOT_USABLE",
    "INVALID_STATE",
    "RESOURCE_NOT_FOUND",
}
_OF_INTENT = _ACCOUNT | {"INVALID_STATE", "RESOURCE_NOT_FOUND"}

STEPS: dict[str, frozenset[str]] = {
    "platform_read": frozenset({"RESOURCE_NOT_FOUND"}),
    "platform_customer": frozenset(),
    "platform_attach": frozenset({"CARD_DECLINED", "INVALID_STATE", "NOT_CLONEABLE", "RESOURCE_NOT_FOUND"}),
    "platform_default": frozenset({"RESOURCE_NOT_FOUND"}),
    "platform_delete": frozenset({"INVALID_STATE", "RESOURCE_NOT_FOUND"}),
    "setup": frozenset({"INVALID_STATE", "RESOURCE_NOT_FOUND"}),
    "read": _ACCOUNT | {"RESOURCE_NOT_FOUND"},
    "account_read": _ACCOUNT,
    "clone_read": _ACCOUNT | {"CLONE_NOT_USABLE", "RESOURCE_NOT_FOUND"},
    "clone": _ACCOUNT | {"NOT_CLONEABLE", "RESOURCE_NOT_FOUND"},
    "customer": _ACCOUNT | {"CARD_DECLINED", "CLONE_NOT_USABLE"},
    "attach": _ACCOUNT | {"CARD_DECLINED", "CLONE_NOT_USABLE", "INVALID_STATE", "NOT_CLONEABLE", "RESOURCE_NOT_FOUND"},
    "detach": _ACCOUNT | {"CLONE_NOT_USABLE", "INVALID_STATE", "RESOURCE_NOT_FOUND"},
    "delete_customer": _ACCOUNT | {"RESOURCE_NOT_FOUND"},
    "connected_default": _ACCOUNT | {"CLONE_NOT_USABLE", "RESOURCE_NOT_FOUND"},
    "intent": _ACCOUNT | {"CAPABILITY_MISSING", "CLONE_NOT_USABLE", "RESOURCE_NOT_FOUND"},
    "confirm": _CONFIRM,
    "reconfirm": _CONFIRM,
    "capture": _OF_INTENT,
    "cancel": _OF_INTENT,
    "refund": _OF_INTENT,
}
