"""The asyncio server: listeners for HTTP/1.1 and HTTP/2, plain and TLS, around one `FakeStripe`."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

from fake_stripe.h1 import Http1
from fake_stripe.wire import Response

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.http2 import Either, Http2

log = logging.getLogger("fake_stripe")

_TICK = 1.0
_GRACE = 5.0


class Server:
    """Listeners and what runs beside them: delayed answers, webhook deliveries, the worlds' own jobs.

    Attributes:
        connections: the open connections.
        stopping: answers from now on close their connection.
        patience: seconds that a request may take to arrive, and a client to read its answers. A connection on which
            nothing is asked may stay open for as long as it likes.
    """

    def __init__(self, app: "FakeStripe") -> None:
        self.app = app
        self.connections: set[Http1 | Http2 | Either] = set()
        self.stopping = False
        self.patience = 30.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._default_base = b""
        self._scheme = "http"
        self._bases: dict[bytes, str] = {}

    # ---- listening

    async def listen(self, host: str, port: int) -> int:
        """Serve plain HTTP/1.1 and HTTP/2 with prior knowledge; returns the port (port 0 takes a free one)."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self.plain, host, port, backlog=1024)
        return self._listening(listener, host)

    async def listen_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Serve HTTPS, with HTTP/2 for clients that negotiate it by ALPN; returns the port."""
        context.set_alpn_protocols(["h2", "http/1.1"])
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Negotiated(self), host, port, ssl=context, backlog=1024)
        return self._listening(listener, host)

    async def listen_unix(self, path: str, context: ssl.SSLContext | None = None) -> None:
        """Serve HTTP, or HTTPS with a TLS context, on a Unix socket; what a former server left there is replaced."""
        loop = asyncio.get_running_loop()
        if context is not None:
            context.set_alpn_protocols(["h2", "http/1.1"])
        made = self.plain if context is None else lambda: Negotiated(self)
        self._listeners.append(await loop.create_unix_server(made, path, ssl=context, backlog=1024))
        self._default_base = self._default_base or b"localhost"

    def _listening(self, listener: asyncio.Server, host: str) -> int:
        self._listeners.append(listener)
        port = int(listener.sockets[0].getsockname()[1])
        if not self._default_base:
            self._default_base = f"{'127.0.0.1' if host in ('', '0.0.0.0', '::') else host}:{port}".encode()  # noqa: S104 - compared, not bound
        return port

    def plain(self) -> "Either":
        """The protocol of a new plain connection."""
        from fake_stripe.http2 import Either  # noqa: PLC0415 - h2 costs start-up time; see `http2`

        return Either(self)

    def http1(self) -> Http1:
        """The HTTP/1.1 protocol."""
        return Http1(self)

    def http2(self) -> "Http2":
        """The HTTP/2 protocol; its library is loaded with the first connection that needs it."""
        from fake_stripe.http2 import Http2  # noqa: PLC0415 - see above

        return Http2(self)

    def base_url(self, host: bytes | None) -> str:
        """Where a client that sent this Host header reaches the server."""
        host = host or self._default_base
        known = self._bases.get(host)
        if known is None:
            if len(self._bases) > 1000:
                self._bases.clear()
            known = self._bases[host] = f"{self._scheme}://{host.decode('latin-1')}"
        return known

    # ---- beside the answers

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connections; its failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task failed", exc_info=task.exception())

    async def settled(self, response: Response) -> Response:
        """Wait as long as the answer wants to wait; returns the answer to send."""
        try:
            if response.delay:
                await asyncio.sleep(response.delay)
            while response.poll is not None:
                found = response.poll()
                if found is not None:
                    return found
                await asyncio.sleep(0.01)
            return response
        finally:
            if response.release is not None:
                response.release()

    def deliver(self, deliveries: list[Any]) -> None:
        """Carry out webhook deliveries, each in a task of its own."""
        from fake_stripe.webhooks import deliver  # noqa: PLC0415 - only runs with webhook endpoints need it

        for delivery in deliveries:
            self.spawn(deliver(delivery))

    def end_slow(self) -> None:
        """Refuse what has been arriving for longer than `patience`: half a request must not hold a connection."""
        since = asyncio.get_running_loop().time() - self.patience
        for connection in list(self.connections):
            connection.end_if_slow(since)

    async def tick(self) -> None:
        """Run the worlds' own jobs when their time comes, though nobody asks, and end what is too slow."""
        while True:
            await asyncio.sleep(_TICK)
            self.end_slow()
            for name in self.app.worlds.names():
                world = self.app.worlds.get(name)
                if world is not None and world.scheduled:
                    with self.app.lock:
                        deliveries = self.app.run_due(world)
                    self.deliver(deliveries)

    async def close(self) -> None:
        """Stop listening, let answers in hand finish, end the connections."""
        self.stopping = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.close()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*self._tasks, return_exceptions=True), _GRACE)


class Negotiated(asyncio.Protocol):
    """A TLS connection: HTTP/2 if the client negotiated it, else HTTP/1.1."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over to what ALPN agreed on."""
        tls = transport.get_extra_info("ssl_object")
        negotiated = tls.selected_alpn_protocol() if tls is not None else None
        protocol = self._server.http2() if negotiated == "h2" else self._server.http1()
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of uvloop where it is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
