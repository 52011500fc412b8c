"""How the pages name things: worlds in addresses (never by their keys), objects in a few words, accounts."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fake_stripe.amounts import spelt
from fake_stripe.faults import Fault
from fake_stripe.ids import derived
from fake_stripe.scope import Scope, Wire
from fake_stripe.ui.masking import masked_key, world_name

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.world import World

ROOT = "/_fake/ui"
INSTRUMENTS = ("payment_method", "card", "bank_account", "source")
"""The types of saved payment details, legacy ones too."""


@lru_cache(maxsize=16_384)
def token_of(name: str) -> str:
    """What stands for a world in addresses: its name is its key, and addresses end in histories and logs."""
    return derived("page:" + name, 12)


def named_by(app: "FakeStripe", token: str) -> str | None:
    """The name of the open world that a token stands for."""
    return next((name for name in app.worlds.names() if token_of(name) == token), None)


def address_of(name: str) -> str:
    """Where a world's page begins."""
    return f"{ROOT}/w/{token_of(name)}"


def world_label(world: "World", seed: str | None) -> dict[str, Any]:
    """How a world is introduced: its name, its masked key, and the test that it was opened for, if it was."""
    own_seed = world.ids.seed if world.ids.seed != seed else None
    return {
        "name": world_name(world.name),
        "key": masked_key(world.name),
        "test": own_seed if own_seed and "::" in own_seed else None,
        "address": address_of(world.name),
    }


def account_name(world: "World", account_id: str) -> str | None:
    """What the account's object calls it, if there is one."""
    for livemode in (False, True):
        home = world.known_scope(world.platform, livemode=livemode)
        account = home.get("account", account_id) if home else None
        if account is not None:
            profile = account.get("business_profile") or {}
            return profile.get("name") or account.get("email")
    return None


_LONG_ID = re.compile(r"\b([a-z]{2,8}_)[A-Za-z0-9]{10,}([A-Za-z0-9]{4})\b")


def short(text: str) -> str:
    """The text with long ids shortened to their kind and their end: what follows an id in a path matters more."""
    return _LONG_ID.sub(r"\1…\2", text)


def scopes_in_order(world: "World") -> list[Scope]:
    """The accounts as the page shows them: the platform first, then the others, test mode before live."""
    order = {account: place for place, account in enumerate([world.platform, *world.connected])}
    return sorted(world.scopes(), key=lambda s: (s.livemode, order.get(s.account_id, len(order)), s.account_id))


def details_of(instrument: Wire) -> str:
    """Saved payment details in a few words: `Visa •••• 4242`."""
    block: Wire = instrument
    if instrument["object"] in ("payment_method", "source"):
        block = instrument.get(instrument.get("type") or "") or {}
    last4 = block.get("last4")
    kind = block.get("brand") or block.get("bank_name") or instrument.get("type") or instrument["object"]
    kind = _BRANDS.get(str(kind).lower(), str(kind).replace("_", " "))
    return f"{kind} •••• {last4}" if last4 else kind


_BRANDS = {
    "visa": "Visa",
    "mastercard": "Mastercard",
    "amex": "Amex",
    "discover": "Discover",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


def expiry_of(instrument: Wire) -> str | None:
    """A card's expiry as cards print it."""
    block = instrument.get(instrument.get("type") or "") if instrument["object"] != "card" else instrument
    if not isinstance(block, dict) or not block.get("exp_year"):
        return None
    return f"{block['exp_month']:02}/{block['exp_year'] % 100:02}"


def money(amount: int | None, currency: str | None) -> str:
    """An amount with its currency, as people read it."""
    if amount is None:
        return "no amount"
    return f"{spelt(amount, currency or '')} {(currency or '').upper()}".strip()


def customer_name(customer: Wire) -> str:
    """What to call a customer."""
    return str(customer.get("name") or customer.get("email") or customer.get("description") or "Customer")


_TONES = {
    "ok": ("succeeded", "paid", "active", "enabled", "available", "chargeable", "verified", "won", "complete"),
    "warn": ("requires_action", "requires_capture", "requires_confirmation", "requires_payment_method", "processing",
             "pending", "needs_response", "under_review", "warning_needs_response"),
    "bad": ("failed", "lost", "disputed", "expired"),
}  # fmt: skip
_TONE_OF = {status: tone for tone, statuses in _TONES.items() for status in statuses}


def tone_of(status: str | int | None) -> str:
    """The colour that a status of an object, or of an HTTP answer, wears."""
    if isinstance(status, int):
        return "bad" if status >= 500 or not status else "warn" if status >= 400 else "ok"
    return _TONE_OF.get(status or "", "")


def charge_status(charge: Wire) -> str:
    """A charge's status as the dashboard tells it: what happened to it last."""
    if charge.get("disputed"):
        return "disputed"
    if charge.get("refunded"):
        return "refunded"
    if charge.get("amount_refunded"):
        return "partly refunded"
    if charge["status"] == "succeeded" and not charge.get("captured"):
        return "uncaptured"
    return str(charge["status"])


def is_spent(fault: Fault) -> bool:
    """Whether a fault has fired as often as it may."""
    return fault.times is not None and fault.fired >= fault.times
