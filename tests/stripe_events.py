"""Stripe's events as a test sees them: collected at the double, changed, signed, and handed to the service."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from tests.stripe_http import StripeHttp

URL = "https://shop.example/stripe/webhook"


def signed(payload: bytes, *secrets: str, timestamp: int = 0) -> str:
    """A Stripe-Signature header."""
    timestamp = timestamp or int(time.time())
    text = f"{timestamp}.".encode() + payload
    parts = [hmac.new(secret.encode(), text, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={part}" for part in parts)])


class StripeEvents:
    """Both kinds of webhook endpoint, the platform's and that for connected accounts, collecting their deliveries."""

    def __init__(self, stripe: StripeHttp, url: str = URL, mode: str = "collect", **how: Any) -> None:
        self.stripe = stripe
        stripe.post("/_fake/webhooks", mode=mode, **how)
        made = [
            stripe.post("/v1/webhook_endpoints", url=url, enabled_events=["*"], connect=connect)
            for connect in (False, True)
        ]
        self.secrets: list[str] = [endpoint["secret"] for endpoint in made]

    def collected(self, *types: str) -> list[tuple[bytes, str]]:
        """(payload, signature) of what was collected since the last call, oldest first; of these types, if any."""
        found = self.stripe.get("/_fake/webhooks/collected", clear=True)["deliveries"]
        return [(one["payload"].encode(), one["signature"]) for one in found if not types or one["type"] in types]

    def made(self, kind: str, shown: dict[str, Any], account: str = "", **more: Any) -> tuple[bytes, str]:
        """An event that the double does not make by itself, signed."""
        event: dict[str, Any] = {"id": f"evt_{abs(hash((kind, json.dumps(shown))))}", "object": "event", "type": kind}
        event |= {"livemode": False, "data": {"object": shown}} | ({"account": account} if account else {}) | more
        payload = json.dumps(event).encode()
        return payload, signed(payload, self.secrets[1 if account else 0])
