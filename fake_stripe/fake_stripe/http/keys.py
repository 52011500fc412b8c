"""API keys: which world, mode and powers a request comes with.

`sk_test_<anything>` opens the world `<anything>`; `rk_test_` and `pk_test_` of the same name open the same world. Live
keys are refused at the door, so that a real one can never be used here by mistake; `sk_live_fake_<name>`, which Stripe
cannot have issued, reaches the live mode of the world `<name>`. Names that begin with `invalid`, `wrong` or `expired`
are refused as Stripe refuses such keys; those that begin with `noplatform` or `rolled` are refused together with
`Stripe-Account` only.
"""

import base64
import binascii
import re
from typing import NamedTuple

from fake_stripe.errors import INVALID_REQUEST, ApiError

_KEY = re.compile(r"(sk|rk|pk)_(test|live)_([A-Za-z0-9_.\-]+)")
_LIVE_TWIN = "fake_"
_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth"
    " (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we"
    " can help at https://support.stripe.com/."
)
_NOT_WITH_PUBLISHABLE = (
    "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your"
    " API keys at https://dashboard.stripe.com/account/apikeys."
)
_NO_PLATFORM = (
    "Only Stripe Connect platforms can work with other accounts. If you specified a client_id parameter, make sure it's"
    " correct. If you need to setup a Stripe Connect platform, you can do so at"
    " https://dashboard.stripe.com/account/applications/settings."
)
_FOR_PUBLISHABLE = frozenset(
    {
        ("POST", "/v1/tokens"),
        ("GET", "/v1/tokens/{token}"),
        ("POST", "/v1/payment_methods"),
        ("POST", "/v1/sources"),
        ("GET", "/v1/sources/{source}"),
        ("POST", "/v1/confirmation_tokens"),
    }
)
_WITH_CLIENT_SECRET = frozenset(
    {
        ("GET", "/v1/payment_intents/{intent}"),
        ("POST", "/v1/payment_intents/{intent}"),
        ("POST", "/v1/payment_intents/{intent}/confirm"),
        ("GET", "/v1/setup_intents/{intent}"),
        ("POST", "/v1/setup_intents/{intent}/confirm"),
        ("POST", "/v1/setup_intents/{intent}/verify_microdeposits"),
        ("POST", "/v1/payment_intents/{intent}/verify_microdeposits"),
    }
)


class Key(NamedTuple):
    """An accepted API key.

    Attributes:
        kind: `sk`, `rk` or `pk`.
        livemode: which of the world's two modes it reaches.
        world: the world's name.
        masked: the key as Stripe shows it in messages.
        text: the key itself; never logged.
    """

    kind: str
    livemode: bool
    world: str
    masked: str
    text: str


def mask(key: str) -> str:
    """The key with its middle starred, as Stripe's messages show it."""
    prefix = key[:8] if _KEY.match(key) else ""
    rest = key[len(prefix) :]
    shown = rest[-4:] if len(rest) > 8 else ""
    return prefix + "*" * (len(rest) - len(shown)) + shown


def key_of(authorization: bytes | None) -> Key:
    """The key in an Authorization header, Basic or Bearer; raises Stripe's 401 errors."""
    text = secret_in(authorization)
    if not text:
        raise ApiError(401, INVALID_REQUEST, _NO_KEY)
    match = _KEY.fullmatch(text)
    if match is None:
        raise ApiError(401, INVALID_REQUEST, f"Invalid API Key provided: {mask(text)}")
    kind, mode, name = match.groups()
    if mode == "live":
        if not name.startswith(_LIVE_TWIN):
            raise ApiError(401, INVALID_REQUEST, f"Invalid API Key provided: {mask(text)}")
        name = name.removeprefix(_LIVE_TWIN)
    if name.startswith("expired"):
        raise ApiError(401, INVALID_REQUEST, f"Expired API Key provided: {mask(text)}", code="api_key_expired")
    if name.lstrip("0").startswith(("invalid", "wrong")):
        raise ApiError(401, INVALID_REQUEST, f"Invalid API Key provided: {mask(text)}")
    return Key(kind, mode == "live", name, mask(text), text)


