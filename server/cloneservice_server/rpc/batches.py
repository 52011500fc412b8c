"""The RPCs of batches: validate, convert, hand over, convert back."""

# ruff: noqa: N802 - RPC names are the contract's
from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Protocol

import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from google.protobuf.duration_pb2 import Duration

from cloneservice_server.domain import codec, errors
from cloneservice_server.domain.batches import (
    BatchItem,
    BatchOperation,
    BatchPlan,
    BatchState,
    CloneBatch,
    Failures,
    ItemState,
    Selection,
)
from cloneservice_server.ports import Page
from cloneservice_server.rpc import convert, messages, status, validate
from cloneservice_server.rpc.caller import CALLER
from cloneservice_server.rpc.paging import PageTokens, page_size

Context = grpc.aio.ServicerContext[Any, Any]

_OPERATIONS, _OPERATIONS_ASKED = messages.enum_tables(BatchOperation, types_pb2.CloneBatch.Operation, "OPERATION")
_STATES, _ = messages.enum_tables(BatchState, types_pb2.CloneBatch.State, "STATE")
_ITEM_STATES, _ITEM_STATES_ASKED = messages.enum_tables(ItemState, types_pb2.CloneBatchItem.State, "STATE")
_ITEM_STATES_ASKED[types_pb2.CloneBatchItem.STATE_RUNNING] = ItemState.PENDING


class Answered(Protocol):
    """A batch after a call."""

    @property
    def batch(self) -> CloneBatch:
        """The batch."""
        ...

    @property
    def replayed(self) -> bool:
        """Whether the call had been made before."""
        ...


class Reported(Protocol):
    """A batch with its figures."""

    @property
    def batch(self) -> CloneBatch:
        """The batch."""
        ...

    @property
    def failures(self) -> tuple[Failures, ...]:
        """By reason."""
        ...

    @property
    def items_per_second(self) -> float:
        """So far."""
        ...

    @property
    def items_per_second_limit(self) -> float:
        """What Stripe's limits allow; 0.0 where nothing limits."""
        ...


class Happened(Protocol):
    """An event of a watch: exactly one of item and report is set."""

    @property
    def sequence(self) -> int:
        """Where to go on from."""
        ...

    @property
    def item(self) -> BatchItem | None:
        """The item that changed."""
        ...

    @property
    def report(self) -> Reported | None:
        """The batch."""
        ...


class Batches(Protocol):
    """What callers do with batches (workflows/batches.py)."""

    async def create(
        self, asked: Any, plan: BatchPlan, selections: Sequence[Selection], *, sealed: bool = True
    ) -> Answered:
        """Store a batch."""
        ...

    def preview(self, plan: BatchPlan, selections: Sequence[Selection], *, sealed: bool = True) -> CloneBatch:
        """What `create` would store."""
        ...

    def expected_s(self, batch: CloneBatch) -> float:
        """How long a batch takes, in seconds."""
        ...

    async def add(self, asked: Any, batch_id: str, selection: Selection, *, seal: bool) -> Answered:
        """Add items to an OPEN batch."""
        ...

    async def cancel(self, asked: Any, batch_id: str) -> Answered:
        """Stop a batch."""
        ...

    async def retry(self, asked: Any, batch_id: str) -> Answered:
        """Queue failed items again."""
        ...

    async def get(self, batch_id: str) -> Reported:
        """One batch with its figures."""
        ...

    async def list_batches(self, page: Page, caller: str = "") -> list[CloneBatch]:
        """Newest first."""
        ...

    async def list_items(
        self, batch_id: str, states: Sequence[ItemState], after_index: int, limit: int
    ) -> list[BatchItem]:
        """By index."""
        ...

    def watch(self, batch_id: str, after_sequence: int) -> AsyncIterator[Happened]:
        """Events until the batch is final."""
        ...


