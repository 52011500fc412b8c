"""Cards, bank accounts and Sources as PaymentMethods: their ids pass wherever a PaymentMethod id is expected.

(docs.stripe.com/payments/payment-methods/transitioning.) A view carries the id of what it shows and is never stored.
"""

from __future__ import annotations

from fake_stripe import cards
from fake_stripe.objects.card_details import display_brand, networks, payment_method_brand
from fake_stripe.objects.metadata import EMPTY_ADDRESS
from fake_stripe.scope import Scope, Wire


def find(scope: Scope, legacy_id: str) -> Wire | None:
    """The PaymentMethod-shaped view of a card_, ba_ or src_ id of this account, None when there is none."""
    prefix = legacy_id.partition("_")[0]
    if prefix == "card":
        card = scope.get("card", legacy_id)
        return None if card is None or "account" in card else of_card(scope, card)
    if prefix == "ba":
        bank = scope.get("bank_account", legacy_id)
        return None if bank is None or "account" in bank else of_bank_account(scope, bank)
    if prefix == "src":
        source = scope.get("source", legacy_id)
        return None if source is None or source["type"] != "card" else of_source(scope, source)
    return None


def of_customer(scope: Scope, customer: str, type_: str | None) -> list[Wire]:
    """A customer's legacy cards as PaymentMethods, newest first; legacy bank accounts are not listed."""
    if type_ not in (None, "card"):
        return []
    views = [of_card(scope, card) for card in scope.list("card", customer=customer)]
    return views + [of_source(scope, o) for o in scope.list("source", customer=customer) if o["type"] == "card"]


def _frame(scope: Scope, legacy: Wire, type_: str, billing: Wire) -> Wire:
    return {
        "id": legacy["id"],
        "object": "payment_method",
        "allow_redisplay": legacy.get("allow_redisplay") or "unspecified",
        "billing_details": {"address": dict(EMPTY_ADDRESS), "email": None, "name": None, "phone": None, "tax_id": None}
        | billing,
        "created": scope.hidden(legacy["id"]).get("created") or legacy.get("created") or scope.world.now,
        "customer": legacy.get("customer"),
        "customer_account": None,
        "livemode": scope.livemode,
        "metadata": legacy["metadata"],
        "shared_payment_granted_token": None,
        "type": type_,
    }


def address_of(card: Wire) -> Wire:
    """The address of a legacy card, as billing details have it."""
    return {
        "city": card["address_city"],
        "country": card["address_country"],
        "line1": card["address_line1"],
        "line2": card["address_line2"],
        "postal_code": card["address_zip"],
        "state": card["address_state"],
    }


def of_card(scope: Scope, card: Wire) -> Wire:
    """The view of a legacy card."""
    view = _frame(scope, card, "card", {"address": address_of(card), "name": card["name"]})
    view["card"] = _card_block(scope, card["id"], card)
    return view


def _card_block(scope: Scope, id_: str, card: Wire) -> Wire:
    kept = scope.hidden(id_).get("instrument") or {}
    known = cards.by_number(kept.get("number", ""))
    brand = known.brand if known else payment_method_brand(card["brand"])
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": card["address_line1_check"],
            "address_postal_code_check": card["address_zip_check"],
            "cvc_check": card["cvc_check"],
        },
        "country": card["country"],
        "display_brand": display_brand(brand),
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "generated_from": None,
        "last4": card["last4"],
        "networks": {"available": networks(known) if known else [brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def of_source(scope: Scope, source: Wire) -> Wire:
    """The view of a card Source."""
    owner = source["owner"] or {}
    billing = {
        "address": owner.get("address") or dict(EMPTY_ADDRESS),
        "email": owner.get("email"),
        "name": owner.get("name"),
        "phone": owner.get("phone"),
    }
    view = _frame(scope, source, "card", billing)
    view["card"] = _card_block(scope, source["id"], source["card"])
    return view


def of_bank_account(scope: Scope, bank: Wire) -> Wire:
    """The view of a legacy US bank account."""
    view = _frame(scope, bank, "us_bank_account", {"name": bank["account_holder_name"]})
    view["us_bank_account"] = {
        "account_holder_type": bank["account_holder_type"],
        "account_type": bank["account_type"],
        "bank_name": bank["bank_name"],
        "financial_connections_account": None,
        "fingerprint": bank["fingerprint"],
        "last4": bank["last4"],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": bank["routing_number"],
        "status_details": {},
    }
    return view
