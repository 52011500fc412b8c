"""Exactly-once in one thread: engines over one ledger die at chosen boundaries, Stripe misbehaves, time jumps by 25 h.

Deterministic without a special event loop: nothing here waits for a clock, thread or socket (the clock is virtual, the
in-memory ledger answers in the caller's thread), and asyncio runs ready callbacks first in, first out.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import uuid
from typing import Any

from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge
from cloneservice_server.domain.errors import InternalError
from cloneservice_server.domain.values import Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import AnswerLost, NotSent, Refused, StripeAnswer, StripeCall
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe

DAY_S = 24 * 3600
COMMAND = CloneAndCharge("cus_shopper", "acct_seller", ChargeOptions(Money(1999, "USD"), Money(199, "USD")), "pm_saved")
CASES = {
    "first": COMMAND,
    "one-shot": dataclasses.replace(COMMAND, one_shot=True),
    "source": dataclasses.replace(COMMAND, platform_payment_method_id="src_saved"),
}
_WRITES = ("begin_request", "claim_request", "claim_due", "intend", "commit")


class SimulatedStripe(WorkingStripe):
    """Stripe's own book, faults by chance, and keys that are forgotten after 24 hours."""

    def __init__(self, clock: VirtualClock, rng: random.Random, fault_rate: float) -> None:
        super().__init__()
        self.clock, self.rng, self.fault_rate = clock, rng, fault_rate
        self.objects: dict[str, dict[str, Any]] = {}
        self.charges: list[str] = []
        self.key_times: dict[tuple[str, str], int] = {}
        self.on("POST", r"/v1/sources", lambda _: {"id": f"src_{len(self.sent)}", "object": "source", "type": "card"})
        self.on("GET", r"/v1/(customers|payment_intents)", self._list)
        self.on("POST", r"/v1/customers/[^/]+/sources", lambda call: self.objects[call.params["source"]])
        self.on(
            "GET",
            r"/v1/(payment_intents|sources|payment_methods)/[^/]+",
            lambda call: self.objects[call.path.split("/")[3]],
        )

    def _list(self, call: StripeCall) -> dict[str, Any]:
        kind = call.path.rsplit("/", 1)[1].removesuffix("s")
        return {"data": [body for body in self.objects.values() if body["object"] == kind], "has_more": False}

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        slot, now = (call.account, idempotency_key), self.clock.now_us()
        if now - self.key_times.get(slot, now) >= DAY_S * 1_000_000:
            self._stored.pop(slot, None)
            del self.key_times[slot]
        await asyncio.sleep(0)
        fault = self.rng.choice(("unsent", "lost", "done_lost", "500", "done_500", "429", "lock"))
        if self.rng.random() >= self.fault_rate:
            fault = ""
        if fault == "unsent":
            raise NotSent
        if fault == "lost":
            raise AnswerLost
        if fault == "429":
            raise Refused(429, "invalid_request_error", "rate_limit", rate_limited_reason="global-rate")
        if fault == "lock":
            raise Refused(429, "invalid_request_error", "lock_timeout")
        fresh = slot not in self._stored
        if fault == "500" and fresh and idempotency_key:
            self._store(slot, call, Refused(500, "api_error"))
            raise Refused(500, "api_error")
        answer = await self._answer(call, idempotency_key, timeout_s)
        if idempotency_key and fresh:
            self.key_times.setdefault(slot, now)
        if fault == "done_500" and fresh and idempotency_key:
            self._store(slot, call, Refused(500, "api_error"))
            raise Refused(500, "api_error")
        if fault == "done_lost":
            raise AnswerLost
        return answer

    def _store(self, slot: tuple[str, str], call: StripeCall, refused: Refused) -> None:
        self._stored[slot] = (call, refused)
        self.key_times.setdefault(slot, self.clock.now_us())

    async def _answer(self, call: StripeCall, key: str, timeout_s: float) -> StripeAnswer:
        return await super().send(call, idempotency_key=key, timeout_s=timeout_s)

    def _do(self, call: StripeCall, key: str, outcome: Any) -> Any:
        if call.path.endswith("/confirm"):
            known = self.objects[call.path.split("/")[3]]
            if known["status"] == "succeeded":
                raise Refused(400, "invalid_request_error", "payment_intent_unexpected_state")
        body = super()._do(call, key, outcome)
        if call.method != "POST":
            return body
        facts = {"created": self.clock.now_us() // 1_000_000, "metadata": call.params.get("metadata", {})}
        if call.path.endswith("/confirm"):
            self.objects[body["id"]].update(body)
            self.charges.append(self.objects[body["id"]]["metadata"]["cloneservice_request_id"])
            return body
        if call.path.endswith(("/attach", "/sources")) and call.path != "/v1/sources":
            owner = call.params.get("customer") or call.path.split("/")[3]
            self.objects[body["id"]]["customer"] = owner
            return self.objects[body["id"]]
        self.objects[body["id"]] = {**body, **facts}
        for name in ("payment_method", "source"):
            if call.path == "/v1/customers" and call.params.get(name):
                self.objects[call.params[name]]["customer"] = body["id"]
        return self.objects[body["id"]]


class Replica:
    """One process: an engine whose every boundary may be its last. `die_at` counts boundaries from 1; 0 is never."""

    def __init__(self, world: World, die_at: int = 0) -> None:
        self.world, self.die_at, self.crossed = world, die_at, 0
        self.dead = self.frozen = False
        self.gone, self.thawed = asyncio.Event(), asyncio.Event()
        self.engine = Engine(
            ledger=_Bounded(world.ledger, self, _WRITES),
            gateway=_Bounded(world.stripe, self, ("send",)),
            clock=world.clock,
            owner=f"replica-{world.started}",
            settings=world.settings,
        )

    async def cross(self) -> None:
        """One boundary: a dead process never gets past it, a frozen one when it is thawed."""
        self.crossed += 1
        if self.crossed == self.die_at or self.world.rng.random() < self.world.kill_rate:
            self.dead = True
            self.gone.set()
        elif self.world.rng.random() < self.world.freeze_rate:
            self.frozen = True
            self.gone.set()
        if self.frozen:
            await self.thawed.wait()
        if self.dead:
            await asyncio.Event().wait()

    def thaw(self) -> None:
        """The zombie wakes and goes on with what it knew; its callers have left long ago."""
        self.frozen = False
        self.thawed.set()


class _Bounded:
    """A ledger or a gateway with a boundary on either side of the steps named."""

    def __init__(self, inner: Any, replica: Replica, steps: tuple[str, ...]) -> None:
        self._inner, self._replica, self._steps = inner, replica, steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._steps:
            return method

        async def step(*args: Any, **named: Any) -> Any:
            await self._replica.cross()
            try:
                return await method(*args, **named)
            finally:
                await self._replica.cross()

        return step


class World:
    """One schedule: its ledger, its Stripe, its clock, and what callers were told."""

    def __init__(self, seed: int, *, fault_rate: float = 0.0, kill_rate: float = 0.0, freeze_rate: float = 0.0) -> None:
        self.rng = random.Random(seed)
        random.seed(seed)  # the engine's jitter
        self.kill_rate, self.freeze_rate, self.started = kill_rate, freeze_rate, 0
        self.zombies: list[Replica] = []
        self.clock = VirtualClock()
        self.stripe = SimulatedStripe(self.clock, self.rng, fault_rate)
        self.ledger = open_ledger("sqlite://:memory:", self.clock)
        self.settings = EngineSettings(retry=RetrySettings(attempts=3, backoff_s=0.1), follow_s=1)
        self.told: dict[str, list[str]] = {}
        self.commands: dict[str, CloneAndCharge] = {}

    def replica(self, die_at: int = 0) -> Replica:
        """A process is started."""
        self.started += 1
        return Replica(self, die_at)

    async def ask(self, replica: Replica, request_id: str, deadline_s: float | None = None) -> bool:
        """One call of a client's; whether it was given a final answer. A death is a lost connection."""
        work = replica.engine.submit(request_id, "hash", self.commands[request_id], deadline_s=deadline_s)
        call, death = asyncio.create_task(work), asyncio.create_task(replica.gone.wait())
        await asyncio.wait({call, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if replica.gone.is_set() or not call.done():
            return False
        answer = call.result()
        final = answer.error.final if answer.error is not None else True
        assert not isinstance(answer.error, InternalError), f"a fault of the service: {answer.error}"
        if final:
            row = await self.ledger.get_request(request_id)
            assert row is not None, "I2: acknowledged, and not in the ledger"
            assert row.state.final, f"I2: acknowledged as final, and {row.state} in the ledger"
            self.told.setdefault(request_id, []).append(f"{row.state} {row.result} {row.error}")
        return final

    async def quiesce(self) -> None:
        """No more faults and deaths; recover until nothing is due; then every caller asks once more."""
        self.kill_rate = self.freeze_rate = self.stripe.fault_rate = 0
        last = self.replica()
        for _ in range(20):
            self.clock.advance(600)
            taken = await last.engine.recover_once()
            await last.engine.settle()
            if not taken:
                break
        for request_id in self.commands:
            row = await self.ledger.get_request(request_id)
            if row is not None and row.state is RequestState.PARKED:
                assert request_id not in self.stripe.charges, "PARKED says nothing was done, and money moved"
        for request_id in self.commands:
            for _ in range(5):
                if await self.ask(last, request_id):
                    break
        for zombie in self.zombies:
            zombie.thaw()
            if not zombie.dead:
                await zombie.engine.settle()
        await self.audit()

    async def audit(self) -> None:
        """The invariants that the book and the ledger must show."""
        for request_id in self.commands:
            row = await self.ledger.get_request(request_id)
            assert row is not None
            assert row.state.final, f"I7: {row.state}"
            assert len(set(self.told[request_id])) == 1, "I2: two answers for one request"
            taken = self.stripe.charges.count(request_id)
            assert taken <= 1, f"I1: charged {taken} times"
            assert (row.state is RequestState.SUCCEEDED) == (taken == 1), f"I3/I4: {row.state}, {taken} charges"
            intent = await self.ledger.get_effect(f"intent:{request_id}")
            if taken and intent is not None:
                assert self.stripe.objects[intent.stripe_id]["status"] == "succeeded", "I10: another intent confirmed"

    async def run(self, story: Any) -> None:
        """Open, run, close; what still hangs in dead processes ends."""
        await self.ledger.open()
        try:
            await story(self)
            await self.quiesce()
        finally:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await self.ledger.aclose()

    def new_request(self, command: CloneAndCharge = COMMAND) -> str:
        """A caller's intent."""
        request_id = str(uuid.UUID(int=self.rng.getrandbits(128)))
        self.commands[request_id] = command
        return request_id


async def random_story(world: World) -> None:
    """Two replicas, some requests, duplicates, deadlines, restarts, and jumps past the life of a key."""
    ids = [world.new_request(world.rng.choice(list(CASES.values()))) for _ in range(world.rng.randint(1, 3))]
    replicas = [world.replica(), world.replica()]
    for _ in range(world.rng.randint(2, 6)):
        world.zombies += [replica for replica in replicas if replica.frozen]
        replicas = [world.replica() if replica.gone.is_set() else replica for replica in replicas]
        for zombie in [each for each in world.zombies if world.rng.random() < 0.3]:
            zombie.thaw()
        deadline = world.rng.choice((None, None, 0.5, 5.0))
        asks = [(replica, name) for name in ids for replica in replicas if world.rng.random() < 0.7]
        await asyncio.gather(*(world.ask(replica, name, deadline) for replica, name in asks))
        world.clock.advance(world.rng.choice((1, 31, 31, 600, 25 * 3600)))
        for replica in replicas:
            if not replica.gone.is_set() and world.rng.random() < 0.5:
                sweep, death = (
                    asyncio.create_task(replica.engine.recover_once()),
                    asyncio.create_task(replica.gone.wait()),
                )
                await asyncio.wait({sweep, death}, return_when=asyncio.FIRST_COMPLETED)
                death.cancel()


def kill_story(command: CloneAndCharge, deaths: tuple[int, ...], counts: list[int]) -> Any:
    """One request; the n-th process dies at its n-th boundary given, the client asks the next one."""

    async def story(world: World) -> None:
        request_id = world.new_request(command)
        for die_at in deaths:
            replica = world.replica(die_at)
            await world.ask(replica, request_id)
            counts.append(replica.crossed)
            world.clock.advance(31)

    return story


def run_seed(seed: int) -> None:
    """One random schedule. Raises AssertionError."""
    rates = random.Random(seed)
    world = World(
        seed,
        fault_rate=rates.choice((0, 0.05, 0.2, 0.4)),
        kill_rate=rates.choice((0, 0.02, 0.08)),
        freeze_rate=rates.choice((0, 0.03)),
    )
    asyncio.run(world.run(random_story))


def run_kills(name: str, *deaths: int) -> list[int]:
    """One plan of deaths; how many boundaries each process crossed."""
    counts: list[int] = []
    asyncio.run(World(0).run(kill_story(CASES[name], deaths, counts)))
    return counts
