"""Print how true the double is to recorded exchanges with the real Stripe; where there are none, say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fake_stripe import FakeStripe

MATERIAL = Path(__file__).resolve().parents[2] / "shared"


def main() -> int:
    """Replay the recordings against a server of our own; the scorer's exit code."""
    recordings, scorer = MATERIAL / "recordings" / "visible.jsonl", MATERIAL / "tools" / "replay.py"
    if not (recordings.is_file() and scorer.is_file()):
        print("no recordings beside this checkout: nothing to replay")
        return 0
    with FakeStripe() as fake:
        command = [sys.executable, str(scorer), "--base-url", fake.url, "--api-key", "sk_test_replay"]
        ran = subprocess.run([*command, str(recordings)], capture_output=True, text=True, check=False)
    print("\n".join(line for line in ran.stdout.splitlines() if "%" in line or line.startswith("skipped")))
    print(ran.stderr, file=sys.stderr, end="")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
