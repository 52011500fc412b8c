"""The server against clients that send too much, too slowly, too many, or nonsense: bounded, in order, and in words."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import urlsplit

import orjson
import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.h1 import MAX_BODY
from fake_stripe.server import Server
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset

from fake_stripe import http2

KEY = "sk_test_bounds"
HEAD = f"Host: x\r\nAuthorization: Bearer {KEY}\r\n"
GET = f"GET /v1/account HTTP/1.1\r\n{HEAD}\r\n".encode()
NOW = -1.0
"""A patience that has run out already."""


def post(name: str, *, close: bool = False) -> bytes:
    body = f"name={name}"
    more = "Connection: close\r\n" if close else ""
    return f"POST /v1/customers HTTP/1.1\r\n{HEAD}{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe(api_key=KEY) as running:
        yield running


def address(fake: FakeStripe) -> tuple[str, int]:
    parts = urlsplit(fake.url)
    return str(parts.hostname), int(parts.port or 0)


def raw(fake: FakeStripe, data: bytes) -> bytes:
    """Send bytes, read until the server ends the connection."""
    with socket.create_connection(address(fake), timeout=10) as client:
        client.sendall(data)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


def customers(fake: FakeStripe) -> int:
    return fake.world().platform_scope(livemode=False).count("customer")


# ---- pipelining


def test_what_came_before_nonsense_is_answered_first(fake: FakeStripe) -> None:
    received = raw(fake, post("one") + post("two") + b"nonsense\r\n\r\n")
    statuses = [answer[:3] for answer in received.split(b"HTTP/1.1 ")[1:] if answer[:3].isdigit()]
    assert statuses == [b"200", b"200", b"400"]
    assert customers(fake) == 2


def test_a_held_answer_comes_before_the_refusal_of_what_follows(fake: FakeStripe) -> None:
    fake.world().faults.add({"latency": 0.05})
    received = raw(fake, post("one") + b"nonsense\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in received


@pytest.mark.parametrize("act", ["commit_then_drop", "reset_mid_body", None])
def test_what_is_pipelined_behind_the_end_of_the_connection_is_not_executed(fake: FakeStripe, act: str | None) -> None:
    if act:
        fake.world().faults.add({"act": act})
    with socket.create_connection(address(fake), timeout=10) as client:
        client.sendall(post("one", close=act is None) + post("two") + post("three"))
        try:
            while client.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert customers(fake) == 1


# ---- nonsense and too much


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS handshake on the plain port
        b"GET /v1/account HTTP/9.9\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/customers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/account HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /v1/account HTTP/1.1\r\nX-\x00: x\r\n\r\n",
    ],
)
def test_nonsense_is_400_in_an_envelope_and_the_end_of_the_connection(fake: FakeStripe, data: bytes) -> None:
    head, _, body = raw(fake, data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"Connection: close" in head
    assert orjson.loads(body)["error"]["type"] == "invalid_request_error"
    assert raw(fake, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


def test_a_client_that_sends_too_large_a_body_whole_gets_to_read_why_it_is_refused(fake: FakeStripe) -> None:
    size = MAX_BODY + 1
    head = f"POST /v1/files HTTP/1.1\r\n{HEAD}Content-Length: {size}\r\n\r\n".encode()
    answer = raw(fake, head + b"x" * size)
    assert answer.startswith(b"HTTP/1.1 413")
    assert str(MAX_BODY) in orjson.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_body_of_the_largest_size_is_read(fake: FakeStripe) -> None:
    text = b"description=" + b"x" * (MAX_BODY - 12)
    head = f"POST /v1/customers HTTP/1.1\r\n{HEAD}Connection: close\r\nContent-Length: {len(text)}\r\n\r\n".encode()
    answer = raw(fake, head + text)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"must be at most" in answer
    assert len(answer) < 10_000


# ---- too slow, too many


class Listening:
    """A server on this test's own event loop."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port

    async def connect(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        await writer.drain()
        return reader, writer


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    server = Server(FakeStripe(api_key=KEY))
    yield Listening(server, await server.listen("127.0.0.1", 0))
    await server.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the server work until it is in some state of which it tells nobody."""
    while not condition():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0)


async def seen(listening: Listening, state: str) -> None:
    """Wait until some connection has that state."""
    await until(lambda: any(getattr(connection, state, None) for connection in listening.server.connections))


@pytest.mark.parametrize("half", [GET[:40], GET[:-2], post("one")[:-2]], ids=["line", "headers", "body"])
async def test_a_request_that_does_not_arrive_in_time_is_408(listening: Listening, half: bytes) -> None:
    reader, writer = await listening.connect(half)
    await seen(listening, "_began")
    listening.server.end_slow()
    listening.server.patience = NOW
    listening.server.end_slow()
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout")
    assert b"not complete in time" in answer
    writer.close()


async def test_a_client_that_stops_within_its_first_line_is_left(listening: Listening) -> None:
    reader, writer = await listening.connect(b"PR")
    await seen(listening, "_began")
    listening.server.patience = NOW
    listening.server.end_slow()
    assert await reader.read() == b""
    writer.close()


async def test_an_idle_connection_and_a_held_answer_are_no_slow_requests(listening: Listening) -> None:
    listening.server.app.world().faults.add({"match": {"path": "/v1/balance"}, "latency": 0.05})
    reader, writer = await listening.connect(GET)
    await reader.readuntil(b"\r\n\r\n")
    listening.server.patience = NOW
    listening.server.end_slow()
    writer.write(f"GET /v1/balance HTTP/1.1\r\n{HEAD}\r\n".encode())
    await seen(listening, "_busy")
    listening.server.end_slow()
    assert b"200 OK" in await reader.readuntil(b'"object": "balance"')
    writer.close()


async def test_of_a_client_that_reads_nothing_no_more_is_answered_and_at_last_it_is_left(listening: Listening) -> None:
    filler = {"filler": "x" * 1_000_000}
    fault = listening.server.app.world().faults.add({"act": {"kind": "answer", "body": filler}, "times": None})
    with socket.create_connection(("127.0.0.1", listening.port)) as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(client, GET * 100)
        await seen(listening, "_paused")
        assert fault.fired < 100
        listening.server.patience = NOW
        listening.server.end_slow()
        await until(lambda: not listening.server.connections)


async def test_of_a_client_that_reads_late_everything_is_answered(listening: Listening) -> None:
    filler = {"filler": "x" * 1_000_000}
    fault = listening.server.app.world().faults.add({"act": {"kind": "answer", "body": filler}, "times": None})
    with socket.create_connection(("127.0.0.1", listening.port)) as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, GET * 20)
        await seen(listening, "_paused")
        received = 0
        while received < 20 * 1_000_000 or fault.fired < 20:
            received += len(await loop.sock_recv(client, 1 << 20))


def test_a_thousand_connections_at_once_are_all_served(fake: FakeStripe) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most[0] < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most[1]), most[1]))
    clients = [socket.create_connection(address(fake), timeout=20) for _ in range(1000)]
    try:
        for client in clients:
            client.sendall(GET)
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in clients)
    finally:
        for client in clients:
            client.close()


# ---- HTTP/2


class H2:
    """As much of an HTTP/2 client as these tests need, on an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connection = H2Connection(config=H2Configuration(client_side=True, header_encoding="utf-8"))
        self.connection.initiate_connection()

    def begin(self, method: str, path: str, *, end: bool) -> int:
        stream = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x")]
        self.connection.send_headers(stream, [*pseudo, ("authorization", f"Bearer {KEY}")], end_stream=end)
        self.writer.write(self.connection.data_to_send())
        return stream

    async def answer(self, send: bytes = b"", stream: int = 1) -> tuple[int, bytes, int | None]:
        """Status, body and the code of a reset of the stream; meanwhile sends as much as the server lets it."""
        status, body = 0, b""
        while True:
            while send and (room := min(self.connection.local_flow_control_window(stream), 16_384, len(send))):
                self.connection.send_data(stream, send[:room])
                send = send[room:]
            self.writer.write(self.connection.data_to_send())
            data = await self.reader.read(65536)
            assert data, "the server ended the connection"
            ended, reset = False, None
            for event in self.connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    status = int(event.headers[0][1])
                elif isinstance(event, DataReceived):
                    body += event.data or b""
                elif isinstance(event, StreamEnded):
                    ended = True
                elif isinstance(event, StreamReset):
                    reset, ended = int(event.error_code), True
            if ended:
                return status, body, reset


async def test_over_http2_too_large_a_body_is_413_and_the_client_told_to_stop(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "MAX_BODY", 100_000)
    client = H2(*await listening.connect(b""))
    stream = client.begin("POST", "/v1/files", end=False)
    status, body, reset = await client.answer(b"x" * 100_001, stream)
    assert status == 413
    assert b"Content Too Large" in body
    assert reset in (None, ErrorCodes.NO_ERROR)  # REFUSED_STREAM would have it sent again and again
    client.writer.close()


async def test_over_http2_a_request_that_does_not_arrive_in_time_is_408_and_others_go_on(listening: Listening) -> None:
    client = H2(*await listening.connect(b""))
    client.begin("POST", "/v1/customers", end=False)
    await seen(listening, "_requests")
    listening.server.patience = NOW
    listening.server.end_slow()
    assert (await client.answer())[0] == 408
    other = client.begin("GET", "/v1/account", end=True)
    assert (await client.answer(stream=other))[0] == 200
    client.writer.close()


async def test_over_http2_head_has_no_body(listening: Listening) -> None:
    client = H2(*await listening.connect(b""))
    stream = client.begin("HEAD", "/v1/account", end=True)
    assert (await client.answer(stream=stream))[1] == b""
    client.writer.close()
