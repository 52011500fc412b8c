"""One request being carried out: record the intent, act, record the outcome."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from cloneservice_server.domain import errors
from cloneservice_server.domain.ids import idempotency_key
from cloneservice_server.domain.pseudonyms import Pseudonyms
from cloneservice_server.domain.values import NextAction
from cloneservice_server.ports import (
    AnswerLost,
    Claim,
    Clock,
    EffectRow,
    EffectState,
    EffectTaken,
    Fenced,
    Ledger,
    NewEffect,
    NotSent,
    Refused,
    RequestRow,
    SettleEffect,
    StripeAnswer,
    StripeCall,
    StripeFault,
    StripeGateway,
    VoidEffect,
    Write,
)
from cloneservice_server.ports_observer import EngineObserver, tell
from cloneservice_server.workflows.effects import KINDS, Absent, Found, FoundRefused
from cloneservice_server.workflows.stripe_objects import Body, next_action_of

log = logging.getLogger("cloneservice.engine")

KEY_LIFETIME_US = 23 * 3600 * 1_000_000
"""Stripe may forget an idempotency key after 24 hours; an older one is never sent before looking."""

_MOVES_MONEY = ("confirm", "capture", "cancel", "refund")
"""Kinds of effects that are named after their request and move or release money."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How one call to Stripe is repeated, always under its own key."""

    attempts: int = 4
    """Sends of one call within one run."""
    backoff_s: float = 0.25
    """First wait; doubled each time, times a random 0.5 to 1."""
    backoff_s_max: float = 4.0
    call_timeout_s: float = 30.0
    """Longest wait for one answer."""
    step_budget_s: float = 1.0
    """A step that changes something is not started with less than this left before the caller's deadline."""


class Restart(Exception):  # noqa: N818 - reads as what happened
    """The rows changed under this run: read them again and begin the workflow anew. Done effects answer at once."""


