"""File links: addresses under which a file can be read without a key."""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire


@operation("POST", "/v1/file_links")
def create(call: Call) -> Wire:
    """A link to a file of this account."""
    file = call.scope.require("file", call.params["file"], param="file")
    return make(call.scope, file, call.params)


def make(scope: Scope, file: Wire, params: Wire) -> Wire:
    """A new link; the file shows it among its `links`."""
    expires_at = _moment(scope, params.get("expires_at"))
    made = scope.insert(
        {
            "id": scope.new_id("link"),
            "object": "file_link",
            "created": scope.world.now,
            "expired": False,
            "expires_at": expires_at,
            "file": file["id"],
            "livemode": scope.livemode,
            "metadata": merged_metadata(None, params.get("metadata")),
            "url": f"https://files.stripe.com/links/{scope.world.ids.text(40)}",
        }
    )
    links = file["links"]
    scope.update(file, links={**links, "data": [dict(made), *links["data"]]})
    return made


def _moment(scope: Scope, given: Any) -> int | None:
    if given in (None, ""):
        return None
    return scope.world.now if given == "now" else int(given)


@operation("GET", "/v1/file_links/{link}")
def retrieve(call: Call) -> Wire:
    """One link; `expired` says whether its time is over."""
    return _current(call.scope, call.scope.require("file_link", call.path["link"], param="link", in_path=True))


def _current(scope: Scope, link: Wire) -> Wire:
    over = link["expires_at"] is not None and link["expires_at"] <= scope.world.now
    return {**link, "expired": over}


@operation("POST", "/v1/file_links/{link}")
def update(call: Call) -> Wire:
    """Changes when a link expires (`now` ends it) and its metadata."""
    scope = call.scope
    link = scope.require("file_link", call.path["link"], param="link", in_path=True)
    changes: Wire = {}
    if "expires_at" in call.params:
        changes["expires_at"] = _moment(scope, call.params["expires_at"])
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(link["metadata"], call.params["metadata"])
    scope.update(link, **changes)
    return _current(scope, link)


@operation("GET", "/v1/file_links")
def list_all(call: Call) -> Wire:
    """Links, newest first, of one file or all."""
    found = call.scope.list("file_link", file=call.params.get("file") or None)
    shown = (_current(call.scope, link) for link in found)
    wanted = call.params.get("expired")
    items = (link for link in shown if wanted is None or link["expired"] is wanted)
    return paginate(call, items, "/v1/file_links", type="file_link")
