"""The RPCs over a real channel, with an engine and queries that answer what the test says."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import errors_pb2, types_pb2
from cloneservice_server.domain import commands, errors, results
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ports import ChargeFilter, CloneFilter, RequestRow
from cloneservice_server.rpc.interceptors.errors import errors_interceptor
from cloneservice_server.rpc.paging import PageTokens
from cloneservice_server.rpc.planned import planned
from cloneservice_server.rpc.servicer import CloneServicer
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.fakes_rpc import (
    CHARGE,
    CHARGE_WITH_ACTION,
    CLONE,
    CUSTOMER,
    DECLINED,
    PAYMENT_METHOD,
    REQUEST_ID,
    SECRET,
    FakeAnswer,
    FakeEngine,
    FakeEvents,
    FakeQueries,
    served,
)

CHARGE_OPTIONS = pb.ChargeOptions(amount=types_pb2.Money(minor_units=1099, currency_code="usd"))
CREATE_CHARGE = pb.CreateChargeRequest(request_id=REQUEST_ID, clone_id="cln_000001", charge=CHARGE_OPTIONS)


async def refused(call: Any) -> Any:
    """(the error of a call, its ErrorInfo)."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(caught.value)
    if status is not None:
        assert status.details[0].Unpack(info)
    return caught.value, info


MUTATIONS = [
    (
        "SavePaymentMethod",
        pb.SavePaymentMethodRequest(
            request_id=REQUEST_ID, platform_customer_id="cus_1", platform_payment_method_id="pm_1"
        ),
        commands.SavePaymentMethod("pm_1", "cus_1"),
        results.SavedPaymentMethod(CUSTOMER, PAYMENT_METHOD),
    ),
    (
        "ClonePaymentMethod",
        pb.ClonePaymentMethodRequest(
            request_id=REQUEST_ID, platform_customer_id="cus_1", connected_account_id="acct_1"
        ),
        commands.ClonePaymentMethod("cus_1", "acct_1"),
        results.CloneMade(CLONE),
    ),
    (
        "AttachClone",
        pb.AttachCloneRequest(request_id=REQUEST_ID, clone_id="cln_1"),
        commands.AttachClone("cln_1"),
        results.CloneMade(CLONE),
    ),
    (
        "RefreshClone",
        pb.RefreshCloneRequest(request_id=REQUEST_ID, clone_id="cln_1"),
        commands.RefreshClone("cln_1"),
        results.CloneRefreshed(CLONE),
    ),
    (
        "RevokeClone",
        pb.RevokeCloneRequest(request_id=REQUEST_ID, clone_id="cln_1", etag="e"),
        commands.RevokeClone("cln_1", "e"),
        results.CloneMade(CLONE),
    ),
    (
        "CreateSetup",
        pb.CreateSetupRequest(request_id=REQUEST_ID, platform_customer_id="cus_1", payment_method_types=["card"]),
        commands.CreateSetup("cus_1", payment_method_types=("card",)),
        results.SetupMade(CUSTOMER, "seti_1"),
    ),
    (
        "EraseCustomer",
        pb.EraseCustomerRequest(request_id=REQUEST_ID, platform_customer_id="cus_1", delete_platform_customer=True),
        commands.EraseCustomer("cus_1", delete_platform_customer=True),
        results.CustomerErased((results.AccountErased("acct_1", 1, 2),), 1, 2, ("Backups",), 1, 2),
    ),
    (
        "CreateCharge",
        CREATE_CHARGE,
        commands.CreateCharge("cln_000001", commands.ChargeOptions(CHARGE.amount)),
        results.ChargeMade(CHARGE),
    ),
    (
        "CloneAndCharge",
        pb.CloneAndChargeRequest(
            request_id=REQUEST_ID, platform_customer_id="cus_1", connected_account_id="acct_1", charge=CHARGE_OPTIONS
        ),
        commands.CloneAndCharge("cus_1", "acct_1", commands.ChargeOptions(CHARGE.amount)),
        results.CloneCharged(CLONE, CHARGE),
    ),
]


