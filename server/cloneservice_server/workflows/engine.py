"""Runs each request at most once at a time, to an answer that stays: joins, replays, takes over, parks and recovers.

A workflow runs in a task of the engine's own. A caller that goes away, a deadline or a cancelled handler never stops it
between Stripe's answer and our commit; it stops by itself before a step that there is no time left for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cloneservice_server import log_context
from cloneservice_server.domain import codec, errors
from cloneservice_server.domain.callers import ANYBODY, Caller
from cloneservice_server.domain.commands import COMMANDS, Command
from cloneservice_server.domain.pseudonyms import Pseudonyms
from cloneservice_server.domain.results import RESULTS, Result
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ports import (
    Claim,
    Clock,
    Fenced,
    FinishRequest,
    Ledger,
    LedgerUnavailable,
    NewRequest,
    RequestRow,
    StripeGateway,
)
from cloneservice_server.ports_observer import EngineObserver, RunEnded, tell
from cloneservice_server.workflows.charges import charge_id_of
from cloneservice_server.workflows.next_actions import with_next_action
from cloneservice_server.workflows.registry import WORKFLOWS
from cloneservice_server.workflows.run import Drained, Restart, RetrySettings, Run
from cloneservice_server.workflows.upkeep import Upkeep

log = logging.getLogger("cloneservice.engine")

_RESTARTS_MAX = 25  # each one means that another run moved the rows on; more than this is a fault of ours
_UNATTENDED_ATTEMPTS = 300  # at most five minutes apart: about a day


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Limits and periods of the engine."""

    lease_s: float = 10.0
    """How long a claim holds without renewal; how long a killed replica's work waits for the next one."""
    sweep_s: float = 5.0
    """How often unfinished requests without an owner are looked for."""
    running_max: int = 500
    """Requests carried out at once."""
    waiting_max: int = 1000
    """Requests waiting for a place; one more is refused with SERVICE_OVERLOADED."""
    poll_s: float = 0.1
    """How often a request that another replica carries out is looked at, for a caller who waits for it here."""
    follow_s: float = 15.0
    """How long such a caller waits before REQUEST_IN_PROGRESS; longer than a lease, to outwait a replica that died."""
    retention_s: float = 30 * 86_400.0
    """How long a request is remembered after it ended."""
    upkeep_s: float = 600.0
    """How often requests older than that are looked for."""
    livemode: bool = False
    erasure_key: bytes = field(default=b"", repr=False)
    """Key of the hashes that stand for erased ids; the same on all replicas, and for as long as tombstones matter."""
    retry: RetrySettings = field(default_factory=RetrySettings)


@dataclass(frozen=True, slots=True)
class Answer:
    """Exactly one of result and error; `replayed` if it was stored before this call."""

    result: Result | None = None
    error: errors.DomainError | None = None
    replayed: bool = False


@dataclass(slots=True, eq=False)
class _Work:
    """One request in this process."""

    request_hash: str
    caller: str = ""
    task: asyncio.Task[Answer] | None = None
    deadline_s: float | None = None
    run: Run | None = None
    nobody_waits: bool = False
    """Taken up by the background sweep, and no caller has asked since nor been told to wait."""
    handed: RequestRow | None = None
    """Claimed by the background sweep while this work was waiting for the claim, or had lost it in a pause."""


