"""The ledger's contract is tested against each store; a pair of replicas is one ledger on SQLite, two on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import SqlLedger, open_ledger

from tests.postgres_fixture import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each store in turn, empty."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "sqlite://:memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
async def replicas(ledger_url: str) -> AsyncIterator[tuple[SqlLedger, SqlLedger]]:
    """The ledger as two replicas see it."""
    clock = SystemClock()
    first = open_ledger(ledger_url, clock)
    second = open_ledger(ledger_url, clock) if ledger_url.startswith("postgresql") else first
    await first.open()
    if second is not first:
        await second.open()
    yield first, second
    await first.aclose()
    await second.aclose()


@pytest.fixture
def ledger(replicas: tuple[SqlLedger, SqlLedger]) -> SqlLedger:
    """The ledger as one replica sees it."""
    return replicas[0]
