"""The ledger is thrown away and its lineage read back from the metadata at Stripe; no money moves."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cloneservice import (
    AsyncCloneClient,
    AttachOptions,
    CaptureMethod,
    CardDeclined,
    Charge,
    Clone,
    CloneState,
    Money,
    NewCustomer,
    Refund,
    RequestIdReused,
    new_request_id,
)
from cloneservice_server.app import build_app
from cloneservice_server.cli import main
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.settings import Settings
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

from tests.stripe_http import StripeHttp

USD = Money(1000, "USD")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[AsyncCloneClient]:
    """A server on the ledger, for as long as the block."""
    clock = SystemClock()
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    app = build_app(settings, gateway=gateway, ledger=open_ledger(settings.ledger, clock), clock=clock)
    await app.start()
    try:
        async with AsyncCloneClient(f"127.0.0.1:{app.port}") as client:
            yield client
    finally:
        await app.stop(5.0)


async def rebuild(settings: Settings, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """The command, as it would be typed."""
    monkeypatch.setenv("STRIPE_API_KEY", settings.stripe_api_key)
    command = ["ledger", "rebuild", "--ledger", settings.ledger, "--stripe", settings.stripe, *more]
    return await asyncio.to_thread(main, command)


def throw_away(settings: Settings) -> None:
    for file in Path(settings.ledger.removeprefix("sqlite:///")).parent.glob("ledger.db*"):
        file.unlink()


async def make_lineage(client: AsyncCloneClient, stripe: StripeHttp) -> list[str]:
    """Every way to clone and charge, over two sellers; the shoppers."""
    bakery, florist = stripe.connected_account(), stripe.connected_account()
    made = await client.save_payment_method(
        "pm_card_visa", new_customer=NewCustomer(external_reference="shopper-1", metadata={"vip": "1"})
    )
    first = made.platform_customer.platform_customer_id
    saved = made.payment_method.platform_payment_method_id
    await client.clone_and_charge(first, bakery, USD, platform_payment_method_id=saved)
    labelled = await client.clone_and_charge(
        first, bakery, USD, platform_payment_method_id=saved, metadata={"order": "7"}
    )
    await client.refund_charge(labelled.charge.charge_id, amount=Money(300, "USD"), reason="fraudulent")
    await client.clone_and_charge(
        first, florist, USD, platform_payment_method_id=saved, one_shot=True, application_fee=Money(99, "USD")
    )
    second = stripe.post("/v1/customers")["id"]
    source = stripe.post("/v1/sources", type="card", token="tok_amex")["id"]
    for given in ("tok_mastercard", source):
        legacy = (await client.save_payment_method(given, platform_customer_id=second)).payment_method
        for account in (bakery, florist):
            await client.clone_and_charge(
                second,
                account,
                USD,
                platform_payment_method_id=legacy.platform_payment_method_id,
                capture_method=CaptureMethod.MANUAL,
            )
    third, declining = stripe.saved_card("pm_card_chargeCustomerFail")
    with pytest.raises(CardDeclined):
        await client.clone_and_charge(third, bakery, USD, platform_payment_method_id=declining)
    named = stripe.post("/v1/customers", florist)["id"]
    await client.clone_and_charge(
        third, florist, USD, attach=AttachOptions(connected_customer_id=named), defer_confirmation=True
    )
    return [first, second, third]


def clone_seen(clone: Clone) -> Clone:
    """A clone without what Stripe does not keep: our own times and versions, and what a token was called."""
    return dataclasses.replace(
        clone, create_time=None, update_time=None, verify_time=None, etag="", connected_token_id=""
    )


def charge_seen(charge: Charge) -> Charge:
    """A charge without what Stripe does not keep."""
    return dataclasses.replace(charge, create_time=None, update_time=None, etag="")


async def answers(client: AsyncCloneClient, shoppers: list[str]) -> tuple[list[Clone], list[Charge], list[Refund]]:
    clones = [clone_seen(c) for who in shoppers async for c in client.list_clones(platform_customer_id=who)]
    charges = [charge_seen(c) for who in shoppers async for c in client.list_charges(platform_customer_id=who)]
    refunds = [
        dataclasses.replace(refund, create_time=None, update_time=None)
        for charge in charges
        async for refund in client.list_refunds(charge.charge_id)
    ]
    return sorted(clones, key=lambda c: c.clone_id), sorted(charges, key=lambda c: c.charge_id), refunds


async def test_clones_and_charges_are_listed_as_before_and_nothing_was_changed_at_stripe(
    settings: Settings, stripe: StripeHttp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(settings) as client:
        shoppers = await make_lineage(client, stripe)
        before = await answers(client, shoppers)
    assert [len(rows) for rows in before] == [8, 9, 1]
    throw_away(settings)
    stripe.call("DELETE", "/_fake/journal")

    assert await rebuild(settings, monkeypatch) == 0
    assert "charges: 9 added, 0 already there\n" in capsys.readouterr().out
    assert await rebuild(settings, monkeypatch) == 0
    assert "charges: 0 added, 9 already there\n" in capsys.readouterr().out

    assert {call["method"] for call in stripe.get("/_fake/journal")["calls"]} == {"GET"}
    async with serving(settings) as client:
        assert await answers(client, shoppers) == before


async def test_the_service_goes_on_with_what_was_there_and_an_old_request_id_charges_nothing(
    settings: Settings, stripe: StripeHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, shopper, request_id = (
        stripe.connected_account(),
        NewCustomer(external_reference="shopper-1"),
        new_request_id(),
    )
    async with serving(settings) as client:
        saved = await client.save_payment_method("pm_card_visa", new_customer=shopper, set_default=True)
        customer = saved.platform_customer.platform_customer_id
        old = await client.clone_and_charge(customer, account, USD, request_id=request_id)
    throw_away(settings)
    assert await rebuild(settings, monkeypatch) == 0

    async with serving(settings) as client:
        with pytest.raises(RequestIdReused) as refused:
            await client.clone_and_charge(customer, account, USD, request_id=request_id)
        again = await client.clone_and_charge(customer, account, USD)
        known = await client.save_payment_method("pm_card_mastercard", new_customer=shopper)

    assert refused.value.metadata["charge_id"] == old.charge.charge_id
    assert (again.reused, again.clone.clone_id) == (True, old.clone.clone_id)
    assert known.platform_customer.platform_customer_id == customer
    assert len(stripe.succeeded_charges(account)) == 2
    assert len(stripe.listed("/v1/payment_intents", account)) == 2
    assert len(stripe.listed("/v1/customers", account)) == 1
    assert await asyncio.to_thread(main, ["ledger", "check", "--ledger", settings.ledger]) == 0


async def test_of_a_line_of_clones_the_last_one_is_reused_and_the_others_name_their_successor(
    settings: Settings, stripe: StripeHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    async with serving(settings) as client:
        first = (await client.clone_and_charge(customer, account, USD)).clone
        stripe.post(f"/v1/payment_methods/{first.connected_payment_method_id}/detach", account)
        second = (await client.clone_and_charge(customer, account, USD)).clone
    throw_away(settings)
    assert await rebuild(settings, monkeypatch) == 0

    async with serving(settings) as client:
        spent = await client.get_clone(first.clone_id)
        again = await client.clone_and_charge(customer, account, USD)
    assert (spent.state, spent.superseded_by_clone_id) == (CloneState.CONSUMED, second.clone_id)
    assert (again.reused, again.clone.clone_id) == (True, second.clone_id)


async def test_a_ledger_that_lost_its_newest_rows_gets_them_back_and_keeps_the_rest(
    settings: Settings, stripe: StripeHttp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    async with serving(settings) as client:
        known = await client.clone_and_charge(customer, account, USD)
        saved = tmp_path / "saved.db"
        assert await asyncio.to_thread(main, ["ledger", "backup", "--ledger", settings.ledger, str(saved)]) == 0
        lost = await client.clone_and_charge(customer, account, USD)
    throw_away(settings)
    saved.rename(settings.ledger.removeprefix("sqlite:///"))
    assert await rebuild(settings, monkeypatch, "--account", account) == 0

    async with serving(settings) as client:
        charges = {c.charge_id: c async for c in client.list_charges(platform_customer_id=customer)}
    assert set(charges) == {known.charge.charge_id, lost.charge.charge_id}
    assert charges[known.charge.charge_id] == known.charge
    assert charge_seen(charges[lost.charge.charge_id]) == charge_seen(lost.charge)


async def test_an_account_that_cannot_be_read_is_named_and_the_others_are_read(
    settings: Settings, stripe: StripeHttp, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    async with serving(settings) as client:
        await client.clone_and_charge(customer, account, USD)
    throw_away(settings)

    assert await rebuild(settings, monkeypatch, "--account", "acct_1NotOurs00000000", "--account", account) == 1
    said = capsys.readouterr().out
    assert "acct_1NotOurs00000000 could not be read: CONNECTED_ACCOUNT_UNAVAILABLE" in said
    assert "accounts read: 1\n" in said
    assert "charges: 1 added" in said


async def test_the_ledger_of_the_other_mode_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(settings):
        pass
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_rebuild")
    assert await asyncio.to_thread(main, ["ledger", "rebuild", "--ledger", settings.ledger]) == 2
    assert "this ledger belongs to test mode" in capsys.readouterr().err
