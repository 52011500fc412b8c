"""Every way a call can fail, one class per reason of the contract.

    CloneServiceError
    ├── InvalidRequest                a field is missing or malformed; .violations says which
    ├── RequestIdReused               the request_id stands for other parameters
    ├── RequestInProgress             the same request runs elsewhere, beyond this call's deadline
    ├── ResourceNotFound              no such customer, payment method, clone, charge, batch
    ├── ConnectedAccountUnavailable   the platform may not act on the connected account
    ├── CapabilityMissing             the connected account cannot take this type of payment
    ├── NotCloneable                  this object cannot be cloned by this flow
    ├── CloneNotUsable                the clone is consumed, stale, revoked, erased
    ├── CardDeclined                  the issuer or Stripe said no; .decline and .charge
    │   └── AuthenticationRequired    the issuer wants the customer, who is absent
    ├── InvalidState                  not allowed in the resource's present state
    ├── EtagMismatch                  somebody else wrote first
    ├── BasketNotCaptured             a leg of an authorised basket was refused; all of it was given back
    ├── StripeRateLimited             Stripe's limit, after the service's own waiting and ours
    ├── StripeUnreachable             Stripe not reached; nothing was done
    ├── OutcomeUnknown                Stripe's answer was lost; go on with the same request_id
    ├── StripeMisconfigured           Stripe refused the service's key or parameters
    ├── ServiceOverloaded             more than the service takes on at once
    ├── ServiceStopping               the server is going away; another one takes the call
    ├── DeadlineTooShort              too little time left for the next step, which was not started
    ├── LedgerUnavailable             the service cannot write its ledger; nothing new was started
    ├── CallerUnauthenticated         the service does not know who calls, or the credential is wrong
    ├── CallerNotPermitted            the service's policy does not allow this caller this call
    ├── WebhookSignatureInvalid       not Stripe's signature
    ├── InternalError                 a fault of the service; .error_id finds it in its logs
    └── TransportError                a status without a reason of the service: network, proxy, deadline, no such RPC

A reason that is newer than this client raises the root itself, with `.reason` as sent.
"""

# ruff: noqa: N818 - errors are named after what happened (CardDeclined), as the contract names its reasons

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from cloneservice import _decode
from cloneservice._values import Charge, Decline
from cloneservice.v1 import errors_pb2

REPLAYED = "idempotent-replayed"
_DETAILS = "grpc-status-details-bin"

_Detail = TypeVar("_Detail", bound=Message)


def _find(kind: type[_Detail], status: status_pb2.Status) -> _Detail | None:
    """The first detail of a kind; None if there is none, or if it cannot be read."""
    for detail in status.details:
        message = kind()
        try:
            if detail.Unpack(message):
                return message
        except DecodeError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field, by its path in the request message, and what would be right."""

    field: str
    description: str


class CloneServiceError(Exception):
    """Root of the tree.

    Attributes:
        message: What happened, for people.
        reason: The contract's word for it (`CARD_DECLINED`); the status code's name when the service gave none.
        code: The gRPC status code.
        metadata: The variable parts of the message, by name.
        retry_after_s: Seconds to wait before a retry, if the service said so.
        request_id: The key of the intent that failed; "" for reads.
        replayed: Whether this is the stored answer of an earlier call with the same request_id.
    """

    resumable: ClassVar[bool] = False
    """Whether the matter is still open: the same request_id goes on with it, a new one could do it a second time."""

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "",
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        metadata: Mapping[str, str] = MappingProxyType({}),
        retry_after_s: float | None = None,
        request_id: str = "",
        replayed: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or code.name
        self.code = code
        self.metadata = dict(metadata)
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.replayed = replayed

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    @property
    def hint(self) -> str:
        """How to go on when the matter is still open; "" when it is closed or was only a read."""
        if not (self.resumable and self.request_id):
            return ""
        return f"call again with request_id {self.request_id}, or look it up: a new request_id could do it twice"

    def _read(self, status: status_pb2.Status) -> None:
        """Take over the typed details that this class has attributes for."""


class InvalidRequest(CloneServiceError):
    """A field is missing or malformed."""

    violations: tuple[FieldViolation, ...] = ()

    def _read(self, status: status_pb2.Status) -> None:
        if found := _find(error_details_pb2.BadRequest, status):
            self.violations = tuple(FieldViolation(bad.field, bad.description) for bad in found.field_violations)


class RequestIdReused(CloneServiceError):
    """The request_id was used before with different parameters; make a new one for a new intent."""


class RequestInProgress(CloneServiceError):
    """The same request, or the same Stripe object, was still being worked on when this call's time was up."""

    resumable = True


