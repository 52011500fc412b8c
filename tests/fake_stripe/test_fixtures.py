"""Operations that are not modelled answer validated, well-shaped objects; modelled ones have that shape, too."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.openapi.catalog import Operation, catalog
from fake_stripe.wire import Request, Response

from tests.fake_stripe.document_parameters import Drawn, Pool, least
from tests.fake_stripe.document_shapes import deviations, object_deviations
from tests.fake_stripe.stripe_calls import SELLER, Api

PDF = {"GetQuotesQuotePdf"}


class Stateless:
    """A double in which any id exists."""

    def __init__(self) -> None:
        self.fake = FakeStripe(seed="stateless", stateless=True)

    def send(self, method: str, path: str, form: bytes = b"") -> Response:
        headers = {b"authorization": b"Bearer sk_test_123", b"content-type": b"application/x-www-form-urlencoded"}
        if method == "POST":
            return self.fake.handle(Request(method, path, headers=headers, body=form))
        return self.fake.handle(Request(method, path, headers=headers, query=form))

    def done(self, method: str, path: str, form: bytes = b"") -> dict[str, Any]:
        response = self.send(method, path, form)
        body: dict[str, Any] = orjson.loads(response.body)
        assert response.status == 200, body
        assert ("Fake-Stripe-Fidelity", "fixture") in response.headers
        return body


def _path(operation: Operation) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: "acct_1Any" if found[1] == "account" else f"{found[1]}_1", operation.path)


def test_stateless_every_operation_answers_an_object_of_the_documents_shape() -> None:
    api = Stateless()
    for operation in catalog().operations():
        if operation.id not in PDF:
            body = api.done(operation.method, _path(operation), urlencode(least(operation)).encode())
            assert deviations(operation, body) == [], operation.id


def test_stateless_the_id_in_the_path_is_the_objects() -> None:
    api = Stateless()
    assert api.done("GET", "/v1/customers/cus_any")["id"] == "cus_any"
    assert api.done("POST", "/v1/payment_intents/pi_any/confirm")["id"] == "pi_any"
    assert api.done("POST", "/v1/invoices/in_any/pay")["id"] == "in_any"


def test_an_id_in_the_path_that_the_object_belongs_to_is_not_its_own() -> None:
    made = Stateless().done("POST", "/v1/customers/cus_any/tax_ids", b"type=eu_vat&value=DE1")
    assert made["id"].startswith("txi_")
    assert made["customer"] == "cus_any"
    assert made["value"] == "DE1"


def test_stateless_parameters_are_echoed_where_the_object_has_them() -> None:
    made = Stateless().done("POST", "/v1/products", b"name=Hat&active=false&metadata[a]=b&description=")
    assert (made["name"], made["active"], made["metadata"], made["description"]) == ("Hat", False, {"a": "b"}, None)
    assert made["id"].startswith("prod_")


def test_stateless_parameters_are_still_checked() -> None:
    response = Stateless().send("POST", "/v1/products", b"nope=1")
    assert response.status == 400
    assert orjson.loads(response.body)["error"]["message"] == "Received unknown parameter: nope"


def test_stateless_lists_have_one_item_and_their_url() -> None:
    page = Stateless().done("GET", "/v1/prices", b"limit=3")
    assert (page["object"], len(page["data"]), page["has_more"], page["url"]) == ("list", 1, False, "/v1/prices")


def test_stateless_any_version_is_taken() -> None:
    headers = {b"authorization": b"Bearer sk_test_123", b"stripe-version": b"foo"}
    response = Stateless().fake.handle(Request("GET", "/v1/customers/cus_any", headers=headers))
    assert (response.status, dict(response.headers)["Stripe-Version"]) == (200, "foo")


def test_stateless_members_that_sdks_write_into_are_there() -> None:
    api = Stateless()
    assert api.done("GET", "/v1/sources/src_any")["metadata"] == {}
    assert api.done("GET", "/v1/charges/ch_any")["refunds"]["data"][0]["object"] == "refund"
    assert api.done("GET", "/v1/invoices/in_any")["lines"]["data"][0]["object"] == "line_item"
    assert api.done("GET", "/v1/charges/search", b"query=currency%3A'usd'")["total_count"] == 1


def test_stateless_deletions_answer_the_short_form() -> None:
    assert Stateless().done("DELETE", "/v1/products/prod_any") == {
        "id": "prod_any",
        "object": "product",
        "deleted": True,
    }


def test_stateless_expansions_show_objects() -> None:
    intent = Stateless().done("GET", "/v1/payment_intents/pi_any", b"expand[]=customer&expand[]=latest_charge.refunds")
    assert intent["customer"]["object"] == "customer"
    assert intent["latest_charge"]["refunds"]["object"] == "list"
    page = Stateless().done("GET", "/v1/charges", b"expand[]=data.customer")
    assert page["data"][0]["customer"]["object"] == "customer"


def test_any_random_request_is_answered_in_stateless_mode() -> None:
    api = Stateless()
    rng = random.Random(3)
    drawn = Drawn(rng, Pool(rng))
    operations = [operation for operation in catalog().operations() if operation.id not in PDF]
    seen = {api.send(o.method, _path(o), urlencode(drawn.pairs(o, wild=0.1)).encode()).status for o in operations * 3}
    assert seen == {200, 400}


def test_stateless_answers_are_the_same_in_every_run() -> None:
    one, two = (Stateless().done("POST", "/v1/prices", b"currency=usd&unit_amount=5&product=prod_1") for _ in range(2))
    assert one.pop("created") <= two.pop("created")
    assert one == two


def test_an_operation_that_is_not_modelled_says_so() -> None:
    api = Api(seed="fixtures")
    _, body, response = api.send("POST", "/v1/products", {"name": "Hat"}, account=SELLER)
    assert body["name"] == "Hat"
    assert ("Fake-Stripe-Fidelity", "fixture") in response.headers
    _, _, modelled = api.send("POST", "/v1/customers", {})
    assert "Fake-Stripe-Fidelity" not in dict(modelled.headers)


def test_an_answer_that_is_not_json_is_refused_plainly() -> None:
    assert Stateless().send("GET", "/v1/quotes/qt_1/pdf").status == 400


# Seen in recordings of 2026 although the document has not got them, or not there.
_RECORDED = re.compile(
    r"\.(persistent_token|specified_commercial_transactions_act_url|total_count|shared_payment_granted_token|source"
    r"|destination|dispute|order|email|phone|wallet|submission_method) is not in the document$"
    r"|\.context is null$"
)


def _made(api: Api) -> list[dict[str, Any]]:
    customer, method = api.saved_card(account=SELLER)
    shopper = api.customer(source="tok_visa")
    intent = api.post(
        "/v1/payment_intents",
        account=SELLER,
        version=VERSION,
        customer=customer,
        payment_method=method,
        amount=5000,
        currency="usd",
        application_fee_amount=100,
        payment_method_types=["card"],
        confirm=True,
    )
    refund = api.post("/v1/refunds", account=SELLER, version=VERSION, payment_intent=intent["id"], amount=100)
    api.post("/v1/charges", amount=2000, currency="usd", source="tok_createDispute", version=VERSION)
    ba = {"country": "US", "currency": "usd", "account_number": "000123456789", "routing_number": "110000000"}
    return [
        intent,
        refund,
        api.get(f"/v1/customers/{customer}", account=SELLER, version=VERSION),
        api.get(f"/v1/customers/{shopper}", version=VERSION),
        api.get(f"/v1/payment_methods/{method}", account=SELLER, version=VERSION),
        api.get(f"/v1/charges/{intent['latest_charge']}", account=SELLER, version=VERSION),
        api.get("/v1/balance", version=VERSION),
        api.get("/v1/account", version=VERSION),
        api.get(f"/v1/accounts/{SELLER}", version=VERSION),
        api.post("/v1/tokens", bank_account=ba, version=VERSION),
        api.post("/v1/tokens", customer=shopper, account=SELLER, version=VERSION),
        api.post("/v1/setup_intents", customer=shopper, version=VERSION),
        api.post("/v1/webhook_endpoints", url="https://example.com/", enabled_events=["*"], version=VERSION),
        *(
            item
            for path in ("application_fees", "disputes", "balance_transactions", "events")
            for item in api.get(f"/v1/{path}", version=VERSION)["data"]
        ),
    ]


VERSION = "2026-08-26.dahlia"


@pytest.fixture(scope="module")
def made() -> list[dict[str, Any]]:
    return _made(Api(seed="shapes"))


def test_modelled_objects_have_the_documents_shape(made: list[dict[str, Any]]) -> None:
    kinds = {obj["object"] for obj in made}
    assert len(kinds) >= 14, kinds
    for obj in made:
        if obj["object"] == "event":
            obj = {**obj, "data": {"object": {}}}  # noqa: PLW2901 - what an event carries has its own type
        found = [text for text in object_deviations(obj["object"], obj) if not _RECORDED.search(text)]
        assert found == [], obj["object"]
