"""An OTLP collector that throws everything away, so that exporting can be measured. Prints its port."""

from __future__ import annotations

import asyncio

import grpc.aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans."""

    async def Export(self, _request: object, _context: object) -> object:  # noqa: N802 - the contract's name
        """Forget them."""
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Takes metrics."""

    async def Export(self, _request: object, _context: object) -> object:  # noqa: N802 - the contract's name
        """Forget them."""
        return metrics_service_pb2.ExportMetricsServiceResponse()


async def main() -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)  # type: ignore[no-untyped-call]
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)  # type: ignore[no-untyped-call]
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
