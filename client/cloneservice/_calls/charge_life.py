"""What happens to a charge after it was made: confirmed, captured, cancelled, refunded."""

from __future__ import annotations

from collections.abc import Mapping

from cloneservice import _decode
from cloneservice._calls.call import Call, ListCall, new_request_id
from cloneservice._calls.charges import money
from cloneservice._results import ChargeResult, RefundResult
from cloneservice._values import Money, Refund
from cloneservice.v1 import clone_service_pb2 as pb


def confirm_charge(
    charge_id: str,
    *,
    off_session: bool = False,
    return_url: str = "",
    etag: str = "",
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[ChargeResult]:
    """Confirm a charge that waits for it: deferred, or declined because the shopper was needed and is here now.

    After the shopper has acted it tells what became of the charge; one that is confirmed already is answered as it is.
    `charge.next_action` of a charge that waits for the shopper carries the client secret for Stripe.js, to be used with
    `charge.connected_account_id`.

    Args:
        charge_id: The charge (chg_...).
        off_session: The shopper is absent.
        return_url: Where a redirect comes back to.
        etag: The charge's etag as last read; refuse if it has changed since.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        CardDeclined: The issuer or Stripe said no.
        CloneNotUsable: It was declined, and the clone cannot be charged again.
        InvalidState: The charge is canceled, or a basket decides over it.
    """
    key = request_id or new_request_id()
    request = pb.ConfirmChargeRequest(
        request_id=key, charge_id=charge_id, off_session=off_session, return_url=return_url, etag=etag
    )

    def decode(response: pb.ConfirmChargeResponse, replayed: bool) -> ChargeResult:
        return ChargeResult(charge=_decode.charge(response.charge), request_id=key, replayed=replayed)

    return Call("ConfirmCharge", request, decode, key, timeout_s)


def capture_charge(
    charge_id: str,
    *,
    amount: Money | None = None,
    application_fee: Money | None = None,
    etag: str = "",
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[ChargeResult]:
    """Capture an authorised charge.

    Args:
        charge_id: The charge (chg_...).
        amount: How much, in minor units; None means all that is capturable. The rest is released.
        application_fee: The platform's share, restated; None leaves it as it was authorised. Never more than `amount`.
        etag: The charge's etag as last read; refuse if it has changed since.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        InvalidRequest: More than what is capturable, or in another currency.
        InvalidState: The charge is not authorised, or captured already.
    """
    key = request_id or new_request_id()
    request = pb.CaptureChargeRequest(
        request_id=key, charge_id=charge_id, amount=money(amount), application_fee=money(application_fee), etag=etag
    )

    def decode(response: pb.CaptureChargeResponse, replayed: bool) -> ChargeResult:
        return ChargeResult(charge=_decode.charge(response.charge), request_id=key, replayed=replayed)

    return Call("CaptureCharge", request, decode, key, timeout_s)


def cancel_charge(
    charge_id: str, *, reason: str = "", etag: str = "", request_id: str = "", timeout_s: float | None = None
) -> Call[ChargeResult]:
    """Cancel a charge that has not been captured; one that is canceled already is answered as it is.

    Args:
        charge_id: The charge (chg_...).
        reason: Stripe's cancellation_reason, such as "requested_by_customer" or "abandoned".
        etag: The charge's etag as last read; refuse if it has changed since.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        InvalidState: The charge is captured already.
    """
    key = request_id or new_request_id()
    request = pb.CancelChargeRequest(request_id=key, charge_id=charge_id, reason=reason, etag=etag)

    def decode(response: pb.CancelChargeResponse, replayed: bool) -> ChargeResult:
        return ChargeResult(charge=_decode.charge(response.charge), request_id=key, replayed=replayed)

    return Call("CancelCharge", request, decode, key, timeout_s)


def refund_charge(
    charge_id: str,
    *,
    amount: Money | None = None,
    reason: str = "",
    refund_application_fee: bool = False,
    metadata: Mapping[str, str] | None = None,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[RefundResult]:
    """Refund a captured charge.

    Args:
        charge_id: The charge (chg_...).
        amount: How much, in minor units; None means all that is left.
        reason: "duplicate", "fraudulent" or "requested_by_customer".
        refund_application_fee: Give the platform's fee back too, in proportion.
        metadata: Labels, at most 20.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        InvalidRequest: More than is left; `error.metadata["left"]` says how much is, in minor units.
        InvalidState: The charge is not captured, or refunded already.
    """
    key = request_id or new_request_id()
    request = pb.RefundChargeRequest(
        request_id=key,
        charge_id=charge_id,
        amount=money(amount),
        reason=reason,
        refund_application_fee=refund_application_fee,
        metadata=metadata,
    )

    def decode(response: pb.RefundChargeResponse, replayed: bool) -> RefundResult:
        refund = _decode.refund(response.refund)
        charge = _decode.charge(response.charge)
        return RefundResult(refund=refund, charge=charge, request_id=key, replayed=replayed)

    return Call("RefundCharge", request, decode, key, timeout_s)


def list_refunds(
    charge_id: str, *, page_size: int = 0, page_token: str = "", timeout_s: float | None = None
) -> ListCall[Refund]:
    """List the refunds of a charge (chg_...): iterate over the answer, or take it `.page()` by page.

    Args:
        charge_id: Of which charge (chg_...).
        page_size: At most this many a page; 0 means 50, more than 200 means 200.
        page_token: `next_page_token` of an earlier page, to begin there.
        timeout_s: Seconds for each page.
    """
    request = pb.ListRefundsRequest(charge_id=charge_id, page_size=page_size, page_token=page_token)

    def items(response: pb.ListRefundsResponse) -> tuple[Refund, ...]:
        return tuple(map(_decode.refund, response.refunds))

    return ListCall("ListRefunds", request, items, timeout_s)
