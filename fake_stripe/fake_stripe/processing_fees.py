"""What Stripe itself takes from a payment: standard prices per country of the account (stripe.com/pricing)."""

from __future__ import annotations

from typing import NamedTuple

from fake_stripe.scope import Wire


class Price(NamedTuple):
    """A price of basis points of the amount plus a fixed part in minor units."""

    domestic: int
    international: int
    fixed: int


_US = Price(290, 440, 30)
_PRICES = {
    "US": _US,
    "CA": Price(290, 370, 30),
    "AU": Price(175, 350, 30),
    "NZ": Price(270, 370, 30),
    "GB": Price(150, 325, 20),
    "SG": Price(340, 390, 50),
    "JP": Price(360, 360, 0),
}
_EURO = Price(150, 325, 25)
_BANK_DEBIT_BASIS_POINTS, _BANK_DEBIT_MOST = 80, 500
_CONVERSION_BASIS_POINTS = 100


def stripe_fee(amount: int, *, account: Wire, currency: str, details: Wire) -> int:
    """Stripe's fee in minor units for a payment of `amount` to `account`.

    `details` is the charge's payment_method_details: a foreign card costs more, a bank debit 0.8 % up to five.
    """
    if details["type"] != "card":
        if details["type"] == "us_bank_account":
            return min(_rounded(amount, _BANK_DEBIT_BASIS_POINTS), _BANK_DEBIT_MOST)
        return _rounded(amount, _US.domestic) + _US.fixed
    country = account["country"]
    price = _PRICES.get(country, _EURO)
    points = price.domestic if details["card"].get("country") == country else price.international
    if currency != account["default_currency"]:
        points += _CONVERSION_BASIS_POINTS
    return _rounded(amount, points) + price.fixed


def _rounded(amount: int, basis_points: int) -> int:
    return (amount * basis_points + 5_000) // 10_000


def fee_details(*, stripe: int, application: int, application_id: str | None, currency: str) -> list[Wire]:
    """The `fee_details` of a balance transaction; parts of zero are left out."""
    parts: list[Wire] = []
    if application:
        parts.append(
            {
                "amount": application,
                "application": application_id,
                "currency": currency,
                "description": "Application fee",
                "type": "application_fee",
            }
        )
    if stripe:
        parts.append(
            {
                "amount": stripe,
                "application": None,
                "currency": currency,
                "description": "Stripe processing fees",
                "type": "stripe_fee",
            }
        )
    return parts
