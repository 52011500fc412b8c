"""Every way a request can fail, in the service's own words.

    DomainError
    ├── CallerUnauthenticated      nobody we know calls
    ├── CallerNotPermitted         the policy does not allow this caller this call
    ├── InvalidRequest             a field is missing or malformed
    ├── RequestIdReused            the request_id stands for other parameters
    ├── RequestInProgress          the same request, or the same Stripe object, is being worked on elsewhere
    ├── ResourceNotFound           no such customer, payment method, clone, charge
    ├── AccountUnavailable         the platform may not act on the connected account
    ├── CapabilityMissing          the connected account cannot take this type of payment
    ├── NotCloneable               this object cannot be cloned by this flow
    ├── CloneNotUsable             the clone is consumed, stale, revoked, erased
    ├── CardDeclined               the issuer or Stripe said no
    │   └── AuthenticationRequired the issuer wants the customer, who is absent
    ├── InvalidState               not allowed in the resource's present state
    ├── EtagMismatch               somebody else wrote first
    ├── BasketNotCaptured          Stripe refused to capture a leg of a basket, which was given back
    ├── StripeRateLimited          Stripe's limit, after our own waiting
    ├── StripeUnreachable          nothing was sent
    ├── OutcomeUnknown             sent, and the answer was lost
    ├── StripeMisconfigured        Stripe refused our key or a parameter only we wrote
    ├── LedgerDown                 our ledger cannot be written
    ├── ServiceOverloaded          our own limit
    ├── ServiceStopping            this server takes no more calls; another one does
    ├── DeadlineTooShort           too little time for the next step; it was not started
    ├── WebhookSignatureInvalid    not Stripe's signature
    └── InternalError              a fault of this service

A *final* error is the answer of its request_id for good and is replayed; any other leaves the request to be taken up
again under the same request_id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from cloneservice_server.domain import codec
from cloneservice_server.domain.values import Charge


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One bad field, by its path in the request message, and what would be right."""

    field: str
    description: str


@dataclass(eq=False)
class DomainError(Exception):
    """Root of the tree. Everything variable in `message` is also in `metadata`; neither ever holds a secret."""

    reason: ClassVar[str] = "INTERNAL"
    final: ClassVar[bool] = True

    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    """When a retry is worth it, in seconds; None when it is not."""
    resource_type: str = ""
    resource_name: str = ""
    violations: tuple[FieldViolation, ...] = ()
    charge: Charge | None = None
    """The charge as recorded, with a decline."""
    may_retry_later: bool = False
    """Whether the same payment method may work later (Stripe's advice_code)."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class CallerUnauthenticated(DomainError):
    """The caller shows no identity that this server knows, or a credential that is wrong. Nothing was looked up."""

    reason = "CALLER_UNAUTHENTICATED"
    final = False


class CallerNotPermitted(DomainError):
    """The policy does not allow this caller this call. Decided from the request alone: nothing was looked up."""

    reason = "CALLER_NOT_PERMITTED"
    final = False


class InvalidRequest(DomainError):
    """A field is missing or malformed."""

    reason = "INVALID_REQUEST"


class RequestIdReused(DomainError):
    """The request_id was used before with different parameters."""

    reason = "REQUEST_ID_REUSED"


class RequestInProgress(DomainError):
    """The same request runs elsewhere, or Stripe holds the object for another call."""

    reason = "REQUEST_IN_PROGRESS"
    final = False


class ResourceNotFound(DomainError):
    """No such resource; `resource_type` and `resource_name` say which."""

    reason = "RESOURCE_NOT_FOUND"


class AccountUnavailable(DomainError):
    """The platform has no access to the connected account, or the account is restricted."""

    reason = "CONNECTED_ACCOUNT_UNAVAILABLE"


class CapabilityMissing(DomainError):
    """The connected account lacks the capability for this payment method type."""

    reason = "CAPABILITY_MISSING"


class NotCloneable(DomainError):
    """The object cannot be cloned by this flow; metadata `usable_flow` names one that works, if any."""

    reason = "NOT_CLONEABLE"


class CloneNotUsable(DomainError):
    """The clone is consumed, stale, revoked or erased; metadata `state`."""

    reason = "CLONE_NOT_USABLE"


class CardDeclined(DomainError):
    """The issuer or Stripe declined; metadata `code`, `decline_code`, `advice_code`."""

    reason = "CARD_DECLINED"


class AuthenticationRequired(CardDeclined):
    """Off session, and the issuer wants the customer."""

    reason = "AUTHENTICATION_REQUIRED"


class InvalidState(DomainError):
    """Not allowed in the resource's present state; metadata `state`."""

    reason = "INVALID_STATE"


