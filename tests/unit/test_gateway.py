"""The gateway against a local HTTP server that answers, stalls, drops and truncates at will."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe
from cloneservice_server.ports import AnswerLost, NotSent, Refused, StripeCall
from cloneservice_server.stripe_gateway import transport as transport_module
from cloneservice_server.stripe_gateway.gateway import API_VERSION, SdkStripeGateway
from cloneservice_server.stripe_gateway.transport import TransportSettings

KEY = "sk_test_" + "unit" * 6
CREATE = StripeCall("POST", "/v1/customers", "acct_1", {"email": "a@example.com"})
READ = StripeCall("GET", "/v1/customers/cus_1", "acct_1")


@dataclass
class Wire:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: str


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class LocalStripe:
    """A server that reads a request and then behaves as told; `before` may end a connection before it reads."""

    behave: Behaviour
    before: Callable[[asyncio.StreamWriter], None] | None = None
    wires: list[Wire] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.before is not None:
                self.before(writer)
            while not writer.is_closing():
                self.wires.append(await _read_request(reader))
                self.arrived.set()
                await self.behave(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Wire:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (item.split(": ", 1) for item in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Wire(line, headers, body.decode())


@asynccontextmanager
async def local_stripe(behave: Behaviour, **more: Any) -> AsyncIterator[LocalStripe]:
    local = LocalStripe(behave, **more)
    server = await asyncio.start_server(local.serve, "127.0.0.1", 0)
    local.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield local
    finally:
        server.close()


@asynccontextmanager
async def gateway_to(url: str, **settings: Any) -> AsyncIterator[SdkStripeGateway]:
    gateway = SdkStripeGateway(KEY, base_url=url, transport=TransportSettings(**settings))
    try:
        yield gateway
    finally:
        await gateway.aclose()


def answers(body: str = "{}", status: int = 200, **headers: str) -> Behaviour:
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    text = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body.encode())}\r\nRequest-Id: req_1\r\n{named}\r\n{body}"
    return sends(text)


def sends(text: str, *, then_close: bool = False) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        await writer.drain()
        if then_close:
            writer.close()

    return behave


async def closes(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def resets(writer: asyncio.StreamWriter) -> None:
    reset(writer)


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def stalls(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def send(url: str, call: StripeCall = CREATE, timeout_s: float = 5.0, **settings: Any) -> Any:
    async with gateway_to(url, **settings) as gateway:
        key = "cs_key" if call.method == "POST" else ""
        return await gateway.send(call, idempotency_key=key, timeout_s=timeout_s)


# ------------------------------------------------------------------------------------------------- what is on the wire


async def test_a_post_carries_the_account_the_key_the_version_and_the_platforms_authorisation() -> None:
    async with local_stripe(answers()) as local:
        await send(local.url)
    (wire,) = local.wires
    assert wire.line == "POST /v1/customers HTTP/1.1"
    assert wire.headers["stripe-account"] == "acct_1"
    assert wire.headers["idempotency-key"] == "cs_key"
    assert wire.headers["stripe-version"] == API_VERSION
    assert wire.headers["authorization"] == f"Bearer {KEY}"
    assert wire.headers["content-type"] == "application/x-www-form-urlencoded"
    assert wire.body == "email=a%40example.com"


async def test_a_platform_call_names_no_account_and_a_get_has_no_key_and_no_body() -> None:
    async with local_stripe(answers()) as local:
        await send(local.url, StripeCall("GET", "/v1/payment_methods", params={"customer": "cus_1", "limit": 3}))
    (wire,) = local.wires
    assert wire.line == "GET /v1/payment_methods?customer=cus_1&limit=3 HTTP/1.1"
    assert "stripe-account" not in wire.headers
    assert "idempotency-key" not in wire.headers
    assert wire.body == ""


async def test_nested_values_lists_booleans_and_numbers_are_encoded_as_stripe_reads_them() -> None:
    params = {
        "amount": 1099,
        "off_session": True,
        "confirm": False,
        "payment_method_types": ["card", "us_bank_account"],
        "metadata": {"order": "ä & b", "empty": ""},
        "items": [{"price": {"unit": 5}}],
    }
    async with local_stripe(answers()) as local:
        await send(local.url, StripeCall("POST", "/v1/payment_intents", "acct_1", params))
    assert local.wires[0].body == (
        "amount=1099&off_session=true&confirm=false&payment_method_types[0]=card&payment_method_types[1]=us_bank_account"
        "&metadata[order]=%C3%A4+%26+b&metadata[empty]=&items[0][price][unit]=5"
    )


@pytest.mark.parametrize("call", [CREATE, StripeCall("GET", "/v1/customers", "", {"expand": ["data.x"], "limit": 2})])
async def test_the_request_is_byte_for_byte_what_the_sdks_public_raw_path_sends(call: StripeCall) -> None:
    async with local_stripe(answers()) as local:
        await send(local.url, call)
        http = transport_module.StripeTransport()
        client = stripe.StripeClient(
            KEY,
            stripe_version=API_VERSION,
            base_addresses={"api": local.url},
            http_client=http,
            max_network_retries=0,
        )
        options: dict[str, Any] = {"stripe_account": call.account or None}
        if call.method == "POST":
            options["idempotency_key"] = "cs_key"
        await client.raw_request_async(call.method.lower(), call.path, **call.params, **options)
        await http.close_async()
    ours, theirs = local.wires
    assert ours == theirs


async def test_connections_are_kept_and_used_again() -> None:
    async with local_stripe(answers()) as local, gateway_to(local.url) as gateway:
        for _ in range(3):
            await gateway.send(READ)
    assert (len(local.wires), local.connections) == (3, 1)


async def test_no_more_connections_are_opened_than_allowed() -> None:
    async with local_stripe(answers()) as local, gateway_to(local.url, max_connections=2) as gateway:
        await asyncio.gather(*(gateway.send(READ) for _ in range(10)))
    assert len(local.wires) == 10
    assert local.connections <= 2


# -------------------------------------------------------------------------------------------------------- answers


async def test_an_answer_is_decoded_with_its_request_id_and_whether_stripe_replayed_it() -> None:
    async with local_stripe(answers('{"id": "cus_1"}', idempotent_replayed="true")) as local:
        answer = await send(local.url)
    assert (answer.body, answer.stripe_request_id, answer.replayed) == ({"id": "cus_1"}, "req_1", True)


async def test_a_refusal_carries_everything_stripe_said() -> None:
    body = (
        '{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card", "param": "x",'
        ' "message": "No.", "advice_code": "do_not_try_again"}}'
    )
    async with local_stripe(answers(body, 402)) as local:
        with pytest.raises(Refused) as caught:
            await send(local.url)
    refused = caught.value
    assert (refused.status, refused.type, refused.code) == (402, "card_error", "card_declined")
    assert (refused.decline_code, refused.param, refused.message) == ("lost_card", "x", "No.")
    assert refused.body["advice_code"] == "do_not_try_again"
    assert (refused.stripe_request_id, refused.account, refused.replayed) == ("req_1", "acct_1", False)


async def test_a_refusal_says_whether_it_is_a_replay_and_which_limit_was_reached() -> None:
    body = '{"error": {"type": "invalid_request_error", "message": "slow down"}}'
    async with local_stripe(
        answers(body, 429, stripe_rate_limited_reason="endpoint-rate", idempotent_replayed="true")
    ) as local:
        with pytest.raises(Refused) as caught:
            await send(local.url)
    assert (caught.value.replayed, caught.value.rate_limited_reason) == (True, "endpoint-rate")


async def test_a_server_error_in_stripes_words_is_a_refusal_with_its_status() -> None:
    async with local_stripe(answers('{"error": {"type": "api_error", "message": "oops"}}', 500)) as local:
        with pytest.raises(Refused) as caught:
            await send(local.url)
    assert (caught.value.status, caught.value.type) == (500, "api_error")


@pytest.mark.parametrize(
    "behave",
    [
        answers("<html>bad gateway</html>", 502),
        answers("{}", 500),
        answers("<html>", 200),
        answers("[1]", 200),
        answers("", 200),
        answers('{"error": "invalid_client"}', 401),
        answers("", 307, location="/v1/elsewhere"),
    ],
    ids=["html 502", "500 without error", "html 200", "a list", "empty", "oauth shape", "redirect"],
)
async def test_an_answer_that_is_not_stripes_leaves_the_outcome_unknown(behave: Behaviour) -> None:
    async with local_stripe(behave) as local:
        with pytest.raises(AnswerLost):
            await send(local.url)
    assert len(local.wires) == 1


# -------------------------------------------------------------------------------------------- nothing was done


async def test_a_refused_connection_is_not_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent):
            await send(f"http://127.0.0.1:{unused.getsockname()[1]}")


async def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    with pytest.raises(NotSent):
        await send("http://stripe.invalid")


@pytest.mark.parametrize(("timeout_s", "connect_timeout_s"), [(0.05, 5.0), (5.0, 0.05)], ids=["call", "connect"])
async def test_a_connection_that_is_not_made_in_time_is_not_sent(timeout_s: float, connect_timeout_s: float) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # the backlog is full: one more connection is not answered
        try:
            for other in waiting:
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            with pytest.raises(NotSent):
                await send(url, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)
        finally:
            for other in waiting:
                other.close()


async def test_a_tls_handshake_that_fails_is_not_sent() -> None:
    async with local_stripe(answers(), before=lambda writer: writer.write(b"no TLS here\r\n")) as local:
        with pytest.raises(NotSent):
            await send(local.url.replace("http:", "https:"))
    assert local.wires == []


async def test_waiting_for_a_free_connection_beyond_the_timeout_is_not_sent() -> None:
    async with local_stripe(stalls) as local, gateway_to(local.url, max_connections=1) as gateway:
        holding = asyncio.create_task(gateway.send(READ))
        await local.arrived.wait()
        with pytest.raises(NotSent):
            await gateway.send(CREATE, idempotency_key="cs_key", timeout_s=0.05)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    assert len(local.wires) == 1


# -------------------------------------------------------------------------------------------- the outcome is unknown


@pytest.mark.parametrize(
    "behave",
    [
        closes,
        resets,
        sends("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{", then_close=True),
        sends("HTTP/1.1 200 OK\r\nContent-Le", then_close=True),
        sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", then_close=True),
        sends("this is not HTTP\r\n\r\n", then_close=True),
    ],
    ids=["closed", "reset", "cut body", "cut headers", "cut chunk", "garbage"],
)
@pytest.mark.parametrize("call", [CREATE, READ], ids=["post", "get"])
async def test_a_connection_that_breaks_after_the_request_loses_the_answer(behave: Behaviour, call: StripeCall) -> None:
    async with local_stripe(behave) as local:
        with pytest.raises(AnswerLost):
            await send(local.url, call)
    assert len(local.wires) == 1


@pytest.mark.parametrize("behave", [stalls, sends("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{")])
async def test_an_answer_that_does_not_come_in_time_is_lost(behave: Behaviour) -> None:
    async with local_stripe(behave) as local:
        with pytest.raises(AnswerLost, match="time-out"):
            await send(local.url, timeout_s=0.1)
    assert len(local.wires) == 1


@pytest.mark.parametrize("end", [reset, lambda writer: writer.close()], ids=["reset", "closed"])
async def test_a_connection_that_ends_before_the_request_is_read_counts_as_lost(
    end: Callable[[asyncio.StreamWriter], None],
) -> None:
    # Nothing was done, but this side cannot know: the bytes may have left.
    async with local_stripe(answers(), before=end) as local:
        with pytest.raises(AnswerLost):
            await send(local.url)
    assert local.wires == []


@pytest.mark.parametrize("call", [CREATE, READ], ids=["post", "get"])
async def test_a_call_on_a_kept_connection_that_breaks_is_sent_once_and_never_again_by_itself(call: StripeCall) -> None:
    async with local_stripe(answers()) as local, gateway_to(local.url) as gateway:
        await gateway.send(READ)
        local.behave = closes
        with pytest.raises(AnswerLost):
            await gateway.send(call, idempotency_key="cs_key" if call is CREATE else "")
    assert len(local.wires) == 2


async def test_a_kept_connection_that_stripe_has_closed_is_replaced_without_losing_an_answer() -> None:
    closing = sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", then_close=True)
    async with local_stripe(closing) as local, gateway_to(local.url) as gateway:
        await gateway.send(READ)
        local.behave = answers()
        await gateway.send(CREATE, idempotency_key="cs_key")
    assert local.connections == 2


async def test_an_endless_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "MAX_RESPONSE_BYTES", 1000)
    async with local_stripe(answers('{"a": "' + "x" * 1000 + '"}')) as local:
        with pytest.raises(AnswerLost):
            await send(local.url)


async def test_a_cancelled_call_ends_its_connection() -> None:
    async with local_stripe(stalls) as local, gateway_to(local.url, max_connections=1) as gateway:
        task = asyncio.create_task(gateway.send(CREATE, idempotency_key="cs_key"))
        await local.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        local.behave = answers()
        assert (await gateway.send(READ)).body == {}
    assert local.connections == 2


# ------------------------------------------------------------------------------------------- calls that are not made


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (StripeCall("POST", "/v1/customers"), ""),
        (StripeCall("GET", "/v1/customers"), "cs_key"),
        (StripeCall("PUT", "/v1/customers"), "cs_key"),
        (StripeCall("GET", "/v1/customers/../charges"), ""),
        (StripeCall("GET", "/v1/customers/cus_1?expand[]=x"), ""),
        (StripeCall("GET", "//evil.example/v1/customers"), ""),
        (StripeCall("GET", "/v1/customers/"), ""),
        (StripeCall("GET", "/v1/customers", "acct_1\r\nX-Injected: 1"), ""),
        (StripeCall("POST", "/v1/customers"), "k" * 256),
    ],
)
async def test_a_malformed_call_is_refused_before_anything_is_sent(call: StripeCall, key: str) -> None:
    async with local_stripe(answers()) as local, gateway_to(local.url) as gateway:
        with pytest.raises(ValueError):
            await gateway.send(call, idempotency_key=key)
    assert local.connections == 0


# ------------------------------------------------------------------------------------------------------ secrets


async def test_neither_the_key_nor_a_body_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret_answer = '{"id": "pi_1", "client_secret": "pi_1_secret_abc"}'
    async with local_stripe(answers(secret_answer)) as local, gateway_to(local.url) as gateway:
        await gateway.send(CREATE, idempotency_key="cs_key")
        assert KEY not in repr(gateway)
        local.behave = answers('{"error": {"message": "pi_2_secret_x", "type": "t"}}', 400)
        with pytest.raises(Refused) as refused:
            await gateway.send(CREATE, idempotency_key="cs_key2")
    local_log = "\n".join(record.getMessage() for record in caplog.records if record.name != "asyncio")
    assert "/v1/customers" in local_log
    for secret in (KEY, "_secret_", "a@example.com", "a%40example.com"):
        assert secret not in local_log
        assert secret not in repr(refused.value)
        assert secret not in str(refused.value)


async def test_faults_name_neither_key_nor_url() -> None:
    async with local_stripe(closes) as local:
        with pytest.raises(AnswerLost) as caught:
            await send(local.url)
    assert KEY not in repr(caught.value)
    assert "127.0.0.1" not in str(caught.value)


async def test_the_sdks_telemetry_is_off() -> None:
    async with local_stripe(answers()) as local, gateway_to(local.url) as gateway:
        await gateway.send(READ)
        await gateway.send(READ)
    for wire in local.wires:
        assert "x-stripe-client-telemetry" not in wire.headers
        assert "telemetry_id" not in wire.headers["x-stripe-client-user-agent"]
        assert "platform" not in wire.headers["x-stripe-client-user-agent"]


async def test_explaining_a_refusal_uses_the_table() -> None:
    async with gateway_to("http://127.0.0.1:1") as gateway:
        assert gateway.explain(Refused(401), "clone").reason == "STRIPE_MISCONFIGURED"
