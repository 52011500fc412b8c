"""Webhook endpoints and delivery, over real HTTP to a receiver of the test's own."""

import http.server
import json
import queue
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe
from fake_stripe.app import FakeStripe
from fake_stripe.objects import webhook_endpoints
from fake_stripe.world import World

from fake_stripe import webhooks
from tests.fake_stripe.stripe_calls import SELLER, Api, Wire, pairs

ENDPOINTS = "/v1/webhook_endpoints"
PATIENCE = 10.0


@dataclass
class Receiver:
    """An endpoint that notes what it is sent and answers with the statuses it was given, then with 200."""

    url: str = ""
    arrived: "queue.Queue[tuple[bytes, str]]" = field(default_factory=queue.Queue)
    statuses: "queue.Queue[int]" = field(default_factory=queue.Queue)

    def take(self) -> tuple[bytes, str]:
        return self.arrived.get(timeout=PATIENCE)

    def types(self, count: int) -> list[str]:
        return [json.loads(self.take()[0])["type"] for _ in range(count)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 200 if made.statuses.empty() else made.statuses.get()
            made.arrived.put((body, self.headers["Stripe-Signature"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object, **_: object) -> None:
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe(seed="hooks", api_key="sk_test_hooks") as made:
        made.world().connect(SELLER)
        yield made


def send(fake: FakeStripe, path: str, account: str | None = None, **params: Any) -> Wire:
    request = urllib.request.Request(fake.url + path, data=urlencode(pairs(params)).encode(), method="POST")
    request.add_header("Authorization", f"Bearer {fake.api_key}")
    if account:
        request.add_header("Stripe-Account", account)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        found: Wire = json.load(response)
        return found


def listen(fake: FakeStripe, receiver: Receiver, *events: str, **params: Any) -> Wire:
    return send(fake, ENDPOINTS, url=receiver.url, enabled_events=list(events or ("*",)), **params)


def pending(world: World) -> int:
    """How many deliveries of all events are still waited for."""
    return sum(event["pending_webhooks"] for scope in world.scopes() for event in scope.list("event"))


def until(holds: Callable[[], bool]) -> bool:
    """Waits for what another thread is about to do."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.01) for _ in range(1000))


# ---- the endpoint object


def test_row_the_secret_is_in_the_create_answer_only() -> None:
    api = Api()
    made = api.post(ENDPOINTS, url="https://shop.example/hook", enabled_events=["*"])
    assert made["secret"].startswith("whsec_")
    assert "secret" not in api.get(f"{ENDPOINTS}/{made['id']}")
    assert "secret" not in api.post(f"{ENDPOINTS}/{made['id']}", description="shop")


def test_row_sixteen_endpoints_at_most() -> None:
    api = Api()
    for number in range(webhook_endpoints.MOST):
        api.post(ENDPOINTS, url=f"https://shop.example/{number}", enabled_events=["*"])
    error = api.refused(400, "POST", ENDPOINTS, url="https://shop.example/more", enabled_events=["*"])
    assert "maximum of 16 test webhook endpoints" in error["message"]


def test_an_endpoint_needs_an_http_url() -> None:
    error = Api().refused(400, "POST", ENDPOINTS, url="shop.example", enabled_events=["*"])
    assert (error["code"], error["param"]) == ("url_invalid", "url")


def test_endpoints_are_changed_listed_and_removed() -> None:
    api = Api()
    made = api.post(ENDPOINTS, url="https://shop.example/hook", enabled_events=["charge.succeeded"])
    path = f"{ENDPOINTS}/{made['id']}"
    assert api.post(path, disabled=True, metadata={"a": "1"})["status"] == "disabled"
    assert api.post(path, enabled_events=["*"], url="http://127.0.0.1/x")["enabled_events"] == ["*"]
    assert [o["id"] for o in api.get(ENDPOINTS)["data"]] == [made["id"]]
    assert api.delete(path)["deleted"] is True
    assert api.refused(404, "GET", path)["code"] == "resource_missing"


# ---- delivery


def test_row_a_delivery_is_signed_as_the_sdk_expects(fake: FakeStripe, receiver: Receiver) -> None:
    secret = listen(fake, receiver)["secret"]
    send(fake, "/v1/customers", name="Jenny")
    body, signature = receiver.take()
    event = stripe.Webhook.construct_event(body, signature, secret)
    assert (event.type, event.data.object["name"]) == ("customer.created", "Jenny")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", signature, secret)


def test_row_a_rolled_secret_signs_twice(fake: FakeStripe, receiver: Receiver) -> None:
    made = listen(fake, receiver)
    rolled = webhook_endpoints.roll_secret(fake.world().platform_scope(livemode=False), made["id"])
    send(fake, "/v1/customers")
    body, signature = receiver.take()
    assert signature.count("v1=") == 2
    for secret in (made["secret"], rolled):
        stripe.Webhook.construct_event(body, signature, secret)


def test_events_of_one_payment_arrive_in_order(fake: FakeStripe, receiver: Receiver) -> None:
    listen(fake, receiver)
    card: Wire = {"payment_method": "pm_card_visa", "payment_method_types": ["card"]}
    send(fake, "/v1/payment_intents", amount=1000, currency="usd", confirm=True, **card)
    assert receiver.types(3) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


def test_row_connect_endpoints_hear_connected_accounts_and_account_endpoints_their_own(
    fake: FakeStripe, receiver: Receiver
) -> None:
    listen(fake, receiver, connect=True)
    send(fake, "/v1/customers", name="of the platform")
    send(fake, "/v1/customers", SELLER, name="of the seller")
    event = json.loads(receiver.take()[0])
    assert (event["account"], event["data"]["object"]["name"]) == (SELLER, "of the seller")
    assert receiver.arrived.empty()


def test_row_a_connect_endpoint_in_live_mode_hears_of_test_mode_too() -> None:
    api = Api()
    webhooks.configure(api.world, mode="collect")
    live = "sk_live_fake_calls"
    hook = {"url": "https://shop.example/hook", "enabled_events": ["*"]}
    for connect in (True, False):
        api.done("POST", ENDPOINTS, {**hook, "connect": connect}, key=live)
    api.customer(account=SELLER)
    api.customer()
    (heard,) = webhooks.collected(api.world, clear=True)
    assert (heard["account"], json.loads(heard["payload"])["livemode"]) == (SELLER, False)
    api.done("POST", "/v1/customers", {}, key=live, account=SELLER)
    (heard,) = webhooks.collected(api.world)
    assert json.loads(heard["payload"])["livemode"] is True


def test_an_endpoint_hears_the_types_it_asked_for(fake: FakeStripe, receiver: Receiver) -> None:
    listen(fake, receiver, "payment_method.attached")
    customer = send(fake, "/v1/customers")["id"]
    send(fake, "/v1/payment_methods/pm_card_visa/attach", customer=customer)
    assert receiver.types(1) == ["payment_method.attached"]


def test_an_endpoint_is_sent_its_own_api_version(fake: FakeStripe, receiver: Receiver) -> None:
    listen(fake, receiver, "charge.succeeded", api_version="2023-10-16")
    send(fake, "/v1/charges", amount=1000, currency="usd", source="tok_visa")
    event = json.loads(receiver.take()[0])
    assert event["api_version"] == "2023-10-16"
    assert event["data"]["object"]["invoice"] is None


def test_a_disabled_endpoint_hears_nothing() -> None:
    api = Api()
    made = api.post(ENDPOINTS, url="http://127.0.0.1/x", enabled_events=["*"])
    api.post(f"{ENDPOINTS}/{made['id']}", disabled=True)
    webhooks.configure(api.world, mode="collect")
    api.customer()
    assert webhooks.collected(api.world) == []


def test_row_a_failed_delivery_is_tried_again_on_the_worlds_clock(fake: FakeStripe, receiver: Receiver) -> None:
    listen(fake, receiver)
    receiver.statuses.put(500)
    send(fake, "/v1/customers")
    first = json.loads(receiver.take()[0])
    world = fake.world()
    assert until(lambda: world.scheduled > 0)  # the failed answer is on its way back to the double
    world.clock.advance(webhooks.RETRY_SECONDS_TEST[0])
    send(fake, "/v1/payment_intents", amount=1000, currency="usd")
    arrived = [json.loads(receiver.take()[0]) for _ in range(2)]
    assert first["id"] in [event["id"] for event in arrived]


def test_row_test_mode_tries_three_times_each_with_a_signature_of_its_own_and_then_gives_up(
    fake: FakeStripe, receiver: Receiver
) -> None:
    secret = listen(fake, receiver)["secret"]
    world = fake.world()
    tries = []
    for _ in range(4):
        receiver.statuses.put(503)
    send(fake, "/v1/customers")
    for wait in (*webhooks.RETRY_SECONDS_TEST, None):
        payload, signature = receiver.take()
        tries.append(stripe.Webhook.construct_event(payload, signature, secret).id)
        if wait is not None:
            assert until(lambda: world.scheduled == 1)
            send(fake, "/_fake/clock", advance=wait)
    assert until(lambda: pending(world) == 0)
    assert world.scheduled == 0
    assert len(tries) == 3
    assert len(set(tries)) == 1
    assert receiver.arrived.empty()


# ---- planning, without a socket


def collecting(api: Api, **params: Any) -> str:
    webhooks.configure(api.world, mode="collect")
    return str(api.post(ENDPOINTS, url="http://127.0.0.1/x", enabled_events=["*"], **params)["secret"])


def test_collect_mode_keeps_what_would_be_sent() -> None:
    api = Api()
    secret = collecting(api)
    api.customer(name="Jenny")
    kept = webhooks.collected(api.world, clear=True)
    assert [delivery["type"] for delivery in kept] == ["customer.created"]
    assert stripe.Webhook.construct_event(kept[0]["payload"], kept[0]["signature"], secret).id == kept[0]["event"]
    assert webhooks.collected(api.world) == []
    assert pending(api.world) == 0


def test_row_duplicates_on_demand() -> None:
    api = Api()
    collecting(api)
    webhooks.configure(api.world, copies=2)
    api.customer()
    kept = webhooks.collected(api.world)
    assert len(kept) == 2
    assert kept[0]["event"] == kept[1]["event"]


def test_row_reordering_on_demand_is_the_same_on_every_run() -> None:
    orders = []
    for _ in range(2):
        api = Api()
        collecting(api)
        webhooks.configure(api.world, reorder=True)
        for _ in range(5):
            api.post("/v1/charges", amount=1000, currency="usd", source="tok_createDispute")
        orders.append([delivery["type"] for delivery in webhooks.collected(api.world)])
    one_charge = ["charge.succeeded", "charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert orders[0] == orders[1]
    assert orders[0] != one_charge * 5
    assert sorted(orders[0]) == sorted(one_charge * 5)


def test_pending_webhooks_counts_who_has_not_heard_yet() -> None:
    api = Api()
    for number in range(2):
        api.post(ENDPOINTS, url=f"http://127.0.0.1/{number}", enabled_events=["*"])
    api.customer()
    assert api.get("/v1/events")["data"][0]["pending_webhooks"] == 2
    assert api.get("/v1/events", delivery_success=True)["data"] == []


def test_an_event_can_be_sent_again() -> None:
    api = Api()
    collecting(api)
    api.customer()
    event = webhooks.collected(api.world, clear=True)[0]["event"]
    assert webhooks.resend(api.world, event) == 1
    api.fake.deliveries(api.world)
    assert [delivery["event"] for delivery in webhooks.collected(api.world)] == [event]
    with pytest.raises(KeyError):
        webhooks.resend(api.world, "evt_nothing")


def test_settings_that_make_no_sense_are_refused() -> None:
    world = Api().world
    with pytest.raises(ValueError, match="deliver or collect"):
        webhooks.configure(world, mode="perhaps")
    with pytest.raises(ValueError, match="at least once"):
        webhooks.configure(world, copies=0)
