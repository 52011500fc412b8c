"""Every failure has its class, and nothing that a server, a proxy or a newer contract sends breaks the client."""

import copy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import cloneservice
import pytest
from cloneservice import (
    AuthenticationRequired,
    CardDeclined,
    CloneNotUsable,
    CloneServiceError,
    FieldViolation,
    InternalError,
    InvalidRequest,
    NotCloneable,
    OutcomeUnknown,
    ResourceNotFound,
    TransportError,
)
from cloneservice._errors import ERROR_CLASSES
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import errors_pb2, types_pb2
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from tests.fakes_clients import AsyncioDriver, BlockingDriver, Driver
from tests.fakes_grpc import Reply, ScriptedService, refusal, serving, status_of

REASONS = [name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()[1:]]


@pytest.fixture
def service() -> Any:
    return ScriptedService()


@pytest.fixture(params=[BlockingDriver, AsyncioDriver], ids=["sync", "asyncio"])
def client(request: pytest.FixtureRequest, service: ScriptedService) -> Any:
    with serving(service) as target:
        yield request.param(target)


async def failure(client: Driver, service: ScriptedService, reply: Any) -> CloneServiceError:
    """What a CreateCharge that gets this reply raises."""
    service.answer("CreateCharge", reply)
    with pytest.raises(CloneServiceError) as raised:
        await client.call("create_charge", "cln_1", cloneservice.Money(1099, "usd"), request_id="r-1")
    return raised.value


def test_every_reason_of_the_contract_has_a_public_class_of_its_own() -> None:
    assert sorted(ERROR_CLASSES) == sorted(REASONS)
    assert len(set(ERROR_CLASSES.values())) == len(REASONS)
    assert {cls.__name__ for cls in ERROR_CLASSES.values()} <= set(cloneservice.__all__)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    def drawn(root: type[Exception]) -> list[str]:
        return [root.__name__, *(name for child in root.__subclasses__() for name in drawn(child))]

    tree = (cloneservice._errors.__doc__ or "").split("\n\n")[1]

    assert sorted(line.strip("│├└─ ").split()[0] for line in tree.splitlines()) == sorted(drawn(CloneServiceError))


@pytest.mark.parametrize("reason", REASONS)
async def test_each_reason_raises_its_class(client: Driver, service: ScriptedService, reason: Any) -> None:
    reply = refusal(StatusCode.FAILED_PRECONDITION, reason, "so it is", metadata={"k": "v"})

    error = await failure(client, service, reply)

    assert type(error) is ERROR_CLASSES[reason]
    assert (error.reason, error.message, error.metadata) == (reason, "so it is", {"k": "v"})
    assert (error.code, error.request_id) == (StatusCode.FAILED_PRECONDITION, "r-1")
    assert str(error).startswith(f"{reason}: so it is")


async def test_a_decline_carries_the_charge_as_recorded(client: Driver, service: ScriptedService) -> None:
    recorded = types_pb2.Charge(
        charge_id="chg_1",
        state=types_pb2.Charge.STATE_DECLINED,
        decline=types_pb2.Decline(code="card_declined", decline_code="insufficient_funds", network_decline_code="51"),
    )
    detail = errors_pb2.ChargeFailure(charge=recorded, may_retry_later=True)
    reply = refusal(StatusCode.FAILED_PRECONDITION, "CARD_DECLINED", metadata={"code": "x"}, details=[detail])

    error = await failure(client, service, reply)

    assert isinstance(error, CardDeclined)
    assert error.charge is not None
    assert (error.charge.charge_id, error.may_retry_later) == ("chg_1", True)
    assert (error.decline.decline_code, error.decline.network_decline_code) == ("insufficient_funds", "51")


