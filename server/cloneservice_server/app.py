"""The composition root: puts engine, queries, RPCs, health and reflection together, starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import grpc
import grpc.aio
from cloneservice.v1.clone_service_pb2_grpc import add_CloneServiceServicer_to_server
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cloneservice_server.ports import Clock, Ledger, StripeGateway
from cloneservice_server.ports_observer import EngineObserver
from cloneservice_server.rpc.interceptors.errors import errors_interceptor
from cloneservice_server.rpc.interceptors.limits import limits_interceptor
from cloneservice_server.rpc.interceptors.logging import logging_interceptor
from cloneservice_server.rpc.interceptors.wrap import SERVICE
from cloneservice_server.rpc.paging import PageTokens
from cloneservice_server.rpc.planned import complete
from cloneservice_server.rpc.servicer import CloneServicer
from cloneservice_server.settings import Address, Settings
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.queries import Queries

_log = logging.getLogger("cloneservice.app")

_MESSAGE_BYTES = 4 * 1024 * 1024
_GRACE_OF_CALLS = 0.75
"""Share of the grace for calls to end by themselves; the rest is for the step a late one is in before it is parked."""
_METADATA_BYTES = 16 * 1024
_PENDING_MAX = 20_000
_HEALTH_NAMES = ("", SERVICE)


class PortTaken(Exception):  # noqa: N818 - reads as what happened
    """The address cannot be listened on."""


def build_app(
    settings: Settings,
    *,
    gateway: StripeGateway,
    ledger: Ledger,
    clock: Clock,
    observer: EngineObserver | None = None,
) -> App:
    """A server that is put together but not started. It will open and close `ledger`, and close `gateway`."""
    limits = EngineSettings(
        livemode=settings.livemode,
        lease_s=settings.lease_s,
        follow_s=settings.lease_s * 1.5,
        retention_s=settings.request_retention_days * 86_400.0,
    )
    engine = Engine(ledger=ledger, gateway=gateway, clock=clock, settings=limits, observer=observer)
    return App(settings, gateway, ledger, clock, engine, Queries(ledger, gateway, clock))


@dataclass(slots=True, eq=False)
class App:
    """One server. `start`, then `wait` until somebody calls `stop`."""

    settings: Settings
    gateway: StripeGateway
    ledger: Ledger
    clock: Clock
    engine: Engine
    queries: Queries
    port: int = 0
    """The port listened on, once started."""
    _server: grpc.aio.Server | None = None
    _health: health.aio.HealthServicer = field(default_factory=health.aio.HealthServicer)
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> Address:
        """Where it listens, once started."""
        return Address(self.settings.address.host, self.port)

    async def start(self) -> None:
        """Listen, open the ledger, take up unfinished requests, then serve and report SERVING.

        Raises PortTaken, LedgerUnavailable, or ValueError when the ledger belongs to the other mode. The port comes
        first: a second server started by mistake must not touch the ledger.
        """
        await self._report(serving=False)
        server = self._build_server()
        self.port = _bind(server, self.settings.address)
        try:
            await self.ledger.open()
            await self.ledger.bind(self.settings.key_fingerprint, livemode=self.settings.livemode)
        except BaseException:
            await server.stop(None)
            await self._close()
            raise
        self._server = server
        await self.engine.start()
        await server.start()
        await self._report(serving=True)

    async def stop(self, grace_s: float | None = None) -> None:
        """NOT_SERVING first, so that load balancers turn away; then no new calls, and `grace_s` for those in flight.

        What is not finished by then is left to the next process: the ledger knows how far it came.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        grace_s = self.settings.shutdown_grace_s if grace_s is None else grace_s
        _log.info("stopping", extra={"fields": {"grace_s": grace_s}})
        await self._report(serving=False)
        ends_s = self.clock.monotonic_s() + grace_s
        await server.stop(grace_s * _GRACE_OF_CALLS)
        await self.engine.drain(max(0.0, ends_s - self.clock.monotonic_s()))
        await self._close()
        _log.info("stopped")
        self._stopped.set()

    async def wait(self) -> None:
        """Until the app has stopped."""
        await self._stopped.wait()

    def _build_server(self) -> grpc.aio.Server:
        settings = self.settings
        server = grpc.aio.server(
            interceptors=(
                errors_interceptor(),
                logging_interceptor(self.clock.monotonic_s),
                limits_interceptor(settings.max_concurrent_rpcs),
            ),
            options=_options(settings),
        )
        tokens = PageTokens(settings.page_token_secret)
        servicer = CloneServicer(self.engine, self.queries, tokens, deadline_s_max=settings.max_deadline_s)
        add_CloneServiceServicer_to_server(complete(servicer), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            _add_reflection(server)
        return server

    async def _report(self, *, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        for name in _HEALTH_NAMES:
            await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def _close(self) -> None:
        await self.ledger.aclose()
        await self.gateway.aclose()


def _options(settings: Settings) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", 0),  # a taken port must be an error, not half of the traffic
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        # gRPC's core ends calls that it has not handed over yet as CANCELLED, at random above 1,000. Callers shall hear
        # SERVICE_OVERLOADED instead, which says that nothing was done.
        ("grpc.server.max_pending_requests", _PENDING_MAX),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING_MAX),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", settings.max_connection_age_s * 1000))
        options.append(("grpc.max_connection_age_grace_ms", settings.max_deadline_s * 1000))
    return options


def _bind(server: grpc.aio.Server, address: Address) -> int:
    try:
        port: int = server.add_insecure_port(str(address))
    except RuntimeError as wrong:
        raise PortTaken(
            f"cannot listen on {address}: the port is taken or the address is not this machine's"
        ) from wrong
    if port == 0:
        raise PortTaken(f"cannot listen on {address}")
    return port


def _add_reflection(server: grpc.aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection  # noqa: PLC0415 - not paid for when it is off

    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
