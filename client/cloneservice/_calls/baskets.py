"""One shopper, several sellers: all of them are paid, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloneservice import _decode
from cloneservice._calls.call import Call, new_request_id
from cloneservice._calls.charges import money
from cloneservice._enums import write
from cloneservice._results import BasketResult
from cloneservice._values import Basket, BasketLegOptions, CloneFlow
from cloneservice.v1 import clone_service_pb2 as pb


def charge_basket(
    platform_customer_id: str,
    legs: Sequence[BasketLegOptions],
    *,
    platform_payment_method_id: str = "",
    flow: CloneFlow | None = None,
    off_session: bool = False,
    metadata: Mapping[str, str] | None = None,
    request_id: str = "",
    timeout_s: float | None = None,
) -> Call[BasketResult]:
    """Charge a shopper's saved card on several connected accounts, all or nothing.

    Every leg is authorised first; then all are captured, or, if one is refused, all are given back.

    Args:
        platform_customer_id: Whose (cus_... on the platform).
        legs: What each seller gets, 1 to 20; each account at most once.
        platform_payment_method_id: pm_/card_/src_... of a card; "" means the customer's default.
        flow: Stripe's mechanism; None lets the service choose by the id.
        off_session: The shopper is absent. A leg that wants 3-D Secure fails the basket either way.
        metadata: Labels of the basket, at most 20.
        request_id: Key of the intent, a UUID; made here when not given.
        timeout_s: Seconds for all tries together.

    Raises:
        CardDeclined: A leg was declined, or wants the shopper (AuthenticationRequired); nothing was taken.
        BasketNotCaptured: Stripe refused to capture a leg after all were authorised; what was captured was refunded.
        OutcomeUnknown: Not decided yet; call again with the same request_id.
        CloneServiceError: See the tree in the package's documentation.
    """
    key = request_id or new_request_id()
    request = pb.ChargeBasketRequest(
        request_id=key,
        platform_customer_id=platform_customer_id,
        platform_payment_method_id=platform_payment_method_id,
        flow=write(flow),
        legs=map(_leg, legs),
        off_session=off_session,
        metadata=metadata,
    )

    def decode(response: pb.ChargeBasketResponse, replayed: bool) -> BasketResult:
        return BasketResult(basket=_decode.basket(response.basket), request_id=key, replayed=replayed)

    return Call("ChargeBasket", request, decode, key, timeout_s)


def _leg(leg: BasketLegOptions) -> pb.BasketLegOptions:
    return pb.BasketLegOptions(
        connected_account_id=leg.connected_account_id,
        amount=money(leg.amount),
        application_fee=money(leg.application_fee),
        description=leg.description,
        statement_descriptor_suffix=leg.statement_descriptor_suffix,
        metadata=dict(leg.metadata),
    )


def get_basket(basket_id: str, *, timeout_s: float | None = None) -> Call[Basket]:
    """Read a basket (bsk_...) and what became of each seller's part."""
    request = pb.GetBasketRequest(basket_id=basket_id)

    def decode(response: pb.GetBasketResponse, _replayed: bool) -> Basket:
        return _decode.basket(response.basket)

    return Call("GetBasket", request, decode, timeout_s=timeout_s)
