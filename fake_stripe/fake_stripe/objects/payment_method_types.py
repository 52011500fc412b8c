"""Which payment methods an intent takes: named, allowed, or those of the dashboard; and their options.

(docs.stripe.com/upgrades/manage-payment-methods; docs.stripe.com/changelog 2026-07-29.dahlia, 2026-09-30.endive.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fake_stripe.errors import invalid
from fake_stripe.objects import accounts
from fake_stripe.objects.registry import Call
from fake_stripe.openapi.exclusive import together
from fake_stripe.scope import Scope, Wire

TYPES = frozenset(
    (
        "acss_debit", "affirm", "afterpay_clearpay", "alipay", "alma", "amazon_pay", "au_becs_debit",
        "bacs_debit", "bancontact", "billie", "bizum", "blik", "boleto", "card", "card_present", "cashapp",
        "crypto", "customer_balance", "eps", "fpx", "giropay", "grabpay", "ideal", "interac_present",
        "kakao_pay", "klarna", "konbini", "kr_card", "link", "mb_way", "mobilepay", "multibanco", "naver_pay",
        "nz_bank_account", "oxxo", "p24", "pay_by_bank", "payco", "paynow", "paypal", "payto", "pix",
        "promptpay", "revolut_pay", "samsung_pay", "satispay", "scalapay", "sepa_debit", "sofort", "sunbit",
        "swish", "twint", "upi", "us_bank_account", "wechat_pay", "zip",
    )
)  # fmt: skip
_NAMED_NO_LONGER = "2026-09-30"
_EXCLUSIVE = (
    "payment_method_types", "excluded_payment_method_types", "automatic_payment_methods",
    "payment_method_configuration",
)  # fmt: skip
_CURRENCIES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("amazon_pay", "cashapp", "us_bank_account"), ("usd",)),
    **dict.fromkeys(
        (
            "alma", "bancontact", "bizum", "eps", "giropay", "ideal", "mb_way", "multibanco", "satispay", "sepa_debit",
            "sofort",
        ),
        ("eur",),
    ),
    **dict.fromkeys(("boleto", "pix"), ("brl",)),
    **dict.fromkeys(("kakao_pay", "kr_card", "naver_pay", "payco", "samsung_pay"), ("krw",)),
    **dict.fromkeys(("au_becs_debit", "payto"), ("aud",)),
    "acss_debit": ("cad", "usd"),
    "affirm": ("cad", "usd"),
    "bacs_debit": ("gbp",),
    "blik": ("pln",),
    "fpx": ("myr",),
    "konbini": ("jpy",),
    "nz_bank_account": ("nzd",),
    "oxxo": ("mxn",),
    "p24": ("eur", "pln"),
    "paynow": ("sgd",),
    "promptpay": ("thb",),
    "swish": ("sek",),
    "twint": ("chf",),
    "upi": ("inr",),
}  # fmt: skip
"""Currencies of the types that do not work with all (docs.stripe.com/payments/payment-methods/overview)."""

_OPTIONS: dict[str, Wire] = {
    "acss_debit": {
        "mandate_options": {"interval_description": None, "payment_schedule": None, "transaction_type": None},
        "verification_method": "automatic",
    },
    "affirm": {},
    "afterpay_clearpay": {"reference": None},
    "amazon_pay": {"express_checkout_element_session_id": None},
    "bancontact": {"preferred_language": "en"},
    "card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"},
    "cashapp": {},
    "eps": {},
    "giropay": {},
    "ideal": {},
    "klarna": {"preferred_locale": None},
    "link": {"persistent_token": None},
    "p24": {},
    "sepa_debit": {},
    "us_bank_account": {
        "mandate_options": {},
        "transaction_purpose": "unspecified",
        "verification_method": "automatic",
    },
}


class Chosen(NamedTuple):
    """What an intent takes.

    Attributes:
        types: its `payment_method_types`.
        automatic: its `automatic_payment_methods`, None where the dashboard has no say.
        allowed: its `allowed_payment_method_types`.
    """

    types: list[str]
    automatic: Wire | None
    allowed: list[str] | None


def choose(call: Call, currency: str) -> Chosen:
    """What a new PaymentIntent in `currency` takes, by its parameters and the API version.

    Raises:
        ApiError: parameters that exclude each other, types that this account cannot take or this version cannot name.
    """
    params = call.params
    refuse_named_types(call)
    allowed = params.get("allowed_payment_method_types")
    if allowed:
        return Chosen(compatible(refuse_beside_allowed(params), currency), None, list(allowed))
    automatic = _automatic(call)
    named = params.get("payment_method_types")
    if named:
        return Chosen(check_currency(check_types(call.scope, list(named)), currency), None, None)
    if automatic is None:
        return Chosen(["card"], None, None)
    excluded = params.get("excluded_payment_method_types") or ()
    dashboard = [name for name in ("card", "cashapp", "link", "us_bank_account") if name not in excluded]
    return Chosen(compatible(dashboard, currency), automatic, None)


def refuse_named_types(call: Call) -> None:
    """Since endive `payment_method_types` can only be read (docs.stripe.com/changelog, 2026-09-30)."""
    if call.params.get("payment_method_types") and call.version >= _NAMED_NO_LONGER:
        text = (
            "The `payment_method_types` parameter is no longer supported. Use `allowed_payment_method_types`,"
            " `excluded_payment_method_types` or the payment methods enabled in your Dashboard instead."
        )
        raise invalid(text, code="payment_method_types_no_longer_supported", param="payment_method_types")


def refuse_beside_allowed(params: Wire) -> list[str]:
    """The `allowed_payment_method_types`; raises for another parameter that chooses types beside them."""
    for name in _EXCLUSIVE:
        if params.get(name):
            raise together(("allowed_payment_method_types", name))
    return list(params["allowed_payment_method_types"])


def compatible(types: list[str], currency: str) -> list[str]:
    """Allowed and dashboard types that do not work with the intent are left out in silence."""
    return [name for name in types if name in TYPES and currency in _CURRENCIES.get(name, (currency,))]


def _automatic(call: Call) -> Wire | None:
    """`automatic_payment_methods`: as asked, and on by default since 2023-08-16."""
    params = call.params
    given, types = params.get("automatic_payment_methods"), params.get("payment_method_types")
    if isinstance(given, dict):
        enabled = bool(given.get("enabled"))
        if enabled and types:
            raise together(("automatic_payment_methods", "payment_method_types"))
        if enabled and params.get("confirmation_method"):
            raise together(("automatic_payment_methods", "confirmation_method"))
        return {"allow_redirects": given.get("allow_redirects") or "always", "enabled": True} if enabled else None
    if types or call.version < "2023-08-16":
        return None
    if not call.pinned and params.get("confirm") and not params.get("return_url"):
        # Whoever confirms like this without naming a version relies on the older default.
        return None
    return {"allow_redirects": "always", "enabled": True}


def check_types(scope: Scope, types: list[str], *, kind: str = "payment_intent") -> list[str]:
    """The types, or `payment_intent_invalid_parameter` (of a set-up its twin) for one that this account cannot take."""
    enforced = scope.world.policy(scope.account_id).capabilities == "enforced"
    active = active_capabilities(scope) if enforced and not scope.is_platform else None
    for type_ in types:
        if type_ not in TYPES or (active is not None and _capability(type_) not in active):
            raise invalid(
                f'The payment method type "{type_}" is invalid. Please ensure the provided type is activated in your'
                " dashboard (https://dashboard.stripe.com/account/payments/settings) and your account is enabled for"
                " any preview features that you are trying to use. See"
                " https://stripe.com/docs/payments/payment-methods/integration-options for supported payment method,"
                " currency, and country combinations.",
                code=f"{kind}_invalid_parameter",
                param="payment_method_types",
            )
    return types


def check_currency(types: list[str], currency: str) -> list[str]:
    """The types, or the refusal of the first that does not work with the intent's currency."""
    for type_ in types:
        known = _CURRENCIES.get(type_, (currency,))
        if currency not in known:
            raise invalid(
                f"The currency provided ({currency}) is invalid. Payments with {type_} support the following"
                f" currencies: {', '.join(known)}.",
                param="currency",
            )
    return types


def _capability(type_: str) -> str:
    return "us_bank_account_ach_payments" if type_ == "us_bank_account" else f"{type_}_payments"


def active_capabilities(scope: Scope) -> set[str]:
    """The names of the capabilities that the account of `scope` has and may use."""
    account = accounts.account_of(scope.world, scope.account_id, livemode=scope.livemode)
    return {name for name, status in account["capabilities"].items() if status == "active"}


def options(types: list[str], given: Any, currency: str) -> Wire:
    """`payment_method_options` with Stripe's defaults for the intent's types, and what was given merged in."""
    result: Wire = {}
    for type_ in types:
        if type_ in _OPTIONS:
            result[type_] = dict(_OPTIONS[type_])
    if isinstance(given, dict):
        for type_, asked in given.items():
            if isinstance(asked, dict):
                shown = {name: value for name, value in asked.items() if name != "cvc_token" and value != ""}
                result[type_] = accounts.merged(result.get(type_, {}), shown)
    if "us_bank_account" in result and currency != "usd":
        del result["us_bank_account"]
    return result
