from __future__ import annotations

import pytest
from cloneservice_server.domain.values import ChargeState, CloneState, ConnectedAccount
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import ChargeFilter, CloneFilter, Page, PutCharge, PutClone, PutConnectedAccount

from tests.ledger_values import charge, clone

ALL = Page(100)


@pytest.fixture
async def filled(ledger: SqlLedger) -> SqlLedger:
    """Clones and charges of two customers, accounts, payment methods and states; several share one time."""
    for number in range(12):
        named = {
            "platform_customer_id": f"cus_{number % 2}",
            "connected_account_id": f"acct_{number % 3}",
            "create_time_us": 1_000 + number // 4,
        }
        kept = clone(
            f"clone_{number:02}",
            platform_payment_method_id=f"pm_{number % 4}",
            state=[CloneState.ATTACHED, CloneState.ERASED, CloneState.STALE][number % 3],
            **named,
        )
        made = charge(
            f"charge_{number:02}",
            clone_id=f"clone_{number % 4:02}",
            state=[ChargeState.SUCCEEDED, ChargeState.DECLINED][number % 2],
            **named,
        )
        await ledger.commit(None, [PutClone(kept), PutCharge(made)])
    return ledger


async def clones(ledger: SqlLedger, where: CloneFilter, page: Page = ALL) -> list[int]:
    return [int(found.clone_id[-2:]) for found in await ledger.list_clones(where, page)]


async def charges(ledger: SqlLedger, where: ChargeFilter, page: Page = ALL) -> list[int]:
    return [int(found.charge_id[-2:]) for found in await ledger.list_charges(where, page)]


async def test_charges_come_newest_first_and_the_id_decides_between_equal_times(filled: SqlLedger) -> None:
    assert await charges(filled, ChargeFilter()) == list(range(11, -1, -1))


async def test_clones_come_newest_first_without_the_erased(filled: SqlLedger) -> None:
    assert await clones(filled, CloneFilter()) == [11, 9, 8, 6, 5, 3, 2, 0]


async def test_erased_clones_are_listed_when_asked_for(filled: SqlLedger) -> None:
    assert await clones(filled, CloneFilter(states=(CloneState.ERASED,))) == [10, 7, 4, 1]
    assert await clones(filled, CloneFilter(states=tuple(CloneState))) == list(range(11, -1, -1))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (CloneFilter(platform_customer_id="cus_1"), [11, 9, 5, 3]),
        (CloneFilter(platform_payment_method_id="pm_0"), [8, 0]),
        (CloneFilter(connected_account_id="acct_0"), [9, 6, 3, 0]),
        (CloneFilter(states=(CloneState.STALE,)), [11, 8, 5, 2]),
        (CloneFilter("cus_1", "pm_1", "acct_0", (CloneState.ATTACHED, CloneState.STALE)), [9]),
        (CloneFilter("cus_1", "pm_0"), []),
        (CloneFilter("nobody"), []),
    ],
)
async def test_every_given_field_of_a_clone_filter_must_match(
    filled: SqlLedger, where: CloneFilter, expected: list[int]
) -> None:
    assert await clones(filled, where) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ChargeFilter(platform_customer_id="cus_1"), [11, 9, 7, 5, 3, 1]),
        (ChargeFilter(clone_id="clone_02"), [10, 6, 2]),
        (ChargeFilter(connected_account_id="acct_1"), [10, 7, 4, 1]),
        (ChargeFilter(states=(ChargeState.DECLINED,)), [11, 9, 7, 5, 3, 1]),
        (ChargeFilter("cus_0", "clone_02", "acct_1", (ChargeState.SUCCEEDED, ChargeState.DECLINED)), [10]),
        (ChargeFilter("cus_0", states=(ChargeState.DECLINED,)), []),
    ],
)
async def test_every_given_field_of_a_charge_filter_must_match(
    filled: SqlLedger, where: ChargeFilter, expected: list[int]
) -> None:
    assert await charges(filled, where) == expected


@pytest.mark.parametrize("size", [1, 3, 5, 12, 20])
async def test_pages_of_any_size_show_each_row_once(filled: SqlLedger, size: int) -> None:
    seen: list[int] = []
    page = Page(size)
    while found := await filled.list_charges(ChargeFilter(), page):
        assert len(found) <= size
        seen += [int(row.charge_id[-2:]) for row in found]
        page = Page(size, found[-1].create_time_us, found[-1].charge_id)
    assert seen == list(range(11, -1, -1))


async def test_rows_added_meanwhile_do_not_move_a_page(filled: SqlLedger) -> None:
    before = Page(5, 1_001, "clone_06")
    page = await clones(filled, CloneFilter(), before)
    await filled.commit(None, [PutClone(clone("clone_99", create_time_us=9_999))])
    assert await clones(filled, CloneFilter(), before) == page == [5, 3, 2, 0]


async def test_ids_are_ordered_by_their_bytes_in_every_store(ledger: SqlLedger) -> None:
    names = ["a", "B", "_", "Z", "b", "é", "10", "9"]
    await ledger.commit(None, [PutCharge(charge(name)) for name in names])
    listed = [row.charge_id for row in await ledger.list_charges(ChargeFilter(), ALL)]
    assert listed == sorted(names, key=lambda name: name.encode(), reverse=True)


async def test_a_charge_is_found_by_its_payment_intent(ledger: SqlLedger) -> None:
    kept = charge("charge_1", stripe_payment_intent_id="pi_1")
    await ledger.commit(None, [PutCharge(kept), PutCharge(charge("charge_2"))])

    assert await ledger.find_charge(kept.connected_account_id, "pi_1") == kept
    assert await ledger.find_charge("acct_other", "pi_1") is None


async def test_what_is_known_of_an_account_is_replaced(ledger: SqlLedger) -> None:
    assert await ledger.get_connected_account("acct_1") is None
    for seen in (ConnectedAccount("acct_1", charges_enabled=False), ConnectedAccount("acct_1", authorized=False)):
        await ledger.commit(None, [PutConnectedAccount(seen)])
        assert await ledger.get_connected_account("acct_1") == seen
