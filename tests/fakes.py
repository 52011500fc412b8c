"""Fakes of the server's ports for tests that need no socket: a Stripe that follows a script."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import AnswerLost, NotSent, Refused, StripeAnswer, StripeCall, StripeFault
from cloneservice_server.stripe_gateway.errors import to_domain_error

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """Stripe does it, as `outcome` says, and then the connection drops before the answer arrives."""

    outcome: Body | Callable[[StripeCall], Body]


@dataclass(frozen=True, slots=True)
class Held:
    """Stripe works until `release` is set, then goes on with `outcome`; `arrived` tells that it has begun."""

    outcome: Outcome
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


Outcome = Body | Callable[[StripeCall], Body] | StripeFault | Lost | Held
"""A body, or what makes one of the call: 200. NotSent and AnswerLost: nothing was done. Refused: that error."""


@dataclass(frozen=True, slots=True)
class SentCall:
    """One call as the gateway got it."""

    call: StripeCall
    idempotency_key: str
    timeout_s: float


@dataclass(slots=True)
class _Rule:
    method: str
    path: re.Pattern[str]
    account: str | None
    outcomes: list[Outcome]

    def fits(self, call: StripeCall) -> bool:
        right_account = self.account is None or self.account == call.account
        return right_account and call.method == self.method and self.path.fullmatch(call.path) is not None

    def next(self) -> Outcome:
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


class ScriptedStripeGateway:
    """`ports.StripeGateway` that plays outcomes by method and path and keeps what was sent.

    Like Stripe it stores what it did under the idempotency key, by account, and plays that again; other parameters
    under a used key are refused. A call that no rule fits is a fault of the test.
    """

    def __init__(self) -> None:
        self.sent: list[SentCall] = []
        self.done: list[StripeCall] = []
        """Calls that took effect, replays not counted: what exactly-once is judged by."""
        self.closed = False
        self._rules: list[_Rule] = []
        self._stored: dict[tuple[str, str], tuple[StripeCall, Body | Refused]] = {}

    def on(self, method: str, path: str, *outcomes: Outcome, account: str | None = None) -> None:
        """Answer calls whose path matches the regex: outcomes in turn, the last for ever; newest rule first."""
        self._rules.insert(0, _Rule(method, re.compile(path), account, list(outcomes)))

    def sent_to(self, path: str) -> list[SentCall]:
        """The calls so far whose path fully matches."""
        return [sent for sent in self.sent if re.fullmatch(path, sent.call.path)]

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """Play the next outcome. See the port."""
        assert idempotency_key or call.method != "POST", f"POST {call.path} without a key"
        self.sent.append(SentCall(call, idempotency_key, timeout_s))
        if (known := self._stored.get((call.account, idempotency_key))) and idempotency_key:
            return _replay(call, *known)
        rule = next((rule for rule in self._rules if rule.fits(call)), None)
        assert rule is not None, f"no rule for {call.method} {call.path} on {call.account or 'the platform'}"
        return await self._play(call, idempotency_key, rule.next())

    async def _play(self, call: StripeCall, key: str, outcome: Outcome) -> StripeAnswer:
        if isinstance(outcome, Held):
            outcome.arrived.set()
            await outcome.release.wait()
            return await self._play(call, key, outcome.outcome)
        if isinstance(outcome, Lost):
            self._do(call, key, outcome.outcome)
            raise AnswerLost("dropped after it was done")
        if isinstance(outcome, (NotSent, AnswerLost)):
            raise type(outcome)(*outcome.args)
        if isinstance(outcome, Refused):
            if key and outcome.status not in (401, 409, 429):  # those come before Stripe's store
                self._stored[call.account, key] = (call, outcome)
            raise outcome
        assert not isinstance(outcome, StripeFault)
        return StripeAnswer(self._do(call, key, outcome), f"req_{len(self.sent)}")

    def _do(self, call: StripeCall, key: str, outcome: Body | Callable[[StripeCall], Body]) -> Body:
        body = outcome(call) if callable(outcome) else outcome
        self.done.append(call)
        if call.method == "POST":
            self._stored[call.account, key] = (call, body)
        return body

    def explain(self, refused: Refused, step: str) -> DomainError:
        """The real table."""
        return to_domain_error(refused, step=step)

    async def aclose(self) -> None:
        """Remember it."""
        self.closed = True


def _replay(call: StripeCall, first: StripeCall, stored: Body | Refused) -> StripeAnswer:
    if (first.method, first.path, first.params) != (call.method, call.path, call.params):
        raise Refused(400, "idempotency_error", message="Keys are for the same parameters only.")
    if isinstance(stored, Refused):
        fields = {name: getattr(stored, name) for name in Refused.__dataclass_fields__}
        raise Refused(**{**fields, "replayed": True})
    return StripeAnswer(stored, "req_replayed", replayed=True)
