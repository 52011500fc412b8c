"""All three programs: a slip of the finger is told with the word that was meant, a missing extra by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cloneservice import cli as client_cli
from cloneservice_server import cli as server_cli

from fake_stripe import cli as double_cli
from fake_stripe import extra

ROOT = Path(__file__).parents[2]
Program = Callable[[list[str]], int]
CLIENT, SERVER, DOUBLE = client_cli.main, server_cli.main, double_cli.main


def ended(program: Program, *words: str) -> int:
    try:
        return program(list(words))
    except SystemExit as left:
        return int(left.code or 0)


def test_the_three_parsers_are_one() -> None:
    packages = ("client/cloneservice/cli", "server/cloneservice_server", "fake_stripe/fake_stripe")

    assert len({(ROOT / package / "command_line.py").read_bytes() for package in packages}) == 1


@pytest.mark.parametrize(
    ("program", "words", "says"),
    [
        (CLIENT, ["clone_and_charge"], "there is no command 'clone_and_charge'; did you mean clone-and-charge?"),
        (CLIENT, ["charges", "lst"], "cloneservice charges: error: there is no command 'lst'; did you mean list?"),
        (CLIENT, ["--tagret", "x", "lookup", "y"], "there is no --tagret; did you mean --target?"),
        (CLIENT, ["clone-and-charge", "--custmer=c"], "there is no --custmer; did you mean --customer?"),
        (CLIENT, ["clone", "--flow", "tokn"], "none of payment_method, token, source; did you mean token?"),
        (SERVER, ["serv"], "there is no command 'serv'; did you mean serve?"),
        (SERVER, ["serve", "--lissten", "x"], "there is no --lissten; did you mean --listen?"),
        (SERVER, ["serve", "--list", "x"], "there is no --list; did you mean --listen?"),
        (SERVER, ["ledger", "chck"], "there is no command 'chck'; did you mean check?"),
        (DOUBLE, ["xyz"], "there is no command 'xyz': there are serve, replay, coverage"),
        (DOUBLE, ["serve", "--prot", "1"], "there is no --prot; did you mean --port?"),
        (DOUBLE, ["serve", "--port", "99999"], "'99999' is not a port: 0 to 65535, 0 for a free one"),
        (DOUBLE, ["serve", "--http-addr", "h:x"], "'x' is not a port"),
    ],
)
def test_a_mistyped_word_is_told_with_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str], program: Program, words: list[str], says: str
) -> None:
    code = ended(program, *words)
    told = capsys.readouterr().err

    assert (code, says in told, len(told.splitlines())) == (2, True, 2), told
    assert "--help`." in told


@pytest.mark.parametrize(("program", "name"), [(CLIENT, "cloneservice "), (SERVER, "cloneservice-server ")])
def test_they_tell_their_version(capsys: pytest.CaptureFixture[str], program: Program, name: str) -> None:
    code = ended(program, "--version")

    assert (code, capsys.readouterr().out.startswith(name)) == (0, True)


def test_words_after_two_dashes_are_no_flags(capsys: pytest.CaptureFixture[str]) -> None:
    ended(CLIENT, "lookup", "--", "--no-flag", "more")

    assert "unrecognized arguments: more" in capsys.readouterr().err


def test_the_double_without_its_extra_says_which_one_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extra, "NEEDED", ("orjson", "not_installed_here"))
    for command in (("serve", "--port", "0"), ("--version",)):
        code = ended(DOUBLE, *command)
        told = capsys.readouterr().err

        assert (code, len(told.splitlines())) == (1, 1)
        assert told.startswith("fake-stripe: fake_stripe needs not_installed_here: install cloneservice with its extra")
    with pytest.raises(ImportError, match="extra `fake`"):
        from fake_stripe import FakeStripe  # noqa: F401
    assert ended(SERVER, "dev") == 1
    assert "no embedded Stripe double: fake_stripe needs not_installed_here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "extra_name"), [("grpc_health", "server"), ("asyncpg", "postgres"), ("opentelemetry.sdk", "otel")]
)
def test_the_server_without_an_extra_says_which_one_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, extra_name: str
) -> None:
    def lacking(_: object) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(server_cli, "_serve", lacking)
    code = ended(SERVER, "serve")

    assert (code, f"pip install 'cloneservice[{extra_name}]'" in capsys.readouterr().err) == (1, True)


def test_a_reader_that_has_seen_enough_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(server_cli, "_version", cut)

    assert (ended(SERVER, "version"), capsys.readouterr().err) == (0, "")


def test_a_taken_port_of_the_double_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    from fake_stripe import FakeStripe

    with FakeStripe() as running:
        port = running.url.rpartition(":")[2]
        code = ended(DOUBLE, "serve", "--port", port)

    assert code == 2
    assert f"127.0.0.1:{port} is taken: stop what listens there, or give another --port" in capsys.readouterr().err
