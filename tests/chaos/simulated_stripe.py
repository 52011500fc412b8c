"""Stripe in the simulation: the double itself, without a socket, on the virtual clock, with faults by chance.

What the double does is what the other tests hold it to; what this adds is a bad network and a bad day at Stripe:
requests that never leave, answers that never come, requests that arrive much later, 429s, and 500s that Stripe stores
under the key and replays for a day, whether or not it had done what was asked. Keys are forgotten after 24 hours.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import AnswerLost, NotSent, Refused, StripeAnswer, StripeCall
from cloneservice_server.stripe_gateway.errors import to_domain_error
from cloneservice_server.stripe_gateway.gateway import API_VERSION, _interpret
from fake_stripe.wire import Request, Response

from fake_stripe import FakeStripe
from tests.stripe_http import form
from tests.virtual_clock import VirtualClock

FAULTS = ("unsent", "lost", "done_lost", "late", "500", "done_500", "429", "lock")
LATE_S_MAX = 1800
"""How long a request may wander in the network. Less than the hour between our trust in a key and Stripe's."""
_KEY = "sk_test_simulation"
_NAME = "simulation"


@dataclass(frozen=True, slots=True)
class Made:
    """One object that a call made: under which key, and what the double said of it."""

    kind: str
    id: str
    account: str
    """acct_..., or "" for the platform."""
    key: str
    answered_500: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """What the world holds before the first request."""

    account: str
    customer: str
    card: str
    """A pm_ saved on the customer, its default."""
    source: str
    legacy: str
    """The customer of `source` and `legacy_card`."""
    legacy_card: str
    declining: str
    """A pm_ saved on the customer that every issuer declines."""
    loose_card: str
    loose_token: str
    """Not saved yet."""


class SimulatedStripe:
    """`ports.StripeGateway` over the double."""

    def __init__(self, clock: VirtualClock, rng: random.Random, fault_rate: float) -> None:
        self.clock, self.rng, self.fault_rate = clock, rng, fault_rate
        double, self.saved = _double(round(clock.now_us() / 1_000_000))
        self._double = double
        self._world = double.worlds.restore(_NAME, "start")
        self.made: list[Made] = []
        self.executed: Counter[tuple[str, str]] = Counter()
        """How often a call was carried out under (account, key), replays not counted."""
        self.trace: list[str] = []
        self.on_confirm: Callable[[str], Awaitable[None]] | None = None
        self._wandering: list[tuple[int, StripeCall, str]] = []

    # -------------------------------------------------------------------------------------------- the port

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """One call through the network of this day."""
        assert idempotency_key or call.method == "GET", f"{call.method} {call.path} without a key"
        await asyncio.sleep(0)
        await self.arrivals()
        fault = self.rng.choice(FAULTS) if self.rng.random() < self.fault_rate else ""
        self.trace.append(f"{call.method} {call.account} {call.path} {idempotency_key} {fault}")
        if fault == "unsent":
            raise NotSent
        if fault == "lost":
            raise AnswerLost
        if fault == "late":
            arrival = self.clock.now_us() + self.rng.randrange(1_000_000, LATE_S_MAX * 1_000_000)
            self._wandering.append((arrival, call, idempotency_key))
            raise AnswerLost
        response = await self._handle(call, idempotency_key, fault, self.clock.now_us())
        if fault == "done_lost":
            raise AnswerLost
        return _interpret(call, response.status, dict(response.headers), response.body)

    def explain(self, refused: Refused, step: str) -> DomainError:
        """The product's own table."""
        return to_domain_error(refused, step=step)

    async def aclose(self) -> None:
        """Nothing to close."""

    # ------------------------------------------------------------------------------------------ the double

    async def arrivals(self) -> None:
        """Let the requests arrive that wandered until now."""
        now = self.clock.now_us()
        due = [each for each in self._wandering if each[0] <= now]
        self._wandering = [each for each in self._wandering if each[0] > now]
        for arrival, call, key in sorted(due, key=lambda each: each[0]):
            await self._handle(call, key, "", arrival)

    async def _handle(self, call: StripeCall, key: str, fault: str, at_us: int) -> Response:
        if call.path.endswith("/confirm") and self.on_confirm is not None:
            await self.on_confirm(call.path.split("/")[3])
        world = self._world
        world.clock.freeze(at_us / 1_000_000)
        if act := _act(fault):
            world.faults.add({"act": act, "times": 1})
        response = self._double.handle(_request(call, key))
        if act:
            world.faults.clear()
        self._note(call, key, response)
        return response

    def _note(self, call: StripeCall, key: str, response: Response) -> None:
        carried_out = response.status in (200, 402, 500)  # other refusals are not kept under the key
        if call.method == "GET" or ("Idempotent-Replayed", "true") in response.headers or not carried_out:
            return
        self.executed[call.account, key] += 1
        for change in self._world.changes:
            obj = change.obj
            if change.kind == "created" and obj["object"] != "event":
                self.made.append(Made(obj["object"], obj["id"], call.account, key, response.status >= 500))

    # ------------------------------------------------------------------------------------------- the truth

    def all_of(self, kind: str, account: str) -> list[dict[str, Any]]:
        """Every object of a kind on an account, as Stripe has it."""
        scope = self._world.known_scope(account or self._world.platform, livemode=False)
        return list(scope.list(kind)) if scope else []

    def object_of(self, made: Made) -> dict[str, Any] | None:
        """The object as it is now."""
        scope = self._world.scope(made.account or self._world.platform, livemode=False)
        return scope.get(made.kind, made.id)

    def exists(self, account: str, name: str) -> bool:
        """Whether an account has an object of that id, of whatever kind."""
        scope = self._world.scope(account or self._world.platform, livemode=False)
        return any(scope.get(kind, name) is not None for kind in scope.types())

    def money_taken(self, account: str) -> list[dict[str, Any]]:
        """The charges that took or hold money."""
        return [charge for charge in self.all_of("charge", account) if charge["status"] == "succeeded"]


