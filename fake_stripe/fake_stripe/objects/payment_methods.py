"""PaymentMethods. The signatures at the top are what the payment side builds on."""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.objects.registry import Call
from fake_stripe.world import Scope

Wire = dict[str, Any]


def resolve_for_payment(
    call: Call,
    payment_method: str,
    *,
    customer: str | None,
    intent: Wire | None = None,
    kind: str = "payment_intent",
    param: str = "payment_method",
) -> Wire:
    """The PaymentMethod that an intent on `call.scope` may use, as a stored object (magic ids materialise here).

    Accepts pm_ ids, magic pm_card_*/pm_usBankAccount_* ids, and card_/src_/ba_ ids of legacy sources (answered as a
    PaymentMethod-shaped view with that id). `intent` is put into those errors that carry it (confirm, update).
    `kind` is `payment_intent` or `setup_intent`, and words the refusals.

    Raises:
        ApiError: unknown (with Stripe's hints), platform-owned, consumed, attached elsewhere, or attached while
            `customer` is missing (facts §1.2, §2.4).
    """
    raise NotImplementedError


def consume(scope: Scope, payment_method: Wire, *, by: str) -> None:
    """Uses up an unattached PaymentMethod by one attempt of intent `by`; nothing happens to an attached one.

    Call it at each confirm, whatever its outcome.
    """
    raise NotImplementedError


def outcome_of(scope: Scope, payment_method: Wire) -> cards.Outcome:
    """What charging this PaymentMethod does."""
    raise NotImplementedError


def is_set_up(scope: Scope, payment_method: Wire) -> bool:
    """Whether an earlier SetupIntent or saved payment (here, or on the original of a clone) set it up off-session."""
    raise NotImplementedError


def mark_set_up(scope: Scope, payment_method: Wire) -> None:
    """Records a successful set-up for off-session use (SetupIntent, or a payment with setup_future_usage)."""
    raise NotImplementedError


def attach(scope: Scope, payment_method: Wire, customer: str) -> Wire:
    """Saves the PaymentMethod to a customer of `scope`, emits payment_method.attached; no verification is run."""
    raise NotImplementedError


def payment_method_details(scope: Scope, payment_method: Wire) -> Wire:
    """The part of a charge's `payment_method_details` that describes the instrument: `{"type": t, t: {...}}`.

    Card: brand, checks, country, exp_month, exp_year, fingerprint, funding, installments, last4, mandate, network,
    three_d_secure, wallet... The caller adds what belongs to the charge (amount_authorized, authorization code...).
    """
    raise NotImplementedError


def render(scope: Scope, payment_method: Wire) -> Wire:
    """The wire form of a PaymentMethod for embedding in an error."""
    raise NotImplementedError
