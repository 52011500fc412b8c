"""Batches in the ledger: laid out once, each item finished once, events in order, partitions leased like requests."""

from __future__ import annotations

import asyncio

import pytest
from cloneservice_server.domain.batches import (
    BatchOperation,
    BatchPlan,
    BatchState,
    ItemState,
    Selection,
)
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ledger.part import Part
from cloneservice_server.ports import EffectTaken, Page, PutClone, StrikeBatchItems
from cloneservice_server.ports_batches import BatchRequest, Expansion, ItemDone, NewItem, Share

from tests import ledger_values as given

PLAN = BatchPlan(BatchOperation.CLONE, set_default=True)
CROSS = Selection(("cus_1", "cus_2"), ("acct_a", "acct_b"))


def asked(batch_id: str = "bat_1", request_id: str = "", method: str = "CreateCloneBatch") -> BatchRequest:
    return BatchRequest(request_id or f"{method} {batch_id}", method, "hash", batch_id, "shop")


async def laid_out(ledger: SqlLedger, batch_id: str = "bat_1", selection: Selection = CROSS) -> None:
    """A RUNNING batch."""
    await ledger.create_batch(asked(batch_id), PLAN, [selection], sealed=True)
    start, chunk = await ledger.get_expansion(batch_id)
    assert chunk is not None
    items = [NewItem(place, *item) for place, item in enumerate(chunk.items(0, chunk.count))]
    await ledger.lay_out(batch_id, start, items, Expansion(len(items), start.chunk + chunk.count, 0))
    await ledger.start_batch(batch_id)


def done(index: int, state: ItemState = ItemState.SUCCEEDED, **more: object) -> ItemDone:
    return ItemDone(index, state, 1, **more)  # type: ignore[arg-type]


async def test_a_stored_batch_is_read_and_listed_as_it_was_asked_for(ledger: SqlLedger) -> None:
    stored = await ledger.create_batch(asked(), PLAN, [CROSS], sealed=True)

    batch = await ledger.get_batch("bat_1")
    assert stored is None
    assert batch is not None
    assert (batch.plan, batch.state, batch.total_count, batch.caller) == (PLAN, BatchState.PENDING, 4, "shop")
    assert await ledger.list_batches(Page(10)) == [batch]
    assert await ledger.list_batches(Page(10), caller="another") == []
    assert await ledger.list_batches(Page(10, batch.create_time_us, batch.batch_id)) == []


async def test_a_request_about_a_batch_is_recorded_once_and_found_by_its_id(ledger: SqlLedger) -> None:
    await ledger.create_batch(asked(), PLAN, [CROSS], sealed=True)

    known = await ledger.create_batch(asked(), PLAN, [CROSS, CROSS], sealed=True)

    batch, row = await ledger.get_batch("bat_1"), await ledger.get_request("CreateCloneBatch bat_1")
    assert known == row
    assert row is not None
    assert (row.state, row.batch_id, row.method) == (RequestState.SUCCEEDED, "bat_1", "CreateCloneBatch")
    assert batch is not None
    assert batch.total_count == 4


async def test_an_open_batch_takes_chunks_until_it_is_sealed(ledger: SqlLedger) -> None:
    await ledger.create_batch(asked(), PLAN, [], sealed=False)
    await ledger.add_to_batch(asked(request_id="1", method="AddCloneBatchItems"), [CROSS, CROSS], sealed=False)
    again = await ledger.add_to_batch(asked(request_id="1", method="AddCloneBatchItems"), [CROSS], sealed=False)
    await ledger.add_to_batch(asked(request_id="2", method="AddCloneBatchItems"), [CROSS], sealed=True)

    with pytest.raises(EffectTaken):
        await ledger.add_to_batch(asked(request_id="3", method="AddCloneBatchItems"), [CROSS], sealed=True)

    batch = await ledger.get_batch("bat_1")
    assert again is not None
    assert batch is not None
    assert (batch.state, batch.total_count) == (BatchState.PENDING, 12)
    assert await ledger.get_request("3") is None


