from __future__ import annotations

import dataclasses

import pytest
from cloneservice_server.domain.values import ChargeState, CloneFlow, CloneState, ConnectedCustomer, RequestState
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ledger.part import Part
from cloneservice_server.ports import (
    ChargeFilter,
    Claim,
    CloneFilter,
    EffectState,
    EffectTaken,
    Fenced,
    FinishRequest,
    LinkRequest,
    Page,
    PutCharge,
    PutClone,
    PutConnectedCustomer,
    PutPlatformCustomer,
    SettleEffect,
    VoidEffect,
)

from tests.ledger_values import EXPIRED_S, LEASE_S, OTHER, SUCCEEDED, begin, call, charge, clone, customer, new_effect

EFFECT = "clone:acct_1:pm_1"
SETTLE = SettleEffect(EFFECT, 0, "pm_9", {"id": "pm_9", "name": "Zoë", "count": 3})
ALL = Page(100)


async def test_an_intent_is_stored_with_its_exact_call(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    row = await ledger.intend(claim, [], new_effect())
    assert (row.effect_id, row.kind, row.epoch, row.state) == (EFFECT, "clone", 0, EffectState.INTENT)
    assert row.call == call()
    assert row.request_id == "request-1"
    assert row.intent_time_us > 0
    assert (row.settle_time_us, row.stripe_id, row.result) == (0, "", {})
    assert await ledger.get_effect(EFFECT) == row


async def test_a_second_intent_gets_the_first_ones_call(ledger: SqlLedger) -> None:
    first = await ledger.intend(await begin(ledger), [], new_effect())
    second = await ledger.intend(await begin(ledger, "request-2"), [], new_effect(name="second"))
    assert second == first


async def test_an_intent_for_a_done_effect_gets_its_outcome(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [SETTLE])
    row = await ledger.intend(await begin(ledger, "request-2"), [], new_effect(name="second"))
    assert (row.state, row.stripe_id, row.result) == (EffectState.DONE, "pm_9", SETTLE.result)
    assert row.settle_time_us >= row.intent_time_us
    assert row.call == call()


async def test_a_voided_effect_takes_the_next_epoch_and_the_next_intents_call(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [VoidEffect(EFFECT, 0, '{"why":"declined"}')])
    void = await ledger.get_effect(EFFECT)
    assert void is not None
    assert (void.state, void.epoch, void.error) == (EffectState.VOID, 1, '{"why":"declined"}')
    other = await begin(ledger, "request-2")
    again = await ledger.intend(other, [], new_effect(name="second", kind="clone again"))
    assert (again.state, again.epoch, again.call) == (EffectState.INTENT, 1, call("second"))
    assert (again.request_id, again.kind) == ("request-2", "clone again")
    assert again.intent_time_us >= void.settle_time_us


async def test_voiding_and_intending_anew_is_one_transaction(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    row = await ledger.intend(claim, [VoidEffect(EFFECT, 0)], new_effect(name="second"))
    assert (row.state, row.epoch, row.call) == (EffectState.INTENT, 1, call("second"))


async def test_the_last_outcome_and_the_next_intent_are_one_transaction(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    row = await ledger.intend(claim, [SETTLE, PutClone(clone()), LinkRequest("clone_1")], new_effect("next"))
    settled = await ledger.get_effect(EFFECT)
    assert settled is not None
    assert (row.effect_id, settled.state) == ("next", EffectState.DONE)
    assert await ledger.get_clone("clone_1") == clone()


async def test_settling_may_strike_personal_data_out_of_the_stored_call(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [dataclasses.replace(SETTLE, scrubbed=call("gone"))])
    row = await ledger.get_effect(EFFECT)
    assert row is not None
    assert row.call == call("gone")


LATER_WRITES = [
    SETTLE,
    dataclasses.replace(SETTLE, stripe_id="pm_other"),
    VoidEffect(EFFECT, 0),
    dataclasses.replace(SETTLE, epoch=1),
    VoidEffect(EFFECT, 1),
]


@pytest.mark.parametrize("first", [SETTLE, VoidEffect(EFFECT, 0)], ids=["settled", "voided"])
@pytest.mark.parametrize("later", LATER_WRITES, ids=["same", "other id", "void", "next epoch", "void next epoch"])
async def test_the_first_writer_of_an_effect_wins(
    ledger: SqlLedger, first: SettleEffect | VoidEffect, later: SettleEffect | VoidEffect
) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [first])
    stored = await ledger.get_effect(EFFECT)
    with pytest.raises(EffectTaken):
        await ledger.commit(claim, [later])
    assert await ledger.get_effect(EFFECT) == stored


async def test_an_effect_never_intended_cannot_be_settled(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    with pytest.raises(EffectTaken):
        await ledger.commit(claim, [SETTLE])
    assert await ledger.get_effect(EFFECT) is None


async def test_an_owner_whose_claim_was_taken_writes_nothing_at_all(ledger: SqlLedger) -> None:
    old = await begin(ledger, lease_s=EXPIRED_S)
    await ledger.intend(old, [], new_effect())
    taken = await ledger.claim_request("request-1", OTHER, LEASE_S)
    with pytest.raises(Fenced):
        await ledger.commit(old, [SETTLE, PutClone(clone()), PutCharge(charge()), SUCCEEDED])
    with pytest.raises(Fenced):
        await ledger.intend(old, [SETTLE, PutClone(clone())], new_effect("next"))
    with pytest.raises(Fenced):
        await ledger.commit(old, [])
    effect = await ledger.get_effect(EFFECT)
    assert effect is not None
    assert effect.state is EffectState.INTENT
    assert await ledger.get_effect("next") is None
    assert await ledger.get_clone("clone_1") is None
    assert await ledger.get_charge("charge_1") is None
    assert await ledger.get_request("request-1") == taken


async def test_an_expired_lease_alone_does_not_stop_its_owner(ledger: SqlLedger) -> None:
    claim = await begin(ledger, lease_s=EXPIRED_S)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [SETTLE, SUCCEEDED])


async def test_a_run_that_has_ended_writes_no_more(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [FinishRequest(RequestState.PARKED)])
    with pytest.raises(Fenced):
        await ledger.commit(claim, [PutClone(clone())])
    with pytest.raises(Fenced):
        await ledger.intend(claim, [], new_effect())


@pytest.mark.parametrize("lost", ["the request", "the claim"])
async def test_a_fence_that_a_fail_over_took_back_is_not_given_again(ledger: SqlLedger, lost: str) -> None:
    """The standby lacks the last commits, and their owner goes on. Seed 43856 of the simulation."""
    claim = await begin(ledger, lease_s=EXPIRED_S)
    if lost == "the request":
        await ledger.write([Part("DELETE FROM request RETURNING request_id")])
        await begin(ledger)
    else:
        taken = await ledger.claim_request("request-1", OTHER, EXPIRED_S)
        assert taken is not None
        back = Part("UPDATE request SET fence = $1 RETURNING request_id", (claim.fence,))
        await ledger.write([back])
        claim = Claim("request-1", taken.fence)
        assert await ledger.claim_request("request-1", OTHER, LEASE_S) is not None
    with pytest.raises(Fenced):
        await ledger.commit(claim, [SUCCEEDED])


async def test_an_unknown_request_has_no_right_to_write(ledger: SqlLedger) -> None:
    with pytest.raises(Fenced):
        await ledger.commit(Claim("never seen", 1), [PutClone(clone())])
    assert await ledger.get_clone("clone_1") is None


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
async def test_one_write_that_cannot_be_undoes_all_others(ledger: SqlLedger, place: int) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    before = await ledger.get_request("request-1")
    writes: list[object] = [PutCharge(charge()), PutClone(clone())]
    writes.insert(place, VoidEffect("no such effect", 0))
    with pytest.raises(EffectTaken):
        await ledger.commit(claim, [*writes, SUCCEEDED])  # type: ignore[list-item]
    with pytest.raises(EffectTaken):
        await ledger.intend(claim, writes, new_effect("next"))  # type: ignore[arg-type]
    assert await ledger.get_charge("charge_1") is None
    assert await ledger.get_clone("clone_1") is None
    assert await ledger.get_effect("next") is None
    assert await ledger.get_request("request-1") == before


async def test_two_writes_of_one_row_happen_in_order(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    newer = clone(version=2, state=CloneState.ATTACHED)
    await ledger.commit(claim, [PutClone(clone()), PutClone(newer), SUCCEEDED])
    assert await ledger.get_clone("clone_1") == newer


async def test_two_writes_of_one_row_are_undone_together(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    with pytest.raises(EffectTaken):
        await ledger.commit(claim, [PutClone(clone()), PutClone(clone(version=3)), SUCCEEDED])
    assert await ledger.get_clone("clone_1") is None
    row = await ledger.get_request("request-1")
    assert row is not None
    assert row.state is RequestState.RUNNING


@pytest.mark.parametrize("claimed", [True, False], ids=["for a request", "for none"])
async def test_a_clone_or_charge_is_replaced_only_by_its_next_version(ledger: SqlLedger, claimed: bool) -> None:
    claim = await begin(ledger) if claimed else None
    await ledger.commit(claim, [PutClone(clone()), PutCharge(charge())])
    second = clone(version=2, state=CloneState.CONSUMED), charge(version=2, state=ChargeState.DECLINED)
    await ledger.commit(claim, [PutClone(second[0]), PutCharge(second[1])])
    for version in (1, 2, 4):
        with pytest.raises(EffectTaken):
            await ledger.commit(claim, [PutClone(clone(version=version))])
        with pytest.raises(EffectTaken):
            await ledger.commit(claim, [PutCharge(charge(version=version))])
    assert (await ledger.get_clone("clone_1"), await ledger.get_charge("charge_1")) == second


async def test_the_first_version_of_a_row_needs_no_predecessor_and_later_ones_do(ledger: SqlLedger) -> None:
    with pytest.raises(EffectTaken):
        await ledger.commit(None, [PutClone(clone(version=2))])
    with pytest.raises(EffectTaken):
        await ledger.commit(None, [PutCharge(charge(version=2))])
    assert await ledger.list_clones(CloneFilter(), ALL) == []
    assert await ledger.list_charges(ChargeFilter(), ALL) == []


async def test_only_one_clone_of_a_payment_method_on_an_account_by_a_flow_is_reusable(ledger: SqlLedger) -> None:
    key = ("acct_1", "pm_1", CloneFlow.PAYMENT_METHOD)
    assert await ledger.find_reusable_clone(*key) is None
    await ledger.commit(None, [PutClone(clone(reusable=True)), PutClone(clone("not reusable"))])
    with pytest.raises(EffectTaken):
        await ledger.commit(None, [PutClone(clone("second", reusable=True))])
    with pytest.raises(EffectTaken):
        await ledger.commit(None, [PutClone(clone("not reusable", version=2, reusable=True))])
    await ledger.commit(None, [PutClone(clone("other flow", reusable=True, flow=CloneFlow.TOKEN))])
    await ledger.commit(None, [PutClone(clone("other account", reusable=True, connected_account_id="acct_2"))])
    found = await ledger.find_reusable_clone(*key)
    assert found is not None
    assert found.clone_id == "clone_1"


async def test_the_reusable_clone_is_found_in_any_state(ledger: SqlLedger) -> None:
    stale = clone(reusable=True, state=CloneState.STALE)
    await ledger.commit(None, [PutClone(stale)])
    assert await ledger.find_reusable_clone("acct_1", "pm_1", CloneFlow.PAYMENT_METHOD) == stale


async def test_a_clone_hands_being_reusable_over_to_its_successor_in_one_transaction(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [PutClone(clone(reusable=True))])
    old = clone(version=2, reusable=False, superseded_by_clone_id="clone_2")
    new = clone("clone_2", reusable=True, generation=1)
    await ledger.commit(claim, [PutClone(old), PutClone(new)])
    assert await ledger.find_reusable_clone("acct_1", "pm_1", CloneFlow.PAYMENT_METHOD) == new
    assert await ledger.get_clone("clone_1") == old


async def test_an_external_reference_stands_for_one_platform_customer(ledger: SqlLedger) -> None:
    shopper = customer("cus_1", "shopper-7")
    await ledger.commit(None, [PutPlatformCustomer(shopper)])
    with pytest.raises(EffectTaken):
        await ledger.commit(None, [PutPlatformCustomer(customer("cus_2", "shopper-7"))])
    await ledger.commit(None, [PutPlatformCustomer(customer("cus_3")), PutPlatformCustomer(customer("cus_4"))])
    assert await ledger.find_platform_customer("shopper-7") == shopper
    assert await ledger.find_platform_customer("nobody") is None
    assert await ledger.get_platform_customer("cus_2") is None


async def test_a_platform_customer_is_replaced(ledger: SqlLedger) -> None:
    await ledger.commit(None, [PutPlatformCustomer(customer("cus_1", "shopper-7"))])
    newer = dataclasses.replace(customer("cus_1", "shopper-8"), default_platform_payment_method_id="pm_1")
    await ledger.commit(None, [PutPlatformCustomer(newer)])
    assert await ledger.get_platform_customer("cus_1") == newer
    assert await ledger.find_platform_customer("shopper-7") is None


async def test_a_connected_customer_is_found_by_account_and_platform_customer_and_replaced(ledger: SqlLedger) -> None:
    first = ConnectedCustomer("acct_1", "cus_1", "cus_9", 5)
    assert await ledger.get_connected_customer("acct_1", "cus_1") is None
    await ledger.commit(None, [PutConnectedCustomer(first)])
    assert await ledger.get_connected_customer("acct_1", "cus_1") == first
    assert await ledger.get_connected_customer("acct_2", "cus_1") is None
    second = dataclasses.replace(first, connected_customer_id="cus_10")
    await ledger.commit(None, [PutConnectedCustomer(second)])
    assert await ledger.get_connected_customer("acct_1", "cus_1") == second


async def test_an_empty_commit_checks_the_claim_and_one_for_no_request_does_nothing(ledger: SqlLedger) -> None:
    await ledger.commit(await begin(ledger), [])
    await ledger.commit(None, [])


async def test_an_effect_keeps_the_request_id_of_stripes_last_answer(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [VoidEffect(EFFECT, 0, "{}", "req_refused")])
    refused = await ledger.get_effect(EFFECT)
    await ledger.intend(claim, [], new_effect())
    await ledger.commit(claim, [dataclasses.replace(SETTLE, epoch=1, stripe_request_id="req_done")])
    done = await ledger.get_effect(EFFECT)

    assert [row and row.stripe_request_id for row in (refused, done)] == ["req_refused", "req_done"]
