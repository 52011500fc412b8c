"""deploy/envoy/minimal.yaml: what a plain Envoy in front gives, and that its retries never charge twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from fake_stripe.sandbox import Sandbox

from tests.mesh.calls import purchase, shopper, stub
from tests.mesh.envoy_process import Envoy, configuration, running_envoy
from tests.mesh.servers import Server
from tests.stripe_http import StripeHttp

Replicas = tuple[Server, Server]
SUCCEEDED = types_pb2.Charge.STATE_SUCCEEDED


@pytest.fixture
def envoy(replicas: Replicas, tmp_path: Path) -> Iterator[Envoy]:
    """Envoy with the smallest configuration, both replicas healthy behind it."""
    ports = [server.port for server in replicas]
    with running_envoy(configuration("minimal.yaml", {"cloneservice": ports}), tmp_path / "envoy") as running:
        running.until(lambda: running.healthy() == 2)
        yield running


def test_calls_reach_both_replicas_and_one_answers_for_what_the_other_did(
    envoy: Envoy, replicas: Replicas, stripe: StripeHttp
) -> None:
    first = shopper(stripe)
    with stub(envoy.ports["grpc"]) as service:
        made = service.CloneAndCharge(first, timeout=20)
        again = [service.CloneAndCharge(first, timeout=20) for _ in range(10)]

    assert made.charge.state == SUCCEEDED
    assert {answer.SerializeToString(deterministic=True) for answer in again} == {
        made.SerializeToString(deterministic=True)
    }
    assert len(stripe.succeeded_charges(first.connected_account_id)) == 1
    assert all("CloneAndCharge" in server.log() for server in replicas)


def test_envoy_repeats_an_unknown_outcome_and_the_shopper_pays_once(
    envoy: Envoy, sandbox: Sandbox, stripe: StripeHttp
) -> None:
    asked = shopper(stripe)
    # Stripe confirms and its answer is lost, as often as one replica asks again by itself.
    sandbox.fault("commit_then_drop", match={"path": "/v1/payment_intents/{intent}/confirm"}, times=4)

    with stub(envoy.ports["grpc"]) as service:
        made = service.CloneAndCharge(asked, timeout=50)

    assert envoy.count("cluster.cloneservice.upstream_rq_retry") >= 1
    assert made.charge.state == SUCCEEDED
    assert len(stripe.succeeded_charges(asked.connected_account_id)) == 1


def test_a_killed_replica_loses_no_answer_and_doubles_no_charge(
    envoy: Envoy, replicas: Replicas, sandbox: Sandbox, stripe: StripeHttp
) -> None:
    sandbox.fault("latency", latency=0.05, times=None)
    purchases = [shopper(stripe) for _ in range(24)]
    started = threading.Event()

    with stub(envoy.ports["grpc"]) as service, ThreadPoolExecutor(24) as pool:

        def pay(asked: pb.CloneAndChargeRequest) -> pb.CloneAndChargeResponse:
            started.set()
            while True:  # as any caller must: the same request_id until there is an answer
                try:
                    return service.CloneAndCharge(asked, timeout=60)
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED):
                        raise

        calls = [pool.submit(pay, asked) for asked in purchases]
        started.wait()
        replicas[0].kill()
        wait(calls)

    assert all(call.result().charge.state == SUCCEEDED for call in calls)
    for asked in purchases:
        assert len(stripe.succeeded_charges(asked.connected_account_id)) == 1


def test_a_draining_replica_is_left_before_it_is_gone_and_finishes_what_it_has(
    envoy: Envoy, replicas: Replicas, sandbox: Sandbox, stripe: StripeHttp
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    sandbox.fault("latency", latency=0.1, times=None)
    over = threading.Event()

    with stub(envoy.ports["grpc"]) as service, ThreadPoolExecutor(8) as pool:

        def pay() -> int:
            paid = 0
            while not over.is_set():
                assert service.CloneAndCharge(purchase(customer, account), timeout=60).charge.state == SUCCEEDED
                paid += 1
            return paid

        payers = [pool.submit(pay) for _ in range(8)]
        replicas[0].ask_to_stop()
        code = replicas[0].wait()
        envoy.until(lambda: envoy.healthy() == 1)
        over.set()
        paid = sum(payer.result() for payer in payers)

    assert code == 0
    listed = stripe.get("/v1/charges", account, limit=100)
    assert paid == len(listed["data"]) or listed["has_more"]


def test_a_callers_deadline_passes_through_and_its_request_goes_on(
    envoy: Envoy, sandbox: Sandbox, stripe: StripeHttp
) -> None:
    asked = shopper(stripe)
    sandbox.fault("latency", latency=3.0, match={"path": "/v1/payment_intents/{intent}/confirm"}, times=1)

    with stub(envoy.ports["grpc"]) as service:
        with pytest.raises(grpc.RpcError) as late:
            service.CloneAndCharge(asked, timeout=2)
        made = service.CloneAndCharge(asked, timeout=30)

    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert made.charge.state == SUCCEEDED
    assert len(stripe.succeeded_charges(asked.connected_account_id)) == 1


def test_with_no_replica_left_the_caller_is_told_to_come_again(envoy: Envoy, replicas: Replicas) -> None:
    for server in replicas:
        server.kill()

    with stub(envoy.ports["grpc"]) as service, pytest.raises(grpc.RpcError) as refused:
        service.LookupRequest(pb.LookupRequestRequest(request_id="f4f94efa-93f6-4b8c-8ad5-1c9e7b6f2a10"), timeout=20)

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
