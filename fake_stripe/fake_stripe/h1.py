"""HTTP/1.1 over asyncio and httptools: keep-alive, pipelining in order, a connection that faults can break exactly."""

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import httptools

from fake_stripe.wire import Fate, Request, Response

if TYPE_CHECKING:
    from fake_stripe.server import Server

MAX_BODY = 16 * 1024 * 1024
"""Bytes of body that are read; Stripe's own limit for a file is of that order."""

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers together."""

MAX_TARGET = 16 * 1024
"""Bytes of request line after which Stripe's edge answers 414."""

_REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


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
        "_body",
        "_busy",
        "_head_size",
        "_headers",
        "_parser",
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
        self._queue: list[tuple[Request, bool]] = []
        self._busy = False
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head_size = 0
        self._too_large: tuple[int, bytes] | None = None
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
        """Feed the parser; a request that is no HTTP ends the connection after a 400."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            if b"upgrade" in self._headers:
                self._read_without_upgrade(data[asked.args[0] :])
                return
        except httptools.HttpParserError:
            self._refuse(*(self._too_large or (400, b"Bad Request")))
            return
        self._serve_queue()

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

    def _refuse(self, status: int, text: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            answer = Response(status, [("Content-Type", "text/plain")], text)
            self._transport.write(head_bytes(answer, close=True) + text)
            self._transport.close()

    def _stop(self, status: int, text: bytes) -> None:
        # The parser turns any exception of a callback into one of its own: what was wrong is remembered here.
        self._too_large = (status, text)
        raise OverflowError

    # ---- httptools' callbacks

    def on_message_begin(self) -> None:
        """Start a request."""
        self._target = b""
        self._headers = {}
        self._body = []
        self._size = self._head_size = 0

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._target += url
        if len(self._target) > MAX_TARGET:
            self._stop(414, b"URI Too Long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            self._stop(431, b"Request Header Fields Too Large")
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Let a client that asks first go on with its body."""
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            self._stop(413, b"Content Too Large")
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._size += len(body)
        if self._size > MAX_BODY:
            self._stop(413, b"Content Too Large")
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
        self._queue.append((request, bool(parser.should_keep_alive())))

    # ---- answering

    def _serve_queue(self) -> None:
        while self._queue and not self._busy:
            request, keep_alive = self._queue.pop(0)
            self._serve(request, keep_alive=keep_alive)

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
