"""The doors: pytest fixtures, the SDK without a socket, sandboxes, replay and coverage on the command line."""

import asyncio
import http.client
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import stripe
from fake_stripe.cli import main
from fake_stripe.ids import derived
from fake_stripe.sandbox import Sandbox
from fake_stripe.sdk import in_process_client
from fake_stripe.wire import Request

from fake_stripe import FakeStripe
from tests.fake_stripe.stripe_calls import SELLER

pytest_plugins = ["pytester"]
SEEN: list[str] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_has_a_world_of_its_own(fake_stripe: Sandbox, turn: int) -> None:
    client = fake_stripe.stripe_client()
    assert client.v1.customers.list().data == []
    SEEN.append(client.v1.customers.create().id)
    assert len(set(SEEN)) == len(SEEN)


def test_the_url_fixture_serves_the_same_world_over_http(fake_stripe: Sandbox, fake_stripe_url: str) -> None:
    made = fake_stripe.stripe_client().v1.customers.create(params={"email": "a@b.co"})
    parts = urlsplit(fake_stripe_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", f"/v1/customers/{made.id}", headers={"Authorization": f"Bearer {fake_stripe.api_key}"})
    assert orjson.loads(connection.getresponse().read())["email"] == "a@b.co"
    connection.close()


def test_the_fixtures_are_there_without_being_asked_for_by_import(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        ids = []

        def test_one(fake_stripe, fake_stripe_url):
            assert fake_stripe_url.startswith("http://127.0.0.1:")
            ids.append(fake_stripe.api_key)

        def test_two(fake_stripe):
            assert fake_stripe.api_key not in ids
        """
    )
    entry_point = [] if "fake_stripe" in _entry_points() else ["-p", "fake_stripe.pytest_plugin"]
    pytester.runpytest_subprocess(*entry_point, "-p", "no:cacheprovider").assert_outcomes(passed=2)


def _entry_points() -> set[str]:
    from importlib.metadata import entry_points

    return {found.name for found in entry_points(group="pytest11")}


# ---- the SDK


def test_the_sdk_clones_and_charges_without_a_socket(fake_stripe: Sandbox) -> None:
    fake_stripe.world.connect(SELLER)
    client = fake_stripe.stripe_client()
    shopper = client.v1.customers.create()
    card = client.v1.payment_methods.attach("pm_card_visa", params={"customer": shopper.id})
    there = {"stripe_account": SELLER}
    clone = client.v1.payment_methods.create(params={"customer": shopper.id, "payment_method": card.id}, options=there)
    paid = client.v1.payment_intents.create(
        params={
            "amount": 1500,
            "currency": "usd",
            "payment_method": clone.id,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
        },
        options=there,
    )
    assert paid.status == "succeeded"
    assert paid.last_response.headers["Stripe-Account"] == SELLER


def test_the_sdks_errors_are_its_own(fake_stripe: Sandbox) -> None:
    client = fake_stripe.stripe_client()
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.customers.retrieve("cus_nobody")
    assert (missing.value.code, missing.value.param) == ("resource_missing", "id")
    declined = {"payment_method": "pm_card_visa_chargeDeclined"}
    with pytest.raises(stripe.CardError) as refusal:
        client.v1.customers.create(params=declined)
    assert refusal.value.code == "card_declined"


def test_the_sdks_own_retry_survives_a_dropped_answer_and_charges_once(fake_stripe: Sandbox) -> None:
    fake_stripe.fault("commit_then_drop", match={"path": "/v1/customers"})
    client = fake_stripe.stripe_client(max_network_retries=1)
    made = client.v1.customers.create(params={"email": "a@b.co"})
    assert [found.id for found in client.v1.customers.list().data] == [made.id]
    assert [call["idempotent_replayed"] for call in fake_stripe.journal[:2]] == [False, True]


def test_without_retries_a_dropped_answer_is_a_connection_error(fake_stripe: Sandbox) -> None:
    for act in ("drop_before", "reset_mid_body"):
        fake_stripe.fault(act)
        with pytest.raises(stripe.APIConnectionError):
            fake_stripe.stripe_client(max_network_retries=0).v1.customers.create()


async def test_the_sdk_works_asynchronously_too(fake_stripe: Sandbox) -> None:
    fake_stripe.fault("lock_timeout")
    fake_stripe.fault(latency=0.001)
    client = fake_stripe.stripe_client(max_network_retries=1)
    made = await asyncio.gather(*(client.v1.customers.create_async() for _ in range(3)))
    assert len({found.id for found in made}) == 3


def test_a_sandbox_is_made_for_any_key_of_a_double() -> None:
    fake = FakeStripe(seed="s")
    assert stripe.StripeClient("sk_test_a", http_client=in_process_client()(fake)).v1.customers.create().id
    sandbox = Sandbox(fake, "sk_test_a")
    sandbox.freeze(1_800_000_000)
    sandbox.snapshot()
    sandbox.stripe_client().v1.customers.create()
    assert sandbox.advance(60) == 0
    assert sandbox.settle() == 0
    assert [event["type"] for event in sandbox.events()] == ["customer.created"] * 2
    sandbox.restore()
    assert len(sandbox.events("customer.created")) == 1
    sandbox.policy(raw_card_numbers="refused")
    assert sandbox.world.policy("").raw_card_numbers == "refused"
    sandbox.fault("drop_before")
    sandbox.clear_faults()
    sandbox.reset(seed="t")
    assert sandbox.journal == []


# ---- the command line


def journal_of(*calls: tuple[str, str, str]) -> bytes:
    fake = FakeStripe()
    headers = {b"authorization": b"Bearer sk_test_first", b"content-type": b"application/x-www-form-urlencoded"}
    made = ""
    for method, path, body in calls:
        answer = fake.handle(Request(method, path.replace("$", made), headers=headers, body=body.encode()))
        made = orjson.loads(answer.body).get("id", made)
    return fake.handle(Request("GET", "/_fake/journal", query=b"replayable=true", headers=headers)).body


def test_a_journal_is_replayed_under_the_ids_of_the_second_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "journal.json"
    card = "type=card&card[number]=4242424242424242&card[exp_month]=1&card[exp_year]=2040&card[cvc]=123"
    file.write_bytes(
        journal_of(
            ("POST", "/v1/payment_methods", card),
            ("GET", "/v1/payment_methods/$", ""),
            ("POST", "/v1/customers", "email=a%40b.co"),
            ("POST", "/v1/customers/$", "name=x"),
            ("GET", "/v1/nothing", ""),
        )
    )
    assert main(["replay", str(file)]) == 0
    assert capsys.readouterr().out == "5 of 5 calls ended as they did then\n"


def test_a_call_that_ends_differently_is_named_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "recording.jsonl"
    exchange: dict[str, object] = {
        "method": "GET",
        "path": "/v1/account",
        "account": None,
        "params": [],
        "status": 403,
        "body": {},
    }
    file.write_bytes(orjson.dumps({"cassette": "x", "exchanges": [exchange]}) + b"\n")
    assert main(["replay", str(file)]) == 1
    assert capsys.readouterr().out.startswith("1: GET /v1/account answered 403 then, 200 now\n")


def test_a_masked_journal_and_a_strange_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "journal.json"
    for text in ('{"calls": [{"status": 200}]}', '{"x": 1}', "not json"):
        file.write_text(text)
        assert main(["replay", str(file)]) == 2
        assert "cannot replay" in capsys.readouterr().err


def test_replaying_against_the_real_stripe_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "x", "--base-url", "https://api.stripe.com"]) == 2
    assert main(["replay", "x", "--api-key", "sk_live_" + "abc"]) == 2
    assert capsys.readouterr().err.count("refusing to replay") == 2


@pytest.mark.parametrize("flag", ["", "--json", "--markdown"])
def test_coverage_lists_every_operation(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", *([flag] if flag else [])]) == 0
    text = capsys.readouterr().out
    assert "/v1/payment_methods/{payment_method}/attach" in text
    assert "operations are modelled" in text or '"modelled": ' in text


def test_two_workers_of_xdist_share_nothing_and_ids_are_the_same_on_every_run(tmp_path: Path) -> None:
    suite = tmp_path / "test_shop.py"
    suite.write_text(
        "import json, os, urllib.request\n"
        "import pytest\n\n"
        "@pytest.mark.parametrize('number', range(6))\n"
        "def test_shop(fake_stripe, fake_stripe_url, number):\n"
        "    headers = {'Authorization': f'Bearer {fake_stripe.api_key}'}\n"
        "    asked = urllib.request.Request(fake_stripe_url + '/v1/customers', b'', headers)\n"
        "    made = json.load(urllib.request.urlopen(asked))['id']\n"
        "    assert [e['data']['object']['id'] for e in fake_stripe.events()] == [made]\n"
        "    open(f'{os.environ[\"SEEN\"]}-{number}', 'w').write(made)\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "SEEN": str(tmp_path / "id")}
    flags = ["-q", "-p", "no:cacheprovider", "-n", "2", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *flags, str(suite)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    seen = [(tmp_path / f"id-{number}").read_text(encoding="utf-8") for number in range(6)]
    assert seen == [id_of_the_first_customer(f"test_shop.py::test_shop[{number}]") for number in range(6)]
    assert len(set(seen)) == 6


def id_of_the_first_customer(test: str) -> str:
    """What the plugin promises: the ids of a test's world follow from the test's name alone."""
    fake = FakeStripe(api_key="sk_test_test" + derived(test, 20))
    sandbox = Sandbox(fake, fake.api_key)
    sandbox.reset(seed=test)
    return str(sandbox.stripe_client().v1.customers.create().id)
