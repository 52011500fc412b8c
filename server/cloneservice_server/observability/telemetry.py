"""What is measured in one server, put together from settings; nothing is imported for what is off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloneservice_server.access.watched import Watched
from cloneservice_server.observability.gateway import Report
from cloneservice_server.ports import Clock
from cloneservice_server.ports_observer import EngineObserver
from cloneservice_server.readiness import Readiness
from cloneservice_server.rpc.interceptors.limits import Gate
from cloneservice_server.rpc.interceptors.wrap import GuardInterceptor
from cloneservice_server.settings import Settings
from cloneservice_server.workflows.engine import Engine

if TYPE_CHECKING:
    from cloneservice_server.observability.metrics import Metrics


@dataclass(slots=True, eq=False)
class Telemetry:
    """Metrics, or nothing."""

    metrics: Metrics | None = None

    @property
    def observer(self) -> EngineObserver | None:
        """What the engine tells."""
        return self.metrics

    @property
    def stripe_report(self) -> Report | None:
        """What the way to Stripe tells."""
        return None if self.metrics is None else self.metrics.stripe_called

    def interceptors(self, clock: Clock) -> list[GuardInterceptor]:
        """What goes around every RPC, outermost first."""
        if self.metrics is None:
            return []
        from cloneservice_server.observability.metrics import metrics_interceptor  # noqa: PLC0415 - see the module

        return [metrics_interceptor(self.metrics, clock.monotonic_s)]

    def refresh(self, engine: Engine, gate: Gate, readiness: Readiness, files: Mapping[str, Watched[object]]) -> None:
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


def open_telemetry(settings: Settings) -> Telemetry:
    """What `settings` ask for."""
    if not settings.admin_listen:
        return Telemetry()
    from cloneservice_server.observability.metrics import Metrics  # noqa: PLC0415 - see the module

    return Telemetry(Metrics())
