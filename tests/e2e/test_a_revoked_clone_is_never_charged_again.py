"""RevokeClone detaches at Stripe, whatever flow made the clone, and the ledger keeps to it."""

from __future__ import annotations

import pytest
from cloneservice import AsyncCloneClient, ChargeState, CloneNotUsable, CloneState, EtagMismatch, Money

from tests.stripe_http import StripeHttp

AMOUNT = Money(1999, "USD")


@pytest.mark.parametrize("given", ["pm_card_visa", "tok_mastercard", "src"])
async def test_a_clone_of_every_flow_is_detached(given: str, client: AsyncCloneClient, stripe: StripeHttp) -> None:
    account = stripe.connected_account()
    if given == "src":
        given = stripe.post("/v1/sources", type="card", token="tok_amex")["id"]
    saved = await client.save_payment_method(given, platform_customer_id=stripe.post("/v1/customers")["id"])
    made = await client.clone_and_charge(
        saved.platform_customer.platform_customer_id,
        account,
        AMOUNT,
        platform_payment_method_id=saved.payment_method.platform_payment_method_id,
    )

    gone = await client.revoke_clone(made.clone.clone_id, etag=made.clone.etag)

    assert gone.clone.state is CloneState.REVOKED
    connected = made.clone.connected_customer_id
    assert stripe.listed(f"/v1/customers/{connected}/payment_methods", account) == []
    assert stripe.listed(f"/v1/customers/{connected}/sources", account) == []
    with pytest.raises(CloneNotUsable):
        await client.create_charge(made.clone.clone_id, AMOUNT)
    assert len(stripe.succeeded_charges(account)) == 1


async def test_revoking_twice_is_fine(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    made = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone
    first = await client.revoke_clone(made.clone_id)

    assert (await client.revoke_clone(made.clone_id)).clone == first.clone
    assert (await client.revoke_clone(made.clone_id, request_id=first.request_id)).clone == first.clone


async def test_what_the_account_detached_itself_is_revoked_all_the_same(
    client: AsyncCloneClient, stripe: StripeHttp
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    made = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    stripe.call("DELETE", f"/v1/customers/{made.connected_customer_id}", account)

    assert (await client.revoke_clone(made.clone_id)).clone.state is CloneState.REVOKED


async def test_an_unattached_clone_is_revoked_in_the_ledger(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    made = (await client.clone_payment_method(customer, stripe.connected_account())).clone
    await client.revoke_clone(made.clone_id)
    with pytest.raises(CloneNotUsable):
        await client.create_charge(made.clone_id, AMOUNT)


async def test_an_old_etag_revokes_nothing(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    made = (await client.clone_payment_method(customer, stripe.connected_account())).clone
    attached = (await client.attach_clone(made.clone_id)).clone
    with pytest.raises(EtagMismatch):
        await client.revoke_clone(made.clone_id, etag=made.etag)
    assert await client.get_clone(made.clone_id) == attached


async def test_the_shopper_can_pay_there_again_with_a_new_clone(client: AsyncCloneClient, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    made = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    await client.revoke_clone(made.clone_id)

    charged = await client.clone_and_charge(customer, account, AMOUNT)

    assert charged.charge.state is ChargeState.SUCCEEDED
    assert charged.clone.clone_id != made.clone_id
