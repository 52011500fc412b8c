"""How an update meets what is kept: hashes merge, an empty string unsets."""

from __future__ import annotations

from typing import Any

from fake_stripe.scope import Wire

EMPTY_ADDRESS: Wire = {
    "city": None,
    "country": None,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}


def merged_metadata(kept: dict[str, str] | None, given: Any) -> dict[str, str]:
    """Metadata after an update: an empty value removes a key, an empty string for the whole removes all of it."""
    if given is None or given == "":
        return {}
    result = dict(kept or {})
    for name, value in given.items():
        if value == "":
            result.pop(name, None)
        else:
            result[name] = value if isinstance(value, str) else str(value)
    return result


def unset_to_none(value: Any) -> Any:
    """None for the empty string, with which a parameter is unset."""
    return None if value == "" else value


def address(given: Any) -> Wire | None:
    """A full address hash from a given one, None when it is unset."""
    if not given:
        return None
    return EMPTY_ADDRESS | {name: unset_to_none(value) for name, value in given.items()}


def billing_details(kept: Wire | None, given: Wire | None) -> Wire:
    """`billing_details` after an update; every member is always present (2026 shape)."""
    result: Wire = {"address": dict(EMPTY_ADDRESS), "email": None, "name": None, "phone": None, "tax_id": None}
    result |= kept or {}
    for name, value in (given or {}).items():
        if name == "address":
            result["address"] = address(result["address"] | value) if value else dict(EMPTY_ADDRESS)
        else:
            result[name] = unset_to_none(value)
    return result
