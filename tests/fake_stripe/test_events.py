"""Events: what fires when, in which order, and what they look like; rows are those of the table "what fires when"."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

INTENTS = "/v1/payment_intents"


@pytest.fixture
def api() -> Api:
    return Api()


def pay(api: Api, magic: str = "pm_card_visa", account: str | None = None, **params: Any) -> Wire:
    given = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    status, body, _ = api.send("POST", INTENTS, {**given, "payment_method": magic, **params}, account=account)
    return body if status == 200 else body["error"]["payment_intent"]


def test_row_clone_fires_nothing(api: Api) -> None:
    customer, card = api.saved_card()
    api.post("/v1/payment_methods", account=SELLER, customer=customer, payment_method=card)
    assert api.events(account=SELLER) == []


def test_row_create_and_confirm_ok(api: Api) -> None:
    pay(api)
    assert api.events() == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_row_decline(api: Api) -> None:
    pay(api, "pm_card_visa_chargeDeclined")
    assert api.events() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


def test_row_needs_3ds(api: Api) -> None:
    pay(api, "pm_card_threeDSecure2Required")
    assert api.events() == ["payment_intent.created", "payment_intent.requires_action"]


def test_row_manual_capture(api: Api) -> None:
    made = pay(api, capture_method="manual")
    assert api.events()[-1] == "payment_intent.amount_capturable_updated"
    api.post(f"{INTENTS}/{made['id']}/capture")
    assert api.events()[-2:] == ["charge.captured", "payment_intent.succeeded"]


def test_row_cancel(api: Api) -> None:
    made = pay(api, confirm=False)
    api.post(f"{INTENTS}/{made['id']}/cancel")
    assert api.events() == ["payment_intent.created", "payment_intent.canceled"]


def test_row_refund(api: Api) -> None:
    made = pay(api)
    api.post("/v1/refunds", payment_intent=made["id"])
    assert api.events()[-2:] == ["charge.refunded", "refund.created"]


def test_row_fee_is_heard_by_the_platform(api: Api) -> None:
    made = pay(api, account=SELLER, application_fee_amount=100)
    assert api.events() == ["application_fee.created"]
    api.post("/v1/refunds", account=SELLER, payment_intent=made["id"], refund_application_fee=True)
    assert api.events() == ["application_fee.created", "application_fee.refunded"]
    fee = api.get("/v1/application_fees")["data"][0]
    refund = fee["refunds"]["data"][0]["id"]
    api.post(f"/v1/application_fees/{fee['id']}/refunds/{refund}", metadata={"a": "1"})
    assert api.events()[-1] == "application_fee.refund.updated"


def test_row_attach_detach(api: Api) -> None:
    customer, card = api.saved_card()
    api.post(f"/v1/payment_methods/{card}/detach")
    assert api.events() == ["customer.created", "payment_method.attached", "payment_method.detached"]
    event = api.get("/v1/events", type="payment_method.detached")["data"][0]
    assert event["data"]["previous_attributes"] == {"customer": customer}


def test_there_is_no_payment_intent_updated(api: Api) -> None:
    made = pay(api, confirm=False)
    api.post(f"{INTENTS}/{made['id']}", description="other")
    assert api.events() == ["payment_intent.created"]


def test_an_event_ties_to_the_call_that_caused_it(api: Api) -> None:
    _, _, response = api.send("POST", "/v1/customers", {"name": "A"}, idempotency_key="key-1", account=SELLER)
    event = api.get("/v1/events", account=SELLER)["data"][0]
    assert event["request"] == {"id": dict(response.headers)["Request-Id"], "idempotency_key": "key-1"}
    assert (event["account"], event["livemode"], event["object"]) == (SELLER, False, "event")
    assert event["data"]["object"]["name"] == "A"


def test_the_platforms_own_events_name_no_account(api: Api) -> None:
    api.customer()
    assert "account" not in api.get("/v1/events")["data"][0]


def test_what_stripe_does_by_itself_has_no_request(api: Api) -> None:
    pay(api, capture_method="manual")
    api.world.advance(7 * 86_400)
    assert api.get("/v1/events", type="charge.expired")["data"][0]["request"]["id"] is None


def test_an_event_is_a_snapshot(api: Api) -> None:
    customer = api.customer(name="before")
    api.post(f"/v1/customers/{customer}", name="after")
    created = api.get("/v1/events", type="customer.created")["data"][0]
    assert created["data"]["object"]["name"] == "before"


def test_events_are_kept_for_thirty_days(api: Api) -> None:
    api.customer()
    event = api.get("/v1/events")["data"][0]["id"]
    assert api.get(f"/v1/events/{event}")["id"] == event
    api.world.advance(30 * 86_400 + 1)
    assert api.get("/v1/events")["data"] == []
    assert api.refused(404, "GET", f"/v1/events/{event}")["message"] == f"No such event: '{event}'"


def test_events_are_listed_by_pattern_and_by_types(api: Api) -> None:
    pay(api)
    api.customer()
    assert {e["type"] for e in api.get("/v1/events", type="payment_intent.*")["data"]} == {
        "payment_intent.created",
        "payment_intent.succeeded",
    }
    named = api.get("/v1/events", types=["customer.created", "charge.succeeded"])["data"]
    assert [e["type"] for e in named] == ["customer.created", "charge.succeeded"]
