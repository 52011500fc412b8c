"""The double itself, free of any transport: `FakeStripe.handle` takes a request and gives an answer."""

import logging
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fake_stripe.errors import ApiError
from fake_stripe.exchange import Exchange, preflight, refused
from fake_stripe.http.keys import Key, key_of
from fake_stripe.journal import Entry, raw_params
from fake_stripe.live import is_live
from fake_stripe.wire import Request, Response
from fake_stripe.world import World
from fake_stripe.worlds import Worlds

if TYPE_CHECKING:
    from fake_stripe.threaded import ThreadedServer

log = logging.getLogger("fake_stripe")

DEFAULT_KEY = "sk_test_fake"


class FakeStripe:
    """A Stripe double: many isolated worlds, one per API key.

    As a context manager it serves HTTP on a free port of the loopback interface:

        with FakeStripe() as fake:
            stripe.api_base, stripe.api_key = fake.url, fake.api_key

    `handle` alone needs no socket and no event loop. It is thread-safe.

    Args:
        seed: makes the ids of every world reproducible; without one they follow the world's name and the clock.
        stateless: answer every operation from a fixture, any id exists, as stripe-mock does.
        strict_version: refuse requests that name any API version but the newest, as stripe-mock can.
        max_worlds: how many worlds may be open at once.
        journal_size: how many calls each world remembers.
        api_key: the key that `world()` and the doors made from this double use. A live-mode key is a ValueError.

    Attributes:
        refused: the last calls whose key opened no world.
        strict_version: as given.
        verbose: log each call and its status.
    """

    def __init__(
        self,
        *,
        seed: str | None = None,
        stateless: bool = False,
        strict_version: bool = False,
        max_worlds: int = 10_000,
        journal_size: int = 1000,
        api_key: str = DEFAULT_KEY,
    ) -> None:
        if is_live(api_key):
            raise ValueError("a live-mode key has no place in a test double")
        self.worlds = Worlds(seed=seed, stateless=stateless, most=max_worlds, journal_size=journal_size)
        self.api_key = api_key
        self.refused: deque[Entry] = deque(maxlen=journal_size)
        self.strict_version = strict_version
        self.verbose = False
        self._keys: dict[bytes | None, Key] = {}
        self._lock = threading.RLock()
        self._number = 0
        self._server: ThreadedServer | None = None

    @property
    def lock(self) -> threading.RLock:
        """Held while a request is handled; hold it to look at a world from another thread."""
        return self._lock

    def world(self, api_key: str | None = None) -> World:
        """The world that an API key opens (by default that of `api_key`)."""
        return self.worlds.open(key_of(b"Bearer " + (api_key or self.api_key).encode()).world)

    def handle(self, request: Request) -> Response:
        """Answer one request. Never raises: what goes wrong is an answer, too."""
        with self._lock:
            if request.path.startswith("/_fake"):
                from fake_stripe.control import handle  # noqa: PLC0415 - serving the API itself does not need it

                return handle(self, request)
            if request.method == "OPTIONS" and b"access-control-request-method" in request.headers:
                return preflight(request)
            return self._handle(request)

    def _handle(self, request: Request) -> Response:
        self._number += 1
        try:
            key = self._key_of(request.headers.get(b"authorization"))
            world = self.worlds.open(key.world)
        except ApiError as error:
            self._note_refused(request, error)
            return refused(error)
        deliveries = self.run_due(world)
        response = Exchange(world, key, request, self._number, strict_version=self.strict_version).run()
        if self.verbose:
            log.info("%s %s: %d", request.method, request.path, response.status)
        if world.outbox:
            deliveries += self.deliveries(world)
        response.deliveries = deliveries
        return response

    def _note_refused(self, request: Request, error: ApiError) -> None:
        entry = Entry(self._number, int(time.time()), request.method, request.path, raw_params(request))
        entry.status = error.status
        entry.note_error(error)
        self.refused.append(entry)

    def run_due(self, world: World) -> list[Any]:
        """Run the world's jobs whose time has come; returns the webhook deliveries that they cause."""
        if not world.scheduled or not world.run_due():
            return []
        return self.deliveries(world)

    def deliveries(self, world: World) -> list[Any]:
        """Take the events that wait and turn them into webhook deliveries, if anybody listens."""
        emitted, world.outbox = world.outbox, []
        if not emitted or not any(scope.count("webhook_endpoint") for scope in world.scopes()):
            return []
        from fake_stripe.webhooks import plan  # noqa: PLC0415 - only worlds with a webhook endpoint need it

        return plan(world, emitted)

    def hand_over(self, deliveries: list[Any]) -> None:
        """Have webhook deliveries carried out that no server's answer carries: by the started server, or a thread."""
        if not deliveries:
            return
        if self._server is not None:
            self._server.deliver(deliveries)
            return
        from fake_stripe.threaded import deliver_in_thread  # noqa: PLC0415 - only with webhook endpoints

        deliver_in_thread(deliveries)

    def _key_of(self, authorization: bytes | None) -> Key:
        key = self._keys.get(authorization)
        if key is None:
            key = key_of(authorization)
            if len(self._keys) > 10_000:
                self._keys.clear()
            self._keys[authorization] = key
        return key

    # ---- doors

    def start(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Serve HTTP from a thread; port 0 takes a free one. Returns itself."""
        from fake_stripe.threaded import ThreadedServer  # noqa: PLC0415 - in-process use needs no server

        if self._server is None:
            self._server = ThreadedServer(self, host, port)
        return self

    def stop(self) -> None:
        """Stop serving; the worlds stay."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """Where the started server answers, without a trailing slash."""
        if self._server is None:
            raise RuntimeError("this FakeStripe is not serving: call start(), or use it as a context manager")
        return self._server.url

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
