"""Sends traces and metrics to a collector over OTLP/gRPC. Needs the extra `otel`.

The metrics are those of the Prometheus registry, translated, so that there is one set of figures with two ways out.
Never install xds-protos (grpcio-csds, grpcio-admin) beside this: it overwrites OpenTelemetry's protos.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from cloneservice_server.observability.resource import resource

_CUMULATIVE = AggregationTemporality.CUMULATIVE


def span_processor(endpoint: str) -> BatchSpanProcessor:
    """Sends spans to `endpoint` (http://host:4317 or https://...) from its own thread; drops some under pressure."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint, insecure=endpoint.startswith("http://")))


class MetricsPush:
    """Sends a registry's metrics each time it is told to. Blocking: call it in a thread."""

    def __init__(self, endpoint: str, registry: CollectorRegistry) -> None:
        self._exporter = OTLPMetricExporter(endpoint, insecure=endpoint.startswith("http://"))
        self._registry = registry
        self._began_ns = time.time_ns()

    def push(self) -> None:
        """Send once; a collector that is away is the exporter's to log."""
        self._exporter.export(translate(self._registry, self._began_ns, time.time_ns()))

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


def translate(registry: CollectorRegistry, began_ns: int, now_ns: int) -> MetricsData:
    """The registry's figures in OpenTelemetry's form."""
    metrics = [metric for family in registry.collect() if (metric := _metric(family, began_ns, now_ns)) is not None]
    scope = ScopeMetrics(scope=InstrumentationScope("cloneservice"), metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource(), scope_metrics=[scope], schema_url="")])


def _metric(family: Family, began_ns: int, now_ns: int) -> Metric | None:
    if family.type == "histogram":
        points = [_histogram(labels, series, began_ns, now_ns) for labels, series in _series(family.samples)]
        data: Histogram | Sum | Gauge = Histogram(points, _CUMULATIVE)
    else:
        suffix = "_total" if family.type == "counter" else ""
        numbers = [
            NumberDataPoint(sample.labels, began_ns, now_ns, sample.value)
            for sample in family.samples
            if sample.name == f"{family.name}{suffix}"
        ]
        data = Sum(numbers, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(numbers)
    if not data.data_points:
        return None
    return Metric(name=family.name, description=family.documentation, unit=family.unit, data=data)


def _series(samples: Iterable[Sample]) -> Iterable[tuple[Mapping[str, str], dict[str, float]]]:
    """Samples of one histogram by their labels: `le` bounds, `sum` and `count` to their values."""
    found: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        series = found.setdefault(tuple(sorted(labels.items())), {})
        if sample.name.endswith("_bucket"):
            series[sample.labels["le"]] = sample.value
        elif sample.name.endswith(("_sum", "_count")):
            series[sample.name.rpartition("_")[2]] = sample.value
    return [(dict(labels), series) for labels, series in found.items()]


def _histogram(labels: Mapping[str, str], series: dict[str, float], began_ns: int, now_ns: int) -> HistogramDataPoint:
    total, count = series.pop("sum"), series.pop("count")
    series.pop("+Inf", None)
    bounds = sorted(series, key=float)
    cumulated = [series[bound] for bound in bounds] + [count]
    counts = [int(after - before) for before, after in zip([0.0, *cumulated], cumulated, strict=False)]
    return HistogramDataPoint(
        attributes=dict(labels),
        start_time_unix_nano=began_ns,
        time_unix_nano=now_ns,
        count=int(count),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=[float(bound) for bound in bounds],
        min=0.0,
        max=0.0,
    )
