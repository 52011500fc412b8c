"""Run the simulation: `python -m tests.chaos.simulate --seeds 2000`, or one again with `--seed N`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Callable

from tests.chaos.simulation import CASES, run_kills, run_seed


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.seed is not None:
        run_seed(given.seed)
        print(f"seed {given.seed} passed")
        return 0
    passed, failed, began = 0, 0, time.monotonic()

    def check(label: str, work: Callable[[], object]) -> None:
        nonlocal passed, failed
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever it is, the label replays it
            failed += 1
            if failed <= 5:
                print(f"FAILED {label}")
                traceback.print_exc(limit=-2)
        else:
            passed += 1

    for name in CASES:
        boundaries = run_kills(name, 0)[0]
        for first in range(1, boundaries + 1):
            check(f"{name}, killed at {first}", lambda name=name, first=first: run_kills(name, first))  # type: ignore[misc]
            for second in range(1, boundaries + 1):
                check(
                    f"{name}, killed at {first}, then at {second}",
                    lambda name=name, first=first, second=second: run_kills(name, first, second),  # type: ignore[misc]
                )
    print(f"every single and paired kill: {passed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    for seed in range(given.first, given.first + given.seeds):
        check(f"--seed {seed}", lambda seed=seed: run_seed(seed))  # type: ignore[misc]
    print(f"{passed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
