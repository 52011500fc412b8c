"""Which key may be sent where."""

from __future__ import annotations

import ssl

import pytest
from cloneservice_server.stripe_gateway.credentials import STRIPE_API, Credentials
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway
from cloneservice_server.stripe_gateway.transport import StripeTransport

LIVE = "sk_" + "live_" + "x" * 24
TEST = "sk_test_" + "x" * 24


@pytest.mark.parametrize(
    "key", [LIVE, LIVE.replace("sk_", "rk_"), "sk_org_" + "x" * 24], ids=["secret", "restricted", "org"]
)
@pytest.mark.parametrize(
    "base_url",
    [
        "https://stripe.example",
        "http://127.0.0.1:12111",
        "http://api.stripe.com",
        "https://api.stripe.com.evil.example",
    ],
)
def test_a_live_key_is_sent_to_stripe_alone(key: str, base_url: str) -> None:
    with pytest.raises(ValueError) as caught:
        SdkStripeGateway(key, base_url=base_url)
    assert key not in str(caught.value)


def test_a_live_key_is_accepted_for_stripe_itself() -> None:
    gateway = SdkStripeGateway(LIVE, base_url="https://api.stripe.com/")
    assert gateway.livemode
    assert LIVE not in repr(gateway)
    assert LIVE not in repr(Credentials(LIVE))


@pytest.mark.parametrize(
    "base_url", [STRIPE_API, "http://127.0.0.1:1", "http://localhost:1", "http://stripe-mock:12111"]
)
def test_a_test_key_may_go_to_a_double_even_unencrypted(base_url: str) -> None:
    assert not SdkStripeGateway(TEST, base_url=base_url).livemode


@pytest.mark.parametrize(
    "key",
    ["", "pk_test_" + "x" * 24, "sk_test_a b", "sk_test_a\n", "whsec_" + "x" * 24],
    ids=["no", "pk", "space", "lf", "wh"],
)
def test_what_is_not_a_secret_or_restricted_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        Credentials(key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "base_url",
    ["ftp://x", "api.stripe.com", "https://", "https://user:pw@stripe.example", "https://stripe.example/?a=1"],
)
def test_a_base_url_that_is_not_one_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError):
        Credentials(TEST, base_url)


def test_fingerprints_tell_keys_apart_and_hide_them() -> None:
    one, other = Credentials(TEST), Credentials(TEST + "y")
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == Credentials(TEST).fingerprint
    assert TEST not in one.fingerprint


def test_tls_begins_at_1_2_and_verifies() -> None:
    context = StripeTransport().tls
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