async def test_a_batch_beyond_a_million_items_is_refused_whole(ledger: SqlLedger) -> None:
    many = Selection(tuple(f"cus_{number}" for number in range(1000)), tuple(f"acct_{n}" for n in range(1000)))
    await ledger.create_batch(asked(), PLAN, [many], sealed=False)

    with pytest.raises(EffectTaken):
        await ledger.add_to_batch(asked(request_id="1"), [Selection(("cus_1",), ("acct_a",))], sealed=True)

    batch = await ledger.get_batch("bat_1")
    assert batch is not None
    assert (batch.state, batch.total_count) == (BatchState.OPEN, 1_000_000)


async def test_items_are_laid_out_once_whoever_does_it(replicas: tuple[SqlLedger, SqlLedger]) -> None:
    first, second = replicas
    await first.create_batch(asked(), PLAN, [CROSS], sealed=True)
    start, chunk = await second.get_expansion("bat_1")
    assert chunk == CROSS
    items = [NewItem(place, *item) for place, item in enumerate(CROSS.items(0, 3))]
    end = Expansion(3, start.chunk, 3)

    await first.lay_out("bat_1", start, items, end)
    with pytest.raises(EffectTaken):
        await second.lay_out("bat_1", start, items, end)

    assert await second.get_expansion("bat_1") == (end, CROSS)
    listed = await first.list_items("bat_1", (), -1, 10)
    assert [(item.index, item.connected_account_id, item.platform_customer_id) for item in listed] == [
        (0, "acct_a", "cus_1"),
        (1, "acct_a", "cus_2"),
        (2, "acct_b", "cus_1"),
    ]


async def test_items_are_listed_by_index_and_state_page_by_page(ledger: SqlLedger) -> None:
    await laid_out(ledger)
    await ledger.finish_items("bat_1", [done(1), done(3, ItemState.FAILED, reason="X", error="{}")])

    assert [item.index for item in await ledger.list_items("bat_1", (), 0, 2)] == [1, 2]
    assert [item.index for item in await ledger.list_items("bat_1", (ItemState.FAILED,), -1, 9)] == [3]
    assert [item.index for item in await ledger.list_items("bat_1", (ItemState.PENDING,), -1, 9)] == [0, 2]


async def test_an_item_shows_its_clone(ledger: SqlLedger) -> None:
    claim = await given.begin(ledger)
    made = given.clone()
    await ledger.commit(claim, [PutClone(made)])
    await laid_out(ledger)

    await ledger.finish_items("bat_1", [done(0, clone_id=made.clone_id)])

    assert [item.clone for item in await ledger.list_items("bat_1", (), -1, 2)] == [made, None]


async def test_one_partition_goes_to_one_replica_and_a_lost_one_to_the_next(
    replicas: tuple[SqlLedger, SqlLedger],
) -> None:
    first, second = replicas
    await laid_out(first)

    mine = await first.claim_partition("bat_1", given.OWNER, given.EXPIRED_S)
    theirs = await second.claim_partition("bat_1", given.OTHER, given.LEASE_S)
    rest = await second.claim_partition("bat_1", given.OTHER, given.LEASE_S)

    assert mine is not None
    assert theirs is not None
    assert rest is not None
    assert (theirs.connected_account_id, theirs.fence) == (mine.connected_account_id, mine.fence + 1)
    assert rest.connected_account_id != theirs.connected_account_id
    assert await first.claim_partition("bat_1", given.OWNER, given.LEASE_S) is None
    assert not await first.keep_partition(mine, given.LEASE_S)
    assert await second.keep_partition(theirs, given.LEASE_S)


async def test_partitions_are_never_claimed_twice_at_once(replicas: tuple[SqlLedger, SqlLedger]) -> None:
    accounts = tuple(f"acct_{number}" for number in range(20))
    await laid_out(replicas[0], selection=Selection(("cus_1",), accounts))

    claimed = await asyncio.gather(
        *(replicas[turn % 2].claim_partition("bat_1", f"owner {turn % 2}", given.LEASE_S) for turn in range(30))
    )

    taken = [partition.connected_account_id for partition in claimed if partition is not None]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(accounts)