class Engine:
    """See the module docstring. `owner` names this replica in leases and must be unique among replicas."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        gateway: StripeGateway,
        clock: Clock,
        owner: str = "",
        settings: EngineSettings | None = None,
        observer: EngineObserver | None = None,
    ) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self._owner = owner or uuid.uuid4().hex
        self._settings = settings or EngineSettings()
        self._observer = observer or EngineObserver()
        self._upkeep = Upkeep(ledger, clock, self._observer, self._settings.retention_s)
        self._works: dict[str, _Work] = {}
        self._places = asyncio.Semaphore(self._settings.running_max)  # first come, first served
        self._running = 0
        self._draining = False
        self._background: list[asyncio.Task[None]] = []

    @property
    def running(self) -> int:
        """Requests being carried out in this process."""
        return self._running

    @property
    def waiting(self) -> int:
        """Requests that wait in this process for a place."""
        return len(self._works) - self._running

    # ------------------------------------------------------------------------------------------------ life

    async def start(self) -> None:
        """Take up what an earlier process left, now and from then on, and keep this one's leases."""
        self._background = [
            asyncio.create_task(self._repeat(self.recover_once, self._settings.sweep_s), name="recover"),
            asyncio.create_task(self._repeat(self.renew_once, self._settings.lease_s / 3), name="renew"),
            asyncio.create_task(self._repeat(self._upkeep.count_once, self._settings.sweep_s), name="count"),
            asyncio.create_task(self._repeat(self._upkeep.prune_once, self._settings.upkeep_s), name="prune"),
        ]

    async def drain(self, grace_s: float) -> None:
        """Take no more work, let running steps finish for `grace_s` seconds, release the rest for the next process."""
        self._draining = True
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for work in self._works.values():
            if work.run is not None:
                work.run.draining = True
        tasks = [work.task for work in self._works.values() if work.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for straggler in late:  # their leases run out; their rows say how to go on
                straggler.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _repeat(self, step: Callable[[], Awaitable[object]], period_s: float) -> None:
        while True:
            try:
                await step()
            except LedgerUnavailable as error:
                log.warning("ledger unavailable in background work: %s", error)
                tell(self._observer.ledger_unavailable)
            except Exception:
                log.exception("background work failed; trying again")
            await self._clock.sleep(period_s)

    # -------------------------------------------------------------------------------------------- requests

    async def submit(
        self,
        request_id: str,
        request_hash: str,
        command: Command,
        *,
        deadline_s: float | None = None,
        caller: Caller = ANYBODY,
    ) -> Answer:
        """The answer of `request_id`: carried out now, joined while it runs, or replayed. Never raises a DomainError.

        `deadline_s` is how long the caller waits, in seconds from now. Cancelling the call leaves the work running.
        A request_id belongs to the caller that used it first; to any other it is a REQUEST_ID_REUSED.
        """
        request_id = request_id.lower()
        if getattr(command, "validate_only", False):
            return await self._preview(request_id, request_hash, command)
        deadline = None if deadline_s is None else self._clock.monotonic_s() + deadline_s
        work = self._works.get(request_id)
        if work is not None:
            if not caller.owns(work.caller):
                return Answer(error=errors.anothers_request(request_id))
            tell(self._observer.joined, command.method)
            return await self._join(request_id, request_hash, work, deadline)
        if self._draining or len(self._works) >= self._settings.running_max + self._settings.waiting_max:
            tell(self._observer.overloaded, command.method)
            return Answer(error=_overloaded())
        stored = codec.dumps(command)
        new = NewRequest(request_id, command.method, request_hash, stored, caller.name, charge_id_of(request_id))
        work = self._enlist(
            request_id,
            _Work(request_hash, caller.name, deadline_s=deadline),
            lambda work: self._begin(new, caller, command, work),
        )
        return await self._wait(work)

    async def accept(self, request_id: str, request_hash: str, command: Command) -> tuple[RequestRow, bool]:
        """Store a request that nobody waits for, and carry it out in the background: the row, and whether it is new.

        Once this returns the work is durable: with no room here, or when this process dies, another takes it up.
        Raises LedgerDown, with nothing stored.
        """
        room = not self._draining and len(self._works) < self._settings.running_max
        new = NewRequest(request_id, command.method, request_hash, codec.dumps(command))
        try:
            row, created = await self._ledger.begin_request(new, self._owner, self._settings.lease_s if room else 0.0)
        except LedgerUnavailable as error:
            raise self._ledger_down(error) from error
        if created and room and request_id not in self._works:
            self._enlist(request_id, _Work(request_hash), lambda work: self._recover(row, work))
        return row, created

    def _enlist(self, request_id: str, work: _Work, story: Callable[[_Work], Awaitable[Answer]]) -> _Work:
        async def carry() -> Answer:
            try:
                async with self._places:
                    self._running += 1
                    try:
                        log_context.add(request_id=request_id)
                        return await self._begun(work, story)
                    finally:
                        self._running -= 1
            finally:
                del self._works[request_id]

        self._works[request_id] = work
        work.task = asyncio.create_task(carry(), name=f"request {request_id}")
        return work

    async def _begun(self, work: _Work, story: Callable[[_Work], Awaitable[Answer]]) -> Answer:
        """The story, unless the wait for a place was too long for it: then nothing is begun, and nothing recorded."""
        if self._draining:
            return Answer(error=_overloaded())
        if work.deadline_s is not None and self._clock.monotonic_s() >= work.deadline_s:
            message = "The deadline passed while the request waited for a place; nothing was started"
            return Answer(error=errors.DeadlineTooShort(message, retry_after_s=0.0))
        return await story(work)

    async def _join(self, request_id: str, request_hash: str, work: _Work, deadline: float | None) -> Answer:
        if request_hash != work.request_hash:
            return Answer(error=_reused(request_id, work.request_hash))
        # The work has time as long as one of its callers has.
        work.deadline_s = None if deadline is None or work.deadline_s is None else max(deadline, work.deadline_s)
        work.nobody_waits = False
        if work.run is not None:
            work.run.deadline_s = work.deadline_s
            work.run.nobody_waits = False
        return await self._wait(work)

    async def _wait(self, work: _Work) -> Answer:
        assert work.task is not None
        try:
            return await asyncio.shield(work.task)
        except asyncio.CancelledError:
            if work.task.cancelled():  # a drained server, not a caller that left
                return Answer(error=_unknown("The server stopped before the outcome was known"))
            raise

    async def _preview(self, request_id: str, request_hash: str, command: Command) -> Answer:
        preview = WORKFLOWS[type(command)].preview
        assert preview is not None, "validate_only is offered only where there is a preview"
        row = RequestRow(request_id, command.method, request_hash, "", RequestState.RUNNING, fence=0)
        try:
            return Answer(result=await preview(self._run(row, None), command))
        except errors.DomainError as error:
            return Answer(error=error)
        except LedgerUnavailable as error:
            return Answer(error=self._ledger_down(error))

    async def _begin(self, new: NewRequest, caller: Caller, command: Command, work: _Work) -> Answer:
        try:
            row, created = await self._ledger.begin_request(new, self._owner, self._settings.lease_s)
        except LedgerUnavailable as error:
            return Answer(error=self._ledger_down(error))
        if not caller.owns(row.caller):
            return Answer(error=errors.anothers_request(new.request_id))
        if row.request_hash != new.request_hash:
            return Answer(error=_reused(new.request_id, row.request_hash))
        try:
            return await (self._carry_out(row, command, work) if created else self._replay_or_take_over(row, work))
        except LedgerUnavailable as error:
            return Answer(error=self._ledger_lost(error))

    async def _replay_or_take_over(self, row: RequestRow, work: _Work) -> Answer:
        """The stored answer; the work itself if nobody has it; while another replica has it, wait for its answer."""
        patience = self._clock.monotonic_s() + self._settings.follow_s
        while True:
            if row.state.final:
                return await self._stored(row)
            claimed = _handed(work) or await self._ledger.claim_request(
                row.request_id, self._owner, self._settings.lease_s
            )
            if claimed is not None:
                return await self._carry_out(claimed, _command(claimed), work)
            if self._clock.monotonic_s() >= patience:
                message = "The same request is being carried out by another replica; repeat with the same request_id"
                return Answer(error=errors.RequestInProgress(message, {"request_id": row.request_id}, retry_after_s=1))
            await self._clock.sleep(self._settings.poll_s)
            current = await self._ledger.get_request(row.request_id)
            if current is None:  # pruned under our eyes: its retention is over
                return Answer(error=_unknown("The request is no longer known"))
            row = current

    async def _stored(self, row: RequestRow) -> Answer:
        tell(self._observer.replayed, row.method)
        if row.state is RequestState.FAILED:
            return Answer(error=errors.decode(row.error), replayed=True)
        result = codec.loads(RESULTS[row.method], row.result)
        try:
            return Answer(result=await with_next_action(self._run(row, None), result), replayed=True)
        except errors.DomainError as error:
            return Answer(error=error)

    # --------------------------------------------------------------------------------------------- running

    def _run(self, row: RequestRow, work: _Work | None) -> Run:
        run = Run(
            row,
            self._ledger,
            self._gateway,
            self._clock,
            self._settings.retry,
            deadline_s=work.deadline_s if work else None,
            livemode=self._settings.livemode,
            pseudonyms=Pseudonyms(self._settings.erasure_key),
            resumed=row.attempts > 1,
            draining=self._draining,
            observer=self._observer,
            nobody_waits=work is not None and work.nobody_waits,
        )
        if work is not None:
            work.run = run
        return run

    async def _carry_out(self, row: RequestRow, command: Command, work: _Work) -> Answer:
        run = self._run(row, work)
        for _ in range(_RESTARTS_MAX):
            try:
                return await self._attempt(run, command)
            except Restart:
                run.staged.clear()
                run.resumed = True
                run.row = await self._ledger.get_request(row.request_id) or run.row
                if run.row.fence != row.fence:
                    break
            except Fenced:
                tell(self._observer.fenced, row.method)
                break
            except LedgerUnavailable as error:
                # The lease runs out and the row says how to go on: it goes on if any attempt may have begun a change.
                begun = run.begun or run.resumed
                return Answer(error=self._ledger_lost(error) if begun else self._ledger_down(error))
        if (claimed := _handed(work)) is not None:
            return await self._carry_out(claimed, command, work)
        return await self._follow(row)

    async def _attempt(self, run: Run, command: Command) -> Answer:
        try:
            result = await WORKFLOWS[type(command)].carry_out(run, command)
        except errors.DomainError as error:
            return await self._finish_with_error(run, command, error)
        except Drained:
            # Due at once: the next process, or another replica, takes it up.
            stopping = _unknown("The server is stopping; another takes the request up")
            await self._flush(run, FinishRequest(RequestState.INDETERMINATE, error=errors.encode(stopping)), stopping)
            return Answer(error=stopping)
        except (Restart, Fenced, LedgerUnavailable):
            raise
        except Exception:
            error_id = uuid.uuid4().hex
            log.exception("workflow failed: error_id=%s request_id=%s", error_id, run.request_id)
            message = "A fault of this service; nothing is lost, repeat with the same request_id"
            return await self._finish_with_error(run, command, errors.InternalError(message, {"error_id": error_id}))
        stored = codec.dumps(result)
        await self._flush(run, _finish(RequestState.SUCCEEDED, command, result=stored))
        try:
            return Answer(result=await with_next_action(run, result))
        except errors.DomainError as error:
            return Answer(error=error)

    async def _finish_with_error(self, run: Run, command: Command, error: errors.DomainError) -> Answer:
        if not error.final and not isinstance(error, errors.OutcomeUnknown) and await run.money_may_have_moved():
            error = _unknown("What became of an earlier attempt is not known yet")
        state = _state_after(run, command, error)
        delay_us = min(2 ** min(run.row.attempts, 9), 300) * 1_000_000
        finish = _finish(state, command, error=errors.encode(error), retry_after_us=delay_us)
        try:
            await self._flush(run, finish, error)
            if state is RequestState.FAILED and WORKFLOWS[type(command)].unattended:
                log.error("dead letter: request_id=%s reason=%s %s", run.request_id, error.reason, command)
        except Restart:
            # Rows of the lineage moved under the error's writes: the error itself is decided anew by the next attempt.
            if error.final:
                raise
            await self._flush(run, finish, error)  # parked or awaited all the same, as the caller is told
        return Answer(error=error)

    async def _flush(self, run: Run, finish: FinishRequest, error: errors.DomainError | None = None) -> None:
        """The run's last write; counted once it stands."""
        await run.flush(finish)
        row = run.row
        ended = RunEnded(
            method=row.method,
            state=finish.state,
            reason=error.reason if error else "",
            elapsed_s=self._clock.monotonic_s() - run.begun_s,
            attempts=row.attempts,
            reconciled=row.retry_time_us > 0,
        )
        tell(self._observer.run_ended, ended)

    async def _follow(self, row: RequestRow) -> Answer:
        """Another owner has the request now: its answer is the answer."""
        current = await self._ledger.get_request(row.request_id)
        if current is not None and current.state.final:
            return await self._stored(current)
        return Answer(error=_unknown("Another replica has taken the request over"))

    # ------------------------------------------------------------------------------------------ background

    async def recover_once(self) -> int:
        """Take up requests whose owner is gone, and those whose outcome is awaited; return how many."""
        room = self._settings.running_max - len(self._works)
        if room <= 0 or self._draining:
            return 0
        rows = await self._ledger.claim_due(self._owner, self._settings.lease_s, min(room, 100))
        for row in rows:
            if (known := self._works.get(row.request_id)) is not None:
                known.handed = row
                continue
            awaited = "its outcome is awaited" if row.retry_time_us else "its owner is gone"
            log.info("taking up request_id=%s method=%s: %s", row.request_id, row.method, awaited)
            tell(self._observer.taken_up, row.method)
            work = _Work(row.request_hash, row.caller, nobody_waits=not _was_told_to_wait(row))
            self._enlist(row.request_id, work, lambda work, row=row: self._recover(row, work))  # type: ignore[misc]
        return len(rows)

    async def _recover(self, row: RequestRow, work: _Work) -> Answer:
        try:
            return await self._carry_out(row, _command(row), work)
        except LedgerUnavailable as error:
            return Answer(error=self._ledger_lost(error))

    async def renew_once(self) -> None:
        """Renew the leases of what runs here; tell runs that lost theirs to stop before their next send."""
        runs = [work.run for work in self._works.values() if work.run is not None]
        if not runs:
            return
        claims = [Claim(run.request_id, run.row.fence) for run in runs]
        gone = await self._ledger.renew(self._owner, claims, self._settings.lease_s)
        for run in runs:
            if run.request_id in gone:
                run.lost = True

    async def prune_once(self) -> int:
        """Forget requests whose retention is over; return how many. See `Upkeep.prune_once`."""
        return await self._upkeep.prune_once()

    def _ledger_down(self, error: LedgerUnavailable) -> errors.LedgerDown:
        log.warning("ledger unavailable: %s", error)
        tell(self._observer.ledger_unavailable)
        return errors.LedgerDown("The ledger cannot be written now; nothing new was started", retry_after_s=2.0)

    def _ledger_lost(self, error: LedgerUnavailable) -> errors.OutcomeUnknown:
        """The ledger went away under an attempt that may not be the first: the sweep goes on with what was begun."""
        self._ledger_down(error)
        return _unknown("The ledger was lost before the outcome was recorded")

    async def settle(self) -> None:
        """Wait until nothing runs here. For tests and the simulation."""
        while tasks := [work.task for work in self._works.values() if work.task is not None]:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)


