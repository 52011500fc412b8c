"""Exactly-once in one thread: engines over one ledger die at chosen boundaries, Stripe misbehaves, time jumps by 25 h.

Deterministic without a special event loop: nothing here waits for a clock, thread or socket (the clock is virtual, the
in-memory ledger answers in the caller's thread), and asyncio runs ready callbacks first in, first out.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import Command
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import LedgerUnavailable
from cloneservice_server.workflows.engine import Answer, Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.chaos import invariants
from tests.chaos.cases import CASES, Conversation
from tests.chaos.simulated_stripe import LATE_S_MAX, SimulatedStripe
from tests.virtual_clock import VirtualClock

WRITES = ("begin_request", "claim_request", "claim_due", "intend", "commit")
READS = ("get_request", "get_effect", "get_clone", "get_charge", "find_reusable_clone", "get_connected_customer")
DAY_JUMP_S = 25 * 3600
Story = Callable[["World"], Awaitable[None]]

NOTHING_STARTED = (
    errors.StripeUnreachable,
    errors.StripeRateLimited,
    errors.LedgerDown,
    errors.ServiceOverloaded,
    errors.DeadlineTooShort,
)
"""What these say to a caller must stay true: nothing new was started."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How bad the day is: chances of each misfortune, per boundary or call."""

    stripe_fault: float = 0.0
    kill: float = 0.0
    freeze: float = 0.0
    ledger_fault: float = 0.0
    failover: float = 0.0
    """Per round of a story: an asynchronous standby takes over without the last commits."""
    impostor: float = 0.0
    """Per call: the same request_id comes with other parameters, too."""
    leave: float = 0.0
    """Per call: the caller does not wait for the answer."""
    cases: tuple[str, ...] = tuple(CASES)
    """What callers ask for."""
    yields: int = 0
    """Up to so many turns are lost at each boundary, so that replicas overtake each other."""


class Replica:
    """One process: an engine whose every boundary may be its last.

    `die_at` and `freeze_at` count boundaries from 1; 0 is never.
    """

    def __init__(self, world: World, number: int, *, die_at: int = 0, freeze_at: int = 0) -> None:
        self.world, self.number, self.crossed = world, number, 0
        self.die_at, self.freeze_at = die_at, freeze_at
        self.dead = self.frozen = False
        self.gone, self.thawed = asyncio.Event(), asyncio.Event()
        self.engine = Engine(
            ledger=_BoundedLedger(world, self),
            gateway=_BoundedGateway(world, self),  # type: ignore[arg-type]
            clock=world.clock,
            owner=f"replica-{number}",
            settings=world.settings,
        )

    async def cross(self, step: str) -> None:
        """One boundary: a dead process never gets past it, a frozen one when it is thawed."""
        world = self.world
        if world.over:
            return
        self.crossed += 1
        world.trace.append(f"{self.number} {step}")
        for _ in range(world.rng.randint(0, world.rates.yields)):
            await asyncio.sleep(0)
        if self.crossed == self.die_at or world.rng.random() < world.rates.kill:
            self.dead = True
            self.gone.set()
        elif self.crossed == self.freeze_at or world.rng.random() < world.rates.freeze:
            self.frozen = world.froze = True
            self.gone.set()
        if self.frozen:
            await self.thawed.wait()
        if self.dead:
            await asyncio.Event().wait()

    async def settle(self) -> None:
        """Until nothing runs in this process."""
        for _ in range(100):
            if not (running := [work.task for work in self.engine._works.values() if work.task is not None]):
                return
            await asyncio.wait(running)
        raise AssertionError("I7: work that never ends")

    def thaw(self) -> None:
        """The zombie wakes and goes on with what it knew; its callers have left long ago."""
        self.frozen = False
        self.thawed.set()


class _BoundedGateway:
    """Stripe with a boundary on either side of each call."""

    def __init__(self, world: World, replica: Replica) -> None:
        self._world, self._replica = world, replica
        self.explain = world.stripe.explain

    async def send(self, call: Any, **named: Any) -> Any:
        await self._replica.cross(f"before {call.method} {call.path}")
        try:
            return await self._world.stripe.send(call, **named)
        finally:
            await self._replica.cross(f"after {call.method} {call.path}")


