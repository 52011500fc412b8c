"""Whatever is sent to a modelled operation, the answer is one of Stripe's kind: no failure of the double itself."""

from __future__ import annotations

import random
import re
from typing import Any

import orjson
import pytest
from fake_stripe.objects.registry import modelled
from fake_stripe.openapi.catalog import Operation, catalog
from fake_stripe.wire import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fake_stripe.document_parameters import Drawn, Pairs, Pool
from tests.fake_stripe.stripe_calls import SELLER, Api

_TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
_STATUSES = {200, 400, 402, 403, 404, 409}
# An account that deletes itself, or the seller, would leave nothing to ask for.
_ENDING = {("DELETE", "/v1/accounts/{account}"), ("DELETE", "/v1/account"), ("POST", "/v1/accounts/{account}/reject")}


def _operations() -> list[Operation]:
    known = modelled() - _ENDING
    return [operation for operation in catalog().operations() if (operation.method, operation.path) in known]


class Storm:
    """A platform and a seller with one object of nearly every kind, and random requests to both."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.api = Api(seed="storm")
        self.pools: dict[str | None, Pool] = {None: Pool(self.rng), SELLER: Pool(self.rng)}
        for account in self.pools:
            self._populate(account)

    def _populate(self, account: str | None) -> None:
        api = self.api
        customer, method = api.saved_card(account=account)
        shopper = api.customer(account=account, source="tok_visa")
        paid: dict[str, Any] = {"amount": 5000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
        if account:
            paid["application_fee_amount"] = 100
        intent = api.post("/v1/payment_intents", account=account, customer=customer, payment_method=method, **paid)
        api.post("/v1/payment_intents", account=account, amount=900, currency="eur")
        api.post("/v1/setup_intents", account=account, customer=customer)
        api.post("/v1/charges", account=account, amount=2000, currency="usd", customer=shopper, capture=False)
        api.post("/v1/charges", account=account, amount=2000, currency="usd", source="tok_createDispute")
        api.post("/v1/refunds", account=account, payment_intent=intent["id"], amount=100)
        api.post("/v1/webhook_endpoints", account=account, url="http://127.0.0.1:9/", enabled_events=["*"])
        api.post("/v1/test_helpers/test_clocks", account=account, frozen_time=1_790_000_000)
        for listed in ("customers", "payment_intents", "charges", "refunds", "setup_intents", "events", "disputes"):
            self.pools[account].add(api.get(f"/v1/{listed}", account=account))
        self.pools[account].add(api.get("/v1/balance_transactions", account=account))
        self.pools[account].add(api.get(f"/v1/customers/{customer}/payment_methods", account=account))
        self.pools[account].add(api.get(f"/v1/customers/{shopper}/sources", account=account))
        if account:
            self.pools[None].add(api.get("/v1/application_fees"))
            self.pools[None].add(api.get("/v1/accounts"))

    def strike(self, operation: Operation, *, wild: float) -> tuple[str, int, dict[str, Any]]:
        """One random request: what was asked, the status, the answer."""
        account = self.rng.choice([None, SELLER])
        drawn = Drawn(self.rng, self.pools[account])
        pairs: Pairs = drawn.pairs(operation, wild=wild)
        path = drawn.path(operation)
        version = self.rng.choice([None, None, "2022-11-15", "2020-08-27"])
        status, body, _ = self.api.send(operation.method, path, dict(pairs), account=account, version=version)
        if status == 200:
            self.pools[account].add(body)
        return f"{operation.method} {path} {pairs} account={account} version={version}", status, body


def _check_envelope(asked: str, status: int, body: dict[str, Any]) -> None:
    assert status in _STATUSES, (asked, status, body)
    if status == 200:
        assert "error" not in body, asked
        return
    assert list(body) == ["error"], asked
    error = body["error"]
    assert error["type"] in _TYPES, (asked, error)
    assert isinstance(error["message"], str), asked
    assert error["message"], asked
    assert list(error) == sorted(error), asked
    assert ("doc_url" in error) == ("code" in error), asked
    assert None not in error.values(), asked


def _storm(seed: int, requests: int, operations: list[Operation]) -> None:
    storm = Storm(seed)
    for _ in range(requests):
        operation = storm.rng.choice(operations)
        _check_envelope(*storm.strike(operation, wild=storm.rng.choice([0.0, 0.0, 0.15])))


_OPERATIONS = _operations()
_FIXTURES = [
    operation
    for operation in catalog().operations()
    if operation not in _OPERATIONS
    and (operation.method, operation.path) not in _ENDING
    and operation.response != "reporting.report_run"  # has a member of the name `error`
]


@settings(derandomize=True, max_examples=12, deadline=None, database=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_random_requests_to_modelled_operations_are_answered_in_stripes_shape(seed: int) -> None:
    _storm(seed, 120, _OPERATIONS)


@settings(derandomize=True, max_examples=8, deadline=None, database=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_random_requests_to_fixtures_and_what_they_keep_are_answered_in_stripes_shape(seed: int) -> None:
    _storm(seed, 150, _FIXTURES)


@pytest.mark.slow
@settings(derandomize=True, max_examples=150, deadline=None, database=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_many_random_requests_to_all_operations_are_answered_in_stripes_shape(seed: int) -> None:
    _storm(seed, 400, _OPERATIONS + _FIXTURES)


_PIECES = st.sampled_from([*"ab[]=&%+.0", "[]", "[0]", "%5B", "%", "customer", "amount=", "metadata[", "\x00", "é"])


@settings(derandomize=True, max_examples=300, deadline=None, database=None)
@given(st.lists(_PIECES, max_size=25).map("".join), st.sampled_from(["/v1/payment_intents", "/v1/customers"]))
def test_any_bytes_as_a_form_are_answered_in_stripes_shape(form: str, path: str) -> None:
    api = Api(seed="bytes")
    headers = {b"authorization": f"Bearer {api.key}".encode(), b"content-type": b"application/x-www-form-urlencoded"}
    response = api.fake.handle(Request("POST", path, headers=headers, body=form.encode()))
    _check_envelope(repr(form), response.status, orjson.loads(response.body))


def test_the_fuzz_reaches_beyond_the_first_look_up() -> None:
    storm = Storm(7)
    reached: set[str] = set()
    for operation in _OPERATIONS:
        for _ in range(25):
            _, status, body = storm.strike(operation, wild=0.0)
            message = body["error"]["message"] if status != 200 else ""
            if status in (200, 402) or not re.match(r"No such|Missing required|Received unknown", message):
                reached.add(operation.id)
                break
    assert len(reached) > 0.75 * len(_OPERATIONS), sorted({o.id for o in _OPERATIONS} - reached)
