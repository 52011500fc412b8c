"""A ledger can be examined before a rollout, and is not changed by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ledger.reachable import examine
from cloneservice_server.ports import LedgerUnavailable


async def test_a_ledger_is_described_before_and_after_it_is_first_opened(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url, SystemClock())
    before = [await examine(ledger), await examine(ledger)]
    await ledger.open()
    await ledger.aclose()
    after = await examine(open_ledger(ledger_url, SystemClock()))

    assert before[0] == before[1]  # looking changes nothing
    assert "schema" not in before[0]
    assert ledger_url.endswith(":memory:") or after.startswith("schema at version")


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/none", "sqlite:////no/such/folder/ledger.db"])
async def test_a_ledger_that_cannot_be_used_is_told(url: str) -> None:
    with pytest.raises(LedgerUnavailable):
        await examine(open_ledger(url, SystemClock()))


async def test_a_file_that_is_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database " * 100)

    with pytest.raises(LedgerUnavailable, match="not a database"):
        await examine(open_ledger(f"sqlite:///{tmp_path}/ledger.db", SystemClock()))