class _BoundedLedger:
    """The ledger with a boundary on either side of each transaction that writes, and a database that may be away."""

    def __init__(self, world: World, replica: Replica) -> None:
        self._world, self._replica = world, replica

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._world.ledger, name)
        if name in WRITES:
            return self._write(name, method)
        return self._read(method) if name in READS else method

    def _write(self, name: str, method: Any) -> Any:
        world, replica = self._world, self._replica

        async def step(*args: Any, **named: Any) -> Any:
            await replica.cross(f"before {name}")
            try:
                if world.away():
                    raise LedgerUnavailable("away")
                done = await method(*args, **named)
                world.remember()
                if world.away():
                    raise LedgerUnavailable("its answer was lost")
            finally:
                await replica.cross(f"after {name}")
            return done

        return step

    def _read(self, method: Any) -> Any:
        async def step(*args: Any, **named: Any) -> Any:
            if self._world.away():
                raise LedgerUnavailable("away")
            return await method(*args, **named)

        return step


class World:
    """One schedule: its ledger, its Stripe, its clock, and what callers were told."""

    def __init__(self, seed: int, rates: Rates | None = None) -> None:
        self.rng = random.Random(seed)
        random.seed(seed)  # the engine's jitter
        self.rates = rates or Rates()
        self.processes: list[Replica] = []
        """All that were ever started: what hangs in dead ones is kept until the end."""
        self.over = False
        self.trace: list[str] = []
        self.zombies: list[Replica] = []
        self.froze = False
        """Whether any process was ever paused: only then may a send come later than was thought when it was made."""
        self.clock = VirtualClock()
        self.stripe = SimulatedStripe(self.clock, self.rng, self.rates.stripe_fault)
        self.ledger: Any = open_ledger("sqlite://:memory:", self.clock)
        self.settings = EngineSettings(retry=RetrySettings(attempts=3, backoff_s=0.1), follow_s=1)
        self.conversations: list[Conversation] = []
        self.commands: dict[str, Command] = {}
        self.told: dict[str, list[str]] = {}
        """The final answers that callers were given, by request."""
        self.words: dict[str, set[str]] = {}
        """Everything that callers were told, by request: "final", "nothing was started", "unknown", "lost"."""
        self.failovers = 0
        self._history: deque[bytes] = deque(maxlen=9)
        self.stripe.on_confirm = lambda intent: invariants.confirmable(self, intent)

    # ---------------------------------------------------------------------------------------------- misfortune

    def away(self) -> bool:
        """Whether the ledger cannot be reached this time."""
        return self.rng.random() < self.rates.ledger_fault

    def remember(self) -> None:
        """Keep the ledger as it is after a commit, for a standby that will not have the next ones."""
        if self.rates.failover:
            self._history.append(self._database().serialize())

    def fail_over(self) -> None:
        """A standby takes over that lacks the last commits. Every caller repeats what it had asked, from the start."""
        lost = self.rng.randint(1, 8)
        if len(self._history) <= lost:
            return
        self._database().deserialize(self._history[-1 - lost])
        self._history.clear()
        self.failovers += 1
        self.trace.append(f"failover loses {lost}")
        for conversation in self.conversations:
            conversation.begin_again()

    def _database(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self.ledger._connection._connection
        return connection

    async def pass_time(self, seconds: float) -> None:
        """Time passes; requests that wandered in the network arrive. Work that is in flight is paused for as long."""
        self.froze |= seconds >= DAY_JUMP_S and any(process.engine._works for process in self.processes)
        self.clock.advance(seconds)
        await self.stripe.arrivals()
        if seconds > 600:
            self._history.clear()  # no standby lags so far behind

    # --------------------------------------------------------------------------------------------- the callers

    def replica(self, die_at: int = 0, *, freeze_at: int = 0) -> Replica:
        """A process is started."""
        self.processes.append(Replica(self, len(self.processes) + 1, die_at=die_at, freeze_at=freeze_at))
        return self.processes[-1]

    def conversation(self, name: str) -> Conversation:
        """A caller begins."""
        ids = tuple(str(uuid.UUID(int=self.rng.getrandbits(128))) for _ in CASES[name])
        self.conversations.append(Conversation(name, ids))
        return self.conversations[-1]

    @property
    def truth(self) -> SimulatedStripe:
        """Stripe, for the audit."""
        return self.stripe

    @property
    def accounts(self) -> list[str]:
        """The connected accounts."""
        return [self.stripe.saved.account]

    def depends_on_no_other(self, request_id: str) -> bool:
        """Whether the request is the first of its caller."""
        return any(request_id == conversation.request_ids[0] for conversation in self.conversations)

    async def talk(self, replica: Replica, conversation: Conversation, deadline_s: float | None = None) -> None:
        """The caller goes on until an answer is not final."""
        while not conversation.over and await self._ask(replica, conversation, deadline_s):
            pass

    async def _ask(self, replica: Replica, conversation: Conversation, deadline_s: float | None) -> bool:
        """One call of a client's; whether it was given a final answer. A death is a lost connection."""
        request_id, place = conversation.request_id, len(conversation.answers)
        if request_id not in self.commands:
            self.commands[request_id] = conversation.command(self.stripe.saved)
        command = self.commands[request_id]
        words = self.words.setdefault(request_id, set())
        if self.rng.random() < self.rates.impostor:
            await self._pose(replica, request_id, command)
        call = asyncio.create_task(replica.engine.submit(request_id, "hash", command, deadline_s=deadline_s))
        if self.rng.random() < self.rates.leave:
            for _ in range(self.rng.randint(1, 60)):
                await asyncio.sleep(0)
            call.cancel()
        await until_death(replica, call)
        if replica.gone.is_set() or not call.done() or call.cancelled():
            words.add("lost")
            return False
        answer = call.result()
        words.add(_word(answer))
        if answer.error is not None and not answer.error.final:
            assert not isinstance(answer.error, errors.InternalError), f"a fault of the service: {answer.error}"
            return False
        await invariants.acknowledged(self, request_id)
        if place == len(conversation.answers):  # else another call of the same caller had it first
            conversation.refused = answer.error is not None
            if answer.error is None:
                conversation.answers.append(answer.result)
        return True

    async def _pose(self, replica: Replica, request_id: str, command: Command) -> None:
        """The same request_id for another intent: refused, once the first one is on record."""
        if await self.ledger.get_request(request_id) is None:
            return
        before = self.failovers
        call = asyncio.create_task(replica.engine.submit(request_id, "other hash", command))
        await until_death(replica, call)
        if call.done() and not replica.gone.is_set() and self.failovers == before:
            error = call.result().error
            refused = isinstance(error, (errors.RequestIdReused, errors.LedgerDown, errors.ServiceOverloaded))
            refused = refused or isinstance(error, errors.OutcomeUnknown)
            assert refused, f"I2: one request_id was answered for two intents: {call.result()}"

    # ------------------------------------------------------------------------------------------------- the end

    async def quiesce(self) -> None:
        """No more misfortune; recover until nothing is due; then every caller asks once more; then the audit."""
        self.rates = Rates()
        self.stripe.fault_rate = 0
        last = self.replica()
        for _ in range(2):
            await self.pass_time(LATE_S_MAX)
            await last.engine.recover_once()
            await last.settle()
        await invariants.at_rest(self)
        for conversation in self.conversations:
            for _ in range(3):
                await self.talk(last, conversation)
        for zombie in self.zombies:
            zombie.thaw()
            if not zombie.dead:
                await zombie.settle()
        await self.pass_time(LATE_S_MAX)
        for conversation in self.conversations:
            assert conversation.over, f"I7: {conversation} is not answered"
            conversation.begin_again()
            await self.talk(last, conversation)
        await invariants.audit(self)

    async def run(self, story: Story) -> None:
        """Open, run, close; what still hangs in dead processes ends."""
        await self.ledger.open()
        try:
            await story(self)
            await self.quiesce()
        finally:
            self.over = True
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await self.ledger.aclose()

    def digest(self) -> str:
        """Of everything that happened, in its order."""
        told = [f"{name} {answers}" for name, answers in self.told.items()]
        return hashlib.sha256("\n".join((*self.trace, *self.stripe.trace, *told)).encode()).hexdigest()


async def until_death(replica: Replica, work: asyncio.Task[Any]) -> None:
    """Until the work is done or its process is gone."""
    death = asyncio.create_task(replica.gone.wait())
    await asyncio.wait({work, death}, return_when=asyncio.FIRST_COMPLETED)
    death.cancel()


def _word(answer: Answer) -> str:
    if answer.error is None or answer.error.final:
        return "final"
    return "nothing was started" if isinstance(answer.error, NOTHING_STARTED) else "unknown"


# ------------------------------------------------------------------------------------------------------------ stories


async def random_story(world: World) -> None:
    """Two replicas, some callers, duplicates, deadlines, restarts, and jumps past the life of a key."""
    rng = world.rng
    callers = [world.conversation(rng.choice(world.rates.cases)) for _ in range(rng.randint(1, 3))]
    # After a lossy fail-over only the keys protect, so they must live; see docs/guarantees.md.
    jumps = (1, 31, 31, 600) if world.rates.failover else (1, 31, 31, 600, DAY_JUMP_S)
    replicas = [world.replica(), world.replica()]
    for _ in range(rng.randint(2, 6)):
        world.zombies += [replica for replica in replicas if replica.frozen]
        replicas = [world.replica() if replica.gone.is_set() else replica for replica in replicas]
        for zombie in [each for each in world.zombies if rng.random() < 0.3]:
            zombie.thaw()
        deadline = rng.choice((None, None, 0.5, 5.0))
        asks = [(replica, caller) for caller in callers for replica in replicas if rng.random() < 0.7]
        await asyncio.gather(*(world.talk(replica, caller, deadline) for replica, caller in asks))
        await invariants.parked(world)
        if rng.random() < world.rates.failover:
            world.fail_over()
        await world.pass_time(rng.choice(jumps))
        for replica in replicas:
            if not replica.gone.is_set() and rng.random() < 0.5:
                sweep = asyncio.create_task(replica.engine.recover_once())
                await until_death(replica, sweep)
                if sweep.done() and not isinstance(sweep.exception(), LedgerUnavailable):
                    sweep.result()  # else the engine's own loop tries again


def kill_story(name: str, deaths: tuple[int, ...], counts: list[int]) -> Story:
    """One caller; the n-th process dies at its n-th boundary given, the caller asks the next one."""

    async def story(world: World) -> None:
        caller = world.conversation(name)
        for die_at in deaths:
            replica = world.replica(die_at=die_at)
            await world.talk(replica, caller)
            counts.append(replica.crossed)
            await world.pass_time(31)

    return story


def pause_story(name: str, first: int, second: int) -> Story:
    """One process is paused for a day at a boundary, another goes on until it is paused, too; then both wake."""

    async def story(world: World) -> None:
        caller = world.conversation(name)
        one = world.replica(freeze_at=first)
        await world.talk(one, caller)
        await world.pass_time(DAY_JUMP_S)
        two = world.replica(freeze_at=second)
        await world.talk(two, caller)
        for process in (one, two):
            process.thaw()
            await process.settle()
        await world.pass_time(31)

    return story


def rates_of(seed: int) -> Rates:
    """The day that a seed stands for."""
    rng = random.Random(seed)
    return Rates(
        stripe_fault=rng.choice((0, 0.05, 0.2, 0.4)),
        kill=rng.choice((0, 0.02, 0.08)),
        freeze=rng.choice((0, 0.03)),
        ledger_fault=rng.choice((0, 0, 0.03)),
        failover=rng.choice((0, 0, 0, 0.3)),
        impostor=rng.choice((0, 0.1)),
        leave=rng.choice((0, 0.1)),
        yields=rng.choice((0, 2, 5)),
    )


def run_seed(seed: int, rates: Rates | None = None) -> str:
    """One random schedule; its digest. Raises AssertionError, which begins with the invariant's name."""
    world = World(seed, rates or rates_of(seed))
    asyncio.run(world.run(random_story))
    return world.digest()


def run_kills(name: str, *deaths: int) -> list[int]:
    """One plan of deaths; how many boundaries each process crossed."""
    counts: list[int] = []
    asyncio.run(World(0).run(kill_story(name, deaths, counts)))
    return counts


def run_pauses(name: str, first: int, second: int) -> None:
    """One plan of pauses."""
    asyncio.run(World(0).run(pause_story(name, first, second)))
