"""Payments as a platform makes them with stripe-python over real HTTP: 3DS, hold and capture, refund, webhook."""

import http.server
import queue
import threading
import urllib.request
from collections.abc import Iterator

import pytest
import stripe
from fake_stripe.app import FakeStripe

SELLER = "acct_1SellerSellerSel1"
PATIENCE = 10.0


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeStripe]:
    with FakeStripe(api_key="sk_test_sdk_payments") as running:
        running.world().connect(SELLER)
        yield running


@pytest.fixture
def client(fake: FakeStripe) -> stripe.StripeClient:
    return stripe.StripeClient(fake.api_key, base_addresses={"api": fake.url}, max_network_retries=0)


def there() -> stripe.RequestOptions:
    return {"stripe_account": SELLER}


def test_a_3ds_payment_goes_through_its_challenge_page(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {
            "amount": 1000,
            "currency": "eur",
            "payment_method": "pm_card_threeDSecure2Required",
            "confirm": True,
            "return_url": "https://shop.example/done",
        },
        there(),
    )
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    url = intent.next_action.redirect_to_url.url
    assert url is not None
    with urllib.request.urlopen(url, timeout=PATIENCE) as page:
        assert "Complete authentication" in page.read().decode()
    answer = urllib.request.Request(url, data=b"outcome=succeeded", method="POST")
    with pytest.raises(urllib.error.HTTPError) as sent_back:
        urllib.request.build_opener(NoRedirect).open(answer, timeout=PATIENCE)
    assert sent_back.value.headers["Location"].startswith("https://shop.example/done?payment_intent=")
    sent_back.value.close()
    assert client.v1.payment_intents.retrieve(intent.id, None, there()).status == "succeeded"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Leave the shop alone."""


def test_a_decline_is_a_card_error_with_the_intent(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create(
            {
                "amount": 1000,
                "currency": "usd",
                "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds",
                "allowed_payment_method_types": ["card"],
                "confirm": True,
            }
        )
    error = declined.value.error
    assert error is not None
    assert (error.code, error.decline_code) == ("card_declined", "insufficient_funds")
    assert error.payment_intent is not None
    assert error.payment_intent.status == "requires_payment_method"


def test_hold_capture_and_refund_with_the_fee(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(
        {
            "amount": 1000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types": ["card"],
            "capture_method": "manual",
            "application_fee_amount": 100,
        },
        there(),
    )
    assert client.v1.payment_intents.confirm(intent.id, {}, there()).status == "requires_capture"
    done = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 800}, there())
    assert (done.status, done.amount_received) == ("succeeded", 800)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "refund_application_fee": True}, there())
    assert (refund.status, refund.amount) == ("succeeded", 800)
    fee = client.v1.application_fees.list({"limit": 1}).data[0]
    assert (fee.amount, fee.refunded) == (100, True)
    events = [event.type for event in client.v1.events.list({"limit": 3}, there()).data]
    assert events == ["refund.created", "charge.refunded", "payment_intent.succeeded"]


def test_a_webhook_is_verified_by_the_sdk(client: stripe.StripeClient) -> None:
    arrived: queue.Queue[tuple[bytes, str]] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.put((self.rfile.read(int(self.headers["Content-Length"])), self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        endpoint = client.v1.webhook_endpoints.create(
            {"url": url, "enabled_events": ["customer.created"], "connect": True}
        )
        customer = client.v1.customers.create({"name": "Ada"}, there())
        body, signature = arrived.get(timeout=PATIENCE)
        server.shutdown()
    assert endpoint.secret is not None
    event = client.construct_event(body, signature, endpoint.secret)
    assert (event.account, event.data.object["id"]) == (SELLER, customer.id)
    client.v1.webhook_endpoints.delete(endpoint.id)


def test_auto_paging_walks_all_payments(client: stripe.StripeClient) -> None:
    shopper = client.v1.customers.create({})
    made = [
        client.v1.payment_intents.create({"amount": 1000 + n, "currency": "usd", "customer": shopper.id}).id
        for n in range(5)
    ]
    pages = client.v1.payment_intents.list({"customer": shopper.id, "limit": 2})
    assert [intent.id for intent in pages.auto_paging_iter()] == made[::-1]