@pytest.mark.parametrize(("rpc", "request_", "command", "result"), MUTATIONS, ids=[case[0] for case in MUTATIONS])
async def test_a_mutation_submits_its_command_and_answers_its_result(
    rpc: Any, request_: Any, command: Any, result: Any
) -> None:
    engine = FakeEngine(FakeAnswer(result))

    async with served(engine) as stub:
        response = await getattr(stub, rpc)(request_)

    assert [(one.request_id, one.command) for one in engine.submitted] == [(REQUEST_ID, command)]
    assert response.ByteSize() > 0


@pytest.mark.parametrize(("rpc", "request_", "command", "result"), MUTATIONS, ids=[case[0] for case in MUTATIONS])
async def test_a_mutation_without_its_fields_never_reaches_the_engine(
    rpc: Any, request_: Any, command: Any, result: Any
) -> None:
    engine = FakeEngine(FakeAnswer(result))

    async with served(engine, None, errors_interceptor()) as stub:
        error, info = await refused(getattr(stub, rpc)(type(request_)()))

    assert (error.code(), info.reason, engine.submitted) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", [])


async def test_an_upper_case_request_id_is_the_same_request() -> None:
    engine = FakeEngine(FakeAnswer(results.ChargeMade(CHARGE)))
    upper = pb.CreateChargeRequest(request_id=REQUEST_ID.upper(), clone_id="cln_000001", charge=CHARGE_OPTIONS)

    async with served(engine) as stub:
        await stub.CreateCharge(upper)
        await stub.CreateCharge(CREATE_CHARGE)

    assert len({(one.request_id, one.request_hash) for one in engine.submitted}) == 1


async def test_a_replay_says_so_in_initial_metadata_and_nowhere_else() -> None:
    async with served(FakeEngine(FakeAnswer(results.ChargeMade(CHARGE)))) as stub:
        first = stub.CreateCharge(CREATE_CHARGE)
        first_bytes, first_metadata = (
            (await first).SerializeToString(deterministic=True),
            await first.initial_metadata(),
        )
    async with served(FakeEngine(FakeAnswer(results.ChargeMade(CHARGE), replayed=True))) as stub:
        again = stub.CreateCharge(CREATE_CHARGE)
        again_bytes, again_metadata = (
            (await again).SerializeToString(deterministic=True),
            await again.initial_metadata(),
        )

    assert first_bytes == again_bytes
    assert "idempotent-replayed" not in dict(first_metadata)
    assert dict(again_metadata)["idempotent-replayed"] == "true"


async def test_a_replayed_error_says_so_too() -> None:
    answer = FakeAnswer(error=errors.CardDeclined("declined", charge=DECLINED), replayed=True)

    async with served(FakeEngine(answer), None, errors_interceptor()) as stub:
        call = stub.CreateCharge(CREATE_CHARGE)
        error, info = await refused(call)
        metadata = dict(await call.initial_metadata())

    assert (error.code(), info.reason, metadata["idempotent-replayed"]) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "CARD_DECLINED",
        "true",
    )


async def test_a_decline_is_a_status_with_the_recorded_charge() -> None:
    answer = FakeAnswer(error=errors.CardDeclined("declined", charge=DECLINED))

    async with served(FakeEngine(answer), None, errors_interceptor()) as stub:
        error, _ = await refused(stub.CreateCharge(CREATE_CHARGE))

    failure = errors_pb2.ChargeFailure()
    assert rpc_status.from_call(error).details[1].Unpack(failure)
    assert failure.charge.state == types_pb2.Charge.STATE_DECLINED


