"""Outermost: every error becomes a status with an ErrorInfo, and no text of an unforeseen one reaches a caller."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from grpc_status import rpc_status

from cloneservice_server.domain.errors import DomainError, InternalError, LedgerDown
from cloneservice_server.ports import LedgerUnavailable
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor
from cloneservice_server.rpc.status import status_of

_log = logging.getLogger("cloneservice.rpc")


def errors_interceptor() -> GuardInterceptor:
    """Goes around everything else. Cancellation passes, and so do aborts, which are statuses already."""
    return GuardInterceptor(_guard)


@asynccontextmanager
async def _guard(method: str, _request: Any, context: Context) -> AsyncIterator[None]:
    try:
        yield
    except DomainError as error:
        await _abort(context, error)
    except LedgerUnavailable as error:
        _log.warning("ledger unavailable in %s: %s", method, error)
        await _abort(context, LedgerDown("The ledger cannot be reached now", retry_after_s=2.0))
    except grpc.aio.AbortError:
        raise
    except Exception:  # noqa: BLE001 - the one place where everything ends
        error_id = uuid.uuid4().hex
        _log.exception("unforeseen error in %s", method, extra={"fields": {"method": method, "error_id": error_id}})
        message = f"A fault of this service; its operator finds it in the logs by {error_id}"
        await _abort(context, InternalError(message, {"error_id": error_id}))


async def _abort(context: Context, error: DomainError) -> None:
    await context.abort_with_status(rpc_status.to_status(status_of(error)))
