"""HTTP/2 with the h2 library: over TLS by ALPN, or with prior knowledge on a plain connection."""

import asyncio
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from fake_stripe.h1 import MAX_BODY, refusal, reset
from fake_stripe.wire import Fate, Request, Response

if TYPE_CHECKING:
    from fake_stripe.server import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Incoming:
    """A request on its way in: its headers, its body so far, and when it began."""

    __slots__ = ("began", "headers", "parts", "size")

    def __init__(self, headers: dict[bytes, bytes]) -> None:
        self.headers = headers
        self.parts: list[bytes] = []
        self.size = 0
        self.began = asyncio.get_running_loop().time()


class Http2(asyncio.Protocol):
    """One client connection with its streams."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._connection = H2Connection(config=H2Configuration(client_side=False, header_encoding=None))
        self._requests: dict[int, Incoming] = {}
        self._unsent: dict[int, bytes] = {}
        self._transport: asyncio.Transport | None = None
        self._paused = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our settings."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        self._connection.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection."""
        self._transport = None
        self._server.connections.discard(self)

    def pause_writing(self) -> None:
        """The client does not read: nothing more is read from it until it does."""
        self._paused = asyncio.get_running_loop().time()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has read: go on."""
        self._paused = 0.0
        if self._transport is not None:
            self._transport.resume_reading()

    def end_if_slow(self, since: float) -> None:
        """Refuse the requests that began to arrive before `since`; leave a client that has read nothing since then."""
        if self._transport is not None and self._paused and self._paused < since:
            self._transport.abort()
            return
        for stream in [number for number, incoming in self._requests.items() if incoming.began < since]:
            self._refuse(stream, 408)
        self._flush()

    def _refuse(self, stream: int, status: int) -> None:
        """Answer before the request is complete, and tell the client to send no more of it (RFC 9113, 8.1)."""
        del self._requests[stream]
        self._answer(stream, refusal(status))
        self._connection.reset_stream(stream, ErrorCodes.NO_ERROR)

    def data_received(self, data: bytes) -> None:
        """Feed the state machine and act on what it saw."""
        try:
            events = self._connection.receive_data(data)
        except ProtocolError:
            self._flush()
            self.close()
            return
        for event in events:
            self._on(event)
        self._flush()

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._requests[event.stream_id] = Incoming(dict(event.headers))
        elif isinstance(event, DataReceived):
            self._collect(event)
        elif isinstance(event, StreamEnded):
            self._complete(event.stream_id)
        elif isinstance(event, StreamReset):
            self._requests.pop(event.stream_id, None)
            self._unsent.pop(event.stream_id, None)
        elif isinstance(event, WindowUpdated):
            for stream in [event.stream_id] if event.stream_id else list(self._unsent):
                self._send_body(stream)
        elif isinstance(event, ConnectionTerminated):
            self.close()

    def _collect(self, event: DataReceived) -> None:
        stream = event.stream_id
        self._connection.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        incoming = self._requests.get(stream)
        if incoming is None:
            return
        part = event.data or b""
        incoming.parts.append(part)
        incoming.size += len(part)
        if incoming.size > MAX_BODY:
            self._refuse(stream, 413)

    def _complete(self, stream: int) -> None:
        incoming = self._requests.pop(stream, None)
        if incoming is None:
            return
        headers = incoming.headers
        path, _, query = headers.get(b":path", b"/").partition(b"?")
        request = Request(
            headers.get(b":method", b"GET").decode("latin-1"),
            unquote(path.decode("latin-1")),
            query=query,
            headers=headers,
            body=b"".join(incoming.parts),
            base_url=self._server.base_url(headers.get(b":authority")),
        )
        response = self._server.app.handle(request)
        head_only = request.method == "HEAD"
        if response.deliveries:
            self._server.deliver(response.deliveries)
        if response.delay or response.poll is not None:
            self._server.spawn(self._answer_later(stream, response, head_only=head_only))
        else:
            self._answer(stream, response, head_only=head_only)

    async def _answer_later(self, stream: int, response: Response, *, head_only: bool) -> None:
        self._answer(stream, await self._server.settled(response), head_only=head_only)
        self._flush()

    def _answer(self, stream: int, response: Response, *, head_only: bool = False) -> None:
        if self._transport is None:
            return
        try:
            if response.fate is Fate.DROP:
                self._connection.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
                return
            headers = [(b":status", str(response.status).encode())]
            headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
            headers.append((b"content-length", str(len(response.body)).encode()))
            self._connection.send_headers(stream, headers, end_stream=head_only or not response.body)
        except ProtocolError:
            return  # the client has closed the stream meanwhile
        if head_only:
            return
        if response.fate is Fate.RESET:
            self._unsent[stream] = response.body[: len(response.body) // 2]
            self._send_body(stream, end=False)
            self._flush()
            asyncio.get_running_loop().call_later(0.02, reset, self._transport)
        elif response.body:
            self._unsent[stream] = response.body
            self._send_body(stream)

    def _send_body(self, stream: int, *, end: bool = True) -> None:
        rest = self._unsent.get(stream)
        try:
            while rest:
                room = min(self._connection.local_flow_control_window(stream), self._connection.max_outbound_frame_size)
                if room <= 0:
                    self._unsent[stream] = rest
                    return
                part, rest = rest[:room], rest[room:]
                self._connection.send_data(stream, part, end_stream=end and not rest)
        except ProtocolError:
            pass  # the client has closed the stream meanwhile
        self._unsent.pop(stream, None)

    def _flush(self) -> None:
        if self._transport is not None and (data := self._connection.data_to_send()):
            self._transport.write(data)

    def close(self) -> None:
        """End the connection once what was written has left."""
        if self._transport is not None:
            self._transport.close()


class Either(asyncio.Protocol):
    """A plain connection whose first bytes tell HTTP/2 with prior knowledge from HTTP/1.1."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._seen = b""
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client left before it said anything."""
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Hand the connection over as soon as the protocol is clear."""
        self._seen += data
        if len(self._seen) < len(PREFACE) and PREFACE.startswith(self._seen):
            self._began = self._began or asyncio.get_running_loop().time()
            return
        protocol = self._server.http2() if self._seen.startswith(PREFACE) else self._server.http1()
        transport = self._transport
        if transport is None:
            return
        self._server.connections.discard(self)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._seen)

    def end_if_slow(self, since: float) -> None:
        """End a connection that began to say something before `since` and stopped half-way."""
        if self._began and self._began < since:
            self.close()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()
