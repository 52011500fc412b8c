"""A world with something of everything that the page shows, told by calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fake_stripe.wire import Request

from tests.fake_stripe.stripe_calls import Api

HOSTILE = "<script>document.title='owned'</script>"


@dataclass(slots=True)
class Story:
    """What the story's calls made."""

    ada: str
    card: str
    sellers: list[str]
    clones: list[str]
    payment: str
    waiting: str
    declined: str


def shop_api() -> Api:
    """A world without accounts of its own making."""
    api = Api("sk_test_shop", seed="page")
    for account in list(api.world.connected):
        api.world.disconnect(account)
    api.fake.worlds.reset("shop", seed="page")
    return api


def tell(api: Api) -> Story:
    """A platform with three sellers: clones, payments, a decline, a challenge, a debit, a lost answer, mistakes."""
    sellers = [_seller(api, name, country) for name, country in (("Bakery", "US"), ("Florist", "US"), ("Bücher", "DE"))]
    ada = api.customer(name="Ada Lovelace", email="ada@example.com")
    grace = api.customer(name="Grace Hopper", email="grace@example.com")
    api.customer(name=HOSTILE)
    card, second = api.saved_card(customer=ada)[1], api.saved_card("pm_card_mastercard", customer=ada)[1]
    third = api.saved_card("pm_card_amex", customer=grace)[1]
    clones = [_clone(api, ada, card, seller) for seller in sellers]
    clones += [_clone(api, ada, second, sellers[0]), _clone(api, grace, third, sellers[2])]
    there = api.customer(account=sellers[0], name="Ada Lovelace", email="ada@example.com")
    api.post(f"/v1/payment_methods/{clones[0]}/attach", account=sellers[0], customer=there)
    payment = _pay(api, sellers[0], 1999, clones[0], customer=there, application_fee_amount=199)
    api.post("/v1/refunds", account=sellers[0], payment_intent=payment, amount=500)
    _pay(api, sellers[1], 4200, clones[1])
    _pay(api, sellers[2], 98_700, clones[4], currency="eur", capture_method="manual")
    declined = _declined(api, sellers[1])
    waiting = _pay(api, sellers[0], 12_500, "pm_card_threeDSecure2Required", return_url="https://shop.example/done")
    _mistakes(api, sellers, card)
    api.post("/v1/webhook_endpoints", url="https://shop.example/hooks", enabled_events=["*"], connect=True)
    api.world.faults.add({"act": "commit_then_drop", "match": {"method": "POST", "path": "/v1/customers"}})
    api.fake.handle(_lost(api))
    api.world.faults.add({"act": {"kind": "status", "status": 503}, "match": {"account": sellers[2]}, "times": 3})
    return Story(ada, card, sellers, clones, payment, waiting, declined)


def _seller(api: Api, name: str, country: str) -> str:
    made = api.post("/v1/accounts", type="standard", country=country, business_profile={"name": name})
    return str(made["id"])


def _clone(api: Api, customer: str, card: str, seller: str) -> str:
    return str(api.post("/v1/payment_methods", account=seller, customer=customer, payment_method=card)["id"])


def _pay(api: Api, seller: str, amount: int, card: str, *, currency: str = "usd", **more: Any) -> str:
    made = api.post(
        "/v1/payment_intents",
        account=seller,
        amount=amount,
        currency=currency,
        payment_method=card,
        payment_method_types=["card"],
        confirm=True,
        **more,
    )
    return str(made["id"])


def _declined(api: Api, seller: str) -> str:
    how: dict[str, Any] = {"amount": 2500, "currency": "usd", "payment_method_types": ["card"]}
    made = api.post("/v1/payment_intents", account=seller, **how)["id"]
    card = "pm_card_visa_chargeDeclinedInsufficientFunds"
    api.refused(402, "POST", f"/v1/payment_intents/{made}/confirm", account=seller, payment_method=card)
    return str(made)


def _mistakes(api: Api, sellers: list[str], card: str) -> None:
    """A platform's card on a connected account, a misspelt parameter, a path that does not exist."""
    how = {"amount": 500, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    api.refused(400, "POST", "/v1/payment_intents", account=sellers[0], payment_method=card, **how)
    api.refused(400, "POST", "/v1/customers", emial="ada@example.com")
    api.refused(404, "GET", "/v1/custommers")


def _lost(api: Api) -> Request:
    headers = {b"authorization": b"Bearer " + api.key.encode(), b"content-type": b"application/x-www-form-urlencoded"}
    return Request("POST", "/v1/customers", headers=headers, body=b"name=Lost&email=lost@example.com")
