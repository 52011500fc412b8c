"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path

from tests.postgres_fixture import find_binaries

LIBRARIES = ("grpcio", "protobuf", "stripe", "aiohttp", "httpx", "uvloop", "orjson", "httptools", "asyncpg")


def described() -> dict[str, str]:
    """Processor, system, Python and the versions that matter."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    optimized = "PGO" if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "") else "no PGO"
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{pages / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {optimized}",
        "libraries": ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": _postgres(),
        "Node": _told("node", "--version"),
    }


def load() -> str:
    """Load averages of 1, 5 and 15 minutes: what else went on."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _postgres() -> str:
    binaries = find_binaries()
    return _told(str(binaries / "postgres"), "--version").split()[2] if binaries else "none"


def _told(program: str, flag: str) -> str:
    found = shutil.which(program)
    if found is None:
        return "none"
    return subprocess.run([found, flag], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