async def test_a_decline_without_its_detail_still_says_why_from_the_metadata(
    client: Driver, service: ScriptedService
) -> None:
    metadata = {"code": "card_declined", "decline_code": "lost_card", "advice_code": "do_not_try_again"}
    reply = refusal(StatusCode.FAILED_PRECONDITION, "CARD_DECLINED", "Your card was declined.", metadata=metadata)

    error = await failure(client, service, reply)

    assert isinstance(error, CardDeclined)
    assert (error.charge, error.may_retry_later) == (None, False)
    assert (error.decline.decline_code, error.decline.advice_code) == ("lost_card", "do_not_try_again")
    assert error.decline.message == "Your card was declined."


async def test_wanting_the_shopper_is_a_decline_that_says_so(client: Driver, service: ScriptedService) -> None:
    error = await failure(client, service, refusal(StatusCode.FAILED_PRECONDITION, "AUTHENTICATION_REQUIRED"))

    assert isinstance(error, AuthenticationRequired)
    assert isinstance(error, CardDeclined)


async def test_typed_details_become_attributes(client: Driver, service: ScriptedService) -> None:
    field = error_details_pb2.BadRequest.FieldViolation(field="charge.amount", description="must be positive")
    bad = refusal(
        StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", details=[error_details_pb2.BadRequest(field_violations=[field])]
    )
    gone = refusal(
        StatusCode.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        details=[error_details_pb2.ResourceInfo(resource_type="clone", resource_name="cln_1")],
    )

    invalid = await failure(client, service, bad)
    missing = await failure(client, service, gone)

    assert isinstance(invalid, InvalidRequest)
    assert invalid.violations == (FieldViolation("charge.amount", "must be positive"),)
    assert isinstance(missing, ResourceNotFound)
    assert (missing.resource_type, missing.resource_name) == ("clone", "cln_1")


async def test_metadata_of_a_reason_becomes_attributes(client: Driver, service: ScriptedService) -> None:
    def with_metadata(reason: Any, **metadata: Any) -> Any:
        return refusal(StatusCode.FAILED_PRECONDITION, reason, metadata=metadata)

    flow = await failure(client, service, with_metadata("NOT_CLONEABLE", usable_flow="PAYMENT_METHOD"))
    state = await failure(client, service, with_metadata("CLONE_NOT_USABLE", state="CONSUMED"))
    fault = await failure(client, service, with_metadata("INTERNAL", error_id="e-1"))

    assert isinstance(flow, NotCloneable)
    assert isinstance(state, CloneNotUsable)
    assert isinstance(fault, InternalError)
    assert (flow.usable_flow, state.state, fault.error_id) == ("PAYMENT_METHOD", "CONSUMED", "e-1")


async def test_an_unknown_outcome_says_how_to_go_on_without_doing_it_twice(
    client: Driver, service: ScriptedService
) -> None:
    client.options["options"] = [("grpc.enable_retries", 0)]
    reply = refusal(StatusCode.UNAVAILABLE, "STRIPE_OUTCOME_UNKNOWN", retry_after_s=1.5)

    error = await failure(client, service, reply)

    assert isinstance(error, OutcomeUnknown)
    assert (error.resumable, error.retry_after_s) == (True, 1.5)
    assert "call again with request_id r-1" in str(error)


async def test_a_refusal_gives_no_hint_to_try_again(client: Driver, service: ScriptedService) -> None:
    error = await failure(client, service, refusal(StatusCode.FAILED_PRECONDITION, "CARD_DECLINED", "no funds"))

    assert (error.resumable, str(error)) == (False, "CARD_DECLINED: no funds")


async def test_a_replayed_refusal_says_so(client: Driver, service: ScriptedService) -> None:
    first = refusal(StatusCode.FAILED_PRECONDITION, "CARD_DECLINED")
    again = refusal(
        StatusCode.FAILED_PRECONDITION, "CARD_DECLINED", initial_metadata=(("idempotent-replayed", "true"),)
    )

    assert (await failure(client, service, first)).replayed is False
    assert (await failure(client, service, again)).replayed is True


