"""A card's details: how they are entered, checked, fingerprinted and shown, on PaymentMethods and on legacy cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, card_error
from fake_stripe.ids import derived
from fake_stripe.scope import Scope, Wire

_DISPLAY_BRANDS = {"amex": "american_express", "diners": "diners_club", "unionpay": "union_pay", "unknown": "other"}
_LEGACY_BRANDS = {
    "visa": "Visa",
    "mastercard": "MasterCard",
    "amex": "American Express",
    "discover": "Discover",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}
_LOCAL_NETWORKS = {"FR": "cartes_bancaires", "AU": "eftpos_au"}
_CO_BRANDED = frozenset({"4000002500001001", "5555552500001001", "4000050360000001", "5555050360000080"})

_RAW_REFUSED = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens that"
    " map to the test card you are using, see https://stripe.com/docs/testing. To enable testing raw card data APIs,"
    " see https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis."
)
_LIVE_CARD = (
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid test"
    " cards, visit: https://stripe.com/docs/testing."
)


@dataclass(frozen=True, slots=True)
class Entered:
    """A card as it was entered: which test card, until when it is valid, and whether a security code came with it."""

    card: cards.Card
    exp_month: int
    exp_year: int
    cvc: bool

    def instrument(self) -> Wire:
        """What is kept, hidden, beside the object made from it."""
        return {"type": "card", "number": self.card.number, "behaviour": self.card.behaviour}


def magic(card: cards.Card, now: int) -> Entered:
    """The card behind a magic id: valid to this month of next year (recorded), its security code given."""
    from time import gmtime  # noqa: PLC0415 - only magic ids need the calendar here

    today = gmtime(now)
    return Entered(card, today.tm_mon, today.tm_year + 1, cvc=True)


def entered_by(scope: Scope, params: Wire) -> Entered:
    """Reads raw card details (`number`, `exp_month`, `exp_year`, `cvc`).

    Raises:
        ApiError: 402 in Stripe's words when the account may not send card numbers, or number, expiry or security code
            cannot be (docs.stripe.com/testing, invalid data).
    """
    if scope.world.policy(scope.account_id).raw_card_numbers == "refused":
        raise ApiError(402, "invalid_request_error", _RAW_REFUSED, executed=True)
    number = "".join(str(params.get("number") or "").split()).replace("-", "")
    if not number.isdigit() or not 12 <= len(number) <= 19:
        text = "The card number is not a valid credit card number."
        raise card_error(text, code="invalid_number", param="number")
    if not cards.luhn_ok(number):
        raise card_error("Your card number is incorrect.", code="incorrect_number", param="number")
    exp_month, exp_year = _expiry(scope, params)
    cvc = str(params.get("cvc") or "").strip()
    card = cards.by_number(number)
    if cvc and (not cvc.isdigit() or not 3 <= len(cvc) <= 4):
        raise card_error("Your card's security code is invalid.", code="invalid_cvc", param="cvc")
    if card is None:
        raise card_error(_LIVE_CARD, code="card_declined", decline_code="test_mode_live_card")
    return Entered(card, exp_month, exp_year, cvc=bool(cvc))


def _expiry(scope: Scope, params: Wire) -> tuple[int, int]:
    month, year = _number(params.get("exp_month")), _number(params.get("exp_year"))
    return checked_expiry(scope, month, year)


def checked_expiry(scope: Scope, month: int | None, year: int | None) -> tuple[int, int]:
    """Month and four-digit year of an expiry that is not over; 402 `invalid_expiry_month`/`_year` otherwise."""
    from time import gmtime  # noqa: PLC0415 - only raw card details need the calendar here

    today = gmtime(scope.world.now)
    if month is None or not 1 <= month <= 12:
        raise card_error("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")
    if year is not None and 0 <= year < 100:
        year += 2000
    if year is None or not today.tm_year <= year <= today.tm_year + 50:
        raise card_error("Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year")
    if (year, month) < (today.tm_year, today.tm_mon):
        raise card_error("Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month")
    return month, year


def _number(value: Any) -> int | None:
    text = str(value if value is not None else "").strip()
    return int(text) if text.isdigit() else None


def fingerprint(scope: Scope, number: str) -> str:
    """16 characters that say "same number" within one account; across accounts as the account's policy says.

    Stripe keeps fingerprints of some cards equal across accounts and of others not (both recorded).
    """
    different = scope.world.policy(scope.account_id).fingerprints == "different"
    salt = scope.account_id if different else scope.world.platform
    return derived(f"fingerprint:{salt}:{number}", 16)


def networks(card: cards.Card) -> list[str]:
    """The networks that can process a card: the local one first on co-branded cards."""
    if card.number in _CO_BRANDED:
        return [_LOCAL_NETWORKS[card.country], card.brand]
    return [card.brand]


def display_brand(brand: str) -> str:
    """`card.display_brand` of a brand or chosen network."""
    return _DISPLAY_BRANDS.get(brand, "eftpos_australia" if brand == "eftpos_au" else brand)


def payment_method_card(scope: Scope, entered: Entered, billing: Wire) -> Wire:
    """`payment_method.card` of a card just entered; checks wait ("unchecked") for the first verification."""
    card = entered.card
    address = billing["address"]
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": "unchecked" if address["line1"] else None,
            "address_postal_code_check": "unchecked" if address["postal_code"] else None,
            "cvc_check": "unchecked" if entered.cvc else None,
        },
        "country": card.country,
        "display_brand": display_brand(card.brand),
        "exp_month": entered.exp_month,
        "exp_year": entered.exp_year,
        "fingerprint": fingerprint(scope, card.number),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": networks(card), "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": cards.outcome(card.behaviour).three_d_secure_supported},
        "wallet": None,
    }


def legacy_card(scope: Scope, entered: Entered, owner: Wire) -> Wire:
    """A `card` object as it stands in a token; `owner` holds name and address_* as given."""
    card = entered.card
    line1, postal_code = owner.get("address_line1"), owner.get("address_zip")
    return {
        "id": scope.new_id("card"),
        "object": "card",
        "address_city": owner.get("address_city") or None,
        "address_country": owner.get("address_country") or None,
        "address_line1": line1 or None,
        "address_line1_check": "unchecked" if line1 else None,
        "address_line2": owner.get("address_line2") or None,
        "address_state": owner.get("address_state") or None,
        "address_zip": postal_code or None,
        "address_zip_check": "unchecked" if postal_code else None,
        "brand": _LEGACY_BRANDS.get(card.brand, "Unknown"),
        "country": card.country,
        "cvc_check": "unchecked" if entered.cvc else None,
        "dynamic_last4": None,
        "email": None,
        "exp_month": entered.exp_month,
        "exp_year": entered.exp_year,
        "fingerprint": fingerprint(scope, card.number),
        "funding": card.funding,
        "last4": card.number[-4:],
        "metadata": {},
        "name": owner.get("name") or None,
        "networks": {"preferred": None},
        "phone": None,
        "regulated_status": "unregulated",
        "tokenization_method": None,
        "wallet": None,
    }


def payment_method_brand(legacy_brand: str) -> str:
    """`visa` for `Visa`: the spelling of PaymentMethods for that of legacy cards."""
    return next((brand for brand, name in _LEGACY_BRANDS.items() if name == legacy_brand), "unknown")


def checked(outcome: cards.Outcome, check: str, waiting: str | None) -> str | None:
    """The result of one check after a verification; `check` is cvc, postal_code or line1. Nothing given stays None."""
    if waiting != "unchecked":
        return waiting
    return outcome.checks.get(check, "pass")


def verified_checks(outcome: cards.Outcome, checks: Wire) -> Wire:
    """`card.checks` after a verification (attach, charge, set-up)."""
    return {
        "address_line1_check": checked(outcome, "line1", checks["address_line1_check"]),
        "address_postal_code_check": checked(outcome, "postal_code", checks["address_postal_code_check"]),
        "cvc_check": checked(outcome, "cvc", checks["cvc_check"]),
    }


def verified_legacy(outcome: cards.Outcome, card: Wire) -> Wire:
    """The members of a legacy card that a verification changes."""
    return {
        "address_line1_check": checked(outcome, "line1", card["address_line1_check"]),
        "address_zip_check": checked(outcome, "postal_code", card["address_zip_check"]),
        "cvc_check": checked(outcome, "cvc", card["cvc_check"]),
    }


def refused(refusal: cards.Refusal, **extra: Any) -> ApiError:
    """The 402 of an issuer's refusal; `extra` are the objects that this error carries (charge, payment_intent, ...)."""
    return card_error(
        refusal.message,
        code=refusal.code,
        decline_code=refusal.decline_code,
        param=refusal.param,
        advice_code=refusal.advice_code,
        network_advice_code=refusal.network_advice_code,
        network_decline_code=refusal.network_decline_code,
        **extra,
    )


def refuse_verification(outcome: cards.Outcome) -> None:
    """Raises the issuer's refusal of a card that may not be saved to a customer (no charge in the error)."""
    if outcome.refusal is not None and outcome.attach_refused:
        raise refused(outcome.refusal)
