"""The one table from domain errors to google.rpc.Status.

A status travels in HTTP/2 headers, which gRPC refuses beyond about 8 kB: the real error would be lost to "received
metadata size exceeds hard limit". So everything is cut to a budget here: message 500 characters, details 4 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import grpc
from cloneservice.v1 import errors_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.rpc import messages

DOMAIN = "cloneservice"
MESSAGE_CHARS = 500
"""Of the message; also its limit in bytes, since each byte beyond ASCII travels as three (percent-encoding)."""
DETAILS_BYTES = 4096
"""Of all details together. base64 of details and message, plus the message itself, stay below 8 kB."""
METADATA_ENTRIES = 16
METADATA_CHARS = 200
DESCRIPTION_CHARS = 200
RETRY_AFTER_S = 1.0
"""RetryInfo when the error does not say."""

Detail = Callable[[DomainError, int], Iterable[Message]]
"""(error, bytes left) -> details; a detail that does not fit its bytes is left out."""


def status_of(error: DomainError) -> status_pb2.Status:
    """The status a caller sees for `error`; at most 8 kB on the wire, whatever the error holds."""
    row = TABLE[error.reason]
    status = status_pb2.Status(code=row.code.value[0], message=cut(error.message, MESSAGE_CHARS))
    for make in (_error_info, *row.details):
        for detail in make(error, DETAILS_BYTES - _size(status)):
            packed = AnyMessage()
            packed.Pack(detail, deterministic=True)
            if _size(status) + packed.ByteSize() + 8 <= DETAILS_BYTES:
                status.details.append(packed)
    return status


def code_of(error: DomainError) -> grpc.StatusCode:
    """The gRPC code of `error`."""
    return TABLE[error.reason].code


def cut(text: str, longest: int) -> str:
    """`text` in at most `longest` characters and as many bytes of UTF-8, never splitting a character."""
    raw = text[:longest].encode("utf-8", "replace")
    if len(text) <= longest and len(raw) <= longest:
        return raw.decode()
    return raw[: longest - 3].decode("utf-8", "ignore") + "..."


def _size(status: status_pb2.Status) -> int:
    return sum(detail.ByteSize() + 8 for detail in status.details)


# ------------------------------------------------------------------------------------------------------------ details


def _error_info(error: DomainError, _: int) -> Iterable[Message]:
    entries = list(error.metadata.items())[:METADATA_ENTRIES]
    metadata = {cut(key, 64): cut(value, METADATA_CHARS) for key, value in entries}
    yield details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)


def _bad_request(error: DomainError, left: int) -> Iterable[Message]:
    detail = details_pb2.BadRequest()
    for violation in error.violations:
        field = cut(violation.field, DESCRIPTION_CHARS)
        detail.field_violations.add(field=field, description=cut(violation.description, DESCRIPTION_CHARS))
        if detail.ByteSize() + 64 > left:
            del detail.field_violations[-1]
            break
    yield detail


def _resource_info(error: DomainError, _: int) -> Iterable[Message]:
    yield details_pb2.ResourceInfo(
        resource_type=cut(error.resource_type, 64),
        resource_name=cut(error.resource_name, 255),
        description=cut(error.message, DESCRIPTION_CHARS),
    )


def _precondition(error: DomainError, _: int) -> Iterable[Message]:
    violation = details_pb2.PreconditionFailure.Violation(
        type=error.reason, subject=_account(error), description=cut(error.message, DESCRIPTION_CHARS)
    )
    yield details_pb2.PreconditionFailure(violations=[violation])


def _quota(error: DomainError, _: int) -> Iterable[Message]:
    violation = details_pb2.QuotaFailure.Violation(
        subject=_account(error), description=cut(error.message, DESCRIPTION_CHARS)
    )
    yield details_pb2.QuotaFailure(violations=[violation])


def _account(error: DomainError) -> str:
    return cut(error.metadata.get("connected_account_id") or error.resource_name or "platform", 255)


def _retry(error: DomainError, _: int) -> Iterable[Message]:
    delay_s = RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
    delay = Duration()
    delay.FromMilliseconds(max(0, round(delay_s * 1000)))
    yield details_pb2.RetryInfo(retry_delay=delay)


def _charge_failure(error: DomainError, left: int) -> Iterable[Message]:
    if error.charge is None:
        return
    detail = errors_pb2.ChargeFailure(
        charge=messages.charge(error.charge, with_secret=False), may_retry_later=error.may_retry_later
    )
    if detail.charge.HasField("decline"):
        detail.charge.decline.message = cut(detail.charge.decline.message, DESCRIPTION_CHARS)
    if detail.ByteSize() + 64 > left:  # the caller's own labels are what can be spared
        detail.charge.ClearField("metadata")
    yield detail


# -------------------------------------------------------------------------------------------------------------- table


@dataclass(frozen=True, slots=True)
class Row:
    """Code and details of one reason; every status begins with an ErrorInfo."""

    code: grpc.StatusCode
    details: tuple[Detail, ...] = ()


TABLE: dict[str, Row] = {
    "CALLER_UNAUTHENTICATED": Row(grpc.StatusCode.UNAUTHENTICATED),
    "CALLER_NOT_PERMITTED": Row(grpc.StatusCode.PERMISSION_DENIED),
    "INVALID_REQUEST": Row(grpc.StatusCode.INVALID_ARGUMENT, (_bad_request,)),
    "REQUEST_ID_REUSED": Row(grpc.StatusCode.ALREADY_EXISTS),
    "REQUEST_IN_PROGRESS": Row(grpc.StatusCode.ABORTED, (_retry,)),
    "RESOURCE_NOT_FOUND": Row(grpc.StatusCode.NOT_FOUND, (_resource_info,)),
    "CONNECTED_ACCOUNT_UNAVAILABLE": Row(grpc.StatusCode.FAILED_PRECONDITION, (_precondition,)),
    "CAPABILITY_MISSING": Row(grpc.StatusCode.FAILED_PRECONDITION, (_precondition,)),
    "NOT_CLONEABLE": Row(grpc.StatusCode.FAILED_PRECONDITION),
    "CLONE_NOT_USABLE": Row(grpc.StatusCode.FAILED_PRECONDITION),
    "CARD_DECLINED": Row(grpc.StatusCode.FAILED_PRECONDITION, (_charge_failure,)),
    "AUTHENTICATION_REQUIRED": Row(grpc.StatusCode.FAILED_PRECONDITION, (_charge_failure,)),
    "INVALID_STATE": Row(grpc.StatusCode.FAILED_PRECONDITION),
    "ETAG_MISMATCH": Row(grpc.StatusCode.ABORTED),
    "BASKET_NOT_CAPTURED": Row(grpc.StatusCode.FAILED_PRECONDITION),
    "STRIPE_RATE_LIMITED": Row(grpc.StatusCode.RESOURCE_EXHAUSTED, (_quota, _retry)),
    "STRIPE_UNREACHABLE": Row(grpc.StatusCode.UNAVAILABLE, (_retry,)),
    "STRIPE_OUTCOME_UNKNOWN": Row(grpc.StatusCode.UNAVAILABLE, (_retry,)),
    "STRIPE_MISCONFIGURED": Row(grpc.StatusCode.INTERNAL),
    "LEDGER_UNAVAILABLE": Row(grpc.StatusCode.UNAVAILABLE, (_retry,)),
    "SERVICE_OVERLOADED": Row(grpc.StatusCode.RESOURCE_EXHAUSTED, (_retry,)),
    "SERVICE_STOPPING": Row(grpc.StatusCode.UNAVAILABLE, (_retry,)),
    "DEADLINE_TOO_SHORT": Row(grpc.StatusCode.DEADLINE_EXCEEDED),
    "WEBHOOK_SIGNATURE_INVALID": Row(grpc.StatusCode.INVALID_ARGUMENT),
    "INTERNAL": Row(grpc.StatusCode.INTERNAL),
}
"""Reason to code and details. UNAVAILABLE says "repeat this call", ABORTED "repeat higher up", FAILED_PRECONDITION
"mend something first"; UNAUTHENTICATED and PERMISSION_DENIED speak of our own callers only, never of Stripe's answers.
"""
