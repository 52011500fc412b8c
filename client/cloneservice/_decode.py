"""Messages of the contract to the client's values. Never fails on what a newer service may send."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from cloneservice import _values as values
from cloneservice._enums import read, read_optional
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types

DOMAIN = "cloneservice"
"""ErrorInfo.domain of this service's errors; an ErrorInfo of a proxy or a mesh has another."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def status_code(number: int) -> grpc.StatusCode:
    """The gRPC status code of a number; UNKNOWN for a number that gRPC does not define."""
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)


def error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    """The service's own ErrorInfo among a status' details, or None."""
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        try:
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
        except DecodeError:
            continue
    return None


def failure(status: status_pb2.Status) -> values.Failure:
    """A stored google.rpc.Status."""
    info = error_info(status)
    return values.Failure(
        code=status_code(status.code).name,
        reason="" if info is None else info.reason,
        message=status.message,
        metadata={} if info is None else dict(info.metadata),
    )


def moment(owner: object, name: str) -> datetime | None:
    """The Timestamp field `name` of a message, or None when it is not set."""
    if not owner.HasField(name):  # type: ignore[attr-defined]  # every message has it; no common typed base
        return None
    stamp: Timestamp = getattr(owner, name)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):  # outside years 1 to 9999: no time that Python can tell
        return None


def money(message: types.Money) -> values.Money:
    """An amount."""
    return values.Money(message.minor_units, message.currency_code)


def optional_money(owner: types.Charge | types.Refund | types.BasketLeg, name: str) -> values.Money | None:
    """The Money field `name` of a message, or None when it is not set."""
    return money(getattr(owner, name)) if owner.HasField(name) else None  # type: ignore[arg-type]  # a Literal of names


def summary(message: types.PaymentMethodSummary) -> values.PaymentMethodSummary:
    """Display data of a payment method."""
    return values.PaymentMethodSummary(
        type=message.type,
        brand=message.brand,
        last4=message.last4,
        exp_month=message.exp_month,
        exp_year=message.exp_year,
        fingerprint=message.fingerprint,
    )


def platform_customer(message: types.PlatformCustomer) -> values.PlatformCustomer:
    """A customer on the platform."""
    return values.PlatformCustomer(
        platform_customer_id=message.platform_customer_id,
        external_reference=message.external_reference,
        default_platform_payment_method_id=message.default_platform_payment_method_id,
        metadata=dict(message.metadata),
        create_time=moment(message, "create_time"),
    )


def platform_payment_method(message: types.PlatformPaymentMethod) -> values.PlatformPaymentMethod:
    """A payment method on the platform."""
    return values.PlatformPaymentMethod(
        platform_payment_method_id=message.platform_payment_method_id,
        platform_customer_id=message.platform_customer_id,
        summary=summary(message.summary),
        is_default=message.is_default,
    )


def clone(message: types.Clone) -> values.Clone:
    """A clone."""
    return values.Clone(
        clone_id=message.clone_id,
        platform_customer_id=message.platform_customer_id,
        platform_payment_method_id=message.platform_payment_method_id,
        connected_account_id=message.connected_account_id,
        connected_customer_id=message.connected_customer_id,
        flow=read_optional(values.CloneFlow, message.flow),
        connected_payment_method_id=message.connected_payment_method_id,
        connected_token_id=message.connected_token_id,
        connected_source_id=message.connected_source_id,
        state=read(values.CloneState, message.state),
        summary=summary(message.summary),
        superseded_by_clone_id=message.superseded_by_clone_id,
        last_error=failure(message.last_error) if message.HasField("last_error") else None,
        metadata=dict(message.metadata),
        create_time=moment(message, "create_time"),
        update_time=moment(message, "update_time"),
        verify_time=moment(message, "verify_time"),
        etag=message.etag,
    )


def next_action(message: types.NextAction) -> values.NextAction:
    """What the front end must do."""
    return values.NextAction(type=message.type, client_secret=message.client_secret, redirect_url=message.redirect_url)


def decline(message: types.Decline) -> values.Decline:
    """Why it was declined."""
    return values.Decline(
        code=message.code,
        decline_code=message.decline_code,
        advice_code=message.advice_code,
        network_decline_code=message.network_decline_code,
        message=message.message,
    )


