"""deploy/envoy/full.yaml under bad company: a replica that only fails, too many calls, an Envoy that goes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from cloneservice.v1 import clone_service_pb2 as pb
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.mesh.calls import stub
from tests.mesh.envoy_process import DEPLOY, configuration, running_envoy

SERVICE = "cloneservice.v1.CloneService"
LOOKUP = pb.LookupRequestRequest(request_id="f4f94efa-93f6-4b8c-8ad5-1c9e7b6f2a10")


class Backend:
    """Something that speaks the contract and always answers alike; its health is always good."""

    def __init__(self, code: grpc.StatusCode | None = None) -> None:
        self.code = code
        self.asked = 0
        self.hold = threading.Event()
        self.hold.set()

    def look_up(self, _: pb.LookupRequestRequest, context: Any) -> pb.LookupRequestResponse:
        """Answers, or fails."""
        self.asked += 1
        self.hold.wait(20)
        if self.code is not None:
            context.abort(self.code, "as always")
        return pb.LookupRequestResponse(method="answered")


@contextmanager
def serving(backend: Backend) -> Iterator[int]:
    """Its port."""
    server = grpc.server(ThreadPoolExecutor(32))
    answered = grpc.unary_unary_rpc_method_handler(
        backend.look_up, pb.LookupRequestRequest.FromString, pb.LookupRequestResponse.SerializeToString
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"LookupRequest": answered})])
    checks = health.HealthServicer()
    checks.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def plain(ports: list[int], folder: Path) -> dict[str, Any]:
    """full.yaml without its encryption, which test_mutual_tls.py is about."""
    (folder / "cloneservice.binpb").write_bytes((DEPLOY / "cloneservice.binpb").read_bytes())
    config = configuration("full.yaml", {"cloneservice": ports}, files=folder)
    for part in (
        *config["static_resources"]["clusters"],
        config["static_resources"]["listeners"][0]["filter_chains"][0],
    ):
        part.pop("transport_socket", None)
    return config


def test_a_replica_that_only_fails_is_put_out_although_it_says_that_it_is_well(tmp_path: Path) -> None:
    bad, good = Backend(grpc.StatusCode.INTERNAL), Backend()
    with (
        serving(bad) as first,
        serving(good) as second,
        running_envoy(plain([first, second], tmp_path), tmp_path / "envoy") as envoy,
        stub(envoy.ports["mesh"]) as service,
    ):
        envoy.until(lambda: envoy.healthy() == 2)
        codes: list[grpc.StatusCode] = []
        while envoy.count("cluster.cloneservice.outlier_detection.ejections_active") == 0:
            assert len(codes) < 200, "it was never put out"
            try:
                service.LookupRequest(LOOKUP, timeout=10)
            except grpc.RpcError as error:
                codes.append(error.code())
        asked = bad.asked
        answers = [service.LookupRequest(LOOKUP, timeout=10).method for _ in range(20)]

    assert set(codes) == {grpc.StatusCode.INTERNAL}  # which nobody may repeat: its outcome is a fault of the service
    assert answers == ["answered"] * 20
    assert bad.asked == asked


def test_unavailable_is_repeated_on_another_replica(tmp_path: Path) -> None:
    bad, good = Backend(grpc.StatusCode.UNAVAILABLE), Backend()
    with (
        serving(bad) as first,
        serving(good) as second,
        running_envoy(plain([first, second], tmp_path), tmp_path / "envoy") as envoy,
        stub(envoy.ports["mesh"]) as service,
    ):
        envoy.until(lambda: envoy.healthy() == 2)
        assert [service.LookupRequest(LOOKUP, timeout=10).method for _ in range(10)] == ["answered"] * 10
        assert bad.asked >= 1


def test_above_the_rate_limit_a_caller_is_told_so_and_not_to_come_again_at_once(tmp_path: Path) -> None:
    with serving(Backend()) as port:
        config = plain([port], tmp_path)
        filters = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"][
            "http_filters"
        ]
        limit = next(each for each in filters if each["name"].endswith("local_ratelimit"))["typed_config"]
        limit["token_bucket"] = {"max_tokens": 5, "tokens_per_fill": 1, "fill_interval": "3600s"}
        with running_envoy(config, tmp_path / "envoy") as envoy, stub(envoy.ports["mesh"]) as service:
            envoy.until(lambda: envoy.healthy() == 1)
            codes = []
            for _ in range(8):
                try:
                    service.LookupRequest(LOOKUP, timeout=10)
                    codes.append(grpc.StatusCode.OK)
                except grpc.RpcError as error:
                    codes.append(error.code())

    assert codes == [grpc.StatusCode.OK] * 5 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3


def test_an_envoy_that_drains_lets_calls_finish_and_takes_no_new_connections_in_the_end(tmp_path: Path) -> None:
    backend = Backend()
    with (
        serving(backend) as port,
        running_envoy(plain([port], tmp_path), tmp_path / "envoy", drain_s=1) as envoy,
        stub(envoy.ports["mesh"]) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        envoy.until(lambda: envoy.healthy() == 1)
        backend.hold.clear()
        call = pool.submit(lambda: service.LookupRequest(LOOKUP, timeout=20).method)
        envoy.until(lambda: backend.asked == 1)
        envoy.admin("/healthcheck/fail", "POST")
        envoy.admin("/drain_listeners?graceful", "POST")
        envoy.until(lambda: _refuses(envoy.ports["mesh"]))
        assert not call.done()
        backend.hold.set()
        assert call.result() == "answered"


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False
