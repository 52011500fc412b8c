"""Stripe's test instruments: which number, token or magic id behaves how.

The rows are facts of Stripe's testing page (docs.stripe.com/testing), kept in `test_instruments.json` beside this
module. A *behaviour* says what happens when the instrument is attached, authenticated, charged, disputed or refunded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Authentication = Literal["never", "optional", "unless_set_up", "always", "on_session"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An issuer's no, with the fields that a 402 `card_error` carries (docs.stripe.com/declines/codes)."""

    code: str
    decline_code: str | None
    message: str
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
    authentication_refusal: Refusal | None = None
    """The refusal of a card whose 3DS lookup fails: no challenge is shown, the charge is declined."""
    risk_level: Literal["normal", "elevated", "highest"] = "normal"
    dispute: str | None = None
    """Reason of the dispute that follows the charge; `inquiry` opens as warning_needs_response."""
    dispute_kind: str | None = None
    dispute_count: int = 1
    early_fraud_warning: bool = False
    refund: Literal["succeeds", "pending", "fails"] = "succeeds"
    available_at_once: bool = False
    """Funds go to the available balance at once."""
    requirement: Literal["verification", "transfer_block", "charge_block"] | None = None
    bank_failure: str | None = None
    bank_stays_processing: bool = False
    checks: dict[str, str] = field(default_factory=dict)
    """Results of checks other than `pass`: keys cvc, postal_code, line1; values fail, unavailable."""

    def needs_authentication(self, *, off_session: bool, set_up: bool) -> bool:
        """Whether a payment asks for 3DS: `set_up` is the state a SetupIntent (or a first saved payment) left."""
        if self.authentication == "always":
            return True
        if self.authentication == "unless_set_up":
            return not (off_session and set_up)
        return self.authentication == "on_session" and not off_session
