"""All benchmarks in one run: figures as JSON, a page and plots; and a loose check that nothing became much dearer.

    python -m bench.suite [--short] [--only saga ledger ...] [--check] [--accept] [--out DIR]

Each is a process of its own, run in turn. `--short` takes a fraction of the time (at most 4 minutes on 2 cores) and
writes to bench/results/local, which is not committed; the full form takes some 25 minutes and writes to bench/results.
With `--only` the other parts stay as they were. `--check` compares ratios with bench/baseline.json and measures a part
that fails once more before it is believed; `--accept` makes this run's ratios the baseline.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import machine, page, regression
from bench.measure import HERE, ROOT

RESULTS = HERE / "results"


@dataclass(frozen=True)
class Part:
    """One benchmark: its module, its heading, and the flags of both forms."""

    module: str
    title: str
    full: str
    short: str

    def command(self, *, short: bool) -> list[str]:
        """As one would type it."""
        return ["python", "-m", f"bench.{self.module}", *(self.short if short else self.full).split()]


PARTS = {
    part.module: part
    for part in (
        Part("saga", "A purchase, and the same calls made directly", "", "--seconds 1 --rounds 3"),
        Part(
            "saga_ledgers",
            "The service with each ledger",
            "--seconds 2 --rounds 2",
            "--seconds 1 --rounds 2 --growth 1 64 1000 --slow",
        ),
        Part("ledger", "The ledger alone", "", "--seconds 0.5 --rows 100 10000 --sagas 400"),
        Part("fake_stripe", "fake_stripe", "", "--short"),
        Part("startup", "Start-up", "", "--rounds 3"),
        Part("batch", "Batches", "--items 2000", "--short --only live"),
        Part("niceties", "Security and observability", "--each --seconds 2 --rounds 3", "--seconds 1 --rounds 3"),
    )
}


def measure(part: Part, *, short: bool) -> dict[str, Any]:
    """Run one; what it found."""
    command, load, began = part.command(short=short), machine.load(), time.monotonic()
    print(f"\n== {' '.join(command)}", file=sys.stderr, flush=True)
    run = subprocess.run(
        [sys.executable, *command[1:], "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(run.stdout)
    took_s = round(time.monotonic() - began)
    print(f"== {took_s} s", file=sys.stderr, flush=True)
    return {"title": part.title, "command": " ".join(command), "load": load, "seconds": took_s, **found}


def write(parts: dict[str, Any], folder: Path) -> None:
    """Results so far: a run that is cut off leaves what it has."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = {name: parts[name] for name in PARTS if name in parts}
    results = {"machine": machine.described(), "parts": ordered}
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write(results, folder)


def ratios(parts: dict[str, Any]) -> dict[str, float]:
    """Of all parts."""
    return {name: value for part in parts.values() for name, value in part["ratios"].items()}


def check(parts: dict[str, Any], names: list[str], *, short: bool) -> bool:
    """Compare with the baseline; a part with a ratio that fails is measured once more, and the better one counts."""
    baseline = regression.load()
    if len(names) < len(PARTS):
        baseline = {name: value for name, value in baseline.items() if name in _of(parts, names)}
    failing = {it.name for it in regression.compare(_of(parts, names), baseline) if not it.holds}
    for name in names:
        before = parts[name]["ratios"]
        if failing & before.keys():
            after = measure(PARTS[name], short=short)
            better = {key: min(value, after["ratios"].get(key, value)) for key, value in before.items()}
            parts[name] = after | {"ratios": better}
    findings = regression.compare(_of(parts, names), baseline)
    for finding in findings:
        print(finding)
    return all(finding.holds for finding in findings)


def _of(parts: dict[str, Any], names: list[str]) -> dict[str, float]:
    return ratios({name: parts[name] for name in names})


def main() -> int:
    """Run, write, compare; 1 when a ratio is beyond what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a fraction of the time, into bench/results/local")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="these parts")
    parser.add_argument("--check", action="store_true", help="compare ratios with bench/baseline.json")
    parser.add_argument("--accept", action="store_true", help="make these ratios the baseline")
    parser.add_argument("--out", type=Path, help="where the results go")
    given = parser.parse_args()
    folder = given.out or (RESULTS / "local" if given.short else RESULTS)
    parts: dict[str, Any] = dict(page.read(folder)["parts"])
    for name in given.only:
        parts[name] = measure(PARTS[name], short=given.short)
        write(parts, folder)
    if given.accept:
        regression.save(regression.load() | _of(parts, given.only))
    good = not given.check or check(parts, given.only, short=given.short)
    write(parts, folder)
    print(f"results: {folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder}/README.md")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
