"""Every metric of the service, in one place. Labels are names of the contract and of ours: never an id, never a text.

The registry is Prometheus's; /metrics shows it, and `otlp.py` sends the same figures to a collector.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import grpc.aio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.observability.operations import operation_of
from cloneservice_server.ports import StripeCall
from cloneservice_server.ports_batches import BatchObserver
from cloneservice_server.ports_observer import EngineObserver, RunEnded, Unfinished
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor
from cloneservice_server.rpc.status import code_of

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


Step = Callable[[str, str], AbstractContextManager[None]]


class Metrics(EngineObserver, BatchObserver):
    """The metrics of one server, in a registry of its own. `step` is what goes around each step of a workflow."""

    def __init__(self, step: Step | None = None) -> None:
        self._step = step
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"cloneservice_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"cloneservice_{name}", text, labels, registry=registry, buckets=_SECONDS)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"cloneservice_{name}", text, labels, registry=registry)

        self.rpcs = histogram("rpc_duration_seconds", "RPCs answered", "method", "code", "reason")
        self.stripe_calls = histogram("stripe_call_duration_seconds", "HTTP calls to Stripe", "operation", "outcome")
        self.runs = histogram("run_duration_seconds", "Runs of requests by the state they left", "method", "state")
        self.run_reasons = counter("run_errors_total", "Runs that ended in an error", "method", "reason")
        self.reconciled = counter("reconciled_total", "Unknown outcomes that became known", "method", "state")
        self.joins = counter("joins_total", "Callers that waited for a run under way", "method")
        self.replays = counter("replays_total", "Callers that got a stored answer", "method")
        self.refusals = counter("engine_overloaded_total", "Requests refused since the engine is full", "method")
        self.takeovers = counter("takeovers_total", "Requests taken up after their owner or outcome was gone", "method")
        self.fencings = counter("fenced_total", "Runs stopped because another replica had claimed", "method")
        self.looks = counter("stripe_looks_total", "Reads of Stripe to learn an outcome", "kind", "finding")
        self.ledger_errors = counter("ledger_unavailable_total", "Ledger reads or writes that failed")
        self.forgotten = counter("requests_pruned_total", "Requests forgotten after their retention")
        self.unfinished_requests = gauge(
            "requests_unfinished", "Requests without a final answer in the ledger", "state"
        )
        self.oldest_indeterminate = gauge("oldest_indeterminate_seconds", "Age of the oldest unknown outcome")
        self.engine_load = gauge("engine_requests", "Requests in this process", "state")
        self.items = histogram("batch_item_duration_seconds", "Batch items that are final", "operation", "state")
        self.item_errors = counter("batch_item_errors_total", "Batch items that failed", "operation", "reason")
        self.batches = counter("batches_ended_total", "Batches whose last item was finished here", "operation", "state")
        self.partitions = gauge("batch_partitions", "Partitions of batches that this process works on")
        self.waits = histogram("batch_pacing_seconds", "Waits of batch items for their turn at Stripe", "endpoint")
        self.slowdowns = counter("batch_slowdowns_total", "Halvings of the rate, since Stripe said so", "endpoint")
        self.in_flight = gauge("rpcs_in_flight", "RPCs being answered")
        self.ready = gauge("ready", "1 if the dependency is there", "dependency")
        self.reload_failures = gauge("file_reload_failures", "Changed files in a row that could not be used", "file")

    # ------------------------------------------------------------------------------------------------- the engine

    def step(self, kind: str, request_id: str) -> AbstractContextManager[None]:
        """Whatever goes around a step: a span, or nothing."""
        return nullcontext() if self._step is None else self._step(kind, request_id)

    def run_ended(self, ended: RunEnded) -> None:
        """Count a run."""
        self.runs.labels(ended.method, ended.state.value).observe(ended.elapsed_s)
        if ended.reason:
            self.run_reasons.labels(ended.method, ended.reason).inc()
        if ended.reconciled:
            self.reconciled.labels(ended.method, ended.state.value).inc()

    def replayed(self, method: str) -> None:
        """Count a stored answer."""
        self.replays.labels(method).inc()

    def joined(self, method: str) -> None:
        """Count a caller that waits with others."""
        self.joins.labels(method).inc()

    def overloaded(self, method: str) -> None:
        """Count a refusal."""
        self.refusals.labels(method).inc()

    def taken_up(self, method: str) -> None:
        """Count a takeover."""
        self.takeovers.labels(method).inc()

    def fenced(self, method: str) -> None:
        """Count a run that was overtaken."""
        self.fencings.labels(method).inc()

    def looked(self, kind: str, finding: str) -> None:
        """Count a look at Stripe's objects."""
        self.looks.labels(kind, finding).inc()

    def ledger_unavailable(self) -> None:
        """Count a ledger failure."""
        self.ledger_errors.inc()

    def unfinished(self, counts: Unfinished) -> None:
        """Keep the latest count."""
        for state in ("running", "indeterminate", "parked"):
            self.unfinished_requests.labels(state).set(getattr(counts, state))
        self.oldest_indeterminate.set(counts.oldest_indeterminate_s)

    def pruned(self, requests: int) -> None:
        """Count forgotten requests."""
        self.forgotten.inc(requests)

    # ----------------------------------------------------------------------------------------------------- batches

    def item_done(self, operation: str, state: str, reason: str, elapsed_s: float) -> None:
        """Count an item."""
        self.items.labels(operation, state).observe(elapsed_s)
        if reason:
            self.item_errors.labels(operation, reason).inc()

    def batch_ended(self, operation: str, state: str) -> None:
        """Count a batch."""
        self.batches.labels(operation, state).inc()

    def partitions_held(self, count: int) -> None:
        """Keep the latest count."""
        self.partitions.set(count)

    def paced(self, endpoint: str, waited_s: float) -> None:
        """Count a wait."""
        self.waits.labels(endpoint).observe(waited_s)

    def slowed(self, endpoint: str, reason: str) -> None:  # noqa: ARG002 - one counter says enough
        """Count a halving."""
        self.slowdowns.labels(endpoint).inc()

    # ------------------------------------------------------------------------------------------------------ others

    def stripe_called(self, call: StripeCall, outcome: str, elapsed_s: float) -> None:
        """Count one call to Stripe: "ok", "lost", "not_sent", or Stripe's HTTP status."""
        self.stripe_calls.labels(operation_of(call), outcome).observe(elapsed_s)


def metrics_interceptor(metrics: Metrics, monotonic_s: Callable[[], float]) -> GuardInterceptor:
    """Measures each RPC, whatever refuses it."""

    @asynccontextmanager
    async def guard(method: str, _request: Any, context: Context) -> AsyncIterator[None]:
        began_s = monotonic_s()
        code, reason = "OK", ""
        try:
            yield
        except DomainError as error:
            code, reason = code_of(error).name, error.reason
            raise
        except grpc.aio.AbortError:
            code = context.code().name
            raise
        except GeneratorExit:
            raise
        except BaseException as error:
            code = "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
            raise
        finally:
            metrics.rpcs.labels(method, code, reason).observe(monotonic_s() - began_s)

    return GuardInterceptor(guard)
