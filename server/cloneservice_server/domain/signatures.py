"""Stripe's webhook signatures: `Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]`, HMAC-SHA256 of "<t>.<body>".

While a secret is being rolled Stripe signs with the old and the new one, and an endpoint for connected accounts has a
secret of its own beside the platform's: any of the secrets may fit any of the signatures.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from cloneservice_server.domain.errors import WebhookSignatureInvalid

TOLERANCE_S = 300
"""How old a signature may be, in seconds: Stripe's own libraries' figure. Each redelivery is signed anew."""
_SIGNATURES_MAX = 16
_DIGITS = re.compile(r"[0-9]{1,12}")


def verify(
    payload: bytes, header: str, secrets: Sequence[str], *, now_s: float, tolerance_s: int = TOLERANCE_S
) -> None:
    """Raises WebhookSignatureInvalid unless one of `secrets` signed `payload` within the last `tolerance_s` seconds."""
    if not secrets:
        raise WebhookSignatureInvalid("This server was given no webhook secret: set STRIPE_WEBHOOK_SECRETS")
    timestamp, signatures = _parsed(header)
    if timestamp is None or not signatures:
        raise WebhookSignatureInvalid("Stripe-Signature must hold t= and at least one v1=")
    signed = f"{timestamp}.".encode() + payload
    fits = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for signature in signatures:
            fits |= hmac.compare_digest(expected, signature)
    if not fits:
        raise WebhookSignatureInvalid("No signature fits: is it this endpoint's secret, and the body as received?")
    if int(timestamp) < now_s - tolerance_s:
        raise WebhookSignatureInvalid("The signature is too old: a replay, or a wrong clock", {"timestamp": timestamp})


def _parsed(header: str) -> tuple[str | None, list[str]]:
    """(t, all v1); other schemes are not looked at, as Stripe advises."""
    timestamp: str | None = None
    signatures: list[str] = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and _DIGITS.fullmatch(value):
            timestamp = value
        elif name == "v1" and value.isascii() and len(signatures) < _SIGNATURES_MAX:
            signatures.append(value)
    return timestamp, signatures
