"""The double as an ASGI application, for those who run an ASGI server anyway: `uvicorn fake_stripe.asgi:app`.

An ASGI server owns the connection, so the faults that break it are coarser here: a dropped or reset answer is an
exception that the server turns into a closed connection or a 500. `fake-stripe serve` breaks connections exactly.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from fake_stripe.app import FakeStripe
from fake_stripe.live import live_configuration
from fake_stripe.server import Server
from fake_stripe.wire import Request

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class BrokenByFaultError(ConnectionError):
    """The answer that a fault keeps from the client."""


class Asgi:
    """An ASGI 3 application around one `FakeStripe`.

    Raises ValueError beside a live-mode key or an address of the real Stripe in the environment.
    """

    def __init__(self, fake: FakeStripe) -> None:
        danger = live_configuration(os.environ, [])
        if danger:
            raise ValueError(f"fake_stripe refuses to start: {danger}")
        self._fake = fake
        self._server = Server(fake)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        ticking: asyncio.Task[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                ticking = asyncio.get_running_loop().create_task(self._server.tick())
                await send({"type": "lifespan.startup.complete"})
            else:
                if ticking is not None:
                    ticking.cancel()
                await self._server.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        base = f"{scope.get('scheme', 'http')}://{headers.get(b'host', b'127.0.0.1').decode('latin-1')}"
        response = self._fake.handle(
            Request(
                scope["method"], scope["path"], query=scope["query_string"], headers=headers, body=body, base_url=base
            )
        )
        if response.deliveries:
            self._server.deliver(response.deliveries)
        response = await self._server.settled(response)
        if response.fate is not None:
            raise BrokenByFaultError(f"a fault of fake_stripe: {response.fate.value}")
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers]
        sent.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": sent})
        await send({"type": "http.response.body", "body": response.body})


app = Asgi(FakeStripe())
