"""Access where the ledger has to be asked: whose a resource is, and how much money a charge moves."""

from __future__ import annotations

from typing import Any

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice_server.access.policy import Amount, parse
from cloneservice_server.domain.errors import CallerNotPermitted, InvalidRequest, ResourceNotFound, ServiceOverloaded
from cloneservice_server.listeners import rpc_names
from cloneservice_server.rpc.interceptors.access import Access, Found
from cloneservice_server.rpc.interceptors.rates import Rates
from cloneservice_server.rpc.scope import scope_of

POLICY = """
version: 1
callers:
  seller:
    identities: ["token:seller"]
    rpcs: "*"
    accounts: [acct_1]
    max_amount: {USD: 5000}
    requests_per_second: 1
  cashier:
    identities: ["token:cashier"]
    rpcs: "*"
    accounts: "*"
    max_amount: {USD: 5000}
"""
CHARGES = {
    "chg_small": Found(("acct_1",), (Amount(5000, "USD"),)),
    "chg_large": Found(("acct_1",), (Amount(5001, "USD"),)),
    "chg_others": Found(("acct_2",), (Amount(1, "USD"),)),
}
BATCHES = {
    "bat_mine": Found((), owner="seller"),
    "bat_others": Found((), owner="cashier"),
    "bat_old": Found((), owner=""),
}
BASKETS = {"bkt_1": Found(("acct_1",)), "bkt_2": Found(("acct_1", "acct_2"))}


class Held:
    """A value where a file would be."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def current(self) -> Any:
        return self.value


def made() -> tuple[Access, list[str]]:
    asked: list[str] = []

    def finder(known: dict[str, Found]) -> Any:
        async def find(name: str) -> Found | None:
            asked.append(name)
            return known.get(name)

        return find

    policy: Any = Held(parse(POLICY.encode(), rpc_names()))
    return Access(
        policy=policy, resources={"charge": finder(CHARGES), "basket": finder(BASKETS), "batch": finder(BATCHES)}
    ), asked


async def admit(access: Access, who: str, rpc: str, **fields: Any) -> Any:
    request = getattr(pb, f"{rpc}Request")(**fields)
    return (await access.admit(rpc, request, scope_of(rpc, request), (f"token:{who}",))).name


@pytest.mark.parametrize("rpc", ["ConfirmCharge", "CaptureCharge", "RefundCharge"])
@pytest.mark.parametrize("who", ["seller", "cashier"])
async def test_a_charge_larger_than_the_callers_bound_is_not_moved_by_it_either(who: str, rpc: str) -> None:
    access, _ = made()

    assert await admit(access, who, rpc, charge_id="chg_small") == who
    with pytest.raises(CallerNotPermitted, match="at most 5000 USD"):
        await admit(access, who, rpc, charge_id="chg_large")


async def test_a_large_charge_may_be_seen_and_canceled() -> None:
    access, _ = made()

    assert [await admit(access, "seller", rpc, charge_id="chg_large") for rpc in ("GetCharge", "CancelCharge")] == [
        "seller",
        "seller",
    ]


@pytest.mark.parametrize("rpc", ["GetCharge", "CancelCharge", "RefundCharge", "ListRefunds"])
async def test_anothers_charge_and_none_are_told_alike(rpc: str) -> None:
    access, _ = made()
    told = []
    for charge_id in ("chg_others", "chg_nothing"):
        with pytest.raises(ResourceNotFound) as caught:
            await admit(access, "seller", rpc, charge_id=charge_id)
        told.append(str(caught.value).replace(charge_id, "chg_x"))

    assert told[0] == told[1]


async def test_every_account_of_a_basket_must_be_the_callers() -> None:
    access, _ = made()

    assert await admit(access, "seller", "GetBasket", basket_id="bkt_1") == "seller"
    with pytest.raises(ResourceNotFound):
        await admit(access, "seller", "GetBasket", basket_id="bkt_2")


async def test_a_batch_is_seen_by_who_made_it_and_by_who_sees_all() -> None:
    access, _ = made()

    seen = [await admit(access, "seller", "GetCloneBatch", batch_id="bat_mine")]
    seen += [await admit(access, "cashier", "GetCloneBatch", batch_id=name) for name in sorted(BATCHES)]
    assert seen == ["seller", "cashier", "cashier", "cashier"]
    for name in ("bat_others", "bat_old", "bat_nothing"):
        with pytest.raises(ResourceNotFound):
            await admit(access, "seller", "CancelCloneBatch", batch_id=name)


async def test_what_is_refused_by_the_request_alone_is_not_looked_up() -> None:
    access, asked = made()
    limited: Any = access.policy
    limited.value = parse(POLICY.replace('rpcs: "*"', "rpcs: [GetClone]").encode(), rpc_names())

    with pytest.raises(CallerNotPermitted, match="may not call GetCharge"):
        await admit(access, "seller", "GetCharge", charge_id="chg_small")

    assert asked == []


async def test_a_resource_that_nobody_can_place_is_for_those_who_may_reach_all() -> None:
    access, _ = made()
    access.resources.clear()

    assert await admit(access, "cashier", "GetCharge", charge_id="chg_small") == "cashier"
    with pytest.raises(CallerNotPermitted, match="without naming a connected account"):
        await admit(access, "seller", "GetCharge", charge_id="chg_small")


async def test_a_forgotten_field_is_told_as_such() -> None:
    access, _ = made()

    with pytest.raises(InvalidRequest, match="connected_account_id: is required"):
        await admit(access, "seller", "ClonePaymentMethod", platform_customer_id="cus_1")


async def test_a_callers_own_rate_is_the_policys() -> None:
    access, _ = made()
    request = pb.ListClonesRequest()
    caller = await access.admit("ListClones", request, scope_of("ListClones", request), ("token:seller",))
    rates = Rates(0, lambda: 0.0)
    for _ in range(2):
        rates.take(caller.name, caller.requests_per_second)

    with pytest.raises(ServiceOverloaded):
        rates.take(caller.name, caller.requests_per_second)
