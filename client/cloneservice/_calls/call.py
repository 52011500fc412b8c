"""What a call is before anybody sends it."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cloneservice._results import Page

Answer = TypeVar("Answer")
Item = TypeVar("Item")


def new_request_id() -> str:
    """A new idempotency key, for a new intent; keep it beside the order if its outcome must survive your own crash."""
    return str(uuid.uuid4())


def timestamp(time: datetime | None) -> Timestamp | None:
    """The message for a time; None leaves it unset. Raises ValueError for a time without its zone."""
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError("a time needs its zone: datetime(..., tzinfo=UTC)")
    made = Timestamp()
    made.FromDatetime(time)
    return made


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One unary RPC: sent as it is, as often as it takes, under one request_id."""

    method: str
    request: Message
    decode: Callable[[Any, bool], Answer]
    """Response and whether it was replayed, to the answer."""
    request_id: str = ""
    """"" for reads."""
    timeout_s: float | None = None
    """For all tries together; None takes the client's, and then the service config's."""


@dataclass(frozen=True, slots=True)
class ListCall(Generic[Item]):
    """A list, page by page."""

    method: str
    request: Any
    """A List request; its page_token is where to begin."""
    items: Callable[[Any], tuple[Item, ...]]
    """The values of one response."""
    timeout_s: float | None = None
    """For each page."""

    def page(self, page_token: str) -> Call[Page[Item]]:
        """The call for the page that a token stands for."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.page_token = page_token
        return Call(self.method, request, self._decode, timeout_s=self.timeout_s)

    def _decode(self, response: Any, _replayed: bool) -> Page[Item]:
        return Page(self.items(response), response.next_page_token)


@dataclass(frozen=True, slots=True)
class WatchCall:
    """A batch's events, from `after_sequence` on."""

    batch_id: str
    after_sequence: int
    timeout_s: float | None = None
    """For the whole watch, reconnections included; None is as long as the batch takes."""


def method_signature(build: Callable[..., Any], answers: str) -> inspect.Signature:
    """The signature, for help() and editors, of the client method that sends what `build` builds.

    Args:
        build: A function that gives a `Call[Clone]`, `ListCall[Clone]` or `WatchCall`.
        answers: What the method gives instead, with {} for the Clone.
    """
    signature = inspect.signature(build)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    value = str(signature.return_annotation).partition("[")[2].removesuffix("]")
    return signature.replace(parameters=[own, *signature.parameters.values()], return_annotation=answers.format(value))
