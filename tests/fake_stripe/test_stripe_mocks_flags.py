"""The command takes stripe-mock's flags: what they make it listen on, and what it does with the rest of them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from fake_stripe.cli import _parser, main
from fake_stripe.listeners import Listener, as_stripe_mock_spells, listeners
from fake_stripe.wire import Request
from fake_stripe.world import NEWEST_VERSION

from fake_stripe import FakeStripe

PLAIN = Listener(secure=False, port=12111)


def asked(*flags: str, **environment: str) -> list[Listener]:
    return listeners(_parser().parse_args(as_stripe_mock_spells(list(flags))), environment)


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["serve"], [PLAIN]),
        (["serve", "--stateless"], [PLAIN, Listener(secure=True, port=12112, asked=False)]),
        (["-port", "99"], [Listener(secure=False, port=99)]),
        (["-http-port", "99"], [Listener(secure=False, port=99)]),
        (["-http-port=99"], [Listener(secure=False, port=99)]),
        (["-https-port", "99"], [Listener(secure=True, port=99)]),
        (["-http-port", "1", "-https-port", "2"], [Listener(secure=False, port=1), Listener(secure=True, port=2)]),
        (["-http-addr", ":99"], [Listener(secure=False, port=99)]),
        (["-http-addr", "0.0.0.0:99"], [Listener(secure=False, host="0.0.0.0", port=99)]),
        (["-https-addr", "[::1]:"], [Listener(secure=True, host="::1", port=0)]),
        (["-http-unix", "/s"], [Listener(secure=False, path="/s")]),
        (["-unix", "/s"], [Listener(secure=False, path="/s")]),
        (["-https-unix", "/s"], [Listener(secure=True, path="/s")]),
        (["-http"], [PLAIN]),
        (["-https"], [Listener(secure=True, port=12112)]),
        (["-https", "-port", "99"], [Listener(secure=True, port=99)]),
        (["-http", "-https"], [PLAIN, Listener(secure=True, port=12112)]),
    ],
)
def test_what_it_listens_on(flags: list[str], found: list[Listener]) -> None:
    assert asked(*flags) == found


def test_the_port_of_the_environment_is_for_stateless_runs_that_name_none() -> None:
    assert asked("serve", "--stateless", PORT="99") == [Listener(secure=False, port=99)]
    assert asked("serve", PORT="99") == [PLAIN]
    assert asked("-port", "7", "--stateless", PORT="99") == [Listener(secure=False, port=7)]


def test_flags_it_has_no_use_for_are_refused_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-spec", "-fixtures"):
        assert main([flag, "x.json"]) == 2
        assert "not supported" in capsys.readouterr().err


def test_the_version_names_stripes_too(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-version", "--version"):
        with pytest.raises(SystemExit) as ended:
            main([flag])
        assert ended.value.code == 0
        assert NEWEST_VERSION in capsys.readouterr().out


def test_a_strict_version_check_refuses_all_other_versions() -> None:
    fake = FakeStripe(stateless=True, strict_version=True)
    for version, status in ((NEWEST_VERSION, 200), ("2022-11-15", 400)):
        headers = {b"authorization": b"Bearer sk_test_x", b"stripe-version": version.encode()}
        assert fake.handle(Request("GET", "/v1/customers", headers=headers)).status == status


@contextmanager
def running(*flags: str) -> Iterator["subprocess.Popen[str]"]:
    clean = {name: value for name, value in os.environ.items() if "STRIPE" not in name.upper()}
    process = subprocess.Popen(
        [sys.executable, "-m", "fake_stripe", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, "PYTHONPATH": str(Path(__file__).parents[2] / "fake_stripe")},
    )
    with process:
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)


def test_it_serves_on_a_unix_socket_and_says_each_call_when_verbose(tmp_path: Path) -> None:
    path = str(tmp_path / "stripe.sock")
    with running("-http-unix", path, "-verbose") as process:
        assert process.stdout is not None
        assert path in process.stdout.readline()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET /v1/account HTTP/1.1\r\nAuthorization: Bearer sk_test_x\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
        assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["object"] == "account"
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "GET /v1/account: 200" in process.stderr.read()
