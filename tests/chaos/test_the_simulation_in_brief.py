"""The part of `make chaos` that costs seconds: some random schedules, every single death, and a proof of the proof."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.chaos.cases import CASES
from tests.chaos.mutants import CAUGHT, HARMLESS, first_failure
from tests.chaos.simulate import REGRESSIONS
from tests.chaos.simulation import run_kills, run_pauses, run_seed

SEEDS = 80


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The faults are meant to be there."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_no_random_schedule_breaks_an_invariant() -> None:
    for seed in (*range(SEEDS), *REGRESSIONS):
        try:
            run_seed(seed)
        except AssertionError as broken:
            pytest.fail(f"python -m tests.chaos.simulate --seed {seed}: {broken}")


@pytest.mark.parametrize("name", CASES)
def test_no_single_death_breaks_an_invariant(name: str) -> None:
    (boundaries,) = run_kills(name, 0)
    assert boundaries >= 8
    for death in range(1, boundaries + 1):
        run_kills(name, death)


def test_no_pause_of_a_day_breaks_an_invariant() -> None:
    (boundaries,) = run_kills("CloneAndCharge", 0)
    for first in range(1, boundaries + 1):
        run_pauses("CloneAndCharge", first, 8)


def test_the_same_seed_gives_the_same_run() -> None:
    assert [run_seed(seed) for seed in range(5)] == [run_seed(seed) for seed in range(5)]


@pytest.mark.parametrize(
    ("name", "invariant"), [("random_key", "I5"), ("ack_before_commit", "I2"), ("no_recovery", "I7")]
)
def test_an_engine_without_this_rule_is_caught(name: str, invariant: str) -> None:
    caught = first_failure(name, 20)
    assert caught is not None
    assert invariant in caught


def test_every_mutant_says_which_rule_it_takes_out() -> None:
    assert all(patch.__doc__ for patch in (CAUGHT | HARMLESS).values())
    assert all("Harmless" in (patch.__doc__ or "") for patch in HARMLESS.values())
