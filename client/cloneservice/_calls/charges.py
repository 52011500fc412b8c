"""Direct charges on connected accounts, made and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cloneservice import _decode
from cloneservice._calls.call import Call, ListCall, new_request_id, timestamp
from cloneservice._calls.clones import attach_options
from cloneservice._enums import write
from cloneservice._results import ChargeResult, CloneAndChargeResult
from cloneservice._values import AttachOptions, CaptureMethod, Charge, ChargeState, CloneFlow, CloneReuse, Money
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types


def money(amount: Money | None) -> types.Money | None:
    """The message for an amount; None leaves it unset."""
    if amount is None:
        return None
    return types.Money(minor_units=amount.minor_units, currency_code=amount.currency_code)


def create_charge(
    clone_id: str,
    amount: Money,
    *,
    application_fee: Money | None = None,
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC,
    off_session: bool = False,
    defer_confirmation: bool = False,
    return_url: str = "",
    description: str = "",
    statement_descriptor_suffix: str = "",
    metadata: Mapping[str, str] | None = None,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[ChargeResult]:
    """Make a direct charge with a clone, on the clone's connected account.

    Args:
        clone_id: The clone (cln_...).
        amount: What to charge, in minor units.
        application_fee: The platform's share of it, in the same currency.
        capture_method: MANUAL only authorises; `capture_charge` moves the money.
        off_session: The shopper is absent; a card that wants them raises AuthenticationRequired.
        defer_confirmation: Only create; `confirm_charge` confirms.
        return_url: Where a redirect comes back to.
        description: Shown to the account.
        statement_descriptor_suffix: Shown on the shopper's statement.
        metadata: Labels, at most 20.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        CardDeclined: The issuer or Stripe said no; `.decline` and `.charge` say more.
        CloneNotUsable: The clone is consumed, stale, revoked or erased.
        OutcomeUnknown: Stripe's answer was lost; call again with the same request_id.
        CloneServiceError: See the tree in the package's documentation.
    """
    key = request_id or new_request_id()
    options = pb.ChargeOptions(
        amount=money(amount),
        application_fee=money(application_fee),
        capture_method=write(capture_method),
        off_session=off_session,
        defer_confirmation=defer_confirmation,
        return_url=return_url,
        description=description,
        statement_descriptor_suffix=statement_descriptor_suffix,
        metadata=metadata,
    )
    request = pb.CreateChargeRequest(request_id=key, clone_id=clone_id, charge=options)

    def decode(response: pb.CreateChargeResponse, replayed: bool) -> ChargeResult:
        return ChargeResult(charge=_decode.charge(response.charge), request_id=key, replayed=replayed)

    return Call("CreateCharge", request, decode, key, timeout_s)


def clone_and_charge(
    platform_customer_id: str,
    connected_account_id: str,
    amount: Money,
    *,
    platform_payment_method_id: str = "",
    flow: CloneFlow | None = None,
    reuse: CloneReuse = CloneReuse.IF_CURRENT,
    attach: AttachOptions | None = None,
    one_shot: bool = False,
    application_fee: Money | None = None,
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC,
    off_session: bool = False,
    defer_confirmation: bool = False,
    return_url: str = "",
    description: str = "",
    statement_descriptor_suffix: str = "",
    metadata: Mapping[str, str] | None = None,
    validate_only: bool = False,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[CloneAndChargeResult]:
    """Clone (or reuse the clone), attach and charge, in one call that survives lost connections and crashes.

    Args:
        platform_customer_id: Whose (cus_... on the platform).
        connected_account_id: Where (acct_...).
        amount: What to charge, in minor units.
        platform_payment_method_id: pm_/card_/src_...; "" means the customer's default.
        flow: Stripe's mechanism; None lets the service choose by the id.
        reuse: What to do when a usable clone of the same object is there already.
        attach: To which customer of the account; None finds or creates the one for this platform customer.
        one_shot: Do not attach: the clone is spent by this one charge, even by a declined one. Excludes `attach`.
        application_fee: The platform's share of the amount, in the same currency.
        capture_method: MANUAL only authorises; `capture_charge` moves the money.
        off_session: The shopper is absent; a card that wants them raises AuthenticationRequired.
        defer_confirmation: Only create; `confirm_charge` confirms.
        return_url: Where a redirect comes back to.
        description: Shown to the account.
        statement_descriptor_suffix: Shown on the shopper's statement.
        metadata: Labels, at most 20.
        validate_only: Check everything and do nothing; the answer's clone and charge may have no id then.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        CardDeclined: The issuer or Stripe said no; `.decline` and `.charge` say more.
        OutcomeUnknown: Stripe's answer was lost; call again with the same request_id.
        CloneServiceError: See the tree in the package's documentation.
    """
    key = request_id or new_request_id()
    options = pb.ChargeOptions(
        amount=money(amount),
        application_fee=money(application_fee),
        capture_method=write(capture_method),
        off_session=off_session,
        defer_confirmation=defer_confirmation,
        return_url=return_url,
        description=description,
        statement_descriptor_suffix=statement_descriptor_suffix,
        metadata=metadata,
    )
    request = pb.CloneAndChargeRequest(
        request_id=key,
        platform_customer_id=platform_customer_id,
        platform_payment_method_id=platform_payment_method_id,
        connected_account_id=connected_account_id,
        flow=write(flow),
        reuse=write(reuse),
        attach=attach_options(attach or False),
        one_shot=one_shot,
        charge=options,
        validate_only=validate_only,
    )
    return Call("CloneAndCharge", request, _CloneAndCharge(key), key, timeout_s)


@dataclass(frozen=True, slots=True)
class _CloneAndCharge:
    """Decoder of a CloneAndCharge response."""

    request_id: str

    def __call__(self, response: pb.CloneAndChargeResponse, replayed: bool) -> CloneAndChargeResult:
        return CloneAndChargeResult(
            clone=_decode.clone(response.clone),
            charge=_decode.charge(response.charge),
            reused=response.reused,
            request_id=self.request_id,
            replayed=replayed,
        )


def get_charge(charge_id: str, *, refresh: bool = False, timeout_s: float | None = None) -> Call[Charge]:
    """Read one charge (chg_...) from the service's ledger, or (`refresh`) ask Stripe for its present state.

    Raises:
        ResourceNotFound: There is none.
    """

    def decode(response: pb.GetChargeResponse, _replayed: bool) -> Charge:
        return _decode.charge(response.charge)

    request = pb.GetChargeRequest(charge_id=charge_id, refresh=refresh)
    return Call("GetCharge", request, decode, timeout_s=timeout_s)


def list_charges(
    *,
    platform_customer_id: str = "",
    clone_id: str = "",
    connected_account_id: str = "",
    platform_payment_method_id: str = "",
    states: Sequence[ChargeState] = (),
    create_time_from: datetime | None = None,
    create_time_before: datetime | None = None,
    page_size: int = 0,
    page_token: str = "",
    timeout_s: float | None = None,
) -> ListCall[Charge]:
    """List charges, newest first: iterate over the answer, or take it `.page()` by page.

    Args:
        platform_customer_id: Only this original customer's (cus_...), over all accounts: what Stripe does not show.
        clone_id: Only those made with this clone (cln_...).
        connected_account_id: Only those on this account (acct_...).
        platform_payment_method_id: Only those with a clone of this original method.
        states: Only those in one of these states; empty means all.
        create_time_from: Only those made at this time or later; with its time zone.
        create_time_before: Only those made before this time.
        page_size: At most this many a page; 0 means 50, more than 200 means 200.
        page_token: `next_page_token` of an earlier page, to begin there; the filters must be the same.
        timeout_s: Seconds for each page.
    """
    request = pb.ListChargesRequest(
        platform_customer_id=platform_customer_id,
        clone_id=clone_id,
        connected_account_id=connected_account_id,
        states=[write(state) for state in states],
        page_size=page_size,
        page_token=page_token,
        create_time_from=timestamp(create_time_from),
        create_time_before=timestamp(create_time_before),
        platform_payment_method_id=platform_payment_method_id,
    )

    def items(response: pb.ListChargesResponse) -> tuple[Charge, ...]:
        return tuple(map(_decode.charge, response.charges))

    return ListCall("ListCharges", request, items, timeout_s)