class Asked:
    """Who asks for what. The hash is of the request's own bytes without its id, in a form of ours."""

    __slots__ = ("caller", "request_hash", "request_id")

    def __init__(self, request_id: str, *what: object) -> None:
        self.request_id = request_id.lower()
        self.request_hash = hashlib.sha256("\n".join(codec.dumps(part) for part in what).encode()).hexdigest()
        self.caller = CALLER.get()


class BatchRpcs:
    """The part of CloneService that has to do with batches."""

    _batches: Batches
    _tokens: PageTokens

    async def CreateCloneBatch(
        self, request: pb.CreateCloneBatchRequest, context: Context
    ) -> pb.CreateCloneBatchResponse:
        """Stores a durable job."""
        validate.check(request)
        plan, selections, sealed = _plan(request), _selections(request), not request.HasField("open")
        if request.validate_only:
            batch = self._batches.preview(plan, selections, sealed=sealed)
        else:
            asked = Asked(request.request_id, plan, selections, sealed)
            batch = await _told(await self._batches.create(asked, plan, selections, sealed=sealed), context)
        expected = Duration(seconds=round(self._batches.expected_s(batch)))
        return pb.CreateCloneBatchResponse(batch=batch_message(batch), expected_duration=expected)

    async def AddCloneBatchItems(
        self, request: pb.AddCloneBatchItemsRequest, context: Context
    ) -> pb.AddCloneBatchItemsResponse:
        """Adds items to an open batch."""
        validate.check(request)
        selection = _selections(request)[0]
        asked = Asked(request.request_id, request.batch_id, selection, request.seal)
        answer = await self._batches.add(asked, request.batch_id, selection, seal=request.seal)
        return pb.AddCloneBatchItemsResponse(batch=batch_message(await _told(answer, context)))

    async def CancelCloneBatch(
        self, request: pb.CancelCloneBatchRequest, context: Context
    ) -> pb.CancelCloneBatchResponse:
        """Stops a batch."""
        validate.check(request)
        answer = await self._batches.cancel(Asked(request.request_id, request.batch_id), request.batch_id)
        return pb.CancelCloneBatchResponse(batch=batch_message(await _told(answer, context)))

    async def RetryCloneBatch(self, request: pb.RetryCloneBatchRequest, context: Context) -> pb.RetryCloneBatchResponse:
        """Queues failed items again."""
        validate.check(request)
        answer = await self._batches.retry(Asked(request.request_id, request.batch_id), request.batch_id)
        return pb.RetryCloneBatchResponse(batch=batch_message(await _told(answer, context)))

    async def GetCloneBatch(self, request: pb.GetCloneBatchRequest, _: Context) -> pb.GetCloneBatchResponse:
        """Reads a batch."""
        validate.check(request)
        return pb.GetCloneBatchResponse(batch=report_message(await self._batches.get(request.batch_id)))

    async def ListCloneBatches(self, request: pb.ListCloneBatchesRequest, _: Context) -> pb.ListCloneBatchesResponse:
        """Lists batches, newest first."""
        validate.check(request)
        size = page_size(request.page_size)
        caller = CALLER.get()
        made_by = "" if caller.accounts is None else caller.name
        before_us, before_id = self._tokens.read("ListCloneBatches", made_by, request.page_token)
        found = await self._batches.list_batches(Page(size + 1, before_us, before_id), made_by)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = self._tokens.make("ListCloneBatches", made_by, last.create_time_us, last.batch_id)
        return pb.ListCloneBatchesResponse(batches=map(batch_message, found[:size]), next_page_token=token)

    async def ListCloneBatchItems(
        self, request: pb.ListCloneBatchItemsRequest, _: Context
    ) -> pb.ListCloneBatchItemsResponse:
        """Lists a batch's items by index."""
        validate.check(request)
        states = tuple(sorted({_ITEM_STATES_ASKED[state] for state in request.states}))
        where, size = [request.batch_id, *states], page_size(request.page_size)
        place = self._tokens.read("ListCloneBatchItems", where, request.page_token)[1]
        found = await self._batches.list_items(request.batch_id, states, int(place or -1), size + 1)
        token = ""
        if len(found) > size:
            token = self._tokens.make("ListCloneBatchItems", where, 0, str(found[size - 1].index))
        return pb.ListCloneBatchItemsResponse(items=map(item_message, found[:size]), next_page_token=token)

    async def WatchCloneBatch(
        self, request: pb.WatchCloneBatchRequest, _: Context
    ) -> AsyncIterator[pb.WatchCloneBatchResponse]:
        """Streams a batch's events."""
        validate.check(request)
        async for event in self._batches.watch(request.batch_id, request.after_sequence):
            item = None if event.item is None else item_message(event.item)
            batch = None if event.report is None else report_message(event.report)
            yield pb.WatchCloneBatchResponse(sequence=event.sequence, item=item, batch=batch)


