"""The platform's card changes, or goes: clones notice, are replaced, and never outlive what the shopper removed."""

from __future__ import annotations

import asyncio

import pytest
from cloneservice import (
    AsyncCloneClient,
    ChargeState,
    CloneFlow,
    CloneNotUsable,
    CloneReuse,
    CloneState,
    Money,
    NotCloneable,
    ResourceNotFound,
)

from tests.stripe_http import StripeHttp

AMOUNT = Money(1999, "USD")


def renew(stripe: StripeHttp, saved: str, customer: str = "") -> None:
    """The shopper's card gets a new expiry date on the platform."""
    if saved.startswith("pm_"):
        stripe.post(f"/v1/payment_methods/{saved}", card={"exp_month": 3, "exp_year": 2041})
    else:
        stripe.post(f"/v1/customers/{customer}/sources/{saved}", exp_month=3, exp_year=2041)


async def saved_card(client: AsyncCloneClient, stripe: StripeHttp, given: str) -> tuple[str, str]:
    """A platform customer with a card saved by a pm_ or tok_: (customer, saved id)."""
    saved = await client.save_payment_method(given, platform_customer_id=stripe.post("/v1/customers")["id"])
    return saved.platform_customer.platform_customer_id, saved.payment_method.platform_payment_method_id


@pytest.mark.parametrize("given", ["pm_card_visa", "tok_mastercard"])
async def test_a_clone_that_is_current_stays(given: str, client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = await saved_card(client, stripe, given)
    account = stripe.connected_account()
    made = await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=saved)

    kept = await client.refresh_clone(made.clone.clone_id)

    assert (kept.changed, kept.clone.clone_id, kept.clone.state) == (False, made.clone.clone_id, CloneState.ATTACHED)
    assert kept.clone.verify_time != made.clone.verify_time


async def test_a_saved_source_is_compared_too(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = await saved_card(client, stripe, stripe.post("/v1/sources", type="card", token="tok_amex")["id"])
    made = await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT, platform_payment_method_id=saved)

    assert not (await client.refresh_clone(made.clone.clone_id)).changed


@pytest.mark.parametrize(
    ("given", "flow"), [("pm_card_visa", CloneFlow.PAYMENT_METHOD), ("tok_mastercard", CloneFlow.TOKEN)]
)
async def test_a_renewed_card_gets_a_new_clone_that_supersedes_the_old(
    given: str, flow: CloneFlow, client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, saved = await saved_card(client, stripe, given)
    account = stripe.connected_account()
    old = (await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=saved)).clone
    renew(stripe, saved, customer)

    refreshed = await client.refresh_clone(old.clone_id)

    new, before = refreshed.clone, await client.get_clone(old.clone_id)
    assert refreshed.changed
    assert (new.flow, new.state, new.connected_customer_id) == (flow, CloneState.ATTACHED, old.connected_customer_id)
    assert (new.summary.exp_month, new.summary.exp_year) == (3, 2041)
    assert (before.state, before.superseded_by_clone_id) == (CloneState.STALE, new.clone_id)
    with pytest.raises(CloneNotUsable) as refused:
        await client.create_charge(old.clone_id, AMOUNT)
    assert refused.value.metadata["superseded_by_clone_id"] == new.clone_id
    assert (await client.create_charge(new.clone_id, AMOUNT)).charge.state is ChargeState.SUCCEEDED
    again = await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=saved)
    assert (again.reused, again.clone.clone_id) == (True, new.clone_id)


async def test_the_successor_takes_the_place_of_the_default(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = stripe.saved_card()
    account = stripe.connected_account()
    old = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    renew(stripe, saved)
    new = (await client.refresh_clone(old.clone_id)).clone

    connected = stripe.get(f"/v1/customers/{new.connected_customer_id}", account)
    assert connected["invoice_settings"]["default_payment_method"] == new.connected_payment_method_id


async def test_refreshing_a_superseded_clone_answers_with_its_successor(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, saved = stripe.saved_card()
    old = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone
    renew(stripe, saved)
    new = (await client.refresh_clone(old.clone_id)).clone

    again = await client.refresh_clone(old.clone_id)

    assert (again.changed, again.clone.clone_id) == (False, new.clone_id)


async def test_a_clone_of_ones_own_is_replaced_by_one_of_ones_own(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = stripe.saved_card()
    account = stripe.connected_account()
    shared = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    own = (await client.clone_payment_method(customer, account, attach=True, reuse=CloneReuse.NEVER)).clone
    renew(stripe, saved)

    new = (await client.refresh_clone(own.clone_id)).clone

    assert new.clone_id not in (shared.clone_id, own.clone_id)
    assert (await client.get_clone(shared.clone_id)).superseded_by_clone_id == ""


async def test_validate_only_compares_and_marks_and_makes_nothing(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = stripe.saved_card()
    account = stripe.connected_account()
    old = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    renew(stripe, saved)

    looked = await client.refresh_clone(old.clone_id, validate_only=True)

    assert (looked.changed, looked.clone.state) == (False, CloneState.STALE)
    assert await client.get_clone(old.clone_id) == looked.clone
    assert len([clone async for clone in client.list_clones(platform_customer_id=customer)]) == 1


async def test_charging_a_stale_clone_makes_a_new_one_by_itself(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = stripe.saved_card()
    account = stripe.connected_account()
    old = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    renew(stripe, saved)
    await client.refresh_clone(old.clone_id, validate_only=True)

    charged = await client.clone_and_charge(customer, account, AMOUNT)

    assert (charged.reused, charged.charge.state) == (False, ChargeState.SUCCEEDED)
    assert charged.clone.summary.exp_year == 2041
    assert (await client.get_clone(old.clone_id)).superseded_by_clone_id == charged.clone.clone_id


async def test_a_card_that_the_shopper_removed_is_not_charged_any_more(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, saved = stripe.saved_card()
    made = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone
    stripe.post(f"/v1/payment_methods/{saved}/detach")

    with pytest.raises(NotCloneable):
        await client.refresh_clone(made.clone_id)

    assert (await client.get_clone(made.clone_id)).state is CloneState.STALE
    with pytest.raises(CloneNotUsable):
        await client.create_charge(made.clone_id, AMOUNT)


async def test_a_clone_that_the_account_detached_is_replaced(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    made = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    stripe.post(f"/v1/payment_methods/{made.connected_payment_method_id}/detach", account)

    refreshed = await client.refresh_clone(made.clone_id)

    assert refreshed.changed
    assert (await client.create_charge(refreshed.clone.clone_id, AMOUNT)).charge.state is ChargeState.SUCCEEDED


async def test_ten_refreshes_at_once_make_one_successor(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, saved = stripe.saved_card()
    old = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone
    renew(stripe, saved)

    answers = await asyncio.gather(*(client.refresh_clone(old.clone_id) for _ in range(10)))

    assert len({answer.clone.clone_id for answer in answers} - {old.clone_id}) == 1
    assert len([clone async for clone in client.list_clones(platform_customer_id=customer)]) == 2


async def test_a_clone_that_is_over_cannot_be_refreshed(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    made = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT, one_shot=True)).clone
    with pytest.raises(CloneNotUsable):
        await client.refresh_clone(made.clone_id)
    with pytest.raises(ResourceNotFound):
        await client.refresh_clone("cln_00000000-0000-0000-0000-000000000000")
