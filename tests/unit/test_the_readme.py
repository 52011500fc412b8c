"""What the README shows, works: its Python runs against a real server, its commands are those that exist."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from cloneservice_server import cli as server_cli

from fake_stripe import FakeStripe

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_it_is_short_enough_to_read() -> None:
    assert len(README.splitlines()) <= 200


def test_its_links_lead_somewhere() -> None:
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]

    assert linked
    assert [target for target in linked if not (ROOT / target).exists()] == []


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(re.findall(r"(?:\$ |`)make ([a-z-]+)", README)) <= targets


def test_its_server_commands_are_understood() -> None:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    commands = [shlex.split(line.split(" #")[0])[2:] for line in lines if line.startswith("$ cloneservice-server")]

    assert commands
    for command in commands:
        parsed = server_cli._parser().parse_args(command)
        assert isinstance(parsed, argparse.Namespace)


def test_its_flags_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        server_cli._parser().parse_args(["serve", "--help"])
    shown = capsys.readouterr().out
    table = README.split("## Configuration")[1].split("## ")[0]

    flags = set(re.findall(r"`(--[a-z-]+)", table))
    assert flags
    assert [flag for flag in flags if flag not in shown] == []


def test_its_python_runs(capsys: pytest.CaptureFixture[str], served: Served, tmp_path: Path) -> None:
    (code,) = blocks("python")
    customer, account, target = served()
    code = code.replace("cus_...", customer).replace("acct_...", account).replace("127.0.0.1:50051", target)
    (tmp_path / "readme.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "readme.py"))

    printed = capsys.readouterr().out
    assert "succeeded" in printed
    assert account in printed


Served = Callable[[], tuple[str, str, str]]


@pytest.fixture
def served() -> object:
    """Starts a server with an embedded double: (customer, account, target)."""
    import json
    import subprocess
    import sys

    from tests.stripe_http import StripeHttp

    command = [sys.executable, "-m", "cloneservice_server", "serve", "--stripe", "fake", "--json"]
    server = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0", "--log-level", "error"], stdout=subprocess.PIPE, text=True
    )

    def ready() -> tuple[str, str, str]:
        assert server.stdout is not None
        told = json.loads(server.stdout.readline())
        stripe = StripeHttp(told["stripe"], told["stripe_api_key"])
        customer, _ = stripe.saved_card()
        return customer, stripe.connected_account(), f"127.0.0.1:{told['port']}"

    yield ready
    server.terminate()
    server.wait(timeout=20)
    assert server.stdout is not None
    server.stdout.close()


def test_the_double_serves_what_its_curl_line_asks() -> None:
    (line,) = [line for block in blocks("console") for line in block.splitlines() if line.startswith("$ curl")]
    words = shlex.split(line)
    with FakeStripe() as fake:
        from tests.stripe_http import StripeHttp

        key = words[words.index("-u") + 1].removesuffix(":")
        made = StripeHttp(fake.url, key).post("/v1/customers", **dict([words[words.index("-d") + 1].split("=")]))

    assert made["default_source"].startswith("card_")
