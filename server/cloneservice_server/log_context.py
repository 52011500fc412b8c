"""What every log line of a piece of work has in common: its trace and its request, whoever writes the line.

A task inherits the context of the one that made it, so a workflow's lines carry the ids of the RPC that began it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token

_FIELDS: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default={})  # noqa: B039 - never changed in place
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_NO_TRACE = "0" * 32


def fields() -> Mapping[str, str]:
    """The fields of the work under way."""
    return _FIELDS.get()


def add(**more: str) -> Token[Mapping[str, str]]:
    """Add fields to all lines of the rest of this task; empty ones are left out."""
    return _FIELDS.set({**_FIELDS.get(), **{name: value for name, value in more.items() if value}})


@contextmanager
def adding(**more: str) -> Iterator[None]:
    """Add fields to all lines within; empty ones are left out."""
    token = add(**more)
    try:
        yield
    finally:
        _FIELDS.reset(token)


def trace_id_of(traceparent: str) -> str:
    """The trace id in a W3C traceparent header, "" if it is none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found["trace"] if found is not None and found["trace"] != _NO_TRACE else ""
