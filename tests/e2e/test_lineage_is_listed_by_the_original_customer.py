"""What Stripe does not give: all clones and charges of one shopper, over all sellers, page by page."""

from __future__ import annotations

from datetime import datetime

import pytest
from cloneservice import AsyncCloneClient, ChargeState, CloneState, InvalidRequest, Money, ResourceNotFound

from tests.stripe_http import StripeHttp


async def test_charges_on_several_accounts_are_one_list(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    sellers = [stripe.connected_account() for _ in range(3)]
    customer, _ = stripe.saved_card()
    other, _ = stripe.saved_card()
    made = [await client.clone_and_charge(customer, seller, Money(1000, "USD")) for seller in sellers * 2]
    await client.clone_and_charge(other, sellers[0], Money(1000, "USD"))

    listed = [charge async for charge in client.list_charges(platform_customer_id=customer)]
    clones = [clone async for clone in client.list_clones(platform_customer_id=customer)]

    assert listed == [answer.charge for answer in reversed(made)]
    assert {clone.connected_account_id for clone in clones} == set(sellers)
    assert {clone.state for clone in clones} == {CloneState.ATTACHED}


async def test_filters_narrow_the_list(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    first, second = stripe.connected_account(), stripe.connected_account()
    customer, saved = stripe.saved_card()
    made = await client.clone_and_charge(customer, first, Money(1000, "USD"))
    await client.clone_and_charge(customer, second, Money(1000, "USD"))

    by_account = [c async for c in client.list_charges(platform_customer_id=customer, connected_account_id=first)]
    by_clone = [c async for c in client.list_charges(clone_id=made.clone.clone_id)]
    declined = [c async for c in client.list_charges(platform_customer_id=customer, states=[ChargeState.DECLINED])]
    by_method = [c async for c in client.list_clones(platform_payment_method_id=saved)]

    assert by_account == by_clone == [made.charge]
    assert declined == []
    assert len(by_method) == 2


async def test_pages_follow_each_other_without_gap_or_repeat(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    made = [await client.clone_and_charge(customer, account, Money(1000 + n, "USD")) for n in range(7)]
    pages = client.list_charges(platform_customer_id=customer, page_size=3)
    sizes = [len(page.items) async for page in pages.pages()]
    listed = [charge async for charge in client.list_charges(platform_customer_id=customer, page_size=3)]

    assert sizes == [3, 3, 1]
    assert listed == [answer.charge for answer in reversed(made)]


async def test_a_page_token_for_another_list_is_refused(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    customer, _ = stripe.saved_card()
    for _ in range(2):
        await client.clone_and_charge(customer, account, Money(1000, "USD"))
    page = await client.list_charges(platform_customer_id=customer, page_size=1).page()
    with pytest.raises(InvalidRequest):
        await client.list_charges(platform_customer_id="cus_other", page_token=page.next_page_token).page()


async def test_saved_payment_methods_are_listed_with_their_default(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, saved = stripe.saved_card()
    legacy = await client.save_payment_method("tok_mastercard", platform_customer_id=customer)
    listed = {
        method.platform_payment_method_id: method.is_default
        async for method in client.list_platform_payment_methods(customer)
    }

    assert listed == {saved: True, legacy.payment_method.platform_payment_method_id: False}


async def test_what_does_not_exist_is_not_found(client: AsyncCloneClient) -> None:
    with pytest.raises(ResourceNotFound):
        await client.get_clone("cln_00000000-0000-0000-0000-000000000000")
    with pytest.raises(ResourceNotFound):
        await client.get_charge("chg_00000000-0000-0000-0000-000000000000")


async def test_lists_of_a_time_and_of_a_card(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    accounts = [stripe.connected_account() for _ in range(2)]
    other = (await client.save_payment_method("pm_card_mastercard", platform_customer_id=customer)).payment_method
    first = await client.clone_and_charge(customer, accounts[0], Money(1000, "USD"))
    second = await client.clone_and_charge(
        customer, accounts[1], Money(1000, "USD"), platform_payment_method_id=other.platform_payment_method_id
    )
    between = second.clone.create_time

    later = [clone async for clone in client.list_clones(platform_customer_id=customer, create_time_from=between)]
    earlier = [clone async for clone in client.list_clones(create_time_before=between)]
    charges = client.list_charges(platform_customer_id=customer, create_time_from=second.charge.create_time)
    by_card = client.list_charges(platform_payment_method_id=other.platform_payment_method_id)

    assert later == [second.clone]
    assert [clone.clone_id for clone in earlier] == [first.clone.clone_id]
    assert [charge async for charge in charges] == [charge async for charge in by_card] == [second.charge]
    with pytest.raises(ValueError, match="zone"):
        client.list_clones(create_time_from=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
