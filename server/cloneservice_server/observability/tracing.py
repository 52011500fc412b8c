"""Traces over OTLP: caller -> RPC -> step -> call to Stripe, with Stripe's Request-Id. Needs the extra `otel`.

Attributes are names and ids from the allow-lists of the log. An exception's text is never recorded: it may repeat what
a caller or Stripe said. The server span is ours and not the instrumentation package's, which misses the status that
`abort_with_status` sends.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any

import grpc.aio
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cloneservice_server import log_context
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.observability.operations import operation_of
from cloneservice_server.observability.resource import resource
from cloneservice_server.ports import StripeCall
from cloneservice_server.rpc.caller import CALLER
from cloneservice_server.rpc.interceptors.logging import logged_ids
from cloneservice_server.rpc.interceptors.wrap import SERVICE, Context, GuardInterceptor
from cloneservice_server.rpc.status import code_of

_QUIET: dict[str, Any] = {"record_exception": False, "set_status_on_exception": False}
_FAULTS = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "DATA_LOSS"}
"""gRPC codes that count as errors of a server span, by OpenTelemetry's conventions."""


_UNSAMPLED = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False)))
"""Work whose trace is not kept: its steps and calls make no spans either, which is most of what tracing costs."""


class Tracing:
    """The spans of one server. `sample_percent` is of traces that begin here; a caller's decision is kept."""

    def __init__(self, processor: SpanProcessor, *, sample_percent: int) -> None:
        # What is not to be kept never comes as far as the SDK, so that this one keeps all it is given.
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("cloneservice")
        self._propagator = TraceContextTextMapPropagator()
        self._share = sample_percent / 100

    def interceptor(self) -> GuardInterceptor:
        """A span around every RPC."""

        @asynccontextmanager
        async def guard(method: str, request: Any, context: Context) -> AsyncIterator[None]:
            traceparent = _traceparent(context)
            trace_id = log_context.trace_id_of(traceparent)
            if not (_is_sampled(traceparent) if trace_id else self._is_sampled()):
                with log_context.adding(trace_id=trace_id or format(random.getrandbits(128), "032x")), _unsampled():
                    yield
                return
            with self._rpc(method, traceparent) as span, log_context.adding(trace_id=_id_of(span)):
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
                    _close_rpc(span, request, code, reason)

        return GuardInterceptor(guard)

    def step(self, kind: str, request_id: str) -> AbstractContextManager[Any]:
        """A span around one step of a workflow."""
        if not self._is_kept():
            return nullcontext()
        attributes = {"cloneservice.step": kind, "cloneservice.request_id": request_id}
        return self._tracer.start_as_current_span(f"step {kind}", attributes=attributes, **_QUIET)

    @contextmanager
    def _stripe_call(self, call: StripeCall) -> Iterator[StripeSpan]:
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

    def stripe_call(self, call: StripeCall) -> AbstractContextManager[StripeSpan | None]:
        """A span around one call to Stripe, or None where the trace is not kept."""
        return self._stripe_call(call) if self._is_kept() else nullcontext()

    def shutdown(self) -> None:
        """Send what is left. Blocks for some seconds when the collector is away."""
        self._provider.shutdown()

    def _rpc(self, method: str, traceparent: str) -> AbstractContextManager[Span]:
        parent = self._propagator.extract({"traceparent": traceparent}) if traceparent else None
        attributes = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": method}
        return self._tracer.start_as_current_span(f"{SERVICE}/{method}", parent, SpanKind.SERVER, attributes, **_QUIET)

    def _is_sampled(self) -> bool:
        return random.random() < self._share

    def _is_kept(self) -> bool:
        """Whether a span may be made here: within one that is kept, or, for work that nobody called for, by chance."""
        current = trace.get_current_span().get_span_context()
        return current.trace_flags.sampled or (not current.is_valid and self._is_sampled())


@contextmanager
def _unsampled() -> Iterator[None]:
    token = attach(_UNSAMPLED)
    try:
        yield
    finally:
        detach(token)


def _id_of(span: Span) -> str:
    return format(span.get_span_context().trace_id, "032x")


def _traceparent(context: Context) -> str:
    sent = context.invocation_metadata() or ()
    return next((value for key, value in sent if key == "traceparent" and isinstance(value, str)), "")


def _is_sampled(traceparent: str) -> bool:
    return bool(int(traceparent[53:55], 16) & 1)


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
