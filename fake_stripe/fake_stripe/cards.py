"""Stripe's test instruments: which number, token or magic id behaves how.

The rows are facts of Stripe's testing page (docs.stripe.com/testing), kept in `test_instruments.json` beside this
module. A *behaviour* says what happens when the instrument is attached, authenticated, charged, disputed or refunded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

import orjson

Authentication = Literal["never", "optional", "unless_set_up", "always", "on_session"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An issuer's no, with the fields that a 402 `card_error` carries (docs.stripe.com/declines/codes)."""

    code: str
    decline_code: str | None
    message: str = "Your card was declined."
    param: str | None = None
    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None
    blocked: bool = False
    """Stripe's Radar refused before the network was asked: `outcome.type` is `blocked`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test payment method does.

    `refusal` is the answer to a charge (after authentication, where that is asked for), None when it succeeds.
    `attach_refused` says that the same refusal already comes when the card is saved to a customer.
    `bank_failure` is the `failure_code` with which a bank debit fails after `processing`.
    """

    refusal: Refusal | None = None
    attach_refused: bool = False
    authentication: Authentication = "never"
    three_d_secure_supported: bool = True
    lookup_fails: bool = False
    """3DS is asked for but its lookup fails: no challenge is shown, the charge is refused at once."""
    risk_level: Literal["normal", "elevated", "highest"] = "normal"
    dispute: str | None = None
    """Reason of the dispute that follows a captured charge."""
    dispute_kind: Literal["chargeback", "inquiry", "compliance", "prevented", "alert"] = "chargeback"
    dispute_count: int = 1
    early_fraud_warning: bool = False
    refund: Literal["succeeds", "pending", "fails"] = "succeeds"
    available_at_once: bool = False
    """Funds go to the available balance at once."""
    requirement: Literal["verification", "transfer_block", "charge_block"] | None = None
    bank_failure: str | None = None
    bank_stays_processing: bool = False
    settles_later: bool = False
    """A bank debit that leaves `processing` only after three minutes."""
    microdeposits_fail: bool = False
    checks: Mapping[str, str] = field(default_factory=dict)
    """Results of checks other than `pass`: keys cvc, postal_code, line1; values fail, unavailable."""

    def needs_authentication(self, *, off_session: bool, set_up: bool) -> bool:
        """Whether a payment asks for 3DS: `set_up` is the state a SetupIntent (or a first saved payment) left."""
        if self.authentication == "always":
            return True
        if self.authentication == "unless_set_up":
            return not (off_session and set_up)
        return self.authentication == "on_session" and not off_session


@dataclass(frozen=True, slots=True)
class Card:
    """One test card: `brand` in the spelling of PaymentMethods (`visa`, `amex`, ...)."""

    number: str
    brand: str
    funding: str
    country: str
    behaviour: str


@dataclass(frozen=True, slots=True)
class BankAccount:
    """One US test bank account; routing number 110000000 unless the caller gives another."""

    number: str
    behaviour: str


@dataclass(frozen=True, slots=True)
class SepaDebit:
    """One test IBAN."""

    iban: str
    country: str
    behaviour: str


