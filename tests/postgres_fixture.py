"""A real PostgreSQL for tests: started from the machine's binaries, or the one that DATABASE_URL names.

A conftest imports `postgres_server` and `postgres_url` from here; every test gets a database of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

_ROLE = "cloneservice"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # a killed server loses nothing by it, only a killed machine would
    "full_page_writes": "off",
    "max_connections": "120",
    "log_min_messages": "fatal",
    "log_min_error_statement": "fatal",
}


def find_binaries() -> Path | None:
    """The directory of initdb and pg_ctl, newest version first, or None."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    if pg_config := shutil.which("pg_config"):
        told = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(told.stdout.strip()))
    if pg_ctl := shutil.which("pg_ctl"):
        candidates.append(Path(pg_ctl).parent)
    return next((path for path in candidates if (path / "initdb").exists() and (path / "pg_ctl").exists()), None)


@dataclass
class PostgresServer:
    """One server in a directory of its own, reached by a Unix socket there, run by an unprivileged user."""

    binaries: Path
    settings: dict[str, str] = field(default_factory=lambda: dict(_SETTINGS))
    _databases: int = 0

    @cached_property
    def directory(self) -> Path:
        """Where data and socket lie."""
        path = Path(tempfile.mkdtemp(prefix="cs-pg-"))
        if user := self._user():
            os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        return path

    def create(self) -> None:
        """Make the cluster and start it."""
        self._run("initdb", "-D", "data", "-U", _ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (self.directory / "data" / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = '{value}'\n" for name, value in self.settings.items())
            config.write(f"unix_socket_directories = '{self.directory}'\n")
        self.start()

    def start(self) -> None:
        """Start and wait until it answers."""
        self._run("pg_ctl", "-D", "data", "-l", "log", "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop: "immediate" is a crash, "fast" is what an operator does."""
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def remove(self) -> None:
        """Stop and delete everything. Nothing is kept, so a server that does not stop in time is killed."""
        lock = self.directory / "data" / "postmaster.pid"
        if lock.exists():
            try:
                self.stop()
            except RuntimeError:  # it was recovering from the crash of the test before, or has just gone by itself
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    os.kill(int(lock.read_text().split()[0]), signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)  # a killed server's children leave a moment later

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://{_ROLE}@/{database}?host={self.directory}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"ledger_{self._databases}"
        asyncio.run(_execute(self.url("postgres"), f"CREATE DATABASE {name}"))
        return self.url(name)

    @property
    def can_restart(self) -> bool:
        """Whether the test may stop it."""
        return True

    def _user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return None
        return next(name for name in ("postgres", "nobody") if _exists(name))

    def _run(self, program: str, *arguments: str) -> None:
        user = self._user()
        identity: dict[str, Any] = {}
        if user is not None:
            identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        done = subprocess.run(
            [self.binaries / program, *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be held open by the server
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            check=False,
            **identity,
        )
        if done.returncode != 0:
            log = self.directory / "log"
            raise RuntimeError(f"{program} failed: {log.read_text()[-2000:] if log.exists() else 'no log'}")


class GivenServer(PostgresServer):
    """The server behind DATABASE_URL: databases are made in it, and it is never stopped."""

    def __init__(self, url: str) -> None:
        super().__init__(Path())
        self._url = url

    def url(self, database: str) -> str:
        head, mark, tail = self._url.partition("?")
        return f"{head.rsplit('/', 1)[0]}/{database}{mark}{tail}"

    def new_database(self) -> str:
        self._databases += 1
        name = f"cloneservice_test_{os.getpid()}_{self._databases}"
        asyncio.run(_execute(self._url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"))
        return self.url(name)

    @property
    def can_restart(self) -> bool:
        return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session, started when the first test asks for it."""
    if url := os.environ.get("DATABASE_URL"):
        yield GivenServer(url)
        return
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: neither initdb and pg_ctl on this machine nor DATABASE_URL")
    server = PostgresServer(binaries)
    try:
        server.create()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """A new, empty database."""
    return postgres_server.new_database()


async def _execute(url: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
