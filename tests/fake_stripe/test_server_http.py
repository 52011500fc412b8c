"""The server over real sockets: HTTP/1.1, HTTP/2, TLS, limits, and connections broken exactly as faults say."""

import asyncio
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.certificate import NoCertificateError, context_of
from fake_stripe.h1 import MAX_BODY
from fake_stripe.server import Server
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset

from tests.certificates import Authority

KEY = "sk_test_http"
AUTH = {"Authorization": f"Bearer {KEY}"}
FORM = {**AUTH, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe(api_key=KEY) as running:
        yield running


def address(fake: FakeStripe) -> tuple[str, int]:
    parts = urlsplit(fake.url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


@pytest.fixture
def connection(fake: FakeStripe) -> Iterator[http.client.HTTPConnection]:
    opened = http.client.HTTPConnection(*address(fake), timeout=10)
    yield opened
    opened.close()


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {**FORM, **sent})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def customers(fake: FakeStripe) -> int:
    return fake.world().platform_scope(livemode=False).count("customer")


def raw(fake: FakeStripe, data: bytes) -> bytes:
    """Send bytes, read until the server closes."""
    with socket.create_connection(address(fake), timeout=10) as client:
        client.sendall(data)
        received = b""
        while part := client.recv(65536):
            received += part
        return received


# ---- HTTP/1.1


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    for number in range(5):
        status, _, body = call(connection, "POST", "/v1/customers", f"email={number}%40example.com")
        assert (status, orjson.loads(body)["email"]) == (200, f"{number}@example.com")


def test_pipelined_requests_are_answered_in_their_order_even_when_the_first_is_held(fake: FakeStripe) -> None:
    fake.world().faults.add({"match": {"path": "/v1/balance"}, "latency": 0.05})
    one = f"GET /v1/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    two = f"GET /v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode()
    received = raw(fake, one + two)
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.index(b'"object": "balance"') < received.index(b'"object": "account"')


def test_a_request_may_arrive_byte_by_byte_and_its_path_percent_encoded(fake: FakeStripe) -> None:
    text = (
        f"GET /v1/%63ustomers?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(address(fake), timeout=10) as client:
        for byte in text.encode():
            client.sendall(bytes([byte]))
        received = b""
        while part := client.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200 OK")


def test_expect_100_continue_is_answered(fake: FakeStripe) -> None:
    head = (
        f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nExpect: 100-continue\r\n"
        "Content-Length: 6\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(address(fake), timeout=10) as client:
        client.sendall(head.encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(b"name=x")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /v1/x?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(80)) + b"\r\n", b"431"),
        (b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), b"413"),
    ],
)
def test_what_is_no_http_or_too_large_is_refused_and_the_connection_closed(
    fake: FakeStripe, data: bytes, status: bytes
) -> None:
    assert raw(fake, data).startswith(b"HTTP/1.1 " + status)


def test_a_body_that_grows_too_large_in_chunks_is_refused(fake: FakeStripe) -> None:
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b"a" * (1 << 20))
    head = b"POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(address(fake), timeout=10) as client:
        client.sendall(head)
        try:
            for _ in range(18):
                client.sendall(chunk)
            received = client.recv(1000)
        except OSError:
            return  # refused while we were still sending
    assert received.startswith(b"HTTP/1.1 413")


def test_links_to_the_double_lead_to_where_the_client_reached_it(fake: FakeStripe) -> None:
    with_host = (
        f"GET /v1/account HTTP/1.1\r\nHost: stripe.test:99\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
    )
    assert raw(fake, with_host.encode()).startswith(b"HTTP/1.1 200")
    body = (
        "amount=100&currency=usd&payment_method=pm_card_authenticationRequired&confirm=true"
        "&return_url=https%3A%2F%2Fshop.example"
    )
    connection = http.client.HTTPConnection(*address(fake), timeout=10)
    _, _, answer = call(connection, "POST", "/v1/payment_intents", body)
    connection.close()
    assert orjson.loads(answer)["next_action"]["redirect_to_url"]["url"].startswith(
        fake.url + "/_fake/authenticate/pi_"
    )


# ---- faults on the connection


