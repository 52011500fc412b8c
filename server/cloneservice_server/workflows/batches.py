"""What callers do with batches: create, feed, read, watch, cancel, retry. Running them is `batch_runner`'s."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from cloneservice_server.domain import errors
from cloneservice_server.domain.batches import (
    ITEMS_MAX,
    BatchItem,
    BatchPlan,
    BatchState,
    CloneBatch,
    Failures,
    ItemState,
    Selection,
)
from cloneservice_server.domain.callers import ANYBODY, Caller
from cloneservice_server.domain.ids import derived_id
from cloneservice_server.ports import Clock, EffectTaken, LedgerUnavailable, Page, RequestRow
from cloneservice_server.ports_batches import BatchLedger, BatchRequest, RateLimits
from cloneservice_server.workflows.batch_rates import expected_s, items_per_second

CHUNK = 5000
"""Customers in one stored selection: what is held in memory at once while a batch is laid out."""
_EVENTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what: the request's id and hash, and its caller."""

    request_id: str
    request_hash: str
    caller: Caller = ANYBODY


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """A batch after a call; `replayed` if the call had been made before, and then the batch is as it stands now."""

    batch: CloneBatch
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A batch with its figures: failures by reason, and rates in items a second (0.0 where nothing limits)."""

    batch: CloneBatch
    failures: tuple[Failures, ...] = ()
    items_per_second: float = 0.0
    items_per_second_limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch: an item that changed, or the batch."""

    sequence: int
    item: BatchItem | None = None
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Times of a watch, in seconds."""

    poll_s: float = 0.5
    heartbeat_s: float = 15.0


class Batches:
    """See the module docstring. `limits` are those that the runner keeps. Raises DomainErrors."""

    def __init__(
        self, ledger: BatchLedger, clock: Clock, limits: RateLimits, watching: WatchSettings | None = None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._watching = watching or WatchSettings()
        self._closing = False

    # ---------------------------------------------------------------------------------------------------- mutations

    async def create(
        self, asked: Asked, plan: BatchPlan, selections: Sequence[Selection], *, sealed: bool = True
    ) -> BatchAnswer:
        """Store a batch. Its id is derived from the request_id: a ledger that lost it makes the same one again."""
        _check_count(selections)
        batch_id = derived_id("bat", asked.request_id)
        request = _request(asked, "CreateCloneBatch", batch_id)
        with _ledger_errors():
            known = await self._ledger.create_batch(request, plan, _chunks(selections), sealed=sealed)
            return await self._answer(asked, request, known)

    def preview(self, plan: BatchPlan, selections: Sequence[Selection], *, sealed: bool = True) -> CloneBatch:
        """What `create` would store; nothing is."""
        _check_count(selections)
        state = BatchState.PENDING if sealed else BatchState.OPEN
        return CloneBatch("", plan, state, sum(selection.count for selection in selections))

    def expected_s(self, batch: CloneBatch) -> float:
        """How long the batch takes at the rate that Stripe allows, in seconds; 0.0 where nothing limits."""
        return expected_s(batch.plan, batch.total_count, self._limits)

    async def add(self, asked: Asked, batch_id: str, selection: Selection, *, seal: bool) -> BatchAnswer:
        """Add items to an OPEN batch."""
        _check_count([selection])
        request = _request(asked, "AddCloneBatchItems", batch_id)
        with _ledger_errors():
            try:
                known = await self._ledger.add_to_batch(request, _chunks([selection]), sealed=seal)
            except EffectTaken as refused:
                batch = await self._known(batch_id)
                if batch.state is BatchState.OPEN:
                    raise errors.invalid("selection", f"a batch holds at most {ITEMS_MAX} items") from refused
                raise _wrong_state(batch, "takes no more items") from refused
            return await self._answer(asked, request, known)

    async def cancel(self, asked: Asked, batch_id: str) -> BatchAnswer:
        """Stop a batch; one that is stopping or over stays as it is."""
        request = _request(asked, "CancelCloneBatch", batch_id)
        with _ledger_errors():
            try:
                known = await self._ledger.cancel_batch(request)
            except EffectTaken:
                return BatchAnswer(await self._known(batch_id))
            return await self._answer(asked, request, known)

    async def retry(self, asked: Asked, batch_id: str) -> BatchAnswer:
        """Queue the failed items of a finished batch again."""
        request = _request(asked, "RetryCloneBatch", batch_id)
        with _ledger_errors():
            try:
                known = await self._ledger.retry_batch(request)
            except EffectTaken as refused:
                batch = await self._known(batch_id)
                why = "has no failed items" if batch.state.final else "is not finished"
                raise _wrong_state(batch, why) from refused
            return await self._answer(asked, request, known)

    async def _answer(self, asked: Asked, request: BatchRequest, known: RequestRow | None) -> BatchAnswer:
        if known is not None and not asked.caller.owns(known.caller):
            raise errors.anothers_request(request.request_id)
        if known is not None and (known.method, known.request_hash) != (request.method, request.request_hash):
            raise errors.RequestIdReused(
                "This request_id was used before with different parameters; a new intent needs a new request_id",
                {"request_id": request.request_id, "first_request_hash": known.request_hash},
            )
        return BatchAnswer(await self._known(request.batch_id), replayed=known is not None)

    async def _known(self, batch_id: str) -> CloneBatch:
        batch = await self._ledger.get_batch(batch_id)
        if batch is None:
            raise errors.not_found("batch", batch_id)
        return batch

    # -------------------------------------------------------------------------------------------------------- reads

    async def get(self, batch_id: str) -> Report:
        """One batch with its figures."""
        with _ledger_errors():
            return await self._report(await self._known(batch_id))

    async def list_batches(self, page: Page, caller: str = "") -> list[CloneBatch]:
        """Newest first; of one caller, if it is named."""
        with _ledger_errors():
            return await self._ledger.list_batches(page, caller)

    async def list_items(
        self, batch_id: str, states: Sequence[ItemState], after_index: int, limit: int
    ) -> list[BatchItem]:
        """A batch's items, by index."""
        with _ledger_errors():
            await self._known(batch_id)
            return await self._ledger.list_items(batch_id, states, after_index, limit)

    async def _report(self, batch: CloneBatch) -> Report:
        failures = tuple(await self._ledger.list_failures(batch.batch_id)) if batch.failed_count else ()
        rate = 0.0
        if batch.start_time_us:
            elapsed_us = (batch.end_time_us or self._clock.now_us()) - batch.start_time_us
            rate = batch.done_count * 1_000_000 / max(elapsed_us, 1)
        return Report(batch, failures, rate, items_per_second(batch.plan, self._limits))

    async def watch(self, batch_id: str, after_sequence: int) -> AsyncIterator[Event]:
        """Events after `after_sequence`, then as they happen; the last one is the final batch.

        A batch event bears the sequence of the last item event before it, so that any of them is a place to go on from.
        Ends early when the server stops.
        """
        sequence, shown, quiet_since_s = after_sequence, None, self._clock.monotonic_s()
        while not self._closing:
            with _ledger_errors():
                batch = await self._known(batch_id)  # before the items: a final batch has no event after those read now
                items = await self._ledger.list_events(batch_id, sequence, _EVENTS_AT_ONCE)
                report = await self._report(batch) if batch.state.final and len(items) < _EVENTS_AT_ONCE else None
            for item in items:
                sequence = item.sequence
                yield Event(sequence, item=item)
            if report is not None:
                yield Event(sequence, report=report)
                return
            now_s = self._clock.monotonic_s()
            if batch.state is not shown or now_s - quiet_since_s >= self._watching.heartbeat_s:
                shown, quiet_since_s = batch.state, now_s
                yield Event(sequence, report=Report(batch))
            if len(items) < _EVENTS_AT_ONCE:
                await self._clock.sleep(self._watching.poll_s)

    def close(self) -> None:
        """End all watches at their next look: their callers go on elsewhere."""
        self._closing = True


