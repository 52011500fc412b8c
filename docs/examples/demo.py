"""The main job, end to end and offline: save once, clone to two accounts by all three flows, charge each.

    make demo        (or: python docs/examples/demo.py)

Starts `cloneservice-server serve --stripe fake`, then does what a platform does: everything through the Python client
over a real gRPC channel; only what happens outside CloneService in real life too (sellers onboarding, Stripe.js making
a card Source) goes straight to the double. Exits 0 only if every step came out as expected.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cloneservice import (
    CardDeclined,
    Charge,
    ChargeState,
    Clone,
    CloneClient,
    CloneFlow,
    CloneState,
    Money,
    NewCustomer,
)

USD = "USD"


class Unexpected(Exception):  # noqa: N818 - reads as what happened
    """A step did not come out as it should."""


def expect(what: str, actual: object, expected: object) -> None:
    """Stop the demo unless `actual` is what is expected."""
    if actual != expected:
        raise Unexpected(f"{what}: expected {expected!r}, got {actual!r}")


@dataclass
class Stripe:
    """The double's HTTP API, for what is not CloneService's business."""

    url: str
    api_key: str

    def call(self, method: str, path: str, account: str = "", **params: str) -> dict[str, Any]:
        """One form-encoded call; the decoded answer."""
        query = urllib.parse.urlencode(params)
        url = f"{self.url}{path}" + (f"?{query}" if method == "GET" and query else "")
        headers = {"Authorization": f"Bearer {self.api_key}"}
        if account:
            headers["Stripe-Account"] = account
        request = urllib.request.Request(url, query.encode() if method == "POST" else None, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            decoded: dict[str, Any] = json.load(answer)
            return decoded


@contextmanager
def running_server() -> Iterator[dict[str, Any]]:
    """A server with an embedded double on free ports; what it says when it is ready."""
    with tempfile.TemporaryDirectory(prefix="cloneservice-demo-") as folder:
        command = [sys.executable, "-m", "cloneservice_server", "serve", "--stripe", "fake", "--json"]
        command += ["--listen", "127.0.0.1:0", "--ledger", f"sqlite:///{folder}/ledger.db", "--log-level", "warning"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line:
                raise Unexpected(f"the server did not start (exit code {server.wait()})")
            yield json.loads(line)
        finally:
            server.terminate()
            code = server.wait(timeout=20)
        expect("server's exit code", code, 0)


@dataclass
class Story:
    """The demo's steps and what they left."""

    client: CloneClient
    stripe: Stripe
    rows: list[tuple[Clone, Charge]] = field(default_factory=list)
    shopper: str = ""
    card: str = ""
    source: str = ""
    payment_method: str = ""
    bakery: str = ""
    florist: str = ""

    def say(self, text: str) -> None:
        """One line of the story."""
        print(f"  \N{CHECK MARK} {text}")

    def sellers_join(self) -> None:
        """Two connected accounts."""
        self.bakery, self.florist = (
            self.stripe.call("POST", "/v1/accounts", type="standard", country="US", email=f"{name}@example.com")["id"]
            for name in ("bakery", "florist")
        )
        self.say(f"two sellers joined: bakery {self.bakery}, florist {self.florist}")

    def shopper_saves(self) -> None:
        """One platform customer, who saves a card in each of the three ways."""
        saved = self.client.save_payment_method(
            "pm_card_visa", new_customer=NewCustomer(external_reference="shopper-1"), set_default=True
        )
        self.shopper = saved.platform_customer.platform_customer_id
        self.payment_method = saved.payment_method.platform_payment_method_id
        legacy = self.client.save_payment_method("tok_mastercard", platform_customer_id=self.shopper)
        self.card = legacy.payment_method.platform_payment_method_id
        made = self.stripe.call("POST", "/v1/sources", type="card", token="tok_amex")
        source = self.client.save_payment_method(made["id"], platform_customer_id=self.shopper)
        self.source = source.payment_method.platform_payment_method_id
        prefixes = [name.split("_")[0] for name in (self.payment_method, self.card, self.source)]
        expect("saved as PaymentMethod, card and Source", prefixes, ["pm", "card", "src"])
        self.say(f"shopper {self.shopper} saved {self.payment_method}, {self.card}, {self.source}")

    def charges(self) -> None:
        """Clone by each flow, attach, and charge with an application fee."""
        legs = [
            (self.bakery, self.payment_method, CloneFlow.PAYMENT_METHOD, 1999),
            (self.bakery, self.card, CloneFlow.TOKEN, 2450),
            (self.florist, self.source, CloneFlow.SOURCE, 3100),
            (self.florist, self.payment_method, CloneFlow.PAYMENT_METHOD, 875),
        ]
        for account, original, flow, amount in legs:
            made = self.client.clone_and_charge(
                platform_customer_id=self.shopper,
                platform_payment_method_id=original,
                connected_account_id=account,
                flow=flow,
                amount=Money(amount, USD),
                application_fee=Money(amount // 10, USD),
            )
            expect("state of the charge", made.charge.state, ChargeState.SUCCEEDED)
            expect("state of the clone", made.clone.state, CloneState.ATTACHED)
            expect("flow of the clone", made.clone.flow, flow)
            self.rows.append((made.clone, made.charge))
        again = self.client.clone_and_charge(
            platform_customer_id=self.shopper, connected_account_id=self.bakery, amount=Money(500, USD)
        )
        expect(
            "the default card's clone is reused", (again.reused, again.clone.clone_id), (True, self.rows[0][0].clone_id)
        )
        self.rows.append((again.clone, again.charge))
        self.say("cloned by PaymentMethod, Token and Source; attached; charged; the fifth charge reused its clone")

    def same_request_charges_once(self) -> None:
        """The same request_id, sent again as after a lost answer."""
        request_id = str(uuid.uuid4())
        answers = [
            self.client.clone_and_charge(
                platform_customer_id=self.shopper,
                connected_account_id=self.florist,
                amount=Money(4200, USD),
                request_id=request_id,
            )
            for _ in range(3)
        ]
        expect("replays", [answer.replayed for answer in answers], [False, True, True])
        expect("charges", len({answer.charge.charge_id for answer in answers}), 1)
        at_stripe = self.stripe.call("GET", "/v1/charges", self.florist, limit="100")["data"]
        expect("charges of 42.00 at Stripe", sum(charge["amount"] == 4200 for charge in at_stripe), 1)
        self.rows.append((answers[0].clone, answers[0].charge))
        self.say(f"request {request_id[:8]}\N{HORIZONTAL ELLIPSIS} sent three times charged once")

    def decline_and_authentication(self) -> None:
        """A card that is declined, and one whose issuer wants to see the shopper."""
        broke = self.client.save_payment_method("pm_card_chargeCustomerFail", platform_customer_id=self.shopper)
        try:
            self.client.clone_and_charge(
                platform_customer_id=self.shopper,
                platform_payment_method_id=broke.payment_method.platform_payment_method_id,
                connected_account_id=self.bakery,
                amount=Money(1300, USD),
            )
        except CardDeclined as declined:
            expect("code of the decline", declined.decline.code if declined.decline else "", "card_declined")
            assert declined.charge is not None
            expect("state of the declined charge", declined.charge.state, ChargeState.DECLINED)
            self.rows.append((self.client.get_clone(declined.charge.clone_id), declined.charge))
        else:
            raise Unexpected("the declining card was charged")
        careful = self.client.save_payment_method("pm_card_authenticationRequired", platform_customer_id=self.shopper)
        made = self.client.clone_and_charge(
            platform_customer_id=self.shopper,
            platform_payment_method_id=careful.payment_method.platform_payment_method_id,
            connected_account_id=self.bakery,
            amount=Money(1500, USD),
            return_url="https://shop.example.com/back",
        )
        expect("state with 3-D Secure", made.charge.state, ChargeState.REQUIRES_ACTION)
        expect(
            "a client secret for the front end",
            bool(made.charge.next_action and made.charge.next_action.client_secret),
            True,
        )
        self.rows.append((made.clone, made.charge))
        self.say("a declined card was told as declined, a 3-D Secure card as requiring action")

    def print_table(self) -> None:
        """Platform customer, clone, connected customer, charge: what Stripe itself does not link."""
        names = {self.bakery: "bakery", self.florist: "florist"}
        header = (
            "platform customer",
            "saved as",
            "flow",
            "clone",
            "account",
            "connected customer",
            "charge",
            "amount",
            "state",
        )
        table = [header]
        for clone, charge in self.rows:
            stripe_object = clone.connected_payment_method_id or clone.connected_token_id or clone.connected_source_id
            table.append(
                (
                    clone.platform_customer_id,
                    short(clone.platform_payment_method_id),
                    str(clone.flow),
                    short(stripe_object),
                    names[clone.connected_account_id],
                    clone.connected_customer_id,
                    short(charge.stripe_payment_intent_id),
                    str(charge.amount),
                    str(charge.state),
                )
            )
        print("\nWhat happened:\n")
        print_aligned(table)

    def print_charges_of_the_shopper(self) -> None:
        """One list over all sellers, by the original customer."""
        charges = list(self.client.list_charges(platform_customer_id=self.shopper))
        expect("charges by the original customer", {c.charge_id for c in charges}, {c.charge_id for _, c in self.rows})
        names = {self.bakery: "bakery", self.florist: "florist"}
        print(f"\nAll charges of {self.shopper}, newest first, over all sellers:\n")
        print_aligned(
            [("charge", "account", "amount", "fee", "state")]
            + [
                (c.charge_id, names[c.connected_account_id], str(c.amount), str(c.application_fee or "-"), str(c.state))
                for c in charges
            ]
        )


def short(identifier: str) -> str:
    """An id short enough for a table."""
    return identifier if len(identifier) <= 14 else f"{identifier[:8]}\N{HORIZONTAL ELLIPSIS}{identifier[-4:]}"


def print_aligned(table: list[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, row in enumerate(table):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("\N{BOX DRAWINGS LIGHT HORIZONTAL}" * width for width in widths))


def main() -> int:
    """Tell the story; 0 if it went as it should."""
    try:
        with running_server() as ready:
            stripe = Stripe(ready["stripe"], ready["stripe_api_key"])
            with CloneClient(f"127.0.0.1:{ready['port']}") as client:
                story = Story(client, stripe)
                story.sellers_join()
                story.shopper_saves()
                story.charges()
                story.same_request_charges_once()
                story.decline_and_authentication()
                story.print_table()
                story.print_charges_of_the_shopper()
    except Unexpected as problem:
        print(f"\ndemo failed: {problem}", file=sys.stderr)
        return 1
    print("\nEverything came out as expected.\nNext, on your own: . .venv/bin/activate, and docs/quickstart.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
