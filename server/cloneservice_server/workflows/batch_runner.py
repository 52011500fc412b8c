"""Runs batches: leases partitions as requests are leased, and sends each item through the engine as a unary call.

An item's request_id is derived from the batch and its index. So whatever happens between an item's start and its stored
outcome (a crash, a take-over, two replicas at once), the engine finds the same request, and its effects are done once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from cloneservice_server.domain import errors
from cloneservice_server.domain.batches import (
    BatchItem,
    BatchState,
    CloneBatch,
    ItemState,
    item_request_id,
)
from cloneservice_server.domain.commands import Command
from cloneservice_server.domain.results import Result
from cloneservice_server.ports import Clock, LedgerUnavailable
from cloneservice_server.ports_batches import BACKGROUND, BatchObserver, ItemDone, Partition, WholeLedger
from cloneservice_server.workflows.batch_items import Outcome, commands_of, outcome_of, request_hash
from cloneservice_server.workflows.batch_layout import ListMethods, lay_out
from cloneservice_server.workflows.batch_outcomes import Outcomes
from cloneservice_server.workflows.turns import Turns

log = logging.getLogger("cloneservice.batches")

_PRUNED_AT_ONCE = 500
"""Items in one transaction: others write between two of them."""
_PRUNE_PAUSE_S = 0.05
_GIVE_BACK_S = 5.0
"""For the ledger to take the partitions back; after that their leases run out."""


class Answer(Protocol):
    """What the engine answers: exactly one of result and error is set."""

    @property
    def result(self) -> Result | None:
        """The result."""
        ...

    @property
    def error(self) -> errors.DomainError | None:
        """The error."""
        ...


class Engine(Protocol):
    """The way to change something (workflows/engine.py)."""

    async def submit(self, request_id: str, request_hash: str, command: Command) -> Answer:
        """Carry out, join or replay a request."""
        ...


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """Limits and periods of the runner. Times in seconds."""

    lease_s: float = 10.0
    """How long a partition is held without renewal."""
    poll_s: float = 1.0
    """How often new work is looked for."""
    partitions_max: int = 64
    """Partitions held at once: what their pages take of memory is all that a batch takes."""
    in_flight_max: int = 64
    """Items at once, over all batches; batches take turns."""
    per_account_max: int = 32
    """Items at once on one connected account; of one customer there, one. Enough for 25 a second at Stripe's pace."""
    page: int = 100
    """Items of a partition in memory."""
    attempts_max: int = 12
    """Runs of one item before it is FAILED with an error that might pass; RetryCloneBatch goes on with it."""
    backoff_s: float = 1.0
    """First wait after an error that might pass; doubled each time."""
    backoff_s_max: float = 60.0
    retention_s: float = 90 * 86_400.0
    """How long a batch is remembered after it ended, or unsealed."""
    upkeep_s: float = 3600.0
    """How often batches are looked for whose retention is over."""


@dataclass(slots=True, eq=False)
class _Held:
    """A partition in this process."""

    batch: CloneBatch
    claim: Partition
    room: asyncio.Semaphore
    task: asyncio.Task[None] | None = None
    lost: bool = False
    giving_back: bool = False
    """Other batches have too few."""
    read_to: int = -1
    """Index of the last item that was read."""
    in_flight: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    unstored: set[int] = field(default_factory=set)
    """Items that were begun here and have no stored outcome: whoever has the partition next begins them again."""
    customers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def cursor(self) -> int:
        """All items up to this index are final."""
        return min((*self.in_flight, *self.unstored), default=self.read_to + 1) - 1


