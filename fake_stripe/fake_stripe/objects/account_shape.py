"""The shape of an account: which members each kind of account has.

Members and requirement names follow accounts made in test mode and Stripe's OpenAPI document; the kinds (standard,
express, custom, or `controller`) differ as in docs.stripe.com/connect/accounts.
"""

from __future__ import annotations

from typing import Any

from fake_stripe.objects import account_requirements

Wire = dict[str, Any]

CURRENCIES = {
    "AE": "aed", "AU": "aud", "BG": "bgn", "BR": "brl", "CA": "cad", "CH": "chf", "CZ": "czk", "DK": "dkk",
    "GB": "gbp", "HK": "hkd", "HU": "huf", "IN": "inr", "JP": "jpy", "LI": "chf", "MX": "mxn", "MY": "myr",
    "NO": "nok", "NZ": "nzd", "PL": "pln", "RO": "ron", "SE": "sek", "SG": "sgd", "TH": "thb", "US": "usd",
    "PH": "php", "ID": "idr", "KR": "krw", "VN": "vnd", "ZA": "zar", "IL": "ils", "TR": "try", "TW": "twd",
    "AR": "ars", "CL": "clp", "CO": "cop", "PE": "pen", "UY": "uyu", "EG": "egp", "KE": "kes", "NG": "ngn",
    "PK": "pkr", "BD": "bdt", "LK": "lkr", "MA": "mad", "SA": "sar", "QA": "qar", "KW": "kwd", "IS": "isk",
    "MN": "mnt", "KH": "khr", "BW": "bwp", "BH": "bhd", "OM": "omr", "JO": "jod", "TN": "tnd", "MD": "mdl",
    "AL": "all", "AM": "amd", "AZ": "azn", "BA": "bam", "BT": "btn", "DZ": "dzd", "ET": "etb", "GH": "ghs",
    "GY": "gyd", "JM": "jmd", "KZ": "kzt", "MG": "mga", "MO": "mop", "MU": "mur", "MZ": "mzn", "NA": "nad",
    "RS": "rsd", "RW": "rwf", "TT": "ttd", "TZ": "tzs", "UZ": "uzs", "PY": "pyg", "CR": "crc", "DO": "dop",
    "GT": "gtq", "BO": "bob", "BN": "bnd", "BS": "bsd", "LA": "lak", "MK": "mkd", "NE": "xof", "SN": "xof",
    "CI": "xof", "BJ": "xof", "GA": "xaf", "SV": "usd", "EC": "usd", "PA": "usd",
}  # fmt: skip
"""Default currency of an account by its country; every other country is taken to use the euro."""

PROFILE_MEMBERS = (
    "annual_revenue", "estimated_worker_count", "mcc", "minority_owned_business_designation", "name",
    "product_description", "specified_commercial_transactions_act_url", "support_address", "support_email",
    "support_phone", "support_url", "url",
)  # fmt: skip

_PROVIDED = ("directors_provided", "executives_provided", "owners_provided")

_CONTROLLERS: dict[str, Wire] = {
    "standard": {
        "fees": {"payer": "account"},
        "losses": {"payments": "stripe"},
        "requirement_collection": "stripe",
        "stripe_dashboard": {"type": "full"},
    },
    "express": {
        "fees": {"payer": "application_express"},
        "losses": {"payments": "application"},
        "requirement_collection": "stripe",
        "stripe_dashboard": {"type": "express"},
    },
    "custom": {
        "fees": {"payer": "application_custom"},
        "losses": {"payments": "application"},
        "requirement_collection": "application",
        "stripe_dashboard": {"type": "none"},
    },
}


def kind_of(params: Wire) -> str:
    """The account's `type`: as named, else as `controller` describes it ("none" where no old type fits)."""
    if kind := params.get("type"):
        return str(kind)
    controller = params.get("controller")
    if not isinstance(controller, dict):
        return "standard"
    described = controller_of("standard", controller)
    for kind, defaults in _CONTROLLERS.items():
        same = ("losses", "requirement_collection", "stripe_dashboard")
        if all(described[member] == defaults[member] for member in same):
            return kind
    return "none"


