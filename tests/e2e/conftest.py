"""The whole service in this process: real gRPC, real SQLite file, real gateway over HTTP to an embedded double."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cloneservice import AsyncCloneClient
from cloneservice_server.app import App, build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import Settings, load
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

from fake_stripe import FakeStripe
from tests.stripe_http import StripeHttp


@pytest.fixture(scope="session")
def double() -> Iterator[FakeStripe]:
    """One double for the session; each test has a world of its own by its API key."""
    with FakeStripe() as fake:
        yield fake


@pytest.fixture
def stripe(double: FakeStripe, request: pytest.FixtureRequest) -> StripeHttp:
    """The double's HTTP API with this test's own key."""
    name = "".join(letter for letter in request.node.nodeid if letter.isalnum())[-60:]
    return StripeHttp(double.url, f"sk_test_{name}")


@pytest.fixture
def settings(stripe: StripeHttp, tmp_path: Path) -> Settings:
    """Settings as a user would give them."""
    flags = {"stripe": stripe.url, "ledger": f"sqlite:///{tmp_path}/ledger.db", "listen": "127.0.0.1:0"}
    return load(flags, {"STRIPE_API_KEY": stripe.api_key})


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    """A running server."""
    clock = SystemClock()
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    running = build_app(settings, gateway=gateway, ledger=open_ledger(settings.ledger, clock), clock=clock)
    await running.start()
    yield running
    await running.stop(5.0)


@pytest.fixture
async def client(app: App) -> AsyncIterator[AsyncCloneClient]:
    """A client of that server."""
    async with AsyncCloneClient(f"127.0.0.1:{app.port}") as connected:
        yield connected
