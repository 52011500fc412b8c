"""Templates into pages: everything escaped, and nothing shown that looks like a secret, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cloneservice_server.log_lines import scrubbed
from cloneservice_server.pages import words
from cloneservice_server.pages.addresses import ROOT, address
from cloneservice_server.pages.masking import json_markup, masked_json

_FOLDER = Path(__file__).parent
STATIC = {"style.css": "text/css", "icon.svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer, whatever its status. There are no scripts at all, so none are allowed."""


def render(template: str, values: Mapping[str, Any]) -> str:
    """A page. It takes some milliseconds: not on the event loop, which has calls to serve."""
    return environment().get_template(f"{template}.html").render(values)


@cache
def environment() -> Environment:
    """The templates; read when the first page is asked for."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "tone": words.tone,
        "state": words.state_name,
        "step": words.step_name,
        "money": words.money,
        "minor_units": words.minor_units,
        "card": words.card,
        "expiry": words.expiry,
        "is_expired": words.is_expired,
        "moment": words.moment,
        "ago": words.ago,
        "span": words.span,
        "count": words.count,
        "short": words.short,
        "stored_json": masked_json,
        "json": json_markup,
    }
    made.globals |= {"root": ROOT, "address": address, "effect_states": words.EFFECT_STATES}
    return made


def static_file(name: str) -> bytes:
    """One of STATIC."""
    return (_FOLDER / "static" / name).read_bytes()


def _shown(value: Any) -> Any:
    """What a template puts out: a text is searched for secrets as a line of the log is, before it is escaped."""
    return scrubbed(value) if isinstance(value, str) and not isinstance(value, Markup) else value