class BatchRunner:
    """See the module docstring. `list_methods` tells all that a platform customer has saved."""

    def __init__(
        self,
        *,
        ledger: WholeLedger,
        engine: Engine,
        clock: Clock,
        owner: str,
        list_methods: ListMethods,
        settings: RunnerSettings | None = None,
        observer: BatchObserver | None = None,
    ) -> None:
        self._ledger = ledger
        self._engine = engine
        self._clock = clock
        self._owner = owner
        self._list_methods = list_methods
        self._settings = settings or RunnerSettings()
        self._observer = observer or BatchObserver()
        self._turns = Turns(self._settings.in_flight_max)
        self._held: dict[tuple[str, str], _Held] = {}
        self._outcomes = Outcomes(ledger, self._ended)
        self._places: dict[str, asyncio.Semaphore] = {}
        self._states: dict[str, BatchState] = {}
        self._layouts: dict[str, asyncio.Task[None]] = {}
        self._background: list[asyncio.Task[None]] = []
        self._draining = False

    @property
    def busy(self) -> bool:
        """Whether there is work here that calls Stripe."""
        return bool(self._held or self._layouts)

    # ------------------------------------------------------------------------------------------------------ life

    async def start(self, beat: Callable[[], Awaitable[object]] | None = None, beat_s: float = 1.0) -> None:
        """Look for work, now and from then on, keep this replica's leases, and call `beat` every `beat_s` seconds."""
        settings = self._settings
        self._background = [
            asyncio.create_task(self._repeat(self.look_once, settings.poll_s), name="batches"),
            asyncio.create_task(self._repeat(self.renew_once, settings.lease_s / 3), name="batch leases"),
            asyncio.create_task(self._repeat(self.prune_once, settings.upkeep_s), name="batch retention"),
        ]
        if beat is not None:
            self._background.append(asyncio.create_task(self._repeat(beat, beat_s), name="rate shares"))

    async def drain(self, grace_s: float) -> None:
        """Take no more items, let those in flight finish for `grace_s` seconds, and give the partitions back."""
        self._draining = True
        tasks = [*self._background, *self._layouts.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        serving = [held.task for held in self._held.values() if held.task is not None]
        if serving:
            await asyncio.wait(serving, timeout=grace_s)
            # Items that wait for their turn at Stripe would wait on: the engine keeps what it has of them.
            for held in list(self._held.values()):
                for item in held.in_flight.values():
                    item.cancel()
            _, late = await asyncio.wait(serving, timeout=_GIVE_BACK_S)
            for straggler in late:
                straggler.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._outcomes.aclose()

    async def _repeat(self, step: Callable[[], Awaitable[object]], period_s: float) -> None:
        while True:
            try:
                await step()
            except LedgerUnavailable as error:
                log.warning("ledger unavailable in batch work: %s", error)
            except Exception:
                log.exception("batch work failed; trying again")
            await self._clock.sleep(period_s)

    async def look_once(self) -> None:
        """Lay out what is PENDING; take partitions of what runs, one from each batch in turn."""
        active = await self._ledger.list_active_batches()
        self._states = {batch.batch_id: batch.state for batch in active}
        for batch in active:
            if batch.state is BatchState.PENDING and batch.batch_id not in self._layouts:
                self._layouts[batch.batch_id] = asyncio.create_task(self._lay_out(batch), name="batch layout")
        running = [batch for batch in active if batch.state is not BatchState.PENDING]
        fair = max(1, self._settings.partitions_max // max(1, len(running)))
        while running and not self._draining:
            for batch in list(running):
                mine = [held for held in self._held.values() if held.claim.batch_id == batch.batch_id]
                for more in mine[fair:]:
                    more.giving_back = True
                room = len(mine) < fair and len(self._held) < self._settings.partitions_max
                if not (room and await self._take(batch)):
                    running.remove(batch)
        self._observer.partitions_held(len(self._held))

    async def prune_once(self) -> None:
        """Forget the batches whose retention is over, with their items, a few at a time."""
        deleted = 0
        while some := await self._ledger.prune_batches(self._settings.retention_s, _PRUNED_AT_ONCE):
            deleted += some
            await self._clock.sleep(_PRUNE_PAUSE_S)
        if deleted:
            log.info("forgot %d items of batches whose retention is over", deleted)

    async def _take(self, batch: CloneBatch) -> bool:
        claim = await self._ledger.claim_partition(batch.batch_id, self._owner, self._settings.lease_s)
        if claim is None:
            return False
        held = _Held(batch, claim, asyncio.Semaphore(self._settings.per_account_max), read_to=claim.cursor)
        key = (batch.batch_id, claim.connected_account_id)
        if (older := self._held.get(key)) is not None:
            older.lost = True  # its lease ran out in a pause of this process
        self._held[key] = held
        held.task = asyncio.create_task(self._serve(held), name=f"partition {claim.connected_account_id}")
        return True

    async def renew_once(self) -> None:
        """Renew the leases of the partitions held here, and store how far they are."""
        for held in list(self._held.values()):
            claim = replace(held.claim, cursor=held.cursor)
            if not held.lost and not await self._ledger.keep_partition(claim, self._settings.lease_s):
                held.lost = True

    async def _lay_out(self, batch: CloneBatch) -> None:
        BACKGROUND.set(True)
        try:
            await lay_out(self._ledger, batch, self._list_methods)
        except (LedgerUnavailable, errors.DomainError) as error:
            log.warning("batch %s cannot be laid out now: %s", batch.batch_id, error)
        finally:
            del self._layouts[batch.batch_id]

    # ------------------------------------------------------------------------------------------------- partitions

    async def _serve(self, held: _Held) -> None:
        """Work through a partition, from its cursor to its end."""
        BACKGROUND.set(True)
        finished = False
        try:
            async for item in self._items(held):
                await self._start(held, item)
            finished = not self._stops(held)
        except LedgerUnavailable as error:
            log.warning("ledger unavailable in partition %s: %s", held.claim.connected_account_id, error)
        finally:
            await self._leave(held, finished=finished)

    async def _items(self, held: _Held) -> AsyncIterator[BatchItem]:
        while not self._stops(held):
            page = await self._ledger.pending_items(held.claim, held.read_to, self._settings.page)
            for item in page:
                if self._stops(held):
                    return
                yield item
            if not page:
                return

    def _stops(self, held: _Held) -> bool:
        return self._draining or held.lost or held.giving_back

    async def _start(self, held: _Held, item: BatchItem) -> None:
        """Begin an item once its account and its customer have room for it."""
        await held.room.acquire()
        if (other := held.customers.get(item.platform_customer_id)) is not None:
            await asyncio.wait([other])
        if self._stops(held):
            held.room.release()
            return
        task = asyncio.create_task(self._finish(held, item), name=f"item {item.index}")
        held.in_flight[item.index] = held.customers[item.platform_customer_id] = task
        held.read_to = item.index

        def ended(_: object) -> None:
            held.room.release()
            held.in_flight.pop(item.index, None)
            if held.customers.get(item.platform_customer_id) is task:
                del held.customers[item.platform_customer_id]

        task.add_done_callback(ended)

    async def _leave(self, held: _Held, *, finished: bool) -> None:
        try:
            while held.in_flight:
                await asyncio.wait(list(held.in_flight.values()))
                await asyncio.sleep(0)  # for the items to take themselves off
            claim = replace(held.claim, cursor=held.cursor)
            if held.lost:
                return
            if finished and not held.unstored:
                await self._ledger.end_partition(claim)
            else:
                await self._ledger.keep_partition(claim, 0.0)
        except LedgerUnavailable:
            log.warning("a partition's lease is left to run out: the ledger is away")
        except asyncio.CancelledError:
            for task in held.in_flight.values():
                task.cancel()
            raise
        finally:
            key = (held.claim.batch_id, held.claim.connected_account_id)
            if self._held.get(key) is held:
                del self._held[key]

    # ------------------------------------------------------------------------------------------------------ items

    async def _finish(self, held: _Held, item: BatchItem) -> None:
        """One item to its stored outcome."""
        held.unstored.add(item.index)
        try:
            if await self._carry_out(held, item):
                held.unstored.discard(item.index)
        except Exception:
            log.exception("item %d of %s failed; it will be begun again", item.index, held.claim.batch_id)

    async def _carry_out(self, held: _Held, item: BatchItem) -> bool:
        """Whether its outcome is stored; not when the server stops, and then it is begun again elsewhere."""
        began_s = self._clock.monotonic_s()
        attempt = 0
        while True:
            attempt += 1
            spent: list[str] = []
            outcome = await self._attempt(held, item, spent)
            if outcome is None:
                return False
            if outcome.error is None or outcome.error.final:
                break
            if self._stops(held):
                return False
            if attempt == self._settings.attempts_max:
                break
            await self._clock.sleep(min(self._settings.backoff_s * 2 ** (attempt - 1), self._settings.backoff_s_max))
        done = _done(item, outcome, attempt, spent)
        stored = await self._outcomes.store(held.claim.batch_id, done)
        if stored:
            state = "reused" if outcome.reused else outcome.state.value
            elapsed_s = self._clock.monotonic_s() - began_s
            self._observer.item_done(held.batch.plan.operation.value, state, done.reason, elapsed_s)
        return stored

    async def _attempt(self, held: _Held, item: BatchItem, spent: list[str]) -> Outcome | None:
        """Run an item's commands; None when there was no ledger, or no time to begin."""
        batch = held.batch
        places = self._places.setdefault(batch.batch_id, asyncio.Semaphore(batch.plan.max_concurrency or 1_000_000))
        try:
            async with places, self._turns.turn(batch.batch_id):
                if self._states.get(batch.batch_id) is BatchState.CANCELING:
                    return Outcome(ItemState.SKIPPED)
                if self._stops(held):
                    return None
                return await self._run(batch, item, spent)
        except errors.DomainError as error:
            return Outcome(ItemState.FAILED, error=error)
        except LedgerUnavailable as away:
            log.warning("ledger unavailable during an item: %s", away)
            return Outcome(ItemState.FAILED, error=errors.LedgerDown("The ledger cannot be used now"))

    async def _run(self, batch: CloneBatch, item: BatchItem, spent: list[str]) -> Outcome:
        results: list[Result] = []
        for place, command in enumerate(await commands_of(self._ledger, batch.plan, item)):
            request_id = item_request_id(batch.batch_id, item.index, place)
            answer = await self._engine.submit(request_id, request_hash(command), command)
            spent.append(request_id)
            if answer.error is not None:
                return Outcome(ItemState.FAILED, error=answer.error)
            assert answer.result is not None
            results.append(answer.result)
        return outcome_of(batch.plan, results)

    def _ended(self, batch_id: str, state: BatchState) -> None:
        self._states[batch_id] = state
        if state.final:
            self._places.pop(batch_id, None)
            held = next((held for held in self._held.values() if held.claim.batch_id == batch_id), None)
            self._observer.batch_ended(held.batch.plan.operation.value if held else "", state.value)

    async def settle(self) -> None:
        """Wait until nothing is held or laid out here. For tests."""
        while tasks := [*self._layouts.values(), *(held.task for held in self._held.values() if held.task)]:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)


def _done(item: BatchItem, outcome: Outcome, attempts: int, spent: list[str]) -> ItemDone:
    return ItemDone(
        item.index,
        outcome.state,
        attempts,
        clone_id=outcome.clone_id,
        reused=outcome.reused,
        reason=outcome.error.reason if outcome.error else "",
        error=errors.encode(outcome.error) if outcome.error else "",
        spent_request_ids=tuple(spent),
        pseudonym=outcome.pseudonym,
    )