AUTHENTICATION_REQUIRED = Refusal(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

_GENERIC = Refusal("card_declined", "generic_decline", advice_code="try_again_later", network_decline_code="01")
_INSUFFICIENT = Refusal(
    "card_declined",
    "insufficient_funds",
    "Your card has insufficient funds.",
    advice_code="try_again_later",
    network_advice_code="02",
    network_decline_code="51",
)
_LOST = Refusal(
    "card_declined",
    "lost_card",
    advice_code="do_not_try_again",
    network_advice_code="01",
    network_decline_code="41",
)
_STOLEN = replace(_LOST, decline_code="stolen_card", network_decline_code="43")
_FRAUDULENT = Refusal("card_declined", "fraudulent")


def _refused(refusal: Refusal) -> Outcome:
    return Outcome(refusal=refusal, attach_refused=True)


def _disputed(
    reason: str,
    kind: Literal["chargeback", "inquiry", "compliance", "prevented", "alert"] = "chargeback",
    count: int = 1,
) -> Outcome:
    return Outcome(dispute=reason, dispute_kind=kind, dispute_count=count)


CARD_OUTCOMES: dict[str, Outcome] = {
    "success": Outcome(),
    "generic_decline": _refused(_GENERIC),
    "insufficient_funds": _refused(_INSUFFICIENT),
    "lost_card": _refused(_LOST),
    "stolen_card": _refused(_STOLEN),
    "fraudulent": _refused(_FRAUDULENT),
    "expired_card": _refused(
        Refusal("expired_card", "expired_card", "Your card has expired.", "exp_month", "confirm_card_data", "03", "54")
    ),
    "incorrect_cvc": _refused(
        Refusal(
            "incorrect_cvc",
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            "cvc",
            "confirm_card_data",
            "03",
            "N7",
        )
    ),
    "processing_error": _refused(
        Refusal(
            "processing_error",
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            advice_code="try_again_later",
            network_decline_code="06",
        )
    ),
    "card_velocity_exceeded": _refused(
        Refusal(
            "card_declined",
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
            advice_code="try_again_later",
            network_advice_code="02",
            network_decline_code="61",
        )
    ),
    "after_attach_generic_decline": Outcome(refusal=_GENERIC),
    "after_attach_lost_card": Outcome(refusal=_LOST),
    "after_attach_stolen_card": Outcome(refusal=_STOLEN),
    "radar_blocks": Outcome(refusal=replace(_FRAUDULENT, blocked=True), risk_level="highest"),
    "risk_highest": Outcome(risk_level="highest"),
    "risk_elevated": Outcome(risk_level="elevated"),
    "radar_signal": Outcome(),
    "cvc_check_fail": Outcome(checks={"cvc": "fail"}),
    "avs_zip_fail": Outcome(checks={"postal_code": "fail"}),
    "cvc_fail_elevated": Outcome(checks={"cvc": "fail"}, risk_level="elevated"),
    "avs_fail_elevated": Outcome(checks={"postal_code": "fail"}, risk_level="elevated"),
    "avs_line1_fail": Outcome(checks={"line1": "fail"}),
    "avs_fail": Outcome(checks={"line1": "fail", "postal_code": "fail"}),
    "avs_unchecked": Outcome(checks={"line1": "unavailable", "postal_code": "unavailable"}),
    "dispute_fraudulent": _disputed("fraudulent"),
    "dispute_product_not_received": _disputed("product_not_received"),
    "dispute_inquiry": _disputed("general", "inquiry"),
    "dispute_multiple": _disputed("fraudulent", count=2),
    "dispute_ce3": _disputed("fraudulent"),
    "dispute_compliance": _disputed("noncompliant", "compliance"),
    "dispute_auto_representment": _disputed("fraudulent"),
    "dispute_prevented": _disputed("fraudulent", "prevented"),
    "dispute_alert": _disputed("fraudulent", "alert"),
    "early_fraud_warning": Outcome(early_fraud_warning=True),
    "refund_pending_then_succeeds": Outcome(refund="pending"),
    "refund_fails_later": Outcome(refund="fails"),
    "available_at_once": Outcome(available_at_once=True),
    "requires_action_unless_set_up": Outcome(authentication="unless_set_up"),
    "requires_action_always": Outcome(authentication="always"),
    "requires_action_on_session": Outcome(authentication="on_session"),
    "requires_action_then_insufficient_funds": Outcome(refusal=_INSUFFICIENT, authentication="always"),
    "requires_action_then_declined": Outcome(refusal=_GENERIC, authentication="always"),
    "3ds_lookup_error_declined": Outcome(refusal=_GENERIC, lookup_fails=True),
    "3ds_supported_optional": Outcome(authentication="optional"),
    "3ds_optional_lookup_error": Outcome(authentication="optional"),
    "3ds_not_supported": Outcome(three_d_secure_supported=False),
    "3ds_frictionless": Outcome(),
    "3ds_mobile_challenge": Outcome(authentication="always"),
    "captcha": Outcome(),
    "pin_terminal": Outcome(),
    "india_recurring_mandate": Outcome(authentication="unless_set_up"),
    "triggerVerification": Outcome(requirement="verification"),
    "triggerTransferBlock": Outcome(requirement="transfer_block"),
    "triggerChargeBlock": Outcome(requirement="charge_block"),
}

BANK_OUTCOMES: dict[str, Outcome] = {
    "succeeds": Outcome(),
    "succeeds_later": Outcome(settles_later=True),
    "fails": Outcome(bank_failure="debit_not_authorized"),
    "fails_later": Outcome(bank_failure="debit_not_authorized", settles_later=True),
    "disputed": Outcome(dispute="debit_not_authorized"),
    "stays_processing": Outcome(bank_stays_processing=True),
    "microdeposits_fail": Outcome(microdeposits_fail=True),
    "blocked": Outcome(
        refusal=Refusal("payment_method_provider_decline", "fraudulent", "The payment was blocked.", blocked=True),
        risk_level="highest",
    ),
}


LIVE_MODE = Outcome(
    Refusal(
        "card_declined",
        "testmode_decline",
        "Your card was declined. Your request was in live mode, but used a known test card.",
    ),
    attach_refused=True,
)
"""A test card in live mode."""


def outcome(behaviour: str) -> Outcome:
    """The outcome of a behaviour named in the data; a bank behaviour without an entry is the failure code itself."""
    known = CARD_OUTCOMES.get(behaviour)
    return known if known is not None else bank_outcome(behaviour)


def bank_outcome(behaviour: str) -> Outcome:
    """The outcome of a bank debit."""
    return BANK_OUTCOMES.get(behaviour) or Outcome(bank_failure=behaviour)


@dataclass(frozen=True, slots=True)
class _Book:
    cards: dict[str, Card]
    card_payment_methods: dict[str, Card]
    card_tokens: dict[str, Card]
    banks: dict[str, BankAccount]
    bank_payment_methods: dict[str, BankAccount]
    sepa: dict[str, SepaDebit]
    sepa_payment_methods: dict[str, SepaDebit]


@cache
def _book() -> _Book:
    data = orjson.loads((Path(__file__).parent / "test_instruments.json").read_bytes())
    book = _Book({}, {}, {}, {}, {}, {}, {})
    for number, brand, funding, country, behaviour, payment_method, tokens in data["cards"]:
        card = Card(number, brand, funding, country, behaviour)
        book.cards.setdefault(number, card)
        if payment_method:
            book.card_payment_methods[f"pm_card_{payment_method}"] = card
        for token in tokens:
            book.card_tokens[f"tok_{token}"] = card
            # Older names that Stripe still takes go by the token's: pm_card_chargeDeclined.
            book.card_payment_methods.setdefault(f"pm_card_{token}", card)
    for number, behaviour, payment_method in data["us_bank_accounts"]:
        bank = BankAccount(number, behaviour)
        book.banks[number] = bank
        if payment_method:
            book.bank_payment_methods[f"pm_usBankAccount_{payment_method}"] = bank
    for iban, country, behaviour, payment_method in data["sepa_debits"]:
        debit = SepaDebit(iban, country, behaviour)
        book.sepa[iban] = debit
        book.sepa_payment_methods[f"pm_sepaDebit_{payment_method}"] = debit
    return book


def magic_payment_method(payment_method: str) -> Card | BankAccount | SepaDebit | None:
    """The instrument behind `pm_card_visa` and its kin, None for any other id."""
    book = _book()
    return (
        book.card_payment_methods.get(payment_method)
        or book.bank_payment_methods.get(payment_method)
        or book.sepa_payment_methods.get(payment_method)
    )


def magic_token(token: str) -> Card | None:
    """The card behind `tok_visa` and its kin, None for any other id."""
    return _book().card_tokens.get(token)


def by_number(number: str) -> Card | None:
    """The test card with this number, None for a number that is no test card."""
    return _book().cards.get(number)


def bank_account(number: str) -> BankAccount:
    """The US bank account with this number; any other number is an account that pays."""
    return _book().banks.get(number) or BankAccount(number, "succeeds")


def sepa_debit(iban: str) -> SepaDebit:
    """The debit account with this IBAN; any other IBAN is an account that pays."""
    return _book().sepa.get(iban) or SepaDebit(iban, iban[:2], "succeeds")


def magic_ids() -> list[str]:
    """Every magic PaymentMethod and token id, for tests and for the control API's listing."""
    book = _book()
    return [*book.card_payment_methods, *book.card_tokens, *book.bank_payment_methods, *book.sepa_payment_methods]


def luhn_ok(number: str) -> bool:
    """Whether the digits carry a right Luhn check digit (ISO/IEC 7812)."""
    total = 0
    for index, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