async def test_a_partition_goes_on_from_its_cursor_and_ends(ledger: SqlLedger) -> None:
    await laid_out(ledger, selection=Selection(("cus_1", "cus_2", "cus_3"), ("acct_a",)))
    mine = await ledger.claim_partition("bat_1", given.OWNER, given.LEASE_S)
    assert mine is not None
    assert mine.cursor == -1
    await ledger.finish_items("bat_1", [done(0)])

    assert [item.index for item in await ledger.pending_items(mine, -1, 9)] == [1, 2]
    moved = type(mine)(mine.batch_id, mine.connected_account_id, mine.fence, 0)
    await ledger.keep_partition(moved, 0.0)
    again = await ledger.claim_partition("bat_1", given.OTHER, given.LEASE_S)
    assert again is not None
    assert again.cursor == 0
    await ledger.end_partition(again)

    assert await ledger.claim_partition("bat_1", given.OTHER, given.LEASE_S) is None


async def test_the_platforms_own_partition_waits_for_all_others(ledger: SqlLedger) -> None:
    await laid_out(ledger, selection=Selection(("cus_1",), ("", "acct_a")))

    first = await ledger.claim_partition("bat_1", given.OWNER, given.LEASE_S)
    assert first is not None
    assert first.connected_account_id == "acct_a"
    assert await ledger.claim_partition("bat_1", given.OWNER, given.LEASE_S) is None
    await ledger.end_partition(first)

    last = await ledger.claim_partition("bat_1", given.OWNER, given.LEASE_S)
    assert last is not None
    assert last.connected_account_id == ""


async def test_an_item_is_finished_once(replicas: tuple[SqlLedger, SqlLedger]) -> None:
    first, second = replicas
    await laid_out(first)
    await first.finish_items("bat_1", [done(0, clone_id="cln_first")])

    with pytest.raises(EffectTaken):
        await second.finish_items("bat_1", [done(1), done(0, ItemState.FAILED)])

    batch = await second.get_batch("bat_1")
    assert batch is not None
    assert (batch.succeeded_count, batch.failed_count, batch.state) == (1, 0, BatchState.RUNNING)
    assert (await second.list_items("bat_1", (), -1, 1))[0].clone_id == "cln_first"


async def test_the_last_item_ends_the_batch(ledger: SqlLedger) -> None:
    await laid_out(ledger)

    state = await ledger.finish_items("bat_1", [done(0, reused=True), done(1), done(2, ItemState.SKIPPED)])
    assert state is BatchState.RUNNING
    state = await ledger.finish_items("bat_1", [done(3, ItemState.FAILED, reason="NOT_CLONEABLE")])

    batch = await ledger.get_batch("bat_1")
    assert state is BatchState.PARTIALLY_FAILED
    assert batch is not None
    assert (batch.succeeded_count, batch.failed_count, batch.skipped_count, batch.reused_count) == (2, 1, 1, 1)
    assert batch.end_time_us >= batch.start_time_us > 0


async def test_a_batch_without_failures_succeeds(ledger: SqlLedger) -> None:
    await laid_out(ledger)

    assert await ledger.finish_items("bat_1", [done(place) for place in range(4)]) is BatchState.SUCCEEDED
    assert await ledger.list_active_batches() == []


async def test_events_can_be_read_on_from_any_sequence(ledger: SqlLedger) -> None:
    await laid_out(ledger)
    await ledger.finish_items("bat_1", [done(2), done(0)])
    await ledger.finish_items("bat_1", [done(3)])

    events = await ledger.list_events("bat_1", 0, 10)

    batch = await ledger.get_batch("bat_1")
    assert batch is not None
    assert [(event.sequence, event.index) for event in events] == [(1, 2), (2, 0), (3, 3)]
    assert [event.index for event in await ledger.list_events("bat_1", 1, 1)] == [0]
    assert await ledger.list_events("bat_1", batch.last_sequence, 10) == []


async def test_no_event_appears_behind_one_that_was_seen(replicas: tuple[SqlLedger, SqlLedger]) -> None:
    customers = tuple(f"cus_{number}" for number in range(40))
    await laid_out(replicas[0], selection=Selection(customers, ("acct_a",)))
    seen: list[int] = []

    async def watch() -> None:
        while len(seen) < len(customers):
            seen.extend(item.sequence for item in await replicas[1].list_events("bat_1", max(seen, default=0), 100))
            await asyncio.sleep(0)  # the ledger in memory answers without giving the others a turn

    async def finish(replica: SqlLedger, places: range) -> None:
        for place in places:
            await replica.finish_items("bat_1", [done(place)])
            await asyncio.sleep(0)

    await asyncio.gather(watch(), finish(replicas[0], range(20)), finish(replicas[1], range(20, 40)))

    assert seen == list(range(1, 41))


