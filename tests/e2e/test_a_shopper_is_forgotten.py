"""EraseCustomer: gone from every account, verified; the ledger keeps accounts without a person; what stays is said."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from cloneservice import (
    AsyncCloneClient,
    AttachOptions,
    BatchItemState,
    BatchState,
    ChargeState,
    CloneNotUsable,
    CloneReuse,
    CloneState,
    Money,
    NewCustomer,
)
from cloneservice_server.app import App

from tests.stripe_http import StripeHttp

AMOUNT = Money(1999, "USD")


async def shopper_on(client: AsyncCloneClient, stripe: StripeHttp, sellers: int) -> tuple[str, str, list[str]]:
    """A shopper who paid at some sellers: (customer, card, accounts)."""
    new = NewCustomer(external_reference="shopper-zoe", email="zoe@example.com", name="Zoë", metadata={"tier": "gold"})
    saved = await client.save_payment_method("pm_card_visa", new_customer=new, set_default=True)
    customer = saved.platform_customer.platform_customer_id
    accounts = [stripe.connected_account() for _ in range(sellers)]
    for account in accounts:
        await client.clone_and_charge(customer, account, AMOUNT, metadata={"note": "Zoë's cake"})
    return customer, saved.payment_method.platform_payment_method_id, accounts


async def everything_stored(app: App) -> str:
    """All that the ledger holds once the retention of requests is over, as text."""
    await app.ledger.prune(0.0)

    def dump() -> str:
        with sqlite3.connect(app.settings.ledger.removeprefix("sqlite:///")) as connection:
            return "\n".join(connection.iterdump())

    return await asyncio.to_thread(dump)


async def test_a_shopper_is_erased_on_every_account_and_in_the_ledger(
    app: App, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, card, accounts = await shopper_on(client, stripe, 3)
    connected = [
        (clone.connected_account_id, clone.connected_customer_id, clone.connected_payment_method_id)
        async for clone in client.list_clones(platform_customer_id=customer)
    ]

    erased = await client.erase_customer(customer, delete_platform_customer=True)

    assert (erased.batch.state, erased.batch.total_count, erased.batch.succeeded_count) == (BatchState.SUCCEEDED, 3, 3)
    assert (erased.clone_count, erased.charge_count) == (3, 3)
    assert {item.connected_account_id for item in erased.items} == set(accounts)
    assert len(erased.kept) == 5
    assert "cancel such batches" in " ".join(erased.kept)
    for account, there, _ in connected:
        assert stripe.get(f"/v1/customers/{there}", account)["deleted"]
    assert stripe.get(f"/v1/customers/{customer}")["deleted"]
    text = await everything_stored(app)
    personal = [customer, card, "shopper-zoe", "Zoë", "cake", "gold", "4242"]
    personal += [name for row in connected for name in row[1:]]
    assert [name for name in personal if name in text] == []


async def test_charges_stay_for_accounting_and_can_still_be_refunded(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, _, (account,) = await shopper_on(client, stripe, 1)
    (charge,) = [one async for one in client.list_charges(platform_customer_id=customer)]
    await client.erase_customer(customer)

    kept = await client.get_charge(charge.charge_id)
    assert (kept.amount, kept.state, kept.stripe_charge_id) == (AMOUNT, ChargeState.SUCCEEDED, charge.stripe_charge_id)
    assert (kept.metadata, kept.connected_customer_id) == ({}, "")
    assert kept.platform_customer_id.startswith("erased_")
    await client.refund_charge(charge.charge_id)
    assert stripe.get(f"/v1/charges/{charge.stripe_charge_id}", account)["refunded"]


async def test_who_still_has_the_id_can_see_that_it_was_erased(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, card, _ = await shopper_on(client, stripe, 2)
    await client.erase_customer(customer)

    left = [clone async for clone in client.list_clones(platform_customer_id=customer)]
    tombs = [clone async for clone in client.list_clones(platform_customer_id=customer, states=[CloneState.ERASED])]
    by_card = [clone async for clone in client.list_clones(platform_payment_method_id=card, states=[CloneState.ERASED])]

    assert left == []
    assert len(tombs) == len(by_card) == 2
    with pytest.raises(CloneNotUsable):
        await client.create_charge(tombs[0].clone_id, AMOUNT)


async def test_a_preview_counts_and_does_nothing(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _, accounts = await shopper_on(client, stripe, 2)
    clones = [clone async for clone in client.list_clones(platform_customer_id=customer)]

    looked = await client.erase_customer(customer, validate_only=True)

    assert (looked.clone_count, looked.charge_count) == (2, 2)
    assert (looked.batch.state, looked.batch.total_count) == (BatchState.PENDING, 2)
    assert {item.connected_account_id for item in looked.items} == set(accounts)
    assert "delete_platform_customer" in " ".join(looked.kept)
    assert [clone async for clone in client.list_clones(platform_customer_id=customer)] == clones


async def test_a_shopper_who_comes_back_is_a_new_one(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _, (account,) = await shopper_on(client, stripe, 1)
    for _ in range(2):
        (before,) = [clone async for clone in client.list_clones(platform_customer_id=customer)]
        await client.erase_customer(customer)
        back = await client.clone_and_charge(customer, account, AMOUNT)
        assert back.charge.state is ChargeState.SUCCEEDED
        assert back.clone.connected_customer_id != before.connected_customer_id


async def test_clones_on_customers_of_the_callers_own_are_taken_off_and_those_customers_stay(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    theirs = stripe.post("/v1/customers", account)["id"]
    await client.clone_payment_method(
        customer, account, attach=AttachOptions(connected_customer_id=theirs), reuse=CloneReuse.NEVER
    )
    await client.erase_customer(customer)

    assert "deleted" not in stripe.get(f"/v1/customers/{theirs}", account)
    assert stripe.listed(f"/v1/customers/{theirs}/payment_methods", account) == []


async def test_an_account_that_left_is_named_and_the_rest_is_erased(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, _, (left, stays) = await shopper_on(client, stripe, 2)
    stripe.call("DELETE", f"/_fake/accounts/{left}")

    erased = await client.erase_customer(customer)

    states = {item.connected_account_id: item.state for item in erased.items}
    assert states == {left: BatchItemState.FAILED, stays: BatchItemState.SUCCEEDED}
    assert erased.batch.state is BatchState.PARTIALLY_FAILED
    assert left in erased.kept[0]
    assert [item.error.reason for item in erased.items if item.error] == ["CONNECTED_ACCOUNT_UNAVAILABLE"]
    assert [clone async for clone in client.list_clones(platform_customer_id=customer)] == []


async def test_the_same_erasure_answers_the_same(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _, _ = await shopper_on(client, stripe, 2)
    first = await client.erase_customer(customer)
    again = await client.erase_customer(customer, request_id=first.request_id)
    assert (again.replayed, again.items, again.clone_count) == (True, first.items, 2)


async def test_a_shopper_whom_nobody_knows_is_erased_at_once(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    erased = await client.erase_customer(customer, delete_platform_customer=True)
    assert (erased.batch.state, erased.batch.total_count) == (BatchState.SUCCEEDED, 0)
    assert stripe.get(f"/v1/customers/{customer}")["deleted"]
