"""Parameters that exclude each other: the first of a pair that come together is refused (`parameters_exclusive`).

The sentence was seen for nearly all of these; those of prices, plans, events and subscriptions are what the OpenAPI
document says. Pairs of intents depend on more than their presence and are refused where intents are made.
"""

from typing import Any

from fake_stripe.errors import ApiError, invalid
from fake_stripe.openapi.lenience import Route

_DUE = (("days_until_due", "due_date"),)
_INTERVALS = (("billing_cycle_anchor", "billing_cycle_anchor_config"),)

EXCLUSIVE: dict[Route, tuple[tuple[str, str], ...]] = {
    ("GET", "/v1/events"): (("type", "types"),),
    ("GET", "/v1/payment_methods"): (("customer", "customer_account"),),
    ("POST", "/v1/checkout/sessions"): (("customer", "customer_email"), ("allow_promotion_codes", "discounts")),
    ("POST", "/v1/invoices"): _DUE,
    ("POST", "/v1/invoices/{invoice}"): _DUE,
    ("POST", "/v1/plans"): (("amount", "amount_decimal"), ("tiers", "transform_usage")),
    ("POST", "/v1/prices"): (("tiers", "transform_quantity"), ("unit_amount", "unit_amount_decimal")),
    ("POST", "/v1/subscriptions"): _INTERVALS,
}


def together(names: tuple[str, str]) -> ApiError:
    """The refusal of two parameters, named in the order of the alphabet."""
    return invalid(f"You may only specify one of these parameters: {', '.join(names)}.", code="parameters_exclusive")


def refuse_together(route: Route, values: dict[str, Any]) -> None:
    """Raises for the first pair of which both have a value; `false` is one, an empty text is none."""
    for pair in EXCLUSIVE.get(route, ()):
        if all(values.get(name) not in (None, "") for name in pair):
            raise together(pair)
