"""An engine and queries that answer what a test says, values to answer with, and a server to reach them by gRPC."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub, add_CloneServiceServicer_to_server
from cloneservice_server.domain import errors, results, values
from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.callers import ANYBODY, Caller
from cloneservice_server.domain.commands import Command
from cloneservice_server.ports import ChargeFilter, CloneFilter, Page, RequestRow
from cloneservice_server.rpc.interceptors.wrap import GuardInterceptor
from cloneservice_server.rpc.paging import PageTokens
from cloneservice_server.rpc.planned import complete
from cloneservice_server.rpc.servicer import CloneServicer
from cloneservice_server.workflows.event_intake import EventTaken

REQUEST_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
SECRET = "pi_1_secret_x"

CUSTOMER = values.PlatformCustomer("cus_1", "shopper-1", "pm_1", {"tier": "gold"}, 1_700_000_000_000_001)
SUMMARY = values.PaymentMethodSummary("card", "visa", "4242", 12, 2034, "fp_1")
PAYMENT_METHOD = values.PlatformPaymentMethod("pm_1", "cus_1", SUMMARY, is_default=True)
CLONE = values.Clone(
    "cln_000001",
    "cus_1",
    "pm_1",
    "acct_1",
    values.CloneFlow.PAYMENT_METHOD,
    values.CloneState.ATTACHED,
    connected_object_id="pm_2",
    charge_with="pm_2",
    connected_customer_id="cus_2",
    summary=SUMMARY,
    reusable=True,
    metadata={"order": "1"},
    create_time_us=1_700_000_000_000_000,
    update_time_us=1_700_000_001_000_000,
    version=3,
)
CHARGE = values.Charge(
    "chg_000001",
    "cln_000001",
    "cus_1",
    "acct_1",
    values.Money(1099, "USD"),
    values.ChargeState.SUCCEEDED,
    connected_customer_id="cus_2",
    stripe_payment_intent_id="pi_1",
    stripe_charge_id="ch_1",
    amount_received=1099,
    application_fee=123,
    request_id=REQUEST_ID,
    metadata={"order": "1"},
    create_time_us=1_700_000_000_000_000,
    update_time_us=1_700_000_001_000_000,
    version=2,
)
ACTION = values.NextAction("use_stripe_sdk", SECRET, "")
CHARGE_WITH_ACTION = dataclasses.replace(CHARGE, state=values.ChargeState.REQUIRES_ACTION, next_action=ACTION)
DECLINED = dataclasses.replace(
    CHARGE,
    state=values.ChargeState.DECLINED,
    amount_received=0,
    decline=values.Decline("card_declined", "insufficient_funds", "try_again_later", "51", "Your card was declined."),
)


@dataclass(frozen=True, slots=True)
class FakeAnswer:
    result: results.Result | None = None
    error: errors.DomainError | None = None
    replayed: bool = False


@dataclass(slots=True)
class Submitted:
    request_id: str
    request_hash: str
    command: Command
    deadline_s: float | None


@dataclass(slots=True)
class FakeEngine:
    """Gives `answer`, raises `crash`, or waits for `hold`."""

    answer: FakeAnswer = field(default_factory=FakeAnswer)
    crash: BaseException | None = None
    hold: Any = None
    submitted: list[Submitted] = field(default_factory=list)
    arrivals: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    """One request_id for each call, for tests that wait until it is in flight."""

    async def submit(
        self,
        request_id: str,
        request_hash: str,
        command: Command,
        *,
        deadline_s: float | None = None,
        caller: Caller = ANYBODY,
    ) -> FakeAnswer:
        self.submitted.append(Submitted(request_id, request_hash, command, deadline_s))
        self.arrivals.put_nowait(request_id)
        if self.hold is not None:
            await self.hold.wait()
        if self.crash is not None:
            raise self.crash
        return self.answer


class FakeEvents:
    """Takes every delivery as a new one."""

    async def take(self, payload: bytes, signature: str) -> EventTaken:
        return EventTaken(payload.decode(), handled=bool(signature))


@dataclass(slots=True)
class FakeQueries:
    """Lists kept newest first; filters are recorded, not applied."""

    clones: list[values.Clone] = field(default_factory=list)
    charges: list[values.Charge] = field(default_factory=list)
    refunds: list[values.Refund] = field(default_factory=list)
    rows: dict[str, RequestRow] = field(default_factory=dict)
    payment_methods: list[values.PlatformPaymentMethod] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    async def get_clone(self, clone_id: str) -> values.Clone:
        for clone in self.clones:
            if clone.clone_id == clone_id:
                return clone
        raise errors.not_found("clone", clone_id)

    async def list_clones(self, where: CloneFilter, page: Page) -> list[values.Clone]:
        self.asked.append((where, page))
        return _page(self.clones, page, lambda clone: (clone.create_time_us, clone.clone_id))

    async def get_charge(self, charge_id: str, *, refresh: bool) -> values.Charge:
        self.asked.append(("refresh", refresh))
        for charge in self.charges:
            if charge.charge_id == charge_id:
                return charge
        raise errors.not_found("charge", charge_id)

    async def list_charges(self, where: ChargeFilter, page: Page) -> list[values.Charge]:
        self.asked.append((where, page))
        return _page(self.charges, page, lambda charge: (charge.create_time_us, charge.charge_id))

    async def list_refunds(self, charge_id: str, page: Page) -> list[values.Refund]:
        self.asked.append((charge_id, page))
        return _page(self.refunds, page, lambda refund: (refund.create_time_us, refund.refund_id))

    async def get_basket(self, basket_id: str) -> Basket:
        raise errors.not_found("basket", basket_id)

    async def lookup(self, request_id: str) -> RequestRow | None:
        return self.rows.get(request_id)

    async def list_platform_payment_methods(
        self, platform_customer_id: str, limit: int, starting_after: str
    ) -> tuple[list[values.PlatformPaymentMethod], bool]:
        self.asked.append((platform_customer_id, limit, starting_after))
        ids = [saved.platform_payment_method_id for saved in self.payment_methods]
        begin = ids.index(starting_after) + 1 if starting_after else 0
        return self.payment_methods[begin : begin + limit], len(ids) > begin + limit


def _page(rows: list[Any], page: Page, key: Any) -> list[Any]:
    newest_first = sorted(rows, key=key, reverse=True)
    after = [row for row in newest_first if not page.before_id or key(row) < (page.before_us, page.before_id)]
    return after[: page.limit]


@asynccontextmanager
async def served(
    engine: FakeEngine,
    queries: FakeQueries | None = None,
    *interceptors: GuardInterceptor,
    deadline_s_max: float = 60.0,
    raw: bool = False,
    batches: Any = None,
) -> AsyncIterator[Any]:
    """A stub (or, `raw`, the channel) of a server on a free port of this machine; ends with the test."""
    server = grpc.aio.server(interceptors=interceptors)
    servicer = CloneServicer(
        engine,
        queries or FakeQueries(),
        PageTokens(b"key"),
        batches=batches,
        events=FakeEvents(),
        deadline_s_max=deadline_s_max,
    )
    add_CloneServiceServicer_to_server(complete(servicer), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel if raw else CloneServiceStub(channel)
    finally:
        await server.stop(None)
