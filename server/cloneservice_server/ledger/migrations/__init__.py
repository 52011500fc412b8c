"""Numbered schema changes, one file per store: `0001_<name>.<store>.sql`. A file is never changed once released.

Numbers may have gaps. What counts is which of them a ledger has, so that two branches may each bring one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)\.(?P<store>sqlite|postgres)\.sql")

CREATE_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    version bigint PRIMARY KEY NOT NULL,
    name text NOT NULL,
    applied_time_us bigint NOT NULL
)"""
SELECT_VERSIONS = "SELECT version FROM schema_version ORDER BY version"


class SchemaTooNew(Exception):  # noqa: N818 - reads as what happened
    """The ledger was written by a newer release; this one does not know what its rows mean."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


@lru_cache(maxsize=2)
def known(store: str) -> tuple[Migration, ...]:
    """All migrations of `store` ("sqlite" or "postgres"), in order."""
    found = []
    for file in resources.files(__name__).iterdir():
        match = _NAME.fullmatch(file.name)
        if match and match["store"] == store:
            found.append(Migration(int(match["version"]), match["name"], file.read_text("utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def pending(store: str, applied: Collection[int]) -> tuple[Migration, ...]:
    """What is to be applied to a ledger that has the versions `applied`. Raises SchemaTooNew."""
    migrations = known(store)
    newest = migrations[-1].version
    if (version := max(applied, default=0)) > newest:
        raise SchemaTooNew(
            f"the ledger's schema is version {version}, this release knows {newest}: use the newer release, or a backup"
        )
    return tuple(migration for migration in migrations if migration.version not in applied)
