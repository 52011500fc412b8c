"""A batch clones every customer to every account, once, and can be watched, retried and canceled on the way."""

from __future__ import annotations

from cloneservice import (
    AsyncCloneClient,
    BatchItemState,
    BatchOperation,
    BatchPair,
    BatchState,
    CloneBatch,
    CloneState,
    CrossProduct,
    Money,
)

from tests.stripe_http import StripeHttp


def customers_there(stripe: StripeHttp, account: str) -> list[str]:
    """Platform customers of an account's customers, as our metadata says."""
    return sorted(
        found["metadata"]["cloneservice_platform_customer"] for found in stripe.listed("/v1/customers", account)
    )


async def test_every_customer_reaches_every_account_once(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customers = sorted(stripe.saved_card()[0] for _ in range(4))
    accounts = [stripe.connected_account() for _ in range(3)]

    made = await client.create_batch(BatchOperation.CLONE, CrossProduct(tuple(customers), tuple(accounts)))
    events = [event async for event in client.watch_batch(made.batch.batch_id)]

    final = events[-1].batch
    items = [event.item for event in events if event.item is not None]
    assert final is not None
    assert (final.state, final.total_count, final.succeeded_count) == (BatchState.SUCCEEDED, 12, 12)
    assert sorted(item.index for item in items) == list(range(12))
    assert [customers_there(stripe, account) for account in accounts] == [customers] * 3
    assert all(
        item.clone is not None and item.clone.connected_account_id == item.connected_account_id for item in items
    )


async def test_a_batch_may_come_in_chunks_and_its_failures_can_be_tried_again(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    account = stripe.connected_account()
    customer, saved = stripe.saved_card()
    bare = stripe.post("/v1/customers")["id"]

    batch_id = (await client.create_batch(BatchOperation.CLONE, None)).batch.batch_id
    await client.add_batch_items(batch_id, [BatchPair(customer, account, saved)])
    await client.add_batch_items(batch_id, [BatchPair(bare, account)], seal=True)
    first = [event async for event in client.watch_batch(batch_id)][-1].batch
    stripe.post("/v1/payment_methods/pm_card_visa/attach", customer=bare)
    card = stripe.listed(f"/v1/customers/{bare}/payment_methods")[0]["id"]
    stripe.post(f"/v1/customers/{bare}", invoice_settings={"default_payment_method": card})
    failed = [item async for item in client.list_batch_items(batch_id, states=[BatchItemState.FAILED])]
    await client.retry_batch(batch_id)
    last = [event async for event in client.watch_batch(batch_id)][-1].batch

    assert first is not None
    assert last is not None
    assert (first.state, first.failures[0].reason, first.failures[0].example_indexes) == (
        BatchState.PARTIALLY_FAILED,
        "NOT_CLONEABLE",
        (1,),
    )
    assert [(item.index, item.error and item.error.reason) for item in failed] == [(1, "NOT_CLONEABLE")]
    assert (last.state, last.succeeded_count, last.failed_count) == (BatchState.SUCCEEDED, 2, 0)
    assert customers_there(stripe, account) == sorted([customer, bare])


async def test_clones_are_refreshed_where_stale_and_revoked_for_good(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    (renewed, card), (current, _) = stripe.saved_card(), stripe.saved_card()
    account = stripe.connected_account()
    everybody = CrossProduct((renewed, current), (account,))

    async def done(operation: BatchOperation) -> CloneBatch:
        batch_id = (await client.create_batch(operation, everybody)).batch.batch_id
        final = [event async for event in client.watch_batch(batch_id)][-1].batch
        assert final is not None
        return final

    cloned = await done(BatchOperation.CLONE)
    stripe.post(f"/v1/payment_methods/{card}", card={"exp_month": 1, "exp_year": 2040})
    refreshed = await done(BatchOperation.REFRESH)
    revoked = await done(BatchOperation.REVOKE)

    states = [clone.state async for clone in client.list_clones(connected_account_id=account)]
    assert (cloned.succeeded_count, refreshed.succeeded_count, refreshed.skipped_count) == (2, 1, 1)
    assert (revoked.succeeded_count, revoked.state) == (2, BatchState.SUCCEEDED)
    assert CloneState.ATTACHED not in states


async def test_a_batch_forgets_shoppers_on_one_account_and_nowhere_else(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    (first, _), (second, _), (stranger, _) = stripe.saved_card(), stripe.saved_card(), stripe.saved_card()
    left, stays = stripe.connected_account(), stripe.connected_account()
    for customer, account in ((first, left), (second, left), (first, stays)):
        await client.clone_and_charge(
            platform_customer_id=customer, connected_account_id=account, amount=Money(1999, "USD")
        )

    everybody = CrossProduct((first, second, stranger), (left,))
    batch_id = (await client.create_batch(BatchOperation.ERASE, everybody)).batch.batch_id
    final = [event async for event in client.watch_batch(batch_id)][-1].batch
    items = [item async for item in client.list_batch_items(batch_id)]

    assert final is not None
    assert (final.state, final.succeeded_count, final.skipped_count) == (BatchState.SUCCEEDED, 2, 1)
    assert customers_there(stripe, left) == []
    assert customers_there(stripe, stays) == [first]
    assert [charge.connected_account_id async for charge in client.list_charges(platform_customer_id=first)] == [stays]
    assert not {first, second, stranger} & {item.platform_customer_id for item in items}
    again = await client.clone_and_charge(
        platform_customer_id=first, connected_account_id=stays, amount=Money(500, "USD")
    )
    assert again.reused


async def test_an_erased_shopper_is_struck_out_of_the_batches_of_before(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    (gone, card), (other, _) = stripe.saved_card(), stripe.saved_card()
    account = stripe.connected_account()
    pairs = [BatchPair(gone, account, card), BatchPair(other, account)]
    batch_id = (await client.create_batch(BatchOperation.CLONE, pairs)).batch.batch_id
    assert [event async for event in client.watch_batch(batch_id)][-1].batch

    await client.erase_customer(gone)

    items = [item async for item in client.list_batch_items(batch_id)]
    assert gone not in {item.platform_customer_id for item in items}
    assert card not in {item.platform_payment_method_id for item in items}
    assert other in {item.platform_customer_id for item in items}
