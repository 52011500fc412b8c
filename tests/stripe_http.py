"""Stripe's HTTP API as a test sees it: what happens outside the service, and what is really there afterwards."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


def form(params: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested parameters as Stripe's bracketed form fields."""
    pairs: list[tuple[str, str]] = []
    for key, value in params.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, dict):
            pairs += form(value, name)
        elif isinstance(value, list):
            pairs += [(f"{name}[{index}]", str(item)) for index, item in enumerate(value)]
        else:
            pairs.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return pairs


class StripeHttp:
    """Blocking calls to a double, outside the service under test."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.api_key = api_key

    def call(self, method: str, path: str, account: str = "", **params: Any) -> dict[str, Any]:
        """One call; the decoded body, also of an error answer (with its HTTP status under "status_code")."""
        query = urllib.parse.urlencode(form(params))
        url = self.url + path + (f"?{query}" if method != "POST" and query else "")
        headers = {"Authorization": f"Bearer {self.api_key}"} | ({"Stripe-Account": account} if account else {})
        request = urllib.request.Request(url, query.encode() if method == "POST" else None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                decoded: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            decoded = {**json.load(refused), "status_code": refused.code}
        return decoded

    def get(self, path: str, account: str = "", **params: Any) -> dict[str, Any]:
        """GET."""
        return self.call("GET", path, account, **params)

    def post(self, path: str, account: str = "", **params: Any) -> dict[str, Any]:
        """POST."""
        return self.call("POST", path, account, **params)

    def listed(self, path: str, account: str = "", **params: Any) -> list[dict[str, Any]]:
        """All objects of a list (up to 100)."""
        data: list[dict[str, Any]] = self.get(path, account, limit=100, **params)["data"]
        return data

    def connected_account(self) -> str:
        """A new connected account."""
        return str(self.post("/v1/accounts", type="standard", country="US")["id"])

    def saved_card(self, payment_method: str = "pm_card_visa") -> tuple[str, str]:
        """A platform customer with a saved card, its default: (cus_..., pm_...)."""
        customer = self.post("/v1/customers")["id"]
        saved = self.post(f"/v1/payment_methods/{payment_method}/attach", customer=customer)["id"]
        self.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": saved})
        return customer, saved

    def succeeded_charges(self, account: str) -> list[dict[str, Any]]:
        """The charges on an account that took money."""
        return [charge for charge in self.listed("/v1/charges", account) if charge["status"] == "succeeded"]
