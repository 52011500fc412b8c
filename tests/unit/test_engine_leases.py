"""A lease saves work: it is kept while a run is alive, and a run that lost its own sends nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.values import Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Ledger, NotSent
from cloneservice_server.workflows.engine import Engine, EngineSettings

from tests.fakes import Held, Outcome
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")
REQUEST = "7d3f0a52-31f5-4c0e-9d3e-5ad3b1a4f003"
LEASE_S = 10.0
INTENTS = r"/v1/payment_intents"


@dataclass
class Two:
    """Two replicas over one ledger and one Stripe."""

    ledger: Ledger
    clock: VirtualClock
    stripe: WorkingStripe
    one: Engine
    other: Engine

    async def hold(self, outcome: Outcome) -> tuple[asyncio.Task[object], Held]:
        """The first replica's run, held at the PaymentIntent, which then goes as `outcome` says."""
        held = Held(outcome)
        self.stripe.on("POST", INTENTS, held, payment_intent("requires_confirmation", "pi_other"))
        task: asyncio.Task[object] = asyncio.create_task(self.one.submit(REQUEST, "hash", CHARGE))
        await held.arrived.wait()
        return task, held


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    clock, stripe = VirtualClock(), WorkingStripe()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    settings = EngineSettings(lease_s=LEASE_S)
    engines = [
        Engine(ledger=ledger, gateway=stripe, clock=clock, owner=name, settings=settings) for name in ("one", "other")
    ]
    yield Two(ledger, clock, stripe, *engines)
    await ledger.aclose()


async def test_a_run_that_is_alive_keeps_its_lease_however_long_it_takes(two: Two) -> None:
    task, held = await two.hold(payment_intent("requires_confirmation", "pi_one"))
    for _ in range(5):
        two.clock.advance(LEASE_S * 0.6)
        await two.one.renew_once()
        assert await two.other.recover_once() == 0
    held.release.set()
    await task
    row = await two.ledger.get_request(REQUEST)
    assert row is not None
    assert (row.state, row.attempts) == (RequestState.SUCCEEDED, 1)


async def test_a_run_that_lost_its_lease_stops_before_its_next_send(two: Two) -> None:
    task, held = await two.hold(NotSent())
    two.clock.advance(LEASE_S + 1)
    assert await two.other.recover_once() == 1
    await two.other.settle()
    await two.one.renew_once()
    sent = len(two.stripe.sent)
    held.release.set()
    await task

    assert len(two.stripe.sent) == sent
    assert len(two.stripe.confirmed()) == 1


async def test_a_caller_of_a_dead_replicas_request_is_answered_within_a_lease(two: Two) -> None:
    dead, held = await two.hold(payment_intent("requires_confirmation", "pi_one"))
    begun_s = two.clock.monotonic_s()
    answer = await two.other.submit(REQUEST, "hash", CHARGE)

    assert answer.error is None
    assert two.clock.monotonic_s() - begun_s <= LEASE_S + 1
    held.release.set()
    await dead
