"""A clone holds its place in the lineage until another supersedes it, whatever has become of it."""

from __future__ import annotations

import asyncio
from typing import Any

from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge, CreateCharge
from cloneservice_server.domain.results import CloneCharged
from cloneservice_server.domain.values import CloneState, Money
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Refused
from cloneservice_server.workflows.engine import Engine

from tests.fakes import Held
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")


async def test_a_shared_clone_spent_before_it_was_attached_is_superseded() -> None:
    clock, stripe = VirtualClock(), WorkingStripe()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    engine = Engine(ledger=ledger, gateway=stripe, clock=clock)
    refusal = Refused(402, "card_error", "card_declined", "Declined.", decline_code="stolen_card")
    stripe.on("POST", r"/v1/customers", refusal, {"id": "cus_made", "object": "customer", "metadata": {}})
    await engine.submit("00000000-0000-4000-8000-000000000001", "first", CHARGE)
    row = await ledger.get_request("00000000-0000-4000-8000-000000000001")
    assert row is not None
    spending = CreateCharge(row.clone_id, CHARGE.charge)
    await engine.submit("00000000-0000-4000-8000-000000000002", "second", spending)
    spent = await ledger.get_clone(row.clone_id)
    later = (await engine.submit("00000000-0000-4000-8000-000000000003", "third", CHARGE)).result
    await ledger.aclose()

    assert spent is not None
    assert spent.state is CloneState.CONSUMED
    assert isinstance(later, CloneCharged)
    assert later.clone is not None
    assert later.clone.state is CloneState.ATTACHED
    assert later.clone.connected_object_id != spent.connected_object_id


class SlowReader:
    """A ledger whose reads of the connected customer wait until the test lets them."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.arrived, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def get_connected_customer(self, *names: str) -> Any:
        self.arrived.set()
        await self.go.wait()
        return await self._ledger.get_connected_customer(*names)


async def test_a_clone_attached_by_another_request_meanwhile_is_not_attached_again() -> None:
    """Over two replicas: one reads the clone as ACTIVE, the other makes the customer with it, the first goes on."""
    clock, stripe = VirtualClock(), WorkingStripe()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    making = Held(lambda call: {"id": "cus_made", "object": "customer", "metadata": call.params["metadata"]})
    stripe.on("POST", r"/v1/customers", making)
    slow: Any = SlowReader(ledger)
    one = Engine(ledger=ledger, gateway=stripe, clock=clock, owner="one")
    other = Engine(ledger=slow, gateway=stripe, clock=clock, owner="other")

    first = asyncio.create_task(one.submit("00000000-0000-4000-8000-000000000001", "first", CHARGE))
    await making.arrived.wait()
    second = asyncio.create_task(other.submit("00000000-0000-4000-8000-000000000002", "second", CHARGE))
    await slow.arrived.wait()
    making.release.set()
    await first
    slow.go.set()
    answer = await second
    await ledger.aclose()

    assert answer.error is None
    assert stripe.sent_to(r"/v1/payment_methods/[^/]+/attach") == []
    assert len(stripe.sent_to(r"/v1/customers")) == 1
