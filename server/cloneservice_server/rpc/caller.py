"""The caller of the RPC that is being answered, from the access interceptor to the servicer and the log."""

from __future__ import annotations

from contextvars import ContextVar

from cloneservice_server.domain.callers import ANYBODY, Caller

CALLER: ContextVar[Caller] = ContextVar("caller", default=ANYBODY)
"""ANYBODY where nobody asks who calls."""
