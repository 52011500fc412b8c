"""Calls to the double without a socket, as short as a test wants them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson
from fake_stripe.app import FakeStripe
from fake_stripe.wire import Request, Response
from fake_stripe.world import World

Wire = dict[str, Any]
SELLER = "acct_1SellerSellerSel1"
OTHER_SELLER = "acct_1SellerSellerSel2"


def pairs(params: Any, at: str = "") -> list[tuple[str, str]]:
    """Nested parameters as form pairs, the way Stripe's SDKs send them."""
    if isinstance(params, dict):
        return [pair for name, value in params.items() for pair in pairs(value, f"{at}[{name}]" if at else name)]
    if isinstance(params, (list, tuple)):
        return [pair for index, value in enumerate(params) for pair in pairs(value, f"{at}[{index}]")]
    if isinstance(params, bool):
        return [(at, "true" if params else "false")]
    return [(at, str(params))]


class Api:
    """One platform with two connected accounts, in a world of its own."""

    def __init__(self, key: str = "sk_test_calls", *, seed: str | None = "calls") -> None:
        self.fake = FakeStripe(seed=seed, api_key=key)
        self.key = key
        for account in (SELLER, OTHER_SELLER):
            self.world.connect(account)

    @property
    def world(self) -> World:
        return self.fake.world()

    def send(
        self,
        method: str,
        path: str,
        params: Wire | None = None,
        *,
        account: str | None = None,
        version: str | None = None,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> tuple[int, Wire, Response]:
        encoded = urlencode(pairs(params or {})).encode()
        headers = {b"authorization": f"Bearer {key or self.key}".encode()}
        if account:
            headers[b"stripe-account"] = account.encode()
        if version:
            headers[b"stripe-version"] = version.encode()
        if idempotency_key:
            headers[b"idempotency-key"] = idempotency_key.encode()
        if method == "POST":
            headers[b"content-type"] = b"application/x-www-form-urlencoded"
            request = Request(method, path, headers=headers, body=encoded)
        else:
            request = Request(method, path, query=encoded, headers=headers)
        response = self.fake.handle(request)
        return response.status, orjson.loads(response.body), response

    def post(self, path: str, /, *, account: str | None = None, version: str | None = None, **params: Any) -> Wire:
        return self.done("POST", path, params, account=account, version=version)

    def get(self, path: str, /, *, account: str | None = None, version: str | None = None, **params: Any) -> Wire:
        return self.done("GET", path, params, account=account, version=version)

    def delete(self, path: str, /, *, account: str | None = None) -> Wire:
        return self.done("DELETE", path, {}, account=account)

    def done(self, method: str, path: str, params: Wire, **how: Any) -> Wire:
        status, body, _ = self.send(method, path, params, **how)
        assert status == 200, body
        return body

    def refused(self, status: int, method: str, path: str, /, *, account: str | None = None, **params: Any) -> Wire:
        """The error of a call that must fail with `status`, without what is only noise."""
        got, body, _ = self.send(method, path, params, account=account)
        assert got == status, body
        error: Wire = body["error"]
        return {name: value for name, value in error.items() if name not in ("request_log_url", "doc_url")}

    # ---- what nearly every test needs

    def customer(self, *, account: str | None = None, **params: Any) -> str:
        return str(self.post("/v1/customers", account=account, **params)["id"])

    def saved_card(
        self, magic: str = "pm_card_visa", *, customer: str | None = None, account: str | None = None
    ) -> tuple[str, str]:
        """(customer, PaymentMethod attached to it)."""
        owner = customer or self.customer(account=account)
        attached = self.post(f"/v1/payment_methods/{magic}/attach", account=account, customer=owner)
        return owner, attached["id"]

    def bare_card(self, magic: str = "pm_card_visa", *, account: str | None = None) -> str:
        return str(self.get(f"/v1/payment_methods/{magic}", account=account)["id"])

    def events(self, *, account: str | None = None) -> list[str]:
        """Types of the events so far, oldest first."""
        listed = self.get("/v1/events", account=account, limit=100)["data"]
        return [event["type"] for event in reversed(listed)]
