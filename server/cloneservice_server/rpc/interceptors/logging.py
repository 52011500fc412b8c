"""One line per RPC: what was called, how it ended, how long it took, and ids from an allow-list. Never a message."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from cloneservice_server import log_context
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor
from cloneservice_server.rpc.status import code_of

_log = logging.getLogger("cloneservice.rpc")

LOGGED_IDS = (
    "request_id",
    "platform_customer_id",
    "platform_payment_method_id",
    "connected_account_id",
    "clone_id",
    "charge_id",
    "batch_id",
)
"""Request fields that may be logged; all others stay out, whatever they are."""
LOGGED_METADATA = ("x-request-id", "traceparent")
"""Invocation metadata that ties a line to the caller's own logs."""
_ID = re.compile(r"[a-z]{2,5}_[A-Za-z0-9_-]{1,64}|[0-9A-Fa-f-]{36}")
"""What an id looks like. Nothing else is logged in its place: a mistaken caller may put a card number there."""
_SECRET = re.compile(r"(?:sk|rk|pk|whsec|cst)_.*|.*_secret_.*")
"""What looks like an id and is none."""
_REQUEST_ID = re.compile(r"(?!\d{12,19}$)[A-Za-z0-9._:/+=-]{1,128}")
"""What the ids of proxies and callers look like; a bare number might be a card's."""


def logging_interceptor(monotonic_s: Callable[[], float]) -> GuardInterceptor:
    """Logs each RPC when it ends; INFO, or WARNING when the fault is not the caller's."""

    @asynccontextmanager
    async def guard(method: str, request: Any, context: Context) -> AsyncIterator[None]:
        began_s = monotonic_s()
        code, reason = grpc.StatusCode.OK, ""
        ids, metadata = logged_ids(request), _metadata(context)
        trace_id = log_context.fields().get("trace_id") or log_context.trace_id_of(metadata.get("traceparent", ""))
        try:
            with log_context.adding(trace_id=trace_id, request_id=ids.get("request_id", "")):
                yield
        except DomainError as error:
            code, reason = code_of(error), error.reason
            raise
        except grpc.aio.AbortError:
            code = context.code()
            raise
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception:
            code, reason = grpc.StatusCode.INTERNAL, "INTERNAL"
            raise
        finally:
            if trace_id:
                metadata["trace_id"] = trace_id
            _write(method, code, reason, monotonic_s() - began_s, {**ids, **metadata})

    return GuardInterceptor(guard)


def _write(method: str, code: grpc.StatusCode, reason: str, duration_s: float, ids: dict[str, str]) -> None:
    level = logging.WARNING if code in _OURS else logging.INFO
    if not _log.isEnabledFor(level):
        return
    fields: dict[str, object] = {"method": method, "code": code.name}
    if reason:
        fields["reason"] = reason
    fields["duration_ms"] = round(duration_s * 1000, 1)
    fields.update(ids)
    _log.log(level, "rpc", extra={"fields": fields})


_OURS = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


def logged_ids(request: Any) -> dict[str, str]:
    """The request's ids from the allow-list."""
    known = request.DESCRIPTOR.fields_by_name
    found = ((name, getattr(request, name)) for name in LOGGED_IDS if name in known)
    return {name: loggable_id(value) for name, value in found if value}


def loggable_id(value: str) -> str:
    """`value` if it looks like an id, and nothing of it if it does not."""
    return value if _ID.fullmatch(value) and not _SECRET.fullmatch(value) else "(malformed)"


def _metadata(context: Context) -> dict[str, str]:
    sent = context.invocation_metadata() or ()
    return {key: _shown(key, str(value)) for key, value in sent if key in LOGGED_METADATA}


def _shown(key: str, value: str) -> str:
    """The value if it is what its key says, so that a caller can forge no line and leak nothing into the log."""
    if key == "traceparent":
        return value if log_context.trace_id_of(value) else "(malformed)"
    return value if _REQUEST_ID.fullmatch(value) and not _SECRET.fullmatch(value) else "(malformed)"
