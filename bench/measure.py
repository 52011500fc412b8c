"""What the benchmarks share: processes with their CPU and memory, load, and the spread of repeated measurements."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ACCOUNT = "acct_1Bench000000001"
KEY = "sk_test_bench"

Spread = tuple[float, float, float]
"""Median, least and most of what was measured more than once."""


@contextmanager
def process(*command: str, **environment: str) -> Iterator[tuple[int, str]]:
    """A process that prints one line when it is ready: (pid, line)."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert child.stdout is not None
    try:
        yield child.pid, child.stdout.readline().strip()
    finally:
        child.terminate()
        child.wait(timeout=20)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all its threads, to the nanosecond.

    The clock is the one that clock_getcpuclockid(3) gives; /proc/PID/stat counts in hundredths of a second.
    """
    return time.clock_gettime((~pid << 3) | 2)


def tree_cpu_s(pid: int) -> float:
    """CPU of a process and its children, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    used = cpu_s(pid) + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):  # it has just ended
            used += cpu_s(int(child))
    return used


def own_cpu_s() -> float:
    """User + system seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def yardstick_us() -> float:
    """CPU microseconds of a fixed piece of plain Python, so that figures of different machines can be divided.

    It does what a server of forms and JSON does much of: split, build dicts, join, look up.
    """
    text = "&".join(f"metadata[key{number}]=value{number}" for number in range(40))

    def once() -> int:
        form = dict(pair.split("=", 1) for pair in text.split("&"))
        return len(",".join(f'"{name[9:-1]}":"{value}"' for name, value in sorted(form.items())))

    best = float("inf")
    for _ in range(20):
        before = time.process_time()
        for _ in range(200):
            once()
        best = min(best, time.process_time() - before)
    return best / 200 * 1e6


async def hammer(operation: Callable[[], Awaitable[object]], seconds: float, in_flight: int) -> tuple[int, float]:
    """Run `operation` from `in_flight` tasks; (how many, in how many seconds)."""
    done, started = 0, time.monotonic()

    async def worker() -> None:
        nonlocal done
        while time.monotonic() - started < seconds:
            await operation()
            done += 1

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return done, time.monotonic() - started


async def timed(operation: Callable[[], Awaitable[object]], seconds: float, in_flight: int) -> list[float]:
    """How long each operation took, in milliseconds, sorted."""
    took: list[float] = []

    async def one() -> None:
        begun = time.perf_counter()
        await operation()
        took.append((time.perf_counter() - begun) * 1e3)

    await hammer(one, seconds, in_flight)
    return sorted(took)


def percentile(took: Sequence[float], share: float) -> float:
    """Of a sorted list."""
    return took[min(int(len(took) * share), len(took) - 1)]


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Median, least and most of the ratios within each round: what weighs on a round weighs on both."""
    return spread([a / b for a, b in zip(above, below, strict=True)])
