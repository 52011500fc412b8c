"""`make chaos`: the simulation, its mutants, and real processes. `--long` is the long form.

Ends with `N passed, N failed`. Whatever failed is printed with how to play it again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.chaos import real_full_disk, real_replicas
from tests.chaos.mutants import CAUGHT, HARMLESS, SEEDS_HARMLESS, SEEDS_MAX, first_failure
from tests.chaos.real_disk import NoSmallDisk
from tests.chaos.real_processes import Template, template
from tests.chaos.real_runs import Plan, play
from tests.chaos.simulate import Tally, quiet, simulate, total
from tests.postgres_fixture import find_binaries


@dataclass(frozen=True, slots=True)
class Form:
    """How much of everything."""

    seeds: int
    sent_to_both: int
    plans: tuple[Plan, ...]


SHORT = Form(
    seeds=2_000,
    sent_to_both=1_000,
    plans=(Plan("postgres", kills=60, database_stops=2, seed=1), Plan("sqlite", kills=40, seed=2)),
)
LONG = Form(
    seeds=50_000,
    sent_to_both=1_000,
    plans=(
        *(Plan("postgres", kills=100, zombies=4, database_stops=10, seed=seed) for seed in range(5)),
        *(Plan("sqlite", kills=100, zombies=2, full_disks=4, seed=seed) for seed in range(5, 10)),
    ),
)


def mutants(workers: int) -> Tally:
    """Each rule taken out must be caught, or stay harmless."""
    with ProcessPoolExecutor(workers, initializer=quiet) as pool:
        return total("mutants", pool.map(_mutant, [*CAUGHT, *HARMLESS]))


def _mutant(name: str) -> Tally:
    tally = Tally()

    def check() -> None:
        caught = first_failure(name, SEEDS_MAX if name in CAUGHT else SEEDS_HARMLESS)
        assert (caught is not None) == (name in CAUGHT), f"{name}: {caught or f'not caught in {SEEDS_MAX} seeds'}"

    tally.check(f"mutant {name}", check)
    return tally


def real(form: Form) -> Tally:
    """Real processes, each part for itself."""
    tally = Tally()
    has_postgres = find_binaries() is not None
    with template() as own:
        for plan in form.plans:
            if plan.store == "postgres" and not has_postgres:
                print(f"SKIPPED {plan}: initdb and pg_ctl are not on this machine", flush=True)
                continue
            tally.add(_part(f"{plan}", lambda own=own, plan=plan: str(play(plan, own)), plan.kills))  # type: ignore[misc]
        if has_postgres:
            tally.add(_part("two replicas, one charge", lambda: _both(own, form.sent_to_both), 1))
        tally.add(_part("a full disk", lambda: real_full_disk.fill_up(own), 1))
    return tally


def _both(own: Template, times: int) -> str:
    return real_replicas.charge_through_both(own, times)


def _part(title: str, play_it: Callable[[], str], worth: int) -> Tally:
    """One run; a passed one counts as many checks as it has kills."""
    tally = Tally()

    def told() -> None:
        try:
            print(f"{title}: {play_it()}", flush=True)
        except NoSmallDisk as reason:
            print(f"SKIPPED {title}: {reason}", flush=True)

    tally.check(title, told)
    tally.passed *= worth
    for failure in tally.failures:
        print(f"FAILED {failure}", flush=True)
    return tally


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="50,000 schedules and 1,000 real kills")
    parser.add_argument("--only", choices=("simulation", "mutants", "real"), help="one of the three parts")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    quiet()
    form = LONG if given.long else SHORT
    tally = Tally()
    if given.only in (None, "simulation"):
        tally.add(simulate(0, form.seeds, given.workers))
    if given.only in (None, "mutants"):
        tally.add(mutants(given.workers))
    if given.only in (None, "real"):
        tally.add(real(form))
    print(tally)
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
