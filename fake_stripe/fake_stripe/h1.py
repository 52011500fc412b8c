"""HTTP/1.1 over asyncio and httptools: keep-alive, pipelining in order, a connection that faults can break exactly.

What a client can make the double hold is bounded: a request's head and body, the answers that it does not read (no more
of its requests are read meanwhile), and the time that a request may take to arrive (`Server.patience`).
"""

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import httptools

from fake_stripe.errors import INVALID_REQUEST
from fake_stripe.render.envelope import to_json
from fake_stripe.wire import Fate, Request, Response

if TYPE_CHECKING:
    from fake_stripe.server import Server

MAX_BODY = 16 * 1024 * 1024
"""Bytes of body that are read; Stripe's own limit for a file is of that order."""

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers together."""

MAX_TARGET = 16 * 1024
"""Bytes of request line after which Stripe's edge answers 414."""

_LINGER = 2.0
"""Seconds for which a refused client may go on sending what nobody reads, so that it gets to see the refusal."""

_REFUSALS = {
    400: "Bad Request: this is not HTTP/1.1 or HTTP/2.",
    408: "Request Timeout: the request was not complete in time.",
    413: f"Content Too Large: at most {MAX_BODY} bytes of body are read.",
    431: f"Request Header Fields Too Large: at most {MAX_HEAD} bytes of headers are read.",
}
_HTML_414 = b"<html><head><title>414 Request-URI Too Large</title></head><body>414 Request-URI Too Large</body></html>"

_REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def refusal(status: int) -> Response:
    """What a client gets that does not keep to HTTP or to the bounds; 414 in HTML, as from Stripe's edge."""
    if status == 414:
        return Response(status, [("Content-Type", "text/html")], _HTML_414)
    body = to_json({"error": {"message": _REFUSALS[status], "type": INVALID_REQUEST}})
    return Response(status, [("Content-Type", "application/json")], body)


