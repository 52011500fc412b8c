from __future__ import annotations

import pytest
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import Claim, Fenced, FinishRequest, LinkRequest

from tests.ledger_values import EXPIRED_S, LEASE_S, OTHER, OWNER, SUCCEEDED, begin, new_request


async def test_a_new_request_is_running_leased_to_its_owner(ledger: SqlLedger) -> None:
    row, inserted = await ledger.begin_request(new_request(), OWNER, LEASE_S)
    assert inserted
    assert (row.state, row.owner, row.attempts) == (RequestState.RUNNING, OWNER, 1)
    assert (row.method, row.request_hash, row.command, row.caller) == (
        "CreateCharge",
        "hash",
        '{"name":"Zoë"}',
        "shop",
    )
    assert row.lease_until_us == row.create_time_us + LEASE_S * 1_000_000
    assert row.update_time_us == row.create_time_us > 0
    assert await ledger.get_request("request-1") == row


async def test_a_known_request_is_returned_as_it_is_and_not_inserted(ledger: SqlLedger) -> None:
    first, _ = await ledger.begin_request(new_request(), OWNER, LEASE_S)
    again, inserted = await ledger.begin_request(new_request(request_hash="other", command="{}"), OTHER, LEASE_S)
    assert not inserted
    assert again == first


async def test_an_unknown_request_reads_as_none(ledger: SqlLedger) -> None:
    assert await ledger.get_request("request-1") is None
    assert await ledger.claim_request("request-1", OWNER, LEASE_S) is None


async def test_a_live_lease_cannot_be_claimed_not_even_by_its_owner(ledger: SqlLedger) -> None:
    await begin(ledger)
    assert await ledger.claim_request("request-1", OTHER, LEASE_S) is None
    assert await ledger.claim_request("request-1", OWNER, LEASE_S) is None
    assert await ledger.claim_due(OTHER, LEASE_S, 10) == []


async def test_a_lease_run_out_is_claimed_with_a_higher_fence(ledger: SqlLedger) -> None:
    claim = await begin(ledger, lease_s=EXPIRED_S)
    row = await ledger.claim_request("request-1", OTHER, LEASE_S)
    assert row is not None
    assert (row.owner, row.attempts, row.state) == (OTHER, 2, RequestState.RUNNING)
    assert row.fence > claim.fence
    assert row == await ledger.get_request("request-1")
    assert await ledger.claim_request("request-1", "replica-3", LEASE_S) is None


@pytest.mark.parametrize("state", [RequestState.PARKED, RequestState.INDETERMINATE])
async def test_a_released_request_is_claimed_at_once_and_runs_again(ledger: SqlLedger, state: RequestState) -> None:
    claim = await begin(ledger)
    hour_us = 3_600_000_000
    await ledger.commit(claim, [FinishRequest(state, error='{"why":"so far"}', retry_after_us=hour_us)])
    released = await ledger.get_request("request-1")
    assert released is not None
    assert (released.state, released.lease_until_us, released.error) == (state, 0, '{"why":"so far"}')
    row = await ledger.claim_request("request-1", OTHER, LEASE_S)
    assert row is not None
    assert (row.state, row.error) == (RequestState.RUNNING, '{"why":"so far"}')
    assert row.fence > claim.fence


@pytest.mark.parametrize("state", [RequestState.SUCCEEDED, RequestState.FAILED])
async def test_a_finished_request_is_never_claimed(ledger: SqlLedger, state: RequestState) -> None:
    claim = await begin(ledger, lease_s=EXPIRED_S)
    await ledger.commit(claim, [FinishRequest(state)])
    assert await ledger.claim_request("request-1", OTHER, LEASE_S) is None
    assert await ledger.claim_due(OTHER, LEASE_S, 10) == []


async def test_due_are_requests_whose_lease_ran_out_and_indeterminate_ones_whose_time_has_come(
    ledger: SqlLedger,
) -> None:
    names = ("abandoned", "asked again later", "asked again now", "parked", "finished")
    claims = {name: await begin(ledger, name, EXPIRED_S) for name in names}
    await begin(ledger, "running")
    later = FinishRequest(RequestState.INDETERMINATE, retry_after_us=3_600_000_000)
    await ledger.commit(claims["asked again later"], [later])
    await ledger.commit(claims["asked again now"], [FinishRequest(RequestState.INDETERMINATE)])
    await ledger.commit(claims["parked"], [FinishRequest(RequestState.PARKED)])
    await ledger.commit(claims["finished"], [SUCCEEDED])
    due = await ledger.claim_due(OTHER, LEASE_S, 10)
    assert [row.request_id for row in due] == ["abandoned", "asked again now"]
    assert {(row.owner, row.attempts, row.state) for row in due} == {(OTHER, 2, RequestState.RUNNING)}
    assert all(row.fence > claims[row.request_id].fence for row in due)
    assert await ledger.claim_due("replica-3", LEASE_S, 10) == []


async def test_an_indeterminate_request_keeps_the_time_of_its_next_attempt(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [FinishRequest(RequestState.INDETERMINATE, retry_after_us=5_000_000)])
    row = await ledger.get_request("request-1")
    assert row is not None
    assert row.retry_time_us == row.update_time_us + 5_000_000


async def test_claiming_due_requests_takes_the_oldest_up_to_the_limit(ledger: SqlLedger) -> None:
    for number in range(5):
        await begin(ledger, f"request-{number}", EXPIRED_S)
    first = await ledger.claim_due(OTHER, LEASE_S, 2)
    second = await ledger.claim_due(OTHER, LEASE_S, 10)
    assert [row.request_id for row in first] == ["request-0", "request-1"]
    assert [row.request_id for row in second] == ["request-2", "request-3", "request-4"]


