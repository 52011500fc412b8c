from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from cloneservice_server.cli import main
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import PutClone

from tests.ledger_values import clone


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each store that outlives a process, empty."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/ledger.db"


def test_a_ledger_is_migrated_checked_and_exported_from_the_command_line(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> None:
        ledger = open_ledger(url, SystemClock())
        await ledger.open()
        await ledger.commit(None, [PutClone(clone(f"clone_{number}")) for number in (2, 1)])
        await ledger.aclose()

    for _ in range(2):
        assert main(["ledger", "migrate", "--ledger", url]) == 0
        assert capsys.readouterr().out.startswith("the schema is at version ")
    asyncio.run(fill())
    assert main(["ledger", "check", "--ledger", url]) == 0
    assert capsys.readouterr().out == "no problem found\n"
    assert main(["ledger", "export", "--ledger", url]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["table"], row["clone_id"]) for row in rows] == [("clone", "clone_1"), ("clone", "clone_2")]


def test_a_server_that_cannot_be_reached_is_one_line_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("migrate", "check", "export"):
        assert main(["ledger", command, "--ledger", "postgresql://clerk:sesame@127.0.0.1:1/ledger"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("cloneservice-server: PostgreSQL at 127.0.0.1:1/ledger: ")
        assert said.count("\n") == 1
        assert "sesame" not in said
