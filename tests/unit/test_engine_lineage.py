"""A clone holds its place in the lineage until another supersedes it, whatever has become of it."""

from __future__ import annotations

from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge, CreateCharge
from cloneservice_server.domain.results import CloneCharged
from cloneservice_server.domain.values import CloneState, Money
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Refused
from cloneservice_server.workflows.engine import Engine

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
