"""Events are stored once, carried out by whoever is alive, tried again, and given up only in plain sight."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from cloneservice_server.domain.commands import HandleStripeEvent
from cloneservice_server.domain.errors import InvalidRequest, LedgerDown
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Ledger, NotSent, Refused
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.event_intake import EventIntake, command_of
from cloneservice_server.workflows.run import RetrySettings

from tests.stripe_events import signed
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe

SECRET = "whsec_test"
GONE = {"id": "cus_gone", "object": "customer", "deleted": True}


class Scene:
    """A ledger, a Stripe and any number of replicas."""

    def __init__(self, ledger: Ledger) -> None:
        self.clock = VirtualClock()
        self.ledger = ledger
        self.stripe = WorkingStripe()

    def replica(self, name: str = "one") -> tuple[Engine, EventIntake]:
        limits = EngineSettings(retry=RetrySettings(attempts=1))
        engine = Engine(ledger=self.ledger, gateway=self.stripe, clock=self.clock, owner=name, settings=limits)
        return engine, EventIntake(engine, self.clock, lambda: [SECRET], livemode=False)

    def delivery(self, **changed: Any) -> tuple[bytes, str]:
        event = {"id": "evt_1", "object": "event", "type": "customer.deleted", "livemode": False}
        payload = json.dumps(event | {"data": {"object": GONE}} | changed).encode()
        return payload, signed(payload, SECRET, timestamp=self.clock.now_us() // 1_000_000)

    async def states(self) -> list[RequestState]:
        counts = await self.ledger.count_unfinished()
        return [RequestState.INDETERMINATE] * counts.indeterminate + [RequestState.RUNNING] * counts.running


@pytest.fixture
async def scene() -> Any:
    clock = VirtualClock()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    made = Scene(ledger)
    made.clock = clock
    yield made
    await ledger.aclose()


async def test_another_replica_carries_out_what_a_dead_one_stored(scene: Scene) -> None:
    dead, intake = scene.replica("dead")
    scene.stripe.on("GET", r"/v1/customers/cus_gone", GONE)
    await dead.drain(0)  # it answers and has no hands left
    assert (await intake.take(*scene.delivery())).handled

    other, _ = scene.replica("other")
    assert await other.recover_once() == 1
    await other.settle()

    assert len(scene.stripe.sent_to(r"/v1/customers/cus_gone")) == 1
    assert await scene.states() == []


async def test_an_event_that_stripe_cannot_be_asked_about_now_is_tried_again_by_itself(scene: Scene) -> None:
    engine, intake = scene.replica()
    scene.stripe.on("GET", r"/v1/customers/cus_gone", NotSent(), NotSent(), GONE)
    assert (await intake.take(*scene.delivery())).handled
    await engine.settle()
    assert await scene.states() == [RequestState.INDETERMINATE]

    for _ in range(2):
        scene.clock.advance(600)
        await engine.recover_once()
        await engine.settle()

    assert await scene.states() == []
    assert not (await intake.take(*scene.delivery())).handled


async def test_a_dead_letter_is_logged_and_taken_up_when_stripe_resends_it(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    engine, intake = scene.replica()
    refused = Refused(400, "invalid_request_error", "parameter_unknown", "no such parameter")
    scene.stripe.on("GET", r"/v1/customers/cus_gone", refused, GONE)
    with caplog.at_level(logging.ERROR):
        await intake.take(*scene.delivery())
        await engine.settle()
    assert "dead letter" in caplog.text
    assert "evt_1" in caplog.text

    assert (await intake.take(*scene.delivery())).handled
    await engine.settle()
    assert not (await intake.take(*scene.delivery())).handled


async def test_a_ledger_that_is_away_stores_nothing_and_says_so(scene: Scene) -> None:
    _, intake = scene.replica()
    await scene.ledger.aclose()
    with pytest.raises(LedgerDown):
        await intake.take(*scene.delivery())
    await scene.ledger.open()


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b'{"object":"event","type":1}'])
async def test_what_is_no_event_is_refused_even_with_a_good_signature(body: bytes, scene: Scene) -> None:
    _, intake = scene.replica()
    with pytest.raises(InvalidRequest):
        await intake.take(body, signed(body, SECRET, timestamp=scene.clock.now_us() // 1_000_000))


def test_only_ids_of_an_event_are_kept() -> None:
    shown = {
        "id": "pm_1",
        "object": "payment_method",
        "customer": {"id": "cus_1", "email": "zoe@example.com"},
        "billing_details": {"name": "Zoë"},
        "client_secret": "pi_1_secret_x",
        "metadata": {"cloneservice_clone_id": "../../v1/accounts", "cloneservice_platform_customer": "cus_p"},
    }
    event = {"id": "evt_1", "type": "payment_method.updated", "account": "acct_1", "data": {"object": shown}}

    kept = command_of(event)

    assert kept == HandleStripeEvent(
        "evt_1", "payment_method.updated", "acct_1", "pm_1", customer_id="cus_1", platform_customer_id="cus_p"
    )
