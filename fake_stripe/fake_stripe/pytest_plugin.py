"""pytest fixtures: a Stripe of its own for every test.

`fake_stripe` is a `Sandbox` in a world that no other test sees; `fake_stripe_url` serves it over HTTP;
`fake_stripe_server` is the `FakeStripe` behind both, one per process, hence safe under pytest-xdist.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.sandbox import Sandbox


@pytest.fixture(scope="session")
def fake_stripe_server() -> "Iterator[FakeStripe]":
    """The double of this test process; it serves HTTP from the moment its `url` is asked for through a sandbox."""
    from fake_stripe.extra import advice  # noqa: PLC0415 - runs that do not use it do not pay for it

    if missing := advice():
        pytest.fail(missing, pytrace=False)
    from fake_stripe.app import FakeStripe  # noqa: PLC0415 - as above

    app = FakeStripe()
    yield app
    app.stop()


@pytest.fixture
def fake_stripe(fake_stripe_server: "FakeStripe", request: pytest.FixtureRequest) -> "Iterator[Sandbox]":
    """A world of this test's own, gone when it ends. Its ids are the same on every run of the test."""
    from fake_stripe.ids import derived  # noqa: PLC0415 - as above
    from fake_stripe.sandbox import Sandbox  # noqa: PLC0415 - as above

    name = "test" + derived(request.node.nodeid, 20)
    fake_stripe_server.worlds.reset(name, seed=request.node.nodeid)
    yield Sandbox(fake_stripe_server, f"sk_test_{name}")
    fake_stripe_server.worlds.close(name)


@pytest.fixture
def fake_stripe_url(fake_stripe: "Sandbox") -> str:
    """Where the double serves HTTP: give it to a Stripe client as its base, with `fake_stripe.api_key`."""
    return fake_stripe.url
