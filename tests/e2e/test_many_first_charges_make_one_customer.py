"""Concurrent first charges of one shopper on one account, over two replicas, make one customer and one clone there."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from cloneservice import AsyncCloneClient, CloneFlow, CloneState, Money
from cloneservice_server.app import build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import Settings
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

from tests.postgres_fixture import postgres_server, postgres_url
from tests.stripe_http import StripeHttp

__all__ = ["postgres_server", "postgres_url"]

MANY = 24
USD = Money(1000, "USD")


@pytest.fixture
async def replicas(settings: Settings, postgres_url: str) -> AsyncIterator[list[AsyncCloneClient]]:
    """Clients of two servers that share nothing but PostgreSQL."""
    clock = SystemClock()
    async with AsyncExitStack() as servers:
        clients = []
        for _ in range(2):
            app = build_app(
                dataclasses.replace(settings, ledger=postgres_url),
                gateway=SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url),
                ledger=open_ledger(postgres_url, clock),
                clock=clock,
            )
            await app.start()
            servers.push_async_callback(app.stop, 5.0)
            clients.append(await servers.enter_async_context(AsyncCloneClient(f"127.0.0.1:{app.port}")))
        yield clients


def save(stripe: StripeHttp, flow: CloneFlow, customer: str) -> str:
    """Save a card in the way that the flow clones."""
    if flow is CloneFlow.PAYMENT_METHOD:
        return str(stripe.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"])
    source = stripe.post("/v1/sources", type="card", token="tok_amex")["id"] if flow is CloneFlow.SOURCE else "tok_visa"
    return str(stripe.post(f"/v1/customers/{customer}/sources", source=source)["id"])


@pytest.mark.parametrize("flow", [CloneFlow.PAYMENT_METHOD, CloneFlow.TOKEN, CloneFlow.SOURCE])
async def test_of_one_card_they_make_one_customer_and_one_attached_clone(
    replicas: list[AsyncCloneClient], stripe: StripeHttp, flow: CloneFlow
) -> None:
    account, shopper = stripe.connected_account(), stripe.post("/v1/customers")["id"]
    saved = save(stripe, flow, shopper)
    answers = await asyncio.gather(
        *(
            replicas[number % 2].clone_and_charge(shopper, account, USD, platform_payment_method_id=saved)
            for number in range(MANY)
        )
    )

    assert len({answer.clone.clone_id for answer in answers}) == 1
    assert len({answer.charge.charge_id for answer in answers}) == MANY
    assert len(stripe.succeeded_charges(account)) == MANY
    [customer] = stripe.listed("/v1/customers", account)
    kind = "payment_methods" if flow is CloneFlow.PAYMENT_METHOD else "sources"
    assert len(stripe.listed(f"/v1/customers/{customer['id']}/{kind}", account)) == 1
    [clone] = [made async for made in replicas[1].list_clones(platform_customer_id=shopper)]
    assert (clone.state, clone.connected_customer_id) == (CloneState.ATTACHED, customer["id"])


async def test_of_three_cards_they_make_one_customer_with_three_clones(
    replicas: list[AsyncCloneClient], stripe: StripeHttp
) -> None:
    account, shopper = stripe.connected_account(), stripe.post("/v1/customers")["id"]
    cards = [save(stripe, CloneFlow.PAYMENT_METHOD, shopper) for _ in range(3)]
    answers = await asyncio.gather(
        *(
            replicas[number % 2].clone_and_charge(shopper, account, USD, platform_payment_method_id=cards[number % 3])
            for number in range(MANY)
        )
    )

    assert len({answer.clone.clone_id for answer in answers}) == 3
    assert len(stripe.succeeded_charges(account)) == MANY
    [customer] = stripe.listed("/v1/customers", account)
    assert len(stripe.listed(f"/v1/customers/{customer['id']}/payment_methods", account)) == 3
