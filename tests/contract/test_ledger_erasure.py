"""Erasing in the ledger: rows take a new name, others go, settled effects are forgotten; together or not at all."""

from __future__ import annotations

import dataclasses

import pytest
from cloneservice_server.domain.values import CloneFlow, CloneState, ConnectedCustomer
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import (
    ChargeFilter,
    CloneFilter,
    DropConnectedCustomer,
    DropPlatformCustomer,
    EffectState,
    EffectTaken,
    ForgetEffects,
    NewEffect,
    Page,
    PutCharge,
    PutClone,
    PutConnectedCustomer,
    PutPlatformCustomer,
    SettleEffect,
    Write,
)

from tests.ledger_values import begin, call, charge, clone, customer

ALIAS = "erased_1"
DONE, OPEN, OTHER = "clone:acct_1:pm_1:0", "attach:clone_1:cus_2", "clone:acct_2:pm_2:0"


@pytest.fixture
async def filled(ledger: SqlLedger) -> SqlLedger:
    """A shopper's clone, charge and customers, and three effects: two settled, one still open."""
    claim = await begin(ledger)
    rows: list[Write] = [
        PutClone(clone(reusable=True)),
        PutCharge(charge()),
        PutPlatformCustomer(customer("cus_1", "zoe")),
        PutConnectedCustomer(ConnectedCustomer("acct_1", "cus_1", "cus_2")),
    ]
    await ledger.commit(claim, rows)
    for name in (DONE, OPEN, OTHER):
        await ledger.intend(claim, [], NewEffect(name, "clone", call()))
        if name != OPEN:
            await ledger.commit(claim, [SettleEffect(name, 0, "pm_2", {"id": "pm_2"})])
    return ledger


def tombstones() -> list[Write]:
    """The writes of an erasure."""
    gone = clone(
        reusable=True,
        state=CloneState.ERASED,
        platform_customer_id=ALIAS,
        platform_payment_method_id="erased_2",
        version=2,
    )
    return [
        PutCharge(charge(platform_customer_id=ALIAS, version=2)),
        PutClone(gone),
        ForgetEffects((DONE, OPEN, "none:such")),
        PutConnectedCustomer(ConnectedCustomer("acct_1", ALIAS, "", 1)),
        DropConnectedCustomer("acct_1", "cus_1"),
        DropPlatformCustomer("cus_1"),
        ForgetEffects(("none:at:all",)),
    ]


async def test_nothing_is_found_by_the_old_name(filled: SqlLedger) -> None:
    await filled.commit(None, tombstones())

    assert await filled.list_clones(CloneFilter(platform_customer_id="cus_1"), Page(10)) == []
    assert await filled.list_charges(ChargeFilter(platform_customer_id="cus_1"), Page(10)) == []
    assert await filled.get_connected_customer("acct_1", "cus_1") is None
    assert await filled.get_platform_customer("cus_1") is None
    assert await filled.find_platform_customer("zoe") is None
    assert await filled.find_reusable_clone("acct_1", "pm_1", CloneFlow.PAYMENT_METHOD) is None


async def test_the_tombstones_are_found_by_the_new_one(filled: SqlLedger) -> None:
    await filled.commit(None, tombstones())

    found = await filled.find_reusable_clone("acct_1", "erased_2", CloneFlow.PAYMENT_METHOD)
    assert found is not None
    assert found.state is CloneState.ERASED
    (kept,) = await filled.list_charges(ChargeFilter(platform_customer_id=ALIAS), Page(10))
    assert kept == charge(platform_customer_id=ALIAS, version=2)
    known = await filled.get_connected_customer("acct_1", ALIAS)
    assert known == ConnectedCustomer("acct_1", ALIAS, "", 1)


async def test_settled_effects_are_forgotten_and_open_ones_kept(filled: SqlLedger) -> None:
    await filled.commit(None, tombstones())

    assert await filled.get_effect(DONE) is None
    still = await filled.get_effect(OPEN)
    assert still is not None
    assert still.state is EffectState.INTENT
    assert await filled.get_effect(OTHER) is not None


async def test_a_row_that_moved_on_keeps_everything(filled: SqlLedger) -> None:
    moved = dataclasses.replace(clone(reusable=True), version=2, state=CloneState.STALE)
    await filled.commit(None, [PutClone(moved)])
    with pytest.raises(EffectTaken):
        await filled.commit(None, tombstones())

    assert await filled.get_platform_customer("cus_1") is not None
    assert await filled.get_effect(DONE) is not None
    assert await filled.get_clone("clone_1") == moved


async def test_charges_are_found_by_the_original_of_their_clone_and_by_time(filled: SqlLedger) -> None:
    await filled.commit(None, [PutClone(clone("clone_9", platform_payment_method_id="pm_9"))])
    await filled.commit(None, [PutCharge(charge("charge_9", clone_id="clone_9", create_time_us=9))])

    async def found(where: ChargeFilter) -> list[str]:
        return [one.charge_id for one in await filled.list_charges(where, Page(10))]

    of_card = ChargeFilter(platform_payment_method_id="pm_9")
    assert await found(of_card) == ["charge_9"]
    assert await found(dataclasses.replace(of_card, connected_account_id="acct_2")) == []
    assert await found(ChargeFilter(from_us=2)) == ["charge_9"]
    assert await found(ChargeFilter(before_us=9)) == ["charge_1"]
    assert await found(ChargeFilter(from_us=9, before_us=9)) == []
    clones = await filled.list_clones(CloneFilter(from_us=1, before_us=2), Page(10))
    assert {one.clone_id for one in clones} == {"clone_1", "clone_9"}
