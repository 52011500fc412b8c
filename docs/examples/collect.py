"""Saving a card in the browser with a SetupIntent's client secret, then charging it at two sellers. Runs offline.

    python docs/examples/collect.py            (then open the address that it prints)

A web shop of one page. Its server asks CloneService for a SetupIntent (CreateSetup) and hands the client secret to the
page; the card goes from the browser to Stripe and never through the shop. There is no Stripe.js without a network, so
`/confirm` stands for it: it has what a browser has, the publishable key and the client secret, and nothing more. The
3-D Secure challenge is the double's own page. `collect.html` shows the lines for the real Stripe.js.
"""

from __future__ import annotations

import html
import json
import sys
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cloneservice import CloneClient, Money, NewCustomer
from cloneservice.testing import LocalCloneService

PAGE = (Path(__file__).parent / "collect.html").read_text(encoding="utf-8")


class Shop:
    """What the shop's server does; one shopper, whom its own login would tell."""

    def __init__(self, service: LocalCloneService, client: CloneClient) -> None:
        self.client = client
        self.sellers = service.accounts
        self.stripe_url = service.stripe.url
        self.publishable_key = service.stripe.api_key.replace("sk_", "pk_")
        self.customer = ""

    def setup(self) -> dict[str, str]:
        """For the page: the client secret. It is in no log, no row and no other answer."""
        made = self.client.create_setup(
            new_customer=NewCustomer(external_reference="shopper-of-the-example"),
            on_behalf_of_account_id=self.sellers["bakery"],  # whose country's rules (SCA) the card must satisfy
            payment_method_types=["card"],
        )
        self.customer = made.platform_customer.platform_customer_id
        assert made.next_action is not None
        return {"clientSecret": made.next_action.client_secret}

    def confirm(self, client_secret: str, card: str, return_url: str) -> dict[str, str]:
        """What Stripe.js does in the browser: confirm, and say where the shopper must go, if anywhere."""
        fields = {"client_secret": client_secret, "payment_method": card, "return_url": return_url}
        intent = client_secret.partition("_secret_")[0]
        request = urllib.request.Request(
            f"{self.stripe_url}/v1/setup_intents/{intent}/confirm",
            urllib.parse.urlencode(fields).encode(),
            {"Authorization": f"Bearer {self.publishable_key}"},
        )
        with urllib.request.urlopen(request) as answer:
            action = json.load(answer).get("next_action") or {}
        return {"redirect": (action.get("redirect_to_url") or {}).get("url", "")}

    def done(self) -> list[str]:
        """The card is saved on the platform: charge it at both sellers, as often as the shopper buys."""
        saved = next(iter(self.client.list_platform_payment_methods(self.customer)), None) if self.customer else None
        if saved is None:
            return ["No card was saved."]
        lines = [f"Saved: {saved.summary.brand} {saved.summary.last4}"]
        for name in ("bakery", "florist"):
            made = self.client.clone_and_charge(
                self.customer,
                self.sellers[name],
                Money(1250, "USD"),
                platform_payment_method_id=saved.platform_payment_method_id,
            )
            lines.append(f"{name}: 12.50 USD, {str(made.charge.state).lower()}")
        return lines


def handler(shop: Shop) -> type[BaseHTTPRequestHandler]:
    """The web server's side."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/done":
                self._answer("".join(f"<p>{html.escape(line)}</p>" for line in shop.done()))
            elif path == "/":
                self._answer(PAGE)
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
            if self.path == "/setup":
                self._answer(shop.setup())
            elif self.path == "/confirm":
                done = f"http://{self.headers['Host']}/done"
                self._answer(shop.confirm(asked["clientSecret"], asked["card"], done))
            else:
                self.send_error(404)

        def _answer(self, body: str | dict[str, Any]) -> None:
            kind = "text/html" if isinstance(body, str) else "application/json"
            text = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Nothing: request lines of a payment page do not belong in a log."""

    return Handler


def serve(port: int = 0) -> None:
    """Serve until interrupted."""
    with (
        LocalCloneService() as service,
        service.client() as client,
        ThreadingHTTPServer(("127.0.0.1", port), handler(Shop(service, client))) as server,
    ):
        print(f"open http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    try:
        serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    except KeyboardInterrupt:
        sys.exit(0)
