"""Callers under load: each asks until it has a final answer, by either server, sometimes by both at once."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import urllib.request
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from cloneservice import AsyncCloneClient, CloneServiceError, Money

from tests.stripe_http import StripeHttp

ACCOUNTS, SHOPPERS = 4, 8
FEE = Money(99, "USD")
Ask = Callable[[AsyncCloneClient, str], Coroutine[Any, Any, Any]]

FAULTS: tuple[tuple[float, Any], ...] = (
    (0.03, "commit_then_drop"),
    (0.02, "drop_before"),
    (0.02, "reset_mid_body"),
    (0.02, "malformed_body"),
    (0.02, "lock_timeout"),
    (0.02, {"kind": "status", "status": 429, "reason": "endpoint-rate"}),
    (0.01, {"kind": "status", "status": 500}),
    (0.01, {"kind": "status", "status": 500, "commit": True}),
    (0.01, {"kind": "status", "status": 503}),
    (0.01, {"kind": "status", "status": 409}),
)
LATENCY = {"median": 0.015, "sigma": 0.7}


@dataclass(frozen=True, slots=True)
class Shopper:
    """A platform customer and what is saved on it: pm_, card_ or src_."""

    customer: str
    saved: str


@dataclass(slots=True)
class Request:
    """One intent of a caller's, and everything it was told about it for good."""

    request_id: str
    ask: Ask
    answers: list[str] = field(default_factory=list)
    tries: int = 0


class Load:
    """Callers that go on until they are told to stop; then each finishes what it has begun."""

    def __init__(self, stripe: StripeHttp, targets: list[str], seed: int, *, timeout_s: float = 20.0) -> None:
        self.rng = random.Random(seed)
        self.requests: list[Request] = []
        self.accounts = [stripe.connected_account() for _ in range(ACCOUNTS)]
        self.shoppers = [_shopper(stripe, number) for number in range(SHOPPERS)]
        self._targets, self._timeout_s = targets, timeout_s
        self._clients: list[AsyncCloneClient] = []
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, callers: int) -> None:
        """Begin asking."""
        # The reconnection back-off of gRPC's channels grows to two minutes, longer than any server is away here.
        options = [("grpc.max_reconnect_backoff_ms", 500), ("grpc.initial_reconnect_backoff_ms", 100)]
        self._clients = [
            AsyncCloneClient(target, timeout_s=self._timeout_s, options=options) for target in self._targets
        ]
        self._tasks = [asyncio.create_task(self._caller()) for _ in range(callers)]

    async def finish(self) -> None:
        """No new intents; wait until every one has its final answer; then ask for each answer once more."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        places = asyncio.Semaphore(16)

        async def again(request: Request) -> None:
            async with places:
                await self._until_final(request, self.rng.choice(self._clients))

        await asyncio.gather(*(again(request) for request in self.requests))
        await asyncio.gather(*(client.close() for client in self._clients))

    @property
    def answered(self) -> int:
        """Intents that have a final answer."""
        return sum(bool(request.answers) for request in self.requests)

    async def _caller(self) -> None:
        while not self._stop.is_set():
            request = Request(str(uuid.UUID(int=self.rng.getrandbits(128))), self._intent())
            self.requests.append(request)
            both = self.rng.random() < 0.15
            clients = self._clients if both else [self.rng.choice(self._clients)]
            await asyncio.gather(*(self._until_final(request, client) for client in clients))

    async def _until_final(self, request: Request, client: AsyncCloneClient) -> None:
        while True:
            request.tries += 1
            try:
                result = await request.ask(client, request.request_id)
            except CloneServiceError as error:
                if not error.resumable:
                    request.answers.append(f"{type(error).__name__} {error.message} {error.metadata}")
                    return
                await asyncio.sleep(min(error.retry_after_s or 0.2, 1.0) * self.rng.uniform(0.2, 1.0))
            else:
                request.answers.append(repr(dataclasses.replace(result, replayed=False)))
                return
            client = self.rng.choice(self._clients)  # a caller goes on wherever it is answered

    def _intent(self) -> Ask:
        shopper, account = self.rng.choice(self.shoppers), self.rng.choice(self.accounts)
        kind = self.rng.random()
        amount = Money(self.rng.randint(200, 9999), "USD")
        if kind < 0.15:
            return lambda client, request_id: client.clone_payment_method(
                shopper.customer, account, platform_payment_method_id=shopper.saved, request_id=request_id
            )
        return lambda client, request_id: client.clone_and_charge(
            shopper.customer,
            account,
            amount,
            platform_payment_method_id=shopper.saved,
            application_fee=FEE,
            one_shot=kind < 0.3,
            request_id=request_id,
        )


def _shopper(stripe: StripeHttp, number: int) -> Shopper:
    """Six with a pm_ (one of them declines), one with a card_, one with a src_."""
    if number == 0:
        customer = stripe.post("/v1/customers")["id"]
        saved = stripe.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", customer=customer)["id"]
        return Shopper(customer, saved)
    if number in (1, 2):
        customer = stripe.post("/v1/customers")["id"]
        token = "tok_mastercard"
        source = token if number == 1 else stripe.post("/v1/sources", type="card", token=token)["id"]
        return Shopper(customer, stripe.post(f"/v1/customers/{customer}/sources", source=source)["id"])
    return Shopper(*stripe.saved_card())


def install_faults(stripe: StripeHttp, seed: int) -> None:
    """A bad day at Stripe: every kind of fault by chance, and latency always."""
    for number, (probability, act) in enumerate(FAULTS):
        control(
            stripe,
            "POST",
            "/_fake/faults",
            match={"method": "POST"},
            act=act,
            times=None,
            probability=probability,
            seed=seed + number,
            latency=LATENCY,
        )
    control(stripe, "POST", "/_fake/faults", id="latency", act="latency", latency=LATENCY, times=None, seed=seed)


def clear_faults(stripe: StripeHttp) -> None:
    """A good day."""
    control(stripe, "DELETE", "/_fake/faults")


def control(stripe: StripeHttp, method: str, path: str, **params: Any) -> dict[str, Any]:
    """One call of the double's control API."""
    headers = {"Authorization": f"Bearer {stripe.api_key}", "Content-Type": "application/json"}
    body = json.dumps(params).encode() if params else None
    with urllib.request.urlopen(urllib.request.Request(stripe.url + path, body, headers, method=method)) as answer:
        decoded: dict[str, Any] = json.load(answer)
    return decoded
