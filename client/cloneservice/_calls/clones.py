"""Clones: made, attached, read, refreshed, revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from cloneservice import _decode
from cloneservice._calls.call import Call, ListCall, new_request_id, timestamp
from cloneservice._enums import write
from cloneservice._results import CloneResult
from cloneservice._values import AttachOptions, Clone, CloneFlow, CloneReuse, CloneState
from cloneservice.v1 import clone_service_pb2 as pb


def attach_options(attach: AttachOptions | bool) -> pb.AttachOptions | None:
    """The message for an attach argument: False leaves it unset, True asks for the defaults."""
    if attach is False:
        return None
    options = AttachOptions() if attach is True else attach
    return pb.AttachOptions(connected_customer_id=options.connected_customer_id, set_default=options.set_default)


def clone_payment_method(
    platform_customer_id: str,
    connected_account_id: str,
    *,
    platform_payment_method_id: str = "",
    flow: CloneFlow | None = None,
    reuse: CloneReuse = CloneReuse.IF_CURRENT,
    attach: AttachOptions | bool = False,
    metadata: Mapping[str, str] | None = None,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[CloneResult]:
    """Clone one saved payment method to one connected account.

    Args:
        platform_customer_id: Whose (cus_... on the platform).
        connected_account_id: Where to (acct_...).
        platform_payment_method_id: pm_/card_/src_...; "" means the customer's default.
        flow: Stripe's mechanism; None lets the service choose by the id.
        reuse: What to do when a usable clone of the same object is there already.
        attach: True, or how, to attach at once. A clone that is not attached is good for one charge only.
        metadata: Labels, at most 20.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        NotCloneable: This object cannot be cloned by this flow; `.usable_flow` says which could.
        CloneServiceError: See the tree in the package's documentation.
    """
    key = request_id or new_request_id()
    request = pb.ClonePaymentMethodRequest(
        request_id=key,
        platform_customer_id=platform_customer_id,
        platform_payment_method_id=platform_payment_method_id,
        connected_account_id=connected_account_id,
        flow=write(flow),
        reuse=write(reuse),
        attach=attach_options(attach),
        metadata=metadata,
    )

    def decode(response: pb.ClonePaymentMethodResponse, replayed: bool) -> CloneResult:
        clone = _decode.clone(response.clone)
        return CloneResult(clone=clone, reused=response.reused, request_id=key, replayed=replayed)

    return Call("ClonePaymentMethod", request, decode, key, timeout_s)


def attach_clone(
    clone_id: str,
    *,
    attach: AttachOptions | None = None,
    etag: str = "",
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[CloneResult]:
    """Attach a clone to a customer on its connected account, so that it can be charged again and again.

    Args:
        clone_id: The clone (cln_...).
        attach: To which customer; None finds or creates the one for this platform customer.
        etag: The clone's etag as last read; refuse if it has changed since.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        CloneNotUsable: It was charged unattached before, or is stale, revoked or erased.
        CloneServiceError: See the tree in the package's documentation.
    """
    key = request_id or new_request_id()
    request = pb.AttachCloneRequest(
        request_id=key, clone_id=clone_id, attach=attach_options(attach or False), etag=etag
    )

    def decode(response: pb.AttachCloneResponse, replayed: bool) -> CloneResult:
        return CloneResult(clone=_decode.clone(response.clone), request_id=key, replayed=replayed)

    return Call("AttachClone", request, decode, key, timeout_s)


def get_clone(clone_id: str, *, timeout_s: float | None = None) -> Call[Clone]:
    """Read one clone (cln_...) from the service's ledger.

    Raises:
        ResourceNotFound: There is none.
    """

    def decode(response: pb.GetCloneResponse, _replayed: bool) -> Clone:
        return _decode.clone(response.clone)

    return Call("GetClone", pb.GetCloneRequest(clone_id=clone_id), decode, timeout_s=timeout_s)


def list_clones(
    *,
    platform_customer_id: str = "",
    platform_payment_method_id: str = "",
    connected_account_id: str = "",
    states: Sequence[CloneState] = (),
    create_time_from: datetime | None = None,
    create_time_before: datetime | None = None,
    page_size: int = 0,
    page_token: str = "",
    timeout_s: float | None = None,
) -> ListCall[Clone]:
    """List clones, newest first: iterate over the answer, or take it `.page()` by page.

    Args:
        platform_customer_id: Only this original customer's (cus_...).
        platform_payment_method_id: Only those of this original method.
        connected_account_id: Only those on this account (acct_...).
        states: Only those in one of these states; empty means all but ERASED.
        create_time_from: Only those made at this time or later; with its time zone.
        create_time_before: Only those made before this time.
        page_size: At most this many a page; 0 means 50, more than 200 means 200.
        page_token: `next_page_token` of an earlier page, to begin there; the filters must be the same.
        timeout_s: Seconds for each page.
    """
    request = pb.ListClonesRequest(
        platform_customer_id=platform_customer_id,
        platform_payment_method_id=platform_payment_method_id,
        connected_account_id=connected_account_id,
        states=[write(state) for state in states],
        page_size=page_size,
        page_token=page_token,
        create_time_from=timestamp(create_time_from),
        create_time_before=timestamp(create_time_before),
    )

    def items(response: pb.ListClonesResponse) -> tuple[Clone, ...]:
        return tuple(map(_decode.clone, response.clones))

    return ListCall("ListClones", request, items, timeout_s)


def refresh_clone(
    clone_id: str, *, validate_only: bool = False, request_id: str = "", timeout_s: float | None = None
) -> Call[CloneResult]:
    """Compare a clone with the platform's object; if it is stale, make and attach its successor.

    Args:
        clone_id: The clone (cln_...).
        validate_only: Only compare, and mark what is stale.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Returns:
        The current clone: the same one, or (`changed`) its successor.
    """
    key = request_id or new_request_id()
    request = pb.RefreshCloneRequest(request_id=key, clone_id=clone_id, validate_only=validate_only)

    def decode(response: pb.RefreshCloneResponse, replayed: bool) -> CloneResult:
        clone = _decode.clone(response.clone)
        return CloneResult(clone=clone, changed=response.changed, request_id=key, replayed=replayed)

    return Call("RefreshClone", request, decode, key, timeout_s)


def revoke_clone(
    clone_id: str, *, etag: str = "", request_id: str = "", timeout_s: float | None = None
) -> Call[CloneResult]:
    """Detach a clone on the connected account, so that it can never be charged again.

    Args:
        clone_id: The clone (cln_...).
        etag: The clone's etag as last read; refuse if it has changed since.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.
    """
    key = request_id or new_request_id()
    request = pb.RevokeCloneRequest(request_id=key, clone_id=clone_id, etag=etag)

    def decode(response: pb.RevokeCloneResponse, replayed: bool) -> CloneResult:
        return CloneResult(clone=_decode.clone(response.clone), request_id=key, replayed=replayed)

    return Call("RevokeClone", request, decode, key, timeout_s)
