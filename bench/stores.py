"""Empty, durable ledgers for benchmarks: a SQLite file, or a database of a PostgreSQL that is started here once."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from bench.report import Report
from tests.postgres_fixture import PostgresServer, find_binaries

NAMES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}


class Stores:
    """Where ledgers come from; fsync is on in both."""

    def __init__(self) -> None:
        self._server: PostgresServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.remove()

    @contextmanager
    def empty(self, name: str) -> Iterator[tuple[str, int]]:
        """The URL of an empty ledger, and the process that serves it (0 for none)."""
        if name == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                yield f"sqlite:///{folder}/{uuid.uuid4().hex}.db", 0
            return
        server = self._postgres()
        yield server.new_database(), int((server.directory / "data" / "postmaster.pid").read_text().split()[0])

    def _postgres(self) -> PostgresServer:
        if self._server is None:
            binaries = find_binaries()
            assert binaries is not None, "see `here`"
            settings = {"listen_addresses": "", "fsync": "on", "max_connections": "50"}
            self._server = PostgresServer(binaries, settings)
            self._server.create()
        return self._server


def here(asked: list[str], report: Report) -> list[str]:
    """Those of `asked` that this machine can run."""
    if "postgres" not in asked or find_binaries() is not None:
        return asked
    report.remark("PostgreSQL was left out: no initdb and pg_ctl on this machine.")
    return [name for name in asked if name != "postgres"]
