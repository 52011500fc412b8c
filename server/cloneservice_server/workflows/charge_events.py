"""Refunds as Stripe's events show them: a pure function for whoever gets events, which come late, twice and mixed."""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain.values import Refund, RefundState
from cloneservice_server.workflows.stripe_objects import Body

_RANK = {
    RefundState.PENDING: 0,
    RefundState.REQUIRES_ACTION: 0,
    RefundState.SUCCEEDED: 1,
    RefundState.FAILED: 2,
    RefundState.CANCELED: 2,
}
"""A refund may fail after it seemed to have succeeded, and never the other way round."""


def refund_in_event(refund: Refund, body: Body, now_us: int) -> Refund | None:
    """The refund as the Refund of a refund.* event shows it, one version on; None if it shows nothing new."""
    state = RefundState(body["status"])
    if _RANK[state] < _RANK[refund.state] or state is refund.state:
        return None
    return dataclasses.replace(refund, state=state, update_time_us=now_us, version=refund.version + 1)
