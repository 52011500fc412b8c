"""Waiting for a place in the engine: in turn, with a bound, and never to begin what nobody waits for any more."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.values import Money
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Ledger
from cloneservice_server.workflows.engine import Answer, Engine, EngineSettings

from tests.fakes import Held
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")


class OnePlace:
    """An engine that carries out one request at a time; the first one holds the place until `release`."""

    def __init__(self, ledger: Ledger, clock: VirtualClock) -> None:
        self.ledger, self.clock, self.stripe = ledger, clock, WorkingStripe()
        self.held = Held(payment_intent("requires_confirmation", "pi_first"))
        self.stripe.on("POST", r"/v1/payment_intents", self.held, lambda _: self._next())
        settings = EngineSettings(running_max=1, waiting_max=3)
        self.engine = Engine(ledger=ledger, gateway=self.stripe, clock=clock, settings=settings)
        self.made = 0

    def _next(self) -> dict[str, object]:
        self.made += 1
        return payment_intent("requires_confirmation", f"pi_{self.made}")

    async def ask(self, deadline_s: float | None = None) -> tuple[str, asyncio.Task[Answer]]:
        request_id = str(uuid.uuid4())
        task = asyncio.create_task(self.engine.submit(request_id, "hash", CHARGE, deadline_s=deadline_s))
        await asyncio.sleep(0)
        return request_id, task

    async def occupy(self) -> asyncio.Task[Answer]:
        _, first = await self.ask()
        await self.held.arrived.wait()
        return first


@pytest.fixture
async def one() -> AsyncIterator[OnePlace]:
    clock = VirtualClock()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    yield OnePlace(ledger, clock)
    await ledger.aclose()


async def test_those_who_wait_are_served_in_the_order_they_came(one: OnePlace) -> None:
    await one.occupy()
    asked = [await one.ask() for _ in range(3)]
    assert (one.engine.running, one.engine.waiting) == (1, 3)
    one.held.release.set()
    for _, task in asked:
        assert (await task).error is None

    charged = [
        sent.call.params["metadata"]["cloneservice_request_id"] for sent in one.stripe.sent_to(r"/v1/payment_intents")
    ]
    assert charged[1:] == [request_id for request_id, _ in asked]
    assert (one.engine.running, one.engine.waiting) == (0, 0)


async def test_one_more_than_there_is_room_for_is_refused_and_leaves_no_trace(one: OnePlace) -> None:
    first = await one.occupy()
    asked = [await one.ask() for _ in range(3)]
    request_id, refused = await one.ask()
    assert isinstance((await refused).error, errors.ServiceOverloaded)
    assert await one.ledger.get_request(request_id) is None

    one.held.release.set()
    answers = await asyncio.gather(first, *(task for _, task in asked))
    assert [answer.error for answer in answers] == [None] * 4


async def test_a_request_whose_deadline_passed_while_it_waited_is_not_begun(one: OnePlace) -> None:
    await one.occupy()
    late_id, late = await one.ask(deadline_s=5.0)
    patient_id, patient = await one.ask(deadline_s=60.0)
    one.clock.advance(6.0)
    one.held.release.set()

    assert isinstance((await late).error, errors.DeadlineTooShort)
    assert await one.ledger.get_request(late_id) is None
    assert (await patient).error is None
    assert await one.ledger.get_request(patient_id) is not None


async def test_a_caller_who_left_while_waiting_does_not_hold_up_the_next(one: OnePlace) -> None:
    await one.occupy()
    _, leaver = await one.ask(deadline_s=60.0)
    _, stayer = await one.ask(deadline_s=60.0)
    leaver.cancel()
    one.held.release.set()
    assert (await stayer).error is None


async def test_a_draining_server_turns_away_what_only_waited(one: OnePlace) -> None:
    first = await one.occupy()
    request_id, waiting = await one.ask()
    draining = asyncio.create_task(one.engine.drain(5))
    await asyncio.sleep(0)
    one.held.release.set()
    await draining

    assert isinstance((await waiting).error, errors.ServiceOverloaded)
    assert await one.ledger.get_request(request_id) is None
    assert isinstance((await first).error, errors.OutcomeUnknown)  # under way: the next process takes it up
