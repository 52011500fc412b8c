"""Test clocks: what lives by one, and what happens when it moves on or goes."""

from __future__ import annotations

import pytest

from tests.fake_stripe.stripe_calls import Api

CLOCKS = "/v1/test_helpers/test_clocks"
NOW = 1_800_000_000


@pytest.fixture
def api() -> Api:
    made = Api()
    made.world.clock.freeze(NOW)
    return made


def clock(api: Api) -> str:
    return str(api.post(CLOCKS, frozen_time=NOW)["id"])


def test_advancing_a_clock_lets_happen_what_is_due_by_then(api: Api) -> None:
    held = {"amount": 900, "currency": "usd", "payment_method_types": ["card"], "capture_method": "manual"}
    intent = api.done("POST", "/v1/payment_intents", {"payment_method": "pm_card_visa", "confirm": True, **held})
    moved = api.post(f"{CLOCKS}/{clock(api)}/advance", frozen_time=NOW + 8 * 86_400)
    assert (moved["status"], moved["frozen_time"]) == ("ready", NOW + 8 * 86_400)
    assert api.get(f"/v1/payment_intents/{intent['id']}")["status"] == "canceled"
    assert "test_helpers.test_clock.ready" in api.events()


def test_a_clock_does_not_go_back(api: Api) -> None:
    error = api.refused(400, "POST", f"{CLOCKS}/{clock(api)}/advance", frozen_time=NOW)
    assert error["param"] == "frozen_time"


def test_customers_of_a_clock_are_listed_with_it_alone_and_go_with_it(api: Api) -> None:
    timed, plain = clock(api), api.customer()
    theirs = api.customer(test_clock=timed)
    assert [found["id"] for found in api.get("/v1/customers")["data"]] == [plain]
    assert [found["id"] for found in api.get("/v1/customers", test_clock=timed)["data"]] == [theirs]
    assert api.delete(f"{CLOCKS}/{timed}")["deleted"] is True
    assert api.get(f"/v1/customers/{theirs}")["deleted"] is True
    assert api.get(f"/v1/customers/{plain}")["id"] == plain


def test_a_clock_that_is_not_there_times_nobody(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/customers", test_clock="clock_1Nowhere")
    assert (error["code"], error["param"]) == ("resource_missing", "test_clock")


def test_the_subscriptions_of_a_deleted_customer_end(api: Api) -> None:
    customer = api.customer()
    price = api.post("/v1/prices", currency="usd", unit_amount=500, product_data={"name": "Hat"})["id"]
    made = api.post("/v1/subscriptions", customer=customer, items=[{"price": price}])["id"]
    api.delete(f"/v1/customers/{customer}")
    assert api.get(f"/v1/subscriptions/{made}")["status"] == "canceled"
