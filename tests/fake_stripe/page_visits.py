"""A browser's requests to the double's page, without a browser and without a socket."""

from __future__ import annotations

from html import unescape
from typing import Any
from urllib.parse import urlencode

from fake_stripe.ui.naming import address_of
from fake_stripe.wire import Request, Response

from tests.fake_stripe.stripe_calls import Api

HOST = b"127.0.0.1:12111"


def visit(api: Api, path: str = "/", /, *, root: bool = False, accept: bytes = b"text/html", **query: Any) -> Response:
    """GET a page below the world's, or below the server's root."""
    address = path if root else address_of(api.world.name) + path
    headers = {b"accept": accept, b"host": HOST}
    return api.fake.handle(Request("GET", address, query=urlencode(query).encode(), headers=headers))


def seen(api: Api, path: str = "/", /, **query: Any) -> str:
    """The text of a page of the world, which must be there."""
    response = visit(api, path, **query)
    assert response.status == 200, response.body
    return unescape(response.body.decode())


def press(
    api: Api, action: str, /, *, on: str = "/", headers: dict[bytes, bytes] | None = None, **form: Any
) -> Response:
    """Press a button as htmx does; `headers` replaces what the browser would send."""
    home = address_of(api.world.name)
    sent = {b"host": HOST, b"content-type": b"application/x-www-form-urlencoded"}
    own = {
        b"hx-request": b"true",
        b"hx-current-url": b"http://" + HOST + home.encode() + on.encode(),
        b"sec-fetch-site": b"same-origin",
        b"origin": b"http://" + HOST,
    }
    sent |= own if headers is None else headers
    return api.fake.handle(Request("POST", f"{home}/do/{action}", headers=sent, body=urlencode(form).encode()))


def pressed(api: Api, action: str, /, *, on: str = "/", **form: Any) -> str:
    """The page after a button was pressed."""
    response = press(api, action, on=on, **form)
    assert response.status == 200, response.body
    return unescape(response.body.decode())
