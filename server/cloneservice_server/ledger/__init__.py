"""The durable store of requests, effects and lineage: SQLite for one process, PostgreSQL for several replicas.

The only place with SQL. `open_ledger` reads the URL; everything else is `ports.Ledger`.
"""

from __future__ import annotations

from cloneservice_server.ledger.sqlite import MEMORY, SqliteLedger
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports import Clock

__all__ = ["SqlLedger", "SqliteLedger", "open_ledger"]


def open_ledger(url: str, clock: Clock) -> SqlLedger:
    """The ledger at `url`, not yet opened. Raises ValueError on a URL that names none.

    `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://:memory:`, `postgresql://user@host/database`.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        if rest in (MEMORY, f"/{MEMORY}"):
            return SqliteLedger(MEMORY, clock=clock)
        if rest.startswith("/") and len(rest) > 1:
            return SqliteLedger(rest[1:], clock=clock)
        raise ValueError("a SQLite ledger is sqlite:///file.db, sqlite:////absolute/file.db or sqlite://:memory:")
    if separator and scheme in ("postgresql", "postgres"):
        try:
            from cloneservice_server.ledger.postgres import PostgresLedger  # noqa: PLC0415 - asyncpg is an optional extra
        except ImportError as missing:
            raise ValueError("a PostgreSQL ledger needs asyncpg: pip install 'cloneservice[postgres]'") from missing
        return PostgresLedger(url, clock=clock)
    raise ValueError(f"{scheme!r} is no ledger: use sqlite:///file.db or postgresql://...")
