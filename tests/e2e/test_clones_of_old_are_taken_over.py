"""Clones made by hand before there was a CloneService go on being charged, once their lineage is in their metadata.

As docs/how-to/migrate.md tells it, for all three flows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cloneservice import AsyncCloneClient, Money
from cloneservice_server.app import build_app
from cloneservice_server.cli import main
from cloneservice_server.clock import SystemClock
from cloneservice_server.domain.ids import derived_id
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import Settings
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

from tests.stripe_http import StripeHttp


@dataclass(frozen=True)
class ByHand:
    """What a platform's own code made and wrote down."""

    shopper: str
    original: str
    account: str
    customer: str
    clone: str
    path: str
    """Of the clone, to update it."""


def payment_method(stripe: StripeHttp, account: str) -> ByHand:
    shopper, saved = stripe.saved_card()
    clone = stripe.post("/v1/payment_methods", account, customer=shopper, payment_method=saved)["id"]
    customer = stripe.post("/v1/customers", account, payment_method=clone)["id"]
    return ByHand(shopper, saved, account, customer, clone, f"/v1/payment_methods/{clone}")


def token(stripe: StripeHttp, account: str) -> ByHand:
    shopper = stripe.post("/v1/customers", source="tok_visa")
    made = stripe.post("/v1/tokens", account, customer=shopper["id"], card=shopper["default_source"])
    customer = stripe.post("/v1/customers", account, source=made["id"])
    card = customer["default_source"]
    path = f"/v1/customers/{customer['id']}/sources/{card}"
    return ByHand(shopper["id"], shopper["default_source"], account, customer["id"], card, path)


def source(stripe: StripeHttp, account: str) -> ByHand:
    saved = stripe.post("/v1/sources", type="card", token="tok_mastercard")["id"]
    shopper = stripe.post("/v1/customers", source=saved)["id"]
    clone = stripe.post("/v1/sources", account, customer=shopper, original_source=saved, usage="reusable")["id"]
    customer = stripe.post("/v1/customers", account, source=clone)["id"]
    return ByHand(shopper, saved, account, customer, clone, f"/v1/sources/{clone}")


def adopt(stripe: StripeHttp, made: ByHand, flow: str) -> None:
    """Write the lineage where the service would have written it."""
    clone_id = derived_id("cln", f"clone:{made.account}:{made.original}:{flow}:0")
    lineage = {"platform_customer": made.shopper, "platform_payment_method": made.original, "clone_id": clone_id}
    metadata = {f"metadata[cloneservice_{name}]": value for name, value in lineage.items()}
    stripe.post(made.path, made.account, **metadata)
    stripe.post(f"/v1/customers/{made.customer}", made.account, **metadata)


@pytest.mark.parametrize("by_hand", [payment_method, token, source], ids=lambda made: made.__name__)
async def test_a_clone_of_old_is_charged_and_none_is_made(
    by_hand: Callable[[StripeHttp, str], ByHand],
    stripe: StripeHttp,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = by_hand(stripe, stripe.connected_account())
    adopt(stripe, made, by_hand.__name__)
    monkeypatch.setenv("STRIPE_API_KEY", settings.stripe_api_key)
    rebuild = ["ledger", "rebuild", "--ledger", settings.ledger, "--stripe", settings.stripe]
    assert await asyncio.to_thread(main, rebuild) == 0

    clock = SystemClock()
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    app = build_app(settings, gateway=gateway, ledger=open_ledger(settings.ledger, clock), clock=clock)
    await app.start()
    async with AsyncCloneClient(f"127.0.0.1:{app.port}") as client:
        paid = await client.clone_and_charge(
            made.shopper, made.account, Money(1999, "USD"), platform_payment_method_id=made.original
        )
    await app.stop(5.0)

    assert (paid.charge.state, paid.reused) == ("succeeded", True)
    assert paid.charge.connected_customer_id == made.customer
    assert [customer["id"] for customer in stripe.get("/v1/customers", made.account)["data"]] == [made.customer]
    intent = stripe.get(f"/v1/payment_intents/{paid.charge.stripe_payment_intent_id}", made.account)
    assert made.clone in (intent["payment_method"], intent["source"])
