"""A process dies at each boundary of a basket's work in turn; whoever comes next ends it whole, or gives it back."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterator
from typing import Any, Self

import pytest
from cloneservice_server.domain.baskets import BasketState
from cloneservice_server.domain.commands import BasketLegOptions, ChargeBasket
from cloneservice_server.domain.ids import basket_id_of
from cloneservice_server.domain.values import Money, RequestState
from cloneservice_server.ledger import inspection
from cloneservice_server.ports import StripeAnswer, StripeCall

from tests.chaos.simulated_stripe import LATE_S_MAX, SimulatedStripe
from tests.chaos.simulation import Replica, World, until_death

REQUEST_ID = str(uuid.UUID(int=7))
LEASE_S, DAY_S = 31, 25 * 3600
BAD_DAYS = 20
FEE = Money(100, "USD")
DECIDED = {
    "capture": BasketState.CAPTURING,
    "cancel": BasketState.CANCELING,
    "refunds": BasketState.CANCELING,
}


class ShopStripe(SimulatedStripe):
    """The simulation's Stripe with a second seller, whose holds may lapse just before they are captured."""

    lapses = False
    second = ""
    ledger: Any = None

    async def open_shop(self) -> None:
        """Connect the second seller."""
        made = await self.send(StripeCall("POST", "/v1/accounts", params={"type": "standard"}), idempotency_key="shop")
        self.second = made.body["id"]

    def captures(self, call: StripeCall) -> bool:
        """Whether a capture would take money now, and not only tell what became of an earlier one."""
        intents = self.all_of("payment_intent", call.account)
        return any(each["status"] == "requires_capture" and each["id"] in call.path for each in intents)

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """One call; the decision that it follows from must be on record."""
        verb = call.path.rpartition("/")[2]
        if call.method == "POST" and verb in DECIDED:
            basket = await self.ledger.get_basket(basket_id_of(REQUEST_ID))
            learns = verb == "capture" and not self.captures(call)
            assert basket.state is DECIDED[verb] or learns, f"{verb} is sent in {basket.state}"
        if self.lapses and call.path.endswith("/capture") and call.account == self.second:
            lapse = StripeCall("POST", call.path.removesuffix("/capture") + "/cancel", call.account)
            await super().send(lapse, idempotency_key=f"lapse {call.path}")
        return await super().send(call, idempotency_key=idempotency_key, timeout_s=timeout_s)


class Basket:
    """One basket of two legs in a world of its own. `ends` is "paid", or why it is given back."""

    def __init__(self, ends: str, seed: int = 0) -> None:
        self.ends = ends
        self.world = World(seed)
        self.stripe = ShopStripe(self.world.clock, self.world.rng, 0.0)
        self.stripe.lapses = ends == "a hold lapses"
        self.world.stripe, self.stripe.ledger = self.stripe, self.world.ledger
        self.processes: list[Replica] = []
        """What hangs in dead ones is kept until the end."""

    async def __aenter__(self) -> Self:
        await self.world.ledger.open()
        await self.stripe.open_shop()
        saved = self.stripe.saved
        self.sellers = (saved.account, self.stripe.second)
        other = "acct_left" if self.ends == "a seller has left" else self.stripe.second
        legs = (
            BasketLegOptions(saved.account, Money(2000, "USD"), FEE),
            BasketLegOptions(other, Money(3000, "USD"), FEE),
        )
        self.command = ChargeBasket(saved.customer, legs, saved.card)
        return self

    async def __aexit__(self, *_: object) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self.world.ledger.aclose()

    async def ask(self, die_at: int = 0) -> tuple[int, Any]:
        """One call to a new process: how many boundaries it crossed, and its answer if it lived."""
        replica = self._process(die_at)
        call = asyncio.create_task(replica.engine.submit(REQUEST_ID, "hash", self.command))
        await until_death(replica, call)
        return replica.crossed, call.result() if call.done() and not replica.gone.is_set() else None

    async def sweep(self) -> None:
        """Nobody asks any more; the next process finds what was left."""
        replica = self._process()
        for _ in range(3):
            await self.world.pass_time(600)
            await replica.engine.recover_once()
            await replica.engine.settle()

    def _process(self, die_at: int = 0) -> Replica:
        self.processes.append(self.world.replica(die_at))
        return self.processes[-1]

    def money(self, seller: str) -> tuple[int, int]:
        """(what the seller has of the shopper's money, what is held for it)."""
        taken = sum(
            charge["amount_captured"] - charge["amount_refunded"]
            for charge in self.stripe.all_of("charge", seller)
            if charge["captured"]
        )
        held = sum(intent["amount_capturable"] for intent in self.stripe.all_of("payment_intent", seller))
        return taken, held

    async def audit(self, *, begun: bool) -> None:
        """The end that this basket must have, in ledger and Stripe; not `begun`: nothing was done, and nothing is."""
        ledger = self.world.ledger
        row = await ledger.get_request(REQUEST_ID)
        basket = await ledger.get_basket(basket_id_of(REQUEST_ID))
        money = [self.money(seller) for seller in self.sellers]
        if not begun and (row is None or row.state is RequestState.PARKED):
            assert money == [(0, 0), (0, 0)]
            assert not any(self.stripe.all_of("payment_intent", seller) for seller in self.sellers)
            return
        assert row is not None
        assert basket is not None
        if self.ends == "paid":
            assert (row.state, basket.state) == (RequestState.SUCCEEDED, BasketState.SUCCEEDED)
            assert money == [(2000, 0), (3000, 0)]
        else:
            assert (row.state, basket.state) == (RequestState.FAILED, BasketState.CANCELED)
            assert money == [(0, 0), (0, 0)]
        assert all(len(self.stripe.all_of("payment_intent", seller)) <= 1 for seller in self.sellers)
        assert [problem async for problem in inspection.problems(ledger)] == []


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


