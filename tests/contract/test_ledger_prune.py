from __future__ import annotations

from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import Claim, FinishRequest, PutCharge, PutClone, SettleEffect
from cloneservice_server.ports_observer import Unfinished

from tests.ledger_values import LEASE_S, OWNER, SUCCEEDED, begin, charge, clone, new_effect, new_request

DAY_S = 86_400.0


async def finished(ledger: SqlLedger, request_id: str, state: RequestState = RequestState.SUCCEEDED) -> None:
    """A request with an effect of its own and one named after what it made."""
    claim = await begin(ledger, request_id)
    own, shared = f"intent:{request_id}", f"clone:acct_1:pm_{request_id}"
    await ledger.intend(claim, [], new_effect(own))
    await ledger.intend(claim, [SettleEffect(own, 0, "pi_1", {})], new_effect(shared))
    await ledger.commit(claim, [SettleEffect(shared, 0, "pm_1", {}), FinishRequest(state)])


async def test_finished_requests_are_forgotten_with_their_own_effects_once_old_enough(ledger: SqlLedger) -> None:
    await finished(ledger, "one")
    await finished(ledger, "two", RequestState.FAILED)
    assert await ledger.prune(DAY_S) == 0
    assert await ledger.get_request("one") is not None
    assert await ledger.prune(0.0) == 2
    for name in ("one", "two"):
        assert await ledger.get_request(name) is None
        assert await ledger.get_effect(f"intent:{name}") is None
    assert await ledger.prune(0.0) == 0


async def test_the_lineage_stays_and_so_do_the_effects_it_is_found_by(ledger: SqlLedger) -> None:
    await finished(ledger, "one")
    await ledger.commit(None, [PutClone(clone()), PutCharge(charge(request_id="one"))])
    await ledger.prune(0.0)
    assert await ledger.get_clone("clone_1") == clone()
    assert await ledger.get_charge("charge_1") is not None
    assert await ledger.get_effect("clone:acct_1:pm_one") is not None


async def test_a_request_that_runs_or_whose_outcome_is_awaited_is_never_forgotten(ledger: SqlLedger) -> None:
    await begin(ledger, "running", 0.0)
    await ledger.commit(await begin(ledger, "awaited"), [FinishRequest(RequestState.INDETERMINATE)])
    assert await ledger.prune(0.0) == 0


async def test_a_parked_request_that_nobody_came_back_for_is_forgotten(ledger: SqlLedger) -> None:
    await ledger.commit(await begin(ledger, "parked"), [FinishRequest(RequestState.PARKED)])
    assert await ledger.prune(DAY_S) == 0
    assert await ledger.prune(0.0) == 1


async def test_unfinished_requests_are_counted_and_one_whose_outcome_is_being_learnt_is_still_awaited(
    ledger: SqlLedger,
) -> None:
    assert await ledger.count_unfinished() == Unfinished()
    await begin(ledger, "running")
    await finished(ledger, "finished")
    await ledger.commit(await begin(ledger, "parked"), [FinishRequest(RequestState.PARKED)])
    for name in ("awaited", "being learnt"):
        await ledger.commit(await begin(ledger, name), [FinishRequest(RequestState.INDETERMINATE, retry_after_us=1)])
    assert await ledger.claim_request("being learnt", OWNER, LEASE_S) is not None

    counts = await ledger.count_unfinished()

    assert (counts.running, counts.indeterminate, counts.parked) == (1, 2, 1)
    assert 0 < counts.oldest_indeterminate_s < LEASE_S


async def test_an_effect_whose_outcome_is_unknown_outlives_its_request(ledger: SqlLedger) -> None:
    claim = await begin(ledger, "one")
    await ledger.intend(claim, [], new_effect("intent:one"))
    await ledger.commit(claim, [SUCCEEDED])
    assert await ledger.prune(0.0) == 1
    assert await ledger.get_effect("intent:one") is not None


async def test_pruning_goes_in_steps_oldest_first(ledger: SqlLedger) -> None:
    for number in range(5):
        await finished(ledger, f"request-{number}")
    assert [await ledger.prune(0.0, limit=2) for _ in range(2)] == [2, 2]
    left = [number for number in range(5) if await ledger.get_request(f"request-{number}")]
    assert left == [4]


async def test_a_forgotten_request_id_is_new_again(ledger: SqlLedger) -> None:
    await finished(ledger, "one")
    await ledger.prune(0.0)
    row, inserted = await ledger.begin_request(new_request("one"), OWNER, LEASE_S)
    assert inserted
    await ledger.intend(Claim("one", row.fence), [], new_effect("intent:one"))
