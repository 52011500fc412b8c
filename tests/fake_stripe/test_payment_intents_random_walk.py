"""Whatever is done in whatever order: no call breaks the double, and money never appears or vanishes."""

import random
from typing import Any

import pytest
from fake_stripe.objects import authentication

from fake_stripe import cards
from tests.fake_stripe.stripe_calls import OTHER_SELLER, SELLER, Api, Wire

STEPS = 250
ACCOUNTS = (None, SELLER, OTHER_SELLER)
MAGIC = [name for name in cards.magic_ids() if name.startswith("pm_")]


class Walk:
    """One seeded random walk over payments of three accounts."""

    def __init__(self, seed: int) -> None:
        self.api = Api(seed=f"walk-{seed}")
        self.random = random.Random(seed)
        self.intents: list[tuple[str | None, str]] = []

    def call(self, method: str, path: str, account: str | None, params: Wire | None = None) -> Wire | None:
        status, body, _ = self.api.send(method, path, params or {}, account=account)
        assert status in (200, 400, 402, 404), (method, path, params, body)
        return body if status == 200 else None

    def step(self) -> None:
        moves: list[Any] = [self.create, self.create, self.confirm, self.capture, self.cancel, self.refund, self.update]
        moves += [self.answer, self.settle, self.list_all]
        self.random.choice(moves)()

    def pick(self) -> tuple[str | None, str]:
        return self.random.choice(self.intents) if self.intents else (None, "pi_none")

    def create(self) -> None:
        account = self.random.choice(ACCOUNTS)
        magic = self.random.choice(MAGIC)
        type_ = "card" if "card" in magic else "us_bank_account" if "usBank" in magic else "sepa_debit"
        params: Wire = {
            "amount": self.random.choice((49, 50, 1000, 99_999_999)),
            "currency": "eur" if type_ == "sepa_debit" else "usd",
            "payment_method_types": [type_],
            "payment_method": magic,
            "confirm": self.random.random() < 0.6,
            "capture_method": self.random.choice(("automatic", "manual")),
        }
        if account and self.random.random() < 0.5:
            params["application_fee_amount"] = self.random.randint(0, 60)
        elif account is None and self.random.random() < 0.4:
            params["transfer_data"] = {"destination": SELLER}
        if params["confirm"] and self.random.random() < 0.3:
            params["off_session"] = True
        made = self.call("POST", "/v1/payment_intents", account, params)
        if made is not None:
            self.intents.append((account, made["id"]))

    def confirm(self) -> None:
        account, intent = self.pick()
        params = {"payment_method": self.random.choice(MAGIC)} if self.random.random() < 0.5 else {}
        self.call("POST", f"/v1/payment_intents/{intent}/confirm", account, params)

    def capture(self) -> None:
        account, intent = self.pick()
        amount = self.random.choice(({}, {"amount_to_capture": 50}, {"amount_to_capture": 1001}))
        self.call("POST", f"/v1/payment_intents/{intent}/capture", account, dict(amount))

    def cancel(self) -> None:
        account, intent = self.pick()
        self.call("POST", f"/v1/payment_intents/{intent}/cancel", account)

    def update(self) -> None:
        account, intent = self.pick()
        params = self.random.choice(({"amount": 700}, {"description": ""}, {"metadata": {"a": "1"}}))
        self.call("POST", f"/v1/payment_intents/{intent}", account, dict(params))

    def refund(self) -> None:
        account, intent = self.pick()
        params: Wire = {"payment_intent": intent}
        if self.random.random() < 0.5:
            params["amount"] = self.random.randint(1, 600)
        if self.random.random() < 0.3:
            params["refund_application_fee" if account else "reverse_transfer"] = True
        self.call("POST", "/v1/refunds", account, params)

    def answer(self) -> None:
        account, intent = self.pick()
        shown = self.call("GET", f"/v1/payment_intents/{intent}", account)
        action = (shown or {}).get("next_action") or {}
        if shown and shown["status"] == "requires_action" and action["type"] != "verify_with_microdeposits":
            scope = self.api.world.scope(account or self.api.world.platform, livemode=False)
            authentication.resolve(scope, intent, self.random.choice(authentication.OUTCOMES))

    def settle(self) -> None:
        if self.random.random() < 0.5:
            self.api.world.advance(self.random.randint(1, 9) * 86_400)
        else:
            self.api.world.settle()

    def list_all(self) -> None:
        account = self.random.choice(ACCOUNTS)
        for path in ("payment_intents", "charges", "refunds", "disputes", "balance", "events"):
            assert self.call("GET", f"/v1/{path}", account) is not None


@pytest.mark.parametrize("seed", range(6))
def test_no_order_of_calls_breaks_the_double_or_its_books(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(STEPS):
        walk.step()
    world = walk.api.world
    for account in ACCOUNTS:
        scope = world.scope(account or world.platform, livemode=False)
        balance = walk.api.get("/v1/balance", account=account)
        booked = sum(part["amount"] for side in ("available", "pending") for part in balance[side])
        assert booked == sum(transaction["net"] for transaction in scope.list("balance_transaction"))
        for charge in scope.list("charge"):
            assert 0 <= charge["amount_refunded"] <= charge["amount"]
            refunds = [o for o in scope.list("refund", charge=charge["id"]) if o["status"] != "failed"]
            if charge["captured"] and charge["id"].startswith("ch_"):
                released = charge["amount"] - charge["amount_captured"]
                assert charge["amount_refunded"] == released + sum(o["amount"] for o in refunds)
        for intent in scope.list("payment_intent"):
            assert (intent["status"] == "succeeded") == (intent["amount_received"] > 0)
            assert (intent["status"] == "requires_capture") == (intent["amount_capturable"] > 0)
            assert (intent["status"] == "requires_action") == (intent["next_action"] is not None)
    for fee in world.platform_scope(livemode=False).list("application_fee"):
        assert 0 <= fee["amount_refunded"] <= fee["amount"]
        assert sum(o["amount"] for o in fee["refunds"]["data"]) <= fee["amount"]
