"""A bad word about a connected account is checked with Stripe before it is believed; a good one costs nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cloneservice_server.domain.errors import AccountUnavailable
from cloneservice_server.domain.values import ConnectedAccount, RequestState
from cloneservice_server.ledger import SqlLedger, open_ledger
from cloneservice_server.ports import PutConnectedAccount, Refused, RequestRow
from cloneservice_server.workflows.accounts import require_account
from cloneservice_server.workflows.run import RetrySettings, Run

from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe

LEFT = Refused(403, "invalid_request_error", "account_invalid", "no access", account="acct_1")


@pytest.fixture
async def ledger() -> AsyncIterator[SqlLedger]:
    made = open_ledger("sqlite://:memory:", VirtualClock())
    await made.open()
    yield made
    await made.aclose()


def running(ledger: SqlLedger, *, livemode: bool = True) -> tuple[Run, WorkingStripe]:
    stripe = WorkingStripe()
    row = RequestRow("r", "CloneAndCharge", "", "", RequestState.RUNNING, fence=1)
    return Run(row, ledger, stripe, VirtualClock(), RetrySettings(attempts=1), livemode=livemode), stripe


async def test_an_account_that_nothing_is_known_of_costs_no_call(ledger: SqlLedger) -> None:
    run, stripe = running(ledger)
    await require_account(run, "acct_1", to_charge=True)
    assert stripe.sent == []


async def test_an_account_that_left_is_refused_until_stripe_lets_us_in_again(ledger: SqlLedger) -> None:
    await ledger.commit(None, [PutConnectedAccount(ConnectedAccount("acct_1", authorized=False))])
    run, stripe = running(ledger)
    stripe.on("GET", "/v1/account", LEFT, {"id": "acct_1", "charges_enabled": True})

    with pytest.raises(AccountUnavailable):
        await require_account(run, "acct_1")
    await require_account(run, "acct_1")

    assert run.staged[-1] == PutConnectedAccount(ConnectedAccount("acct_1", update_time_us=run.now_us()))


async def test_charges_off_matter_to_a_live_charge_alone(ledger: SqlLedger) -> None:
    await ledger.commit(None, [PutConnectedAccount(ConnectedAccount("acct_1", charges_enabled=False))])
    run, stripe = running(ledger)
    stripe.on("GET", "/v1/account", {"id": "acct_1", "charges_enabled": False})
    await require_account(run, "acct_1")
    with pytest.raises(AccountUnavailable, match="cannot take charges"):
        await require_account(run, "acct_1", to_charge=True)
    in_test_mode, stripe = running(ledger, livemode=False)
    await require_account(in_test_mode, "acct_1", to_charge=True)
    assert stripe.sent == []
