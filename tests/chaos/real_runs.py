"""Kill real servers under load: `python -m tests.chaos.real_runs --store postgres --kills 50`.

Two servers on PostgreSQL, or one on SQLite, against `fake-stripe serve` on a bad day; callers that go on until they are
answered; SIGKILL at random, and on order SIGSTOP zombies, PostgreSQL stops in the manner of a crash, and full disks.
Then the audit.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.real_audit import RealStripe, audit
from tests.chaos.real_disk import Disk, small_disk
from tests.chaos.real_load import Load, clear_faults, install_faults
from tests.chaos.real_processes import API_KEY, Server, Template, fake_stripe_process, template, working_folder
from tests.postgres_fixture import PostgresServer, find_binaries
from tests.stripe_http import StripeHttp

CALLERS = 12
_PAUSE_S = 3.0
"""How long a zombie sleeps: longer than the lease of 2 s, so that another takes its work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to the servers, in random order."""

    store: str
    """`postgres` or `sqlite`."""
    kills: int
    zombies: int = 0
    database_stops: int = 0
    full_disks: int = 0
    seed: int = 0

    def blows(self, rng: random.Random) -> list[str]:
        """One word for each misfortune."""
        kinds = {
            "kill": self.kills,
            "zombie": self.zombies,
            "database": self.database_stops,
            "disk": self.full_disks,
        }
        blows = [kind for kind, times in kinds.items() for _ in range(times)]
        rng.shuffle(blows)
        return blows


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of a run that passed its audit."""

    requests: int
    tries: int
    charges: int
    blows: Counter[str]
    faults: int
    seconds: float

    def __str__(self) -> str:
        blows = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.blows.items()))
        return (
            f"{self.requests} requests in {self.tries} calls, {self.charges} charges, {blows}, "
            f"{self.faults} faults of Stripe's, {self.seconds:.0f} s"
        )


class Field:
    """The servers of a run, their database and their disk."""

    def __init__(self, servers: list[Server], database: PostgresServer | None, disk: Disk | None) -> None:
        self.servers, self.database, self.disk = servers, database, disk

    async def strike(self, blow: str, rng: random.Random) -> None:
        """One misfortune, and the way back."""
        server = rng.choice(self.servers)
        match blow:
            case "kill":
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(rng.uniform(0, 0.3))
                server.start()
            case "zombie":
                server.pause()
                await asyncio.sleep(_PAUSE_S)
                server.wake()
            case "database":
                assert self.database is not None
                await asyncio.to_thread(self.database.stop)
                await asyncio.sleep(rng.uniform(0.2, 1.5))
                await asyncio.to_thread(self.database.start)
            case "disk":
                assert self.disk is not None
                self.disk.fill()
                await asyncio.sleep(rng.uniform(0.5, 2.0))
                self.disk.empty()


async def run(plan: Plan, field: Field, stripe: StripeHttp, ledger_url: str) -> Outcome:
    """Load, misfortune, rest, audit. Raises AssertionError, which begins with the invariant's name."""
    began, rng = time.monotonic(), random.Random(plan.seed)
    load = Load(stripe, [server.target for server in field.servers], plan.seed)
    install_faults(stripe, plan.seed)
    for server in field.servers:
        server.start()
    for server in field.servers:
        await asyncio.to_thread(server.wait_until_serving)
    load.start(CALLERS)
    blows = plan.blows(rng)
    for blow in blows:
        await asyncio.sleep(rng.uniform(0.1, 0.7))
        await field.strike(blow, rng)
    clear_faults(stripe)
    await load.finish()
    for server in field.servers:
        await asyncio.to_thread(server.stop)
    truth = await audit(load, stripe, ledger_url)
    return Outcome(
        requests=len(load.requests),
        tries=sum(request.tries for request in load.requests),
        charges=_charges(truth, load),
        blows=Counter(blows),
        faults=sum(truth.faults.values()),
        seconds=time.monotonic() - began,
    )


def _charges(truth: RealStripe, load: Load) -> int:
    return sum(len(truth.money_taken(account)) for account in load.accounts)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A database server of our own, one that may be stopped. Raises RuntimeError when there is none to be had."""
    binaries = find_binaries()
    if binaries is None:
        raise RuntimeError("no PostgreSQL: initdb and pg_ctl are not on this machine")
    server = PostgresServer(binaries)
    try:
        server.create()
        yield server
    finally:
        server.remove()


def play(plan: Plan, own: Template) -> Outcome:
    """Everything that a plan needs, from nothing to nothing."""
    with working_folder() as folder, fake_stripe_process() as url:
        stripe = StripeHttp(url, API_KEY)
        if plan.store == "sqlite":
            return _on_sqlite(plan, own, folder, stripe)
        with postgres() as database:
            ledger = database.new_database()
            servers = [Server(own, folder, ledger, url) for _ in range(2)]
            return asyncio.run(run(plan, Field(servers, database, None), stripe, ledger))


def _on_sqlite(plan: Plan, own: Template, folder: Path, stripe: StripeHttp) -> Outcome:
    if not plan.full_disks:
        ledger = f"sqlite:///{folder}/ledger.db"
        return asyncio.run(run(plan, Field([Server(own, folder, ledger, stripe.url)], None, None), stripe, ledger))
    with small_disk(folder, megabytes=64) as disk:
        ledger = f"sqlite:///{disk.path}/ledger.db"
        return asyncio.run(run(plan, Field([Server(own, folder, ledger, stripe.url)], None, disk), stripe, ledger))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--zombies", type=int, default=0, help="pauses by SIGSTOP that outlast the lease")
    parser.add_argument("--database-stops", type=int, default=0, help="PostgreSQL crashes (pg_ctl -m immediate)")
    parser.add_argument("--full-disks", type=int, default=0, help="times that the disk of SQLite is full for a while")
    parser.add_argument("--seed", type=int, default=0)
    given = vars(parser.parse_args())
    with template() as own:
        print(play(Plan(**given), own))
    return 0


if __name__ == "__main__":
    sys.exit(main())
