"""What is measured in one server, put together from settings; nothing is imported for what is off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloneservice_server.access.watched import Watched
from cloneservice_server.observability.gateway import Report, SpanOfCall
from cloneservice_server.ports import Clock
from cloneservice_server.readiness import Readiness
from cloneservice_server.rpc.interceptors.limits import Gate
from cloneservice_server.rpc.interceptors.wrap import GuardInterceptor
from cloneservice_server.settings import Settings, SettingsError
from cloneservice_server.workflows.engine import Engine

if TYPE_CHECKING:
    from cloneservice_server.observability.metrics import Metrics
    from cloneservice_server.observability.otlp import MetricsPush
    from cloneservice_server.observability.tracing import Tracing

_log = logging.getLogger("cloneservice.app")

PUSH_S = 15.0
"""How often metrics go to the collector."""


@dataclass(slots=True, eq=False)
class Telemetry:
    """Metrics, traces, both, or nothing."""

    metrics: Metrics | None = None
    tracing: Tracing | None = None
    push: MetricsPush | None = None

    @property
    def observer(self) -> Metrics | None:
        """What the engine and batches tell."""
        return self.metrics

    @property
    def stripe_report(self) -> Report | None:
        """What the way to Stripe tells."""
        return None if self.metrics is None else self.metrics.stripe_called

    @property
    def stripe_span(self) -> SpanOfCall | None:
        """What goes around each call to Stripe."""
        return None if self.tracing is None else self.tracing.stripe_call

    def interceptors(self, clock: Clock) -> list[GuardInterceptor]:
        """What goes around every RPC, outermost first."""
        found = [] if self.tracing is None else [self.tracing.interceptor()]
        if self.metrics is not None:
            from cloneservice_server.observability.metrics import metrics_interceptor  # noqa: PLC0415 - see the module

            found.append(metrics_interceptor(self.metrics, clock.monotonic_s))
        return found

    def refresh(self, engine: Engine, gate: Gate, readiness: Readiness, files: Mapping[str, Watched[Any]]) -> None:
        """Read the gauges that nobody reports."""
        if self.metrics is None:
            return
        self.metrics.engine_load.labels("running").set(engine.running)
        self.metrics.engine_load.labels("waiting").set(engine.waiting)
        self.metrics.in_flight.set(gate.in_flight)
        self.metrics.ready.labels("ledger").set(readiness.ledger)
        self.metrics.ready.labels("stripe_key").set(readiness.stripe_key)
        for name, watched in files.items():
            self.metrics.reload_failures.labels(name).set(watched.failures)

    async def send(self) -> None:
        """Send the metrics to the collector, if there is one."""
        if self.push is not None:
            await asyncio.to_thread(self.push.push)

    async def aclose(self) -> None:
        """Send what is left."""
        await self.send()
        for part in (self.push, self.tracing):
            if part is not None:
                await asyncio.to_thread(part.shutdown)


def open_telemetry(settings: Settings) -> Telemetry:
    """What `settings` ask for. Raises SettingsError when the extra for it is not installed."""
    if not settings.admin_listen and not settings.otlp_endpoint:
        return Telemetry()
    from cloneservice_server.observability.metrics import Metrics  # noqa: PLC0415 - see the module

    if not settings.otlp_endpoint:
        return Telemetry(Metrics())
    try:
        from cloneservice_server.observability import otlp  # noqa: PLC0415 - an optional extra
        from cloneservice_server.observability.tracing import Tracing  # noqa: PLC0415 - an optional extra
    except ImportError as missing:
        raise SettingsError([f"--otlp-endpoint needs `pip install 'cloneservice[otel]'` ({missing})"]) from missing
    endpoint = settings.otlp_endpoint
    tracing = Tracing(otlp.span_processor(endpoint), sample_percent=settings.trace_sample_percent)
    metrics = Metrics(tracing.step)
    return Telemetry(metrics, tracing, otlp.MetricsPush(endpoint, metrics.registry))
