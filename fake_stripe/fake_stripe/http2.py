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

from fake_stripe.h1 import MAX_BODY, reset
from fake_stripe.wire import Fate, Request, Response

if TYPE_CHECKING:
    from fake_stripe.server import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Http2(asyncio.Protocol):
    """One client connection with its streams."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._connection = H2Connection(config=H2Configuration(client_side=False, header_encoding=None))
        self._requests: dict[int, tuple[dict[bytes, bytes], list[bytes]]] = {}
        self._unsent: dict[int, bytes] = {}
        self._transport: asyncio.Transport | None = None

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
            headers = dict(event.headers)
            self._requests[event.stream_id] = (headers, [])
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
        entry = self._requests.get(stream)
        if entry is None:
            return
        entry[1].append(event.data or b"")
        if sum(map(len, entry[1])) > MAX_BODY:
            del self._requests[stream]
            self._connection.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    def _complete(self, stream: int) -> None:
        entry = self._requests.pop(stream, None)
        if entry is None:
            return
        headers, body = entry
        path, _, query = headers.get(b":path", b"/").partition(b"?")
        request = Request(
            headers.get(b":method", b"GET").decode("latin-1"),
            unquote(path.decode("latin-1")),
            query=query,
            headers=headers,
            body=b"".join(body),
            base_url=self._server.base_url(headers.get(b":authority")),
        )
        response = self._server.app.handle(request)
        if response.deliveries:
            self._server.deliver(response.deliveries)
        if response.delay or response.poll is not None:
            self._server.spawn(self._answer_later(stream, response))
        else:
            self._answer(stream, response)

    async def _answer_later(self, stream: int, response: Response) -> None:
        self._answer(stream, await self._server.settled(response))
        self._flush()

    def _answer(self, stream: int, response: Response) -> None:
        if self._transport is None:
            return
        try:
            if response.fate is Fate.DROP:
                self._connection.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
                return
            headers = [(b":status", str(response.status).encode())]
            headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
            headers.append((b"content-length", str(len(response.body)).encode()))
            self._connection.send_headers(stream, headers, end_stream=not response.body)
        except ProtocolError:
            return  # the client has closed the stream meanwhile
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
            return
        protocol = self._server.http2() if self._seen.startswith(PREFACE) else self._server.http1()
        transport = self._transport
        if transport is None:
            return
        self._server.connections.discard(self)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._seen)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()
