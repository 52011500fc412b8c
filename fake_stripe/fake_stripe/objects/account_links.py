"""Links for the owner of an account: to Stripe's onboarding, and to the Express Dashboard. They lead nowhere."""

from __future__ import annotations

from fake_stripe.errors import invalid
from fake_stripe.objects import accounts
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Wire

_LIFETIME = 300
"""Seconds for which an account link works."""
_FORMS = {"standard": "s", "express": "e", "custom": "c"}
_NOT_ONBOARDED = "Cannot create a login link for an account that has not completed onboarding."
_NOT_EXPRESS = "Cannot create a login link for an account that does not use the Express Dashboard."


@operation("POST", "/v1/account_links")
def create(call: Call) -> Wire:
    """A link to the onboarding of `account`.

    Raises:
        ApiError: an account that the platform is not connected to (400).
    """
    named = call.params["account"]
    if not call.world.reaches(named):
        raise invalid(f"No such account: '{named}'", code="resource_missing", param="account")
    account = accounts.account_of(call.world, named, livemode=call.livemode)
    form = _FORMS.get(account["type"], "c")
    return {
        "object": "account_link",
        "created": call.now,
        "expires_at": call.now + _LIFETIME,
        "url": f"https://connect.stripe.com/setup/{form}/{named}/{call.world.ids.text(12)}",
    }


@operation("POST", "/v1/accounts/{account}/login_links")
def log_in(call: Call) -> Wire:
    """A link to the Express Dashboard of an account that has been onboarded.

    Raises:
        ApiError: an account with another dashboard, or one that has not been onboarded (400).
    """
    account = accounts.account_of(call.world, call.path["account"], livemode=call.livemode)
    if account["type"] != "express":
        raise invalid(_NOT_EXPRESS)
    if not account["details_submitted"]:
        raise invalid(_NOT_ONBOARDED)
    return {
        "object": "login_link",
        "created": call.now,
        "url": f"https://connect.stripe.com/express/{call.world.ids.text(12)}",
    }
