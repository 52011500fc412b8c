"""Durable jobs over many payment methods and accounts, and erasure, which is one of them."""

from __future__ import annotations

from collections.abc import Sequence

from cloneservice import _decode
from cloneservice._calls.call import Call, ListCall, WatchCall, new_request_id
from cloneservice._calls.clones import attach_options
from cloneservice._enums import write
from cloneservice._results import BatchResult, EraseResult
from cloneservice._values import (
    AttachOptions,
    BatchItemState,
    BatchOperation,
    BatchPair,
    CloneBatch,
    CloneBatchItem,
    CloneFlow,
    CrossProduct,
)
from cloneservice.v1 import clone_service_pb2 as pb


def _pairs(selection: CrossProduct | Sequence[BatchPair] | None) -> pb.CloneBatchPairs | None:
    if selection is None or isinstance(selection, CrossProduct):
        return None
    return pb.CloneBatchPairs(
        pairs=[
            pb.CloneBatchPair(
                platform_customer_id=pair.platform_customer_id,
                platform_payment_method_id=pair.platform_payment_method_id,
                connected_account_id=pair.connected_account_id,
            )
            for pair in selection
        ]
    )


def _cross_product(selection: CrossProduct | Sequence[BatchPair] | None) -> pb.CloneBatchCrossProduct | None:
    if not isinstance(selection, CrossProduct):
        return None
    return pb.CloneBatchCrossProduct(
        platform_customer_ids=selection.platform_customer_ids,
        connected_account_ids=selection.connected_account_ids,
        all_payment_methods=selection.all_payment_methods,
    )


