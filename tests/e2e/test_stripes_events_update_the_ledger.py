"""What happens outside this service reaches the ledger by Stripe's events: twice, late, in any order, to one end."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random

import pytest
from cloneservice import (
    AsyncCloneClient,
    CaptureMethod,
    ChargeState,
    CloneState,
    ConnectedAccountUnavailable,
    Money,
    WebhookSignatureInvalid,
)
from cloneservice_server.app import App
from cloneservice_server.settings import Settings

from tests.stripe_events import StripeEvents, signed
from tests.stripe_http import StripeHttp

AMOUNT = Money(1999, "USD")


@pytest.fixture
def events(stripe: StripeHttp) -> StripeEvents:
    """The platform's webhook endpoints."""
    return StripeEvents(stripe)


@pytest.fixture
def settings(settings: Settings, events: StripeEvents) -> Settings:
    """A server that knows the secrets of both."""
    return dataclasses.replace(settings, stripe_webhook_secrets=",".join(events.secrets))


class Deliveries:
    """Hands collected events to the service, twice each and in a random order, and waits for the work."""

    def __init__(self, app: App, client: AsyncCloneClient, events: StripeEvents) -> None:
        self.app, self.client, self.events = app, client, events

    async def hand_over(self, *types: str) -> int:
        """How many events were taken as new ones."""
        found = self.events.collected(*types)
        assert found, f"no event of {types or 'any type'}"
        return await self.take(*found * 2)

    async def take(self, *deliveries: tuple[bytes, str]) -> int:
        mixed = random.Random(7).sample(deliveries, len(deliveries))
        answers = await asyncio.gather(*(self.client.handle_stripe_event(*one) for one in mixed))
        await self.app.engine.settle()
        return sum(answer.handled for answer in answers)


@pytest.fixture
def deliveries(app: App, client: AsyncCloneClient, events: StripeEvents) -> Deliveries:
    return Deliveries(app, client, events)


