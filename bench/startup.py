"""How long it takes until there is an answer: the server, the double, the client; beside bare Python and the others.

    python -m bench.startup [--rounds 7] [--json]

From exec to the first answer over the network (for libraries, to the end of the import). Wall time and user + system
time of the process; rounds alternate. The others are named by LOCALSTRIPE and STRIPE_MOCK, as for bench/fake_stripe.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import doubles
from bench.measure import KEY, cpu_s, free_port, ratios, spread
from bench.report import Column, Report, Table, Value, arguments

FAKE_MOST_MS = 400
Began = tuple[float, float]
"""Wall and CPU milliseconds."""


def imported(*modules: str) -> Began:
    """Python with these modules imported."""
    code = "".join(f"import {module}\n" for module in modules)
    code += "import resource, time\nused = resource.getrusage(resource.RUSAGE_SELF)\n"
    code += "print(time.monotonic(), used.ru_utime + used.ru_stime)"
    started = time.monotonic()
    told = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return (float(told[0]) - started) * 1e3, float(told[1]) * 1e3


def answering(command: doubles.Command) -> Began:
    """A server over HTTP, until it answers anything."""
    port, started = free_port(), time.monotonic()
    with subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while not _answers(port):
            if server.poll() is not None or time.monotonic() - started > 30:
                sys.exit(f"{command(port)[0]} did not start")
            time.sleep(0.002)
        took = (time.monotonic() - started) * 1e3, cpu_s(server.pid) * 1e3
        server.terminate()
    return took


def _answers(port: int) -> bool:
    with suppress(OSError):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/customers", timeout=5).close()
        except urllib.error.HTTPError as refused:
            refused.close()
        return True
    return False


def listening(*flags: str) -> Began:
    """CloneService, until it says where it listens: it has migrated its ledger and serves by then."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cloneservice_server", "serve", "--listen", "127.0.0.1:0", "--json"]
        command += ["--ledger", f"sqlite:///{folder}/ledger.db", "--log-level", "error", *flags]
        started, environment = time.monotonic(), {**os.environ, "STRIPE_API_KEY": KEY}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            assert server.stdout is not None
            json.loads(server.stdout.readline())
            took = (time.monotonic() - started) * 1e3, cpu_s(server.pid) * 1e3
            server.terminate()
    return took


@dataclass
class Case:
    """One row: its name, how to begin, and what that took."""

    name: str
    begin: Callable[[], Began]
    took: list[Began] = field(default_factory=list)


def cases(report: Report) -> list[Case]:
    """All that can be started here."""
    return [
        Case("Python itself", imported),
        Case("import grpc.aio", lambda: imported("grpc.aio")),
        Case("import cloneservice (the client)", lambda: imported("cloneservice")),
        Case("import stripe (its SDK)", lambda: imported("stripe")),
        Case("cloneservice-server", lambda: listening("--stripe", "http://127.0.0.1:9")),
        Case("cloneservice-server --stripe fake", lambda: listening("--stripe", "fake")),
        *(Case(name, partial(answering, command)) for name, command in doubles.here(report).items()),
    ]


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="starts of each, alternating")
    given = parser.parse_args()
    report = Report(given.json)
    found = cases(report)
    for case in found:
        case.begin()  # what is not in the page cache is read, what is not compiled is compiled
    for _ in range(given.rounds):
        for case in found:
            case.took.append(case.begin())
    cpu = {case.name: [cpu_ms for _, cpu_ms in case.took] for case in found}
    rows: list[dict[str, Value]] = [
        {"case": case.name, "wall": spread([wall_ms for wall_ms, _ in case.took]), "cpu": spread(cpu[case.name])}
        for case in found
    ]
    columns = [Column("case", "what"), Column("wall", "until the first answer, ms"), Column("cpu", "CPU, ms")]
    report.table(Table("startup", "Start-up", columns, rows))
    fake_ms = spread([wall_ms for wall_ms, _ in next(case.took for case in found if case.name == "fake_stripe")])[0]
    report.at_most("fake_stripe, start to first answer", fake_ms, FAKE_MOST_MS, " ms")
    for name, below in (
        ("cloneservice-server", "import stripe (its SDK)"),
        ("import cloneservice (the client)", "import grpc.aio"),
        ("fake_stripe", "Python itself"),
    ):
        report.ratios[f"start: {name} / {below}"] = ratios(cpu[name], cpu[below])[0]
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
