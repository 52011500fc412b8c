"""The way to Stripe, watched: how long each call took, how it ended, and whether Stripe took the key."""

from __future__ import annotations

from collections.abc import Callable

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


class WatchedGateway:
    """A StripeGateway around another. `report` counts; its outcome is "ok", "lost", "not_sent", or Stripe's status."""

    def __init__(
        self,
        gateway: StripeGateway,
        readiness: Readiness,
        monotonic_s: Callable[[], float],
        report: Report | None = None,
    ) -> None:
        self._gateway = gateway
        self._readiness = readiness
        self._monotonic_s = monotonic_s
        self._report = report

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """Make one call. Raises NotSent, AnswerLost or Refused."""
        began_s, outcome = self._monotonic_s(), "ok"
        try:
            answer = await self._gateway.send(call, idempotency_key=idempotency_key, timeout_s=timeout_s)
        except Refused as refused:
            outcome = str(refused.status)
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
            self._readiness.key_answered(refused=False)
            return answer
        finally:
            if self._report is not None:
                self._report(call, outcome, self._monotonic_s() - began_s)

    def explain(self, refused: Refused, step: str) -> DomainError:
        """What a refusal means to a caller."""
        return self._gateway.explain(refused, step)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._gateway.aclose()
