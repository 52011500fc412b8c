"""The life of a charge and baskets: requests to commands, results to responses. No rules here; see `convert.py`."""

from __future__ import annotations

from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2

from cloneservice_server.domain import baskets, commands, errors, results, values
from cloneservice_server.rpc import messages, status
from cloneservice_server.rpc.convert import money

REFUND_STATES = messages.enum_tables(values.RefundState, types_pb2.Refund.State, "STATE")[0]
BASKET_STATES = messages.enum_tables(baskets.BasketState, types_pb2.Basket.State, "STATE")[0]
LEG_STATES = messages.enum_tables(baskets.BasketLegState, types_pb2.BasketLeg.State, "STATE")[0]


def confirm_charge(request: pb.ConfirmChargeRequest) -> commands.ConfirmCharge:
    """Command of ConfirmCharge."""
    return commands.ConfirmCharge(request.charge_id, request.off_session, request.return_url, request.etag)


def capture_charge(request: pb.CaptureChargeRequest) -> commands.CaptureCharge:
    """Command of CaptureCharge."""
    return commands.CaptureCharge(
        request.charge_id,
        amount=money(request.amount) if request.HasField("amount") else None,
        application_fee=money(request.application_fee) if request.HasField("application_fee") else None,
        etag=request.etag,
    )


def cancel_charge(request: pb.CancelChargeRequest) -> commands.CancelCharge:
    """Command of CancelCharge."""
    return commands.CancelCharge(request.charge_id, request.reason, request.etag)


def refund_charge(request: pb.RefundChargeRequest) -> commands.RefundCharge:
    """Command of RefundCharge."""
    return commands.RefundCharge(
        request.charge_id,
        amount=money(request.amount) if request.HasField("amount") else None,
        reason=request.reason,
        refund_application_fee=request.refund_application_fee,
        metadata=dict(request.metadata),
    )


def charge_basket(request: pb.ChargeBasketRequest) -> commands.ChargeBasket:
    """Command of ChargeBasket."""
    return commands.ChargeBasket(
        platform_customer_id=request.platform_customer_id,
        legs=tuple(map(_leg_options, request.legs)),
        platform_payment_method_id=request.platform_payment_method_id,
        flow=messages.FLOWS_ASKED.get(request.flow),
        off_session=request.off_session,
        metadata=dict(request.metadata),
    )


def _leg_options(leg: pb.BasketLegOptions) -> commands.BasketLegOptions:
    return commands.BasketLegOptions(
        connected_account_id=leg.connected_account_id,
        amount=money(leg.amount),
        application_fee=money(leg.application_fee) if leg.HasField("application_fee") else None,
        description=leg.description,
        statement_descriptor_suffix=leg.statement_descriptor_suffix,
        metadata=dict(leg.metadata),
    )


def confirmed(result: results.ChargeMade) -> pb.ConfirmChargeResponse:
    """Response of ConfirmCharge; hands out a client_secret when the shopper has to act."""
    return pb.ConfirmChargeResponse(charge=messages.charge(result.charge, with_secret=True))


def captured(result: results.ChargeMade) -> pb.CaptureChargeResponse:
    """Response of CaptureCharge."""
    return pb.CaptureChargeResponse(charge=messages.charge(result.charge))


def cancelled(result: results.ChargeMade) -> pb.CancelChargeResponse:
    """Response of CancelCharge."""
    return pb.CancelChargeResponse(charge=messages.charge(result.charge))


def refunded(result: results.RefundMade) -> pb.RefundChargeResponse:
    """Response of RefundCharge."""
    return pb.RefundChargeResponse(refund=refund(result.refund), charge=messages.charge(result.charge))


def basket_charged(result: results.BasketCharged) -> pb.ChargeBasketResponse:
    """Response of ChargeBasket."""
    return pb.ChargeBasketResponse(basket=basket(result.basket))


def refund(value: values.Refund) -> types_pb2.Refund:
    """A refund."""
    return types_pb2.Refund(
        refund_id=value.refund_id,
        stripe_refund_id=value.stripe_refund_id,
        charge_id=value.charge_id,
        amount=messages.money(value.amount.minor_units, value.amount.currency_code),
        state=REFUND_STATES[value.state],
        reason=value.reason,
        metadata=value.metadata,
        create_time=messages.timestamp(value.create_time_us),
        update_time=messages.timestamp(value.update_time_us),
    )


def basket(value: baskets.Basket) -> types_pb2.Basket:
    """A basket with its legs."""
    return types_pb2.Basket(
        basket_id=value.basket_id,
        platform_customer_id=value.platform_customer_id,
        platform_payment_method_id=value.platform_payment_method_id,
        state=BASKET_STATES[value.state],
        legs=map(_leg, value.legs),
        metadata=value.metadata,
        create_time=messages.timestamp(value.create_time_us),
        update_time=messages.timestamp(value.update_time_us),
    )


def _leg(value: baskets.BasketLeg) -> types_pb2.BasketLeg:
    currency = value.amount.currency_code
    return types_pb2.BasketLeg(
        connected_account_id=value.connected_account_id,
        amount=messages.money(value.amount.minor_units, currency),
        application_fee=messages.money(value.application_fee, currency) if value.application_fee else None,
        state=LEG_STATES[value.state],
        charge_id=value.charge_id,
        refund_id=value.refund_id,
        error=status.status_of(errors.decode(value.error)) if value.error else None,
    )
