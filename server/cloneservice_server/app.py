"""The composition root: puts engine, queries, RPCs, health and reflection together, starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from cloneservice.v1.clone_service_pb2_grpc import add_CloneServiceServicer_to_server
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cloneservice_server.access.tokens import Tokens
from cloneservice_server.access.watched import Watched
from cloneservice_server.listeners import (
    PortTaken,
    bind,
    open_access,
    open_admin_tokens,
    open_webhook_secrets,
    options,
    start_channelz,
)
from cloneservice_server.observability.gateway import WatchedGateway
from cloneservice_server.observability.telemetry import PUSH_S, Telemetry, open_telemetry
from cloneservice_server.ports import Clock, StripeGateway
from cloneservice_server.ports_batches import BatchObserver, WholeLedger
from cloneservice_server.ports_observer import EngineObserver
from cloneservice_server.readiness import PROBE_S, Readiness
from cloneservice_server.rpc.interceptors.access import Access, access_interceptor
from cloneservice_server.rpc.interceptors.decoding import decoding_interceptor
from cloneservice_server.rpc.interceptors.errors import errors_interceptor
from cloneservice_server.rpc.interceptors.limits import Gate, limits_interceptor
from cloneservice_server.rpc.interceptors.logging import logging_interceptor
from cloneservice_server.rpc.interceptors.rates import Rates, rates_interceptor
from cloneservice_server.rpc.interceptors.wrap import SERVICE
from cloneservice_server.rpc.paging import PageTokens
from cloneservice_server.rpc.planned import complete
from cloneservice_server.rpc.servicer import CloneServicer
from cloneservice_server.settings import Address, Settings, parse_address
from cloneservice_server.stripe_gateway.credentials import STRIPE_API
from cloneservice_server.stripe_gateway.pacing import PacedGateway, Pacer
from cloneservice_server.workflows.batch_layout import listing
from cloneservice_server.workflows.batch_runner import BatchRunner, RunnerSettings
from cloneservice_server.workflows.batches import Batches
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.event_intake import EventIntake
from cloneservice_server.workflows.queries import Queries
from cloneservice_server.workflows.shares import BEAT_S, Shares

if TYPE_CHECKING:
    from cloneservice_server.observability.admin import AdminServer
    from cloneservice_server.pages.site import Pages
    from cloneservice_server.webhooks import WebhookServer

__all__ = ["App", "PortTaken", "build_app"]

_log = logging.getLogger("cloneservice.app")

_GRACE_OF_CALLS = 0.75
"""Share of the grace for calls to end by themselves; the rest is for the step a late one is in before it is parked."""
_GRACE_OF_CONNECTIONS_S = 1.0
"""For streams that are left, and for what came in the instant that the gate closed."""
_HEALTH_NAMES = ("", SERVICE)


def build_app(
    settings: Settings,
    *,
    gateway: StripeGateway,
    ledger: WholeLedger,
    clock: Clock,
    observer: EngineObserver | None = None,
    telemetry: Telemetry | None = None,
    batch_observer: BatchObserver | None = None,
) -> App:
    """A server that is put together but not started. It will open and close `ledger`, and close `gateway`.

    `telemetry` and the observers are what `settings` ask for by default. Raises SettingsError when a file that they
    name cannot be used.
    """
    limits = EngineSettings(
        livemode=settings.livemode,
        erasure_key=settings.erasure_secret,
        lease_s=settings.lease_s,
        running_max=settings.max_running_requests,
        waiting_max=settings.max_waiting_requests,
        follow_s=settings.lease_s + 5.0,
        retention_s=settings.request_retention_days * 86_400.0,
    )
    telemetry = telemetry or open_telemetry(settings)
    batch_observer = batch_observer or telemetry.observer
    readiness = Readiness(ledger, gateway, clock)
    watched = WatchedGateway(gateway, readiness, clock.monotonic_s, telemetry.stripe_report, telemetry.stripe_span)
    pacer = Pacer(settings.rate_limits, clock, batch_observer)
    paced, owner = PacedGateway(watched, pacer), uuid.uuid4().hex
    engine = Engine(
        ledger=ledger,
        gateway=paced,
        clock=clock,
        owner=owner,
        settings=limits,
        observer=observer or telemetry.observer,
    )
    queries = Queries(ledger, paced, clock, erasure_key=settings.erasure_secret)
    runner = BatchRunner(
        ledger=ledger,
        engine=engine,
        clock=clock,
        owner=owner,
        list_methods=listing(queries.list_platform_payment_methods),
        settings=RunnerSettings(lease_s=settings.lease_s, retention_s=settings.batch_retention_days * 86_400.0),
        observer=batch_observer,
    )
    budget = f"{'live' if settings.livemode else 'test'} {settings.key_fingerprint}"
    shares = Shares(ledger, clock, pacer, budget=budget, owner=owner, wanting=lambda: runner.busy)
    return App(
        settings,
        gateway,
        ledger,
        clock,
        engine,
        queries,
        Batches(ledger, clock, settings.rate_limits),
        runner,
        pacer,
        shares,
        open_access(settings, ledger),
        readiness,
        telemetry,
        Gate(settings.max_concurrent_rpcs),
        EventIntake(engine, clock, open_webhook_secrets(settings), livemode=settings.livemode),
        open_admin_tokens(settings),
    )


@dataclass(slots=True, eq=False)
class App:
    """One server. `start`, then `wait` until somebody calls `stop`."""

    settings: Settings
    gateway: StripeGateway
    ledger: WholeLedger
    clock: Clock
    engine: Engine
    queries: Queries
    batches: Batches
    runner: BatchRunner
    pacer: Pacer
    shares: Shares
    access: Access
    readiness: Readiness
    telemetry: Telemetry
    gate: Gate
    events: EventIntake
    admin_tokens: Watched[Tokens] | None = None
    """Of those who may see the admin page; None when there is none."""
    port: int = 0
    """The port listened on, once started."""
    admin: AdminServer | None = None
    """The admin port, once started, if there is one."""
    channelz_port: int = 0
    """The port of channelz, once started, if there is one."""
    webhooks: WebhookServer | None = None
    """The listener for Stripe's webhooks, once started, if there is one."""
    _server: grpc.aio.Server | None = None
    _channelz: grpc.aio.Server | None = None
    _files: dict[str, Watched[Any]] = field(default_factory=dict)
    _health: health.aio.HealthServicer = field(default_factory=health.aio.HealthServicer)
    _watch: asyncio.Task[None] | None = None
    _push: asyncio.Task[None] | None = None
    _stopping: bool = False
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> Address:
        """Where it listens, once started."""
        return Address(self.settings.address.host, self.port)

    async def start(self) -> None:
        """Listen, open the ledger, take up unfinished requests, then serve and report SERVING.

        Raises PortTaken, SettingsError (certificates), LedgerUnavailable, or ValueError when the ledger belongs to the
        other mode. The port comes first: a second server started by mistake must not touch the ledger.
        """
        await self._report(serving=False)
        server = self._build_server()
        try:
            self._files = self.access.files()
            self.port = bind(server, self.settings, self._files)
            await self._start_admin()
            await self._start_webhooks()
            await self.ledger.open()
            await self.ledger.bind(self.settings.key_fingerprint, livemode=self.settings.livemode)
        except BaseException:
            await server.stop(None)
            await self._close()
            raise
        self._server = server
        await self.engine.start()
        await self.runner.start(self.shares.beat_once, BEAT_S)
        await server.start()
        await self._report(serving=True)
        self._watch = asyncio.create_task(self._follow_readiness(), name="readiness")

    async def stop(self, grace_s: float | None = None) -> None:
        """NOT_SERVING first, so that load balancers turn away; then no new calls, and `grace_s` for those in flight.

        For `drain_delay_s` after NOT_SERVING calls are still taken, and afterwards refused as SERVICE_STOPPING, which
        callers and proxies try elsewhere. What is not finished in the end is left to the next process: the ledger
        knows how far it came. With a `grace_s` of 0 there is no delay either.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        grace_s = self.settings.shutdown_grace_s if grace_s is None else grace_s
        _log.info("stopping", extra={"fields": {"grace_s": grace_s, "drain_delay_s": self.settings.drain_delay_s}})
        self._stopping = True
        await self._report(serving=False)
        if self.settings.drain_delay_s and grace_s:
            await self.clock.sleep(self.settings.drain_delay_s)
        ends_s = self.clock.monotonic_s() + grace_s
        self.batches.close()
        await self.gate.close(grace_s * _GRACE_OF_CALLS)
        await server.stop(min(grace_s, _GRACE_OF_CONNECTIONS_S))
        self.pacer.close()
        await self.runner.drain(max(0.0, ends_s - self.clock.monotonic_s()) / 2)
        await self.engine.drain(max(0.0, ends_s - self.clock.monotonic_s()))
        await self._close()
        _log.info("stopped")
        self._stopped.set()

    async def wait(self) -> None:
        """Until the app has stopped."""
        await self._stopped.wait()

    def _build_server(self) -> grpc.aio.Server:
        settings, monotonic_s = self.settings, self.clock.monotonic_s
        server = grpc.aio.server(
            interceptors=(
                errors_interceptor(),
                *self.telemetry.interceptors(self.clock),
                logging_interceptor(monotonic_s),
                decoding_interceptor(),
                limits_interceptor(self.gate),
                access_interceptor(self.access),
                rates_interceptor(Rates(settings.caller_rps_max, monotonic_s)),
            ),
            options=options(settings),
        )
        tokens = PageTokens(settings.page_token_secret)
        servicer = CloneServicer(
            self.engine,
            self.queries,
            tokens,
            batches=self.batches,
            events=self.events,
            deadline_s_max=settings.max_deadline_s,
        )
        add_CloneServiceServicer_to_server(complete(servicer), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.serves_reflection:
            _add_reflection(server)
        return server

    async def _start_admin(self) -> None:
        if self.settings.channelz_listen:
            self._channelz, self.channelz_port = await start_channelz(self.settings)
        if self.telemetry.push is not None:
            self._push = asyncio.create_task(self._push_metrics(), name="metrics")
        if not self.settings.admin_listen or self.telemetry.metrics is None:
            return
        from cloneservice_server.observability.admin import AdminServer  # noqa: PLC0415 - not paid for when it is off

        address = parse_address(self.settings.admin_listen)
        pages = self._pages(self.admin_tokens) if self.admin_tokens is not None else None
        self.admin = AdminServer(self.telemetry.metrics.registry, self._state, self._refresh_metrics, pages)
        try:
            await self.admin.start(address)
        except OSError as wrong:
            raise PortTaken(f"cannot listen on {address} (--admin-listen): {wrong.strerror}") from wrong

    def _pages(self, admin_tokens: Watched[Tokens]) -> Pages:
        from cloneservice_server.ledger.view import open_view  # noqa: PLC0415 - not paid for when it is off
        from cloneservice_server.pages.addresses import Dashboard  # noqa: PLC0415 - not paid for when it is off
        from cloneservice_server.pages.site import Pages, Serving  # noqa: PLC0415 - not paid for when it is off

        settings = self.settings
        self._files["admin_tokens"] = admin_tokens
        is_stripe = not settings.fake and settings.stripe_url == STRIPE_API
        mode = ("live" if settings.livemode else "test") if is_stripe else "a double"
        dashboard = Dashboard(livemode=settings.livemode, is_stripe=is_stripe)
        serving = Serving(mode, self._state, dashboard, settings.rate_limits)
        return Pages(open_view(self.ledger, self.clock), admin_tokens.current, self.clock, serving)

    async def _start_webhooks(self) -> None:
        if not self.settings.webhook_listen:
            return
        from cloneservice_server.webhooks import WebhookServer  # noqa: PLC0415 - not paid for when it is off

        address = parse_address(self.settings.webhook_listen)
        self.webhooks = WebhookServer(self.events)
        try:
            await self.webhooks.start(address, shared=self.settings.shared_port)
        except OSError as wrong:
            raise PortTaken(f"cannot listen on {address} (--webhook-listen): {wrong.strerror}") from wrong

    def _state(self) -> dict[str, bool]:
        return {
            "serving": self._server is not None and not self._stopping,
            "ledger": self.readiness.ledger,
            "stripe_key": self.readiness.stripe_key,
        }

    async def _push_metrics(self) -> None:
        while True:
            await self.clock.sleep(PUSH_S)
            self._refresh_metrics()
            await self.telemetry.send()

    def _refresh_metrics(self) -> None:
        self.telemetry.refresh(self.engine, self.gate, self.readiness, self._files)

    async def _follow_readiness(self) -> None:
        serving = True
        while not self._stopping:
            await self.readiness.changed_within(PROBE_S)
            await self.readiness.probe()
            if self.readiness.ready != serving and not self._stopping:
                serving = self.readiness.ready
                await self._report(serving=serving)

    async def _report(self, *, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        for name in _HEALTH_NAMES:
            await self._health.set(name, states.SERVING if serving else states.NOT_SERVING)

    async def _close(self) -> None:
        background = [task for task in (self._watch, self._push) if task is not None]
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._refresh_metrics()
        await self.telemetry.aclose()
        if self._channelz is not None:
            await self._channelz.stop(None)
        for door in (self.webhooks, self.admin):
            if door is not None:
                await door.aclose()
        await self.ledger.aclose()
        await self.gateway.aclose()


def _add_reflection(server: grpc.aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection  # noqa: PLC0415 - not paid for when it is off

    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
