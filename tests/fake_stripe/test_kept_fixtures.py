"""What operations that are not modelled create is kept: it can be read, listed, changed, ended and deleted."""

from __future__ import annotations

import pytest

from tests.fake_stripe.stripe_calls import OTHER_SELLER, SELLER, Api, Wire

DAY = 86_400


@pytest.fixture
def api() -> Api:
    made = Api()
    made.world.clock.freeze(1_800_000_000)
    return made


def monthly(api: Api, amount: int = 500) -> Wire:
    product = api.post("/v1/products", name="Hat")["id"]
    return api.post("/v1/prices", currency="usd", unit_amount=amount, product=product, recurring={"interval": "month"})


def subscribed(api: Api, **params: object) -> Wire:
    wanted: Wire = {"customer": api.customer(), "items": [{"price": monthly(api)["id"], "quantity": 2}], **params}
    return api.post("/v1/subscriptions", **wanted)


def test_what_was_created_is_read_listed_and_changed(api: Api) -> None:
    made = api.post("/v1/products", name="Hat", metadata={"a": "1", "b": "2"})
    path = f"/v1/products/{made['id']}"
    assert api.get(path) == made
    changed = api.post(path, name="Cap", active=False, metadata={"a": ""})
    assert (changed["name"], changed["active"], changed["metadata"]) == ("Cap", False, {"b": "2"})
    assert [found["name"] for found in api.get("/v1/products")["data"]] == ["Cap"]
    assert api.get("/v1/products", active=True)["data"] == []


def test_it_says_that_it_is_a_fixture(api: Api) -> None:
    _, made, response = api.send("POST", "/v1/products", {"name": "Hat"})
    again = api.send("GET", f"/v1/products/{made['id']}")[2]
    for answer in (response, again):
        assert ("Fake-Stripe-Fidelity", "fixture") in answer.headers


def test_it_belongs_to_the_account_it_was_made_on(api: Api) -> None:
    made = api.post("/v1/products", account=SELLER, name="Hat")["id"]
    assert api.get(f"/v1/products/{made}", account=SELLER)["name"] == "Hat"
    for other in (None, OTHER_SELLER):
        error = api.refused(404, "GET", f"/v1/products/{made}", account=other)
        assert (error["code"], error["message"]) == ("resource_missing", f"No such product: '{made}'")


def test_what_was_deleted_is_gone(api: Api) -> None:
    api.post("/v1/coupons", id="TEN", percent_off=10, duration="once")
    assert api.get("/v1/coupons/TEN")["valid"] is True
    assert api.delete("/v1/coupons/TEN") == {"id": "TEN", "object": "coupon", "deleted": True}
    assert api.refused(404, "GET", "/v1/coupons/TEN")["message"] == "No such coupon: 'TEN'"
    assert api.get("/v1/coupons")["data"] == []


def test_a_repeated_request_makes_one_object(api: Api) -> None:
    made = {api.done("POST", "/v1/products", {"name": "Hat"}, idempotency_key="k")["id"] for _ in range(2)}
    assert len(made) == 1
    assert len(api.get("/v1/products")["data"]) == 1


def test_a_failed_call_leaves_nothing_behind(api: Api) -> None:
    api.world.faults.add({"act": {"kind": "status", "status": 500}})
    assert api.send("POST", "/v1/products", {"name": "Hat"})[0] == 500
    assert api.get("/v1/products")["data"] == []


def test_a_subscription_shows_its_price_and_one_period_from_now(api: Api) -> None:
    made = subscribed(api)
    (item,) = made["items"]["data"]
    assert (made["status"], made["currency"], item["quantity"]) == ("active", "usd", 2)
    assert item["price"]["unit_amount"] == item["plan"]["amount"] == 500
    assert (item["current_period_start"], item["current_period_end"]) == (1_800_000_000, 1_800_000_000 + 30 * DAY)
    assert item["subscription"] == made["id"]


def test_a_trial_ends_when_it_was_asked_to(api: Api) -> None:
    made = subscribed(api, trial_period_days=7)
    assert (made["status"], made["trial_end"]) == ("trialing", 1_800_000_000 + 7 * DAY)