async def test_three_d_secure_is_an_answer_with_the_secret_and_reading_it_back_is_without() -> None:
    engine = FakeEngine(FakeAnswer(results.ChargeMade(CHARGE_WITH_ACTION)))

    async with served(engine, FakeQueries(charges=[CHARGE_WITH_ACTION])) as stub:
        made = await stub.CreateCharge(CREATE_CHARGE)
        read = await stub.GetCharge(pb.GetChargeRequest(charge_id="chg_000001"))
        listed = await stub.ListCharges(pb.ListChargesRequest())

    assert made.charge.next_action.client_secret == SECRET
    assert (read.charge.next_action.client_secret, listed.charges[0].next_action.client_secret) == ("", "")


async def test_the_deadline_of_the_caller_reaches_the_engine() -> None:
    engine = FakeEngine(FakeAnswer(results.ChargeMade(CHARGE)))

    async with served(engine) as stub:
        await stub.CreateCharge(CREATE_CHARGE, timeout=20)

    assert 0 < (engine.submitted[0].deadline_s or 0) < 60


@pytest.mark.parametrize("asked_s", [None, 3600])
async def test_a_caller_without_a_deadline_or_with_a_long_one_gets_the_servers(asked_s: int | None) -> None:
    engine = FakeEngine(FakeAnswer(results.ChargeMade(CHARGE)))

    async with served(engine) as stub:
        await stub.CreateCharge(CREATE_CHARGE, timeout=asked_s)

    assert engine.submitted[0].deadline_s == 60.0


async def test_reading_what_is_not_there_is_not_found() -> None:
    async with served(FakeEngine(), None, errors_interceptor()) as stub:
        clone, clone_info = await refused(stub.GetClone(pb.GetCloneRequest(clone_id="cln_1")))
        charge, _ = await refused(stub.GetCharge(pb.GetChargeRequest(charge_id="chg_1")))

    assert (clone.code(), charge.code()) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND)
    assert clone_info.metadata["id"] == "cln_1"


async def test_reading_asks_stripe_only_when_asked_to() -> None:
    queries = FakeQueries(charges=[CHARGE])

    async with served(FakeEngine(), queries) as stub:
        await stub.GetCharge(pb.GetChargeRequest(charge_id="chg_000001"))
        await stub.GetCharge(pb.GetChargeRequest(charge_id="chg_000001", refresh=True))

    assert queries.asked == [("refresh", False), ("refresh", True)]


def clones(count: Any) -> Any:
    return [
        dataclasses.replace(CLONE, clone_id=f"cln_{n:06}", create_time_us=CLONE.create_time_us + n // 2)
        for n in range(count)
    ]


async def pages_of_clones(stub: Any, page_size: Any) -> Any:
    token, seen = "", []
    while True:
        page = await stub.ListClones(pb.ListClonesRequest(page_size=page_size, page_token=token))
        seen.append([clone.clone_id for clone in page.clones])
        token = page.next_page_token
        if not token:
            return seen


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (2, [2]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])])
async def test_pages_show_every_clone_once_newest_first(count: int, sizes: Any) -> None:
    async with served(FakeEngine(), FakeQueries(clones=clones(count))) as stub:
        pages = await pages_of_clones(stub, 3)

    assert [len(page) for page in pages] == sizes
    assert [one for page in pages for one in page] == [f"cln_{n:06}" for n in reversed(range(count))]


async def test_pages_of_charges_go_on_where_they_ended() -> None:
    charges = [dataclasses.replace(CHARGE, charge_id=f"chg_{n:06}") for n in range(3)]

    async with served(FakeEngine(), FakeQueries(charges=charges)) as stub:
        first = await stub.ListCharges(pb.ListChargesRequest(page_size=2))
        second = await stub.ListCharges(pb.ListChargesRequest(page_size=2, page_token=first.next_page_token))

    ids = [charge.charge_id for page in (first, second) for charge in page.charges]
    assert (ids, second.next_page_token) == (["chg_000002", "chg_000001", "chg_000000"], "")