def secret_in(authorization: bytes | None) -> str:
    """The key in an Authorization header, Basic or Bearer, unchecked; empty when there is none."""
    if not authorization:
        return ""
    scheme, _, value = authorization.decode("latin-1").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("latin-1").partition(":")[0]
        except (binascii.Error, ValueError):
            return ""
    return ""


# Anyone may know a publishable key: it must not reach what a customer has saved, as the cloning calls do.
_NAMES_A_SHOPPERS_OWN = ("customer", "payment_method", "original_source")


def check_power(key: Key, method: str, template: str, params: dict[str, object]) -> None:
    """Refuse what a publishable key may not do (403 secret_key_required)."""
    if key.kind != "pk":
        return
    if (method, template) in _FOR_PUBLISHABLE and not any(params.get(name) for name in _NAMES_A_SHOPPERS_OWN):
        return
    if (method, template) in _WITH_CLIENT_SECRET and params.get("client_secret"):
        return
    raise ApiError(403, INVALID_REQUEST, _NOT_WITH_PUBLISHABLE, code="secret_key_required")


# Permissions that serve more than the resource they are named after, and what the dashboard calls them (messages of
# 2026 in public code).
_CHARGES = ("charge", "Charges and Refunds")
_PERMISSIONS = {
    "charges": _CHARGES,
    "refunds": _CHARGES,
    "prices": ("plan", "Prices"),
    "plans": ("plan", "Prices"),
    "webhook_endpoints": ("webhook", "Webhook Endpoints, Event Destinations"),
    "checkout": ("checkout_session", "Checkout Sessions"),
}


def check_permissions(key: Key, granted: frozenset[str] | None, method: str, template: str, account: str) -> None:
    """Refuse what a restricted key was not granted; `granted` is None for a key without restrictions."""
    if granted is None or key.kind != "rk":
        return
    segment = template.split("/")[2]
    own = segment.removesuffix("s")
    name, title = _PERMISSIONS.get(segment, (own, segment.replace("_", " ").title()))
    kinds = ("read", "write") if method == "GET" else ("write",)
    if any(f"{resource}_{kind}" in granted for resource in (own, name) for kind in kinds):
        return
    raise ApiError(
        403,
        INVALID_REQUEST,
        f"The provided key '{key.masked}' does not have the required permissions for this endpoint on account"
        f" '{account}'. Enabling {title} {kinds[0].title()} ('{name}_{kinds[0]}') permissions on this key would allow"
        " this request to continue. You can edit permissions at"
        f" https://dashboard.stripe.com/b/{account}?destination=%2Fapikeys%2Fmk_1FakeStripeRestrictedKey%2Fedit",
        code="more_permissions_required",
    )


def check_platform(key: Key) -> None:
    """Refuse Stripe-Account with the key of an account that is no platform (403), or with a rolled key (401)."""
    if key.world.startswith("noplatform"):
        raise ApiError(403, INVALID_REQUEST, _NO_PLATFORM, code="platform_account_required")
    if key.world.startswith("rolled"):
        text = f"The API key provided by your Connect platform has expired: {key.masked}"
        raise ApiError(401, INVALID_REQUEST, text, code="platform_api_key_expired")


def account_invalid(key: Key, account: str) -> ApiError:
    """403 for an account that the key's platform is not connected to."""
    return ApiError(
        403,
        INVALID_REQUEST,
        f"The provided key '{key.masked}' does not have access to account '{account}' (or that account does not exist)."
        " Application access may have been revoked.",
        code="account_invalid",
    )


def test_account(account: str) -> ApiError:
    """400 for a live key that names an account which was made with a test key."""
    text = (
        f"The account {account} was a test account created with a testmode key, and therefore can only be used with"
        " testmode keys"
    )
    return ApiError(400, INVALID_REQUEST, text)


RESTRICTED_WITHOUT_CONNECT = (
    "You passed a restricted API key with the Stripe-Account header, but the restricted API key does not have any"
    " Connect permissions."
)
