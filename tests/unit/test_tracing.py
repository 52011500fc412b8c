"""One trace from the caller to Stripe and back, names and ids only; over OTLP the same figures as for Prometheus."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server import log_context
from cloneservice_server.app import build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.log_lines import JsonLines
from cloneservice_server.observability.metrics import Metrics
from cloneservice_server.observability.operations import operation_of
from cloneservice_server.observability.otlp import translate
from cloneservice_server.observability.telemetry import Telemetry
from cloneservice_server.observability.tracing import Tracing
from cloneservice_server.ports import StripeCall
from cloneservice_server.settings import SettingsError, load
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.working_stripe import WorkingStripe

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)
UNSAMPLED = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-00"),)
REQUEST = pb.CloneAndChargeRequest(
    request_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    platform_customer_id="cus_p",
    platform_payment_method_id="pm_p",
    connected_account_id="acct_1",
    charge=pb.ChargeOptions(amount=types_pb2.Money(minor_units=1099, currency_code="usd"), description="for Jenny"),
)


class Traced:
    """A server in this process whose spans stay in it."""

    def __init__(self, sample_percent: int = 100) -> None:
        self.exporter = InMemorySpanExporter()
        self.stripe = WorkingStripe()
        tracing = Tracing(SimpleSpanProcessor(self.exporter), sample_percent=sample_percent)
        self.telemetry = Telemetry(Metrics(tracing.step), tracing)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Any]:
        settings = load({"listen": "127.0.0.1:0", "ledger": "sqlite://:memory:"}, {"STRIPE_API_KEY": "sk_test_1"})
        clock = SystemClock()
        ledger = open_ledger(settings.ledger, clock)
        app = build_app(settings, gateway=self.stripe, ledger=ledger, clock=clock, telemetry=self.telemetry)
        await app.start()
        try:
            async with grpc.aio.insecure_channel(str(app.address)) as channel:
                yield CloneServiceStub(channel)
        finally:
            await app.stop(0)

    def spans(self) -> Any:
        return {span.name: span for span in self.exporter.get_finished_spans()}


async def test_one_trace_leads_from_the_caller_to_each_call_to_stripe() -> None:
    traced = Traced(sample_percent=0)  # the caller decides
    async with traced.serving() as stub:
        await stub.CloneAndCharge(REQUEST, metadata=SAMPLED)

    spans = traced.spans()
    rpc = spans["cloneservice.v1.CloneService/CloneAndCharge"]
    step = spans["step confirm"]
    call = spans["stripe POST /payment_intents/{id}/confirm"]
    assert {format(span.context.trace_id, "032x") for span in spans.values()} == {TRACE}
    assert (format(rpc.parent.span_id, "016x"), step.parent.span_id, call.parent.span_id) == (
        "00f067aa0ba902b7",
        rpc.context.span_id,
        step.context.span_id,
    )
    assert rpc.attributes["cloneservice.request_id"] == REQUEST.request_id
    assert call.attributes["stripe.request_id"].startswith("req_")


async def test_what_the_caller_does_not_sample_is_not_kept() -> None:
    traced = Traced()
    async with traced.serving() as stub:
        await stub.CloneAndCharge(REQUEST, metadata=UNSAMPLED)

    assert traced.spans() == {}


async def test_a_status_with_details_is_on_the_server_span_and_its_text_is_not() -> None:
    traced = Traced()
    async with traced.serving() as stub:
        for request, code in (
            (pb.GetCloneRequest(clone_id="cln_1"), grpc.StatusCode.NOT_FOUND),
            (pb.GetCloneRequest(clone_id="4242424242424242"), grpc.StatusCode.INVALID_ARGUMENT),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetClone(request)
            assert caught.value.code() == code

    told = [json.loads(span.to_json()) for span in traced.exporter.get_finished_spans()]
    assert [span["attributes"]["rpc.grpc.status_code"] for span in told] == [5, 3]
    assert [span["attributes"]["cloneservice.reason"] for span in told] == ["RESOURCE_NOT_FOUND", "INVALID_REQUEST"]
    assert "4242" not in json.dumps(told)
    assert [span["events"] for span in told] == [[], []]


async def test_log_lines_carry_the_trace_and_the_request() -> None:
    lines: list[Any] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(json.loads(JsonLines().format(record)))  # type: ignore[method-assign]
    logger = logging.getLogger("cloneservice")
    before, level = logger.handlers[:], logger.level
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG)
    try:
        traced = Traced()
        async with traced.serving() as stub:
            await stub.CloneAndCharge(REQUEST, metadata=SAMPLED)
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)

    (line,) = [line for line in lines if line["message"] == "rpc"]
    assert (line["trace_id"], line["request_id"]) == (TRACE, REQUEST.request_id)


async def test_the_fields_of_a_piece_of_work_reach_its_tasks_and_end_with_it() -> None:
    with log_context.adding(trace_id="t", request_id=""):
        inside = dict(log_context.fields())

    assert (inside, dict(log_context.fields())) == ({"trace_id": "t"}, {})


@pytest.mark.parametrize(
    "text",
    ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "4242424242424242", f"00-{TRACE.upper()}-00f067aa0ba902b7-01"],
)
def test_what_is_no_traceparent_has_no_trace_id(text: str) -> None:
    assert log_context.trace_id_of(text) == ""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/payment_intents/pi_1/confirm", "POST /payment_intents/{id}/confirm"),
        ("/v1/customers/jenny@example.com", "POST /customers/{id}"),
        ("/v1/payment_methods", "POST /payment_methods"),
    ],
)
def test_operations_have_no_ids(path: str, name: str) -> None:
    assert operation_of(StripeCall("POST", path)) == name


# --------------------------------------------------------------------------------------------------------------- OTLP


def test_the_figures_of_the_registry_go_to_the_collector() -> None:
    metrics = Metrics()
    metrics.replayed("CloneAndCharge")
    for seconds in (0.001, 0.2, 99.0):
        metrics.stripe_called(StripeCall("GET", "/v1/balance"), "ok", seconds)

    data = translate(metrics.registry, 1, 2)
    assert set(data.resource_metrics[0].resource.attributes) >= {"service.name", "service.instance.id"}
    found = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    (replays,) = found["cloneservice_replays"].data.data_points
    (calls,) = found["cloneservice_stripe_call_duration_seconds"].data.data_points
    assert (replays.value, dict(replays.attributes or {})) == (1.0, {"method": "CloneAndCharge"})  # type: ignore[union-attr]
    assert (calls.count, sum(calls.bucket_counts), calls.bucket_counts[0], calls.bucket_counts[-1]) == (3, 3, 1, 1)  # type: ignore[union-attr]
    assert len(calls.bucket_counts) == len(calls.explicit_bounds) + 1  # type: ignore[union-attr]


def test_a_collector_takes_what_is_sent() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from cloneservice_server.observability.otlp import MetricsPush, span_processor
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    received: list[Any] = []

    class Collector(metrics_service_pb2_grpc.MetricsServiceServicer, trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, _: Any) -> Any:  # noqa: N802 - the contract's name
            received.append(request)
            traces = isinstance(request, trace_service_pb2.ExportTraceServiceRequest)
            answers = (metrics_service_pb2.ExportMetricsServiceResponse, trace_service_pb2.ExportTraceServiceResponse)
            return answers[traces]()

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Collector(), server)  # type: ignore[no-untyped-call]
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)  # type: ignore[no-untyped-call]
        endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        metrics = Metrics()
        metrics.replayed("CloneAndCharge")
        push = MetricsPush(endpoint, metrics.registry)
        push.push()
        push.shutdown()
        tracing = Tracing(span_processor(endpoint), sample_percent=100)
        with tracing.step("clone", "r"):
            pass
        tracing.shutdown()
        server.stop(None).wait()

    assert {type(request).__name__ for request in received} == {
        "ExportMetricsServiceRequest",
        "ExportTraceServiceRequest",
    }


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from cloneservice_server.observability.telemetry import open_telemetry

    monkeypatch.setitem(sys.modules, "cloneservice_server.observability.otlp", None)
    monkeypatch.delattr("cloneservice_server.observability.otlp", raising=False)
    settings = load({"otlp_endpoint": "http://collector:4317"}, {"STRIPE_API_KEY": "sk_test_1"})

    with pytest.raises(SettingsError, match=r"pip install 'cloneservice\[otel\]'"):
        open_telemetry(settings)
