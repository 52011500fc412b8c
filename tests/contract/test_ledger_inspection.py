from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from cloneservice_server.domain.values import ConnectedCustomer
from cloneservice_server.ledger import SqlLedger, inspection
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger_commands import check, export
from cloneservice_server.ports import (
    LinkRequest,
    PutCharge,
    PutClone,
    PutConnectedCustomer,
    PutPlatformCustomer,
    SettleEffect,
    Write,
)

from tests.ledger_values import SUCCEEDED, begin, charge, clone, customer, new_effect, new_request


@pytest.fixture
async def sound(ledger: SqlLedger) -> SqlLedger:
    """A ledger with a row of everything."""
    await ledger.bind("key", livemode=False)
    claim = await begin(ledger)
    await ledger.intend(claim, [PutPlatformCustomer(customer("cus_1", "shopper"))], new_effect())
    connected = PutConnectedCustomer(ConnectedCustomer("acct_1", "cus_1", "cus_9"))
    link = LinkRequest("clone_1", "charge_1")
    made: list[Write] = [PutClone(clone(reusable=True)), PutCharge(charge(request_id="request-1")), connected, link]
    await ledger.commit(claim, [SettleEffect("clone:acct_1:pm_1", 0, "pm_9", {}), *made, SUCCEEDED])
    return ledger


async def found(ledger: SqlLedger) -> list[str]:
    return [str(problem) async for problem in check(ledger)]


async def test_a_sound_ledger_has_no_problem(sound: SqlLedger) -> None:
    assert await found(sound) == []


DAMAGE = {
    "a charge names a clone that is not there: charge_1": "DELETE FROM clone",
    "one request made two charges: request-1": "UPDATE charge SET request_id = 'request-1'",
    "a finished request names a charge that is not there: request-1": "DELETE FROM charge",
    "a finished request left a change at Stripe unsettled: clone:acct_1:pm_1": "UPDATE effect SET state = 'intent'",
    "a change is done but what it made is not named: clone:acct_1:pm_1": "UPDATE effect SET stripe_id = ''",
    "a request has a state that there is not: request-1": "UPDATE request SET state = 'lost'",
    "a request succeeded without a result: request-1": "UPDATE request SET result = ''",
    "a request failed without an error: request-1": "UPDATE request SET state = 'failed'",
    "a request that nobody works on is leased: request-1": "UPDATE request SET lease_until_us = 1",
    "a row of effect cannot be read: clone:acct_1:pm_1": "UPDATE effect SET call = '{'",
    "a row of clone cannot be read: clone_1": "UPDATE clone SET body = '[]'",
    "a clone is filed under other values than its own: clone_1": "UPDATE clone SET connected_account_id = 'acct_2'",
    "a charge is filed under other values than its own: charge_1": "UPDATE charge SET version = 2",
    "a row of connected_customer cannot be read: acct_1 cus_1": "UPDATE connected_customer SET body = '{\"x\":1}'",
}


@pytest.mark.parametrize("problem", DAMAGE)
async def test_each_broken_rule_is_found_with_the_row_that_breaks_it(sound: SqlLedger, problem: str) -> None:
    if problem.startswith("one request"):
        await sound.commit(None, [PutCharge(charge("charge_2", request_id="request-2"))])
    await sound.write([Part(DAMAGE[problem])])
    assert problem in await found(sound)


async def test_a_successor_that_is_not_there_is_found(sound: SqlLedger) -> None:
    await sound.commit(None, [PutClone(clone(version=2, superseded_by_clone_id="clone_2"))])
    assert await found(sound) == ["a clone was superseded by one that is not there: clone_1"]


async def test_an_export_holds_every_row_once_with_its_json_unpacked(sound: SqlLedger) -> None:
    output = io.StringIO()
    assert await export(sound, output) == len(output.getvalue().splitlines())
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    by_table = {line["table"]: line for line in lines}
    written = Counter(line["table"] for line in lines)
    for table in inspection.TABLES:
        stored = await sound.read(Part(f"SELECT count(*) AS rows FROM {table}"))
        assert written[table] == stored[0]["rows"]
    assert by_table["request"]["command"] == {"name": "Zoë"}
    assert by_table["clone"]["body"]["metadata"] == {"order": "7 €"}
    assert by_table["effect"]["call"]["path"] == "/v1/payment_methods"


async def test_a_table_of_many_pages_is_read_whole_and_in_order(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_PAGE", 3)
    names = [f"request-{number:02}" for number in range(10)]
    for name in reversed(names):
        await ledger.begin_request(new_request(name), "owner", 1.0)
    assert [row["request_id"] async for row in inspection.every_row(ledger, "request")] == names
    pairs = [(f"acct_{number % 2}", f"cus_{number}") for number in range(7)]
    await ledger.commit(None, [PutConnectedCustomer(ConnectedCustomer(*pair, "cus_9")) for pair in pairs])
    rows = [row async for row in inspection.every_row(ledger, "connected_customer")]
    assert [(row["connected_account_id"], row["platform_customer_id"]) for row in rows] == sorted(pairs)
