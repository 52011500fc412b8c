"""A server as a whole: what it reports while it starts, serves and stops, and what it refuses."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloneservice._errors import from_rpc_error
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server.app import App, PortTaken, build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.listeners import options
from cloneservice_server.ports import LedgerUnavailable
from cloneservice_server.settings import load
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.fakes import Held, ScriptedStripeGateway

SERVICE = "cloneservice.v1.CloneService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def app_with(ledger_url: Any = "sqlite://:memory:", **flags: Any) -> App:
    settings = load({"listen": "127.0.0.1:0", "ledger": ledger_url, **flags}, {"STRIPE_API_KEY": "sk_test_1"})
    clock = SystemClock()
    return build_app(settings, gateway=ScriptedStripeGateway(), ledger=open_ledger(settings.ledger, clock), clock=clock)


@asynccontextmanager
async def started(**flags: Any) -> AsyncIterator[Any]:
    app = app_with(**flags)
    await app.start()
    try:
        async with grpc.aio.insecure_channel(str(app.address)) as channel:
            yield app, channel
    finally:
        await app.stop(0)


async def health(channel: Any, name: Any = "") -> Any:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
    return answer.status


async def test_a_started_server_serves_under_both_health_names() -> None:
    async with started() as (_, channel):
        assert [await health(channel), await health(channel, SERVICE)] == [SERVING, SERVING]


async def test_a_stopping_server_says_not_serving_before_it_takes_no_more_calls() -> None:
    async with started() as (app, channel):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        states = [(await watch.read()).status]
        stopping = asyncio.ensure_future(app.stop(5))
        states.append((await watch.read()).status)
        watch.cancel()
        await stopping

    assert states == [SERVING, NOT_SERVING]


async def test_stopping_closes_the_gateway_and_ends_the_wait() -> None:
    app = app_with()
    await app.start()
    waiting = asyncio.ensure_future(app.wait())
    await app.stop(0)
    await waiting

    assert isinstance(app.gateway, ScriptedStripeGateway)
    assert app.gateway.closed


async def test_stopping_twice_is_harmless() -> None:
    app = app_with()
    await app.start()

    await asyncio.gather(app.stop(0), app.stop(0))


async def test_a_taken_port_is_an_error_that_names_it_and_the_ledger_stays_untouched(tmp_path: Path) -> None:
    async with started() as (app, _):
        second = app_with(f"sqlite:///{tmp_path}/second.db", listen=str(app.address))
        with pytest.raises(PortTaken, match=str(app.port)):
            await second.start()

    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - a folder of this test's own


async def test_a_start_that_fails_closes_what_it_was_given(tmp_path: Path) -> None:
    app = app_with(f"sqlite:///{tmp_path}/no/such/folder/ledger.db")

    with pytest.raises(LedgerUnavailable):
        await app.start()

    assert isinstance(app.gateway, ScriptedStripeGateway)
    assert app.gateway.closed


async def test_a_ledger_of_test_mode_is_refused_in_live_mode(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with started(ledger_url=url):
        pass
    app = app_with(url)
    app.settings = dataclasses.replace(app.settings, stripe_api_key="sk_" + "live_1")

    with pytest.raises(ValueError, match="test"):
        await app.start()


async def test_a_call_in_flight_is_answered_before_the_server_stops() -> None:
    async with started() as (app, channel):
        assert isinstance(app.gateway, ScriptedStripeGateway)
        held = Held({"id": "cus_1", "object": "customer"})
        app.gateway.on("GET", "/v1/customers/cus_1", held)
        app.gateway.on("GET", "/v1/customers/cus_1/payment_methods", {"data": [], "has_more": False})
        request = pb.ListPlatformPaymentMethodsRequest(platform_customer_id="cus_1")
        call = asyncio.ensure_future(CloneServiceStub(channel).ListPlatformPaymentMethods(request))
        await held.arrived.wait()
        stopping = asyncio.ensure_future(app.stop(30))
        late = await refusal(channel)
        held.release.set()
        answer = await call
        await stopping

    assert (answer, late) == (
        pb.ListPlatformPaymentMethodsResponse(),
        (grpc.StatusCode.UNAVAILABLE, "SERVICE_STOPPING"),
    )


async def test_requests_beyond_those_that_may_run_and_wait_are_refused() -> None:
    async with started(max_running_requests=1, max_waiting_requests=0) as (app, channel):
        held = Held({"id": "cus_1", "object": "customer"})
        app.gateway.on("POST", "/v1/customers", held)
        first = asyncio.ensure_future(CloneServiceStub(channel).CreateSetup(setup()))
        await held.arrived.wait()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await CloneServiceStub(channel).CreateSetup(setup())
        first.cancel()

    assert from_rpc_error(refused.value).reason == "SERVICE_OVERLOADED"


def setup() -> pb.CreateSetupRequest:
    return pb.CreateSetupRequest(request_id=str(uuid.uuid4()), new_customer=pb.NewCustomer(external_reference="s-1"))


async def refusal(channel: Any) -> Any:
    """Code and reason of the first call that is not served any more."""
    while True:
        try:
            await CloneServiceStub(channel).ListClones(pb.ListClonesRequest())
        except grpc.aio.AioRpcError as error:
            return error.code(), from_rpc_error(error).reason


async def test_calls_are_still_served_between_not_serving_and_the_end() -> None:
    app = app_with(drain_delay_s=7)
    app.clock = HeldClock()
    await app.start()
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        stopping = asyncio.ensure_future(app.stop(5))
        await app.clock.asleep.wait()
        states = [await health(channel)]
        await CloneServiceStub(channel).ListClones(pb.ListClonesRequest())
        app.clock.wake.set()
        await stopping

    assert (states, app.clock.slept) == ([NOT_SERVING], [7])


class HeldClock(SystemClock):
    """Sleeps until the test wakes it."""

    def __init__(self) -> None:
        self.asleep, self.wake, self.slept = asyncio.Event(), asyncio.Event(), [0.0][:0]

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        self.asleep.set()
        await self.wake.wait()


async def services_by_reflection(channel: Any) -> Any:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    # Sent by gRPC itself: a write of our own may meet the refusal, and would then fail without its status.
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await call.read()
    return {service.name for service in answer.list_services_response.service}


async def test_reflection_names_the_service() -> None:
    async with started() as (_, channel):
        assert SERVICE in await services_by_reflection(channel)


async def test_reflection_can_be_turned_off() -> None:
    async with started(reflection=False) as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await services_by_reflection(channel)

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_a_request_beyond_four_mebibytes_is_refused() -> None:
    async with started() as (_, channel):
        request = pb.HandleStripeEventRequest(payload=b"x" * (4 * 1024 * 1024 + 1), signature="t=1")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CloneServiceStub(channel).HandleStripeEvent(request)

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_metadata_has_a_bound() -> None:
    async with started() as (_, channel):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CloneServiceStub(channel).GetClone(
                pb.GetCloneRequest(clone_id="cln_1"), metadata=(("x", "y" * 65_536),)
            )

    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_whole_server_answers_from_its_ledger() -> None:
    async with started() as (_, channel):
        stub = CloneServiceStub(channel)
        listed = await stub.ListClones(pb.ListClonesRequest(platform_customer_id="cus_1"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetClone(pb.GetCloneRequest(clone_id="cln_1"))

    assert (list(listed.clones), caught.value.code()) == ([], grpc.StatusCode.NOT_FOUND)


def test_connections_have_bounds() -> None:
    bounds = dict(options(load({"max_connection_age_s": "60"}, {"STRIPE_API_KEY": "sk_test_1"})))

    assert (
        bounds.items()
        >= {
            "grpc.so_reuseport": 0,
            "grpc.max_receive_message_length": 4 * 1024 * 1024,
            "grpc.max_send_message_length": 4 * 1024 * 1024,
            "grpc.max_metadata_size": 16 * 1024,
            "grpc.max_concurrent_streams": 1000,
            "grpc.keepalive_time_ms": 60_000,
            "grpc.keepalive_timeout_ms": 20_000,
            "grpc.http2.min_ping_interval_without_data_ms": 30_000,
            "grpc.keepalive_permit_without_calls": 1,
            "grpc.max_connection_age_ms": 60_000,
            "grpc.max_connection_age_grace_ms": 60_000,
        }.items()
    )