@dataclass(slots=True)
class Run:
    """The hands of a workflow: it changes things at Stripe by `effect`, and writes to the ledger by `stage`."""

    row: RequestRow
    ledger: Ledger
    gateway: StripeGateway
    clock: Clock
    retry: RetrySettings
    deadline_s: float | None = None
    """On the clock's monotonic scale; None for a run without a waiting caller."""
    livemode: bool = False
    resumed: bool = False
    """Whether earlier work of this request may exist."""
    lost: bool = False
    """Set when the lease renewal found the claim gone."""
    draining: bool = False
    begun: bool = False
    """Whether an intent may be on record, so that others may carry it out: nobody may say that nothing was done."""
    nobody_waits: bool = False
    """Taken up in the background from a process that died: its caller may have been told that nothing was started."""
    staged: list[Write] = field(default_factory=list)
    actions: dict[str, NextAction] = field(default_factory=dict)
    """PaymentIntent id -> next action with its secret: kept in memory for the answer only."""
    observer: EngineObserver = field(default_factory=EngineObserver)
    pseudonyms: Pseudonyms = field(default_factory=lambda: Pseudonyms(b""))
    begun_s: float = 0.0
    """On the clock's monotonic scale."""

    def __post_init__(self) -> None:
        self.begun_s = self.begun_s or self.clock.monotonic_s()

    @property
    def request_id(self) -> str:
        """The caller's idempotency key."""
        return self.row.request_id

    @property
    def claim(self) -> Claim:
        """The right to write."""
        return Claim(self.row.request_id, self.row.fence)

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return self.clock.now_us()

    def stage(self, *writes: Write) -> None:
        """Queue writes for the next transaction: the next intent's, or the one that finishes the request."""
        self.staged.extend(writes)

    async def read(self, call: StripeCall, step: str = "read") -> Body:
        """A GET, repeated on trouble. Raises the domain error that Stripe's refusal stands for."""
        for attempt in range(1, self.retry.attempts + 1):
            try:
                answer = await self.gateway.send(call, timeout_s=self.retry.call_timeout_s)
            except Refused as refused:
                error = self.gateway.explain(refused, step)
                if error.final or attempt == self.retry.attempts:
                    if isinstance(error, errors.OutcomeUnknown):  # a read that failed left nothing unknown
                        error = errors.StripeUnreachable("Stripe could not be read", retry_after_s=1.0)
                    raise error from refused
            except StripeFault as fault:
                if attempt == self.retry.attempts:
                    raise errors.StripeUnreachable("Stripe could not be reached", retry_after_s=1.0) from fault
            else:
                return answer.body
            await self._back_off(attempt)
        raise AssertionError

    async def effect(self, new: NewEffect) -> Body:
        """Make one change at Stripe at most once, and return what is kept of it.

        Raises the domain error of a refusal (its cause is the `Refused`), OutcomeUnknown when Stripe's word is still
        out, and Restart or Fenced when other hands were faster.
        """
        with self.observer.step(new.kind, self.request_id):
            return await self._effect(new)

    async def _effect(self, new: NewEffect) -> Body:
        await self._check_may_start(new)
        row = await self._intend(new)
        while row.state is not EffectState.DONE:
            finding = await self._carry_out(row)
            if isinstance(finding, Found):
                return self._settle(row, finding)
            if isinstance(finding, FoundRefused):
                await self._refuse(row, finding.refused)
            self.stage(VoidEffect(row.effect_id, row.epoch))
            row = await self._intend(new)
        return row.result

    async def _intend(self, new: NewEffect) -> EffectRow:
        if self.lost:
            raise Fenced
        writes, self.staged = self.staged, []
        self.begun = True
        try:
            return await self.ledger.intend(self.claim, writes, new)
        except EffectTaken as taken:
            await self._keep_answers(writes)
            raise Restart from taken

    async def _check_may_start(self, new: NewEffect) -> None:
        if self.draining:
            raise Drained
        if self.nobody_waits:
            await self._check_was_begun(new)
        if self.deadline_s is None:
            return
        left = self.deadline_s - self.clock.monotonic_s()
        if left < self.retry.step_budget_s:
            if self.resumed and await self._left_open(new.effect_id):
                raise errors.OutcomeUnknown(
                    f"Too little time to learn what became of the step {new.kind!r}, which an earlier attempt may have "
                    "sent. Repeat with the same request_id, or ask LookupRequest.",
                    {"step": new.kind, "request_id": self.request_id},
                    retry_after_s=1.0,
                )
            raise errors.DeadlineTooShort(
                f"{max(left, 0):.1f} s left before the deadline, too little to start the step {new.kind!r}; nothing "
                "new was started. Repeat with the same request_id and a longer deadline.",
                {"step": new.kind},
                retry_after_s=0.0,
            )

    async def _check_was_begun(self, new: NewEffect) -> None:
        """What was never begun is not begun behind the caller's back, who may have been told that nothing was."""
        row = await self.ledger.get_effect(new.effect_id)
        if self.row.clone_id or self.row.charge_id or (row is not None and row.request_id == self.request_id):
            self.nobody_waits = False
        elif row is None or row.state is not EffectState.DONE:
            raise errors.StripeUnreachable(
                "An earlier attempt ended before Stripe was called; nothing was done. Repeat with the same request_id",
                {"step": new.kind},
                retry_after_s=0.0,
            )

    async def money_may_have_moved(self) -> bool:
        """Whether an earlier attempt may have sent a change of its own that moves money, and nobody knows."""
        if not self.resumed:
            return False
        rows = [await self.ledger.get_effect(f"{kind}:{self.request_id}") for kind in _MOVES_MONEY]
        return any(row is not None and row.state is EffectState.INTENT for row in rows)

    async def _left_open(self, effect_id: str) -> bool:
        """Whether an attempt that died may have sent this step, or the one that moves money, without telling us."""
        for name in (effect_id, f"confirm:{self.request_id}"):
            row = await self.ledger.get_effect(name)
            if row is not None and row.state is EffectState.INTENT and row.request_id == self.request_id:
                return True
        return False

    async def _carry_out(self, row: EffectRow) -> Found | FoundRefused | Absent:
        """Send the stored call under its key until Stripe's word is known; look when the key cannot tell any more."""
        if self.now_us() - row.intent_time_us > KEY_LIFETIME_US:
            return await self._look(row)
        unknown = self.resumed or row.request_id != self.request_id
        error: errors.DomainError | None = None
        for attempt in range(1, self.retry.attempts + 1):
            if self.now_us() - row.intent_time_us > KEY_LIFETIME_US:
                return await self._look(row)
            try:
                answer = await self._send(row)
                return Found(answer.body, answer.stripe_request_id)
            except NotSent:
                error = errors.StripeUnreachable("Stripe could not be reached; nothing was done", retry_after_s=1.0)
            except AnswerLost:
                unknown = True
            except Refused as refused:
                error = self.gateway.explain(refused, row.kind)
                if refused.status >= 500:
                    if refused.replayed:
                        return await self._look(row)
                    unknown = True
                elif refused.status == 409:
                    unknown = True  # an earlier send under this key is still under way: its outcome is the outcome
                elif refused.type == "idempotency_error":
                    return await self._held(row, refused)
                elif error.final:
                    return await self._refusal(row, refused, error)
            if attempt < self.retry.attempts:
                await self._back_off(attempt)
        if unknown or error is None:
            raise errors.OutcomeUnknown(
                f"Stripe's answer to the step {row.kind!r} is not known yet. Repeat with the same request_id, or ask "
                "LookupRequest; never start again under another request_id.",
                {"step": row.kind, "request_id": self.request_id},
                retry_after_s=1.0,
            )
        raise error

    async def _refusal(self, row: EffectRow, refused: Refused, error: errors.DomainError) -> Found | FoundRefused:
        """A refusal for a state: it may say that the change is made, by a send of an earlier epoch that came late."""
        spent = isinstance(error, errors.CloneNotUsable) and row.kind in ("customer", "attach")
        if spent or isinstance(error, errors.InvalidState):
            finding = await self._look(row)
            if isinstance(finding, Found) and finding.body.get("status") != "canceled":
                return finding
        return FoundRefused(refused)

    async def _held(self, row: EffectRow, refused: Refused) -> Found | FoundRefused | Absent:
        """The key is held by other parameters: a row that a fail-over lost had it sent. What did that make?"""
        earlier = dataclasses.replace(row, intent_time_us=row.intent_time_us - KEY_LIFETIME_US)
        finding = await self._look(earlier, held=True)
        if isinstance(finding, Absent) and row.kind in (*_MOVES_MONEY, "reconfirm"):
            return FoundRefused(refused)  # it may have moved money that does not show here: not sent under another key
        return finding

    async def _send(self, row: EffectRow) -> StripeAnswer:
        if self.lost:
            raise Fenced
        key = idempotency_key(row.effect_id, row.epoch)
        return await self.gateway.send(row.call, idempotency_key=key, timeout_s=self.retry.call_timeout_s)

    async def _look(self, row: EffectRow, *, held: bool = False) -> Found | FoundRefused | Absent:
        kind = KINDS[row.kind]
        try:
            finding = await (kind.look_held if held and kind.look_held else kind.look)(self.read, row)
        except errors.ResourceNotFound:
            raise
        except errors.DomainError as error:  # a rate limit, a lock, an account that is closed to us: nothing is learnt
            raise errors.OutcomeUnknown(
                "Stripe could not be read to learn the outcome of an earlier call",
                {"step": row.kind},
                retry_after_s=2.0,
            ) from error
        word = {Found: "found", FoundRefused: "refused", Absent: "absent"}[type(finding)]
        log.info("looked: request_id=%s kind=%s epoch=%d: %s", self.request_id, row.kind, row.epoch, word)
        tell(self.observer.looked, row.kind, word)
        return finding

    def _settle(self, row: EffectRow, found: Found) -> Body:
        kind, body = KINDS[row.kind], found.body
        kept = kind.keep(body)
        if action := next_action_of(body):
            self.actions[body["id"]] = action
        scrubbed = None
        if any(name in row.call.params for name in kind.personal):
            params = {name: value for name, value in row.call.params.items() if name not in kind.personal}
            scrubbed = dataclasses.replace(row.call, params=params)
        self.stage(SettleEffect(row.effect_id, row.epoch, kept["id"], kept, scrubbed, found.stripe_request_id))
        return kept

    async def _refuse(self, row: EffectRow, refused: Refused) -> None:
        """Void the epoch and raise; but a refusal of somebody else's parameters is not this request's answer."""
        error = self.gateway.explain(refused, row.kind)
        self.stage(VoidEffect(row.effect_id, row.epoch, errors.encode(error), refused.stripe_request_id))
        if row.request_id != self.request_id:
            await self.flush()
            raise Restart
        raise error from refused

    async def flush(self, *writes: Write) -> None:
        """Commit what is staged, and `writes`, now."""
        pending: Sequence[Write] = [*self.staged, *writes]
        self.staged = []
        try:
            await self.ledger.commit(self.claim, pending)
        except EffectTaken as taken:
            await self._keep_answers(pending)
            raise Restart from taken

    async def _keep_answers(self, writes: Sequence[Write]) -> None:
        """The rows of the lineage moved on under these writes, but what Stripe has done stays done: record that alone.

        Not a refusal, though: a voided effect would be sent again under another key.
        """
        for write in writes:
            if isinstance(write, SettleEffect):
                with contextlib.suppress(EffectTaken):
                    await self.ledger.commit(self.claim, [write])

    async def _back_off(self, attempt: int) -> None:
        longest = min(self.retry.backoff_s * 2 ** (attempt - 1), self.retry.backoff_s_max)
        await self.clock.sleep(longest * random.uniform(0.5, 1))


class Drained(Exception):  # noqa: N818 - reads as what happened
    """The server stops: the request is released for the next one to take up."""