async def test_a_reason_from_a_newer_service_raises_the_root_with_all_it_said(
    client: Driver, service: ScriptedService
) -> None:
    reply = refusal(StatusCode.FAILED_PRECONDITION, "MOON_PHASE", "full moon", metadata={"phase": "full"})

    error = await failure(client, service, reply)

    assert type(error) is CloneServiceError
    assert (error.reason, error.message, error.metadata) == ("MOON_PHASE", "full moon", {"phase": "full"})


@pytest.mark.parametrize(
    "code", [StatusCode.UNIMPLEMENTED, StatusCode.UNAUTHENTICATED, StatusCode.DEADLINE_EXCEEDED, StatusCode.UNKNOWN]
)
async def test_a_status_without_a_reason_of_ours_is_a_transport_error(
    client: Driver, service: ScriptedService, code: Any
) -> None:
    error = await failure(client, service, refusal(code, message="not this way"))

    assert type(error) is TransportError
    assert (error.reason, error.code, error.message) == (code.name, code, "not this way")
    assert error.resumable is (code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.UNKNOWN))


def foreign() -> status_pb2.Status:
    """An ErrorInfo of some proxy, before one that cannot be read."""
    info = error_details_pb2.ErrorInfo(reason="CARD_DECLINED", domain="mesh.example")
    status = status_of(StatusCode.FAILED_PRECONDITION, message="blocked", details=[info])
    status.details.append(any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff"))
    status.details.append(any_pb2.Any(type_url="type.googleapis.com/no.such.Thing", value=b"\x01"))
    return status


async def test_foreign_and_broken_details_are_passed_over(client: Driver, service: ScriptedService) -> None:
    error = await failure(client, service, Reply(status=foreign()))

    assert type(error) is TransportError
    assert (error.code, error.message) == (StatusCode.FAILED_PRECONDITION, "blocked")


@pytest.mark.parametrize(
    "stale", [b"\xff\xff\xff", status_of(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND").SerializeToString()]
)
def test_details_that_contradict_the_status_line_are_not_believed(stale: Any) -> None:
    class Failed:
        def code(self) -> Any:
            return StatusCode.FAILED_PRECONDITION

        def details(self) -> Any:
            return "as the status line says"

        def initial_metadata(self) -> Any:
            return None

        def trailing_metadata(self) -> Any:
            return (("grpc-status-details-bin", stale),)

    broken: Any = Failed()
    error = cloneservice._errors.from_rpc_error(broken, request_id="r-1")

    assert type(error) is TransportError
    assert (error.code, error.message) == (StatusCode.FAILED_PRECONDITION, "as the status line says")


def decline() -> CardDeclined:
    detail = errors_pb2.ChargeFailure(charge=types_pb2.Charge(charge_id="chg_1", metadata={"order": "7"}))
    status = status_of(StatusCode.FAILED_PRECONDITION, "CARD_DECLINED", "no funds", details=[detail])
    error = cloneservice._errors.from_status(status, request_id="r-1")
    assert isinstance(error, CardDeclined)
    return error


def raise_decline() -> None:
    raise decline()


def test_errors_survive_being_sent_between_processes() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(CardDeclined) as raised:
        pool.submit(raise_decline).result()

    assert (raised.value.request_id, raised.value.message) == ("r-1", "no funds")
    assert raised.value.charge == decline().charge
    assert copy.copy(raised.value).charge == raised.value.charge


async def test_items_and_clones_keep_stored_errors_as_values(client: Driver, service: ScriptedService) -> None:
    stored = status_of(StatusCode.FAILED_PRECONDITION, "NOT_CLONEABLE", "wrong flow", metadata={"usable_flow": "X"})
    item = types_pb2.CloneBatchItem(index=3, state=types_pb2.CloneBatchItem.STATE_FAILED, error=stored)
    service.answer("ListCloneBatchItems", pb.ListCloneBatchItemsResponse(items=[item]))

    (found,) = await client.collect("list_batch_items", "bat_1")

    assert found.error == cloneservice.Failure(
        code="FAILED_PRECONDITION", reason="NOT_CLONEABLE", message="wrong flow", metadata={"usable_flow": "X"}
    )
    assert found.clone is None
