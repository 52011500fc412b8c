"""Where Stripe's server differs from its OpenAPI document, each with where it was seen.

Keys are method and template. Parameter nodes are written as `build.py` writes them, but with their parts inside them;
`like` takes a node from another operation, `more` adds words to an enum.
"""

from typing import Any

Route = tuple[str, str]

_TEXT = {"t": "s", "l": 5000}
_DISCOUNT = {"coupon": _TEXT | {"u": 1}, "promotion_code": _TEXT}
_ID_OR_DETAILS = {"t": "x", "v": [_TEXT, {"t": "m", "v": _TEXT}]}
_CARD_DATA: dict[str, dict[str, Any]] = {
    "payment_method_data[card]": {"like": ("POST", "/v1/payment_methods", "card")},
    "payment_method_data[type]": {"more": ["card"]},
}
# docs.stripe.com/payments/ach-direct-debit/migrating-from-another-processor: accounts that were verified elsewhere.
_INTENTS = _CARD_DATA | {"payment_method_options[us_bank_account][verification_method]": {"more": ["skip"]}}

UNDOCUMENTED: dict[Route, dict[str, dict[str, Any]]] = {
    # Cards by token, or by number where the account may: "payment_method_data[card][token]" is the documented way to
    # use a token with an intent (docs.stripe.com/payments/payment-intents/migration), yet not in the OpenAPI document.
    ("POST", "/v1/payment_intents"): _INTENTS,
    ("POST", "/v1/payment_intents/{intent}"): _INTENTS,
    ("POST", "/v1/payment_intents/{intent}/confirm"): _INTENTS,
    ("POST", "/v1/setup_intents"): _INTENTS,
    ("POST", "/v1/setup_intents/{intent}"): _INTENTS,
    ("POST", "/v1/setup_intents/{intent}/confirm"): _INTENTS,
    # The document has a string; card and bank account details as a hash are what the parameter was made for
    # (docs.stripe.com/api/cards/create before 2024: "a token, or a dictionary of card details").
    ("POST", "/v1/customers"): {"source": _ID_OR_DETAILS, **_DISCOUNT},
    ("POST", "/v1/customers/{customer}"): {"source": _ID_OR_DETAILS, **_DISCOUNT},
    # Taken by the versions before these were removed, and the SDKs of those years still send them.
    ("POST", "/v1/subscriptions"): {"items[plan]": _TEXT, **_DISCOUNT},
    ("POST", "/v1/subscriptions/{subscription_exposed_id}"): {"items[plan]": _TEXT, **_DISCOUNT},
    ("POST", "/v1/customers/{customer}/sources"): {"source": _ID_OR_DETAILS},
    ("POST", "/v1/charges"): {"source": _ID_OR_DETAILS},
    # The same of external accounts; requested_capabilities came before capabilities[x][requested] and is still taken
    # (docs.stripe.com/upgrades, 2020-08-27).
    ("POST", "/v1/accounts"): {"external_account": _ID_OR_DETAILS, "requested_capabilities": {"t": "a", "v": _TEXT}},
    ("POST", "/v1/accounts/{account}"): {
        "external_account": _ID_OR_DETAILS,
        "requested_capabilities": {"t": "a", "v": _TEXT},
    },
    ("POST", "/v1/accounts/{account}/external_accounts"): {"external_account": _ID_OR_DETAILS},
    ("POST", "/v1/test_helpers/confirmation_tokens"): _CARD_DATA,
    # What these words were called before (docs.stripe.com/changelog: clover and dahlia; 2020).
    ("POST", "/v1/checkout/sessions"): {"ui_mode": {"more": ["custom", "embedded", "hosted"]}},
    ("POST", "/v1/account_links"): {"type": {"more": ["custom_account_update", "custom_account_verification"]}},
}
"""Parameters that are accepted although the document does not have them, or has them narrower; `any` takes all."""

UNSET_BY_EMPTY: dict[Route, tuple[str, ...]] = {
    # Recorded 2020 and 2026: name= and description= on a new customer; the rest by analogy.
    ("POST", "/v1/customers"): ("name", "email", "phone"),
    ("POST", "/v1/customers/{customer}"): ("name", "email", "phone"),
}
"""Texts that an empty string unsets although the document does not say so.

Beside them `description` of any operation, and the members of an `address` without required ones: shops send
`address[line2]=` for every customer whose address has one line.
"""

LEAST: dict[Route, dict[str, int]] = {
    # Recorded on refunds: -1 is refused with this bound.
    ("POST", "/v1/refunds"): {"amount": 1},
    ("POST", "/v1/charges/{charge}/refund"): {"amount": 1},
    ("POST", "/v1/charges/{charge}/refunds"): {"amount": 1},
    ("POST", "/v1/application_fees/{id}/refunds"): {"amount": 1},
}
"""Lower bounds; the document has none."""