def controller_of(kind: str, asked: Wire | None = None) -> Wire:
    """The `controller` of an account made by the platform (its application), with what was asked merged in."""
    controller: Wire = {"is_controller": True, "type": "application"}
    for member, value in _CONTROLLERS.get(kind, _CONTROLLERS["standard"]).items():
        given = (asked or {}).get(member)
        controller[member] = given or (dict(value) if isinstance(value, dict) else value)
    return controller


def build(account_id: str, params: Wire, *, created: int) -> Wire:
    """A new account as POST /v1/accounts makes it: nothing enabled, everything still asked for.

    `params` are the validated parameters of the call; capabilities, persons and external accounts are added by the
    modules that own them.
    """
    kind = kind_of(params)
    country = str(params.get("country") or "US").upper()
    account: Wire = {
        "id": account_id,
        "object": "account",
        "business_profile": dict.fromkeys(PROFILE_MEMBERS),
        "business_type": None,
        "capabilities": {},
        "charges_enabled": False,
        "controller": controller_of(kind, params.get("controller")),
        "country": country,
        "created": created,
        "default_currency": params.get("default_currency") or CURRENCIES.get(country, "eur"),
        "details_submitted": False,
        "email": None,
        "external_accounts": empty_list(f"/v1/accounts/{account_id}/external_accounts"),
        "future_requirements": requirements([]),
        "metadata": {},
        "payouts_enabled": False,
        "requirements": requirements([]),
        "settings": settings(kind, country),
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": kind,
    }
    if kind in ("custom", "express"):
        # Stripe keeps both parts of the legal entity, whichever it turns out to be.
        alone = params.get("business_type") in (None, "", "individual")
        account["company"] = company(country) | dict.fromkeys(_PROVIDED, alone)
    if kind == "express":
        account["login_links"] = empty_list(f"/v1/accounts/{account_id}/login_links")
    return account


def empty_list(url: str) -> Wire:
    """A list member without entries."""
    return {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": url}


def requirements(due: list[str], *, later: list[str] | None = None, disabled_reason: str | None = None) -> Wire:
    """The `requirements` hash for what is due now, and `later` besides; in test mode it is past due at once."""
    return {
        "alternatives": account_requirements.alternatives(due),
        "current_deadline": None,
        "currently_due": list(due),
        "disabled_reason": disabled_reason,
        "errors": [],
        "eventually_due": list(due if later is None else later),
        "past_due": list(due),
        "pending_verification": [],
    }


def settings(kind: str, country: str) -> Wire:
    """The `settings` that a new account starts with."""
    found: Wire = {
        "bacs_debit_payments": {"display_name": None, "service_user_number": None},
        "branding": {"icon": None, "logo": None, "primary_color": None, "secondary_color": None},
        "card_issuing": {"tos_acceptance": {"date": None, "ip": None}},
        "card_payments": {
            "decline_on": {"avs_failure": False, "cvc_failure": False},
            "statement_descriptor_prefix": None,
            "statement_descriptor_prefix_kana": None,
            "statement_descriptor_prefix_kanji": None,
        },
        "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "offer"},
        "payments": {
            "statement_descriptor": None,
            "statement_descriptor_kana": None,
            "statement_descriptor_kanji": None,
        },
        "payouts": {
            "debit_negative_balances": kind != "custom",
            "schedule": {"delay_days": 4 if country == "JP" else 2, "interval": "daily"},
            "statement_descriptor": None,
        },
        "sepa_debit_payments": {},
    }
    return found


def company(country: str) -> Wire:
    """The `company` of an account whose business type is not individual."""
    return {
        "address": {"city": None, "country": country, "line1": None, "line2": None, "postal_code": None, "state": None},
        "directors_provided": False,
        "executives_provided": False,
        "name": None,
        "owners_provided": False,
        "tax_id_provided": False,
        "verification": {"document": {"back": None, "details": None, "details_code": None, "front": None}},
    }
