"""The statements of refunds and baskets. See `statements.py` for how they are written."""

from __future__ import annotations

from cloneservice_server.domain import codec
from cloneservice_server.ledger.lineage import newest
from cloneservice_server.ledger.part import Part
from cloneservice_server.ports import EffectTaken, Page, PutBasket, PutRefund

_INSERT_REFUND = """
INSERT INTO refund (refund_id, version, state, body, charge_id, connected_account_id, stripe_refund_id, request_id,
    create_time_us)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE {after}
ON CONFLICT (refund_id) DO NOTHING
RETURNING refund_id"""

_UPDATE_REFUND = """
UPDATE refund SET version = $2, state = $3, body = $4, charge_id = $5, connected_account_id = $6,
    stripe_refund_id = $7, request_id = $8, create_time_us = $9
WHERE refund_id = $1 AND version = CAST($2 AS bigint) - 1 AND {after}
RETURNING refund_id"""

_INSERT_BASKET = """
INSERT INTO basket (basket_id, version, state, body, platform_customer_id, request_id, create_time_us)
SELECT $1, $2, $3, $4, $5, $6, $7 WHERE {after}
ON CONFLICT (basket_id) DO NOTHING
RETURNING basket_id"""

_UPDATE_BASKET = """
UPDATE basket SET version = $2, state = $3, body = $4, platform_customer_id = $5, request_id = $6, create_time_us = $7
WHERE basket_id = $1 AND version = CAST($2 AS bigint) - 1 AND {after}
RETURNING basket_id"""


def put_refund(write: PutRefund) -> Part:
    """Insert or replace a refund."""
    refund = write.refund
    args = (
        refund.refund_id,
        refund.version,
        refund.state.value,
        codec.dumps(refund),
        refund.charge_id,
        refund.connected_account_id,
        refund.stripe_refund_id,
        refund.request_id,
        refund.create_time_us,
    )
    sql = _UPDATE_REFUND if refund.version > 1 else _INSERT_REFUND
    return Part(sql, args, EffectTaken, ("refund", refund.refund_id))


def put_basket(write: PutBasket) -> Part:
    """Insert or replace a basket."""
    basket = write.basket
    args = (
        basket.basket_id,
        basket.version,
        basket.state.value,
        codec.dumps(basket),
        basket.platform_customer_id,
        basket.request_id,
        basket.create_time_us,
    )
    sql = _UPDATE_BASKET if basket.version > 1 else _INSERT_BASKET
    return Part(sql, args, EffectTaken, ("basket", basket.basket_id))


# ---------------------------------------------------------------------------------------------------------- reads


def select_charge_of_payment_intent(connected_account_id: str, stripe_payment_intent_id: str) -> Part:
    """The charge of a PaymentIntent."""
    # The last condition lets the planner use the index, which is of set ids only.
    sql = """
SELECT body FROM charge
WHERE stripe_payment_intent_id = $1 AND connected_account_id = $2 AND stripe_payment_intent_id <> ''"""
    return Part(sql, (stripe_payment_intent_id, connected_account_id))


def select_refund(refund_id: str) -> Part:
    """One refund."""
    return Part("SELECT body FROM refund WHERE refund_id = $1", (refund_id,))


def select_refund_by_stripe_id(connected_account_id: str, stripe_refund_id: str) -> Part:
    """The refund with Stripe's id."""
    sql = "SELECT body FROM refund WHERE stripe_refund_id = $1 AND connected_account_id = $2"
    return Part(sql, (stripe_refund_id, connected_account_id))


def list_refunds(charge_id: str, page: Page) -> Part:
    """Refunds of a charge, newest first."""
    return newest("refund", {"charge_id": charge_id}, (), page, None)


def select_basket(basket_id: str) -> Part:
    """One basket."""
    return Part("SELECT body FROM basket WHERE basket_id = $1", (basket_id,))
