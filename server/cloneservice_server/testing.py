"""A whole CloneService in this process, on the embedded double, for the tests of those who call it.

Import it as `cloneservice.testing`, which says what to install when something is missing. Everything is real but
Stripe: gRPC on a free port, the engine, a ledger (in memory), the gateway over HTTP to fake_stripe.

    with LocalCloneService() as service, service.client() as client:
        client.clone_and_charge(
            service.customers["pays"], service.accounts["bakery"], Money(1999, "USD")
        )

`service.stripe` is the world behind it: faults, clock, journal, events, and Stripe's SDK without a socket.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fake_stripe.sandbox import Sandbox
from fake_stripe.seeding import plant

from cloneservice_server.app import App, build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import LEDGER_OF_FAKE, load
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway
from fake_stripe import FakeStripe

if TYPE_CHECKING:
    from cloneservice import AsyncCloneClient, CloneClient

T = TypeVar("T")

SELLERS = ("bakery", "florist")
SHOPPERS = {
    "pays": "pm_card_visa",
    "is_declined": "pm_card_chargeCustomerFail",
    "must_authenticate": "pm_card_authenticationRequired",
}
"""Seeded platform customer to the test card that is its default."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """What a world is given to begin with; Stripe's ids by the names above."""

    accounts: dict[str, str]
    """Connected accounts, `acct_...`."""
    customers: dict[str, str]
    """Platform customers, `cus_...`, each with a default payment method that does as its name says."""


def seed(fake: FakeStripe, api_key: str) -> Seeds:
    """Give the world of `api_key` two sellers and three shoppers."""
    calls: list[dict[str, Any]] = []
    for name, card in SHOPPERS.items():
        customer, saved = f"${{{name}}}", f"${{card_of_{name}}}"
        default = {"invoice_settings": {"default_payment_method": saved}}
        calls += [
            {"path": "/v1/customers", "params": {"description": name}, "as": name},
            {"path": f"/v1/payment_methods/{card}/attach", "params": {"customer": customer}, "as": f"card_of_{name}"},
            {"path": f"/v1/customers/{customer}", "params": default},
        ]
    with fake.lock:
        planted = plant(fake, fake.world(api_key), api_key, {"accounts": [{} for _ in SELLERS], "calls": calls})
    return Seeds(
        accounts=dict(zip(SELLERS, planted["accounts"], strict=True)),
        customers={name: planted["made"][name] for name in SHOPPERS},
    )


class LocalCloneService:
    """A server in a thread of its own, so that blocking and asyncio tests alike can call it.

    Args:
        fake: the double to use; one of its own by default.
        api_key: the key of the world to use; a new world by default.
    """

    def __init__(self, fake: FakeStripe | None = None, api_key: str | None = None) -> None:
        self._own_fake = fake is None
        self._fake = fake or FakeStripe()
        self.stripe = Sandbox(self._fake, api_key or f"sk_test_{secrets.token_hex(12)}")
        """The world that stands for Stripe."""
        self.accounts: dict[str, str] = {}
        """Seeded connected accounts: `bakery`, `florist`."""
        self.customers: dict[str, str] = {}
        """Seeded platform customers: `pays`, `is_declined`, `must_authenticate`."""
        self._app: App | None = None
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread

    @property
    def target(self) -> str:
        """host:port of the running server."""
        if self._app is None:
            raise RuntimeError("this service is not running: call start(), or use it as a context manager")
        return str(self._app.address)

    def start(self) -> Self:
        """Seed the world, serve, and return once calls are taken. Returns itself."""
        seeds = seed(self._fake, self.stripe.api_key)
        self.accounts, self.customers = seeds.accounts, seeds.customers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloneservice", daemon=True)
        self._thread.start()
        try:
            self._app = self._run(self._start())
        except BaseException:
            self._end_thread()
            raise
        return self

    def stop(self) -> None:
        """Stop at once, and end the world if it was made for this service."""
        app, self._app = self._app, None
        if app is not None:
            self._run(app.stop(0.0))
            self._end_thread()
        if self._own_fake:
            self._fake.stop()

    def client(self, **options: Any) -> CloneClient:
        """A blocking client of this service; `options` are those of `CloneClient`."""
        from cloneservice import CloneClient  # noqa: PLC0415 - callers in other languages do without

        return CloneClient(self.target, **options)

    def async_client(self, **options: Any) -> AsyncCloneClient:
        """An asyncio client of this service; `options` are those of `AsyncCloneClient`."""
        from cloneservice import AsyncCloneClient  # noqa: PLC0415 - see client

        return AsyncCloneClient(self.target, **options)

    async def _start(self) -> App:
        flags = {"stripe": self.stripe.url, "ledger": LEDGER_OF_FAKE, "listen": "127.0.0.1:0"}
        settings = load(flags, {"STRIPE_API_KEY": self.stripe.api_key})
        clock = SystemClock()
        gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
        app = build_app(settings, gateway=gateway, ledger=open_ledger(settings.ledger, clock), clock=clock)
        await app.start()
        return app

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