class ResourceNotFound(CloneServiceError):
    """No such resource."""

    resource_type: str = ""
    resource_name: str = ""

    def _read(self, status: status_pb2.Status) -> None:
        if found := _find(error_details_pb2.ResourceInfo, status):
            self.resource_type, self.resource_name = found.resource_type, found.resource_name


class ConnectedAccountUnavailable(CloneServiceError):
    """The platform cannot act on the connected account: deauthorised or restricted."""


class CapabilityMissing(CloneServiceError):
    """The connected account lacks the capability for this type of payment method."""


class NotCloneable(CloneServiceError):
    """The object cannot be cloned by this flow."""

    @property
    def usable_flow(self) -> str:
        """The flow that would work, "" if none or unknown."""
        return self.metadata.get("usable_flow", "")


class CloneNotUsable(CloneServiceError):
    """The clone is consumed, stale, revoked or erased: clone again."""

    @property
    def state(self) -> str:
        """The clone's state, "" if unknown."""
        return self.metadata.get("state", "")


class CardDeclined(CloneServiceError):
    """The issuer or Stripe declined. The charge is on record; no money moved.

    Attributes:
        charge: The charge as recorded, None if the service did not send it.
        decline: Stripe's codes for it.
        may_retry_later: Whether the same payment method may work later (Stripe's advice_code).
    """

    charge: Charge | None = None
    decline: Decline = Decline()
    may_retry_later: bool = False

    def _read(self, status: status_pb2.Status) -> None:
        told = {name: self.metadata.get(name, "") for name in ("code", "decline_code", "advice_code")}
        self.decline = Decline(message=self.message, **told)
        if found := _find(errors_pb2.ChargeFailure, status):
            self.may_retry_later = found.may_retry_later
            self.charge = _decode.charge(found.charge) if found.HasField("charge") else None
        if self.charge is not None and self.charge.decline is not None:
            self.decline = self.charge.decline


class AuthenticationRequired(CardDeclined):
    """Off session, and the issuer wants the customer: bring the customer back and confirm the charge on session."""


class InvalidState(CloneServiceError):
    """Not allowed in the resource's present state."""

    @property
    def state(self) -> str:
        """The resource's state, "" if unknown."""
        return self.metadata.get("state", "")


class EtagMismatch(CloneServiceError):
    """The etag given is not the current one: read the resource again."""


class BasketNotCaptured(CloneServiceError):
    """All legs of a basket were authorised, but Stripe refused to capture one; what was captured was refunded.

    `get_basket(error.basket_id)` tells what became of each leg.
    """

    @property
    def basket_id(self) -> str:
        """The basket (bsk_...)."""
        return self.metadata.get("basket_id", "")

    @property
    def state(self) -> str:
        """CANCELED, or BROKEN when some could not be given back."""
        return self.metadata.get("state", "")


class StripeRateLimited(CloneServiceError):
    """Stripe's rate limit held for longer than this call had time."""

    resumable = True


class StripeUnreachable(CloneServiceError):
    """The service could not reach Stripe; this step was not done."""

    resumable = True


class OutcomeUnknown(CloneServiceError):
    """Stripe's answer was lost: it may have happened. The same request_id finds out and goes on."""

    resumable = True


class StripeMisconfigured(CloneServiceError):
    """Stripe refused the service's key or a parameter that only the service writes: for its operator."""


class ServiceOverloaded(CloneServiceError):
    """More than the service takes on at once."""

    resumable = True


class ServiceStopping(CloneServiceError):
    """The server was going away and did nothing; the same request_id goes to another one."""

    resumable = True


class DeadlineTooShort(CloneServiceError):
    """Too little time was left to start the next Stripe call safely."""

    resumable = True


class LedgerUnavailable(CloneServiceError):
    """The service cannot write its ledger (database down, disk full); nothing new was started."""

    resumable = True


class CallerUnauthenticated(CloneServiceError):
    """The service does not know who calls, or the token or certificate is wrong; nothing was done."""


class CallerNotPermitted(CloneServiceError):
    """The service's policy does not allow this caller this RPC, account or amount; nothing was done."""


class WebhookSignatureInvalid(CloneServiceError):
    """The Stripe-Signature does not match the payload."""


