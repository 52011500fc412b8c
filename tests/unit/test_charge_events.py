"""What an event of Stripe's changes: news is taken, the past and repetitions are not, in whatever order they come."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cloneservice_server.domain.values import Charge, ChargeState, Money, Refund, RefundState
from cloneservice_server.workflows.charge_events import (
    charge_in_charge_event,
    charge_in_intent_event,
    refund_in_event,
)

USD = Money(2000, "USD")
CHARGE = Charge("chg_1", "cln_1", "cus_1", "acct_1", USD, ChargeState.PROCESSING, stripe_payment_intent_id="pi_1")


def intent(status: str, **more: Any) -> dict[str, Any]:
    received = 2000 if status == "succeeded" else 0
    return {"id": "pi_1", "status": status, "amount_received": received, "latest_charge": "ch_1", **more}


FAILED = intent("requires_payment_method", last_payment_error={"code": "debit_not_authorized", "message": "No."})


@pytest.mark.parametrize(
    ("body", "state"),
    [(intent("succeeded"), ChargeState.SUCCEEDED), (FAILED, ChargeState.DECLINED)],
)
def test_a_debit_ends_as_the_bank_says(body: dict[str, Any], state: ChargeState) -> None:
    seen = charge_in_intent_event(CHARGE, body, 5)

    assert seen is not None
    assert (seen.state, seen.version, seen.update_time_us) == (state, 2, 5)
    assert charge_in_intent_event(seen, body, 6) is None


@pytest.mark.parametrize("end", ["succeeded", "canceled"])
def test_in_whatever_order_events_come_the_end_stays(end: str) -> None:
    for order in itertools.permutations([intent("processing"), intent("requires_action"), intent(end)]):
        charge = CHARGE
        for body in order:
            charge = charge_in_intent_event(charge, body, 5) or charge
        assert charge.state.value == end


def refunded(amount: int, **more: Any) -> dict[str, Any]:
    body = {"id": "ch_1", "captured": True, "amount": 2000, "amount_captured": 2000, "amount_refunded": amount}
    return {**body, **more}


def test_a_refund_by_others_is_counted_once() -> None:
    paid = charge_in_intent_event(CHARGE, intent("succeeded"), 5)
    assert paid is not None
    seen = charge_in_charge_event(paid, refunded(500), 6)

    assert seen is not None
    assert seen.amount_refunded == 500
    assert charge_in_charge_event(seen, refunded(500), 7) is None


def test_what_a_partial_capture_released_was_not_refunded() -> None:
    paid = charge_in_intent_event(CHARGE, intent("succeeded"), 5)
    assert paid is not None

    assert charge_in_charge_event(paid, refunded(500, amount_captured=1500), 6) is None


def test_an_event_of_another_attempt_changes_nothing() -> None:
    paid = charge_in_intent_event(CHARGE, intent("succeeded"), 5)
    assert paid is not None

    assert charge_in_charge_event(paid, refunded(500, id="ch_0"), 6) is None


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
    assert seen is None or seen.state.value == told
