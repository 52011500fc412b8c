from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from cloneservice_server.cli import main
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import SqliteLedger
from cloneservice_server.ledger.backup import BackupFailed, back_up
from cloneservice_server.ports import PutCharge, PutClone, Write

from tests.ledger_values import charge, clone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one clone."""
    path = tmp_path / "ledger.db"

    async def fill() -> None:
        ledger = SqliteLedger(str(path), clock=SystemClock())
        await ledger.open()
        await ledger.commit(None, [PutClone(clone())])
        await ledger.aclose()

    asyncio.run(fill())
    return path


def clones_in(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT clone_id FROM clone ORDER BY clone_id")]
    connection.close()
    return found


def test_migrate_makes_the_ledger_and_says_its_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["ledger", "migrate", "--ledger", f"sqlite:///{tmp_path}/new.db"]) == 0
        assert capsys.readouterr().out.startswith("the schema is at version ")


def test_check_says_so_when_nothing_is_wrong(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "check", "--ledger", f"sqlite:///{path}"]) == 0
    assert capsys.readouterr().out == "no problem found\n"


def test_check_names_each_problem_and_fails(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE clone SET state = 'stale'")
    connection.close()
    assert main(["ledger", "check", "--ledger", f"sqlite:///{path}"]) == 1
    printed = capsys.readouterr().out
    assert printed == "a clone is filed under other values than its own: clone_1\n1 problem found\n"


def test_check_and_export_make_no_ledger_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("check", "export"):
        assert main(["ledger", command, "--ledger", f"sqlite:///{tmp_path}/none.db"]) == 1
        assert "there is no ledger" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_export_writes_to_standard_output_or_to_a_new_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLONESERVICE_LEDGER", f"sqlite:///{path}")
    assert main(["ledger", "export"]) == 0
    printed = capsys.readouterr().out
    assert [json.loads(line)["table"] for line in printed.splitlines()] == ["clone"]
    target = tmp_path / "rows.jsonl"
    assert main(["ledger", "export", "--output", str(target)]) == 0
    assert target.read_text("utf-8") == printed
    assert main(["ledger", "export", "--output", str(target)]) == 1
    assert target.read_text("utf-8") == printed


def test_a_url_that_names_no_ledger_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "check", "--ledger", "mysql://host/db"]) == 2
    assert capsys.readouterr().err.startswith("cloneservice-server: --ledger: ")


def test_a_backup_is_whole_and_can_be_opened_alone(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    assert main(["ledger", "backup", "--ledger", f"sqlite:///{path}", str(target)]) == 0
    assert clones_in(target) == ["clone_1"]
    assert sorted(file.name for file in tmp_path.glob("backup*")) == ["backup.db"]


async def test_a_backup_of_a_ledger_in_use_holds_what_was_committed_and_disturbs_nothing(
    path: Path, tmp_path: Path
) -> None:
    ledger = SqliteLedger(str(path), clock=SystemClock())
    await ledger.open()
    over = asyncio.Event()

    async def write() -> int:
        number = 1
        while not over.is_set():
            number += 1
            both: list[Write] = [PutClone(clone(f"clone_{number}")), PutCharge(charge(f"charge_{number}"))]
            await ledger.commit(None, both)
        return number

    writer = asyncio.create_task(write())
    for turn in range(5):
        target = tmp_path / f"backup-{turn}.db"
        await asyncio.to_thread(back_up, path, target)
        connection = sqlite3.connect(target)
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("clone", "charge")]
        connection.close()
        assert counts[0] == counts[1] + 1
    over.set()
    last = await writer
    await ledger.aclose()
    assert len(clones_in(path)) == last


def test_a_backup_replaces_no_file_and_leaves_none_when_it_fails(path: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    with pytest.raises(BackupFailed, match="exists"):
        back_up(path, taken)
    assert taken.read_text() == "precious"
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database at all" * 100)
    for source in (damaged, tmp_path / "missing.db"):
        with pytest.raises(BackupFailed, match=source.stem):
            back_up(source, tmp_path / "never.db")
    assert list(tmp_path.glob("never*")) == []


def test_a_postgresql_ledger_is_backed_up_by_its_own_tools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "backup", "--ledger", "postgresql://host/db", str(tmp_path / "x")]) == 1
    assert "pg_dump" in capsys.readouterr().err
