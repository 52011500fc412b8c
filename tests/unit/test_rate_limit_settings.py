"""Which rate limits batches keep: Stripe's own where Stripe is, none at a double, and what is asked for anywhere."""

from __future__ import annotations

import pytest
from cloneservice_server.domain.batches import BatchOperation, BatchPlan
from cloneservice_server.ports_batches import RateLimits
from cloneservice_server.settings import load
from cloneservice_server.workflows.batch_rates import expected_s, items_per_second

TEST_KEY, LIVE_KEY = "sk_test_x", "sk_live_x"  # read by nobody


@pytest.mark.parametrize(
    ("flags", "key", "limits"),
    [
        ({}, TEST_KEY, RateLimits(25, 25)),
        ({}, LIVE_KEY, RateLimits(100, 25)),
        ({"stripe": "fake"}, "", RateLimits(0, 0)),
        ({"stripe": "http://127.0.0.1:12111"}, TEST_KEY, RateLimits(0, 0)),
        ({"stripe_rate_limit": "400", "stripe_endpoint_rate_limit": "200"}, LIVE_KEY, RateLimits(400, 200)),
        ({"stripe": "http://127.0.0.1:12111", "stripe_rate_limit": "10"}, TEST_KEY, RateLimits(10, 0)),
    ],
)
def test_limits_follow_the_mode_of_the_key(flags: dict[str, str], key: str, limits: RateLimits) -> None:
    assert load(flags, {"STRIPE_API_KEY": key}).rate_limits == limits


@pytest.mark.parametrize(
    ("plan", "limits", "rate"),
    [
        (BatchPlan(BatchOperation.CLONE, named=True), RateLimits(100, 25), 25 * 0.97),
        (BatchPlan(BatchOperation.CLONE, named=True), RateLimits(25, 25), 12.5 * 0.97),
        (BatchPlan(BatchOperation.CLONE), RateLimits(25, 25), 25 / 3 * 0.97),
        (BatchPlan(BatchOperation.CLONE, set_default=True), RateLimits(24, 0), 6 * 0.97),
        (BatchPlan(BatchOperation.REVOKE), RateLimits(0, 25), 25 * 0.97),
        (BatchPlan(BatchOperation.REVOKE), RateLimits(0, 0), 0.0),
    ],
)
def test_a_batch_goes_as_fast_as_its_tightest_limit(plan: BatchPlan, limits: RateLimits, rate: float) -> None:
    assert items_per_second(plan, limits) == pytest.approx(rate)
    assert expected_s(plan, 1000, limits) == pytest.approx(1000 / rate if rate else 0.0)