async def test_an_items_own_requests_are_forgotten_with_its_outcome(ledger: SqlLedger) -> None:
    await laid_out(ledger)
    spent = await given.begin(ledger, "spent")
    await ledger.commit(spent, [given.SUCCEEDED])
    await given.begin(ledger, "unfinished")

    await ledger.finish_items("bat_1", [done(0, spent_request_ids=("spent",))])
    await ledger.finish_items("bat_1", [done(1, ItemState.FAILED, spent_request_ids=("unfinished",))])

    assert await ledger.get_request("spent") is None
    assert await ledger.get_request("unfinished") is not None


async def test_failures_are_counted_by_reason_with_examples(ledger: SqlLedger) -> None:
    await laid_out(ledger, selection=Selection(tuple(f"cus_{number}" for number in range(6)), ("acct_a",)))
    reasons = ["RARE", "OFTEN", "OFTEN", "OFTEN", "OFTEN"]

    await ledger.finish_items(
        "bat_1", [done(place, ItemState.FAILED, reason=reason) for place, reason in enumerate(reasons)]
    )

    found = await ledger.list_failures("bat_1")
    assert [(failures.reason, failures.count, failures.examples) for failures in found] == [
        ("OFTEN", 4, (1, 2, 3)),
        ("RARE", 1, (0,)),
    ]


async def test_failed_items_are_queued_again(ledger: SqlLedger) -> None:
    await laid_out(ledger)
    held = [await ledger.claim_partition("bat_1", given.OWNER, given.LEASE_S) for _ in range(2)]
    await ledger.finish_items("bat_1", [done(place, ItemState.FAILED, reason="X") for place in range(3)] + [done(3)])
    for partition in held:
        assert partition is not None
        await ledger.end_partition(partition)

    await ledger.retry_batch(asked(method="RetryCloneBatch"))
    await ledger.start_batch("bat_1")

    batch = await ledger.get_batch("bat_1")
    assert batch is not None
    assert (batch.state, batch.failed_count, batch.succeeded_count) == (BatchState.RUNNING, 0, 1)
    again = await ledger.claim_partition("bat_1", given.OWNER, 0.0)
    assert again is not None
    assert [item.index for item in await ledger.pending_items(again, again.cursor, 9)] == [0, 1]
    assert await ledger.finish_items("bat_1", [done(place) for place in range(3)]) is BatchState.SUCCEEDED


async def test_only_a_finished_batch_with_failures_is_retried(ledger: SqlLedger) -> None:
    await laid_out(ledger)

    with pytest.raises(EffectTaken):
        await ledger.retry_batch(asked(method="RetryCloneBatch"))


async def test_a_running_batch_is_canceled_when_nothing_is_left(ledger: SqlLedger) -> None:
    await laid_out(ledger)
    await ledger.finish_items("bat_1", [done(0)])

    await ledger.cancel_batch(asked(method="CancelCloneBatch"))
    state = await ledger.finish_items("bat_1", [done(place, ItemState.SKIPPED) for place in range(1, 4)])

    assert state is BatchState.CANCELED


async def test_a_batch_canceled_before_anything_was_laid_out_is_over(ledger: SqlLedger) -> None:
    await ledger.create_batch(asked(), PLAN, [CROSS], sealed=True)

    await ledger.cancel_batch(asked(method="CancelCloneBatch"))

    batch = await ledger.get_batch("bat_1")
    assert batch is not None
    assert (batch.state, batch.total_count) == (BatchState.CANCELED, 0)
    assert batch.end_time_us > 0


