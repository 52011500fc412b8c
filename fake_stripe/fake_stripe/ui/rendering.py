"""Templates into answers: one environment that escapes everything, and the files that pages refer to."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fake_stripe.ui import masking, naming
from fake_stripe.ui.calls import summary_of
from fake_stripe.ui.security import HEADERS
from fake_stripe.wire import Response

_FOLDER = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def moment(at: int, now: int) -> Markup:
    """A time of day; with its date, when that is not the world's today."""
    then = datetime.fromtimestamp(at, UTC)
    same = then.date() == datetime.fromtimestamp(now, UTC).date()
    shown = then.strftime("%H:%M:%S" if same else "%b %-d %Y, %H:%M:%S")
    whole = then.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(whole, shown)


def size(count: int) -> str:
    """Bytes in a unit that is read at a glance."""
    return f"{count} B" if count < 1024 else f"{count // 1024} KiB"


@cache
def environment() -> Environment:
    """The templates; made when the first page is asked for."""
    found = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "moment": moment,
        "size": size,
        "masked": masking.masked_text,
        "json": masking.json_markup,
        "body": masking.body_markup,
        "tone": naming.tone_of,
        "summary": summary_of,
        "short": naming.short,
    }
    found.globals |= {"root": naming.ROOT, "static": static_address}
    return found


def page(template: str, values: dict[str, Any], *, status: int = 200) -> Response:
    """A page as an answer."""
    text = environment().get_template(template).render(values)
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"), *HEADERS]
    return Response(status, headers, text.encode())


@cache
def _file(name: str) -> tuple[bytes, str] | None:
    """A static file and its digest; None for what is not there, or not meant to be served."""
    path = _FOLDER / "static" / name
    if Path(name).name != name or path.suffix not in _TYPES or not path.is_file():
        return None
    content = path.read_bytes()
    return content, hashlib.blake2b(content, digest_size=6).hexdigest()


def static_address(name: str) -> str:
    """Where the page finds one of its files; a changed file has another address, so that caches may keep it."""
    found = _file(name)
    if found is None:
        raise ValueError(f"there is no static file {name!r}")
    return f"{naming.ROOT}/static/{name}?v={found[1]}"


def static_file(name: str) -> Response | None:
    """One of the page's files as an answer."""
    found = _file(name) if len(name) < 64 and "\0" not in name else None
    if found is None:
        return None
    headers = [
        ("Content-Type", _TYPES[Path(name).suffix]),
        ("Cache-Control", "public, max-age=31536000, immutable"),
        *HEADERS,
    ]
    return Response(200, headers, found[0])
