"""Trying again: never with another request_id, never beyond the deadline, never sooner than the service asks."""

from typing import Any

import pytest
from cloneservice import (
    BatchState,
    CloneServiceError,
    EtagMismatch,
    Money,
    OutcomeUnknown,
    RequestInProgress,
    ResourceNotFound,
    RetryPolicy,
    StripeRateLimited,
    TransportError,
)
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types
from grpc import StatusCode

from tests.fakes_clients import AsyncioDriver, BlockingDriver, Driver
from tests.fakes_grpc import Reply, ScriptedService, refusal, serving

DONE = pb.CreateChargeResponse(charge=types.Charge(charge_id="chg_1"))
BUSY = refusal(StatusCode.ABORTED, "REQUEST_IN_PROGRESS", retry_after_s=2)
AGAIN_AT_ONCE = [("grpc.service_config", '{"methodConfig": []}'), ("grpc.enable_retries", 0)]
"""Turns the channel's own retries off, where a test is about ours."""


@pytest.fixture
def service() -> Any:
    return ScriptedService()


@pytest.fixture(params=[BlockingDriver, AsyncioDriver], ids=["sync", "asyncio"])
def client(request: pytest.FixtureRequest, service: ScriptedService) -> Any:
    with serving(service) as target:
        yield request.param(target)


@pytest.mark.parametrize(
    "busy",
    [
        BUSY,
        refusal(StatusCode.RESOURCE_EXHAUSTED, "STRIPE_RATE_LIMITED", retry_after_s=2),
        refusal(StatusCode.RESOURCE_EXHAUSTED, "SERVICE_OVERLOADED", retry_after_s=2),
    ],
)
async def test_not_now_is_tried_again_after_the_time_asked_for_under_one_request_id(
    client: Driver, service: ScriptedService, busy: Any
) -> None:
    service.answer("CreateCharge", busy, busy, DONE)

    done = await client.call("create_charge", "cln_1", Money(1099, "usd"))

    assert done.charge.charge_id == "chg_1"
    assert [sent.request_id for sent in service.requests("CreateCharge")] == [done.request_id] * 3
    assert len({sent.SerializeToString() for sent in service.requests("CreateCharge")}) == 1
    assert all(2 <= pause <= 2 * 1.2 for pause in client.time.slept_s)
    assert len(client.time.slept_s) == 2


async def test_each_try_is_sent_what_is_left_of_the_deadline(client: Driver, service: ScriptedService) -> None:
    service.answer("CreateCharge", refusal(StatusCode.ABORTED, "REQUEST_IN_PROGRESS", retry_after_s=300), DONE)

    await client.call("create_charge", "cln_1", Money(1099, "usd"), timeout_s=500)

    first, second = [got.time_remaining_s for got in service.received]
    assert first > 400
    assert second < 250


async def test_a_wait_that_would_use_up_the_deadline_is_not_begun(client: Driver, service: ScriptedService) -> None:
    service.answer("CreateCharge", refusal(StatusCode.RESOURCE_EXHAUSTED, "STRIPE_RATE_LIMITED", retry_after_s=31))

    with pytest.raises(StripeRateLimited) as raised:
        await client.call("create_charge", "cln_1", Money(1099, "usd"), request_id="r-1")

    assert client.time.slept_s == []
    assert (raised.value.request_id, raised.value.retry_after_s) == ("r-1", 31)


async def test_tries_are_bounded_and_the_last_error_is_the_one_raised(client: Driver, service: ScriptedService) -> None:
    service.answer("CreateCharge", refusal(StatusCode.ABORTED, "REQUEST_IN_PROGRESS"))
    client.options["retry"] = RetryPolicy(max_attempts=4, jitter=0)

    with pytest.raises(RequestInProgress) as raised:
        await client.call("create_charge", "cln_1", Money(1099, "usd"), timeout_s=1000)

    assert len(service.received) == 4
    assert client.time.slept_s == [0.2, 0.4, 0.8]
    assert {sent.request_id for sent in service.requests("CreateCharge")} == {raised.value.request_id}


