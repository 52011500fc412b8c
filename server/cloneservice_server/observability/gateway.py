"""The way to Stripe, watched: how long each call took, how it ended, and whether Stripe took the key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import (
    AnswerLost,
    NotSent,
    Refused,
    StripeAnswer,
    StripeCall,
    StripeGateway,
)
from cloneservice_server.readiness import Readiness

Report = Callable[[StripeCall, str, float], None]
"""(call, outcome, seconds)."""


class CallSpan(Protocol):
    """A span around one call to Stripe."""

    def answered(self, outcome: str, stripe_request_id: str) -> None:
        """Write down how it ended."""
        ...


SpanOfCall = Callable[[StripeCall], AbstractContextManager[CallSpan | None]]


class WatchedGateway:
    """A StripeGateway around another. `report` counts; its outcome is "ok", "lost", "not_sent", or Stripe's status."""

    def __init__(
        self,
        gateway: StripeGateway,
        readiness: Readiness,
        monotonic_s: Callable[[], float],
        report: Report | None = None,
        span: SpanOfCall | None = None,
    ) -> None:
        self._gateway = gateway
        self._readiness = readiness
        self._monotonic_s = monotonic_s
        self._report = report
        self._span = span

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """Make one call. Raises NotSent, AnswerLost or Refused."""
        if self._span is None:
            return await self._send(call, idempotency_key, timeout_s, None)
        with self._span(call) as span:
            return await self._send(call, idempotency_key, timeout_s, span)

    async def _send(
        self, call: StripeCall, idempotency_key: str, timeout_s: float, span: CallSpan | None
    ) -> StripeAnswer:
        began_s, outcome, stripe_request_id = self._monotonic_s(), "ok", ""
        try:
            answer = await self._gateway.send(call, idempotency_key=idempotency_key, timeout_s=timeout_s)
        except Refused as refused:
            outcome, stripe_request_id = str(refused.status), refused.stripe_request_id
            self._readiness.key_answered(refused=refused.status == 401)
            raise
        except NotSent:
            outcome = "not_sent"
            raise
        except AnswerLost:
            outcome = "lost"
            raise
        except BaseException:
            outcome = "abandoned"
            raise
        else:
            stripe_request_id = answer.stripe_request_id
            self._readiness.key_answered(refused=False)
            return answer
        finally:
            if self._report is not None:
                self._report(call, outcome, self._monotonic_s() - began_s)
            if span is not None:
                span.answered(outcome, stripe_request_id)

    def explain(self, refused: Refused, step: str) -> DomainError:
        """What a refusal means to a caller."""
        return self._gateway.explain(refused, step)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._gateway.aclose()
