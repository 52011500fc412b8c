"""Batches run to their end, each item once: through refusals, faults, cancels, retries and replicas that die."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.batches import (
    BatchOperation,
    BatchPlan,
    BatchState,
    ItemState,
    Selection,
    item_request_id,
)
from cloneservice_server.domain.commands import Command
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports import AnswerLost, CloneFilter, NotSent, Page, Refused, StripeCall, StripeGateway
from cloneservice_server.ports_batches import RateLimits, Share
from cloneservice_server.stripe_gateway.pacing import PacedGateway, Pacer
from cloneservice_server.workflows.batch_layout import lay_out
from cloneservice_server.workflows.batch_runner import BatchRunner, RunnerSettings
from cloneservice_server.workflows.batches import Asked, Batches
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.event_clock import EventClock
from tests.fakes import Lost
from tests.working_stripe import WorkingStripe

PLAN = BatchPlan(BatchOperation.CLONE)
RETRY = RetrySettings(attempts=2, backoff_s=0.1)


@pytest.fixture
def clock() -> EventClock:
    return EventClock()


@pytest.fixture
def stripe() -> WorkingStripe:
    return WorkingStripe()


@pytest.fixture
async def ledger(clock: EventClock) -> AsyncIterator[SqlLedger]:
    opened = open_ledger("sqlite://:memory:", clock)
    await opened.open()
    yield opened
    await opened.aclose()


class Replica:
    """An engine and a runner on a ledger that others may share."""

    def __init__(
        self, ledger: SqlLedger, stripe: StripeGateway, clock: EventClock, name: str = "one", **settings: Any
    ) -> None:
        retries = EngineSettings(lease_s=10, retry=RETRY)
        self.engine = Engine(ledger=ledger, gateway=stripe, clock=clock, owner=name, settings=retries)
        self.methods: dict[str, list[str]] = {}
        self.runner = BatchRunner(
            ledger=ledger,
            engine=self.engine,
            clock=clock,
            owner=name,
            list_methods=self.list_methods,
            settings=RunnerSettings(**settings),
        )

    async def list_methods(self, customer: str) -> list[str]:
        return self.methods[customer]

    async def start(self) -> None:
        await self.engine.start()
        await self.runner.start()

    async def stop(self) -> None:
        await self.runner.drain(5.0)
        await self.engine.drain(5.0)


def pairs(count: int, accounts: Sequence[str] = ("acct_a", "acct_b")) -> Selection:
    names = tuple(f"cus_{number}" for number in range(count))
    return Selection(
        names,
        tuple(accounts[number % len(accounts)] for number in range(count)),
        tuple(f"pm_{number}" for number in range(count)),
        paired=True,
    )


def asked() -> Asked:
    return Asked(str(uuid.uuid4()), "hash")


async def create(ledger: SqlLedger, clock: EventClock, selection: Selection, plan: BatchPlan = PLAN) -> str:
    answer = await Batches(ledger, clock, RateLimits()).create(asked(), plan, [selection])
    return answer.batch.batch_id


async def ended(ledger: SqlLedger, clock: EventClock, *batch_ids: str) -> list[Any]:
    """The batches, once all are final."""
    while True:
        found = [await ledger.get_batch(batch_id) for batch_id in batch_ids]
        if all(batch is not None and batch.state.final for batch in found):
            return found
        await clock.sleep(0.5)


async def run(replica: Replica, story: Any, clock: EventClock) -> Any:
    async def whole() -> Any:
        await replica.start()
        try:
            return await story
        finally:
            await replica.stop()

    return await clock.run(whole())


def clones_made(stripe: WorkingStripe) -> Counter[tuple[str, str]]:
    """(account, payment method) to how many clones of it were made there."""
    return Counter(
        (call.account, call.params["payment_method"]) for call in stripe.done if call.path == "/v1/payment_methods"
    )


async def test_a_batch_is_forgotten_in_the_background_when_its_retention_is_over_and_its_clones_stay(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    batch_id = await create(ledger, clock, pairs(3))

    async def story() -> None:
        await ended(ledger, clock, batch_id)
        while await ledger.get_batch(batch_id) is not None:
            await clock.sleep(3600.0)

    began_s = clock.monotonic_s()
    await run(Replica(ledger, stripe, clock, retention_s=86_400.0), story(), clock)

    assert 86_400.0 <= clock.monotonic_s() - began_s < 2 * 86_400.0
    assert await ledger.list_items(batch_id, (), -1, 10) == []
    assert len(await ledger.list_clones(CloneFilter(), Page(10))) == 3


async def test_every_item_is_cloned_once_and_keeps_no_request(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    batch_id = await create(ledger, clock, pairs(30))

    [batch] = await run(Replica(ledger, stripe, clock), ended(ledger, clock, batch_id), clock)

    items = await ledger.list_items(batch_id, (), -1, 100)
    assert (batch.state, batch.succeeded_count) == (BatchState.SUCCEEDED, 30)
    assert set(clones_made(stripe).values()) == {1}
    assert len(clones_made(stripe)) == 30
    assert all(
        item.clone is not None and item.clone.platform_customer_id == item.platform_customer_id for item in items
    )
    assert [await ledger.get_request(item_request_id(batch_id, place)) for place in range(30)] == [None] * 30


async def test_a_cross_product_reaches_every_customer_on_every_account(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    stripe.on(
        "GET",
        r"/v1/customers/[^/]+",
        lambda call: {
            "id": call.path.split("/")[3],
            "invoice_settings": {"default_payment_method": "pm_of_" + call.path.split("/")[3]},
        },
    )
    cross = Selection(tuple(f"cus_{number}" for number in range(7)), tuple(f"acct_{n}" for n in range(6)))
    batch_id = await create(ledger, clock, cross)

    [batch] = await run(Replica(ledger, stripe, clock), ended(ledger, clock, batch_id), clock)

    assert batch.succeeded_count == batch.total_count == 42
    assert len(clones_made(stripe)) == 42


async def test_all_saved_methods_of_a_customer_become_items(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    replica = Replica(ledger, stripe, clock)
    replica.methods = {"cus_0": ["pm_a", "pm_b"], "cus_1": ["pm_c"]}
    plan = dataclasses.replace(PLAN, all_payment_methods=True)
    batch_id = await create(ledger, clock, Selection(("cus_0", "cus_1"), ("acct_a", "acct_b")), plan)

    [batch] = await run(replica, ended(ledger, clock, batch_id), clock)

    assert (batch.total_count, batch.succeeded_count) == (6, 6)
    assert set(clones_made(stripe)) == {(account, f"pm_{x}") for account in ("acct_a", "acct_b") for x in "abc"}


async def test_a_clone_that_was_there_before_is_reused(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    first, second = await create(ledger, clock, pairs(4)), await create(ledger, clock, pairs(6))

    batches = await run(Replica(ledger, stripe, clock), ended(ledger, clock, first, second), clock)

    assert sum(batch.reused_count for batch in batches) == 4
    assert sum(clones_made(stripe).values()) == 6


async def test_a_failed_item_says_why_and_the_others_go_on(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    gone = Refused(403, "invalid_request_error", "account_invalid", "no access")
    stripe.on("POST", r"/v1/payment_methods", gone, account="acct_b")
    batch_id = await create(ledger, clock, pairs(6))

    [batch] = await run(Replica(ledger, stripe, clock), ended(ledger, clock, batch_id), clock)

    [failures] = await ledger.list_failures(batch_id)
    assert (batch.state, batch.succeeded_count, batch.failed_count) == (BatchState.PARTIALLY_FAILED, 3, 3)
    assert (failures.reason, failures.count, failures.examples) == ("CONNECTED_ACCOUNT_UNAVAILABLE", 3, (1, 3, 5))


async def test_retry_takes_up_the_failed_items_alone(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    gone = Refused(403, "invalid_request_error", "account_invalid", "no access")
    stripe.on("POST", r"/v1/payment_methods", gone, account="acct_b")
    batch_id = await create(ledger, clock, pairs(6))
    replica = Replica(ledger, stripe, clock)

    async def story() -> Any:
        await ended(ledger, clock, batch_id)
        stripe.on("POST", r"/v1/payment_methods", _clone, account="acct_b")
        await Batches(ledger, clock, RateLimits()).retry(asked(), batch_id)
        return await ended(ledger, clock, batch_id)

    [batch] = await run(replica, story(), clock)

    assert (batch.state, batch.succeeded_count, batch.failed_count) == (BatchState.SUCCEEDED, 6, 0)
    assert set(clones_made(stripe).values()) == {1}


@pytest.mark.parametrize(
    "fault", [NotSent(), AnswerLost(), Refused(429, rate_limited_reason="global-rate"), Refused(500, "api_error")]
)
async def test_what_may_pass_is_tried_again_until_it_does(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock, fault: Exception
) -> None:
    stripe.on("POST", r"/v1/payment_methods", *[fault] * 7, _clone)  # type: ignore[arg-type]
    batch_id = await create(ledger, clock, pairs(3))

    [batch] = await run(Replica(ledger, stripe, clock), ended(ledger, clock, batch_id), clock)

    assert batch.succeeded_count == 3
    assert set(clones_made(stripe).values()) == {1}


async def test_an_answer_that_is_lost_is_found_again_and_not_cloned_twice(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    stripe.on("POST", r"/v1/payment_methods", *[Lost(_clone)] * 5, _clone)
    batch_id = await create(ledger, clock, pairs(8))

    [batch] = await run(Replica(ledger, stripe, clock), ended(ledger, clock, batch_id), clock)

    assert batch.succeeded_count == 8
    assert set(clones_made(stripe).values()) == {1}


async def test_a_canceled_batch_finishes_what_is_in_flight_and_skips_the_rest(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    slow(stripe, clock)
    batch_id = await create(ledger, clock, pairs(40))
    replica = Replica(ledger, stripe, clock, per_account_max=2)

    async def story() -> Any:
        while len(stripe.sent) < 10:
            await clock.sleep(0.1)
        await Batches(ledger, clock, RateLimits()).cancel(asked(), batch_id)
        return await ended(ledger, clock, batch_id)

    [batch] = await run(replica, story(), clock)

    skipped = await ledger.list_items(batch_id, (ItemState.SKIPPED,), -1, 100)
    assert batch.state is BatchState.CANCELED
    assert batch.succeeded_count == sum(clones_made(stripe).values())
    assert batch.succeeded_count + len(skipped) == 40
    assert len(skipped) > 20


async def test_a_server_that_stops_leaves_the_rest_to_the_next(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    slow(stripe, clock)
    batch_id = await create(ledger, clock, pairs(40))

    async def story() -> Any:
        first = Replica(ledger, stripe, clock, "first", per_account_max=2)
        await first.start()
        while len(stripe.sent) < 20:
            await clock.sleep(0.1)
        await first.stop()
        second = Replica(ledger, stripe, clock, "second")
        await second.start()
        batches = await ended(ledger, clock, batch_id)
        await second.stop()
        return batches

    [batch] = await clock.run(story())

    assert (batch.state, batch.succeeded_count) == (BatchState.SUCCEEDED, 40)
    assert set(clones_made(stripe).values()) == {1}


async def test_a_server_stops_in_time_though_its_items_wait_for_their_turn(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    pacer = Pacer(RateLimits(1, 1), clock)  # nobody allots anything to it, as when the ledger is away
    batch_id = await create(ledger, clock, pairs(40))

    async def story() -> Any:
        first = Replica(ledger, PacedGateway(stripe, pacer), clock, "first")
        await first.start()
        while not first.runner.busy:
            await clock.sleep(0.5)
        await clock.sleep(5.0)
        await first.runner.drain(0.0)
        await first.engine.drain(0.0)
        assert not first.runner.busy
        second = Replica(ledger, stripe, clock, "second")
        await second.start()
        batches = await ended(ledger, clock, batch_id)
        await second.stop()
        return batches

    [batch] = await clock.run(story())

    assert (batch.state, batch.succeeded_count) == (BatchState.SUCCEEDED, 40)
    assert set(clones_made(stripe).values()) == {1}


async def test_another_replica_takes_over_from_one_that_died(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    slow(stripe, clock)
    batch_id = await create(ledger, clock, pairs(40))

    async def story() -> Any:
        before = asyncio.all_tasks()
        dead = Replica(ledger, stripe, clock, "dead", per_account_max=2)
        await dead.start()
        while len(stripe.sent) < 20:
            await clock.sleep(0.1)
        for task in asyncio.all_tasks() - before:
            task.cancel()
        other = Replica(ledger, stripe, clock, "other")
        await other.start()
        batches = await ended(ledger, clock, batch_id)
        await other.stop()
        return batches

    [batch] = await clock.run(story())

    assert (batch.state, batch.succeeded_count) == (BatchState.SUCCEEDED, 40)
    assert set(clones_made(stripe).values()) == {1}


async def test_two_replicas_at_once_finish_each_item_once(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    slow(stripe, clock)
    accounts = tuple(f"acct_{number}" for number in range(8))
    batch_id = await create(ledger, clock, pairs(64, accounts))

    async def story() -> Any:
        replicas = [Replica(ledger, stripe, clock, name, partitions_max=4) for name in ("one", "two")]
        for replica in replicas:
            await replica.start()
        batches = await ended(ledger, clock, batch_id)
        for replica in replicas:
            await replica.stop()
        return batches

    [batch] = await clock.run(story())

    assert (batch.state, batch.succeeded_count, batch.last_sequence) == (BatchState.SUCCEEDED, 64, 64)
    assert set(clones_made(stripe).values()) == {1}


async def test_a_short_batch_is_not_kept_waiting_by_a_long_one(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    slow(stripe, clock)
    long = await create(ledger, clock, pairs(200, tuple(f"acct_{number}" for number in range(20))))
    short = await create(ledger, clock, dataclasses.replace(pairs(10, ("acct_z",)), payment_methods=_names("pm_z", 10)))

    async def story() -> Any:
        [first] = await ended(ledger, clock, short)
        return first, await ledger.get_batch(long)

    done, other = await run(Replica(ledger, stripe, clock, in_flight_max=4, partitions_max=4), story(), clock)

    assert done.succeeded_count == 10
    assert other.done_count < 40


async def test_one_customer_of_an_account_is_worked_on_by_one_item_at_a_time(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    at_once, most = Counter[str](), 0

    class Watched:
        async def submit(self, request_id: str, request_hash: str, command: Command) -> Any:
            nonlocal most
            customer: str = command.platform_customer_id  # type: ignore[union-attr]
            at_once[customer] += 1
            most = max(most, *at_once.values())
            await clock.sleep(0.1)
            at_once[customer] -= 1
            return await replica.engine.submit(request_id, request_hash, command)

    replica = Replica(ledger, stripe, clock)
    replica.runner._engine = Watched()
    same = Selection(("cus_1",) * 6, ("acct_a",) * 6, _names("pm", 6), paired=True)
    batch_id = await create(ledger, clock, same)

    [batch] = await run(replica, ended(ledger, clock, batch_id), clock)

    assert (batch.succeeded_count, most) == (6, 1)


async def test_clones_are_refreshed_and_revoked_by_batches(
    ledger: SqlLedger, stripe: WorkingStripe, clock: EventClock
) -> None:
    made = await create(ledger, clock, pairs(2, ("acct_a",)))
    stripe.on("POST", r"/v1/payment_methods/[^/]+/detach", lambda call: _clone(call) | {"customer": None})

    async def story() -> Any:
        await ended(ledger, clock, made)
        plan = BatchPlan(BatchOperation.REVOKE)
        revoked = await create(ledger, clock, Selection(("cus_0", "cus_1", "cus_unknown"), ("acct_a",)), plan)
        return await ended(ledger, clock, revoked)

    [batch] = await run(Replica(ledger, stripe, clock), story(), clock)

    assert (batch.succeeded_count, batch.skipped_count, batch.failed_count) == (2, 1, 0)


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}_{number}" for number in range(count))


def _clone(call: StripeCall) -> dict[str, Any]:
    card = {"brand": "visa", "last4": "4242", "exp_month": 8, "exp_year": 2030, "fingerprint": "f"}
    name = call.params.get("payment_method", "pm_x")
    return {"id": f"pm_clone_of_{name}_{call.account}", "object": "payment_method", "type": "card", "card": card}


def slow(stripe: WorkingStripe, clock: EventClock) -> None:
    """Every call takes 0.2 s."""
    send = stripe.send

    async def slowly(call: StripeCall, **named: Any) -> Any:
        await clock.sleep(0.2)
        return await send(call, **named)

    stripe.send = slowly  # type: ignore[method-assign]


async def test_a_server_alone_on_its_file_need_not_wait_for_the_leases_of_the_one_before(tmp_path: Path) -> None:
    clock, url = SystemClock(), f"sqlite:///{tmp_path}/ledger.db"
    before = open_ledger(url, clock)
    await before.open()
    plan, ask = PLAN, asked()
    batch = (await Batches(before, clock, RateLimits()).create(ask, plan, [pairs(2)])).batch
    assert await lay_out(before, batch, lambda _customer: _no_methods())
    await before.renew_share("key", Share("before", True, 0.0, 0), 3600.0)
    assert await before.claim_partition(batch.batch_id, "before", 3600.0)
    await before.aclose()

    after = open_ledger(url, clock)
    await after.open()
    claimed = [await after.claim_partition(batch.batch_id, "after", 3600.0) for _ in range(2)]
    shares = await after.renew_share("key", Share("after", True, 0.0, 0), 3600.0)
    await after.aclose()

    assert None not in claimed
    assert [share.owner for share in shares] == ["after"]


async def _no_methods() -> list[str]:
    return []