def test_a_canceled_subscription_stays_and_says_so(api: Api) -> None:
    made = subscribed(api)
    gone = api.delete(f"/v1/subscriptions/{made['id']}")
    assert (gone["status"], gone["canceled_at"], gone["ended_at"]) == ("canceled", 1_800_000_000, 1_800_000_000)
    assert api.get(f"/v1/subscriptions/{made['id']}")["status"] == "canceled"
    assert api.events()[-2:] == ["customer.subscription.created", "customer.subscription.deleted"]


def test_before_basil_a_subscription_has_its_period_itself(api: Api) -> None:
    made = subscribed(api)
    old = api.get(f"/v1/subscriptions/{made['id']}", version="2024-06-20")
    assert old["current_period_end"] == 1_800_000_000 + 30 * DAY
    assert "current_period_end" not in api.get(f"/v1/subscriptions/{made['id']}", version="2025-03-31.basil")


def test_an_invoice_is_a_draft_then_open_then_paid(api: Api) -> None:
    invoice = api.post("/v1/invoices", customer=api.customer())
    assert invoice["status"] == "draft"
    assert api.post(f"/v1/invoices/{invoice['id']}/finalize")["status"] == "open"
    assert api.post(f"/v1/invoices/{invoice['id']}/pay")["status"] == "paid"
    assert api.events()[-3:] == ["invoice.created", "invoice.finalized", "invoice.paid"]
    assert api.get(f"/v1/invoices/{invoice['id']}", version="2024-06-20")["paid"] is True


def test_a_checkout_session_adds_up_its_items_and_can_expire(api: Api) -> None:
    price = monthly(api, 700)["id"]
    adhoc = {"currency": "usd", "unit_amount": 50, "product_data": {"name": "Pin"}}
    items = [{"price": price, "quantity": 2}, {"price_data": adhoc, "quantity": 1}]
    made = api.post("/v1/checkout/sessions", mode="payment", success_url="https://shop.example/", line_items=items)
    assert (made["amount_total"], made["currency"], made["status"]) == (1450, "usd", "open")
    assert (made["payment_status"], made["expires_at"]) == ("unpaid", 1_800_000_000 + DAY)
    assert made["url"].endswith(made["id"])
    assert api.post(f"/v1/checkout/sessions/{made['id']}/expire")["status"] == "expired"


def test_an_embedded_checkout_session_has_a_secret_and_no_url(api: Api) -> None:
    made = api.post("/v1/checkout/sessions", mode="setup", currency="usd", ui_mode="embedded")
    assert made["url"] is None
    assert made["client_secret"].startswith(made["id"])


def test_a_customer_must_be_there(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/invoices", customer="cus_nobody")
    assert (error["param"], error["message"]) == ("customer", "No such customer: 'cus_nobody'")


def test_plans_of_the_clients_own_names_are_taken(api: Api) -> None:
    made = api.post("/v1/subscriptions", customer=api.customer(), items=[{"plan": "gold"}], coupon="TEN")
    assert made["status"] == "active"


def test_the_subscriptions_of_a_customer_are_those_with_that_customer(api: Api) -> None:
    mine, other = api.customer(), api.customer()
    path = f"/v1/customers/{mine}/subscriptions"
    made = api.post(path, items=[{"price": monthly(api)["id"]}])
    assert made["customer"] == mine
    assert [found["id"] for found in api.get(path)["data"]] == [made["id"]]
    assert api.get(f"/v1/customers/{other}/subscriptions")["data"] == []
    assert api.get(f"{path}/{made['id']}")["id"] == api.get(f"/v1/subscriptions/{made['id']}")["id"]
    assert api.delete(f"{path}/{made['id']}")["status"] == "canceled"
    api.refused(404, "GET", "/v1/customers/cus_nobody/subscriptions")


def test_objects_that_call_their_time_a_date_are_listed_by_it(api: Api) -> None:
    made = api.post("/v1/invoiceitems", customer=api.customer(), amount=500, currency="usd")["id"]
    assert [found["id"] for found in api.get("/v1/invoiceitems", created={"gte": 1_800_000_000})["data"]] == [made]
    assert api.get("/v1/invoiceitems", created={"gt": 1_800_000_000})["data"] == []