def _request(asked: Asked, method: str, batch_id: str) -> BatchRequest:
    return BatchRequest(asked.request_id, method, asked.request_hash, batch_id, asked.caller.name)


def _check_count(selections: Sequence[Selection]) -> None:
    if sum(selection.count for selection in selections) > ITEMS_MAX:
        raise errors.invalid("selection", f"a batch holds at most {ITEMS_MAX} items")


def _wrong_state(batch: CloneBatch, why: str) -> errors.InvalidState:
    state = batch.state.value.upper()
    return errors.InvalidState(f"Batch {batch.batch_id} {why}", {"batch_id": batch.batch_id, "state": state})


def _chunks(selections: Sequence[Selection]) -> list[Selection]:
    """The same items in pieces, so that a million of them are never in memory at once."""
    pieces: list[Selection] = []
    for selection in selections:
        for start in range(0, len(selection.customers), CHUNK):
            part = slice(start, start + CHUNK)
            piece = replace(
                selection, customers=selection.customers[part], payment_methods=selection.payment_methods[part]
            )
            pieces.append(replace(piece, accounts=selection.accounts[part]) if selection.paired else piece)
    return pieces


class _ledger_errors:  # noqa: N801 - reads as a statement
    """A ledger that cannot be used, in the service's words."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, LedgerUnavailable):
            raise errors.LedgerDown(
                "The ledger cannot be used now; repeat with the same request_id", retry_after_s=2.0
            ) from error
