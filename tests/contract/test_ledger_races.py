from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from cloneservice_server.domain.values import CloneFlow
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import (
    ChargeFilter,
    Claim,
    EffectState,
    EffectTaken,
    Fenced,
    Page,
    PutCharge,
    PutClone,
    SettleEffect,
    VoidEffect,
    Write,
)

from tests.ledger_values import EXPIRED_S, LEASE_S, SUCCEEDED, begin, charge, clone, new_effect, new_request

T = TypeVar("T")
Replicas = tuple[SqlLedger, SqlLedger]
EFFECT = "clone:acct_1:pm_1"
RACERS = 24


async def race(attempts: list[Awaitable[T]]) -> tuple[list[T], list[Exception]]:
    """All at once: what succeeded, and how the others failed."""
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)], failed


async def test_of_many_inserts_of_one_request_one_is_the_inserter(replicas: Replicas) -> None:
    done, failed = await race(
        [replicas[number % 2].begin_request(new_request(), f"owner-{number}", LEASE_S) for number in range(RACERS)]
    )
    assert not failed
    inserted = [row for row, is_new in done if is_new]
    assert len(inserted) == 1
    assert {row for row, _ in done} == {inserted[0]}


async def test_of_many_claims_of_one_request_one_gets_it(replicas: Replicas) -> None:
    await begin(replicas[0], lease_s=EXPIRED_S)
    done, failed = await race(
        [replicas[number % 2].claim_request("request-1", f"owner-{number}", LEASE_S) for number in range(RACERS)]
    )
    assert not failed
    claimed = [row for row in done if row is not None]
    assert [row.attempts for row in claimed] == [2]
    assert claimed[0] == await replicas[1].get_request("request-1")


async def test_replicas_that_look_for_due_work_together_share_it_without_overlap(replicas: Replicas) -> None:
    names = {f"request-{number:02}" for number in range(40)}
    for name in names:
        await begin(replicas[0], name, EXPIRED_S)
    taken: list[str] = []
    while len(taken) < len(names):
        done, failed = await race(
            [replicas[number % 2].claim_due(f"owner-{number}", LEASE_S, 4) for number in range(6)]
        )
        assert not failed
        assert all(len(found) <= 4 for found in done)
        taken += [row.request_id for found in done for row in found]
    assert sorted(taken) == sorted(names)


async def test_of_many_intents_of_one_effect_all_get_the_same_call(replicas: Replicas) -> None:
    claims = [await begin(replicas[0], f"request-{number}") for number in range(RACERS)]
    done, failed = await race(
        [
            replicas[number % 2].intend(claim, [], new_effect(name=f"from {claim.request_id}"))
            for number, claim in enumerate(claims)
        ]
    )
    assert not failed
    assert len(done) == RACERS
    assert {row.epoch for row in done} == {0}
    assert len({str(row.call) for row in done}) == 1
    assert done[0] == await replicas[1].get_effect(EFFECT)


async def test_of_many_settlers_of_one_effect_one_wins_and_its_whole_transaction_stands(replicas: Replicas) -> None:
    claims = [await begin(replicas[0], f"request-{number}") for number in range(RACERS)]
    await replicas[0].intend(claims[0], [], new_effect())

    async def settle(number: int) -> str:
        writes: list[Write] = [
            SettleEffect(EFFECT, 0, f"pm_{number}", {}),
            PutCharge(charge(f"charge_{number}")),
            SUCCEEDED,
        ]
        await replicas[number % 2].commit(claims[number], writes)
        return f"{number}"

    done, failed = await race([settle(number) for number in range(RACERS)])
    assert len(done) == 1
    assert [type(error) for error in failed] == [EffectTaken] * (RACERS - 1)
    effect = await replicas[1].get_effect(EFFECT)
    assert effect is not None
    assert (effect.state, effect.stripe_id) == (EffectState.DONE, f"pm_{done[0]}")
    listed = await replicas[1].list_charges(ChargeFilter(), Page(100))
    assert [row.charge_id for row in listed] == [f"charge_{done[0]}"]


