"""A request that was taken up again is not told that nothing was done, unless that is known."""

from __future__ import annotations

import asyncio

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.values import Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.workflows.engine import Engine

from tests.fakes import Held
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe, payment_intent

CHARGE = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD")), "pm_saved")
REQUEST = "7d3f0a52-31f5-4c0e-9d3e-5ad3b1a4f001"


async def test_a_short_deadline_does_not_hide_a_confirmation_that_a_dead_owner_may_have_sent() -> None:
    clock, stripe = VirtualClock(), WorkingStripe()
    ledger = open_ledger("sqlite://:memory:", clock)
    await ledger.open()
    held = Held(lambda call: payment_intent("succeeded", call.path.split("/")[3]))
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", held)
    dead = Engine(ledger=ledger, gateway=stripe, clock=clock, owner="dead")
    first = asyncio.create_task(dead.submit(REQUEST, "hash", CHARGE))
    await held.arrived.wait()  # and never comes back
    clock.advance(31)
    alive = Engine(ledger=ledger, gateway=stripe, clock=clock, owner="alive")

    answer = await alive.submit(REQUEST, "hash", CHARGE, deadline_s=0.5)
    row = await ledger.get_request(REQUEST)

    assert isinstance(answer.error, errors.OutcomeUnknown)
    assert row is not None
    assert row.state is RequestState.INDETERMINATE  # the reconciler takes it up; PARKED would say "nothing was done"
    held.release.set()
    await first
    await ledger.aclose()
