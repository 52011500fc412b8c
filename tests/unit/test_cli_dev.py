"""`cloneservice-server dev`: one line when it takes calls, the same seeds every time, and no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloneservice import ChargeState, CloneClient, Money

ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join(str(ROOT / folder) for folder in ("client", "server", "fake_stripe"))


def start(*arguments: str, stdin: Any = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cloneservice_server", "dev", *arguments],
        env={**os.environ, "PYTHONPATH": SOURCES},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    assert line, process.communicate()
    told: dict[str, Any] = json.loads(line)
    return told


def test_it_serves_seeded_sellers_and_shoppers_until_its_parent_is_gone() -> None:
    with start() as process:
        ready = said(process)
        with CloneClient(ready["target"]) as client:
            done = client.clone_and_charge(ready["customers"]["pays"], ready["accounts"]["bakery"], Money(1999, "USD"))
        rest, log = process.communicate(timeout=60)  # closes its standard input

    assert done.charge.state is ChargeState.SUCCEEDED
    assert (process.returncode, rest, log) == (0, "", "")


@pytest.mark.skipif(not Path(os.devnull).exists(), reason="needs a null device")
def test_in_the_background_of_a_shell_it_stops_on_sigterm_only() -> None:
    with start(stdin=subprocess.DEVNULL) as process:
        ready = said(process)
        with CloneClient(ready["target"]) as client:
            assert list(client.list_charges(platform_customer_id=ready["customers"]["pays"])) == []
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 0


def test_a_taken_port_of_the_double_is_told_in_one_line() -> None:
    with start() as first:
        port = said(first)["stripe"].rpartition(":")[2]
        with start("--stripe-port", port) as second:
            _, log = second.communicate(timeout=60)
        first.communicate(timeout=60)

    assert (second.returncode, len(log.splitlines()), f"--stripe-port {port}" in log) == (1, 1, True)
