"""3DS: what a shopper is asked, and how a payment goes on after the answer."""

import urllib.parse
from typing import Any

import pytest
from fake_stripe.objects import authentication
from fake_stripe.wire import Request

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

INTENTS = "/v1/payment_intents"
BACK = "https://shop.example/done"


@pytest.fixture
def api() -> Api:
    return Api()


def challenged(api: Api, account: str | None = None, **params: Any) -> Wire:
    given: Wire = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    made = api.post(INTENTS, account=account, payment_method="pm_card_threeDSecure2Required", **{**given, **params})
    assert made["status"] == "requires_action"
    return made


def resolve(api: Api, made: Wire, outcome: str = "succeeded", account: str | None = None) -> Wire:
    return authentication.resolve(api.world.scope(account or api.world.platform, livemode=False), made["id"], outcome)


def test_row_on_session_without_return_url_is_for_the_sdk(api: Api) -> None:
    made = challenged(api)
    assert made["next_action"]["type"] == "use_stripe_sdk"
    assert made["next_action"]["use_stripe_sdk"]["type"] == "stripe_3ds2_fingerprint"
    assert made["latest_charge"] is None
    assert made["payment_method"].startswith("pm_")


def test_row_on_session_with_return_url_redirects(api: Api) -> None:
    action = challenged(api, return_url=BACK)["next_action"]
    assert action["type"] == "redirect_to_url"
    assert action["redirect_to_url"]["return_url"] == BACK
    assert "/_fake/authenticate/pi_" in action["redirect_to_url"]["url"]


def test_row_3155_not_set_up_cloned_and_confirmed_on_session_requires_action(api: Api) -> None:
    customer, original = api.saved_card("pm_card_authenticationRequiredOnSetup")
    clone = api.post("/v1/payment_methods", account=SELLER, customer=customer, payment_method=original)["id"]
    given: Wire = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    assert api.post(INTENTS, account=SELLER, payment_method=clone, **given)["status"] == "requires_action"


def test_row_after_authentication_an_automatic_intent_goes_on_by_itself(api: Api) -> None:
    made = resolve(api, challenged(api))
    charge = api.get(f"/v1/charges/{made['latest_charge']}")
    assert (made["status"], made["next_action"]) == ("succeeded", None)
    assert charge["payment_method_details"]["card"]["three_d_secure"]["result"] == "authenticated"


def test_row_after_authentication_manual_confirmation_is_asked_for_again(api: Api) -> None:
    made = resolve(api, challenged(api, confirmation_method="manual"))
    assert made["status"] == "requires_confirmation"
    assert api.post(f"{INTENTS}/{made['id']}/confirm")["status"] == "succeeded"


def test_after_authentication_manual_capture_holds(api: Api) -> None:
    assert resolve(api, challenged(api, capture_method="manual"))["status"] == "requires_capture"


@pytest.mark.parametrize("outcome", ["failed", "canceled"])
def test_row_failed_authentication(api: Api, outcome: str) -> None:
    made = resolve(api, challenged(api), outcome)
    assert made["status"] == "requires_payment_method"
    assert made["payment_method"] is None
    assert made["last_payment_error"]["code"] == "payment_intent_authentication_failure"


def test_an_answered_challenge_cannot_be_answered_again(api: Api) -> None:
    made = challenged(api)
    resolve(api, made)
    with pytest.raises(ValueError, match="waits for no authentication"):
        resolve(api, made)


def test_there_is_no_other_outcome(api: Api) -> None:
    with pytest.raises(ValueError, match="outcome must be one of"):
        resolve(api, challenged(api), "perhaps")


def test_an_unknown_intent_has_no_challenge(api: Api) -> None:
    with pytest.raises(KeyError):
        authentication.find(api.world, "pi_nothing")


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "succeeded"), ("failed", "requires_payment_method")])
def test_the_challenge_page_answers_and_sends_the_shopper_back(api: Api, outcome: str, status: str) -> None:
    made = challenged(api, SELLER, return_url=BACK)
    url = urllib.parse.urlsplit(made["next_action"]["redirect_to_url"]["url"])
    page = api.fake.handle(Request("GET", url.path, query=url.query.encode()))
    assert page.status == 200
    assert b"Complete authentication" in page.body
    assert b"Fail authentication" in page.body
    form = {b"content-type": b"application/x-www-form-urlencoded"}
    answer = Request("POST", url.path, query=url.query.encode(), headers=form, body=f"outcome={outcome}".encode())
    response = api.fake.handle(answer)
    location = dict(response.headers)["Location"]
    assert response.status == 302
    assert location.startswith(f"{BACK}?payment_intent={made['id']}&payment_intent_client_secret=")
    assert location.endswith("redirect_status=" + ("succeeded" if outcome == "succeeded" else "failed"))
    assert api.get(f"{INTENTS}/{made['id']}", account=SELLER)["status"] == status


def test_the_page_shows_money_and_an_answered_challenge_has_no_buttons_but_the_way_back(api: Api) -> None:
    made = challenged(api, SELLER, return_url=BACK)
    url = urllib.parse.urlsplit(made["next_action"]["redirect_to_url"]["url"])
    asked = Request("GET", url.path, query=url.query.encode())
    assert b"$" in api.fake.handle(asked).body
    answer = Request("POST", url.path, query=url.query.encode(), body=b'{"outcome": "succeeded"}')
    assert api.fake.handle(answer).status == 302
    for request, status in ((asked, 200), (answer, 409)):
        page = api.fake.handle(request)
        assert page.status == status
        assert b"waits for no authentication" in page.body
        assert b"<button" not in page.body
        assert f'<a href="{BACK}?payment_intent='.encode() in page.body


def test_a_return_url_that_is_no_web_address_becomes_no_link(api: Api) -> None:
    made = challenged(api, SELLER, return_url="shop://back")
    url = urllib.parse.urlsplit(made["next_action"]["redirect_to_url"]["url"])
    resolve(api, made, account=SELLER)
    page = api.fake.handle(Request("GET", url.path, query=url.query.encode()))
    assert b"<a " not in page.body


def test_a_challenge_that_nobody_answers_can_be_canceled(api: Api) -> None:
    made = challenged(api)
    assert api.post(f"{INTENTS}/{made['id']}/cancel")["next_action"] is None


def test_events_of_a_challenged_payment_in_their_order(api: Api) -> None:
    resolve(api, challenged(api))
    assert api.events() == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