def head_bytes(response: Response, *, close: bool) -> bytes:
    """Status line and headers of an answer."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
    connection = "Connection: close\r\n" if close else ""
    reason = _REASONS.get(response.status, "Status")
    length = len(response.body)
    return f"HTTP/1.1 {response.status} {reason}\r\n{lines}Content-Length: {length}\r\n{connection}\r\n".encode(
        "latin-1"
    )


def reset(transport: asyncio.Transport) -> None:
    """Break the connection with an RST, as a crashing peer does, instead of an orderly end."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Http1(asyncio.Protocol):
    """One client connection. Requests are answered in their order; while one waits, the others queue."""

    __slots__ = (
        "_began",
        "_body",
        "_busy",
        "_ended",
        "_head_size",
        "_headers",
        "_parser",
        "_paused",
        "_queue",
        "_server",
        "_size",
        "_target",
        "_too_large",
        "_transport",
    )

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._queue: deque[tuple[Request, bool] | Response] = deque()
        self._busy = False
        self._ended = False
        self._began = 0.0
        self._paused = 0.0
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._too_large: int | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection, so that stopping can close it."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection; work in hand goes on and is simply not answered."""
        self._transport = None
        self._queue.clear()
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a request that is no HTTP ends the connection after a 400, behind what came before it."""
        if self._ended:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            if b"upgrade" in self._headers:
                self._read_without_upgrade(data[asked.args[0] :])
                return
        except httptools.HttpParserError:
            self._refuse(self._too_large or 400)
            return
        self._serve_queue()

    def pause_writing(self) -> None:
        """The client does not read its answers: nothing more is read from it, or answered, until it does."""
        self._paused = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        """The client has read: go on."""
        self._paused = 0.0
        self._serve_queue()

    def end_if_slow(self, since: float) -> None:
        """Refuse a request that began to arrive before `since` and is not complete; leave one who reads no answers."""
        if self._transport is None or self._ended:
            return
        if self._paused and self._paused < since:
            self._transport.abort()
        elif self._began and self._began < since and not self._busy and not self._queue:
            self._refuse(408)

    def _read_without_upgrade(self, rest: bytes) -> None:
        """An upgrade is not offered: the request is answered as HTTP/1.1, as RFC 9110 has it.

        The parser takes what follows such a head for the other protocol; but Java's own client offers h2c in the head
        of its first request, and then sends that request's body. So the head is read again without the offer.
        """
        self._queue.pop()
        headers = [pair for pair in self._headers.items() if pair[0] not in (b"upgrade", b"expect")]
        head = b"%s %s HTTP/1.1\r\n" % (self._parser.get_method(), self._target)
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + b"".join(b"%s: %s\r\n" % pair for pair in headers) + b"\r\n" + rest)

    def _refuse(self, status: int) -> None:
        self._ended = True
        self._queue.append(refusal(status))
        self._serve_queue()

    def _stop(self, status: int) -> None:
        # The parser turns any exception of a callback into one of its own: what was wrong is remembered here.
        self._too_large = status
        raise OverflowError

    # ---- httptools' callbacks

    def on_message_begin(self) -> None:
        """Start a request."""
        self._began = asyncio.get_running_loop().time()
        self._target = b""
        self._headers = {}
        self._body = []
        self._size = self._head_size = 0

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._target += url
        if len(self._target) > MAX_TARGET:
            self._stop(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            self._stop(431)
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Let a client that asks first go on with its body."""
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            self._stop(413)
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._size += len(body)
        if self._size > MAX_BODY:
            self._stop(413)
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Queue the request; requests of one connection are answered in order."""
        path, _, query = self._target.partition(b"?")
        parser = self._parser
        text = path.decode("latin-1")
        body = self._body
        request = Request(
            parser.get_method().decode("ascii"),
            unquote(text) if "%" in text else text,
            query=query,
            headers=self._headers,
            body=body[0] if len(body) == 1 else b"".join(body),
            base_url=self._server.base_url(self._headers.get(b"host")),
        )
        self._began = 0.0
        self._queue.append((request, bool(parser.should_keep_alive())))

    # ---- answering

    def _serve_queue(self) -> None:
        transport = self._transport
        if transport is None:
            return
        while self._queue and not self._busy and not self._paused:
            if transport.is_closing():
                self._queue.clear()  # pipelined behind what ended the connection: not executed
                return
            following = self._queue.popleft()
            if isinstance(following, Response):
                self._end(transport, following)
                return
            request, keep_alive = following
            self._serve(request, keep_alive=keep_alive)
        if self._queue or self._paused:
            transport.pause_reading()
        elif not transport.is_closing():
            transport.resume_reading()

    def _end(self, transport: asyncio.Transport, answer: Response) -> None:
        transport.write(head_bytes(answer, close=True) + answer.body)
        if not transport.can_write_eof():
            transport.close()
            return
        # Closed at once, with bytes of the client unread, the connection would be reset and the answer lost.
        transport.write_eof()
        transport.resume_reading()
        asyncio.get_running_loop().call_later(_LINGER, transport.close)

    def _serve(self, request: Request, *, keep_alive: bool) -> None:
        response = self._server.app.handle(request)
        if response.deliveries:
            self._server.deliver(response.deliveries)
        if response.delay or response.poll is not None:
            self._busy = True
            self._server.spawn(self._serve_later(response, request.method, keep_alive=keep_alive))
        else:
            self._send(response, request.method, keep_alive=keep_alive)

    async def _serve_later(self, response: Response, method: str, *, keep_alive: bool) -> None:
        response = await self._server.settled(response)
        self._send(response, method, keep_alive=keep_alive)
        self._busy = False
        self._serve_queue()

    def _send(self, response: Response, method: str, *, keep_alive: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if response.fate is Fate.DROP:
            transport.close()
        elif response.fate is Fate.RESET:
            transport.write(head_bytes(response, close=False) + response.body[: len(response.body) // 2])
            self._ended = True
            self._queue.clear()
            # Given a moment, the half body leaves before the reset overtakes it.
            asyncio.get_running_loop().call_later(0.02, reset, transport)
        else:
            close = not keep_alive or self._server.stopping
            body = b"" if method == "HEAD" else response.body
            transport.write(head_bytes(response, close=close) + body)
            if close:
                transport.close()

    def close(self) -> None:
        """End the connection once what was written has left."""
        if self._transport is not None:
            self._transport.close()
