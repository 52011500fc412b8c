"""Stripe's request limits, and how many items of a batch they let through."""

from __future__ import annotations

from cloneservice_server.domain.batches import BatchOperation, BatchPlan
from cloneservice_server.ports_batches import HEADROOM, RateLimits

_CALLS = {BatchOperation.CLONE: 2, BatchOperation.REFRESH: 2, BatchOperation.REVOKE: 1, BatchOperation.ERASE: 2}


def items_per_second(plan: BatchPlan, limits: RateLimits) -> float:
    """What the limits allow if nothing else uses them; 0.0 where nothing limits. No endpoint is called twice."""
    finds_default = plan.operation is BatchOperation.CLONE and not plan.named
    calls = _CALLS[plan.operation] + plan.set_default + finds_default
    by_all = limits.per_second / calls if limits.per_second else 0.0
    ceilings = [rate for rate in (by_all, float(limits.per_endpoint)) if rate]
    return min(ceilings) * HEADROOM if ceilings else 0.0


def expected_s(plan: BatchPlan, count: int, limits: RateLimits) -> float:
    """How long so many items take at that rate; 0.0 where nothing limits."""
    rate = items_per_second(plan, limits)
    return count / rate if rate else 0.0