class EtagMismatch(DomainError):
    """The etag given is not the current one."""

    reason = "ETAG_MISMATCH"


class BasketNotCaptured(DomainError):
    """A leg of an authorised basket could not be captured; metadata `basket_id`, `leg`, `state` and `cause`."""

    reason = "BASKET_NOT_CAPTURED"


class StripeRateLimited(DomainError):
    """Stripe's rate limit, after our own waiting; nothing was done."""

    reason = "STRIPE_RATE_LIMITED"
    final = False


class StripeUnreachable(DomainError):
    """Stripe was not reached; nothing was done."""

    reason = "STRIPE_UNREACHABLE"
    final = False


class OutcomeUnknown(DomainError):
    """Stripe's answer was lost. Never guessed: the same request_id goes on, or the reconciler does."""

    reason = "STRIPE_OUTCOME_UNKNOWN"
    final = False


class StripeMisconfigured(DomainError):
    """Our Stripe key, or a parameter that only we write, was refused."""

    reason = "STRIPE_MISCONFIGURED"


class KeyRefused(StripeMisconfigured):
    """Stripe refused the platform's API key: nothing was done, and a mended key takes the request up again."""

    final = False


class LedgerDown(DomainError):
    """The ledger cannot be written or reached; nothing new was started."""

    reason = "LEDGER_UNAVAILABLE"
    final = False


class ServiceOverloaded(DomainError):
    """More than this service takes on at once; nothing was done."""

    reason = "SERVICE_OVERLOADED"
    final = False


class ServiceStopping(DomainError):
    """This server is going away; nothing was done."""

    reason = "SERVICE_STOPPING"
    final = False


class DeadlineTooShort(DomainError):
    """Too little time for the next Stripe call; it was not started."""

    reason = "DEADLINE_TOO_SHORT"
    final = False


class WebhookSignatureInvalid(DomainError):
    """The Stripe-Signature header does not match the payload."""

    reason = "WEBHOOK_SIGNATURE_INVALID"


class InternalError(DomainError):
    """A fault of this service; metadata `error_id` finds it in the logs."""

    reason = "INTERNAL"
    final = False


def _tree(root: type[DomainError]) -> list[type[DomainError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


_BY_NAME = {cls.__name__: cls for cls in _tree(DomainError)}
_PLAIN = ("message", "metadata", "retry_after_s", "resource_type", "resource_name", "may_retry_later")


def encode(error: DomainError) -> str:
    """The error as JSON for the ledger."""
    stored: dict[str, Any] = {"class": type(error).__name__}
    stored.update({name: getattr(error, name) for name in _PLAIN})
    stored["violations"] = [[violation.field, violation.description] for violation in error.violations]
    stored["charge"] = None if error.charge is None else codec.to_json(error.charge)
    return json.dumps(stored, sort_keys=True, separators=(",", ":"))


def decode(text: str) -> DomainError:
    """The error that `encode` wrote."""
    stored = json.loads(text)
    cls = _BY_NAME.get(stored.pop("class"), InternalError)
    stored["violations"] = tuple(FieldViolation(*pair) for pair in stored["violations"])
    stored["charge"] = None if stored["charge"] is None else codec.from_json(Charge, stored["charge"])
    return cls(**stored)


def not_found(kind: str, name: str) -> ResourceNotFound:
    """No such `kind` (a resource type of the contract, such as "clone") with id `name`."""
    return ResourceNotFound(f"No such {kind}: {name}", {"id": name}, resource_type=kind, resource_name=name)


def invalid(path: str, description: str) -> InvalidRequest:
    """One bad field."""
    return InvalidRequest(f"{path}: {description}", {"field": path}, violations=(FieldViolation(path, description),))


def anothers_request(request_id: str) -> RequestIdReused:
    """The request_id is another caller's; nothing of that request is told, its hash least of all."""
    return RequestIdReused(
        "This request_id was used before by another caller; a new intent needs a new request_id",
        {"request_id": request_id},
    )
