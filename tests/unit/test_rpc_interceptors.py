"""What goes around every RPC: errors become statuses, one line is logged, overload is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub, add_CloneServiceServicer_to_server
from cloneservice_server.domain import errors, results
from cloneservice_server.log_lines import JsonLines, TextLines
from cloneservice_server.ports import LedgerUnavailable
from cloneservice_server.rpc.interceptors.errors import errors_interceptor
from cloneservice_server.rpc.interceptors.limits import Gate, limits_interceptor
from cloneservice_server.rpc.interceptors.logging import logging_interceptor
from cloneservice_server.rpc.interceptors.wrap import GuardInterceptor
from cloneservice_server.rpc.planned import complete
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.fakes_rpc import CHARGE, REQUEST_ID, FakeAnswer, FakeEngine, FakeQueries, served

CREATE_CHARGE = pb.CreateChargeRequest(
    request_id=REQUEST_ID,
    clone_id="cln_000001",
    charge=pb.ChargeOptions(
        amount=types_pb2.Money(minor_units=1099, currency_code="usd"), description="a private word", metadata={"k": "v"}
    ),
)
SECRET = "sk_test_" + "a" * 24


async def status_and_info(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(caught.value)
    assert status is not None
    assert status.details[0].Unpack(info)
    return status, info


def logged(caplog: pytest.LogCaptureFixture) -> Any:
    return [
        record.__dict__["fields"]
        for record in caplog.records
        if record.name == "cloneservice.rpc" and record.msg == "rpc"
    ]


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cloneservice.rpc")


async def test_an_unforeseen_error_becomes_internal_and_tells_nothing_but_its_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine(crash=RuntimeError(f"could not use {SECRET}"))

    async with served(engine, None, errors_interceptor()) as stub:
        status, info = await status_and_info(stub.CreateCharge(CREATE_CHARGE))

    assert (status.code, info.reason) == (grpc.StatusCode.INTERNAL.value[0], "INTERNAL")
    assert "could not use" not in str(status)
    record = next(record for record in caplog.records if record.exc_info)
    assert record.__dict__["fields"] == {"method": "CreateCharge", "error_id": info.metadata["error_id"]}
    assert record.exc_info
    assert record.exc_info[0] is RuntimeError


async def test_each_unforeseen_error_has_an_id_of_its_own() -> None:
    async with served(FakeEngine(crash=KeyError("x")), None, errors_interceptor()) as stub:
        ids = {(await status_and_info(stub.CreateCharge(CREATE_CHARGE)))[1].metadata["error_id"] for _ in range(2)}

    assert len(ids) == 2


async def test_a_ledger_that_is_away_is_unavailable_not_internal() -> None:
    async with served(FakeEngine(crash=LedgerUnavailable("disk full")), None, errors_interceptor()) as stub:
        status, info = await status_and_info(stub.CreateCharge(CREATE_CHARGE))

    assert (status.code, info.reason) == (grpc.StatusCode.UNAVAILABLE.value[0], "LEDGER_UNAVAILABLE")
    assert "disk full" not in str(status)


async def test_a_cancelled_call_is_no_fault(caplog: pytest.LogCaptureFixture) -> Any:
    engine, ended = FakeEngine(hold=asyncio.Event()), asyncio.Event()

    def clock() -> Any:  # read once when the call begins and once when it ends, right before its line is written
        if engine.submitted:
            ended.set()
        return 0.0

    async with served(engine, None, errors_interceptor(), logging_interceptor(clock)) as stub:
        call = stub.CreateCharge(CREATE_CHARGE)
        await engine.arrivals.get()
        call.cancel()
        await ended.wait()

    assert [line["code"] for line in logged(caplog)] == ["CANCELLED"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_one_line_says_what_was_called_and_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([10.0, 10.25])

    async with served(
        FakeEngine(FakeAnswer(results.ChargeMade(CHARGE))), None, logging_interceptor(lambda: next(times))
    ) as stub:
        await stub.CreateCharge(
            CREATE_CHARGE, metadata=(("x-request-id", "r-1"), ("authorization", f"Bearer {SECRET}"))
        )

    assert logged(caplog) == [
        {
            "method": "CreateCharge",
            "code": "OK",
            "duration_ms": 250.0,
            "request_id": REQUEST_ID,
            "clone_id": "cln_000001",
            "x-request-id": "r-1",
        }
    ]


async def test_a_line_about_an_error_has_its_code_and_reason_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    answer = FakeAnswer(error=errors.StripeUnreachable("a private word"))

    async with served(FakeEngine(answer), None, errors_interceptor(), logging_interceptor(lambda: 0.0)) as stub:
        await status_and_info(stub.CreateCharge(CREATE_CHARGE))

    (line,) = logged(caplog)
    assert (line["code"], line["reason"]) == ("UNAVAILABLE", "STRIPE_UNREACHABLE")
    assert "private" not in json.dumps(line)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_decline_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    answer = FakeAnswer(error=errors.CardDeclined("declined"))

    async with served(FakeEngine(answer), None, errors_interceptor(), logging_interceptor(lambda: 0.0)) as stub:
        await status_and_info(stub.CreateCharge(CREATE_CHARGE))

    assert [record.levelname for record in caplog.records if record.name != "asyncio"] == ["INFO"]


async def test_a_card_number_in_the_place_of_an_id_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    request = pb.ClonePaymentMethodRequest(
        request_id="4000000000000077", platform_customer_id="Jenny Rosen", platform_payment_method_id="4242424242424242"
    )

    async with served(FakeEngine(), None, errors_interceptor(), logging_interceptor(lambda: 0.0)) as stub:
        await status_and_info(stub.ClonePaymentMethod(request))

    (line,) = logged(caplog)
    assert {line[name] for name in ("request_id", "platform_customer_id", "platform_payment_method_id")} == {
        "(malformed)"
    }


async def test_a_caller_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async with served(FakeEngine(), FakeQueries(), errors_interceptor(), logging_interceptor(lambda: 0.0)) as stub:
        for forged in ("a" * 500, SECRET, "4242424242424242", "a b"):
            metadata = (("traceparent", forged), ("x-request-id", forged))
            await stub.ListClones(pb.ListClonesRequest(), metadata=metadata)

    assert {(line["traceparent"], line["x-request-id"]) for line in logged(caplog)} == {("(malformed)", "(malformed)")}


class NoBatches:
    async def get(self, batch_id: str) -> Any:
        raise errors.not_found("batch", batch_id)

    async def watch(self, batch_id: str, _after_sequence: int) -> AsyncIterator[Any]:
        raise errors.not_found("batch", batch_id)
        yield


async def test_a_refusal_is_logged_with_its_code_streamed_or_not(caplog: pytest.LogCaptureFixture) -> None:
    guards = (errors_interceptor(), logging_interceptor(lambda: 0.0))
    async with served(FakeEngine(), None, *guards, batches=NoBatches()) as stub:
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetCloneBatch(pb.GetCloneBatchRequest(batch_id="bat_1"))
        with pytest.raises(grpc.aio.AioRpcError):
            await anext(aiter(stub.WatchCloneBatch(pb.WatchCloneBatchRequest(batch_id="bat_1"))))

    assert [(line["method"], line["code"]) for line in logged(caplog)] == [
        ("GetCloneBatch", "NOT_FOUND"),
        ("WatchCloneBatch", "NOT_FOUND"),
    ]


async def test_one_call_too_many_is_refused_and_the_place_is_free_again_afterwards() -> None:
    engine = FakeEngine(FakeAnswer(results.ChargeMade(CHARGE)), hold=asyncio.Event())

    async with served(engine, None, errors_interceptor(), limits_interceptor(Gate(2))) as stub:
        held = [asyncio.ensure_future(stub.CreateCharge(CREATE_CHARGE)) for _ in range(2)]
        for _ in held:
            await engine.arrivals.get()
        status, info = await status_and_info(stub.CreateCharge(CREATE_CHARGE))
        engine.hold.set()
        await asyncio.gather(*held)
        afterwards = await stub.CreateCharge(CREATE_CHARGE)

    assert (status.code, info.reason, info.metadata["concurrent_max"]) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED.value[0],
        "SERVICE_OVERLOADED",
        "2",
    )
    assert afterwards.charge.charge_id == CHARGE.charge_id


async def test_failed_calls_free_their_place_too() -> None:
    engine = FakeEngine(crash=RuntimeError("x"))

    async with served(engine, None, errors_interceptor(), limits_interceptor(Gate(1))) as stub:
        reasons = [(await status_and_info(stub.CreateCharge(CREATE_CHARGE)))[1].reason for _ in range(3)]

    assert reasons == ["INTERNAL"] * 3


# ----------------------------------------------------------------------------------------------------- log lines


def record(**more: Any) -> Any:
    made = logging.LogRecord("cloneservice.rpc", logging.INFO, "f.py", 1, "rpc", (), None)
    made.created, made.msecs = 1_700_000_000.5, 500.0
    made.__dict__.update(more)
    return made


def test_a_json_line_is_one_object() -> None:
    line = JsonLines().format(record(fields={"code": "OK", "text": "a\nb"}))

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "info",
        "logger": "cloneservice.rpc",
        "message": "rpc",
        "code": "OK",
        "text": "a\nb",
    }


def test_a_text_line_has_its_fields_at_the_end() -> None:
    line = TextLines().format(record(fields={"code": "OK"}))

    assert line == "2023-11-14T22:13:20.500Z INFO    cloneservice.rpc rpc code=OK"


async def test_a_stream_whose_caller_leaves_ends_in_its_own_context() -> None:
    """What a guard set for the call can be taken back; in another task's context that would raise."""
    mark, ended = ContextVar[str]("mark", default=""), asyncio.Event()
    seen: list[str] = []

    @asynccontextmanager
    async def guard(method: str, _request: Any, _context: Any) -> AsyncIterator[None]:
        token = mark.set(method)
        try:
            yield
        finally:
            seen.append(mark.get())
            mark.reset(token)
            ended.set()

    class Endless:
        async def WatchCloneBatch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
            try:
                while True:
                    yield pb.WatchCloneBatchResponse(sequence=1)
            finally:
                seen.append(f"closed in {mark.get()}")

    server = grpc.aio.server(interceptors=(GuardInterceptor(guard), GuardInterceptor(guard)))
    add_CloneServiceServicer_to_server(complete(Endless()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = CloneServiceStub(channel).WatchCloneBatch(pb.WatchCloneBatchRequest(batch_id="bat_1"))
        await call.read()
    await ended.wait()
    await server.stop(None)

    assert seen == ["closed in WatchCloneBatch", "WatchCloneBatch", "WatchCloneBatch"]