def _handed(work: _Work) -> RequestRow | None:
    row, work.handed = work.handed, None
    return row


def _was_told_to_wait(row: RequestRow) -> bool:
    """Whether the caller was told that the outcome is awaited, so that it may still come about."""
    if row.retry_time_us > 0:  # it was, whatever the last attempt said
        return True
    return bool(row.error) and isinstance(errors.decode(row.error), errors.OutcomeUnknown)


def _finish(state: RequestState, command: Command, **fields: Any) -> FinishRequest:
    scrub = WORKFLOWS[type(command)].without_personal_data
    scrubbed = codec.dumps(scrub(command)) if scrub is not None and state.final else ""
    return FinishRequest(state, scrubbed_command=scrubbed, **fields)


def _state_after(run: Run, command: Command, error: errors.DomainError) -> RequestState:
    if error.final:
        return RequestState.FAILED
    if WORKFLOWS[type(command)].unattended:  # nobody repeats it, so it is due again by itself; for a day, not for ever
        return RequestState.INDETERMINATE if run.row.attempts < _UNATTENDED_ATTEMPTS else RequestState.FAILED
    return RequestState.INDETERMINATE if _may_be_open(run, error) else RequestState.PARKED


def _may_be_open(run: Run, error: errors.DomainError) -> bool:
    """Whether a change may have been made at Stripe that we do not know of. To say that it was not would be a guess."""
    if isinstance(error, errors.OutcomeUnknown):
        return True
    if isinstance(error, errors.InternalError):  # a fault of ours, perhaps in reading the very answer
        return run.begun or run.resumed
    awaited = run.row.retry_time_us > 0  # and this attempt may have ended before it came to the step in question
    return awaited and not isinstance(error, errors.DeadlineTooShort)  # which has looked at that step's row


def _command(row: RequestRow) -> Command:
    return codec.loads(COMMANDS[row.method], row.command)


def _reused(request_id: str, first_hash: str) -> errors.RequestIdReused:
    return errors.RequestIdReused(
        "This request_id was used before with different parameters; a new intent needs a new request_id",
        {"request_id": request_id, "first_request_hash": first_hash},
    )


def _unknown(message: str) -> errors.OutcomeUnknown:
    return errors.OutcomeUnknown(f"{message}; repeat with the same request_id", retry_after_s=1.0)


def _overloaded() -> errors.ServiceOverloaded:
    return errors.ServiceOverloaded("More requests than this server takes at once; nothing was done", retry_after_s=1)
