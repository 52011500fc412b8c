"""Refunds, baskets, and the ways by which events find what they are about, in every store."""

from __future__ import annotations

import dataclasses

import pytest
from cloneservice_server.domain.baskets import Basket, BasketLeg, BasketLegState, BasketState
from cloneservice_server.domain.values import CloneFlow, Money, Refund, RefundState
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import (
    EffectTaken,
    Page,
    PutBasket,
    PutCharge,
    PutRefund,
    SettleEffect,
    VoidEffect,
)

from tests.ledger_values import begin, charge, new_effect

USD = Money(500, "USD")
LEGS = (
    BasketLeg("acct_1", USD, 50, BasketLegState.CAPTURED, "charge_1"),
    BasketLeg("acct_2", Money(700, "EUR"), error='{"why":"é"}'),
)
BASKET = Basket("basket_1", "cus_1", "pm_1", CloneFlow.PAYMENT_METHOD, BasketState.AUTHORIZING, LEGS, "request-1")


def refund(number: int, **changed: object) -> Refund:
    known = Refund(
        f"refund_{number}",
        "charge_1",
        "acct_1",
        USD,
        RefundState.SUCCEEDED,
        stripe_refund_id=f"re_{number}",
        metadata={"rma": "7 €"},
        create_time_us=number // 2,
    )
    return dataclasses.replace(known, **changed)  # type: ignore[arg-type]


async def test_refunds_of_a_charge_are_listed_newest_first_page_by_page(ledger: SqlLedger) -> None:
    kept = [refund(number) for number in range(1, 6)]
    other = refund(9, charge_id="charge_2")
    await ledger.commit(None, [PutRefund(each) for each in (*kept, other)])

    first = await ledger.list_refunds("charge_1", Page(2))
    rest = await ledger.list_refunds("charge_1", Page(9, first[-1].create_time_us, first[-1].refund_id))

    assert first + rest == kept[::-1]
    assert await ledger.get_refund("refund_9") == other
    assert await ledger.get_refund("refund_8") is None


async def test_a_refund_is_found_by_stripes_id_on_its_own_account_only(ledger: SqlLedger) -> None:
    await ledger.commit(None, [PutRefund(refund(1))])

    assert await ledger.find_refund("acct_1", "re_1") == refund(1)
    assert await ledger.find_refund("acct_2", "re_1") is None


async def test_a_charge_is_found_by_its_payment_intent_on_its_own_account_only(ledger: SqlLedger) -> None:
    known = charge(stripe_payment_intent_id="pi_1")
    await ledger.commit(None, [PutCharge(known), PutCharge(charge("charge_2"))])

    assert await ledger.find_charge("acct_1", "pi_1") == known
    assert await ledger.find_charge("acct_2", "pi_1") is None
    assert await ledger.find_charge("acct_1", "") is None


@pytest.mark.parametrize("version", [1, 3])
async def test_a_version_out_of_turn_is_refused(ledger: SqlLedger, version: int) -> None:
    await ledger.commit(None, [PutRefund(refund(1)), PutBasket(BASKET)])
    for write in (
        PutRefund(refund(1, version=version)),
        PutBasket(dataclasses.replace(BASKET, version=version)),
    ):
        with pytest.raises(EffectTaken):
            await ledger.commit(None, [write])


async def test_a_basket_is_read_as_it_was_written(ledger: SqlLedger) -> None:
    ended = dataclasses.replace(BASKET, state=BasketState.BROKEN, error="{}", version=2, metadata={"cart": "1"})
    await ledger.commit(None, [PutBasket(BASKET)])
    before = await ledger.get_basket("basket_1")
    await ledger.commit(None, [PutBasket(ended)])

    assert (before, await ledger.get_basket("basket_1")) == (BASKET, ended)
    assert await ledger.get_basket("basket_2") is None


async def test_open_effects_are_the_requests_own_that_are_neither_done_nor_void(ledger: SqlLedger) -> None:
    claim, other = await begin(ledger), await begin(ledger, "request-2")
    for name in ("done", "void", "open", "open too"):
        await ledger.intend(claim, [], new_effect(name))
    await ledger.intend(other, [], new_effect("another's"))
    await ledger.commit(claim, [SettleEffect("done", 0, "pm_1", {}), VoidEffect("void", 0)])

    assert [row.effect_id for row in await ledger.open_effects("request-1")] == ["open", "open too"]
    assert await ledger.open_effects("request-3") == []
