"""What an event of Stripe's changes in a refund: it goes on, and never back."""

from __future__ import annotations

import pytest
from cloneservice_server.domain.values import Money, Refund, RefundState
from cloneservice_server.workflows.charge_events import refund_in_event
from cloneservice_server.workflows.stripe_objects import refunded_of

USD = Money(2000, "USD")


@pytest.mark.parametrize(
    ("known", "told", "changed"),
    [
        (RefundState.PENDING, "succeeded", True),
        (RefundState.SUCCEEDED, "failed", True),
        (RefundState.SUCCEEDED, "pending", False),
        (RefundState.FAILED, "succeeded", False),
        (RefundState.SUCCEEDED, "succeeded", False),
    ],
)
def test_a_refund_goes_on_and_never_back(known: RefundState, told: str, changed: bool) -> None:
    seen = refund_in_event(Refund("rfd_1", "chg_1", "acct_1", USD, known), {"id": "re_1", "status": told}, 5)

    assert (seen is not None) == changed
    assert seen is None or (seen.state.value, seen.version, seen.update_time_us) == (told, 2, 5)


@pytest.mark.parametrize(
    ("captured", "taken", "gone", "refunded"),
    [(True, 2000, 500, 500), (True, 1500, 500, 0), (True, 1500, 800, 300), (False, 0, 2000, 0)],
)
def test_what_was_released_was_not_refunded(captured: bool, taken: int, gone: int, refunded: int) -> None:
    body = {"captured": captured, "amount": 2000, "amount_captured": taken, "amount_refunded": gone}

    assert refunded_of(body) == refunded