def _act(fault: str) -> dict[str, Any] | None:
    match fault:
        case "500":
            return {"kind": "status", "status": 500}
        case "done_500":
            return {"kind": "status", "status": 500, "commit": True}
        case "429":
            return {"kind": "status", "status": 429, "reason": "global-rate"}
        case "lock":
            return {"kind": "lock_timeout"}
    return None


def _request(call: StripeCall, key: str = "") -> Request:
    text = urlencode(form(call.params)).encode()
    headers = {b"authorization": f"Bearer {_KEY}".encode(), b"stripe-version": API_VERSION.encode()}
    if call.account:
        headers[b"stripe-account"] = call.account.encode()
    if call.method != "POST":
        return Request(call.method, call.path, query=text, headers=headers)
    headers[b"content-type"] = b"application/x-www-form-urlencoded"
    headers[b"idempotency-key"] = key.encode()
    return Request("POST", call.path, headers=headers, body=text)


@cache
def _double(start_s: int) -> tuple[FakeStripe, Saved]:
    """A double whose snapshot "start" holds what is there before the first request; the same in every process."""
    double = FakeStripe(seed=_NAME, journal_size=1)
    double.world(_KEY).clock.freeze(start_s - 100)
    numbers = iter(range(100))

    def post(path: str, **params: Any) -> str:
        response = double.handle(_request(StripeCall("POST", path, params=params), f"set-up-{next(numbers)}"))
        assert response.status == 200, response.body
        return str(_interpret(StripeCall("POST", path), 200, {}, response.body).body["id"])

    def loose(token: str) -> str:
        return post("/v1/payment_methods", type="card", card={"token": token})

    customer, legacy = post("/v1/customers"), post("/v1/customers")
    card = post(f"/v1/payment_methods/{loose('tok_visa')}/attach", customer=customer)
    post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": card})
    source = post("/v1/sources", type="card", token="tok_visa")
    saved = Saved(
        account=post("/v1/accounts", type="standard", country="US"),
        customer=customer,
        card=card,
        source=post(f"/v1/customers/{legacy}/sources", source=source),
        legacy=legacy,
        legacy_card=post(f"/v1/customers/{legacy}/sources", source="tok_mastercard"),
        declining=post("/v1/payment_methods/pm_card_chargeCustomerFail/attach", customer=customer),
        loose_card=loose("tok_visa"),
        loose_token=post("/v1/tokens", card={"number": "4242424242424242", "exp_month": 8, "exp_year": 2030}),
    )
    double.worlds.snapshot(_NAME, "start")
    return double, saved
