"""The refusals of the facts about Stripe's behaviour as data: each case names its row, the request and the answer.

A row is named by its section and the words that it begins with. Names in braces (`{saved}`) stand for objects that a
`Shop` makes when a case first asks for them; `test_facts_are_covered.py` holds the rows of the document to the cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

LIVE_KEY = "sk_live_fake_calls"
NOISE = ("doc_url", "request_log_url")
CARD = {"number": "4242424242424242", "exp_month": 9, "exp_year": 2031, "cvc": "314"}
BANK = {"account_number": "000123456789", "routing_number": "110000000", "account_holder_type": "individual"}
NOW = {"amount": 500, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
"""A card payment, made and confirmed in one call."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One refusal of Stripe's, and how to provoke it.

    Attributes:
        row: section and first words of the row in the facts.
        call: method and path.
        message: the whole message as it must come.
        like: what the document has for `message`, where an example of its own stands there; else `message` itself.
        given: names of the shop to look up before the call, for what they do.
    """

    row: str
    call: str
    status: int = 400
    message: str | None = None
    like: str | None = None
    type: str = "invalid_request_error"
    code: str | None = None
    decline_code: str | None = None
    param: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    params: Wire = field(default_factory=dict)
    given: tuple[str, ...] = ()
    account: str | None = None
    version: str | None = None
    key: str | None = None
    idempotency_key: str | None = None

    @property
    def section(self) -> str:
        """The section of the facts that the row is in."""
        return self.row.partition(" ")[0]

    @property
    def opening(self) -> str:
        """The words that the row begins with."""
        return self.row.partition(" ")[2]


class Shop(dict[str, str]):
    """Objects by the names that cases give them, each made when it is first asked for."""

    def __init__(self, api: Api) -> None:
        super().__init__(seller=SELLER, somebody="acct_1Somebody", masked="sk_test_*****")
        self.api = api

    def __missing__(self, name: str) -> str:
        made = MAKE[name](self)
        self[name] = made
        return made

    def intent(self, **params: Any) -> str:
        """A PaymentIntent of 10.00 USD by card."""
        wanted: Wire = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"]} | params
        return str(self.api.post("/v1/payment_intents", **wanted)["id"])

    def charge(self, **params: Any) -> str:
        """The charge of a PaymentIntent that was paid."""
        paid = self.intent(confirm=True, **{"payment_method": "pm_card_visa"} | params)
        return str(self.api.get(f"/v1/payment_intents/{paid}")["latest_charge"])

    def fee(self, amount: int) -> str:
        """An application fee of a direct charge."""
        paid: Wire = {"payment_method": "pm_card_visa", "application_fee_amount": amount, **NOW}
        self.api.post("/v1/payment_intents", account=SELLER, **paid)
        return str(self.api.get("/v1/application_fees")["data"][0]["id"])

    def made(self, path: str, **params: Any) -> str:
        """The id of what a call makes."""
        return str(self.api.post(path, **params)["id"])

    def done(self, path: str, **params: Any) -> str:
        """Nothing; for calls that are made for what they do."""
        self.api.post(path, **params)
        return ""

    def policy(self, account: str | None = None, **switches: str) -> str:
        """Nothing; sets switches of an account's API."""
        self.api.world.set_policy(switches, account)
        return ""

    def unready(self, key: str | None = None, **params: str) -> str:
        """A connected account without capabilities, held to that as live accounts are."""
        made = str(self.api.done("POST", "/v1/accounts", {"country": "US", **params}, key=key)["id"])
        self.policy(made, capabilities="enforced")
        return made

    def restricted(self, *granted: str) -> str:
        """A restricted key with these permissions."""
        key = "rk_test_calls"
        self.api.world.restricted[key] = frozenset(granted)
        return key

    def legacy(self, kind: str, id_: str) -> str:
        """The default source of a new customer, who is kept under `kind`_owner."""
        customer = self.api.post("/v1/customers", source=id_)
        self[f"{kind}_owner"] = customer["id"]
        return str(customer["default_source"])


MAKE: dict[str, Callable[[Shop], str]] = {
    "platform": lambda shop: shop.api.world.platform,
    "customer": lambda shop: shop.api.customer(),
    "another": lambda shop: shop.api.customer(name="Another"),
    "theirs": lambda shop: shop.api.customer(account=SELLER),
    "saved": lambda shop: shop.api.saved_card(customer=shop["customer"])[1],
    "bare": lambda shop: shop.api.bare_card(),
    "deleted": lambda shop: str(shop.api.delete(f"/v1/customers/{shop.api.customer()}")["id"]),
    "used": lambda shop: shop.intent(confirm=True, payment_method=shop["bare"]) and shop["bare"],
    "bank": lambda shop: shop.made(
        "/v1/payment_methods", type="us_bank_account", us_bank_account=BANK, billing_details={"name": "Ada Buyer"}
    ),
    "card": lambda shop: shop.legacy("card", "tok_visa"),
    "source": lambda shop: shop.legacy("source", shop.made("/v1/sources", type="card", token="tok_visa")),
    "token": lambda shop: shop.made("/v1/tokens", card=CARD),
    "spent token": lambda shop: shop.done("/v1/customers", source=shop["token"]) or shop["token"],
    "open": lambda shop: shop.intent(),
    "paid": lambda shop: shop.intent(payment_method="pm_card_visa", confirm=True),
    "held": lambda shop: shop.intent(payment_method="pm_card_visa", capture_method="manual", confirm=True),
    "set up": lambda shop: shop.made(
        "/v1/setup_intents", payment_method="pm_card_visa", payment_method_types=["card"], confirm=True
    ),
    "charge": lambda shop: shop.charge(),
    "unready seller": lambda shop: shop.unready(type="custom"),
    "live seller": lambda shop: shop.unready(LIVE_KEY, type="custom"),
}
"""How to make what a name stands for; the tables of the sections add theirs."""


def filled(value: Any, shop: Shop) -> Any:
    """The value with the names in its texts filled in."""
    if isinstance(value, str):
        return value.format_map(shop) if "{" in value else value
    if isinstance(value, dict):
        return {name: filled(item, shop) for name, item in value.items()}
    return [filled(item, shop) for item in value] if isinstance(value, list) else value


def provoke(case: Case) -> tuple[int, Wire, Wire]:
    """The status, the error without what is only noise, and the error that the case expects."""
    shop = Shop(Api())
    for word in case.given:
        shop[word]
    method, _, path = filled(case.call, shop).partition(" ")
    status, body, _ = shop.api.send(
        method,
        path,
        filled(case.params, shop),
        account=filled(case.account, shop),
        version=case.version,
        key=filled(case.key, shop),
        idempotency_key=case.idempotency_key,
    )
    got: Wire = {name: value for name, value in body["error"].items() if name not in NOISE}
    told = {name: getattr(case, name) for name in ("type", "message", "code", "decline_code", "param")}
    expected = {name: filled(value, shop) for name, value in told.items() if value is not None}
    for name in ("charge", "payment_intent", "payment_method", "setup_intent", "source"):
        if name not in case.extra:
            got.pop(name, None)
    return status, got, expected | filled(case.extra, shop)


def ids(cases: list[Case]) -> list[str]:
    """The names under which pytest shows the cases."""
    return [case.row[:60] for case in cases]
