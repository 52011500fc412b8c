"""Compile the clients of all languages and play their scenarios against the real server, each on a server of its own.

    python -m tests.polyglot.run [SUITE ...]      (or `make polyglot`, which generates the code first)

Prints what each language makes of each scenario, ends with `N passed, N failed`, and exits 1 unless all passed.
A scenario that was skipped did not pass.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
Outcomes = dict[str, str]
"""Scenario to `passed`, `failed` or why it was skipped."""
PASSED, FAILED = "passed", "failed"


@dataclass(frozen=True, slots=True)
class Suite:
    """One language's project: how to build it, how to run it, and how to read what it says."""

    name: str
    folder: str
    needs: tuple[str, ...]
    run: tuple[str, ...]
    read: Callable[[str, Path], Outcomes]
    build: tuple[tuple[str, ...], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def words(name: str) -> str:
    """`TestCloneAndCharge` and `cloneAndCharge` as the scenario they play: `clone and charge`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removeprefix("Test")).lower()


def read_go(output: str, _: Path) -> Outcomes:
    """`go test -json`."""
    found: Outcomes = {}
    for line in output.splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("Test") and event["Action"] in ("pass", "fail", "skip"):
            found[words(event["Test"])] = {"pass": PASSED, "fail": FAILED, "skip": "skipped"}[event["Action"]]
    return found


def read_tap(output: str, _: Path) -> Outcomes:
    """`node --test --test-reporter=tap`."""
    found: Outcomes = {}
    for said, name, skipped in re.findall(r"^(ok|not ok) \d+ - (.+?)(?: # SKIP (.*))?$", output, re.MULTILINE):
        found[name] = f"skipped: {skipped}" if skipped else PASSED if said == "ok" else FAILED
    return found


def read_surefire(_: str, folder: Path) -> Outcomes:
    """Maven's test reports."""
    found: Outcomes = {}
    for report in sorted((folder / "target" / "surefire-reports").glob("TEST-*.xml")):
        for case in ET.parse(report).iter("testcase"):
            bad = case.find("failure") is not None or case.find("error") is not None
            skipped = case.find("skipped") is not None
            found[words(case.attrib["name"])] = FAILED if bad else "skipped" if skipped else PASSED
    return found


def read_lines(output: str, _: Path) -> Outcomes:
    """One JSON object a line: scenario, outcome, detail."""
    told = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    for one in told:
        if one["outcome"] != PASSED:
            print(one["detail"], flush=True)
    return {one["scenario"]: one["outcome"] for one in told}


NODE = ("node", "--test", "--test-reporter=tap")
NODE_BUILD = (("npm", "ci", "--silent"), ("npx", "tsc"))
CLIENTS = (
    Suite("Python", "tests/polyglot", (), (sys.executable, "python_wheel.py"), read_lines),
    Suite("Go", "client/go", ("go",), ("go", "test", "-count=1", "-json", "."), read_go, (("go", "vet", "./..."),)),
    Suite("grpc-js", "client/node", ("node", "npm"), (*NODE, "dist/test/grpcjs.test.js"), read_tap, NODE_BUILD),
    Suite("Connect", "client/node", ("node", "npm"), (*NODE, "dist/test/connect.test.js"), read_tap, (("npx", "tsc"),)),
    Suite("Java", "client/java", ("java", "mvn"), ("mvn", "-q", "-B", "test"), read_surefire),
)


def play(suite: Suite) -> Outcomes:
    """Build and run one suite; what its scenarios came to. What went wrong is shown as it was said."""
    if missing := [tool for tool in suite.needs if shutil.which(tool) is None]:
        return {"toolchain": f"skipped: no {', '.join(missing)} here"}
    folder = ROOT / suite.folder
    shutil.rmtree(folder / "target" / "surefire-reports", ignore_errors=True)
    environment = {**os.environ, "CLONESERVICE_SERVER": str(BIN / "cloneservice-server"), **suite.environment}
    output = ""
    for command in (*suite.build, suite.run):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        output = done.stdout
        if done.returncode != 0:
            print(f"{suite.name}: {' '.join(command)} failed\n{done.stdout[-6000:]}{done.stderr[-6000:]}", flush=True)
            outcomes = suite.read(output, folder) if command is suite.run else {}
            return outcomes if FAILED in outcomes.values() else {**outcomes, "build": FAILED}
    return suite.read(output, folder) or {"scenarios": "skipped: it ran none"}


def main(names: Sequence[str]) -> int:
    """Play the suites named, or all; the exit code."""
    played: dict[str, Outcomes] = {}
    for suite in CLIENTS:
        if names and suite.name not in names:
            continue
        began = time.monotonic()
        played[suite.name] = play(suite)
        print(f"{suite.name}: {len(played[suite.name])} scenarios in {time.monotonic() - began:.0f} s", flush=True)
    print()
    passed, failed = report(played)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def report(played: Mapping[str, Outcomes]) -> tuple[int, int]:
    """Print the table; how many passed, and how many did not."""
    for line in table(played):
        print(line)
    outcomes = [outcome for suite in played.values() for outcome in suite.values()]
    passed = outcomes.count(PASSED)
    return passed, len(outcomes) - passed


def table(played: Mapping[str, Outcomes]) -> Iterator[str]:
    """Language x scenario."""
    scenarios = list(dict.fromkeys(name for outcomes in played.values() for name in outcomes))
    width = max(map(len, scenarios), default=0)
    yield "  ".join([" " * width, *played])
    for scenario in scenarios:
        cells = (outcomes.get(scenario, "-").ljust(len(name)) for name, outcomes in played.items())
        yield "  ".join([scenario.ljust(width), *cells]).rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
