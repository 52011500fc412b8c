"""Stripe's deliveries to `POST /stripe/webhook`: answered before the work, safe to repeat, bounded, verified."""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import json
from pathlib import Path

import pytest
from cloneservice import AsyncCloneClient, CloneState, Money
from cloneservice_server.app import App
from cloneservice_server.settings import Settings

from tests.stripe_events import StripeEvents, signed
from tests.stripe_http import StripeHttp

AMOUNT = Money(1999, "USD")


@pytest.fixture
def secrets_file(tmp_path: Path) -> Path:
    """The file of secrets, at first with one that fits no endpoint."""
    path = tmp_path / "webhook-secrets"
    path.write_text("whsec_of_last_year\n", encoding="utf-8")
    return path


@pytest.fixture
def settings(settings: Settings, secrets_file: Path) -> Settings:
    return dataclasses.replace(settings, webhook_listen="127.0.0.1:0", stripe_webhook_secrets_file=str(secrets_file))


def roll(secrets_file: Path, *secrets: str) -> None:
    """New secrets beside the old one, without a restart."""
    secrets_file.write_text("\n".join(secrets), encoding="utf-8")


def post(app: App, body: bytes, path: str = "/stripe/webhook", method: str = "POST", **headers: str) -> tuple[int, str]:
    """(status, body) of one HTTP request to the webhook listener."""
    assert app.webhooks is not None
    connection = http.client.HTTPConnection("127.0.0.1", app.webhooks.port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def delivered(stripe: StripeHttp, *kinds: str) -> None:
    """Wait until the double has delivered its events of these types: it counts the ones that wait."""
    for _ in range(1000):
        listed = await asyncio.to_thread(stripe.listed, "/v1/events")
        found = [event for event in listed if event["type"] in kinds]
        if found and not any(event["pending_webhooks"] for event in found):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"no delivery of {kinds}")


async def test_stripes_deliveries_doubled_and_reordered_mark_the_clones(
    app: App, client: AsyncCloneClient, stripe: StripeHttp, secrets_file: Path
) -> None:
    assert app.webhooks is not None
    url = f"http://127.0.0.1:{app.webhooks.port}/stripe/webhook"
    events = StripeEvents(stripe, url, mode="deliver", copies=2, reorder=True)
    roll(secrets_file, "whsec_of_last_year", *events.secrets)
    customer, saved = stripe.saved_card()
    made = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone

    stripe.post(f"/v1/payment_methods/{saved}", card={"exp_year": 2041})
    await delivered(stripe, "payment_method.updated")
    await app.engine.settle()

    assert (await client.get_clone(made.clone_id)).state is CloneState.STALE


async def test_what_is_wrong_with_a_delivery_is_said_and_nothing_is_done(app: App) -> None:
    payload = json.dumps({"id": "evt_1", "object": "event", "type": "customer.deleted", "livemode": False}).encode()
    refusals = {
        "unsigned": await asyncio.to_thread(post, app, payload),
        "by another": await asyncio.to_thread(post, app, payload, Stripe_Signature=signed(payload, "whsec_wrong")),
        "no event": await asyncio.to_thread(post, app, b"[]", Stripe_Signature=signed(b"[]", "whsec_of_last_year")),
        "too long": await asyncio.to_thread(post, app, b"x" * (1024 * 1024 + 1)),
        "elsewhere": await asyncio.to_thread(post, app, payload, path="/"),
        "read": await asyncio.to_thread(post, app, b"", method="GET"),
    }

    assert {name: status for name, (status, _) in refusals.items()} == {
        "unsigned": 400,
        "by another": 400,
        "no event": 400,
        "too long": 413,
        "elsewhere": 404,
        "read": 405,
    }
    assert not any("whsec" in body for _, body in refusals.values())


async def test_an_event_is_stored_before_it_is_answered(app: App, stripe: StripeHttp) -> None:
    event = {"id": "evt_2", "object": "event", "type": "customer.deleted", "livemode": False}
    payload = json.dumps({**event, "data": {"object": {"id": "cus_gone", "object": "customer"}}}).encode()
    answers = [
        await asyncio.to_thread(post, app, payload, Stripe_Signature=signed(payload, "whsec_of_last_year"))
        for _ in range(2)
    ]

    assert [(status, json.loads(body)["handled"]) for status, body in answers] == [(200, True), (200, False)]
    await app.engine.settle()


async def test_without_its_ledger_the_server_lets_stripe_try_again(app: App) -> None:
    event = {"id": "evt_3", "object": "event", "type": "customer.deleted", "livemode": False}
    payload = json.dumps({**event, "data": {"object": {"id": "cus_gone"}}}).encode()
    await app.ledger.aclose()

    status, body = await asyncio.to_thread(post, app, payload, Stripe_Signature=signed(payload, "whsec_of_last_year"))

    assert (status, "ledger" in body) == (503, True)
