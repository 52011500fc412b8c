"""What may be shown of keys and secrets: their kind, and that they are there."""

import re
from typing import Any

import orjson
from markupsafe import Markup, escape

from fake_stripe.http.keys import mask

_KEYS = re.compile(r"\b(?:sk|rk|pk)_(?:test|live)_[A-Za-z0-9_.\-]+")
_SECRETS = re.compile(r"(_secret_|\bwhsec_|\bek_test_|\bek_live_)[A-Za-z0-9_\-]+")
_STARS = "••••"
_LONGEST_NAME = 16
"""Keys that Stripe issues are longer: a name that short is one that somebody made up for a test."""


def masked_text(text: str) -> str:
    """The text with API keys, client secrets and signing secrets masked wherever they stand."""
    text = _KEYS.sub(lambda found: mask(found[0]), text)
    return _SECRETS.sub(lambda found: found[1] + _STARS, text)


def masked(value: Any) -> Any:
    """The JSON value with secrets masked: those that look like one, and what a member called a secret holds."""
    if isinstance(value, dict):
        return {name: _STARS if _holds_secret(name, v) else masked(v) for name, v in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return masked_text(value) if isinstance(value, str) else value


def _holds_secret(name: str, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and (name == "secret" or name.endswith("_secret"))


def world_name(name: str) -> str:
    """A world's name, which is its key without the prefix: whole if it can be no key of Stripe's, else its end."""
    return name if len(name) <= _LONGEST_NAME else _STARS + name[-4:]


def masked_key(name: str) -> str:
    """The secret test key of the world of that name, masked as Stripe masks it."""
    return mask("sk_test_" + name)


# ---- JSON for reading

_TOKEN = re.compile(
    r'(?P<k>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<s>"(?:[^"\\]|\\.)*")|(?P<w>\b(?:true|false|null)\b)'
    r"|(?P<n>-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)"
)


def json_markup(value: Any) -> Markup:
    """Masked, indented and coloured JSON."""
    return coloured(orjson.dumps(masked(value), option=orjson.OPT_INDENT_2).decode())


def coloured(text: str) -> Markup:
    """JSON text with its tokens in spans; everything is escaped."""
    parts: list[Markup | str] = []
    at = 0
    for found in _TOKEN.finditer(text):
        parts.append(escape(text[at : found.start()]))
        parts.append(Markup('<span class="{}">{}</span>').format(found.lastgroup, found[0]))
        at = found.end()
    parts.append(escape(text[at:]))
    return Markup("").join(parts)


def body_markup(body: bytes) -> Markup:
    """An answer's body as it is best read: JSON indented, anything else (cut, malformed) as its text."""
    try:
        return json_markup(orjson.loads(body))
    except orjson.JSONDecodeError:
        return coloured(masked_text(body.decode("utf-8", "replace")))
