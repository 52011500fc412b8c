"""What could reach the real Stripe is refused wherever it is configured: live keys, and Stripe's own addresses."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

_KEY = re.compile(r"(?<![A-Za-z0-9])(?:sk|rk|pk)_live_(?!fake_)[A-Za-z0-9_.\-]")
"""What could be a real live-mode key; Stripe cannot have issued `sk_live_fake_...`."""

_API_HOST = re.compile(r"(?<![\w-])(?:api|connect|files|meter-events)\.stripe\.com\b", re.IGNORECASE)


def is_live(text: str) -> bool:
    """Whether a text holds what could be a real live-mode key."""
    return _KEY.search(text) is not None


def leads_to_stripe(address: str) -> bool:
    """Whether a URL, or `host:port`, names a host of Stripe's."""
    try:
        host = urlsplit(address if "//" in address else f"//{address}").hostname or ""
    except ValueError:
        return False
    host = host.rstrip(".")
    return host == "stripe.com" or host.endswith(".stripe.com")


def live_configuration(environment: Mapping[str, str], arguments: Iterable[str]) -> str:
    """Why this configuration is refused, without the secret itself; an empty text when nothing is wrong with it.

    Args:
        environment: every variable is searched for live keys, and those that speak of Stripe for its API's addresses.
        arguments: the command's arguments, searched for both.
    """
    for name, value in environment.items():
        if is_live(value):
            return f"{name} holds a live-mode key"
        if "STRIPE" in name.upper() and _API_HOST.search(value):
            return f"{name} leads to the real Stripe"
    for argument in arguments:
        if is_live(argument):
            return "an argument holds a live-mode key"
        if _API_HOST.search(argument):
            return "an argument leads to the real Stripe"
    return ""
