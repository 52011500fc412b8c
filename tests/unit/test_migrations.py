from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.values import ChargeState, CloneState
from cloneservice_server.ledger import SqliteLedger, inspection, lineage, migrations
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.sqlite_connection import SqliteConnection
from cloneservice_server.ports import ChargeFilter, CloneFilter, LedgerUnavailable, Page


def test_both_stores_have_the_same_migrations_and_no_number_twice() -> None:
    steps = {store: [(step.version, step.name) for step in migrations.known(store)] for store in ("sqlite", "postgres")}
    assert steps["sqlite"] == steps["postgres"]
    versions = [version for version, _ in steps["sqlite"]]
    assert versions == sorted(set(versions))


def test_both_stores_have_the_same_tables_columns_and_indices() -> None:
    def shape(store: str) -> str:
        text = "\n".join(step.sql for step in migrations.known(store))
        text = re.sub(r"--.*", "", text)
        text = re.sub(r"CREATE (OR REPLACE )?FUNCTION.*?\$\$.*?\$\$;", "", text, flags=re.DOTALL)
        return " ".join(text.replace(' COLLATE "C"', "").split())

    assert shape("sqlite") == shape("postgres")


def test_export_and_check_know_every_table() -> None:
    tables = {
        name
        for step in migrations.known("sqlite")
        for name in re.findall(r"^CREATE TABLE (\w+)", step.sql, re.MULTILINE)
    }
    assert tables == set(inspection.TABLES)


def test_only_what_is_missing_is_pending() -> None:
    first, *others = migrations.known("sqlite")
    assert migrations.pending("sqlite", ()) == (first, *others)
    assert migrations.pending("sqlite", {step.version for step in others}) == (first,)
    assert migrations.pending("sqlite", {first.version, *(step.version for step in others)}) == ()


def test_migrating_is_recorded_and_done_once(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.db")
    for _ in range(2):
        connection = SqliteConnection(path, SystemClock())
        connection.migrate()
        rows = connection.execute("SELECT version, name FROM schema_version ORDER BY version")
        assert [(row["version"], row["name"]) for row in rows] == [
            (step.version, step.name) for step in migrations.known("sqlite")
        ]
        connection.close()


async def test_a_ledger_of_a_newer_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = SqliteLedger(str(path), clock=SystemClock())
    await ledger.open()
    await ledger.aclose()
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO schema_version VALUES (9999, 'from_the_future', 0)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(LedgerUnavailable, match=r"version 9999.*newer release"):
        await ledger.open()
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = migrations.Migration(9999, "broken", "CREATE TABLE half (a bigint);\nCREATE TABLE half (a bigint);\n")
    known = migrations.known("sqlite")
    monkeypatch.setattr(migrations, "known", lambda _store: (*known, broken))
    connection = SqliteConnection(str(tmp_path / "ledger.db"), SystemClock())
    with pytest.raises(sqlite3.OperationalError, match="half"):
        connection.migrate()
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {"request", "clone"} <= tables
    assert "half" not in tables
    assert connection.execute(migrations.SELECT_VERSIONS)[-1]["version"] == known[-1].version
    connection.close()


PAGE = Page(50, 5, "x")
LOOKUPS = {
    "clones of all": lineage.list_clones(CloneFilter(), PAGE),
    "clones of a customer": lineage.list_clones(CloneFilter(platform_customer_id="c"), PAGE),
    "clones of a payment method": lineage.list_clones(CloneFilter(platform_payment_method_id="p"), PAGE),
    "clones on an account": lineage.list_clones(CloneFilter(connected_account_id="a"), PAGE),
    "clones in a state": lineage.list_clones(CloneFilter("c", states=(CloneState.STALE,)), PAGE),
    "charges of all": lineage.list_charges(ChargeFilter(), PAGE),
    "charges of a customer": lineage.list_charges(ChargeFilter(platform_customer_id="c"), PAGE),
    "charges of a clone": lineage.list_charges(ChargeFilter(clone_id="c"), PAGE),
    "charges on an account": lineage.list_charges(ChargeFilter(connected_account_id="a"), PAGE),
    "charges in a state": lineage.list_charges(ChargeFilter("c", states=(ChargeState.DECLINED,)), PAGE),
    "a customer by its reference": lineage.select_platform_customer_by_reference("shopper"),
}


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_every_lookup_is_answered_from_an_index_without_sorting(lookup: str) -> None:
    part: Part = LOOKUPS[lookup]
    connection = sqlite3.connect(":memory:")
    for step in migrations.known("sqlite"):
        connection.executescript(step.sql)
    sql = re.sub(r"\$(\d+)", r"?\1", part.sql)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", part.args)]
    connection.close()
    assert plan
    assert all(line.startswith("SEARCH") and "INDEX" in line for line in plan), plan
