"""Keeps batch items under Stripe's rate limits, and out of the way of callers who wait.

Two limits hold at once: so many requests a second for the platform's key, and so many for each endpoint. Both are kept
as a log of the last second's sends, so that no window of a second ever has more; a bucket that refills would let its
burst and its rate together through. Calls made for a waiting caller are never held back, only counted: what they use,
batch items leave alone.

Whether Stripe counts a call with Stripe-Account against the platform or against the account is not documented. One
budget over all accounts is below both.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import Clock, NotSent, Refused, StripeAnswer, StripeCall, StripeGateway
from cloneservice_server.ports_batches import BACKGROUND, HEADROOM, Allotment, BatchObserver, RateLimits

WINDOW_S = 1 / HEADROOM
"""Longer than a second by what may lie between two calls' ways to Stripe."""
_SLACK_S = (WINDOW_S - 1) / 2
"""How late a send may be and still count as on time, so that a busy event loop costs no rate."""
_FACTOR_LEAST = 0.05
_RECOVERY_PER_S = 0.05
_CUT_AGAIN_S = 1.0
"""Refusals within this time are one signal: what was in flight when the rate was cut says nothing new."""
_NOT_ALLOTTED_S = 0.1
_FOREGROUND_OVER_S = 10.0
_FOREGROUND_KEPT = 10_000


class _Log:
    """The sends of late under one limit: batch items', and those for callers who wait."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._sent: deque[float] = deque()
        self._foreground: deque[float] = deque(maxlen=_FOREGROUND_KEPT)
        self._factor = 1.0
        self._cut_s = float("-inf")

    def note(self, at_s: float) -> None:
        """A batch item's call was sent."""
        self._sent.append(at_s)

    def note_foreground(self, at_s: float) -> None:
        """A call for a waiting caller was sent."""
        self._foreground.append(at_s)

    def foreground_per_s(self, now_s: float) -> float:
        """Calls a second of late for callers who wait."""
        while self._foreground and self._foreground[0] <= now_s - _FOREGROUND_OVER_S:
            self._foreground.popleft()
        return len(self._foreground) / _FOREGROUND_OVER_S

    def opens_s(self, now_s: float, allotment: Allotment) -> float:
        """When the next batch item may be sent; `now_s` or earlier: now."""
        while self._sent and self._sent[0] <= now_s - 2 * WINDOW_S:
            self._sent.popleft()
        allowed = max(1, int(allotment.of(self.limit) * self.factor(now_s)) - self._reserved(now_s))
        if not self._sent:
            return now_s
        evenly_s = self._sent[-1] + WINDOW_S / allowed / 2  # at most twice the rate, to catch up
        if len(self._sent) < allowed:
            return evenly_s
        return max(self._sent[-allowed] + WINDOW_S, evenly_s)

    def _reserved(self, now_s: float) -> int:
        """What callers who wait have sent in this window, or are likely to send."""
        likely = math.ceil(self.foreground_per_s(now_s) * WINDOW_S)
        window = itertools.takewhile(lambda at_s: at_s > now_s - WINDOW_S, reversed(self._foreground))
        return max(likely, sum(1 for _ in window))

    def factor(self, now_s: float) -> float:
        """What is left of the limit after refusals: it comes back in steady steps."""
        if self._cut_s == float("-inf"):
            return 1.0
        return min(1.0, self._factor + (now_s - self._cut_s) * _RECOVERY_PER_S)

    def cut(self, now_s: float) -> bool:
        """Stripe refused: halve. False when that was done a moment ago."""
        if now_s - self._cut_s < _CUT_AGAIN_S:
            return False
        self._factor = max(self.factor(now_s) / 2, _FACTOR_LEAST)
        self._cut_s = now_s
        return True