def create_batch(
    operation: BatchOperation,
    selection: CrossProduct | Sequence[BatchPair] | None,
    *,
    flow: CloneFlow | None = None,
    attach: AttachOptions | None = None,
    max_concurrency: int = 0,
    validate_only: bool = False,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[BatchResult]:
    """Store a durable job; it runs on whether anybody watches or not.

    Args:
        operation: CLONE, REFRESH, REVOKE or ERASE.
        selection: Named pairs (about 50,000 fit in one message), or every customer on every account (at most 1,000,000
            items). None leaves the batch OPEN for add_batch_items.
        flow: For CLONE: Stripe's mechanism; None lets the service choose by the id.
        attach: For CLONE: how to attach; None attaches to the customer found or created on each account.
        max_concurrency: Items at once on each replica; 0 is the service's choice.
        validate_only: Count and check, store nothing.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.
    """
    key = request_id or new_request_id()
    request = pb.CreateCloneBatchRequest(
        request_id=key,
        operation=write(operation),
        pairs=_pairs(selection),
        cross_product=_cross_product(selection),
        open=pb.CloneBatchOpen() if selection is None else None,
        flow=write(flow),
        attach=attach_options(attach or False),
        max_concurrency=max_concurrency,
        validate_only=validate_only,
    )

    def decode(response: pb.CreateCloneBatchResponse, replayed: bool) -> BatchResult:
        batch, expected_s = _decode.batch(response.batch), float(response.expected_duration.seconds)
        return BatchResult(batch=batch, request_id=key, replayed=replayed, expected_s=expected_s)

    return Call("CreateCloneBatch", request, decode, key, timeout_s)


def add_batch_items(
    batch_id: str,
    selection: CrossProduct | Sequence[BatchPair],
    *,
    seal: bool = False,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[BatchResult]:
    """Add items to a batch that was created open (bat_...); with `seal` they are its last, and it starts.

    Args:
        batch_id: Which batch, in state OPEN.
        selection: Named pairs, or every customer on every account; a message holds about 50,000 pairs.
        seal: The batch takes no more items.
        request_id: Key of this chunk, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        InvalidState: The batch is sealed already.
    """
    key = request_id or new_request_id()
    request = pb.AddCloneBatchItemsRequest(
        request_id=key,
        batch_id=batch_id,
        pairs=_pairs(selection),
        cross_product=_cross_product(selection),
        seal=seal,
    )

    def decode(response: pb.AddCloneBatchItemsResponse, replayed: bool) -> BatchResult:
        return BatchResult(batch=_decode.batch(response.batch), request_id=key, replayed=replayed)

    return Call("AddCloneBatchItems", request, decode, key, timeout_s)


def get_batch(batch_id: str, *, timeout_s: float | None = None) -> Call[CloneBatch]:
    """Read one batch (bat_...).

    Raises:
        ResourceNotFound: There is none.
    """

    def decode(response: pb.GetCloneBatchResponse, _replayed: bool) -> CloneBatch:
        return _decode.batch(response.batch)

    return Call("GetCloneBatch", pb.GetCloneBatchRequest(batch_id=batch_id), decode, timeout_s=timeout_s)


def list_batches(*, page_size: int = 0, page_token: str = "", timeout_s: float | None = None) -> ListCall[CloneBatch]:
    """List batches, newest first: iterate over the answer, or take it `.page()` by page.

    Args:
        page_size: At most this many a page; 0 means 50, more than 200 means 200.
        page_token: `next_page_token` of an earlier page, to begin there.
        timeout_s: Seconds for each page.
    """
    request = pb.ListCloneBatchesRequest(page_size=page_size, page_token=page_token)

    def items(response: pb.ListCloneBatchesResponse) -> tuple[CloneBatch, ...]:
        return tuple(map(_decode.batch, response.batches))

    return ListCall("ListCloneBatches", request, items, timeout_s)


def list_batch_items(
    batch_id: str,
    *,
    states: Sequence[BatchItemState] = (),
    page_size: int = 0,
    page_token: str = "",
    timeout_s: float | None = None,
) -> ListCall[CloneBatchItem]:
    """List a batch's items by index: iterate over the answer, or take it `.page()` by page.

    Args:
        batch_id: Of which batch (bat_...).
        states: Only those in one of these states; empty means all.
        page_size: At most this many a page; 0 means 50, more than 200 means 200.
        page_token: `next_page_token` of an earlier page, to begin there; the filter must be the same.
        timeout_s: Seconds for each page.
    """
    request = pb.ListCloneBatchItemsRequest(
        batch_id=batch_id, states=[write(state) for state in states], page_size=page_size, page_token=page_token
    )

    def items(response: pb.ListCloneBatchItemsResponse) -> tuple[CloneBatchItem, ...]:
        return tuple(map(_decode.batch_item, response.items))

    return ListCall("ListCloneBatchItems", request, items, timeout_s)


def watch_batch(batch_id: str, *, after_sequence: int = 0, timeout_s: float | None = None) -> WatchCall:
    """Follow a batch (bat_...) until it is final; lost connections are made again from the last event seen.

    Args:
        batch_id: Which batch (bat_...).
        after_sequence: Only events after this one; 0 is from the start.
        timeout_s: Seconds for the whole watch; None is as long as the batch takes.

    Raises:
        ResourceNotFound: There is no such batch.
        TransportError: The service stayed away for longer than the reconnections last.
    """
    return WatchCall(batch_id, after_sequence, timeout_s)


def retry_batch(batch_id: str, *, request_id: str = "", timeout_s: float | None = None) -> Call[BatchResult]:
    """Queue the failed items of a finished batch (bat_...) again; a repeated item cannot clone twice.

    Raises:
        InvalidState: The batch is not finished.
    """
    key = request_id or new_request_id()

    def decode(response: pb.RetryCloneBatchResponse, replayed: bool) -> BatchResult:
        return BatchResult(batch=_decode.batch(response.batch), request_id=key, replayed=replayed)

    request = pb.RetryCloneBatchRequest(request_id=key, batch_id=batch_id)
    return Call("RetryCloneBatch", request, decode, key, timeout_s)


def cancel_batch(batch_id: str, *, request_id: str = "", timeout_s: float | None = None) -> Call[BatchResult]:
    """Stop a batch (bat_...); finished items stay, those in flight finish."""
    key = request_id or new_request_id()

    def decode(response: pb.CancelCloneBatchResponse, replayed: bool) -> BatchResult:
        return BatchResult(batch=_decode.batch(response.batch), request_id=key, replayed=replayed)

    request = pb.CancelCloneBatchRequest(request_id=key, batch_id=batch_id)
    return Call("CancelCloneBatch", request, decode, key, timeout_s)


def erase_customer(
    platform_customer_id: str,
    *,
    delete_platform_customer: bool = False,
    validate_only: bool = False,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[EraseResult]:
    """Right to erasure: revoke every clone, delete the connected customers, erase personal data in the ledger.

    Args:
        platform_customer_id: Whose (cus_... on the platform).
        delete_platform_customer: Delete that customer at Stripe, too.
        validate_only: Report what would be erased, do nothing.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Returns:
        What was erased, one item per account, and what is not erased, in words.
    """
    key = request_id or new_request_id()
    request = pb.EraseCustomerRequest(
        request_id=key,
        platform_customer_id=platform_customer_id,
        delete_platform_customer=delete_platform_customer,
        validate_only=validate_only,
    )

    def decode(response: pb.EraseCustomerResponse, replayed: bool) -> EraseResult:
        return EraseResult(
            batch=_decode.batch(response.batch),
            clone_count=response.clone_count,
            charge_count=response.charge_count,
            items=tuple(map(_decode.batch_item, response.items)),
            kept=tuple(response.kept),
            request_id=key,
            replayed=replayed,
        )

    return Call("EraseCustomer", request, decode, key, timeout_s)