async def test_settling_against_voiding_leaves_one_truth(replicas: Replicas) -> None:
    claim = await begin(replicas[0])
    for number in range(10):
        name = f"effect-{number}"
        await replicas[0].intend(claim, [], new_effect(name))
        done, failed = await race(
            [
                replicas[0].commit(None, [SettleEffect(name, 0, "pm_9", {})]),
                replicas[1].commit(None, [VoidEffect(name, 0)]),
            ]
        )
        assert len(done) == len(failed) == 1
        assert isinstance(failed[0], EffectTaken)


async def test_many_first_clones_of_one_payment_method_on_one_account_become_one(replicas: Replicas) -> None:
    claims = [await begin(replicas[0], f"request-{number}") for number in range(RACERS)]
    done, failed = await race(
        [
            replicas[number % 2].commit(claim, [PutClone(clone(f"clone_{number}", reusable=True))])
            for number, claim in enumerate(claims)
        ]
    )
    assert len(done) == 1
    assert {type(error) for error in failed} == {EffectTaken}
    assert await replicas[1].find_reusable_clone("acct_1", "pm_1", CloneFlow.PAYMENT_METHOD) is not None


async def test_of_many_writers_of_a_version_one_wins(replicas: Replicas) -> None:
    await replicas[0].commit(None, [PutClone(clone())])
    done, failed = await race(
        [
            replicas[number % 2].commit(None, [PutClone(clone(version=2, last_error=f"{number}"))])
            for number in range(RACERS)
        ]
    )
    assert len(done) == 1
    assert {type(error) for error in failed} == {EffectTaken}


async def test_an_owner_writing_while_another_claims_is_either_before_it_or_fenced(replicas: Replicas) -> None:
    for number in range(20):
        name = f"request-{number}"
        old = await begin(replicas[0], name, EXPIRED_S)
        written, taken = await asyncio.gather(
            replicas[0].commit(old, [PutCharge(charge(f"charge_{number}"))]),
            replicas[1].claim_request(name, "thief", LEASE_S),
            return_exceptions=True,
        )
        assert not isinstance(taken, BaseException)
        assert taken is not None
        stored = await replicas[1].get_charge(f"charge_{number}")
        assert isinstance(written, Fenced) == (stored is None)
        await replicas[1].commit(Claim(name, taken.fence), [SUCCEEDED])


async def test_replicas_that_forget_old_requests_together_forget_each_once(replicas: Replicas) -> None:
    for number in range(60):
        name = f"request-{number}"
        claim = await begin(replicas[0], name)
        await replicas[0].intend(claim, [], new_effect(f"intent:{name}"))
        await replicas[0].commit(claim, [SettleEffect(f"intent:{name}", 0, "pi_1", {}), SUCCEEDED])

    async def forget(ledger: SqlLedger) -> int:
        return sum([await ledger.prune(0.0, limit=7) for _ in range(20)])

    assert sum(await asyncio.gather(*(forget(replica) for replica in replicas * 2))) == 60
    assert await replicas[0].get_effect("intent:request-59") is None


async def test_transactions_that_take_the_same_rows_in_opposite_order_all_finish(replicas: Replicas) -> None:
    await replicas[0].commit(None, [PutClone(clone("clone_a")), PutClone(clone("clone_b"))])

    async def bump(replica: SqlLedger, names: tuple[str, str]) -> None:
        while True:
            rows = [await replica.get_clone(name) for name in names]
            writes = [PutClone(clone(row.clone_id, version=row.version + 1)) for row in rows if row is not None]
            try:
                await replica.commit(None, writes)
            except EffectTaken:
                continue
            return

    there, back = ("clone_a", "clone_b"), ("clone_b", "clone_a")
    await asyncio.gather(*(bump(replicas[number % 2], there if number % 3 else back) for number in range(12)))
    versions = {name: await replicas[0].get_clone(name) for name in there}
    assert {name: row.version for name, row in versions.items() if row} == {"clone_a": 13, "clone_b": 13}
