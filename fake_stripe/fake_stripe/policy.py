"""How an account's API behaves where real accounts differ. Every switch has a documented default."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

Permission = Literal["allowed", "refused"]
RateLimits = Literal["off", "test", "live"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One account's switches.

    Attributes:
        raw_card_numbers: whether card numbers may be sent straight to the API; real accounts must ask for it.
        legacy_tokens: whether tokens (`tok_`) may be made and used; accounts opened lately may not.
        fingerprints: whether one card has the `same` fingerprint on every account of the world, or a `different` one on
            this account; both were recorded.
        capabilities: `enforced` refuses charges on accounts without `card_payments`; `lax` is Stripe's test mode.
        test_cards: whether test cards pay in the world's live mode; Stripe's live mode has them `declined`.
        rate_limits: `test` allows 25 requests a second, `live` 100; both 25 a second and endpoint.
    """

    raw_card_numbers: Permission = "allowed"
    legacy_tokens: Permission = "allowed"
    fingerprints: Literal["same", "different"] = "same"
    capabilities: Literal["lax", "enforced"] = "lax"
    test_cards: Literal["accepted", "declined"] = "accepted"
    rate_limits: RateLimits = "off"

    def changed(self, changes: dict[str, Any]) -> "Policy":
        """This policy with some switches set; ValueError names a switch or a value that does not exist."""
        hints = get_type_hints(Policy)
        known = [field.name for field in fields(self)]
        for name, value in changes.items():
            if name not in hints:
                raise ValueError(f"no such policy: {name!r}; there are {', '.join(known)}")
            allowed = get_args(hints[name])
            if value not in allowed:
                raise ValueError(f"policy {name} must be one of {', '.join(allowed)}, not {value!r}")
        return replace(self, **changes)

    def as_dict(self) -> dict[str, str]:
        """The switches and their values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
