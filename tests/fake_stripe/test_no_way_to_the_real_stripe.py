"""A live key, or an address of the real Stripe, is refused wherever it could be configured, and never shown."""

import orjson
import pytest
from fake_stripe.asgi import Asgi
from fake_stripe.cli import main
from fake_stripe.live import is_live, leads_to_stripe, live_configuration
from fake_stripe.wire import Request

from fake_stripe import FakeStripe
from tests.fake_stripe.stripe_calls import Api

SECRET = "4eC39HqLyjWDarjtT1zdp7dc"
LIVE = [f"{kind}_live_{SECRET}" for kind in ("sk", "rk", "pk")]


@pytest.mark.parametrize("key", LIVE)
def test_a_live_key_is_found_wherever_it_stands_in_a_text(key: str) -> None:
    assert is_live(key)
    assert is_live(f"postgres://u:{key}@db/x")
    assert is_live(f'{{"key":"{key}"}}')


def test_what_only_looks_like_one_is_none() -> None:
    for text in ("sk_test_abc", "sk_live_fake_shop", "task_live_update", "sk_live_", "live"):
        assert not is_live(text)


@pytest.mark.parametrize(
    ("address", "real"),
    [
        ("https://api.stripe.com", True),
        ("https://API.stripe.com./v1", True),
        ("api.stripe.com:443", True),
        ("https://files.stripe.com", True),
        ("https://user@connect.stripe.com/oauth", True),
        ("https://stripe.com", True),
        ("http://127.0.0.1:12111", False),
        ("https://api.stripe.com.example", False),
        ("https://notstripe.com", False),
        ("http://[broken", False),
    ],
)
def test_an_address_of_stripe_is_known_by_its_host(address: str, real: bool) -> None:
    assert leads_to_stripe(address) is real


@pytest.mark.parametrize(
    ("environment", "arguments", "why"),
    [
        ({"PAYMENTS_KEY": LIVE[0]}, [], "PAYMENTS_KEY holds a live-mode key"),
        ({"CLONESERVICE_STRIPE_API_BASE": "https://api.stripe.com"}, [], "API_BASE leads to the real Stripe"),
        ({"STRIPE_HOST": "api.stripe.com"}, [], "STRIPE_HOST leads to the real Stripe"),
        ({}, ["serve", LIVE[1]], "an argument holds a live-mode key"),
        ({}, ["https://api.stripe.com"], "an argument leads to the real Stripe"),
        ({"STRIPE_API_KEY": "sk_test_x", "STRIPE_DOCS": "https://docs.stripe.com", "HOME": "/x"}, ["serve"], ""),
    ],
)
def test_a_configuration_is_refused_for_what_is_live_in_it_without_showing_it(
    environment: dict[str, str], arguments: list[str], why: str
) -> None:
    found = live_configuration(environment, arguments)
    assert found.endswith(why)
    assert bool(found) is bool(why)
    assert SECRET not in found


@pytest.mark.parametrize("arguments", [["--seed", LIVE[0]], ["--host", "api.stripe.com"], ["--cert", f"/{LIVE[2]}"]])
def test_the_command_does_not_start_with_it_in_any_argument(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.environ", {})
    assert main(["serve", "--port", "0", *arguments]) == 2
    said = capsys.readouterr().err
    assert "refusing to start: an argument" in said
    assert SECRET not in said


def test_replay_does_not_go_to_any_host_of_stripe(capsys: pytest.CaptureFixture[str]) -> None:
    for base in ("https://api.stripe.com", "https://files.stripe.com.", "https://API.STRIPE.COM"):
        assert main(["replay", "x", "--base-url", base]) == 2
        assert "refusing to replay against the real Stripe" in capsys.readouterr().err


def test_a_double_is_not_made_with_a_live_key() -> None:
    with pytest.raises(ValueError, match="no place in a test double") as refused:
        FakeStripe(api_key=LIVE[0])
    assert SECRET not in str(refused.value)


def test_an_asgi_server_does_not_load_it_beside_a_live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", LIVE[0])
    with pytest.raises(ValueError, match="STRIPE_SECRET_KEY holds a live-mode key") as refused:
        Asgi(FakeStripe())
    assert SECRET not in str(refused.value)


def test_a_seed_with_a_live_key_in_it_is_refused() -> None:
    api = Api()
    calls = [{"path": "/v1/customers", "params": {"metadata": {"key": LIVE[0]}}}]
    headers = {b"authorization": b"Bearer sk_test_calls", b"content-type": b"application/json"}
    request = Request("POST", "/_fake/seed", headers=headers, body=orjson.dumps({"calls": calls}))
    answer = api.fake.handle(request)
    assert answer.status == 400
    assert b"holds a live-mode key" in answer.body
    assert SECRET.encode() not in answer.body
    assert api.get("/v1/customers")["data"] == []


@pytest.mark.parametrize("url", ["https://api.stripe.com/v1/customers", "https://hooks.stripe.com/x"])
def test_no_webhook_is_ever_sent_to_stripe(url: str) -> None:
    api = Api()
    error = api.refused(400, "POST", "/v1/webhook_endpoints", url=url, enabled_events=["*"])
    assert (error["code"], error["param"]) == ("url_invalid", "url")
    made = api.post("/v1/webhook_endpoints", url="https://shop.example/hook", enabled_events=["*"])
    api.refused(400, "POST", f"/v1/webhook_endpoints/{made['id']}", url=url)
