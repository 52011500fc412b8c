"""What a stranger gets wrong in the first hour is answered with what to do, and never with the secret itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice_server import cli
from cloneservice_server.domain.errors import InvalidRequest
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import LedgerUnavailable
from cloneservice_server.rpc.validate import check
from cloneservice_server.settings import SettingsError, load, mistyped

from tests.virtual_clock import VirtualClock

LIVE_KEY = "sk_" + "live_" + "1" * 24  # in two parts, so that no scanner takes it for a real one


def refused(**environ: str) -> str:
    with pytest.raises(SettingsError) as refusal:
        load({}, environ)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("pk_test_" + "1" * 24, "this is a publishable key (pk_...), which browsers use"),
        ("whsec_" + "1" * 24, "which belongs into STRIPE_WEBHOOK_SECRETS"),
        ('"sk_test_' + "1" * 24 + '"', "leave out the quotation marks"),
        ("sk_test_...", "is a placeholder: put a test key of your platform there"),
        ("sk_test_1 2", "and nothing else"),
        ("hello", "must be a secret key (sk_...) or a restricted key (rk_...)"),
    ],
)
def test_what_is_no_key_is_told_by_its_kind(key: str, says: str) -> None:
    told = refused(STRIPE_API_KEY=key)

    assert says in told
    assert "1" * 24 not in told


def test_white_space_around_a_key_does_no_harm() -> None:
    assert load({}, {"STRIPE_API_KEY": " sk_test_1\r\n"}).stripe_api_key == "sk_test_1"


@pytest.mark.parametrize("name", ["CLONESERVICE_STRIPE_API_KEY", "STRIPE_SECRET_KEY", "STRIPE_KEY"])
def test_a_key_under_another_name_is_told_to_be_unread(name: str) -> None:
    assert f"set STRIPE_API_KEY ({name} is not read)" in refused(**{name: "sk_test_1"})


def test_a_mistyped_variable_is_told_and_a_cluster_s_own_are_not() -> None:
    variables = {
        "CLONESERVICE_LISTNE": "127.0.0.1:0",
        "CLONESERVICE_LISTEN": "127.0.0.1:0",
        "CLONESERVICE_TOKEN": "a client's",
        "CLONESERVICE_SERVICE_PORT": "50051",
        "CLONESERVICE_PORT_50051_TCP": "tcp://[::1]:50051",
        "LISTEN": "",
    }

    assert mistyped(variables) == ["CLONESERVICE_LISTNE is not a setting; did you mean CLONESERVICE_LISTEN?"]


def test_the_server_for_tests_refuses_a_live_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", LIVE_KEY)
    code = cli.main(["dev"])
    told = capsys.readouterr().err

    assert (code, "holds a live key: unset it" in told, LIVE_KEY in told) == (2, True, False)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing/ledger.db", "there is no directory {folder}/missing; make it, or name another file"),
        ("", "it is a directory; name a file in it"),
    ],
)
async def test_a_ledger_that_cannot_be_is_told_with_what_to_do(tmp_path: Path, path: str, says: str) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / path}", VirtualClock())
    with pytest.raises(LedgerUnavailable) as unavailable:
        await ledger.open()

    assert says.format(folder=tmp_path) in str(unavailable.value)
    assert list(tmp_path.parent.glob(f"{tmp_path.name}-lock")) == []


async def test_a_ledger_of_the_other_mode_is_told_with_what_to_do(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", VirtualClock())
    await ledger.open()
    await ledger.bind("one", livemode=True)
    with pytest.raises(ValueError, match="take the other key, or keep a ledger for each mode"):
        await ledger.bind("two", livemode=False)
    await ledger.aclose()


@pytest.mark.parametrize("amount", [0, -5, 100_000_000])
def test_an_amount_out_of_range_is_told_with_the_range(amount: int) -> None:
    request = pb.CloneAndChargeRequest()
    request.charge.amount.minor_units = amount
    with pytest.raises(InvalidRequest) as refusal:
        check(request)
    told = {violation.field: violation.description for violation in refusal.value.violations}

    assert told["charge.amount.minor_units"] == "must be between 1 and 99999999, in the currency's smallest unit"
