"""Where settings come from, and what is refused with which advice."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from cloneservice_server.settings import Address, Settings, SettingsError, load, parse_address, secrets_in

TEST_KEY = "sk_test_" + "1" * 24
LIVE_KEY = "sk_" + "live_" + "1" * 24  # in two parts, so that no scanner takes it for a real one
WITH_KEY = {"STRIPE_API_KEY": TEST_KEY}


def problems(flags: Any, environ: Any) -> Any:
    with pytest.raises(SettingsError) as caught:
        load(flags, environ)
    return "\n".join(caught.value.problems)


def test_a_test_key_is_all_that_is_needed() -> None:
    settings = load({}, WITH_KEY)

    assert (settings.address, settings.ledger, settings.stripe_url, settings.livemode, settings.fake) == (
        Address("127.0.0.1", 50051),
        "sqlite:///cloneservice.db",
        "https://api.stripe.com",
        False,
        False,
    )


def test_a_live_key_alone_decides_for_live_mode() -> None:
    assert load({}, {"STRIPE_API_KEY": LIVE_KEY}).livemode


def test_flags_win_over_the_environment_and_that_over_defaults() -> None:
    environ = {**WITH_KEY, "CLONESERVICE_LISTEN": "0.0.0.0:1", "CLONESERVICE_LOG_FORMAT": "json"}

    settings = load({"listen": "[::1]:0", "log_level": None}, environ)

    assert (settings.address, settings.log_format, settings.log_level) == (Address("::1", 0), "json", "info")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), ("ON", True), ("no", False)])
def test_booleans_come_from_the_environment_in_words(text: str, value: bool) -> None:
    assert load({}, {**WITH_KEY, "CLONESERVICE_REFLECTION": text}).reflection is value


def test_an_empty_variable_is_not_set() -> None:
    assert load({}, {**WITH_KEY, "CLONESERVICE_LISTEN": ""}).listen == "127.0.0.1:50051"


def test_no_key_says_how_to_give_one() -> None:
    assert "set STRIPE_API_KEY or give --stripe-api-key-file FILE" in problems({}, {})


def test_the_key_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(TEST_KEY + "\n")

    assert load({"stripe_api_key_file": str(path)}, {}).stripe_api_key == TEST_KEY


def test_two_keys_are_refused_rather_than_one_ignored(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(TEST_KEY)

    assert "both given" in problems({"stripe_api_key_file": str(path)}, WITH_KEY)


def test_a_key_file_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    told = problems({"stripe_api_key_file": str(tmp_path / "none")}, {})

    assert (told.count("\n"), "cannot read" in told, "No such file" in told) == (0, True, True)


def test_a_key_in_a_setting_is_refused_and_not_repeated() -> None:
    told = problems({"stripe": LIVE_KEY}, WITH_KEY)

    assert ("--stripe holds a key" in told, LIVE_KEY in told) == (True, False)


@pytest.mark.parametrize("argument", [TEST_KEY, LIVE_KEY, f"--key={TEST_KEY}", "rk_test_abcd", "whsec_abcdef"])
def test_a_key_on_the_command_line_is_noticed(argument: Any) -> None:
    assert secrets_in(["serve", argument])


def test_flags_without_a_key_are_not_taken_for_one() -> None:
    assert not secrets_in(
        ["serve", "--ledger", "sqlite:///risk_lives.db", "--stripe-api-key-file", "/run/secrets/sk_key"]
    )


@pytest.mark.parametrize(
    ("stripe", "key", "advice"),
    [
        ("live", TEST_KEY, "--stripe live needs a live key"),
        ("test", LIVE_KEY, "--stripe test needs a test key"),
        ("fake", LIVE_KEY, "--stripe fake and a live Stripe key"),
        ("http://127.0.0.1:12111", LIVE_KEY, "live Stripe key is sent to https://api.stripe.com only"),
        ("https://stripe.example", LIVE_KEY, "live Stripe key is sent to https://api.stripe.com only"),
        ("https://api.stripe.com.evil.example", LIVE_KEY, "live Stripe key is sent to https://api.stripe.com only"),
        ("sandbox", TEST_KEY, "--stripe must be live, test, fake or a URL"),
        ("ftp://host", TEST_KEY, "must begin with https://"),
        ("", "pk_test_" + "1" * 24, "must be a secret key"),
        ("", "hunter2", "must be a secret key"),
    ],
)
def test_a_key_that_does_not_go_with_the_mode_is_refused_and_not_repeated(stripe: str, key: Any, advice: str) -> None:
    told = problems({"stripe": stripe}, {"STRIPE_API_KEY": key})

    assert (advice in told, key in told) == (True, False)


def test_fake_is_never_the_default() -> None:
    assert not Settings().fake


def test_the_fake_needs_no_key_and_keeps_its_ledger_in_memory() -> None:
    settings = load({"stripe": "fake"}, {})

    assert (settings.fake, settings.ledger) == (True, "sqlite://:memory:")


def test_the_fake_takes_a_ledger_that_is_named() -> None:
    assert load({"stripe": "fake", "ledger": "sqlite:///x.db"}, {}).ledger == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("flag", "value", "advice"),
    [
        ("listen", "50051", "--listen must be host:port"),
        ("listen", "host:99999", "--listen must be host:port"),
        ("listen", ":1", "--listen must be host:port"),
        ("ledger", "mysql://x", "--ledger must be sqlite:///PATH"),
        ("max_concurrent_rpcs", "0", "must be a whole number between 1 and 100000"),
        ("max_concurrent_rpcs", "many", "must be a whole number between"),
        ("shutdown_grace_s", "-1", "must be a whole number between 0 and 3600"),
        ("log_format", "xml", "must be one of json, text"),
        ("log_level", "loud", "must be one of debug, info, warning, error"),
        ("reflection", "maybe", "must be true or false"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_can(flag: str, value: str, advice: str) -> None:
    assert advice in problems({flag: value}, WITH_KEY)


def test_everything_wrong_is_told_at_once() -> None:
    told = problems({"listen": "x", "log_level": "y", "ledger": "z"}, {})

    assert len(told.splitlines()) == 4


def test_settings_do_not_show_their_secrets() -> None:
    shown = repr(load({}, {**WITH_KEY, "CLONESERVICE_PAGE_TOKEN_KEY": "hush-hush"}))

    assert (TEST_KEY in shown, "hush-hush" in shown) == (False, False)


def test_replicas_with_the_same_stripe_key_sign_page_tokens_alike_and_not_with_the_key_itself() -> None:
    one, two = load({}, WITH_KEY), load({"listen": "[::]:1"}, WITH_KEY)

    assert one.page_token_secret == two.page_token_secret != TEST_KEY.encode()


def test_a_page_token_key_of_ones_own_is_used() -> None:
    assert load({}, {**WITH_KEY, "CLONESERVICE_PAGE_TOKEN_KEY": "k"}).page_token_secret == b"k"


@pytest.mark.parametrize("text", ["127.0.0.1:0", "[::1]:50051", "localhost:65535"])
def test_an_address_reads_back_as_it_was_written(text: str) -> None:
    assert str(parse_address(text)) == text


def test_each_setting_is_described() -> None:
    undescribed = [one.name for one in dataclasses.fields(Settings) if "help" not in one.metadata and one.repr]

    assert undescribed == []


@pytest.mark.parametrize(
    ("text", "loopback"), [("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("0.0.0.0:1", False)]
)
def test_only_loopback_is_private(text: str, loopback: bool) -> None:
    assert parse_address(text).is_loopback is loopback


# ----------------------------------------------------------------------------------------------------------- the file


def test_the_file_is_below_flags_and_environment(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('listen = "0.0.0.0:1"\nlog_format = "json"\nmax_deadline_s = 7\nreflection = true\n')
    environ = {**WITH_KEY, "CLONESERVICE_CONFIG": str(path), "CLONESERVICE_LOG_FORMAT": "text"}

    settings = load({"listen": "127.0.0.1:2"}, environ)

    assert (settings.listen, settings.log_format, settings.max_deadline_s, settings.reflection) == (
        "127.0.0.1:2",
        "text",
        7,
        True,
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lisen = 'x'", "lisen is not a setting; did you mean listen?"),
        ("stripe_api_key = 'x'", "stripe_api_key is not a setting"),
        ("shared_port = true", "shared_port is not a setting"),
        ("listen = ", "is not TOML"),
        ("max_deadline_s = 'long'", "must be a whole number between"),
        (f"ledger = '{TEST_KEY}'", "holds a key"),
    ],
)
def test_a_file_that_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)

    found = problems({"config": str(path)}, WITH_KEY)

    assert told in found
    assert TEST_KEY not in found


def test_reflection_is_on_for_this_machine_only_unless_asked_for() -> None:
    answers = [
        load({"listen": listen, "reflection": asked}, WITH_KEY).serves_reflection
        for listen in ("127.0.0.1:1", "0.0.0.0:1")
        for asked in (None, True, False)
    ]

    assert answers == [True, True, False, False, True, False]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"tls_cert_file": "x"}, "go together"),
        ({"tls_client_ca_file": "x"}, "needs --tls-cert-file"),
        ({"trusted_proxy": ["envoy"]}, "must be spiffe://..., dns:NAME or loopback, not 'envoy'"),
        ({"batch_retention_days": 29}, "must not be less than --request-retention-days"),
        ({"admin_listen": "x"}, "--admin-listen must be host:port"),
        ({"channelz_listen": "x"}, "--channelz-listen must be host:port"),
    ],
)
def test_settings_that_do_not_go_are_told(flags: Any, told: str) -> None:
    assert told in problems(flags, WITH_KEY)


def test_trusted_proxies_may_be_repeated_or_listed() -> None:
    settings = load({"trusted_proxy": ["spiffe://a/b", "dns:envoy , loopback"]}, WITH_KEY)

    assert settings.trusted_proxies == {"spiffe://a/b", "dns:envoy", "loopback"}
