"""Every question that a page asks is served by an index, so that no page reads through a table of millions."""

from __future__ import annotations

import re

import pytest
from cloneservice_server.domain.values import ChargeState, RequestState
from cloneservice_server.ledger import looking, open_ledger
from cloneservice_server.ledger.part import Part
from cloneservice_server.ports import Page

from tests.virtual_clock import VirtualClock

ENDED, OPEN = (RequestState.FAILED,), (RequestState.RUNNING, RequestState.INDETERMINATE, RequestState.PARKED)
NEXT = Page(51, 1_790_000_000_000_000, "r")


@pytest.mark.parametrize(
    "part",
    [
        looking.list_requests(ENDED, Page(51), ""),
        looking.list_requests(ENDED, NEXT, "CloneAndCharge"),
        looking.list_requests(OPEN, NEXT, ""),
        looking.list_requests((RequestState.INDETERMINATE,), Page(51), ""),
        looking.list_effects("r", 10),
        looking.find_effects("req_1", "", 10),
        looking.find_effects("", "pm_1", 10),
        looking.find_charges("pi_1", 10),
        looking.list_charges_in(ChargeState.DECLINED, Page(51)),
        looking.list_charges_in(ChargeState.DECLINED, NEXT),
        looking.list_baskets("", NEXT),
        looking.list_baskets("cus_1", Page(51)),
        looking.list_connected_customers("cus_1", 10),
    ],
    ids=lambda part: " ".join(str(part.sql).split())[:60],
)
async def test_no_page_reads_through_a_table(part: Part) -> None:
    ledger = open_ledger("sqlite://:memory:", VirtualClock())
    await ledger.open()
    plan = [row["detail"] for row in await ledger.read(Part(f"EXPLAIN QUERY PLAN {part.sql}", part.args))]
    await ledger.aclose()

    assert any("USING" in line for line in plan), plan
    assert [
        line for line in plan if re.fullmatch(r"SCAN (request|effect|charge|basket|connected_customer)", line)
    ] == []