async def test_backing_off_has_a_ceiling(client: Driver, service: ScriptedService) -> None:
    service.answer("GetClone", *[refusal(StatusCode.ABORTED, "REQUEST_IN_PROGRESS")] * 5, pb.GetCloneResponse())
    client.options["retry"] = RetryPolicy(jitter=0, max_backoff_s=0.5)

    await client.call("get_clone", "cln_1")

    assert client.time.slept_s == [0.2, 0.4, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("reply", "raises"),
    [
        (refusal(StatusCode.ABORTED, "ETAG_MISMATCH"), EtagMismatch),
        (refusal(StatusCode.RESOURCE_EXHAUSTED), TransportError),
        (refusal(StatusCode.DEADLINE_EXCEEDED), TransportError),
        (refusal(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", retry_after_s=1), ResourceNotFound),
    ],
)
async def test_what_another_try_cannot_mend_is_raised_at_once(
    client: Driver, service: ScriptedService, reply: Any, raises: type[CloneServiceError]
) -> None:
    service.answer("CreateCharge", reply)

    with pytest.raises(raises):
        await client.call("create_charge", "cln_1", Money(1099, "usd"))

    assert (len(service.received), client.time.slept_s) == (1, [])


async def test_unavailable_is_retried_by_the_shipped_service_config_under_one_request_id(
    client: Driver, service: ScriptedService
) -> None:
    gone = refusal(StatusCode.UNAVAILABLE, "STRIPE_UNREACHABLE")
    service.answer("CreateCharge", gone, DONE)

    done = await client.call("create_charge", "cln_1", Money(1099, "usd"))

    assert [sent.request_id for sent in service.requests("CreateCharge")] == [done.request_id] * 2
    assert client.time.slept_s == []  # the channel waited, not the client


async def test_an_outcome_that_stays_unknown_is_raised_with_the_request_id_to_go_on_with(
    client: Driver, service: ScriptedService
) -> None:
    service.answer("CreateCharge", refusal(StatusCode.UNAVAILABLE, "STRIPE_OUTCOME_UNKNOWN"))
    client.options["options"] = AGAIN_AT_ONCE

    with pytest.raises(OutcomeUnknown) as raised:
        await client.call("create_charge", "cln_1", Money(1099, "usd"))

    (sent,) = service.requests("CreateCharge")
    assert raised.value.request_id == sent.request_id
    assert sent.request_id in str(raised.value)


def item_event(sequence: int) -> pb.WatchCloneBatchResponse:
    return pb.WatchCloneBatchResponse(sequence=sequence, item=types.CloneBatchItem(index=sequence, sequence=sequence))


def batch_event(sequence: int, state: types.CloneBatch.State.ValueType) -> pb.WatchCloneBatchResponse:
    return pb.WatchCloneBatchResponse(sequence=sequence, batch=types.CloneBatch(batch_id="bat_1", state=state))


END = batch_event(4, types.CloneBatch.STATE_SUCCEEDED)
LOST = refusal(StatusCode.UNAVAILABLE).status


async def test_a_watch_ends_with_the_final_batch(client: Driver, service: ScriptedService) -> None:
    heartbeat = batch_event(1, types.CloneBatch.STATE_RUNNING)
    service.answer("WatchCloneBatch", Reply((item_event(1), heartbeat, item_event(2), END)))

    events = await client.collect("watch_batch", "bat_1")

    assert [event.sequence for event in events] == [1, 1, 2, 4]
    assert events[-1].batch.state is BatchState.SUCCEEDED
    assert [event.item.index for event in events if event.item] == [1, 2]


async def test_a_watch_reconnects_after_the_last_event_and_shows_each_item_event_once(
    client: Driver, service: ScriptedService
) -> None:
    client.options["options"] = AGAIN_AT_ONCE
    service.answer(
        "WatchCloneBatch",
        Reply((item_event(1), item_event(2)), status=LOST),
        Reply((item_event(2), item_event(3))),  # ended in good order, but too early
        Reply((END,)),
    )

    events = await client.collect("watch_batch", "bat_1")

    assert [event.sequence for event in events] == [1, 2, 3, 4]
    assert [sent.after_sequence for sent in service.requests("WatchCloneBatch")] == [0, 2, 3]
    assert len(client.time.slept_s) == 2


async def test_a_watch_goes_on_from_where_the_caller_stopped(client: Driver, service: ScriptedService) -> None:
    service.answer("WatchCloneBatch", Reply((END,)))

    await client.collect("watch_batch", "bat_1", after_sequence=3)

    assert [sent.after_sequence for sent in service.requests("WatchCloneBatch")] == [3]


async def test_a_watch_gives_up_after_reconnections_that_brought_nothing(
    client: Driver, service: ScriptedService
) -> None:
    client.options.update(options=AGAIN_AT_ONCE, retry=RetryPolicy(max_attempts=3))
    progress = Reply((item_event(1),), status=LOST)
    nothing = Reply(status=LOST)
    service.answer("WatchCloneBatch", nothing, nothing, progress, nothing)

    with pytest.raises(TransportError) as raised:
        await client.collect("watch_batch", "bat_1")

    assert raised.value.code is StatusCode.UNAVAILABLE
    assert len(service.received) == 5  # two that brought nothing, one that did, two more that did not


async def test_a_service_that_keeps_ending_the_watch_is_an_error_too(client: Driver, service: ScriptedService) -> None:
    client.options["retry"] = RetryPolicy(max_attempts=2)
    service.answer("WatchCloneBatch", Reply())

    with pytest.raises(TransportError, match="keeps ending the watch"):
        await client.collect("watch_batch", "bat_1")


async def test_a_watch_of_no_batch_is_not_tried_again(client: Driver, service: ScriptedService) -> None:
    service.answer("WatchCloneBatch", refusal(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND"))

    with pytest.raises(ResourceNotFound):
        await client.collect("watch_batch", "bat_9")

    assert len(service.received) == 1


async def test_a_watch_has_no_deadline_unless_it_is_given_one(client: Driver, service: ScriptedService) -> None:
    service.answer("WatchCloneBatch", Reply((END,)))

    await client.collect("watch_batch", "bat_1")
    await client.collect("watch_batch", "bat_1", timeout_s=500)

    without, with_one = [got.time_remaining_s for got in service.received]
    assert without > 1e9  # how gRPC says "none"
    assert 400 < with_one <= 550


async def test_a_watch_may_be_left_at_any_event(client: Driver, service: ScriptedService) -> None:
    service.answer("WatchCloneBatch", Reply((item_event(1), item_event(2), END)))

    event = await client.first("watch_batch", "bat_1")

    assert event.sequence == 1
