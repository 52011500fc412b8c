"""Learning what became of things: requests whose answer was lost, and Stripe's own events."""

from __future__ import annotations

from cloneservice import _errors
from cloneservice._calls.call import Call
from cloneservice._enums import read
from cloneservice._results import EventResult, LookupResult
from cloneservice._values import RequestState
from cloneservice.v1 import clone_service_pb2 as pb


def lookup_request(request_id: str, *, timeout_s: float | None = None) -> Call[LookupResult]:
    """Tell what became of a request_id without doing anything: for after a lost answer.

    RequestState.UNKNOWN means that the service never saw it: nothing was done.
    """

    def decode(response: pb.LookupRequestResponse, _replayed: bool) -> LookupResult:
        failed = response.HasField("error")
        return LookupResult(
            request_id=request_id,
            state=read(RequestState, response.state),
            method=response.method,
            clone_id=response.clone_id,
            charge_id=response.charge_id,
            batch_id=response.batch_id,
            refund_id=response.refund_id,
            basket_id=response.basket_id,
            error=_errors.from_status(response.error, request_id=request_id, replayed=True) if failed else None,
        )

    return Call("LookupRequest", pb.LookupRequestRequest(request_id=request_id), decode, timeout_s=timeout_s)


def handle_stripe_event(payload: bytes, signature: str, *, timeout_s: float | None = None) -> Call[EventResult]:
    """Hand on a Stripe webhook; its event id makes repeats harmless.

    Args:
        payload: The body exactly as received: the signature covers its bytes.
        signature: The Stripe-Signature header.
        timeout_s: Seconds for all tries together.

    Raises:
        WebhookSignatureInvalid: The signature does not match the payload.
    """

    def decode(response: pb.HandleStripeEventResponse, _replayed: bool) -> EventResult:
        return EventResult(stripe_event_id=response.stripe_event_id, handled=response.handled)

    request = pb.HandleStripeEventRequest(payload=payload, signature=signature)
    return Call("HandleStripeEvent", request, decode, timeout_s=timeout_s)