async def test_shares_are_seen_by_all_while_their_leases_last(replicas: tuple[SqlLedger, SqlLedger]) -> None:
    first, second = replicas
    await first.renew_share("key", Share("gone", True, 0.0, 0), given.EXPIRED_S)
    await first.renew_share("key", Share("one", True, 2.5, 0), given.LEASE_S)
    await second.renew_share("other key", Share("three", True, 0.0, 0), given.LEASE_S)

    seen = await second.renew_share("key", Share("two", False, 1.0, 0), given.LEASE_S)

    assert [(share.owner, share.wanting, share.foreground_per_s) for share in seen] == [
        ("one", True, 2.5),
        ("two", False, 1.0),
    ]


async def test_an_item_that_erased_a_customer_keeps_a_pseudonym_in_its_place(ledger: SqlLedger) -> None:
    await laid_out(ledger)

    await ledger.finish_items("bat_1", [done(0, pseudonym="erased_1"), done(1)])

    names = [item.platform_customer_id for item in await ledger.list_items("bat_1", [], -1, 10)]
    assert names == ["erased_1", "cus_2", "cus_1", "cus_2"]


async def test_an_erased_customer_is_struck_out_of_items_that_are_over(ledger: SqlLedger) -> None:
    pairs = Selection(
        ("cus_1", "cus_1", "cus_2"), ("acct_a", "acct_b", "acct_a"), ("pm_1", "pm_1", "pm_2"), paired=True
    )
    await laid_out(ledger, selection=pairs)
    await ledger.finish_items("bat_1", [done(0), done(2)])

    await ledger.commit(None, [StrikeBatchItems("cus_1", "erased_1"), StrikeBatchItems("cus_9", "erased_9")])

    items = await ledger.list_items("bat_1", [], -1, 10)
    # What has still to be carried out keeps its customer, and the answer of an erasure says so.
    assert [(item.platform_customer_id, item.platform_payment_method_id) for item in items] == [
        ("erased_1", ""),
        ("cus_1", "pm_1"),
        ("cus_2", "pm_2"),
    ]


async def counts(ledger: SqlLedger) -> list[int]:
    """Rows of each table that a batch has some in."""
    return [
        (await ledger.read(Part(f"SELECT count(*) AS many FROM {table}")))[0]["many"]
        for table in ("batch", "batch_item", "batch_partition", "batch_chunk")
    ]


async def test_a_batch_that_ended_long_ago_is_forgotten_with_all_its_rows_some_at_a_time(ledger: SqlLedger) -> None:
    await laid_out(ledger)
    await ledger.finish_items("bat_1", [done(place) for place in range(4)])
    assert await ledger.prune_batches(86_400.0) == 0
    assert await ledger.get_batch("bat_1") is not None

    assert await ledger.prune_batches(0.0, limit=3) == 3

    assert await ledger.get_batch("bat_1") is None  # for readers it is gone as a whole
    assert await ledger.list_batches(Page(10)) == []
    with pytest.raises(EffectTaken):
        await ledger.retry_batch(asked(method="RetryCloneBatch"))
    assert await ledger.prune_batches(0.0, limit=3) == 1
    assert await ledger.prune_batches(0.0) == 0
    assert await counts(ledger) == [0, 0, 0, 0]


async def test_a_batch_with_work_left_is_never_forgotten_and_takes_no_harm_from_those_that_are(
    ledger: SqlLedger,
) -> None:
    for batch_id in ("bat_1", "bat_2", "bat_3"):
        await laid_out(ledger, batch_id)
    await ledger.finish_items("bat_1", [done(place) for place in range(4)])
    await ledger.finish_items("bat_2", [done(0)])
    await ledger.create_batch(asked("bat_4"), PLAN, [CROSS], sealed=True)

    assert await ledger.prune_batches(0.0) == 4

    assert sorted(batch.batch_id for batch in await ledger.list_batches(Page(10))) == ["bat_2", "bat_3", "bat_4"]
    assert [item.index for item in await ledger.list_items("bat_2", (), -1, 10)] == [0, 1, 2, 3]
    assert await counts(ledger) == [3, 8, 4, 1]


async def test_a_batch_that_nobody_sealed_is_forgotten_too(ledger: SqlLedger) -> None:
    await ledger.create_batch(asked(), PLAN, [CROSS], sealed=False)
    assert await ledger.prune_batches(86_400.0) == 0

    await ledger.prune_batches(0.0)

    assert await counts(ledger) == [0, 0, 0, 0]
