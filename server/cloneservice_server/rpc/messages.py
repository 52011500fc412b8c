"""Values of the domain as messages of the contract. No rules here: a field for a field."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from cloneservice.v1 import types_pb2
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from cloneservice_server.domain import values

E = TypeVar("E", bound=Enum)


def enum_tables(domain: type[E], wire: Any, prefix: str) -> tuple[dict[E, Any], dict[int, E]]:
    """Both directions between a domain enum and the contract's, by name. Raises ValueError on a name it lacks."""
    wrapper: EnumTypeWrapper = wire
    to_wire: dict[E, Any] = {member: wrapper.Value(f"{prefix}_{member.name}") for member in domain}
    return to_wire, {number: member for member, number in to_wire.items()}


CLONE_STATES, CLONE_STATES_ASKED = enum_tables(values.CloneState, types_pb2.Clone.State, "STATE")
CHARGE_STATES, CHARGE_STATES_ASKED = enum_tables(values.ChargeState, types_pb2.Charge.State, "STATE")
FLOWS, FLOWS_ASKED = enum_tables(values.CloneFlow, types_pb2.CloneFlow, "CLONE_FLOW")
_, REUSES_ASKED = enum_tables(values.CloneReuse, types_pb2.CloneReuse, "CLONE_REUSE")
CAPTURES, CAPTURES_ASKED = enum_tables(values.CaptureMethod, types_pb2.CaptureMethod, "CAPTURE_METHOD")

_CONNECTED_OBJECT = {
    values.CloneFlow.PAYMENT_METHOD: "connected_payment_method_id",
    values.CloneFlow.TOKEN: "connected_token_id",
    values.CloneFlow.SOURCE: "connected_source_id",
}


def timestamp(time_us: int) -> Timestamp | None:
    """Microseconds since the epoch; 0 is "never", an unset field."""
    if not time_us:
        return None
    return Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1000)


def microseconds(time: Timestamp) -> int:
    """The other way: microseconds since the epoch, rounded down; 0 for an unset field."""
    return time.seconds * 1_000_000 + time.nanos // 1000


def money(minor_units: int, currency_code: str) -> types_pb2.Money:
    """An amount."""
    return types_pb2.Money(minor_units=minor_units, currency_code=currency_code.upper())


def summary(value: values.PaymentMethodSummary) -> types_pb2.PaymentMethodSummary:
    """What may be shown of a payment method."""
    return types_pb2.PaymentMethodSummary(
        type=value.type,
        brand=value.brand,
        last4=value.last4,
        exp_month=value.exp_month,
        exp_year=value.exp_year,
        fingerprint=value.fingerprint,
    )


def platform_customer(value: values.PlatformCustomer) -> types_pb2.PlatformCustomer:
    """A customer on the platform."""
    return types_pb2.PlatformCustomer(
        platform_customer_id=value.platform_customer_id,
        external_reference=value.external_reference,
        default_platform_payment_method_id=value.default_platform_payment_method_id,
        metadata=value.metadata,
        create_time=timestamp(value.create_time_us),
    )


def platform_payment_method(value: values.PlatformPaymentMethod) -> types_pb2.PlatformPaymentMethod:
    """A saved payment method."""
    return types_pb2.PlatformPaymentMethod(
        platform_payment_method_id=value.platform_payment_method_id,
        platform_customer_id=value.platform_customer_id,
        summary=summary(value.summary),
        is_default=value.is_default,
    )


def clone(value: values.Clone, last_error: status_pb2.Status | None) -> types_pb2.Clone:
    """A clone; `last_error` is its stored error as a status."""
    message = types_pb2.Clone(
        clone_id=value.clone_id,
        platform_customer_id=value.platform_customer_id,
        platform_payment_method_id=value.platform_payment_method_id,
        connected_account_id=value.connected_account_id,
        connected_customer_id=value.connected_customer_id,
        flow=FLOWS[value.flow],
        state=CLONE_STATES[value.state],
        summary=summary(value.summary),
        superseded_by_clone_id=value.superseded_by_clone_id,
        last_error=last_error,
        metadata=value.metadata,
        create_time=timestamp(value.create_time_us),
        update_time=timestamp(value.update_time_us),
        verify_time=timestamp(value.verify_time_us),
        etag=values.etag(value.version, value.clone_id),
    )
    if value.connected_object_id:
        setattr(message, _CONNECTED_OBJECT[value.flow], value.connected_object_id)
    return message


def decline(value: values.Decline) -> types_pb2.Decline:
    """Why it was declined."""
    return types_pb2.Decline(
        code=value.code,
        decline_code=value.decline_code,
        advice_code=value.advice_code,
        network_decline_code=value.network_decline_code,
        message=value.message,
    )


def next_action(value: values.NextAction, *, with_secret: bool) -> types_pb2.NextAction:
    """What the front end must do; the secret only in the answer of the call that made it."""
    return types_pb2.NextAction(
        type=value.type,
        client_secret=value.client_secret if with_secret else "",
        redirect_url=value.redirect_url,
    )


def charge(value: values.Charge, *, with_secret: bool = False) -> types_pb2.Charge:
    """A direct charge."""
    currency = value.amount.currency_code
    return types_pb2.Charge(
        charge_id=value.charge_id,
        clone_id=value.clone_id,
        platform_customer_id=value.platform_customer_id,
        connected_account_id=value.connected_account_id,
        connected_customer_id=value.connected_customer_id,
        stripe_payment_intent_id=value.stripe_payment_intent_id,
        stripe_charge_id=value.stripe_charge_id,
        amount=money(value.amount.minor_units, currency),
        amount_capturable=money(value.amount_capturable, currency),
        amount_received=money(value.amount_received, currency),
        amount_refunded=money(value.amount_refunded, currency),
        application_fee=money(value.application_fee, currency) if value.application_fee else None,
        capture_method=CAPTURES[value.capture_method],
        state=CHARGE_STATES[value.state],
        next_action=None if value.next_action is None else next_action(value.next_action, with_secret=with_secret),
        decline=None if value.decline is None else decline(value.decline),
        metadata=value.metadata,
        create_time=timestamp(value.create_time_us),
        update_time=timestamp(value.update_time_us),
        etag=values.etag(value.version, value.charge_id),
        basket_id=value.basket_id,
        stripe_dispute_id=value.stripe_dispute_id,
        dispute_status=value.dispute_status,
    )
