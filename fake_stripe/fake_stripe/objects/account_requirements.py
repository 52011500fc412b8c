"""What Stripe still asks of an account and of the persons behind it, by its kind, country and business type.

Names and groups follow custom accounts made in test mode in 2026; everything is due at once, and met when it is given.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Wire = dict[str, Any]

_ADDRESS = ("address.city", "address.line1", "address.postal_code")
_BIRTH = ("dob.day", "dob.month", "dob.year")
_NAME = ("email", "first_name", "last_name")

_STANDARD = (
    "business_profile.product_description", "business_profile.support_phone", "business_profile.url",
    "external_account", "tos_acceptance.date", "tos_acceptance.ip",
)  # fmt: skip
_CUSTOM = (
    "business_profile.mcc", "business_profile.url", "business_type", "external_account", "tos_acceptance.date",
    "tos_acceptance.ip",
)  # fmt: skip
_COMPANY = (
    *(f"company.{name}" for name in (*_ADDRESS, "name", "owners_provided", "phone", "tax_id")),
    "settings.payments.statement_descriptor",
)


class Due(NamedTuple):
    """What is asked of an account: now, and at some time besides."""

    now: list[str]
    later: list[str]


def of_account(account: Wire, persons: list[Wire], *, wanted: bool) -> Due:
    """What Stripe asks of the account, sorted; `wanted` tells whether it has requested any capability."""
    if not wanted and account["type"] != "standard":
        return Due([], [])
    if account["controller"].get("requirement_collection") != "application":
        return _both(account, _STANDARD)
    names: list[str] = list(_CUSTOM)
    business = account.get("business_type")
    american = account["country"] == "US"
    if business == "individual":
        names += [f"individual.{name}" for name in (*_personal(american), *_NAME, "phone")]
        return _both(account, names)
    if business is None:
        return _both(account, names)
    names += [*_COMPANY, *(["company.address.state"] if american else [])]
    found = _both(account, names)
    now = found.now + _of_representative(persons, american) + _of_owners(account, persons, _NAME)
    later = _of_owners(account, persons, (*_ADDRESS, *(["address.state"] if american else []), *_BIRTH, "phone"))
    return Due(sorted(now), sorted({*now, *later}))


def of_person(person: Wire, country: str) -> list[str]:
    """What Stripe asks of a person, without a prefix; nothing of those who only sit on the board."""
    asked: tuple[str, ...] = _NAME if person["relationship"].get("owner") else ()
    if person["relationship"].get("representative"):
        asked = _asked_of_a_representative(country == "US")
    return sorted(name for name in asked if not _has(person, name))


def alternatives(due: list[str]) -> list[Wire]:
    """A shop without a website may describe what it sells instead."""
    if "business_profile.url" not in due or "business_profile.product_description" in due:
        return []
    described = ["business_profile.product_description"]
    return [{"alternative_fields_due": described, "original_fields_due": ["business_profile.url"]}]


def _personal(american: bool) -> tuple[str, ...]:
    """Address and birth, and in the United States the state and the last digits of the social security number."""
    return (*_ADDRESS, *_BIRTH, *(("address.state", "ssn_last_4") if american else ()))


def _asked_of_a_representative(american: bool) -> tuple[str, ...]:
    return (*_personal(american), *_NAME, "phone", "relationship.title")


def _of_representative(persons: list[Wire], american: bool) -> list[str]:
    names = _asked_of_a_representative(american)
    for person in persons:
        if person["relationship"].get("representative"):
            return [f"{person['id']}.{name}" for name in names if not _has(person, name)]
    return [f"representative.{name}" for name in names]


def _of_owners(account: Wire, persons: list[Wire], names: tuple[str, ...]) -> list[str]:
    named = any(person["relationship"].get("owner") for person in persons)
    if named or (account.get("company") or {}).get("owners_provided"):
        return []
    return [f"owners.{name}" for name in names]


def _both(account: Wire, names: tuple[str, ...] | list[str]) -> Due:
    missing = sorted(name for name in names if not _given(account, name))
    return Due(missing, missing)


def _given(account: Wire, name: str) -> bool:
    if name == "external_account":
        return bool(account["external_accounts"]["data"])
    if name == "company.tax_id":
        return bool((account.get("company") or {}).get("tax_id_provided"))
    if name == "business_profile.url" and account["business_profile"].get("product_description"):
        return account["type"] != "standard" or bool(account["business_profile"].get("url"))
    holder, _, rest = name.partition(".")
    return _has(account.get(holder), rest) if holder == "individual" else _at(account, name)


def _has(person: Any, name: str) -> bool:
    if not isinstance(person, dict):
        return False
    return bool(person.get("ssn_last_4_provided")) if name == "ssn_last_4" else _at(person, name)


def _at(value: Any, name: str) -> bool:
    for member in name.split("."):
        value = value.get(member) if isinstance(value, dict) else None
    return bool(value)