async def test_renewing_holds_a_lease_that_would_have_run_out(ledger: SqlLedger) -> None:
    claim = await begin(ledger, lease_s=EXPIRED_S)
    assert await ledger.renew(OWNER, [claim], LEASE_S) == set()
    assert await ledger.claim_request("request-1", OTHER, LEASE_S) is None


async def test_renewing_tells_which_claims_are_lost_and_leaves_them_alone(ledger: SqlLedger) -> None:
    kept, lost = await begin(ledger, "kept"), await begin(ledger, "lost", EXPIRED_S)
    taken = await ledger.claim_request("lost", OTHER, LEASE_S)
    assert await ledger.renew(OWNER, [kept, lost, Claim("never seen", 1)], LEASE_S * 2) == {"lost", "never seen"}
    assert await ledger.get_request("lost") == taken
    renewed = await ledger.get_request("kept")
    assert renewed is not None
    assert renewed.lease_until_us > renewed.create_time_us + LEASE_S * 1_000_000


async def test_many_leases_are_renewed_together(ledger: SqlLedger) -> None:
    claims = [await begin(ledger, f"request-{number}", EXPIRED_S) for number in range(300)]
    await ledger.claim_request("request-7", OTHER, LEASE_S)
    assert await ledger.renew(OWNER, claims, LEASE_S) == {"request-7"}
    assert await ledger.claim_due(OTHER, LEASE_S, 10) == []


async def test_renewing_the_older_of_ones_own_two_claims_finds_it_lost(ledger: SqlLedger) -> None:
    old = await begin(ledger, lease_s=EXPIRED_S)
    assert await ledger.claim_request("request-1", OWNER, LEASE_S) is not None
    assert await ledger.renew(OWNER, [old], LEASE_S) == {"request-1"}


async def test_a_request_finished_meanwhile_is_neither_lost_nor_leased_again(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [SUCCEEDED])
    assert await ledger.renew(OWNER, [claim], LEASE_S) == set()
    row = await ledger.get_request("request-1")
    assert row is not None
    assert row.lease_until_us == 0


async def test_finishing_stores_the_answer_and_releases_the_lease(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    done = FinishRequest(
        RequestState.SUCCEEDED,
        result='{"x":"ü"}',
        clone_id="clone_1",
        charge_id="charge_1",
        batch_id="batch_1",
        scrubbed_command='{"scrubbed":true}',
    )
    await ledger.commit(claim, [done])
    row = await ledger.get_request("request-1")
    assert row is not None
    assert (row.state, row.result, row.error, row.lease_until_us) == (RequestState.SUCCEEDED, '{"x":"ü"}', "", 0)
    assert (row.clone_id, row.charge_id, row.batch_id) == ("clone_1", "charge_1", "batch_1")
    assert row.command == '{"scrubbed":true}'


async def test_what_a_request_is_making_can_be_linked_while_it_runs_and_stays_linked(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [LinkRequest(clone_id="clone_1")])
    await ledger.commit(claim, [LinkRequest(charge_id="charge_1")])
    running = await ledger.get_request("request-1")
    assert running is not None
    assert (running.state, running.clone_id, running.charge_id) == (RequestState.RUNNING, "clone_1", "charge_1")
    await ledger.commit(claim, [SUCCEEDED])
    finished = await ledger.get_request("request-1")
    assert finished is not None
    assert (finished.clone_id, finished.charge_id) == ("clone_1", "charge_1")


async def test_link_and_finish_in_one_transaction_keep_both(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [LinkRequest(clone_id="clone_1"), LinkRequest(charge_id="charge_1"), SUCCEEDED])
    row = await ledger.get_request("request-1")
    assert row is not None
    assert (row.clone_id, row.charge_id, row.state) == ("clone_1", "charge_1", RequestState.SUCCEEDED)


async def test_an_answer_once_given_is_never_changed(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    await ledger.commit(claim, [SUCCEEDED])
    with pytest.raises(Fenced):
        await ledger.commit(claim, [FinishRequest(RequestState.FAILED, error="{}")])
    row = await ledger.get_request("request-1")
    assert row is not None
    assert (row.state, row.result) == (RequestState.SUCCEEDED, '{"answer":"the first"}')


async def test_a_requests_own_writes_need_its_claim(ledger: SqlLedger) -> None:
    for write in (SUCCEEDED, LinkRequest(clone_id="clone_1")):
        with pytest.raises(ValueError, match="claim"):
            await ledger.commit(None, [write])


async def test_a_request_cannot_be_finished_as_running(ledger: SqlLedger) -> None:
    claim = await begin(ledger)
    with pytest.raises(ValueError, match="RUNNING"):
        await ledger.commit(claim, [FinishRequest(RequestState.RUNNING)])


async def test_a_ledger_belongs_to_one_mode_and_outlives_a_change_of_keys(
    replicas: tuple[SqlLedger, SqlLedger],
) -> None:
    first, second = replicas
    await first.bind("key-1", livemode=False)
    await second.bind("key-2", livemode=False)
    with pytest.raises(ValueError, match="test mode"):
        await second.bind("key-1", livemode=True)


async def test_a_ledger_that_works_answers_a_ping(ledger: SqlLedger) -> None:
    await ledger.ping()
    await ledger.ping()
