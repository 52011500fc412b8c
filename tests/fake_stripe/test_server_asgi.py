"""The double as an ASGI application."""

from typing import Any

import orjson
import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.asgi import Asgi, BrokenByFaultError


async def asgi(fake: FakeStripe, method: str, path: str, body: bytes = b"") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = [
        {"type": "http.request", "body": body[:3], "more_body": True},
        {"type": "http.request", "body": body[3:]},
    ]

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer sk_test_asgi"), (b"host", b"stripe.test")]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await Asgi(fake)(scope, receive, send)
    return sent


async def test_the_asgi_application_serves_the_double() -> None:
    start, body = await asgi(FakeStripe(), "POST", "/v1/customers", b"email=a%40b.co")
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert orjson.loads(body["body"])["email"] == "a@b.co"


async def test_over_asgi_a_dropped_answer_is_a_broken_connection_and_the_change_is_there() -> None:
    fake = FakeStripe()
    fake.world("sk_test_asgi").faults.add({"act": "commit_then_drop"})
    with pytest.raises(BrokenByFaultError):
        await asgi(fake, "POST", "/v1/customers")
    assert fake.world("sk_test_asgi").platform_scope(livemode=False).count("customer") == 1


async def test_the_asgi_applications_life_is_started_and_ended() -> None:
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    await Asgi(FakeStripe())({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
