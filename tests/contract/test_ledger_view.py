"""The view for people: it finds what is asked for, it cannot write, and it stands in nobody's way."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.baskets import Basket, BasketState
from cloneservice_server.domain.values import ChargeState, CloneFlow, ConnectedCustomer, RequestState
from cloneservice_server.ledger import SqlLedger, open_ledger
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.sqlite_reader import SqliteReader
from cloneservice_server.ledger.view import SqlView, open_view
from cloneservice_server.ports import (
    EffectState,
    FinishRequest,
    LedgerUnavailable,
    Page,
    PutBasket,
    PutCharge,
    PutConnectedCustomer,
    SettleEffect,
)

from tests.ledger_values import SUCCEEDED, begin, charge, new_effect
from tests.virtual_clock import VirtualClock

FAILED = FinishRequest(RequestState.FAILED, error="{}")
PARKED = FinishRequest(RequestState.PARKED, error="{}")
INDETERMINATE = FinishRequest(RequestState.INDETERMINATE, error="{}", retry_after_us=60_000_000)
WRITE = Part("UPDATE request SET method = 'CloneAndCharge' WHERE request_id = $1 RETURNING request_id", ("request-1",))
ENDED = (RequestState.SUCCEEDED, RequestState.FAILED, RequestState.PARKED)


@pytest.fixture
async def view(ledger: SqlLedger) -> AsyncIterator[SqlView]:
    opened = open_view(ledger, SystemClock())
    yield opened
    await opened.aclose()


async def test_requests_are_listed_by_state_newest_change_first(ledger: SqlLedger, view: SqlView) -> None:
    for number, finish in enumerate((SUCCEEDED, FAILED, PARKED, INDETERMINATE, SUCCEEDED)):
        await ledger.commit(await begin(ledger, f"request-{number}"), [finish])
    await begin(ledger, "request-5")

    async def listed(*states: RequestState, method: str = "") -> list[str]:
        return [row.request_id[-1] for row in await view.list_requests(states, Page(10), method)]

    assert await listed(RequestState.RUNNING, RequestState.INDETERMINATE, RequestState.PARKED) == ["5", "3", "2"]
    assert await listed(*ENDED) == ["4", "2", "1", "0"]
    assert await listed(RequestState.FAILED) == ["1"]
    assert await listed(*ENDED, method="CreateCharge") == ["4", "2", "1", "0"]
    assert await listed(*ENDED, method="CloneAndCharge") == []


async def test_a_page_of_requests_goes_on_where_the_last_one_ended(ledger: SqlLedger, view: SqlView) -> None:
    for number in range(5):
        await ledger.commit(await begin(ledger, f"request-{number}"), [SUCCEEDED])
    seen, page = [], Page(2)
    while rows := await view.list_requests(ENDED, page):
        seen += [row.request_id[-1] for row in rows]
        page = Page(2, rows[-1].update_time_us, rows[-1].request_id)

    assert seen == ["4", "3", "2", "1", "0"]


async def test_a_requests_steps_are_found_by_it_by_stripes_request_id_and_by_what_they_made(
    ledger: SqlLedger, view: SqlView
) -> None:
    claim = await begin(ledger)
    await ledger.intend(claim, [], new_effect("clone:acct_1:pm_1"))
    settle = SettleEffect("clone:acct_1:pm_1", 0, "pm_9", {"id": "pm_9"}, stripe_request_id="req_7")
    await ledger.intend(claim, [settle], new_effect("intent:request-1", kind="intent"))

    steps = await view.list_effects("request-1", 10)

    assert [(row.kind, row.state) for row in steps] == [("clone", EffectState.DONE), ("intent", EffectState.INTENT)]
    assert await view.find_effects(stripe_request_id="req_7", limit=10) == steps[:1]
    assert await view.find_effects(stripe_id="pm_9", limit=10) == steps[:1]
    assert await view.find_effects(stripe_id="pm_8", limit=10) == []


async def test_charges_baskets_and_connected_customers_are_found(ledger: SqlLedger, view: SqlView) -> None:
    paid = replace(charge(), stripe_payment_intent_id="pi_1")
    baskets = [
        Basket(f"bsk_{n}", f"cus_{n % 2}", "pm_1", CloneFlow.TOKEN, BasketState.CANCELED, (), "r", create_time_us=n)
        for n in range(1, 4)
    ]
    customers = [ConnectedCustomer(account, "cus_1", f"cus_at_{account}") for account in ("acct_1", "acct_2")]
    await ledger.commit(None, [PutCharge(paid), *map(PutBasket, baskets), *map(PutConnectedCustomer, customers)])

    assert await view.find_charges("pi_1", 10) == [paid]
    assert [basket.basket_id for basket in await view.list_baskets(Page(2))] == ["bsk_3", "bsk_2"]
    assert [basket.basket_id for basket in await view.list_baskets(Page(9), "cus_1")] == ["bsk_3", "bsk_1"]
    assert await view.list_connected_customers("cus_1", 10) == customers


async def test_charges_in_a_state_are_listed_page_by_page(ledger: SqlLedger, view: SqlView) -> None:
    states = (ChargeState.SUCCEEDED, ChargeState.DECLINED)
    made = [charge(f"charge_{n}", state=states[n % 2], create_time_us=n) for n in range(10)]
    await ledger.commit(None, [PutCharge(one) for one in made])
    first = await view.list_charges_in(ChargeState.DECLINED, Page(3))
    rest = await view.list_charges_in(ChargeState.DECLINED, Page(3, first[-1].create_time_us, first[-1].charge_id))

    assert [one.create_time_us for one in (*first, *rest)] == [9, 7, 5, 3, 1]


async def test_a_view_does_not_write(ledger: SqlLedger, view: SqlView) -> None:
    await begin(ledger)

    with pytest.raises(PermissionError):
        await view.write([WRITE])


async def test_the_database_itself_refuses_to_write_for_a_view(
    ledger: SqlLedger, view: SqlView, ledger_url: str
) -> None:
    if ledger_url == "sqlite://:memory:":
        return  # one connection, and no other can be made
    await begin(ledger)

    with pytest.raises(Exception, match=r"(?i)read.?only"):
        await view.read(WRITE)

    row = await view.get_request("request-1")
    assert row is not None
    assert row.method == "CreateCharge"


async def test_a_view_of_a_file_that_is_not_there_says_so_and_makes_none(tmp_path: Path) -> None:
    view = open_view(open_ledger(f"sqlite:///{tmp_path}/ledger.db", SystemClock()), SystemClock())

    with pytest.raises(LedgerUnavailable):
        await view.get_request("request-1")
    await view.aclose()

    assert os.listdir(tmp_path) == []  # noqa: PTH208 - no pathlib in asynchronous code


class Hasty(VirtualClock):
    """A clock on which each look finds half a second gone."""

    def monotonic_s(self) -> float:
        self.advance(0.5)
        return super().monotonic_s()


async def test_a_read_that_takes_too_long_is_given_up_and_the_next_one_is_answered(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", SystemClock())
    await ledger.open()
    reader = SqliteReader(f"{tmp_path}/ledger.db", Hasty())
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS i FROM n"

    with pytest.raises(LedgerUnavailable, match="interrupted"):
        await reader.read(Part(endless))

    assert [row["one"] for row in await reader.read(Part("SELECT 1 AS one"))] == [1]
    await reader.aclose()
    await ledger.aclose()


async def test_a_view_reads_what_was_committed_while_a_transaction_is_open_elsewhere(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", SystemClock())
    await ledger.open()
    view = open_view(ledger, SystemClock())
    await ledger.commit(await begin(ledger), [SUCCEEDED])
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        row = await view.get_request("request-1")
        other.execute("ROLLBACK")

    assert row is not None
    assert row.state is RequestState.SUCCEEDED
    await view.aclose()
    await ledger.aclose()
