"""Where things are: the pages' own addresses, and Stripe's Dashboard."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from cloneservice_server.ports import Page

ROOT = "/admin"
PAGE_SIZE = 50
_ID_BYTES_MAX = 300


class BadCursor(ValueError):  # noqa: N818 - reads as what happened
    """A page's address that no page has made."""


def address(kind: str, identifier: str = "", **query: object) -> str:
    """The address of one thing, or of the list of its kind; empty values of `query` are left out."""
    path = f"{ROOT}/{kind}" + (f"/{quote(identifier, safe='')}" if identifier else "")
    given = {name: str(value) for name, value in query.items() if value not in ("", None)}
    return f"{path}?{urlencode(given)}" if given else path


def cursor(at_us: int, identifier: str) -> str:
    """Where the next page goes on. In hexadecimal: a long decimal number could be taken for a card's."""
    return f"t{at_us:x}.{identifier}"


def page_of(text: str, limit: int = PAGE_SIZE + 1) -> Page:
    """The page behind a cursor; one row more than is shown tells that there are more. Raises BadCursor."""
    if not text:
        return Page(limit)
    at, dot, identifier = text.removeprefix("t").partition(".")
    try:
        at_us = int(at, 16)
    except ValueError:
        at_us = -1
    if not dot or not identifier or not 0 < at_us < 2**62 or len(identifier) > _ID_BYTES_MAX:
        raise BadCursor(text)
    return Page(limit, at_us, identifier)


class Dashboard:
    """Links to Stripe's Dashboard; none where a double stands for Stripe, of which the Dashboard knows nothing."""

    def __init__(self, *, livemode: bool, is_stripe: bool) -> None:
        self._mode = "" if livemode else "test/"
        self._is_stripe = is_stripe

    def log_of(self, stripe_request_id: str) -> str:
        """The log entry of a request, or ""."""
        if not self._is_stripe or not stripe_request_id.startswith("req_"):
            return ""
        return f"https://dashboard.stripe.com/{self._mode}workbench/logs?object={quote(stripe_request_id, safe='')}"