async def _told(answer: Answered, context: Context) -> CloneBatch:
    if answer.replayed:
        await context.send_initial_metadata(convert.REPLAYED)
    return answer.batch


def _plan(request: pb.CreateCloneBatchRequest) -> BatchPlan:
    return BatchPlan(
        operation=_OPERATIONS_ASKED[request.operation],
        flow=messages.FLOWS_ASKED.get(request.flow),
        set_default=request.attach.set_default,
        all_payment_methods=request.cross_product.all_payment_methods,
        named=request.cross_product.all_payment_methods
        or (request.HasField("pairs") and all(pair.platform_payment_method_id for pair in request.pairs.pairs)),
        max_concurrency=request.max_concurrency,
    )


def _selections(request: pb.CreateCloneBatchRequest | pb.AddCloneBatchItemsRequest) -> list[Selection]:
    if request.HasField("cross_product"):
        cross = request.cross_product
        return [Selection(tuple(cross.platform_customer_ids), tuple(cross.connected_account_ids))]
    if request.HasField("pairs"):
        pairs = request.pairs.pairs
        return [
            Selection(
                customers=tuple(pair.platform_customer_id for pair in pairs),
                accounts=tuple(pair.connected_account_id for pair in pairs),
                payment_methods=tuple(pair.platform_payment_method_id for pair in pairs),
                paired=True,
            )
        ]
    return []


def batch_message(batch: CloneBatch) -> types_pb2.CloneBatch:
    """A batch."""
    return types_pb2.CloneBatch(
        batch_id=batch.batch_id,
        operation=_OPERATIONS[batch.plan.operation],
        state=_STATES[batch.state],
        total_count=batch.total_count,
        succeeded_count=batch.succeeded_count,
        failed_count=batch.failed_count,
        skipped_count=batch.skipped_count,
        reused_count=batch.reused_count,
        last_sequence=batch.last_sequence,
        create_time=messages.timestamp(batch.create_time_us),
        start_time=messages.timestamp(batch.start_time_us),
        end_time=messages.timestamp(batch.end_time_us),
    )


def report_message(report: Reported) -> types_pb2.CloneBatch:
    """A batch with its figures."""
    message = batch_message(report.batch)
    message.failures.extend(_failures(report.failures))
    message.items_per_second = round(report.items_per_second, 3)
    message.items_per_second_limit = round(report.items_per_second_limit, 3)
    return message


def _failures(found: Iterable[Failures]) -> Iterable[types_pb2.CloneBatch.Failures]:
    for failures in found:
        yield types_pb2.CloneBatch.Failures(
            reason=failures.reason, count=failures.count, example_indexes=failures.examples
        )


def item_message(item: BatchItem) -> types_pb2.CloneBatchItem:
    """An item: with the clone it made, or the status that the single RPC would have returned."""
    message = types_pb2.CloneBatchItem(
        index=item.index,
        platform_customer_id=item.platform_customer_id,
        platform_payment_method_id=item.platform_payment_method_id,
        connected_account_id=item.connected_account_id,
        state=_ITEM_STATES[item.state],
        attempt_count=item.attempts,
        sequence=item.sequence,
    )
    if item.error:
        message.error.CopyFrom(status.status_of(errors.decode(item.error)))
    elif item.clone is not None:
        message.clone.CopyFrom(convert.clone(item.clone))
    return message