ENDS = ("paid", "a seller has left", "a hold lapses")


async def boundaries_of(ends: str) -> int:
    async with Basket(ends) as basket:
        crossed, answer = await basket.ask()
        assert (answer.error is None) == (ends == "paid")
        await basket.audit(begun=True)
        return crossed


@pytest.mark.parametrize("ends", ENDS)
async def test_the_caller_who_asks_again_gets_the_basket_whole_or_given_back(ends: str) -> None:
    for death in range(1, await boundaries_of(ends) + 1):
        async with Basket(ends) as basket:
            await basket.ask(death)
            await basket.world.pass_time(LEASE_S)
            _, first = await basket.ask()
            _, again = await basket.ask()
            await basket.audit(begun=True)
            assert (first.result, str(first.error)) == (again.result, str(again.error)), f"death at {death}"


@pytest.mark.parametrize("ends", ENDS)
async def test_what_was_begun_ends_without_its_caller(ends: str) -> None:
    for death in range(1, await boundaries_of(ends) + 1):
        async with Basket(ends) as basket:
            await basket.ask(death)
            await basket.sweep()
            await basket.audit(begun=False)


@pytest.mark.parametrize("ends", ENDS)
async def test_it_ends_so_even_after_stripe_has_forgotten_every_key(ends: str) -> None:
    for death in range(1, await boundaries_of(ends) + 1):
        async with Basket(ends) as basket:
            await basket.ask(death)
            await basket.world.pass_time(DAY_S)
            await basket.ask()
            await basket.audit(begun=True)


@pytest.mark.parametrize("ends", ENDS)
async def test_no_bad_day_at_stripe_breaks_it(ends: str) -> None:
    for seed in range(BAD_DAYS):
        async with Basket(ends, seed) as basket:
            await bad_day(basket)
            try:
                await basket.audit(begun=True)
            except AssertionError as broken:
                pytest.fail(f"seed {seed}: {broken}")


async def bad_day(basket: Basket) -> None:
    """Faults of every kind, deaths at random boundaries and jumps past the life of a key; then a quiet end."""
    rng, stripe = basket.world.rng, basket.stripe
    stripe.fault_rate = rng.choice((0.1, 0.3))
    for _ in range(rng.randint(1, 4)):
        await basket.ask(rng.randint(0, 70))
        await basket.world.pass_time(rng.choice((LEASE_S, LEASE_S, 600, DAY_S)))
    stripe.fault_rate = 0.0
    await basket.world.pass_time(LATE_S_MAX)
    for _ in range(4):
        _, answer = await basket.ask()
        if answer.error is None or answer.error.final:
            break
    await basket.world.pass_time(LATE_S_MAX)
