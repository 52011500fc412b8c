"""A large batch takes memory for what is being worked on, not for what there is. The million is bench/batch.py's."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.batches import BatchOperation, BatchPlan, BatchState, Selection
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports_batches import RateLimits
from cloneservice_server.workflows.batch_layout import lay_out
from cloneservice_server.workflows.batches import Asked, Batches

SIDE = 150
MEMORY_MOST = 8_000_000
"""Bytes of Python's memory; a list of all items alone would be more."""


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    opened = open_ledger(f"sqlite:///{tmp_path}/ledger.db", SystemClock())
    await opened.open()
    yield opened
    await opened.aclose()


async def no_methods(_customer: str) -> list[str]:
    return []


async def listed(batches: Batches, batch_id: str) -> int:
    """Items seen page by page; each page follows the one before."""
    many = 0
    while page := await batches.list_items(batch_id, (), many - 1, 200):
        assert [item.index for item in page] == list(range(many, many + len(page)))
        many += len(page)
    return many


async def test_many_items_are_laid_out_and_listed_in_flat_memory(ledger: SqlLedger) -> None:
    batches = Batches(ledger, SystemClock(), RateLimits())
    customers, accounts = (tuple(f"{name}_{number:020}" for number in range(SIDE)) for name in ("cus", "acct"))
    tracemalloc.start()
    try:
        product = Selection(customers, accounts)
        made = await batches.create(Asked(str(uuid.uuid4()), "hash"), BatchPlan(BatchOperation.CLONE), [product])
        assert await lay_out(ledger, made.batch, no_methods)
        many = await listed(batches, made.batch.batch_id)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    batch = await ledger.get_batch(made.batch.batch_id)
    assert batch is not None
    assert (batch.state, batch.total_count, many) == (BatchState.RUNNING, SIDE * SIDE, SIDE * SIDE)
    assert most < MEMORY_MOST
