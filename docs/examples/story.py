"""A day in the life of one shopper and three sellers, end to end and offline, printed as a timeline.

    make story        (or: python docs/examples/story.py)

A double of Stripe and a real `cloneservice-server` with its webhook listener. The platform calls CloneService; what
happens outside it in real life too (a browser, a bank, a seller's dashboard) happens at the double, which sends its
webhooks, each twice and out of order. Exits 0 only if every step came out as expected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloneservice import (
    BatchState,
    Charge,
    ChargeState,
    Clone,
    CloneClient,
    CloneState,
    ConnectedAccountUnavailable,
    Money,
    NewCustomer,
)

from fake_stripe import FakeStripe

API_KEY = "sk_test_story"
SELLERS = ("bakery", "florist", "bookshop")


class Unexpected(Exception):  # noqa: N818 - reads as what happened
    """A step did not come out as it should."""


def expect(what: str, actual: object, expected: object) -> None:
    """Stop the story unless `actual` is what is expected."""
    if actual != expected:
        raise Unexpected(f"{what}: expected {expected!r}, got {actual!r}")


def until(what: str, look: Callable[[], object], expected: object) -> None:
    """Wait for what a webhook brings: it is answered first and worked off in the background."""
    deadline_s = time.monotonic() + 20
    while look() != expected:
        if time.monotonic() > deadline_s:
            expect(what, look(), expected)
        time.sleep(0.02)


def shown(amount: Money | None) -> str:
    """Dollars and cents, for eyes only."""
    return f"{amount.minor_units / 100:.2f} {amount.currency_code}" if amount else ""


@dataclass(frozen=True)
class Outside:
    """Stripe for everybody but CloneService: browsers, banks, dashboards."""

    url: str
    key: str = API_KEY

    def call(self, method: str, path: str, account: str = "", **params: str) -> dict[str, Any]:
        """One form-encoded call; the decoded answer."""
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Stripe-Account": account} if account else {})
        body = urllib.parse.urlencode(params).encode() if method == "POST" else None
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            decoded: dict[str, Any] = json.load(answer)
            return decoded

    def browser(self) -> Outside:
        """The same with the publishable key, which is all that a browser has."""
        return Outside(self.url, self.key.replace("sk_", "pk_"))


@contextmanager
def running_server(stripe: str) -> Iterator[dict[str, Any]]:
    """A server that knows the double's webhook secrets once they are written to "secrets"; what it says when ready."""
    with tempfile.TemporaryDirectory(prefix="cloneservice-story-") as folder:
        secrets = Path(folder) / "webhook-secrets"
        secrets.write_text("whsec_none_yet", encoding="utf-8")
        command = [sys.executable, "-m", "cloneservice_server", "serve", "--stripe", stripe, "--json"]
        command += ["--listen", "127.0.0.1:0", "--webhook-listen", "127.0.0.1:0", "--log-level", "error"]
        command += ["--ledger", f"sqlite:///{folder}/ledger.db", "--stripe-webhook-secrets-file", str(secrets)]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "STRIPE_API_KEY": API_KEY}
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line:
                raise Unexpected(f"the server did not start (exit code {server.wait()})")
            yield {**json.loads(line), "secrets": secrets}
        finally:
            server.terminate()
            code = server.wait(timeout=30)
            server.stdout.close()
        expect("server's exit code", code, 0)


