"""Readiness follows the ledger and Stripe's word on the key; the admin port and the health service show it."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server import readiness
from cloneservice_server.app import App, PortTaken, build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.observability.gateway import WatchedGateway
from cloneservice_server.ports import AnswerLost, LedgerUnavailable, NotSent, Refused, StripeCall
from cloneservice_server.readiness import Readiness
from cloneservice_server.settings import load
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.fakes import ScriptedStripeGateway
from tests.virtual_clock import VirtualClock

KEY_REFUSED = Refused(401, "invalid_request_error")
SAVED = pb.ListPlatformPaymentMethodsRequest(platform_customer_id="cus_1")
BALANCE = StripeCall("GET", "/v1/balance")


class Ledger:
    """Only pings."""

    away = False

    async def ping(self) -> None:
        if self.away:
            raise LedgerUnavailable("disk full")


def made(gateway: Any = None) -> Any:
    ledger, clock = Ledger(), VirtualClock()
    gateway = gateway or ScriptedStripeGateway()
    return Readiness(ledger, gateway, clock), ledger, gateway, clock  # type: ignore[arg-type]


async def test_a_ledger_that_is_away_makes_it_not_ready_until_it_is_back() -> None:
    ready, ledger, _, _ = made()
    seen = []
    for ledger.away in (False, True, False):
        await ready.probe()
        seen.append(ready.ready)

    assert seen == [True, False, True]


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (KEY_REFUSED, False),
        (Refused(403, "invalid_request_error"), True),
        (Refused(402, "card_error"), True),
        (Refused(500, "api_error"), True),
    ],
)
async def test_only_401_speaks_against_the_key(answer: Any, good: bool) -> None:
    ready, _, gateway, clock = made()
    gateway.on("GET", "/v1/balance", answer)
    watched = WatchedGateway(gateway, ready, clock.monotonic_s)

    with pytest.raises(Refused):
        await watched.send(BALANCE)

    assert (ready.stripe_key, ready.ready) == (good, good)


@pytest.mark.parametrize("lost", [NotSent("no route"), AnswerLost("time-out")])
async def test_a_stripe_that_is_not_reached_says_nothing_of_the_key(lost: Any) -> None:
    ready, _, gateway, clock = made()
    ready.key_answered(refused=True)
    gateway.on("GET", "/v1/balance", lost)

    with pytest.raises(type(lost)):
        await WatchedGateway(gateway, ready, clock.monotonic_s).send(BALANCE)

    assert not ready.stripe_key


async def test_a_refused_key_is_tried_again_by_itself_now_and_then() -> None:
    ready, _, gateway, clock = made()
    ready.key_answered(refused=True)
    gateway.on("GET", "/v1/balance", {"object": "balance"})
    await ready.probe()
    soon = len(gateway.sent)
    await clock.sleep(readiness.KEY_PROBE_S)
    await ready.probe()

    assert (soon, len(gateway.sent), ready.ready) == (0, 1, True)


# -------------------------------------------------------------------------------------------------- on a whole server


def app_with(**flags: Any) -> App:
    given = {"listen": "127.0.0.1:0", "ledger": "sqlite://:memory:", "admin_listen": "127.0.0.1:0", **flags}
    settings, clock = load(given, {"STRIPE_API_KEY": "sk_test_1"}), SystemClock()
    return build_app(settings, gateway=ScriptedStripeGateway(), ledger=open_ledger(settings.ledger, clock), clock=clock)


def fetch(app: App, path: str) -> Any:
    assert app.admin is not None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{app.admin.port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


async def test_a_401_from_stripe_turns_the_server_not_serving() -> None:
    app = app_with()
    app.gateway.on("GET", "/v1/customers/cus_1", KEY_REFUSED)  # type: ignore[attr-defined]
    await app.start()
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        states = [(await watch.read()).status]
        before = await asyncio.to_thread(fetch, app, "/readyz")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CloneServiceStub(channel).ListPlatformPaymentMethods(SAVED)
        states.append((await watch.read()).status)
        after = await asyncio.to_thread(fetch, app, "/readyz")
        alive = await asyncio.to_thread(fetch, app, "/livez")
        watch.cancel()
    await app.stop(0)

    health = health_pb2.HealthCheckResponse
    assert (states, caught.value.code()) == ([health.SERVING, health.NOT_SERVING], grpc.StatusCode.INTERNAL)
    assert (before[0], after[0], alive[0]) == (200, 503, 200)
    assert json.loads(after[1]) == {"serving": True, "ledger": True, "stripe_key": False}


async def test_metrics_tell_what_was_called_and_hold_no_id() -> None:
    app = app_with()
    app.gateway.on("GET", "/v1/customers/cus_1", Refused(404, "invalid_request_error", "resource_missing"))  # type: ignore[attr-defined]
    await app.start()
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await CloneServiceStub(channel).ListPlatformPaymentMethods(SAVED)
    status, text = await asyncio.to_thread(fetch, app, "/metrics")
    await app.stop(0)

    assert status == 200
    lines = [line for line in text.splitlines() if "_count{" in line and not line.startswith("#")]
    (rpc,) = [line for line in lines if line.startswith("cloneservice_rpc_duration")]
    assert 'method="ListPlatformPaymentMethods"' in rpc
    (stripe,) = [line for line in lines if line.startswith("cloneservice_stripe_call")]
    assert ('operation="GET /customers/{id}"' in stripe, 'outcome="404"' in stripe) == (True, True)
    assert 'cloneservice_ready{dependency="ledger"} 1.0' in text
    assert "cus_1" not in text


async def test_a_taken_admin_port_is_an_error_that_names_it() -> None:
    first = app_with()
    await first.start()
    assert first.admin is not None
    second = app_with(admin_listen=f"127.0.0.1:{first.admin.port}")
    with pytest.raises(PortTaken, match="--admin-listen"):
        await second.start()
    await first.stop(0)


async def test_channelz_listens_where_it_is_told_to_and_not_on_the_service_port() -> None:
    app = app_with(channelz_listen="127.0.0.1:0")
    await app.start()
    assert app.channelz_port
    answers: list[Any] = []
    for port in (app.channelz_port, app.port):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())
            try:
                answers.append(len((await call).server) >= 2)
            except grpc.aio.AioRpcError as error:
                answers.append(error.code())
    await app.stop(0)

    assert answers == [True, grpc.StatusCode.UNIMPLEMENTED]