def test_commit_then_drop_closes_without_a_byte_and_the_change_is_there(
    fake: FakeStripe, connection: http.client.HTTPConnection
) -> None:
    fake.world().faults.add({"act": "commit_then_drop"})
    with pytest.raises(http.client.RemoteDisconnected):
        call(connection, "POST", "/v1/customers", "name=x", Idempotency_Key="k")
    assert customers(fake) == 1
    status, headers, _ = call(connection, "POST", "/v1/customers", "name=x", Idempotency_Key="k")
    assert (status, headers["Idempotent-Replayed"]) == (200, "true")
    assert customers(fake) == 1


def test_drop_before_closes_without_a_byte_and_nothing_is_there(
    fake: FakeStripe, connection: http.client.HTTPConnection
) -> None:
    fake.world().faults.add({"act": "drop_before"})
    with pytest.raises(http.client.RemoteDisconnected):
        call(connection, "POST", "/v1/customers", "name=x")
    assert customers(fake) == 0


def test_reset_mid_body_gives_headers_half_a_body_and_a_reset(fake: FakeStripe) -> None:
    fake.world().faults.add({"act": "reset_mid_body"})
    request = f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection(address(fake), timeout=10) as client:
        client.sendall(request.encode())
        received, ended = b"", ""
        while not ended:
            try:
                part = client.recv(65536)
            except ConnectionResetError:
                ended = "reset"
            else:
                received += part
                ended = "" if part else "orderly"
    assert ended == "reset"
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert 0 < len(body) < length
    assert customers(fake) == 1


def test_a_malformed_body_is_complete_for_http_and_broken_for_json(
    fake: FakeStripe, connection: http.client.HTTPConnection
) -> None:
    fake.world().faults.add({"act": "malformed_body"})
    status, _, body = call(connection, "POST", "/v1/customers", "name=x")
    assert status == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)
    assert call(connection, "GET", "/v1/customers")[0] == 200


def test_a_second_request_with_the_key_meets_409_while_a_latency_holds_the_first(fake: FakeStripe) -> None:
    fake.world().faults.add({"latency": 30})
    slow = http.client.HTTPConnection(*address(fake), timeout=10)
    slow.request("POST", "/v1/customers", "", {**FORM, "Idempotency-Key": "k"})
    _wait_until(lambda: customers(fake) == 1)
    quick = http.client.HTTPConnection(*address(fake), timeout=10)
    status, _, body = call(quick, "POST", "/v1/customers", "", Idempotency_Key="k")
    assert (status, orjson.loads(body)["error"]["code"]) == (409, "idempotency_key_in_use")
    slow.close()
    quick.close()


def _wait_until(condition: object) -> None:
    assert callable(condition)
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        threading.Event().wait(0.005)


def test_a_held_answer_is_not_lost_and_others_are_served_meanwhile(fake: FakeStripe) -> None:
    fake.world().faults.add({"latency": 0.2})
    slow = http.client.HTTPConnection(*address(fake), timeout=10)
    slow.request("POST", "/v1/customers", "", FORM)
    quick = http.client.HTTPConnection(*address(fake), timeout=10)
    assert call(quick, "GET", "/v1/account")[0] == 200
    assert slow.getresponse().status == 200
    slow.close()
    quick.close()


def test_waiting_for_an_event_over_http(fake: FakeStripe) -> None:
    waiting = http.client.HTTPConnection(*address(fake), timeout=10)
    waiting.request("GET", "/_fake/events/wait?type=customer.created&timeout=10", headers=AUTH)
    acting = http.client.HTTPConnection(*address(fake), timeout=10)
    call(acting, "POST", "/v1/customers", "")
    answer = waiting.getresponse()
    assert answer.status == 200
    assert orjson.loads(answer.read())["events"][0]["type"] == "customer.created"
    waiting.close()
    acting.close()


# ---- HTTP/2 and TLS


