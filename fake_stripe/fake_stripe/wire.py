"""A request and an answer, free of any transport."""

from collections.abc import Callable
from enum import Enum
from typing import Any


class Fate(Enum):
    """What happens to the connection instead of a plain answer."""

    DROP = "drop"
    """Close without a byte of an answer."""

    RESET = "reset"
    """Send half of the body, then reset the connection (RST)."""


class Request:
    """One HTTP request.

    Attributes:
        method: upper case.
        path: percent-decoded, without the query.
        query: the raw query string.
        headers: names in lower case.
        body: the whole body.
        base_url: where the client reached the server, for links to pages of the double.
    """

    __slots__ = ("base_url", "body", "headers", "method", "path", "query")

    def __init__(
        self,
        method: str,
        path: str,
        *,
        query: bytes = b"",
        headers: dict[bytes, bytes] | None = None,
        body: bytes = b"",
        base_url: str = "http://127.0.0.1",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers or {}
        self.body = body
        self.base_url = base_url


class Response:
    """One answer, and what the layer that sends it has to do besides.

    Attributes:
        headers: without Content-Length, which the sender adds.
        delay: seconds to hold the answer back; the work is done already.
        fate: what to do to the connection instead of answering plainly.
        deliveries: webhook deliveries to carry out.
        release: called once the answer has left, or cannot leave any more.
        poll: asked again and again for the real answer (long polling) until it gives one.
    """

    __slots__ = ("body", "delay", "deliveries", "fate", "headers", "poll", "release", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.delay = 0.0
        self.fate: Fate | None = None
        self.deliveries: list[Any] = []
        self.release: Callable[[], None] | None = None
        self.poll: Callable[[], Response | None] | None = None
