"""Batch items keep under Stripe's limits, use nearly all of them, and give way to callers who wait."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

import pytest
from cloneservice_server.domain.errors import DomainError, StripeRateLimited
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import NotSent, Refused, StripeAnswer, StripeCall
from cloneservice_server.ports_batches import BACKGROUND, Allotment, RateLimits
from cloneservice_server.stripe_gateway.pacing import PacedGateway, Pacer, endpoint_of
from cloneservice_server.workflows.shares import BEAT_S, Shares

from tests.event_clock import EventClock

TEST = RateLimits(per_second=25, per_endpoint=25)
LIVE = RateLimits(per_second=100, per_endpoint=25)
CLONE = StripeCall("POST", "/v1/payment_methods", "acct_1")
CUSTOMER = StripeCall("POST", "/v1/customers", "acct_1")
READ = StripeCall("GET", "/v1/customers/cus_1")


@dataclass
class Stripe:
    """Takes 0.2 s for each call, and notes when it came."""

    clock: EventClock
    arrivals: list[tuple[float, str]] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        self.arrivals.append((self.clock.monotonic_s(), endpoint_of(call)))
        await self.clock.sleep(0.2)
        if self.refusals:
            raise self.refusals.pop()
        return StripeAnswer({})

    def explain(self, refused: Refused, step: str) -> DomainError:
        return StripeRateLimited(step)

    async def aclose(self) -> None:
        pass

    def most_in_a_second(self, endpoint: str = "", since_s: float = 0.0) -> int:
        times = [at for at, name in self.arrivals if endpoint in ("", name) and at >= since_s]
        return max((sum(at <= other < at + 1 for other in times) for at in times), default=0)

    def between(self, start_s: float, end_s: float) -> int:
        return sum(start_s <= at < end_s for at, _ in self.arrivals)


def paced(limits: RateLimits, *, allotment: Allotment | None = None) -> tuple[EventClock, Stripe, Pacer, PacedGateway]:
    clock = EventClock()
    stripe, pacer = Stripe(clock), Pacer(limits, clock)
    pacer.allot(allotment or Allotment())
    return clock, stripe, pacer, PacedGateway(stripe, pacer)


async def items(gateway: PacedGateway, clock: EventClock, until_s: float, *calls: StripeCall) -> None:
    """64 workers that make these calls one after the other for as long as it lasts."""
    BACKGROUND.set(True)

    async def work() -> None:
        while clock.monotonic_s() < until_s:
            for call in calls:
                await gateway.send(call, idempotency_key="key")

    await asyncio.gather(*(work() for _ in range(64)))


@pytest.mark.parametrize(
    ("limits", "calls", "bound"), [(TEST, (CLONE, CUSTOMER), 25), (LIVE, (CLONE, CUSTOMER), 50), (LIVE, (CLONE,), 25)]
)
async def test_batches_use_nearly_all_of_a_limit_and_never_more(
    limits: RateLimits, calls: tuple[StripeCall, ...], bound: int
) -> None:
    clock, stripe, _, gateway = paced(limits)

    await clock.run(asyncio.create_task(items(gateway, clock, 60.0, *calls)))

    assert stripe.most_in_a_second() <= limits.per_second
    assert all(stripe.most_in_a_second(endpoint_of(call)) <= limits.per_endpoint for call in calls)
    assert stripe.between(10.0, 60.0) >= 0.95 * bound * 50


async def test_a_caller_who_waits_is_never_held_back_and_the_batch_gives_way() -> None:
    clock, stripe, pacer, gateway = paced(TEST)
    waits: list[float] = []

    async def callers() -> None:
        while clock.monotonic_s() < 30.0:
            began_s = clock.monotonic_s()
            await gateway.send(READ)
            waits.append(clock.monotonic_s() - began_s)

    async def both() -> None:
        await asyncio.gather(asyncio.create_task(callers()), asyncio.create_task(items(gateway, clock, 30.0, CLONE)))

    await clock.run(both())

    assert max(waits) == pytest.approx(0.2)
    assert pacer.foreground_per_s() > 3.0
    assert stripe.most_in_a_second(since_s=10.0) <= 25  # once it is known how much callers use
    assert stripe.between(10.0, 30.0) >= 0.9 * 25 * 20


@pytest.mark.parametrize(
    "refusal", [Refused(429, rate_limited_reason="endpoint-rate"), Refused(429, code="lock_timeout")]
)
async def test_a_refusal_halves_the_rate_which_comes_back(refusal: Refused) -> None:
    clock, stripe, _, gateway = paced(TEST)

    async def story() -> None:
        BACKGROUND.set(True)
        stripe.refusals.append(refusal)
        with pytest.raises(Refused):
            await gateway.send(CLONE, idempotency_key="key")
        await items(gateway, clock, 30.0, CLONE)

    await clock.run(asyncio.create_task(story()))

    assert stripe.between(1.0, 2.0) <= 14
    assert stripe.between(20.0, 30.0) >= 0.95 * 25 * 10


async def test_one_burst_of_refusals_is_one_signal() -> None:
    clock, stripe, pacer, _ = paced(TEST)
    for _ in range(10):
        pacer.refused("POST /payment_methods", Refused(429, rate_limited_reason="global-rate"))

    await clock.run(asyncio.create_task(items(PacedGateway(stripe, pacer), clock, 5.0, CLONE)))

    assert stripe.between(0.0, 1.0) >= 11


@pytest.mark.parametrize("sharers", [1, 2, 3, 7, 25, 40])
@pytest.mark.parametrize("others", [0.0, 3.2, 24.9, 80.0])
def test_all_parts_together_are_the_limit(sharers: int, others: float) -> None:
    parts = [Allotment(sharers, place, others).of(25) for place in range(sharers)]

    assert sum(parts) == max(25 - -int(-others // 1), 1)
    assert max(parts) - min(parts) <= 1


async def test_nothing_is_sent_once_the_allotment_is_over() -> None:
    clock, stripe, pacer, gateway = paced(TEST, allotment=Allotment(until_s=2.0))

    async def story() -> None:
        working = asyncio.create_task(items(gateway, clock, 12.0, CLONE))
        await clock.sleep(10.0)
        pacer.allot(Allotment())
        await working

    await clock.run(story())

    assert stripe.between(0.0, 2.0) > 0
    assert stripe.between(2.0, 10.0) == 0
    assert stripe.between(10.0, 12.0) > 0


async def test_a_server_that_stops_sends_nothing_that_still_waits() -> None:
    clock, stripe, pacer, gateway = paced(TEST)

    async def story() -> None:
        BACKGROUND.set(True)
        waiting = [asyncio.create_task(gateway.send(CLONE, idempotency_key="key")) for _ in range(100)]
        await clock.sleep(1.0)
        pacer.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(answer, NotSent) for answer in answers) == 100 - len(stripe.arrivals)
        assert clock.monotonic_s() < 2.0

    await clock.run(asyncio.create_task(story()))

    assert 20 < len(stripe.arrivals) <= 26


async def test_replicas_that_come_and_go_share_one_limit() -> None:
    clock = EventClock()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    stripe = Stripe(clock)
    tasks: dict[str, list[asyncio.Task[None]]] = {}

    def replica(name: str) -> None:
        pacer = Pacer(TEST, clock)
        shares = Shares(ledger, clock, pacer, budget="key", owner=name, wanting=lambda: True)

        async def beat() -> None:
            while True:
                await shares.beat_once()
                await clock.sleep(BEAT_S)

        working = items(PacedGateway(stripe, pacer), clock, 60.0, CLONE)
        tasks[name] = [asyncio.create_task(beat()), asyncio.create_task(working)]

    async def story() -> None:
        replica("one")
        await clock.sleep(15.5)
        replica("two")
        await clock.sleep(15.2)
        for task in tasks["one"]:
            task.cancel()
        await clock.sleep(30.0)
        for task in itertools.chain(*tasks.values()):
            task.cancel()

    await clock.run(story())
    await ledger.aclose()

    assert stripe.most_in_a_second() <= 25
    assert stripe.between(5.0, 15.0) >= 0.95 * 25 * 10
    assert stripe.between(20.0, 30.0) >= 0.95 * 25 * 10
    assert stripe.between(40.0, 60.0) >= 0.95 * 25 * 20


async def test_who_wants_nothing_any_more_gives_its_part_back_before_it_says_so() -> None:
    clock = EventClock()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    stripe, pacer, wanted = Stripe(clock), Pacer(TEST, clock), [True]
    gateway = PacedGateway(stripe, pacer)
    shares = Shares(ledger, clock, pacer, budget="key", owner="one", wanting=lambda: wanted[0])

    async def story() -> None:
        BACKGROUND.set(True)
        await shares.beat_once()
        await gateway.send(CLONE, idempotency_key="key")
        wanted[0] = False
        await shares.beat_once()
        late = asyncio.create_task(gateway.send(CLONE, idempotency_key="key"))
        await clock.sleep(3.0)
        assert len(stripe.arrivals) == 1
        wanted[0] = True
        await shares.beat_once()
        await late

    await clock.run(asyncio.create_task(story()))
    await ledger.aclose()

    assert len(stripe.arrivals) == 2


@pytest.mark.parametrize(
    ("call", "endpoint"),
    [
        (CLONE, "POST /payment_methods"),
        (READ, "GET /customers/{}"),
        (StripeCall("POST", "/v1/payment_methods/pm_1/attach"), "POST /payment_methods/{}/attach"),
        (StripeCall("DELETE", "/v1/customers/cus_1/sources/src_1"), "DELETE /customers/{}/sources/{}"),
    ],
)
def test_an_endpoint_is_a_path_without_its_ids(call: StripeCall, endpoint: str) -> None:
    assert endpoint_of(call) == endpoint
