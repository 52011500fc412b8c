"""The command `cloneservice-server`, as a process: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = os.pathsep.join(str(ROOT / folder) for folder in ("client", "server", "fake_stripe"))
TEST_KEY = "sk_test_" + "1" * 24
LIVE_KEY = "sk_" + "live_" + "1" * 24  # in two parts, so that no scanner takes it for a real one


def environment(**more: Any) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLONESERVICE_", "STRIPE_"))}
    return {**kept, "PYTHONPATH": SOURCES, **more}


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def run(*arguments: Any, cwd: Any = None, **environ: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "cloneservice_server", *arguments],
        env=environment(**environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(done: Any, code: Any, *advice: Any) -> None:
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (code, "", False), done.stderr
    assert [word for word in advice if word not in done.stderr] == []


def test_serve_says_where_it_listens_and_stops_on_sigterm(tmp_path: Path) -> None:
    arguments = ["serve", "--listen", "127.0.0.1:0", "--stripe", "http://127.0.0.1:1", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "cloneservice_server", *arguments],
        env=environment(STRIPE_API_KEY=TEST_KEY, CLONESERVICE_LOG_FORMAT="json"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = json.loads(first_line(process))
        with socket.create_connection(("127.0.0.1", said["port"])):
            pass
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=60)

    messages = [json.loads(line)["message"] for line in log.splitlines()]
    assert (process.returncode, rest, messages) == (0, "", ["listening", "stopping", "stopped"])
    assert (said["mode"], TEST_KEY in log, (tmp_path / "cloneservice.db").exists()) == ("test", False, True)


def test_serve_with_the_fake_says_how_to_reach_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cloneservice_server", "serve", "--listen", "127.0.0.1:0", "--stripe", "fake", "--json"],
        env=environment(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = json.loads(first_line(process))
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=60)

    assert (process.returncode, "Traceback" in log, said["mode"]) == (0, False, "test")
    assert said["stripe"].startswith("http://127.0.0.1:")
    assert said["stripe_api_key"].startswith("sk_test_")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("serve", "--listen", address, cwd=tmp_path, STRIPE_API_KEY=TEST_KEY)

    assert_refused(done, 1, f"cannot listen on {address}")
    assert len(done.stderr.splitlines()) == 1


def test_a_ledger_in_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none/ledger.db"

    done = run("serve", "--listen", "127.0.0.1:0", "--ledger", url, cwd=tmp_path, STRIPE_API_KEY=TEST_KEY)

    assert_refused(done, 1, "ledger")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:ledger.db", "mysql://x"])
def test_a_ledger_url_that_names_none_is_told(tmp_path: Path, url: str) -> None:
    done = run("serve", "--listen", "127.0.0.1:0", "--ledger", url, cwd=tmp_path, STRIPE_API_KEY=TEST_KEY)

    assert (done.returncode in (1, 2), "Traceback" in done.stderr, "--ledger" in done.stderr) == (True, False, True)


def test_no_key_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert_refused(run("serve", cwd=tmp_path), 2, "STRIPE_API_KEY", "--stripe fake")


def test_a_live_key_goes_to_stripe_only(tmp_path: Path) -> None:
    done = run("serve", "--stripe", "http://127.0.0.1:12111", cwd=tmp_path, STRIPE_API_KEY=LIVE_KEY)

    assert_refused(done, 2, "https://api.stripe.com only")
    assert LIVE_KEY not in done.stderr


def test_a_key_on_the_command_line_is_refused_and_not_repeated(tmp_path: Path) -> None:
    done = run("serve", "--stripe-api-key", TEST_KEY, cwd=tmp_path)

    assert_refused(done, 2, "a key on the command line can be read by every user")
    assert TEST_KEY not in done.stderr


def test_version_needs_no_key_and_no_settings() -> None:
    done = run("version", CLONESERVICE_LISTEN="nonsense")

    assert (done.returncode, done.stdout.startswith("cloneservice-server ")) == (0, True)


def test_help_names_each_flag_once() -> None:
    done = run("serve", "--help")

    assert [done.stdout.count(f"\n  {flag} ") for flag in ("--listen", "--ledger", "--stripe", "--log-format")] == [
        1
    ] * 4
    assert "STRIPE_API_KEY" in done.stdout


def test_the_light_commands_load_neither_grpc_nor_stripe() -> None:
    script = (
        "import sys; from cloneservice_server.cli import main; code = main(['version']);"
        "heavy = {'grpc', 'stripe', 'aiohttp', 'fake_stripe'} & set(sys.modules);"
        "sys.exit(f'{heavy}' if heavy else code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