def charge(message: types.Charge) -> values.Charge:
    """A charge."""
    return values.Charge(
        charge_id=message.charge_id,
        clone_id=message.clone_id,
        platform_customer_id=message.platform_customer_id,
        connected_account_id=message.connected_account_id,
        connected_customer_id=message.connected_customer_id,
        stripe_payment_intent_id=message.stripe_payment_intent_id,
        stripe_charge_id=message.stripe_charge_id,
        amount=optional_money(message, "amount"),
        amount_capturable=optional_money(message, "amount_capturable"),
        amount_received=optional_money(message, "amount_received"),
        amount_refunded=optional_money(message, "amount_refunded"),
        application_fee=optional_money(message, "application_fee"),
        capture_method=read_optional(values.CaptureMethod, message.capture_method),
        state=read(values.ChargeState, message.state),
        next_action=next_action(message.next_action) if message.HasField("next_action") else None,
        decline=decline(message.decline) if message.HasField("decline") else None,
        metadata=dict(message.metadata),
        create_time=moment(message, "create_time"),
        update_time=moment(message, "update_time"),
        etag=message.etag,
        basket_id=message.basket_id,
        stripe_dispute_id=message.stripe_dispute_id,
        dispute_status=message.dispute_status,
    )


def refund(message: types.Refund) -> values.Refund:
    """A refund."""
    return values.Refund(
        refund_id=message.refund_id,
        stripe_refund_id=message.stripe_refund_id,
        charge_id=message.charge_id,
        amount=optional_money(message, "amount"),
        state=read(values.RefundState, message.state),
        create_time=moment(message, "create_time"),
        reason=message.reason,
        metadata=dict(message.metadata),
        update_time=moment(message, "update_time"),
    )


def basket(message: types.Basket) -> values.Basket:
    """A basket."""
    return values.Basket(
        basket_id=message.basket_id,
        platform_customer_id=message.platform_customer_id,
        platform_payment_method_id=message.platform_payment_method_id,
        state=read(values.BasketState, message.state),
        legs=tuple(map(basket_leg, message.legs)),
        metadata=dict(message.metadata),
        create_time=moment(message, "create_time"),
        update_time=moment(message, "update_time"),
    )


def basket_leg(message: types.BasketLeg) -> values.BasketLeg:
    """One seller's part of a basket."""
    return values.BasketLeg(
        connected_account_id=message.connected_account_id,
        amount=optional_money(message, "amount"),
        application_fee=optional_money(message, "application_fee"),
        state=read(values.BasketLegState, message.state),
        charge_id=message.charge_id,
        refund_id=message.refund_id,
        error=failure(message.error) if message.HasField("error") else None,
    )


def batch(message: types.CloneBatch) -> values.CloneBatch:
    """A batch."""
    return values.CloneBatch(
        batch_id=message.batch_id,
        operation=read(values.BatchOperation, message.operation),
        state=read(values.BatchState, message.state),
        total_count=message.total_count,
        succeeded_count=message.succeeded_count,
        failed_count=message.failed_count,
        skipped_count=message.skipped_count,
        last_sequence=message.last_sequence,
        create_time=moment(message, "create_time"),
        end_time=moment(message, "end_time"),
        reused_count=message.reused_count,
        start_time=moment(message, "start_time"),
        failures=tuple(map(_batch_failures, message.failures)),
        items_per_second=message.items_per_second,
        items_per_second_limit=message.items_per_second_limit,
    )


def _batch_failures(message: types.CloneBatch.Failures) -> values.BatchFailures:
    return values.BatchFailures(
        reason=message.reason, count=message.count, example_indexes=tuple(message.example_indexes)
    )


def batch_item(message: types.CloneBatchItem) -> values.CloneBatchItem:
    """An item of a batch."""
    return values.CloneBatchItem(
        index=message.index,
        platform_customer_id=message.platform_customer_id,
        platform_payment_method_id=message.platform_payment_method_id,
        connected_account_id=message.connected_account_id,
        state=read(values.BatchItemState, message.state),
        clone=clone(message.clone) if message.HasField("clone") else None,
        error=failure(message.error) if message.HasField("error") else None,
        attempt_count=message.attempt_count,
        sequence=message.sequence,
    )


def batch_event(message: pb.WatchCloneBatchResponse) -> values.BatchEvent:
    """An event of a watched batch."""
    return values.BatchEvent(
        sequence=message.sequence,
        item=batch_item(message.item) if message.HasField("item") else None,
        batch=batch(message.batch) if message.HasField("batch") else None,
    )