class Pacer:
    """The local part of a budget that replicas share; `allot` says how much of it is this replica's."""

    def __init__(self, limits: RateLimits, clock: Clock, observer: BatchObserver | None = None) -> None:
        self.limits = limits
        self._clock = clock
        self._observer = observer or BatchObserver()
        self._all = _Log(limits.per_second)
        self._endpoints: dict[str, _Log] = {}
        self._all_line = asyncio.Lock()
        self._lines: dict[str, asyncio.Lock] = {}
        self._allotment = Allotment(until_s=float("-inf"))
        self._closed = False

    def allot(self, allotment: Allotment) -> None:
        """From now on this much of the limits is ours."""
        self._allotment = allotment

    def close(self) -> None:
        """The server stops: a batch item's call that still waits for its turn is not sent any more."""
        self._closed = True

    def foreground_per_s(self) -> float:
        """Calls a second made of late for callers who wait."""
        return self._all.foreground_per_s(self._clock.monotonic_s())

    def note_foreground(self, endpoint: str) -> None:
        """A call for a waiting caller goes out now."""
        now_s = self._clock.monotonic_s()
        self._all.note_foreground(now_s)
        if self.limits.per_endpoint:
            self._endpoint(endpoint).note_foreground(now_s)

    async def admit(self, endpoint: str) -> None:
        """Wait until a batch item's call may be sent: in the order of arrival at each endpoint. Raises NotSent."""
        began_s = self._clock.monotonic_s()
        async with self._lines.setdefault(endpoint, asyncio.Lock()):
            opens_s = await self._open(self._endpoint(endpoint)) if self.limits.per_endpoint else None
            if self.limits.per_second:
                async with self._all_line:
                    self._note(self._all, await self._open(self._all))
            if opens_s is not None:  # not before: the wait for the other limit is past now
                self._note(self._endpoint(endpoint), opens_s)
        self._observer.paced(endpoint, self._clock.monotonic_s() - began_s)

    async def _open(self, log: _Log) -> float:
        """Wait for room; since when there was some. Raises NotSent when the server stops."""
        while True:
            if self._closed:
                raise NotSent("the server stops")
            now_s = self._clock.monotonic_s()
            if now_s >= self._allotment.until_s or not self._allotment.of(log.limit):
                await self._clock.sleep(_NOT_ALLOTTED_S)
                continue
            opens_s = log.opens_s(now_s, self._allotment)
            if opens_s <= now_s:
                return opens_s
            await self._clock.sleep(opens_s - now_s)

    def _note(self, log: _Log, opened_s: float) -> None:
        """A send now, into room that there was since `opened_s`: a little late is on time."""
        log.note(max(opened_s, self._clock.monotonic_s() - _SLACK_S))

    def refused(self, endpoint: str, refusal: Refused) -> None:
        """Stripe found it too fast: a limit, or an object that another call holds."""
        log = self._all if refusal.rate_limited_reason.startswith("global") else self._endpoint(endpoint)
        if log.cut(self._clock.monotonic_s()):
            self._observer.slowed(endpoint, refusal.rate_limited_reason or refusal.code)

    def _endpoint(self, endpoint: str) -> _Log:
        return self._endpoints.setdefault(endpoint, _Log(self.limits.per_endpoint))


class PacedGateway:
    """A StripeGateway around another, whose batch items wait for their turn."""

    def __init__(self, gateway: StripeGateway, pacer: Pacer) -> None:
        self._gateway = gateway
        self._pacer = pacer

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """Make one call; the wait before it is not part of `timeout_s`. Raises NotSent, AnswerLost or Refused."""
        endpoint = endpoint_of(call)
        if BACKGROUND.get():
            await self._pacer.admit(endpoint)
        else:
            self._pacer.note_foreground(endpoint)
        try:
            return await self._gateway.send(call, idempotency_key=idempotency_key, timeout_s=timeout_s)
        except Refused as refused:
            if refused.status == 429:
                self._pacer.refused(endpoint, refused)
            raise

    def explain(self, refused: Refused, step: str) -> DomainError:
        """What a refusal means to a caller."""
        return self._gateway.explain(refused, step)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._gateway.aclose()


def endpoint_of(call: StripeCall) -> str:
    """Method and path without ids, which is what Stripe limits: every second part of a path is an id."""
    parts = call.path.split("/")[2:]
    return f"{call.method} /" + "/".join("{}" if place % 2 else part for place, part in enumerate(parts))
