"""A local stand-in for api.stripe.com that costs next to nothing: Stripe-shaped answers, no state, no checks.

It exists so that benchmarks measure who calls Stripe, not who answers. Run as a process of its own; prints its port.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from typing import Any
from urllib.parse import parse_qs

import httptools
import orjson

_COUNTER = itertools.count(1)
_CARD = {
    "brand": "visa",
    "last4": "4242",
    "exp_month": 8,
    "exp_year": 2030,
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "country": "US",
    "funding": "credit",
    "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
    "networks": {"available": ["visa"], "preferred": None},
    "three_d_secure_usage": {"supported": True},
}
_BILLING = {
    "address": {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRequest-Id: req_responder\r\nContent-Length: %d\r\n\r\n"
_CONFIRM = re.compile(r"/v1/payment_intents/(pi_\w+)/confirm")


def _identifier(prefix: str) -> str:
    return f"{prefix}_1Responder{next(_COUNTER):014d}"


def _payment_intent(identifier: str, status: str, amount: int) -> dict[str, object]:
    succeeded = status == "succeeded"
    return {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": amount if succeeded else 0,
        "capture_method": "automatic_async",
        "client_secret": f"{identifier}_secret_{'x' * 25}",
        "confirmation_method": "automatic",
        "created": 1_790_000_000,
        "currency": "usd",
        "customer": "cus_Responder0001",
        "last_payment_error": None,
        "latest_charge": identifier.replace("pi_", "ch_") if succeeded else None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "payment_method": "pm_1Responder",
        "payment_method_options": {"card": {"installments": None, "mandate_options": None, "network": None}},
        "payment_method_types": ["card"],
        "status": status,
    }


def answer(path: str, form: dict[str, list[str]]) -> dict[str, object]:
    """What Stripe would send back for one of the guide's calls."""
    metadata = {key[9:-1]: values[0] for key, values in form.items() if key.startswith("metadata[")}
    if path == "/v1/payment_methods":
        identifier = _identifier("pm")
        return {"id": identifier, "object": "payment_method", "type": "card", "card": _CARD,
                "billing_details": _BILLING,
                "created": 1_790_000_000, "customer": None, "livemode": False, "metadata": metadata}  # fmt: skip
    if path == "/v1/customers":
        return {"id": _identifier("cus"), "object": "customer", "created": 1_790_000_000, "default_source": None,
                "email": None, "invoice_settings": {"default_payment_method": None}, "livemode": False,
                "metadata": metadata, "name": None, "phone": None, "shipping": None}  # fmt: skip
    if confirmed := _CONFIRM.fullmatch(path):
        return _payment_intent(confirmed[1], "succeeded", 1999)
    if path == "/v1/payment_intents":
        status = "succeeded" if form.get("confirm") == ["true"] else "requires_confirmation"
        return _payment_intent(_identifier("pi"), status, int(form["amount"][0]))
    return {"error": {"type": "invalid_request_error", "message": f"responder knows no {path}"}}


class Responder(asyncio.Protocol):
    """One keep-alive connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start parsing."""
        self.transport: Any = transport  # uvloop's is a Transport without being one by class
        self.parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def on_message_begin(self) -> None:
        """A new request on the connection."""
        self.url, self.body = b"", b""

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self.url += url

    def on_body(self, body: bytes) -> None:
        """Collect the form."""
        self.body += body

    def data_received(self, data: bytes) -> None:
        """Bytes from the caller."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        body = orjson.dumps(answer(self.url.decode(), parse_qs(self.body.decode())), option=orjson.OPT_INDENT_2)
        head = _HEAD % len(body)
        delay_s = DELAY_S
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self.transport.write, head + body)
        else:
            self.transport.write(head + body)


DELAY_S = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Responder, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