class H2Client:
    """As much of an HTTP/2 client as these tests need."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.connection = H2Connection(config=H2Configuration(client_side=True, header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.stream.sendall(self.connection.data_to_send())

    def send(self, method: str, path: str, body: bytes = b"") -> int:
        number = self.connection.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost")]
        self.connection.send_headers(number, [*pseudo, ("authorization", f"Bearer {KEY}")], end_stream=not body)
        if body:
            self.connection.send_data(number, body, end_stream=True)
        self.flush()
        return number

    def answers(self, *numbers: int) -> dict[int, tuple[int, bytes]]:
        status: dict[int, int] = {}
        bodies = dict.fromkeys(numbers, b"")
        open_streams = set(numbers)
        while open_streams:
            data = self.stream.recv(65536)
            assert data, "the server closed the connection"
            for event in self.connection.receive_data(data):
                if isinstance(event, ResponseReceived):
                    status[event.stream_id] = int(event.headers[0][1])
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    open_streams.discard(event.stream_id)
                elif isinstance(event, StreamReset):
                    status[event.stream_id] = -1
                    open_streams.discard(event.stream_id)
                assert not isinstance(event, ConnectionTerminated)
            self.flush()
        return {number: (status[number], bodies[number]) for number in numbers}


def test_http2_with_prior_knowledge_serves_streams_side_by_side(fake: FakeStripe) -> None:
    fake.world().faults.add({"match": {"path": "/v1/balance"}, "latency": 0.05})
    with socket.create_connection(address(fake), timeout=10) as stream:
        client = H2Client(stream)
        slow, made = client.send("GET", "/v1/balance"), client.send("POST", "/v1/customers", b"email=a%40b.co")
        answers = client.answers(slow, made)
    assert (answers[slow][0], answers[made][0]) == (200, 200)
    assert orjson.loads(answers[made][1])["email"] == "a@b.co"


def test_an_answer_larger_than_the_window_is_sent_as_the_client_takes_it(fake: FakeStripe) -> None:
    fake.world().faults.add(
        {"match": {"path": "/v1/balance"}, "act": {"kind": "answer", "body": {"filler": "x" * 300_000}}}
    )
    with socket.create_connection(address(fake), timeout=10) as stream:
        client = H2Client(stream)
        number = client.send("GET", "/v1/balance")
        status, body = client.answers(number)[number]
    assert (status, len(orjson.loads(body)["filler"])) == (200, 300_000)


def test_over_http2_a_dropped_answer_resets_its_stream_alone(fake: FakeStripe) -> None:
    fake.world().faults.add({"act": "commit_then_drop"})
    with socket.create_connection(address(fake), timeout=10) as stream:
        client = H2Client(stream)
        dropped = client.send("POST", "/v1/customers", b"name=x")
        assert client.answers(dropped)[dropped][0] == -1
        kept = client.send("GET", "/v1/account")
        assert client.answers(kept)[kept][0] == 200
    assert customers(fake) == 1


async def test_https_with_a_self_signed_certificate_negotiates_http2_or_http1() -> None:
    server = Server(FakeStripe())
    port = await server.listen_tls("127.0.0.1", 0, context_of(None, None))

    def connect(*protocols: str) -> tuple[str | None, bytes]:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(protocols)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as stream,
        ):
            chosen = stream.selected_alpn_protocol()
            if chosen == "h2":
                client = H2Client(stream)
                number = client.send("GET", "/v1/account")
                return chosen, client.answers(number)[number][1]
            stream.sendall(f"GET /v1/account HTTP/1.1\r\nHost: x\r\n{'Authorization: Bearer ' + KEY}\r\n\r\n".encode())
            return chosen, stream.recv(65536)

    chosen, body = await asyncio.to_thread(connect, "h2", "http/1.1")
    assert (chosen, orjson.loads(body)["object"]) == ("h2", "account")
    chosen, answer = await asyncio.to_thread(connect, "http/1.1")
    assert (chosen, answer[:15]) == ("http/1.1", b"HTTP/1.1 200 OK")
    await server.close()


async def test_a_given_certificate_is_the_one_that_clients_see(tmp_path: Path) -> None:
    authority = Authority()
    cert, key = authority.leaf("localhost").write(tmp_path, "double")
    server = Server(FakeStripe())
    port = await server.listen_tls("127.0.0.1", 0, context_of(str(cert), str(key)))

    def ask() -> bytes:
        trusting = ssl.create_default_context(cadata=authority.pem.decode())
        connection = http.client.HTTPSConnection("localhost", port, context=trusting, timeout=10)
        connection.request("GET", "/v1/account", headers=AUTH)
        body = connection.getresponse().read()
        connection.close()
        return body

    assert orjson.loads(await asyncio.to_thread(ask))["object"] == "account"
    await server.close()


def test_half_a_certificate_or_an_unreadable_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoCertificateError, match="both --cert and --key"):
        context_of("cert.pem", None)
    with pytest.raises(NoCertificateError, match="cannot load"):
        context_of(str(tmp_path / "none.pem"), str(tmp_path / "none.key"))


# ---- starting and stopping


def test_a_port_in_use_is_an_error_at_once(fake: FakeStripe) -> None:
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        FakeStripe().start(port=address(fake)[1])


def test_stopping_frees_the_port_and_starting_again_serves_the_same_worlds() -> None:
    fake = FakeStripe(api_key=KEY)
    with fake:
        connection = http.client.HTTPConnection(*address(fake), timeout=10)
        call(connection, "POST", "/v1/customers", "")
        connection.close()
    with pytest.raises(RuntimeError, match="not serving"):
        _ = fake.url
    with fake:
        assert customers(fake) == 1


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if "STRIPE" not in name.upper()}
    return subprocess.Popen(
        [sys.executable, "-m", "fake_stripe", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, "PYTHONPATH": str(Path(__file__).parents[2] / "fake_stripe"), **environment},
    )


def served_at(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[-1]


@pytest.mark.parametrize(
    "flags",
    [
        ["serve", "--port", "0"],
        ["-http-port", "0"],
        ["serve", "--http-port=0"],
        ["-http-addr", "127.0.0.1:0"],
        ["-http-addr=:0", "--stateless"],
    ],
)
def test_the_command_serves_and_sigterm_ends_it_cleanly(flags: list[str]) -> None:
    with command(*flags) as process:
        parts = urlsplit(served_at(process))
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        assert call(connection, "GET", "/v1/account")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        connection.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"STRIPE_API_KEY": "sk_live_" + "abc123"}, "STRIPE_API_KEY holds a live-mode key"),
        ({"STRIPE_SECRET": "rk_live_" + "abc123"}, "STRIPE_SECRET holds a live-mode key"),
        ({"STRIPE_API_BASE": "https://api.stripe.com"}, "STRIPE_API_BASE leads to the real Stripe"),
    ],
)
def test_it_refuses_to_start_beside_a_live_key_or_base_without_printing_it(
    environment: dict[str, str], why: str
) -> None:
    with command("serve", "--port", "0", **environment) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"refusing to start: {why}" in errors
    assert "abc123" not in errors


def test_mistakes_in_the_command_are_told_without_a_traceback(fake: FakeStripe) -> None:
    for arguments in (["serve", "--port", str(address(fake)[1])], ["replay", "/nowhere.json"], []):
        with command(*arguments) as process:
            _, errors = process.communicate(timeout=20)
        assert process.returncode == 2
        assert "Traceback" not in errors


def test_the_double_loads_neither_grpc_nor_the_stripe_sdk() -> None:
    code = (
        "import sys; from fake_stripe import FakeStripe; from fake_stripe.wire import Request\n"
        "headers = {b'authorization': b'Bearer sk_test_x'}\n"
        "with FakeStripe() as fake: fake.handle(Request('POST', '/v1/customers', headers=headers))\n"
        "import fake_stripe.control, fake_stripe.server, fake_stripe.http2, fake_stripe.cli, fake_stripe.sdk\n"
        "unwanted = {'grpc', 'google.protobuf', 'stripe', 'cloneservice', 'cloneservice_server'}\n"
        "print(sorted(unwanted & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "fake_stripe")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("parts", [1, 2], ids=["at once", "body after the head"])
def test_an_offered_upgrade_is_declined_and_its_body_is_read(fake: FakeStripe, parts: int) -> None:
    """Java's HttpClient offers h2c with its first request, whatever that is."""
    offer = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\nUpgrade: h2c\r\n"
    body = "email=ada%40example.com"
    lines = f"POST /v1/customers HTTP/1.1\r\nHost: x\r\n{offer}Authorization: Bearer {KEY}\r\n"
    head = f"{lines}Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(address(fake), timeout=10) as connection:
        for part in [head + body] if parts == 1 else [head, body]:
            connection.sendall(part.encode())
        connection.sendall(f"GET /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n".encode())
        connection.sendall(b"Connection: close\r\n\r\n")
        answered = connection.makefile("rb").read()

    assert answered.count(b"HTTP/1.1 200 OK") == 2
    assert answered.count(b'"email": "ada@example.com"') == 2
