"""What a page must not show, wherever it may be: the rule of the log lines, and parameters that hold a person."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from cloneservice_server.log_lines import scrubbed

HIDDEN = "(hidden)"
_PERSONAL = frozenset(
    ("email", "name", "phone", "address", "shipping", "billing_details", "owner", "ip", "user_agent", "number", "cvc")
) | frozenset(("client_secret", "secret", "password", "redirect_url", "return_url", "next_action"))
_TONES = {str: "s", int: "n", float: "n", bool: "w", type(None): "w"}


def masked(value: Any) -> Any:
    """A JSON value without what is personal or secret, by the name of its key and by what its text looks like."""
    if isinstance(value, dict):
        return {
            scrubbed(str(key)): HIDDEN if str(key) in _PERSONAL and item else masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item) for item in value]
    return scrubbed(value) if isinstance(value, str) else value


def masked_json(text: str) -> Markup:
    """Stored JSON as coloured markup; what is no JSON is shown as a text."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return json_markup(value)


def json_markup(value: Any) -> Markup:
    """A JSON value, masked, indented by two, each part in its colour."""
    return _markup(masked(value), "\n")


def _markup(value: Any, margin: str) -> Markup:
    inner = f"{margin}  "
    if isinstance(value, dict) and value:
        parts = [
            Markup('<span class="k">{}</span>: ').format(_text(key)) + _markup(item, inner)
            for key, item in value.items()
        ]
        return Markup("{{{}{}{}}}").format(inner, Markup(",{}").format(inner).join(parts), margin)
    if isinstance(value, list) and value:
        return Markup("[{}{}{}]").format(
            inner, Markup(",{}").format(inner).join(_markup(item, inner) for item in value), margin
        )
    return Markup('<span class="{}">{}</span>').format(_TONES.get(type(value), "s"), _text(value))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