async def test_a_renewed_card_makes_every_clone_of_it_stale(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, saved = stripe.saved_card()
    sellers = [stripe.connected_account() for _ in range(3)]
    made = [(await client.clone_and_charge(customer, seller, AMOUNT)).clone for seller in sellers]
    stripe.post(f"/v1/payment_methods/{saved}", card={"exp_month": 3, "exp_year": 2041})

    assert await deliveries.hand_over("payment_method.updated") == 1

    states = {(await client.get_clone(clone.clone_id)).state for clone in made}
    assert states == {CloneState.STALE}
    charged = await client.clone_and_charge(customer, sellers[0], AMOUNT)
    assert (charged.reused, charged.clone.summary.exp_year) == (False, 2041)


async def test_a_card_that_its_network_renewed_makes_its_clone_stale(
    client: AsyncCloneClient, stripe: StripeHttp, events: StripeEvents, deliveries: Deliveries
) -> None:
    customer, saved = stripe.saved_card()
    made = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone
    renewed = stripe.post(f"/v1/payment_methods/{saved}", card={"exp_year": 2041})
    await deliveries.take(events.made("payment_method.automatically_updated", renewed))

    assert (await client.get_clone(made.clone_id)).state is CloneState.STALE


async def test_an_update_that_changes_nothing_of_the_card_changes_no_clone(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, saved = stripe.saved_card()
    made = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone
    stripe.post(f"/v1/payment_methods/{saved}", metadata={"note": "x"})
    await deliveries.hand_over("payment_method.updated")

    assert await client.get_clone(made.clone_id) == made


@pytest.mark.parametrize("given", ["pm_card_visa", "tok_mastercard"])
async def test_a_card_that_the_shopper_removed_makes_its_clones_stale(
    given: str, client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    saved = await client.save_payment_method(given, platform_customer_id=stripe.post("/v1/customers")["id"])
    customer = saved.platform_customer.platform_customer_id
    card = saved.payment_method.platform_payment_method_id
    account = stripe.connected_account()
    made = (await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=card)).clone
    if given == "pm_card_visa":
        stripe.post(f"/v1/payment_methods/{card}/detach")
    else:
        stripe.call("DELETE", f"/v1/customers/{customer}/sources/{card}")
    await deliveries.hand_over("payment_method.detached", "customer.source.deleted")

    assert (await client.get_clone(made.clone_id)).state is CloneState.STALE


async def test_a_shopper_deleted_on_the_platform_takes_all_clones_along(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, _ = stripe.saved_card()
    made = [(await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).clone for _ in range(2)]
    stripe.call("DELETE", f"/v1/customers/{customer}")
    await deliveries.hand_over("customer.deleted")

    assert {(await client.get_clone(clone.clone_id)).state for clone in made} == {CloneState.STALE}


@pytest.mark.parametrize("given", ["pm_card_visa", "tok_mastercard"])
async def test_a_clone_that_the_account_detached_is_stale_and_replaced(
    given: str, client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    saved = await client.save_payment_method(given, platform_customer_id=stripe.post("/v1/customers")["id"])
    customer = saved.platform_customer.platform_customer_id
    card = saved.payment_method.platform_payment_method_id
    account = stripe.connected_account()
    made = (await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=card)).clone
    connected = f"/v1/customers/{made.connected_customer_id}"
    if given == "pm_card_visa":
        stripe.post(f"/v1/payment_methods/{made.connected_payment_method_id}/detach", account)
    else:
        card_there = stripe.listed(f"{connected}/sources", account)[0]["id"]
        stripe.call("DELETE", f"{connected}/sources/{card_there}", account)
    await deliveries.hand_over("payment_method.detached", "customer.source.deleted")

    assert (await client.get_clone(made.clone_id)).state is CloneState.STALE
    again = await client.clone_and_charge(customer, account, AMOUNT, platform_payment_method_id=card)
    assert (again.reused, again.charge.state) == (False, ChargeState.SUCCEEDED)


async def test_a_connected_customer_deleted_there_is_made_anew_without_a_failed_charge(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    made = (await client.clone_and_charge(customer, account, AMOUNT)).clone
    stripe.call("DELETE", f"/v1/customers/{made.connected_customer_id}", account)
    await deliveries.hand_over("customer.deleted")
    assert (await client.get_clone(made.clone_id)).state is CloneState.STALE

    again = await client.clone_and_charge(customer, account, AMOUNT)

    assert again.clone.connected_customer_id != made.connected_customer_id
    assert len(stripe.listed("/v1/payment_intents", account)) == 2


async def test_a_seller_who_leaves_leaves_no_usable_clone(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    account = stripe.connected_account()
    shoppers = [stripe.saved_card()[0] for _ in range(3)]
    made = [(await client.clone_and_charge(shopper, account, AMOUNT)).clone for shopper in shoppers]
    stripe.call("DELETE", f"/_fake/accounts/{account}")
    await deliveries.hand_over("account.application.deauthorized")

    seen = [await client.get_clone(clone.clone_id) for clone in made]
    assert {(clone.state, clone.last_error and clone.last_error.reason) for clone in seen} == {
        (CloneState.STALE, "CONNECTED_ACCOUNT_UNAVAILABLE")
    }
    with pytest.raises(ConnectedAccountUnavailable):
        await client.clone_and_charge(shoppers[0], account, AMOUNT)


async def test_a_payment_that_goes_on_elsewhere_is_followed(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    held = [
        (await client.clone_and_charge(customer, account, AMOUNT, capture_method=CaptureMethod.MANUAL)).charge
        for _ in range(2)
    ]
    stripe.post(f"/v1/payment_intents/{held[0].stripe_payment_intent_id}/capture", account)
    stripe.post(f"/v1/payment_intents/{held[1].stripe_payment_intent_id}/cancel", account)
    await deliveries.hand_over()

    captured, canceled = [await client.get_charge(charge.charge_id) for charge in held]
    assert (captured.state, captured.amount_received) == (ChargeState.SUCCEEDED, AMOUNT)
    assert canceled.state is ChargeState.CANCELED


@pytest.mark.parametrize(
    ("bank", "ends"),
    [("pm_usBankAccount_success", ChargeState.SUCCEEDED), ("pm_usBankAccount_insufficientFunds", ChargeState.DECLINED)],
)
async def test_a_bank_debit_ends_when_the_bank_says_so(
    bank: str, ends: ChargeState, client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, _ = stripe.saved_card(bank)
    charge = (await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)).charge
    deliveries.events.collected()
    stripe.post("/_fake/clock", advance=10 * 86_400)
    await deliveries.hand_over()

    ended = await client.get_charge(charge.charge_id)
    assert (charge.state, ended.state) == (ChargeState.PROCESSING, ends)
    assert (ended.decline is None) == (ends is ChargeState.SUCCEEDED)


async def test_refunds_and_disputes_made_elsewhere_are_known(
    client: AsyncCloneClient, stripe: StripeHttp, deliveries: Deliveries
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    charge = (await client.clone_and_charge(customer, account, AMOUNT)).charge
    stripe.post("/v1/refunds", account, charge=charge.stripe_charge_id, amount=500)
    await deliveries.hand_over()
    assert (await client.get_charge(charge.charge_id)).amount_refunded == Money(500, "USD")

    dispute = stripe.post("/_fake/disputes", charge=charge.stripe_charge_id)["id"]
    await deliveries.hand_over()
    disputed = await client.get_charge(charge.charge_id)
    assert (disputed.stripe_dispute_id, disputed.dispute_status) == (dispute, "needs_response")

    stripe.post(f"/_fake/disputes/{dispute}", status="lost")
    await deliveries.hand_over()
    assert (await client.get_charge(charge.charge_id)).dispute_status == "lost"


async def test_old_events_after_new_ones_turn_nothing_back(
    client: AsyncCloneClient, stripe: StripeHttp, events: StripeEvents, deliveries: Deliveries
) -> None:
    customer, _ = stripe.saved_card()
    account = stripe.connected_account()
    charge = (await client.clone_and_charge(customer, account, AMOUNT, capture_method=CaptureMethod.MANUAL)).charge
    early = events.collected()
    stripe.post(f"/v1/payment_intents/{charge.stripe_payment_intent_id}/capture", account)
    await deliveries.hand_over()
    settled = await client.get_charge(charge.charge_id)

    await deliveries.take(*early)

    assert await client.get_charge(charge.charge_id) == settled


async def test_an_event_counts_once(
    client: AsyncCloneClient, stripe: StripeHttp, events: StripeEvents, deliveries: Deliveries
) -> None:
    customer, saved = stripe.saved_card()
    await client.clone_and_charge(customer, stripe.connected_account(), AMOUNT)
    stripe.post(f"/v1/payment_methods/{saved}", card={"exp_year": 2041})
    (payload, signature), *_ = events.collected("payment_method.updated")

    first = await client.handle_stripe_event(payload, signature)
    again = await client.handle_stripe_event(payload, signed(payload, events.secrets[0]))

    assert (first.handled, again.handled) == (True, False)
    assert first.stripe_event_id == again.stripe_event_id == json.loads(payload)["id"]
    await deliveries.app.engine.settle()


async def test_events_of_others_and_of_no_use_are_let_pass(
    client: AsyncCloneClient, stripe: StripeHttp, events: StripeEvents, deliveries: Deliveries
) -> None:
    account = stripe.connected_account()
    intent = stripe.post(
        "/v1/payment_intents", account, amount=500, currency="usd", payment_method="pm_card_visa", confirm=True
    )
    live = events.made("payment_method.updated", {"id": "pm_1", "object": "payment_method"}, livemode=True)
    unknown = events.made("invoice.paid", {"id": "in_1", "object": "invoice"})

    assert intent["id"]
    assert await deliveries.hand_over("payment_intent.succeeded") == 1  # stored, then seen to be nobody's
    assert [(await client.handle_stripe_event(*one)).handled for one in (live, unknown)] == [False, False]
    assert [charge async for charge in client.list_charges(connected_account_id=account)] == []


async def test_what_stripe_did_not_sign_is_refused(client: AsyncCloneClient, events: StripeEvents) -> None:
    payload, signature = events.made("customer.deleted", {"id": "cus_1", "object": "customer"})
    for wrong in (
        (payload + b" ", signature),
        (payload, signed(payload, "whsec_another")),
        (payload, signed(payload, events.secrets[0], timestamp=1_700_000_000)),
        (payload, "t=1,v1="),
    ):
        with pytest.raises(WebhookSignatureInvalid):
            await client.handle_stripe_event(*wrong)
