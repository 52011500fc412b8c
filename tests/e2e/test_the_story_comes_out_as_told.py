"""`make story` as a test: the whole life of a shopper, with real processes and Stripe's own deliveries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_day_in_the_life_comes_out_as_expected() -> None:
    told = subprocess.run(
        [sys.executable, "docs/examples/story.py"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.rstrip().endswith("Everything came out as expected.")
