"""The details of PaymentMethod types other than cards, US bank accounts and SEPA debits: `payment_method[type]`.

Every member that the OpenAPI document lists is shown, as Stripe does: what is not known is null.
"""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.card_details import fingerprint
from fake_stripe.objects.metadata import unset_to_none
from fake_stripe.scope import Scope, Wire

_TEST_BANK = "STRIPE TEST BANK"

_SHAPES: dict[str, Wire] = {
    "acss_debit": {"bank_name": _TEST_BANK, "institution_number": None, "transit_number": None},
    "au_becs_debit": {"bsb_number": None},
    "bacs_debit": {"sort_code": None},
    "bizum": {"buyer_id": None},
    "blik": {"buyer_id": None},
    "boleto": {"tax_id": ""},
    "cashapp": {"buyer_id": None, "cashtag": None},
    "custom": {"display_name": None, "logo": None, "type": ""},
    "eps": {"bank": None},
    "fpx": {"bank": None},
    "ideal": {"bank": None, "bic": None},
    "klarna": {"dob": None},
    "kr_card": {"brand": None, "last4": None},
    "link": {"email": None},
    "naver_pay": {"buyer_id": None, "funding": "card"},
    "nz_bank_account": {
        "account_holder_name": None,
        "bank_code": "",
        "bank_name": _TEST_BANK,
        "branch_code": "",
        "suffix": None,
    },
    "p24": {"bank": None},
    "paypal": {"country": "US", "payer_email": None, "payer_id": None},
    "payto": {"bsb_number": None, "last4": None, "pay_id": None},
    "pix": {"fingerprint": None},
    "sofort": {"country": None},
    "upi": {"vpa": None},
}
_BICS = {
    "abn_amro": "ABNANL2A",
    "adyen": "ADYBNL2A",
    "asn_bank": "ASNBNL21",
    "bunq": "BUNQNL2A",
    "buut": "BUUTNL2A",
    "finom": "FNOMNL22",
    "handelsbanken": "HANDNL2A",
    "ing": "INGBNL2A",
    "knab": "KNABNL2H",
    "mollie": "MLLENL2A",
    "moneyou": "MOYONL21",
    "n26": "NTSBDEB1",
    "nn": "NNBANL2G",
    "rabobank": "RABONL2U",
    "regiobank": "RBRBNL21",
    "revolut": "REVOLT21",
    "sns_bank": "SNSBNL2A",
    "triodos_bank": "TRIONL2U",
    "van_lanschot": "FVLBNL22",
    "yoursafe": "BITSNL2A",
}
_NEVER_SHOWN = frozenset({"account_number", "iban", "number", "cvc", "mandate_options", "reference"})


def details(scope: Scope, type_: str, given: Wire, billing: Any) -> Wire:
    """`payment_method[type_]` from the parameters of that type; of an account number only the last four digits."""
    block = dict(_SHAPES.get(type_, {}))
    block |= {name: unset_to_none(value) for name, value in given.items() if name not in _NEVER_SHOWN}
    number = str(given.get("account_number") or "")
    if type_ in ("acss_debit", "au_becs_debit", "bacs_debit", "nz_bank_account") or number:
        block["last4"] = number[-4:] or None
        if type_ not in ("nz_bank_account", "payto"):
            block["fingerprint"] = fingerprint(scope, f"{type_}:{number}")
    if type_ == "ideal":
        block["bic"] = _BICS.get(str(block["bank"]))
    if type_ == "link" and isinstance(billing, dict):
        block["email"] = billing.get("email") or None
    return block
