"""A server in a thread of its own, for tests that are not asynchronous."""

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from fake_stripe.server import Server, new_event_loop

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe

_START_TIMEOUT = 10.0


class ThreadedServer:
    """Serves from the moment it is made until `stop`.

    Attributes:
        url: where it answers, without a trailing slash.
    """

    def __init__(self, app: "FakeStripe", host: str, port: int) -> None:
        self.url = ""
        self._host = host
        self._port = port
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop = new_event_loop()
        self._stop = asyncio.Event()
        self._server = Server(app)
        self._thread = threading.Thread(target=self._run, name="fake-stripe", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT):
            raise RuntimeError(f"fake_stripe did not start within {_START_TIMEOUT} seconds")
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self) -> None:
        server = self._server
        try:
            port = await server.listen(self._host, self._port)
        except OSError as failure:
            self._failure = failure
            self._ready.set()
            return
        self.url = f"http://{self._host}:{port}"
        self._ready.set()
        ticking = asyncio.get_running_loop().create_task(server.tick())
        await self._stop.wait()
        ticking.cancel()
        await server.close()

    def deliver(self, deliveries: list[Any]) -> None:
        """Carry out webhook deliveries on the server's event loop."""
        self._loop.call_soon_threadsafe(self._server.deliver, deliveries)

    def stop(self) -> None:
        """End it and wait until its port is free."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()


def deliver_in_thread(deliveries: list[Any]) -> None:
    """Carry out webhook deliveries though no server runs: from a thread that ends when they are done."""
    from fake_stripe.webhooks import deliver  # noqa: PLC0415 - only with webhook endpoints

    async def all_of_them() -> None:
        await asyncio.gather(*(deliver(delivery) for delivery in deliveries))

    threading.Thread(target=asyncio.run, args=(all_of_them(),), name="fake-stripe-webhooks", daemon=True).start()
