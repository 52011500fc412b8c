"""Errors and objects as bytes: Stripe's JSON has two blanks of indent, errors their members in alphabetical order."""

from typing import Any

import orjson

from fake_stripe.errors import ApiError

DOC_URL = "https://stripe.com/docs/error-codes/"


def to_json(value: Any) -> bytes:
    """JSON as Stripe sends it."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def log_url(platform: str, request_id: str, livemode: bool) -> str:
    """Where the Dashboard would show the request."""
    mode = "" if livemode else "test/"
    return f"https://dashboard.stripe.com/{platform}/{mode}workbench/logs?object={request_id}"


def envelope(error: ApiError, *, request_log_url: str | None) -> dict[str, Any]:
    """`{"error": {...}}`; `doc_url` only with a code, absent members left out."""
    members = error.members()
    if error.code:
        members["doc_url"] = DOC_URL + error.code.replace("_", "-")
    if request_log_url:
        members["request_log_url"] = request_log_url
    return {"error": dict(sorted(members.items()))}
