"""Charges and refunds as Stripe's events show them: pure functions for whoever receives events.

Events come late, twice and out of order. Each function answers None when an event shows nothing new, or shows an
earlier state than the one that is known: Stripe never leaves `succeeded` and `canceled`, so neither does a charge here.
"""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain.values import Charge, ChargeState, Refund, RefundState
from cloneservice_server.workflows.stripe_objects import Body, news_of, payment_intent_facts, refunded_of

_FINAL = (ChargeState.SUCCEEDED, ChargeState.CANCELED)
_REFUND_RANK = {
    RefundState.PENDING: 0,
    RefundState.REQUIRES_ACTION: 0,
    RefundState.SUCCEEDED: 1,
    RefundState.FAILED: 2,
    RefundState.CANCELED: 2,
}
"""A refund may fail after it seemed to have succeeded, and never the other way round."""


def charge_in_intent_event(charge: Charge, body: Body, now_us: int) -> Charge | None:
    """The charge as the PaymentIntent of a payment_intent.* event shows it, one version on.

    Between states that are not final an old event cannot be told from a new one: where it matters (a decline after an
    action), read the PaymentIntent instead, as GetCharge does with `refresh`.
    """
    seen = news_of(charge, payment_intent_facts(body), now_us)
    if seen is None or (charge.state in _FINAL and seen.state is not charge.state):
        return None
    return seen


def charge_in_charge_event(charge: Charge, body: Body, now_us: int) -> Charge | None:
    """The charge as the Charge of a charge.refunded, charge.refund.updated or charge.captured event shows it.

    Only what was refunded is taken from it, and only of the charge's own successful attempt.
    """
    if body["id"] != charge.stripe_charge_id or charge.state is not ChargeState.SUCCEEDED:
        return None
    gone = refunded_of(body)
    if gone == charge.amount_refunded:
        return None
    return dataclasses.replace(charge, amount_refunded=gone, update_time_us=now_us, version=charge.version + 1)


def refund_in_event(refund: Refund, body: Body, now_us: int) -> Refund | None:
    """The refund as the Refund of a refund.* event shows it, one version on."""
    state = RefundState(body["status"])
    if _REFUND_RANK[state] < _REFUND_RANK[refund.state] or state is refund.state:
        return None
    return dataclasses.replace(refund, state=state, update_time_us=now_us, version=refund.version + 1)
