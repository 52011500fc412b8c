"""When a failed call is worth sending again, and after how long.

UNAVAILABLE is repeated inside the channel, by the service config's retry policy. What gRPC must not repeat blindly,
because it means "not now", is repeated here: the same request is running elsewhere (ABORTED), or a limit was hit
(RESOURCE_EXHAUSTED). Both go out with the same request_id, wait for as long as the service asks, and never beyond the
caller's deadline.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import grpc

from cloneservice._errors import (
    CloneServiceError,
    RequestInProgress,
    ServiceOverloaded,
    StripeRateLimited,
    TransportError,
)

_STREAM_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,  # a reset HTTP/2 stream
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,  # by a proxy: our own cancellation does not come here
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,  # a proxy's limit on a stream; our own is checked before
    }
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How the client waits. Jitter only ever lengthens a wait, so that a RetryInfo is kept to."""

    max_attempts: int = 6
    """Tries of one call, the first included; also reconnections in a row of a watch that brings nothing."""
    initial_backoff_s: float = 0.2
    max_backoff_s: float = 5.0
    multiplier: float = 2.0
    jitter: float = 0.2
    """Up to this share is added to each wait."""

    def wait_s(self, error: CloneServiceError, attempt: int, left_s: float) -> float | None:
        """Seconds to wait after try number `attempt` (from 1) failed with `error`; None if it must not be repeated.

        Args:
            error: How it failed.
            attempt: Which try it was, from 1.
            left_s: Seconds left of the caller's deadline; a wait that would use them up is not begun.
        """
        if not isinstance(error, RequestInProgress | StripeRateLimited | ServiceOverloaded):
            return None
        return self._pause_s(error, attempt, left_s)

    def reconnect_s(self, error: CloneServiceError | None, attempt: int, left_s: float) -> float | None:
        """As `wait_s`, for a stream that ended: with `error`, or (None) too early but in good order."""
        if isinstance(error, TransportError) and error.code not in _STREAM_LOST:
            return None
        if error is not None and not error.resumable:
            return None
        return self._pause_s(error, attempt, left_s)

    def _pause_s(self, error: CloneServiceError | None, attempt: int, left_s: float) -> float | None:
        if attempt >= self.max_attempts:
            return None
        backoff = min(self.initial_backoff_s * self.multiplier ** (attempt - 1), self.max_backoff_s)
        asked = (error.retry_after_s or 0.0) if error is not None else 0.0
        pause = max(backoff, asked) * (1 + self.jitter * random.random())
        return pause if pause < left_s else None
