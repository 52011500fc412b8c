"""What a watch remembers between its connections: how far it got, and how patient it still is."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from cloneservice import _errors
from cloneservice._calls.call import WatchCall
from cloneservice._retry import RetryPolicy
from cloneservice._values import BatchEvent
from cloneservice.v1 import clone_service_pb2 as pb


class Watch:
    """State of one watched batch. It is `done` when the batch was seen to be final."""

    def __init__(self, call: WatchCall, retry: RetryPolicy, clock: Callable[[], float]) -> None:
        self._call = call
        self._retry = retry
        self._clock = clock
        self._deadline = None if call.timeout_s is None else clock() + call.timeout_s
        self._sequence = call.after_sequence
        self._barren = 0
        self.done = False

    def request(self) -> pb.WatchCloneBatchRequest:
        """The request for what has not been seen yet."""
        return pb.WatchCloneBatchRequest(batch_id=self._call.batch_id, after_sequence=self._sequence)

    def timeout_s(self) -> float | None:
        """Seconds left, for the next connection; None without a limit."""
        return None if self._deadline is None else self._deadline - self._clock()

    def take(self, event: BatchEvent) -> BatchEvent | None:
        """The event to hand on; None for one that was seen before the connection was lost."""
        self._barren = 0
        if event.batch is not None and event.batch.state.final:
            self.done = True
        elif event.batch is None and event.sequence <= self._sequence:
            return None
        self._sequence = max(self._sequence, event.sequence)
        return event

    def pause_s(self, failed: grpc.RpcError | None) -> float:
        """Seconds to wait before connecting again, after the stream ended: with an error, or too early.

        Raises:
            CloneServiceError: The error that ended it, when it is final or patience is at its end.
        """
        error = None if failed is None else _errors.from_rpc_error(failed)
        self._barren += 1
        left_s = self.timeout_s()
        pause_s = self._retry.reconnect_s(error, self._barren, float("inf") if left_s is None else left_s)
        if pause_s is not None:
            return pause_s
        raise error or _errors.TransportError(
            "the service keeps ending the watch before the batch is final", code=grpc.StatusCode.UNAVAILABLE
        ) from failed
