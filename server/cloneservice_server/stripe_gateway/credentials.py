"""Which key may be sent where: a live key goes to Stripe alone, and only a test key goes unencrypted."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

STRIPE_API = "https://api.stripe.com"

_KEY = re.compile(r"(?:sk|rk)_[A-Za-z0-9_.\-]+")
_TEST = ("sk_test_", "rk_test_")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A platform's secret (sk_) or restricted (rk_) key and the base URL it may be sent to.

    Raises ValueError, whose text never holds the key, when the two do not go together.
    """

    api_key: str = field(repr=False)
    base_url: str = STRIPE_API

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        if (wrong := _not_a_key(self.api_key)) is not None:
            raise ValueError(wrong)
        url = _parse(self.base_url)
        if self.livemode and self.base_url != STRIPE_API:
            raise ValueError(f"a live Stripe key is sent to {STRIPE_API} only, not to {self.base_url}")
        if url.scheme != "https" and not (_is_loopback(url.hostname or "") or self.api_key.startswith(_TEST)):
            raise ValueError(f"{self.base_url} is not encrypted: only a test key may be sent there")

    @property
    def livemode(self) -> bool:
        """Whether real money moves. A key that does not say "test" is taken for a live one."""
        return not self.api_key.startswith(_TEST)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell keys apart and give nothing away."""
        return hashlib.sha256(self.api_key.encode()).hexdigest()[:16]


def _not_a_key(text: str) -> str | None:
    """What is wrong with a key, without quoting it; None when it looks like one."""
    wanted = "the Stripe key must be a secret key (sk_...) or a restricted key (rk_...), and nothing else"
    if text.startswith("pk_"):
        return f"{wanted}: this is a publishable key (pk_...), which browsers use"
    if text.startswith("whsec_"):
        return f"{wanted}: this is a webhook secret (whsec_...), which belongs into STRIPE_WEBHOOK_SECRETS"
    if text.strip("'\"") != text:
        return f"{wanted}: leave out the quotation marks around it"
    if text.endswith(("...", "…")):
        return "the Stripe key is a placeholder: put a test key of your platform there (sk_test_ and what follows)"
    return None if _KEY.fullmatch(text) else wanted


def _parse(base_url: str) -> SplitResult:
    url = urlsplit(base_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("the Stripe base URL must begin with https:// (or http://) and name a host")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ValueError("the Stripe base URL must hold neither user, password, query nor fragment")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
