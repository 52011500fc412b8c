"""The RPCs of batches over a real ledger in memory: what is asked is what is stored, and comes back page by page."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types
from cloneservice_server.domain.batches import ItemState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports_batches import Expansion, ItemDone, NewItem, RateLimits
from cloneservice_server.rpc.interceptors.errors import errors_interceptor
from cloneservice_server.workflows.batches import Batches
from google.rpc import error_details_pb2, status_pb2

from tests.fakes_rpc import FakeEngine, served
from tests.virtual_clock import VirtualClock

CLONE = types.CloneBatch.OPERATION_CLONE
LIMITS = RateLimits(per_second=25, per_endpoint=25)


@pytest.fixture
async def ledger() -> AsyncIterator[SqlLedger]:
    store = open_ledger("sqlite://:memory:", VirtualClock())
    await store.open()
    yield store
    await store.aclose()


@pytest.fixture
async def stub(ledger: SqlLedger) -> AsyncIterator[Any]:
    batches = Batches(ledger, VirtualClock(), LIMITS)
    async with served(FakeEngine(), None, errors_interceptor(), batches=batches) as connected:
        yield connected


def cross(customers: int = 2, accounts: int = 2) -> pb.CloneBatchCrossProduct:
    return pb.CloneBatchCrossProduct(
        platform_customer_ids=[f"cus_{number}" for number in range(customers)],
        connected_account_ids=[f"acct_{number}" for number in range(accounts)],
    )


def create(request_id: str = "", **fields: Any) -> pb.CreateCloneBatchRequest:
    fields.setdefault("operation", CLONE)
    if not {"pairs", "open"} & set(fields):
        fields.setdefault("cross_product", cross())
    return pb.CreateCloneBatchRequest(request_id=request_id or str(uuid.uuid4()), **fields)


async def run_out(ledger: SqlLedger, batch_id: str, states: list[ItemState]) -> None:
    """The batch is laid out, and ends with one item in each of `states`."""
    start, chunk = await ledger.get_expansion(batch_id)
    assert chunk is not None
    items = [NewItem(place, *item) for place, item in enumerate(chunk.items(0, chunk.count))]
    await ledger.lay_out(batch_id, start, items, Expansion(len(items), start.chunk + chunk.count, 0))
    await ledger.start_batch(batch_id)
    await ledger.finish_items(batch_id, [ItemDone(place, state, 1) for place, state in enumerate(states)])


def reason_of(refused: grpc.aio.AioRpcError) -> str:
    details = dict(refused.trailing_metadata() or ())["grpc-status-details-bin"]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    return str(info.reason)


async def test_a_batch_is_stored_and_told_with_its_expected_duration(stub: Any) -> None:
    made = await stub.CreateCloneBatch(create(cross_product=cross(100, 50)))

    got = await stub.GetCloneBatch(pb.GetCloneBatchRequest(batch_id=made.batch.batch_id))
    assert (made.batch.state, made.batch.total_count) == (types.CloneBatch.STATE_PENDING, 5000)
    assert made.expected_duration.seconds == round(5000 / (25 / 3 * 0.97))
    assert got.batch.batch_id == made.batch.batch_id
    assert got.batch.items_per_second_limit == pytest.approx(8.083)


async def test_validate_only_counts_and_stores_nothing(stub: Any) -> None:
    told = await stub.CreateCloneBatch(create(validate_only=True, cross_product=cross(1000, 1000)))

    assert (told.batch.batch_id, told.batch.total_count) == ("", 1_000_000)
    assert told.expected_duration.seconds > 80_000
    assert not (await stub.ListCloneBatches(pb.ListCloneBatchesRequest())).batches


async def test_the_same_request_makes_one_batch_and_another_is_refused_its_id(stub: Any) -> None:
    request = create()
    first = await stub.CreateCloneBatch(request)
    call = stub.CreateCloneBatch(request)
    again = await call

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateCloneBatch(create(request.request_id, cross_product=cross(3, 3)))

    assert again.batch == first.batch
    assert dict(await call.initial_metadata())["idempotent-replayed"] == "true"
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_an_open_batch_is_fed_in_chunks_and_sealed(stub: Any) -> None:
    batch = (await stub.CreateCloneBatch(create(open=pb.CloneBatchOpen()))).batch
    pairs = pb.CloneBatchPairs(
        pairs=[pb.CloneBatchPair(platform_customer_id="cus_1", connected_account_id="acct_1")] * 3
    )

    def chunk(**more: Any) -> pb.AddCloneBatchItemsRequest:
        return pb.AddCloneBatchItemsRequest(request_id=str(uuid.uuid4()), batch_id=batch.batch_id, **more)

    first = await stub.AddCloneBatchItems(chunk(pairs=pairs))
    last = await stub.AddCloneBatchItems(chunk(cross_product=cross(), seal=True))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.AddCloneBatchItems(chunk(pairs=pairs))

    assert (first.batch.state, first.batch.total_count) == (types.CloneBatch.STATE_OPEN, 3)
    assert (last.batch.state, last.batch.total_count) == (types.CloneBatch.STATE_PENDING, 7)
    assert reason_of(refused.value) == "INVALID_STATE"


@pytest.mark.parametrize(
    "fields",
    [
        {"cross_product": cross(1001, 1000)},
        {"operation": types.CloneBatch.OPERATION_ERASE, "flow": types.CLONE_FLOW_TOKEN},
        {"operation": types.CloneBatch.OPERATION_REVOKE, "flow": types.CLONE_FLOW_TOKEN},
        {"attach": pb.AttachOptions(connected_customer_id="cus_9")},
        {"pairs": pb.CloneBatchPairs()},
    ],
)
async def test_what_makes_no_sense_is_refused(stub: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateCloneBatch(create(**fields))

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_batches_are_listed_newest_first_page_by_page(stub: Any) -> None:
    made = [(await stub.CreateCloneBatch(create())).batch.batch_id for _ in range(3)]

    page = await stub.ListCloneBatches(pb.ListCloneBatchesRequest(page_size=2))
    rest = await stub.ListCloneBatches(pb.ListCloneBatchesRequest(page_size=2, page_token=page.next_page_token))

    assert sorted(batch.batch_id for answer in (page, rest) for batch in answer.batches) == sorted(made)
    assert rest.next_page_token == ""


async def test_items_are_listed_page_by_page_and_by_state(stub: Any, ledger: SqlLedger) -> None:
    batch_id = (await stub.CreateCloneBatch(create())).batch.batch_id
    await run_out(ledger, batch_id, [ItemState.SUCCEEDED, ItemState.SUCCEEDED, ItemState.SKIPPED, ItemState.SUCCEEDED])
    request = pb.ListCloneBatchItemsRequest(
        batch_id=batch_id, states=[types.CloneBatchItem.STATE_SUCCEEDED], page_size=2
    )

    page = await stub.ListCloneBatchItems(request)
    request.page_token = page.next_page_token
    rest = await stub.ListCloneBatchItems(request)

    assert [[item.index for item in answer.items] for answer in (page, rest)] == [[0, 1], [3]]


async def test_a_watch_tells_all_and_ends_with_the_final_batch(stub: Any, ledger: SqlLedger) -> None:
    batch_id = (await stub.CreateCloneBatch(create())).batch.batch_id
    await run_out(ledger, batch_id, [ItemState.SUCCEEDED] * 4)

    events = [event async for event in stub.WatchCloneBatch(pb.WatchCloneBatchRequest(batch_id=batch_id))]
    rest = [
        event async for event in stub.WatchCloneBatch(pb.WatchCloneBatchRequest(batch_id=batch_id, after_sequence=3))
    ]

    assert [event.sequence for event in events] == [1, 2, 3, 4, 4]
    assert events[-1].batch.state == types.CloneBatch.STATE_SUCCEEDED
    assert [event.WhichOneof("event") for event in rest] == ["item", "batch"]


async def test_what_is_not_there_is_not_found(stub: Any) -> None:
    request_id = str(uuid.uuid4())
    calls = [
        stub.GetCloneBatch(pb.GetCloneBatchRequest(batch_id="bat_0")),
        stub.ListCloneBatchItems(pb.ListCloneBatchItemsRequest(batch_id="bat_0")),
        stub.CancelCloneBatch(pb.CancelCloneBatchRequest(request_id=request_id, batch_id="bat_0")),
        stub.RetryCloneBatch(pb.RetryCloneBatchRequest(request_id=request_id, batch_id="bat_0")),
    ]

    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_running_batch_cannot_be_retried_and_a_final_one_not_canceled(stub: Any, ledger: SqlLedger) -> None:
    batch_id = (await stub.CreateCloneBatch(create())).batch.batch_id

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.RetryCloneBatch(pb.RetryCloneBatchRequest(request_id=str(uuid.uuid4()), batch_id=batch_id))
    await run_out(ledger, batch_id, [ItemState.SUCCEEDED] * 4)
    late = await stub.CancelCloneBatch(pb.CancelCloneBatchRequest(request_id=str(uuid.uuid4()), batch_id=batch_id))

    assert reason_of(refused.value) == "INVALID_STATE"
    assert late.batch.state == types.CloneBatch.STATE_SUCCEEDED
