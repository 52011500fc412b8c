"""Traces over OTLP: caller -> RPC -> step -> call to Stripe, with Stripe's Request-Id. Needs the extra `otel`.

Attributes are names and ids from the allow-lists of the log. An exception's text is never recorded: it may repeat what
a caller or Stripe said. The server span is ours and not the instrumentation package's, which misses the status that
`abort_with_status` sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc.aio
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cloneservice_server import log_context
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.observability.operations import operation_of
from cloneservice_server.ports import StripeCall
from cloneservice_server.rpc.caller import CALLER
from cloneservice_server.rpc.interceptors.logging import logged_ids
from cloneservice_server.rpc.interceptors.wrap import SERVICE, Context, GuardInterceptor
from cloneservice_server.rpc.status import code_of

_QUIET: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
_FAULTS = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "DATA_LOSS"}
"""gRPC codes that count as errors of a server span, by OpenTelemetry's conventions."""


class _Metadata(Getter[Any]):
    """Reads invocation metadata."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        """Values of `key`."""
        return [value for name, value in carrier or () if name == key and isinstance(value, str)] or None

    def keys(self, carrier: Any) -> list[str]:
        """Names that are there."""
        return [name for name, _ in carrier or ()]


class Tracing:
    """The spans of one server. `sample_percent` is of traces that begin here; a caller's decision is kept."""

    def __init__(self, processor: SpanProcessor, *, sample_percent: int) -> None:
        sampler = ParentBased(TraceIdRatioBased(sample_percent / 100))
        resource = Resource.create({"service.name": "cloneservice"})
        self._provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("cloneservice")
        self._propagator = TraceContextTextMapPropagator()
        self._getter = _Metadata()

    def interceptor(self) -> GuardInterceptor:
        """A span around every RPC."""

        @asynccontextmanager
        async def guard(method: str, request: Any, context: Context) -> AsyncIterator[None]:
            parent = self._propagator.extract(context.invocation_metadata(), getter=self._getter)
            attributes = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": method}
            with (
                self._tracer.start_as_current_span(
                    f"{SERVICE}/{method}", parent, SpanKind.SERVER, attributes, **_QUIET
                ) as span,
                log_context.adding(trace_id=format(span.get_span_context().trace_id, "032x")),
            ):
                code, reason = "OK", ""
                try:
                    yield
                except DomainError as error:
                    code, reason = code_of(error).name, error.reason
                    raise
                except grpc.aio.AbortError:
                    code = context.code().name
                    raise
                except BaseException as error:
                    code = "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
                    raise
                finally:
                    if span.is_recording():
                        _close_rpc(span, request, code, reason)

        return GuardInterceptor(guard)

    @contextmanager
    def step(self, kind: str, request_id: str) -> Iterator[None]:
        """A span around one step of a workflow."""
        attributes = {"cloneservice.step": kind, "cloneservice.request_id": request_id}
        with self._tracer.start_as_current_span(f"step {kind}", attributes=attributes, **_QUIET):
            yield

    @contextmanager
    def stripe_call(self, call: StripeCall) -> Iterator[StripeSpan]:
        """A span around one call to Stripe."""
        operation = operation_of(call)
        attributes = {
            "http.request.method": call.method,
            "url.template": operation.partition(" ")[2],
            "cloneservice.connected_account_id": call.account,
        }
        with self._tracer.start_as_current_span(
            f"stripe {operation}", kind=SpanKind.CLIENT, attributes=attributes, **_QUIET
        ) as span:
            yield StripeSpan(span)

    def shutdown(self) -> None:
        """Send what is left. Blocks for some seconds when the collector is away."""
        self._provider.shutdown()


class StripeSpan:
    """A call to Stripe under way."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, outcome: str, stripe_request_id: str) -> None:
        """Write down how it ended: "ok", "lost", "not_sent", "abandoned", or Stripe's HTTP status."""
        self._span.set_attribute("cloneservice.outcome", outcome)
        if stripe_request_id:
            self._span.set_attribute("stripe.request_id", stripe_request_id)
        if outcome.isdigit():
            self._span.set_attribute("http.response.status_code", int(outcome))
        if outcome != "ok":
            self._span.set_status(Status(StatusCode.ERROR, outcome))


def _close_rpc(span: Span, request: Any, code: str, reason: str) -> None:
    span.set_attribute("rpc.grpc.status_code", grpc.StatusCode[code].value[0])
    for name, value in logged_ids(request).items():
        span.set_attribute(f"cloneservice.{name}", value)
    caller = CALLER.get().name
    if caller:
        span.set_attribute("cloneservice.caller", caller)
    if reason:
        span.set_attribute("cloneservice.reason", reason)
    if code in _FAULTS:
        span.set_status(Status(StatusCode.ERROR, reason or code))