class InternalError(CloneServiceError):
    """A fault of the service, which takes the request up again under the same request_id."""

    resumable = True

    @property
    def error_id(self) -> str:
        """What to look for in the service's logs, "" if it did not say."""
        return self.metadata.get("error_id", "")


class TransportError(CloneServiceError):
    """A status without a reason of the service: the network, a proxy, this call's own deadline, or no such RPC."""

    _SETTLED = frozenset(
        {
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.OUT_OF_RANGE,
        }
    )

    @property
    def resumable(self) -> bool:  # type: ignore[override]  # read-only on instances of every class of the tree
        """Whether the service may have got the request, and may be at work on it."""
        return self.code not in self._SETTLED


ERROR_CLASSES: Mapping[str, type[CloneServiceError]] = MappingProxyType(
    {
        "REQUEST_ID_REUSED": RequestIdReused,
        "REQUEST_IN_PROGRESS": RequestInProgress,
        "RESOURCE_NOT_FOUND": ResourceNotFound,
        "CONNECTED_ACCOUNT_UNAVAILABLE": ConnectedAccountUnavailable,
        "CAPABILITY_MISSING": CapabilityMissing,
        "NOT_CLONEABLE": NotCloneable,
        "CLONE_NOT_USABLE": CloneNotUsable,
        "CARD_DECLINED": CardDeclined,
        "AUTHENTICATION_REQUIRED": AuthenticationRequired,
        "INVALID_STATE": InvalidState,
        "ETAG_MISMATCH": EtagMismatch,
        "STRIPE_RATE_LIMITED": StripeRateLimited,
        "STRIPE_UNREACHABLE": StripeUnreachable,
        "STRIPE_OUTCOME_UNKNOWN": OutcomeUnknown,
        "STRIPE_MISCONFIGURED": StripeMisconfigured,
        "SERVICE_OVERLOADED": ServiceOverloaded,
        "INVALID_REQUEST": InvalidRequest,
        "SERVICE_STOPPING": ServiceStopping,
        "DEADLINE_TOO_SHORT": DeadlineTooShort,
        "WEBHOOK_SIGNATURE_INVALID": WebhookSignatureInvalid,
        "INTERNAL": InternalError,
        "LEDGER_UNAVAILABLE": LedgerUnavailable,
        "BASKET_NOT_CAPTURED": BasketNotCaptured,
        "CALLER_UNAUTHENTICATED": CallerUnauthenticated,
        "CALLER_NOT_PERMITTED": CallerNotPermitted,
    }
)
"""Class of each reason of the contract (`ErrorReason` without its prefix)."""


def from_status(status: status_pb2.Status, *, request_id: str = "", replayed: bool = False) -> CloneServiceError:
    """The error that a google.rpc.Status stands for; details that are missing, foreign or unreadable are ignored."""
    info = _decode.error_info(status)
    retry = _find(error_details_pb2.RetryInfo, status)
    cls = TransportError if info is None else ERROR_CLASSES.get(info.reason, CloneServiceError)
    error = cls(
        status.message,
        reason="" if info is None else info.reason,
        code=_decode.status_code(status.code),
        metadata={} if info is None else dict(info.metadata),
        retry_after_s=None if retry is None else retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9,
        request_id=request_id,
        replayed=replayed,
    )
    error._read(status)
    return error


Metadata = Iterable[tuple[str, str | bytes]]


class _FailedCall(Protocol):
    """What the sync and the aio RpcError both answer, and the published stubs do not say of either."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def initial_metadata(self) -> Metadata | None: ...
    def trailing_metadata(self) -> Metadata | None: ...


def is_replay(metadata: Metadata | None) -> bool:
    """Whether metadata says that the answer was stored by an earlier call."""
    return any(key == REPLAYED and value in ("true", b"true") for key, value in metadata or ())


def from_rpc_error(error: grpc.RpcError, *, request_id: str = "") -> CloneServiceError:
    """The typed error of a failed call, sync or aio."""
    call = cast("_FailedCall", error)
    trailing = list(call.trailing_metadata() or ())
    status = status_pb2.Status()
    for key, value in trailing:
        if key == _DETAILS and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                break
    # The status line wins: a proxy may rewrite it and leave stale details behind.
    code = call.code()
    if status.code != code.value[0]:
        status = status_pb2.Status(code=code.value[0], message=call.details() or "")
    replayed = is_replay(call.initial_metadata()) or is_replay(trailing)
    return from_status(status, request_id=request_id, replayed=replayed)
