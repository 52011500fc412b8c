"""`check` says what a rollout would trip over, `settings` is the page, `token` makes a token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloneservice_server import cli
from cloneservice_server.access import tokens
from cloneservice_server.settings_page import page

from fake_stripe import FakeStripe
from tests.certificates import Authority

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(cli, "environ", {})
    monkeypatch.setattr("cloneservice_server.operator_commands.environ", {"STRIPE_API_KEY": "sk_test_check"})
    monkeypatch.chdir(tmp_path)


def check(capsys: Any, *flags: str) -> Any:
    code = cli.main(["check", *flags])
    return code, capsys.readouterr().out


def test_everything_in_order_is_said_line_by_line(capsys: Any, tmp_path: Path) -> None:
    cert, key = Authority().leaf("localhost").write(tmp_path, "server")
    (tmp_path / "tokens").write_text(tokens.new_token("web")[1])
    (tmp_path / "policy").write_text("version: 1\ncallers: {}")
    (tmp_path / "webhooks").write_text("whsec_" + "1" * 24)
    flags = ["--tls-cert-file", str(cert), "--tls-key-file", str(key), "--token-file", "tokens"]
    flags += ["--stripe-webhook-secrets-file", "webhooks"]
    with FakeStripe() as fake:
        code, told = check(capsys, "--stripe", fake.url, "--policy-file", "policy", *flags)

    assert (code, told.splitlines()[:2]) == (
        0,
        [
            "ok   files: TLS, 1 webhook secret(s), 1 token(s), policy of 0 caller(s)",
            "ok   ledger: not there yet: made when the server starts",
        ],
    )
    assert "takes the key, test mode" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "policy",
        "server.crt",
        "server.key",
        "tokens",
        "webhooks",
    ]


def test_each_thing_that_is_wrong_is_told(capsys: Any, tmp_path: Path) -> None:
    cert, _ = Authority().leaf("localhost").write(tmp_path, "server")
    _, other = Authority().leaf("localhost").write(tmp_path, "other")
    (tmp_path / "ledger.db").write_bytes(b"no database " * 100)
    flags = ["--tls-cert-file", str(cert), "--tls-key-file", str(other), "--ledger", "sqlite:///ledger.db", "--json"]

    code, told = check(capsys, "--stripe", "http://127.0.0.1:1", *flags)

    found = json.loads(told)
    assert (code, [finding["good"] for finding in found.values()]) == (1, [False, False, False])
    assert "certificate and key cannot be used together" in found["files"]["text"]
    assert "not a database" in found["ledger"]["text"]
    assert "cannot be reached" in found["stripe"]["text"]


def test_a_key_that_stripe_does_not_know_is_told(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloneservice_server.ports import Refused
    from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

    async def refuse(*_: Any, **__: Any) -> Any:
        raise Refused(401, "invalid_request_error")

    monkeypatch.setattr(SdkStripeGateway, "send", refuse)
    code, told = check(capsys)

    assert (code, "FAIL stripe: https://api.stripe.com does not take the key (401)" in told) == (1, True)


def test_settings_that_cannot_be_used_are_code_2(capsys: Any) -> None:
    assert check(capsys, "--workers", "2")[0] == 2


def test_the_page_of_settings_is_the_one_in_the_docs() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == page(), "run `make generate`"


def test_a_token_is_shown_once_with_its_line(capsys: Any) -> None:
    codes = [cli.main(["token", "web", "--json"]), cli.main(["token", "a b"])]
    made = json.loads(capsys.readouterr().out)

    assert (codes, tokens.parse(made["line"].encode()).name_of(made["token"])) == ([0, 2], "web")


def test_the_tokens_of_the_admin_page_are_checked_too(capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "admin").write_text(tokens.new_token("oncall")[1])
    flags = ["--stripe", "fake", "--admin-listen", "127.0.0.1:0", "--admin-token-file"]
    good, told = check(capsys, *flags, "admin")
    (tmp_path / "admin").write_text("oncall cst_in_plain_text")
    bad, refused = check(capsys, *flags, "admin")

    assert (good, bad) == (0, 1)
    assert "1 token(s) of the admin page" in told
    assert "FAIL files: --admin-token-file: admin: line 1 is not `NAME sha256:HEX`" in refused
    assert "in_plain_text" not in refused