async def test_filters_reach_the_queries() -> None:
    queries = FakeQueries()

    async with served(FakeEngine(), queries) as stub:
        await stub.ListClones(pb.ListClonesRequest(connected_account_id="acct_1"))
        await stub.ListCharges(pb.ListChargesRequest(platform_customer_id="cus_1", page_size=200))

    assert [(where, page.limit) for where, page in queries.asked] == [
        (CloneFilter(connected_account_id="acct_1"), 51),
        (ChargeFilter(platform_customer_id="cus_1"), 201),
    ]


async def test_a_page_token_with_another_filter_is_refused() -> None:
    queries = FakeQueries(clones=clones(2))

    async with served(FakeEngine(), queries, errors_interceptor()) as stub:
        first = await stub.ListClones(pb.ListClonesRequest(page_size=1))
        request = pb.ListClonesRequest(page_size=1, platform_customer_id="cus_9", page_token=first.next_page_token)
        error, info = await refused(stub.ListClones(request))

    assert (error.code(), info.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, "page_token")


async def test_platform_payment_methods_are_paged_by_their_last_id() -> None:
    saved = [dataclasses.replace(PAYMENT_METHOD, platform_payment_method_id=f"pm_{n}") for n in range(3)]
    queries = FakeQueries(payment_methods=saved)
    request = pb.ListPlatformPaymentMethodsRequest(platform_customer_id="cus_1", page_size=2)

    async with served(FakeEngine(), queries) as stub:
        first = await stub.ListPlatformPaymentMethods(request)
        request.page_token = first.next_page_token
        second = await stub.ListPlatformPaymentMethods(request)

    ids = [[one.platform_payment_method_id for one in page.payment_methods] for page in (first, second)]
    assert (ids, second.next_page_token) == ([["pm_0", "pm_1"], ["pm_2"]], "")
    assert queries.asked == [("cus_1", 2, ""), ("cus_1", 2, "pm_1")]


async def test_lookup_tells_what_became_of_a_request_in_any_case() -> None:
    row = RequestRow(REQUEST_ID, "CreateCharge", "h", "{}", RequestState.SUCCEEDED, 1, charge_id="chg_1")

    async with served(FakeEngine(), FakeQueries(rows={REQUEST_ID: row})) as stub:
        found = await stub.LookupRequest(pb.LookupRequestRequest(request_id=REQUEST_ID.upper()))
        unknown = await stub.LookupRequest(pb.LookupRequestRequest(request_id=REQUEST_ID.replace("0", "1")))

    assert (found.state, found.charge_id) == (pb.REQUEST_STATE_SUCCEEDED, "chg_1")
    assert unknown.state == pb.REQUEST_STATE_UNKNOWN


NO_BATCHES: Any = None


def test_every_rpc_of_the_contract_is_served() -> None:
    servicer = CloneServicer(FakeEngine(), FakeQueries(), PageTokens(b""), events=FakeEvents(), batches=NO_BATCHES)
    assert planned(servicer) == []


async def test_a_caller_who_waits_longer_than_the_server_is_told_to_come_back() -> None:
    engine = FakeEngine(hold=asyncio.Event())

    async with served(engine, None, errors_interceptor(), deadline_s_max=0.01) as stub:
        error, info = await refused(stub.CreateCharge(CREATE_CHARGE))

    assert (error.code(), info.reason, info.metadata["request_id"]) == (
        grpc.StatusCode.ABORTED,
        "REQUEST_IN_PROGRESS",
        REQUEST_ID,
    )


async def test_an_answer_is_the_same_byte_for_byte_however_its_labels_were_stored() -> None:
    labels = [(f"label {n}", str(n)) for n in range(20)]
    bodies = set()

    for order in (1, -1):
        charge = dataclasses.replace(CHARGE, metadata=dict(labels[::order]))
        engine = FakeEngine(FakeAnswer(results.ChargeMade(charge)))
        async with served(engine, None, errors_interceptor(), raw=True) as channel:
            rpc = channel.unary_unary("/cloneservice.v1.CloneService/CreateCharge")
            bodies.add(await rpc(CREATE_CHARGE.SerializeToString()))

    assert len(bodies) == 1
