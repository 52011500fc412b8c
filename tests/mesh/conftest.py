"""Envoy, two replicas on PostgreSQL and the double, all real processes but the double, which shows what happened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_stripe.sandbox import Sandbox

from fake_stripe import FakeStripe
from tests.mesh.servers import Server
from tests.postgres_fixture import postgres_server, postgres_url  # noqa: F401 - fixtures
from tests.stripe_http import StripeHttp

if TYPE_CHECKING:
    from tests.mesh.secured import Secured

if "MESH" not in os.environ:  # `make mesh` sets it, and brings Envoy; `make test` does without, and stays short
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def double() -> Iterator[FakeStripe]:
    """One double for the session."""
    with FakeStripe() as fake:
        yield fake


@pytest.fixture
def stripe(double: FakeStripe, request: pytest.FixtureRequest) -> StripeHttp:
    """The double's HTTP API with this test's own key."""
    return StripeHttp(double.url, f"sk_test_mesh{abs(hash(request.node.nodeid))}")


@pytest.fixture
def sandbox(double: FakeStripe, stripe: StripeHttp) -> Sandbox:
    """This test's world: its faults and its journal."""
    return Sandbox(double, stripe.api_key)


@pytest.fixture
def replicas(stripe: StripeHttp, postgres_url: str, tmp_path: Path) -> Iterator[tuple[Server, Server]]:  # noqa: F811
    """Two replicas of the service on one PostgreSQL, running."""
    first, second = (
        Server(
            stripe=stripe.url,
            api_key=stripe.api_key,
            ledger=postgres_url,
            log=tmp_path / f"server-{number}.log",
            flags=("--drain-delay-s", "2"),  # as deployments do: longer than Envoy takes to notice
        )
        for number in (1, 2)
    )
    try:
        yield first.start(), second.start()
    finally:
        for server in (first, second):
            if server.runs:
                server.kill()


@pytest.fixture
def mesh(stripe: StripeHttp, postgres_url: str, tmp_path: Path) -> Iterator[Secured]:  # noqa: F811
    """Envoy with everything on, mutual TLS and a policy."""
    from tests.mesh.secured import secured  # needs Envoy's package, which only `make mesh` brings

    with secured(stripe, postgres_url, tmp_path) as running:
        yield running