@dataclass
class Story:
    """The steps, in their order, and what they left."""

    client: CloneClient
    outside: Outside
    shopper: str = ""
    card: str = ""
    accounts: dict[str, str] = field(default_factory=dict)
    clones: dict[str, Clone] = field(default_factory=dict)
    charges: dict[str, Charge] = field(default_factory=dict)

    def say(self, when: str, text: str) -> None:
        """One line of the timeline."""
        print(f"  {when:<10}  {text}")

    def opening(self, ready: dict[str, Any]) -> None:
        """Sellers join; Stripe is told where its events go."""
        for name in SELLERS:
            made = self.outside.call("POST", "/v1/accounts", type="standard", country="US")
            self.accounts[name] = made["id"]
        url = f"http://127.0.0.1:{ready['webhook_port']}/stripe/webhook"
        endpoints = [
            self.outside.call("POST", "/v1/webhook_endpoints", url=url, connect=kind, **{"enabled_events[0]": "*"})
            for kind in ("false", "true")
        ]
        ready["secrets"].write_text("\n".join(endpoint["secret"] for endpoint in endpoints), encoding="utf-8")
        self.outside.call("POST", "/_fake/webhooks", mode="deliver", copies="2", reorder="true")
        self.say("Mon 08:55", "three sellers are connected: " + ", ".join(SELLERS))

    def card_is_saved(self) -> None:
        """The browser saves a card with the SetupIntent's secret, so the platform never sees it."""
        new = NewCustomer(external_reference="zoe", email="zoe@example.com", name="Zoë")
        setup = self.client.create_setup(new_customer=new, payment_method_types=["card"])
        assert setup.next_action is not None
        saved = self.outside.browser().call(
            "POST",
            f"/v1/setup_intents/{setup.stripe_setup_intent_id}/confirm",
            client_secret=setup.next_action.client_secret,
            payment_method="pm_card_visa",
        )
        expect("setup", saved["status"], "succeeded")
        intent = self.outside.call("GET", f"/v1/setup_intents/{setup.stripe_setup_intent_id}")
        self.shopper, self.card = setup.platform_customer.platform_customer_id, intent["payment_method"]
        self.say("Mon 09:00", "Zoë saves a card in her browser, once")

    def buys(self, when: str, seller: str, cents: int) -> None:
        """Clone if need be, and charge."""
        made = self.client.clone_and_charge(
            self.shopper,
            self.accounts[seller],
            Money(cents, "USD"),
            platform_payment_method_id=self.card,
            application_fee=Money(cents // 10, "USD"),
        )
        expect(f"charge at the {seller}", made.charge.state, ChargeState.SUCCEEDED)
        self.clones[seller], self.charges[seller] = made.clone, made.charge
        how = "with the clone that is there" if made.reused else "with a new clone of the card"
        self.say(when, f"she pays {shown(Money(cents, 'USD'))} at the {seller}, {how}")

    def authenticates_at_the_bookshop(self) -> None:
        """Another card, whose bank wants her: the charge waits, and goes on when she has answered."""
        saved = self.client.save_payment_method("pm_card_threeDSecure2Required", platform_customer_id=self.shopper)
        made = self.client.clone_and_charge(
            self.shopper,
            self.accounts["bookshop"],
            Money(4200, "USD"),
            platform_payment_method_id=saved.payment_method.platform_payment_method_id,
            return_url="https://shop.example/done",
        )
        expect("3DS", made.charge.state, ChargeState.REQUIRES_ACTION)
        assert made.charge.next_action is not None
        assert made.charge.next_action.client_secret
        self.outside.call("POST", f"/_fake/authentications/{made.charge.stripe_payment_intent_id}", outcome="succeeded")
        charge_id = made.charge.charge_id
        until("the charge after 3DS", lambda: self.client.get_charge(charge_id).state, ChargeState.SUCCEEDED)
        self.clones["bookshop"], self.charges["bookshop"] = made.clone, self.client.get_charge(charge_id)
        self.say("Mon 09:30", "the bookshop's bank asks for 3-D Secure; she answers, and 42.00 USD are paid, once")

    def card_is_renewed(self) -> None:
        """Her bank sends a new card: every clone of it is stale, and the next charge makes the next one."""
        params = {"card[exp_month]": "3", "card[exp_year]": "2041"}
        self.outside.call("POST", f"/v1/payment_methods/{self.card}", **params)
        for seller in ("bakery", "florist"):
            old = self.clones[seller].clone_id
            until(f"clone at the {seller}", lambda old=old: self.client.get_clone(old).state, CloneState.STALE)
        self.say("Tue 10:00", "her card is renewed: Stripe says so, and both clones of it are marked stale")
        before = self.clones["bakery"].clone_id
        self.buys("Tue 10:05", "bakery", 890)
        expect("expiry of the new clone", self.clones["bakery"].summary.exp_year, 2041)
        expect("successor", self.client.get_clone(before).superseded_by_clone_id, self.clones["bakery"].clone_id)
        refreshed = self.client.refresh_clone(self.clones["florist"].clone_id)
        expect("refreshed", refreshed.changed, True)
        self.clones["florist"] = refreshed.clone
        self.say("Tue 10:10", "the florist's clone is refreshed before anybody needs it")

    def money_goes_back(self) -> None:
        """A refund by the platform, a dispute by her bank."""
        refund = self.client.refund_charge(
            self.charges["florist"].charge_id, amount=Money(1000, "USD"), refund_application_fee=True
        )
        expect("refunded", refund.charge.amount_refunded, Money(1000, "USD"))
        self.say("Wed 14:00", "the florist was late: 10.00 USD go back, and the platform's share of them")
        charge = self.charges["bookshop"]
        dispute = self.outside.call("POST", "/_fake/disputes", charge=charge.stripe_charge_id, reason="fraudulent")
        until("dispute", lambda: self.client.get_charge(charge.charge_id).dispute_status, "needs_response")
        self.outside.call("POST", f"/_fake/disputes/{dispute['id']}", status="won")
        until("dispute", lambda: self.client.get_charge(charge.charge_id).dispute_status, "won")
        self.say("Wed 15:00", "she disputes the book in error; the bookshop wins, and the ledger knows")

    def seller_leaves(self) -> None:
        """The bookshop disconnects: its clones cannot be charged any more, and a try is refused before Stripe."""
        self.outside.call("DELETE", f"/_fake/accounts/{self.accounts['bookshop']}")
        old = self.clones["bookshop"].clone_id
        until("clone at the bookshop", lambda: self.client.get_clone(old).state, CloneState.STALE)
        try:
            self.client.clone_and_charge(
                self.shopper, self.accounts["bookshop"], Money(500, "USD"), platform_payment_method_id=self.card
            )
        except ConnectedAccountUnavailable:
            self.say("Thu 08:00", "the bookshop leaves the platform; charging there is refused from now on")
        else:
            raise Unexpected("a seller who left was charged for")

    def one_list(self) -> None:
        """What Stripe does not give: her charges over all sellers."""
        listed = list(self.client.list_charges(platform_customer_id=self.shopper))
        expect("charges of the shopper", len(listed), 4)
        names = {account: name for name, account in self.accounts.items()}
        print("\n  All her charges, newest first, over all sellers:")
        for charge in listed:
            notes = [str(charge.state).lower()]
            if charge.amount_refunded and charge.amount_refunded.minor_units:
                notes.append(f"refunded {shown(charge.amount_refunded)}")
            notes += [f"dispute {charge.dispute_status}"] if charge.dispute_status else []
            print(f"    {names[charge.connected_account_id]:<9} {shown(charge.amount):>10}  {', '.join(notes)}")
        print()

    def is_forgotten(self) -> None:
        """Erased wherever the platform reaches; what it cannot erase is said."""
        looked = self.client.erase_customer(self.shopper, validate_only=True)
        expect("preview", (looked.batch.state, looked.charge_count), (BatchState.PENDING, 4))
        erased = self.client.erase_customer(self.shopper, delete_platform_customer=True)
        expect("erasure", erased.batch.state, BatchState.PARTIALLY_FAILED)
        expect("accounts erased", (erased.batch.succeeded_count, erased.batch.failed_count), (2, 1))
        expect("clones left", list(self.client.list_clones(platform_customer_id=self.shopper)), [])
        gone = self.outside.call("GET", f"/v1/customers/{self.shopper}")
        expect("platform customer", gone.get("deleted"), True)
        kept = self.client.get_charge(self.charges["bakery"].charge_id)
        expect("kept for accounting", (kept.amount, kept.connected_customer_id), (Money(890, "USD"), ""))
        self.say(
            "Fri 12:00", "Zoë asks to be forgotten: two sellers' customers and hers are deleted, and it is verified"
        )
        for sentence in erased.kept:
            self.say("", f"- {sentence}")


def main() -> int:
    """Tell the story; 0 if it went as it should."""
    try:
        with FakeStripe() as fake, running_server(fake.url) as ready, CloneClient(ready["target"]) as client:
            story = Story(client, Outside(fake.url))
            print("\nA day in the life of CloneService\n")
            story.opening(ready)
            story.card_is_saved()
            story.buys("Mon 09:10", "bakery", 1250)
            story.buys("Mon 09:20", "florist", 3900)
            story.authenticates_at_the_bookshop()
            story.card_is_renewed()
            story.money_goes_back()
            story.seller_leaves()
            story.one_list()
            story.is_forgotten()
    except Unexpected as problem:
        print(f"\nstory failed: {problem}", file=sys.stderr)
        return 1
    print("\nEverything came out as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
