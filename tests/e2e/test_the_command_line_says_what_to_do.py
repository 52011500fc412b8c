"""`cloneservice`: tables for people, JSON for programs, one clear line and an exit code for what goes wrong."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from cloneservice.cli import main
from cloneservice_server.app import App

from tests.stripe_http import StripeHttp


class Shell:
    """Runs the command against the test's server, in this process."""

    def __init__(self, app: App, capsys: pytest.CaptureFixture[str]) -> None:
        self._target = f"127.0.0.1:{app.port}"
        self._capsys = capsys

    async def __call__(self, *words: str) -> tuple[int, str, str]:
        """(exit code, standard output, standard error)."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(main, ["--target", self._target, *words])
        told = self._capsys.readouterr()
        return code, told.out, told.err


@pytest.fixture
def shell(app: App, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(app, capsys)


CHARGE = ("--amount", "1999", "--currency", "usd")


async def test_clone_attach_and_charge_step_by_step(shell: Shell, stripe: StripeHttp) -> None:
    account, customer = stripe.connected_account(), stripe.post("/v1/customers")["id"]
    saved = await shell("--json", "save", "pm_card_visa", "--customer", customer, "--set-default")
    assert saved[0] == 0, saved
    cloned = await shell("--json", "clone", "--customer", customer, "--account", account, "--attach")
    clone_id = json.loads(cloned[1])["clone"]["clone_id"]
    charged = await shell("--json", "charge", "--clone", clone_id, *CHARGE)

    assert json.loads(charged[1])["charge"]["state"] == "succeeded"
    assert len(stripe.succeeded_charges(account)) == 1


async def test_the_same_request_id_charges_once(shell: Shell, stripe: StripeHttp) -> None:
    account, (customer, _) = stripe.connected_account(), stripe.saved_card()
    words = ("--json", "clone-and-charge", "--customer", customer, "--account", account, *CHARGE)
    request_id = str(uuid.uuid4())
    first = await shell(*words, "--request-id", request_id)
    again = await shell(*words, "--request-id", request_id)
    looked_up = await shell("--json", "lookup", request_id)

    assert json.loads(first[1])["charge"] == json.loads(again[1])["charge"]
    assert json.loads(looked_up[1])["state"] == "succeeded"
    assert len(stripe.succeeded_charges(account)) == 1


async def test_lists_are_tables_for_people_and_lines_for_programs(shell: Shell, stripe: StripeHttp) -> None:
    account, (customer, _) = stripe.connected_account(), stripe.saved_card()
    await shell("clone-and-charge", "--customer", customer, "--account", account, *CHARGE)
    _, table, _ = await shell("charges", "list", "--customer", customer)
    _, lines, _ = await shell("--json", "charges", "list", "--customer", customer)
    _, clones, _ = await shell("--json", "clones", "list", "--customer", customer)

    assert table.splitlines()[0].split()[:2] == ["CHARGE", "STATE"]
    assert [json.loads(line)["amount"] for line in lines.splitlines()] == [
        {"minor_units": 1999, "currency_code": "USD"}
    ]
    assert [json.loads(line)["connected_account_id"] for line in clones.splitlines()] == [account]


async def test_a_decline_is_one_line_and_its_own_exit_code(shell: Shell, stripe: StripeHttp) -> None:
    account, (customer, _) = stripe.connected_account(), stripe.saved_card("pm_card_chargeCustomerFail")
    code, out, err = await shell("clone-and-charge", "--customer", customer, "--account", account, *CHARGE)

    assert (code, out) == (3, "")
    assert err.startswith("error: CARD_DECLINED: ")
    assert "hint: no money moved" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("charges", "get", "chg_00000000-0000-0000-0000-000000000000"), 4, "RESOURCE_NOT_FOUND"),
        (("clone-and-charge", "--customer", "me", "--account", "acct_1", *CHARGE), 2, "platform_customer_id"),
        (("lookup", "not-a-uuid"), 2, "request_id"),
    ],
)
async def test_mistakes_are_named(shell: Shell, words: tuple[str, ...], code: int, says: str) -> None:
    exit_code, _, err = await shell(*words)

    assert exit_code == code, err
    assert says in err
    assert "Traceback" not in err


async def test_client_secrets_are_shown_only_when_asked_for(shell: Shell, stripe: StripeHttp) -> None:
    account, (customer, _) = stripe.connected_account(), stripe.saved_card("pm_card_authenticationRequired")
    words = ("--json", "clone-and-charge", "--customer", customer, "--account", account, *CHARGE)
    request_id = ("--request-id", str(uuid.uuid4()))
    _, hidden, _ = await shell(*words, *request_id)
    _, shown, _ = await shell("--show-secrets", *words, *request_id)

    assert "_secret_" not in hidden
    assert "_secret_" in shown


def test_a_service_that_is_not_there_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--target", "127.0.0.1:1", "--timeout", "2", "charges", "list", "--customer", "cus_1"])
    err = capsys.readouterr().err

    assert code == 5
    assert "hint: is the service at 127.0.0.1:1" in err
