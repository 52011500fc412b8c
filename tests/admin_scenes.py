"""A ledger that has seen some weeks: what the admin page is looked at with, in tests and on screenshots."""

from __future__ import annotations

import json
from dataclasses import replace

from cloneservice_server.domain import codec, errors
from cloneservice_server.domain.baskets import Basket, BasketLeg, BasketLegState, BasketState
from cloneservice_server.domain.batches import BatchOperation, BatchPlan, ItemState, Selection
from cloneservice_server.domain.commands import ChargeOptions, CloneAndCharge, HandleStripeEvent
from cloneservice_server.domain.values import (
    Charge,
    ChargeState,
    Clone,
    CloneFlow,
    CloneState,
    ConnectedAccount,
    ConnectedCustomer,
    Decline,
    Money,
    PaymentMethodSummary,
    PlatformCustomer,
    Refund,
    RefundState,
    RequestState,
)
from cloneservice_server.ports import (
    Claim,
    FinishRequest,
    NewEffect,
    NewRequest,
    PutBasket,
    PutCharge,
    PutClone,
    PutConnectedAccount,
    PutConnectedCustomer,
    PutPlatformCustomer,
    PutRefund,
    SettleEffect,
    StripeCall,
    VoidEffect,
    Write,
)
from cloneservice_server.ports_batches import BatchRequest, Expansion, ItemDone, NewItem, WholeLedger

SHOPPER = "cus_QhB7xFakeShopper1"
VISA, MASTERCARD = "pm_1PlatformVisa42424242", "pm_1PlatformMastercard4444"
SELLERS = [f"acct_1Seller{number:02d}Bakery1" for number in range(1, 13)]
MINUTE_US, DAY_US = 60_000_000, 86_400_000_000

DECLINED = "0d9f7c1e-5a54-4f0e-9d4b-1f3a5c7e9b01"
UNKNOWN = "1e8c6b2d-4b43-4e1f-8c5a-2a4b6d8f0c12"
PARKED = "2f7d5a3c-3c32-4d20-9b69-3b5c7e9a1d23"
RUNNING = "3a6e4b4b-2d21-4c31-8a78-4c6d8f0b2e34"
PAID = "4b5f3c5a-1e10-4b42-9987-5d7e9a1c3f45"
DEAD_EVENT = "5c4a2d69-0f0f-4a53-8896-6e8f0b2d4a56"
BATCH, DONE_BATCH = "bat_9c1f6a52-7d0e-5a4e-8f0a-0d8f3c1f9b77", "bat_1a2b6a52-7d0e-5a4e-8f0a-0d8f3c1f9b11"
BASKET = "bsk_7e1f6a52-7d0e-5a4e-8f0a-0d8f3c1f9b55"
CHARGE = "chg_00000000-0000-5000-8000-000000000001"

DECLINE = errors.CardDeclined(
    "The payment method was declined (Your card has insufficient funds.)",
    {"code": "card_declined", "decline_code": "insufficient_funds", "stripe_request_id": "req_Declined00001"},
)


def _clone(number: int, now_us: int, **changed: object) -> Clone:
    state = {3: CloneState.STALE, 7: CloneState.REVOKED, 9: CloneState.ACTIVE}.get(number, CloneState.ATTACHED)
    made = Clone(
        f"cln_00000000-0000-5000-8000-{number:012d}",
        SHOPPER,
        VISA,
        SELLERS[number - 1],
        CloneFlow.PAYMENT_METHOD,
        state,
        f"pm_1Clone{number:02d}AtTheSeller",
        f"pm_1Clone{number:02d}AtTheSeller",
        f"cus_Seller{number:02d}Shopper",
        PaymentMethodSummary("card", "visa", "4242", 12, 2030, "fp"),
        reusable=True,
        create_time_us=now_us - (20 - number) * DAY_US,
        update_time_us=now_us - (13 - number) * DAY_US,
        verify_time_us=0 if number == 9 else now_us - number * DAY_US,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


def clones(now_us: int) -> list[Clone]:
    """Twelve sellers; one clone stale, one revoked, one superseded by its successor, two of another card."""
    found = [_clone(number, now_us) for number in range(1, 13)]
    old = _clone(
        5,
        now_us,
        clone_id="cln_00000000-0000-5000-8000-000000000905",
        state=CloneState.STALE,
        reusable=False,
        superseded_by_clone_id=found[4].clone_id,
        summary=PaymentMethodSummary("card", "visa", "4242", 11, 2025, "fp"),
        create_time_us=now_us - 40 * DAY_US,
    )
    other = PaymentMethodSummary("card", "mastercard", "4444", 8, 2031, "fp2")
    others = [
        _clone(
            number,
            now_us,
            clone_id=f"cln_00000000-0000-5000-8000-0000000008{number:02d}",
            platform_payment_method_id=MASTERCARD,
            summary=other,
            connected_object_id=f"pm_1Other{number:02d}AtTheSeller",
        )
        for number in (2, 11)
    ]
    return [*found, old, *others]


def charges(now_us: int) -> list[Charge]:
    """Two dozen: most of them good, one declined, one refunded in part, one that waits for the shopper."""
    found = []
    for number in range(1, 25):
        seller = number % 12 or 12
        amount = 1099 + 730 * number
        state = {4: ChargeState.DECLINED, 9: ChargeState.REQUIRES_ACTION, 14: ChargeState.REQUIRES_CAPTURE}.get(
            number, ChargeState.SUCCEEDED
        )
        good = state is ChargeState.SUCCEEDED
        found.append(
            Charge(
                f"chg_00000000-0000-5000-8000-{number:012d}",
                f"cln_00000000-0000-5000-8000-{seller:012d}",
                SHOPPER,
                SELLERS[seller - 1],
                Money(amount, "EUR" if seller == 6 else "USD"),
                state,
                stripe_payment_intent_id=f"pi_3Charge{number:02d}FakeIntent",
                stripe_charge_id=f"ch_3Charge{number:02d}Fake" if good else "",
                amount_received=amount if good else 0,
                amount_refunded=500 if number == 2 else 0,
                amount_capturable=amount if number == 14 else 0,
                application_fee=amount * 3 // 100,
                decline=Decline("card_declined", "insufficient_funds", "try_again_later", "", "Insufficient funds.")
                if number == 4
                else None,
                request_id={1: PAID, 4: DECLINED}.get(number, f"00000000-0000-4000-8000-{number:012d}"),
                metadata={"order": f"A-{1000 + number}"},
                create_time_us=now_us - (25 - number) * 7 * 60 * MINUTE_US,
                update_time_us=now_us - (25 - number) * 7 * 60 * MINUTE_US,
            )
        )
    return found


async def fill(ledger: WholeLedger, now_us: int, *, items: int = 400) -> None:
    """The whole scene; its batch has so many items, two thirds of them done."""
    customer = PlatformCustomer(SHOPPER, "shopper-10042", VISA, {"tier": "gold"}, now_us - 60 * DAY_US)
    writes: list[Write] = [
        PutPlatformCustomer(customer),
        *map(PutClone, clones(now_us)),
        *map(PutCharge, charges(now_us)),
    ]
    writes += [
        PutConnectedCustomer(ConnectedCustomer(account, SHOPPER, f"cus_Seller{number:02d}Shopper"))
        for number, account in enumerate(SELLERS, 1)
    ]
    writes += [
        PutConnectedAccount(ConnectedAccount(SELLERS[6], authorized=False, update_time_us=now_us - 3 * DAY_US)),
        PutConnectedAccount(ConnectedAccount(SELLERS[9], charges_enabled=False, update_time_us=now_us - DAY_US)),
        PutBasket(_basket(now_us)),
        PutRefund(_refund(now_us)),
    ]
    await ledger.commit(None, writes)
    await _requests(ledger)
    await batch(ledger, items=items, done=items * 2 // 3)


def _basket(now_us: int) -> Basket:
    states = (BasketLegState.CANCELED, BasketLegState.FAILED, BasketLegState.CANCELED)
    legs = tuple(
        BasketLeg(account, Money(2500 * place, "USD"), 75, state, error=errors.encode(DECLINE) if place == 2 else "")
        for place, (account, state) in enumerate(zip(SELLERS, states, strict=False), 1)
    )
    why = errors.encode(DECLINE)
    flow = CloneFlow.PAYMENT_METHOD
    return Basket(BASKET, SHOPPER, VISA, flow, BasketState.CANCELED, legs, PARKED, why, {}, now_us - DAY_US, now_us)


def _refund(now_us: int) -> Refund:

    charge = charges(now_us)[1]
    return Refund(
        "rfd_00000000-0000-5000-8000-000000000002",
        charge.charge_id,
        charge.connected_account_id,
        Money(500, charge.amount.currency_code),
        RefundState.SUCCEEDED,
        "re_3Charge02Fake",
        "requested_by_customer",
        create_time_us=now_us,
    )


# --------------------------------------------------------------------------------------------------------- requests


def _command(amount: int = 4019) -> CloneAndCharge:
    options = ChargeOptions(Money(amount, "USD"), metadata={"order": "A-1004"})
    return CloneAndCharge(SHOPPER, SELLERS[3], options)


async def begin(ledger: WholeLedger, request_id: str, command: object, caller: str = "checkout") -> Claim:
    """A request, running."""
    method = getattr(command, "method", "")
    new = NewRequest(request_id, method, "9f86d081884c7d659a2feaa0c55ad015", codec.dumps(command), caller)
    row, _ = await ledger.begin_request(new, "replica-7c41", 3600.0)
    return Claim(row.request_id, row.fence)


async def step(ledger: WholeLedger, claim: Claim, kind: str, path: str, stripe_id: str) -> SettleEffect:
    """A step that Stripe has done, its outcome not written yet."""
    effect_id = f"{kind}:{claim.request_id}"
    params = {"amount": 4019, "currency": "usd", "metadata": {"order": "A-1004"}} if kind == "intent" else {"via": kind}
    call = StripeCall("POST", path, SELLERS[3], params)
    await ledger.intend(claim, [], NewEffect(effect_id, kind, call))
    return SettleEffect(
        effect_id, 0, stripe_id, {"id": stripe_id}, stripe_request_id=f"req_{kind}{claim.request_id[:8]}"
    )


async def _steps(ledger: WholeLedger, claim: Claim) -> str:
    """All but the confirmation; the PaymentIntent."""
    intent = f"pi_3{claim.request_id[:8]}"
    made = [
        await step(ledger, claim, "clone", "/v1/payment_methods", f"pm_1{claim.request_id[:8]}"),
        await step(ledger, claim, "customer", "/v1/customers", f"cus_{claim.request_id[:8]}"),
        await step(ledger, claim, "intent", "/v1/payment_intents", intent),
    ]
    await ledger.commit(claim, made)
    return intent


async def _requests(ledger: WholeLedger) -> None:
    declined = await begin(ledger, DECLINED, _command())
    intent = await _steps(ledger, declined)
    confirm = NewEffect(
        f"confirm:{DECLINED}", "confirm", StripeCall("POST", f"/v1/payment_intents/{intent}/confirm", SELLERS[3])
    )
    await ledger.intend(declined, [], confirm)
    void = VoidEffect(confirm.effect_id, 0, errors.encode(DECLINE), "req_Declined00001")
    charge = f"chg_00000000-0000-5000-8000-{4:012d}"
    clone = f"cln_00000000-0000-5000-8000-{4:012d}"
    ended = FinishRequest(RequestState.FAILED, error=errors.encode(DECLINE), clone_id=clone, charge_id=charge)
    await ledger.commit(declined, [void, ended])

    unknown = await begin(ledger, UNKNOWN, _command(8900))
    intent = await _steps(ledger, unknown)
    call = StripeCall("POST", f"/v1/payment_intents/{intent}/confirm", SELLERS[3])
    await ledger.intend(unknown, [], NewEffect(f"confirm:{UNKNOWN}", "confirm", call))
    lost = errors.OutcomeUnknown(
        "Stripe's answer to the step 'confirm' is not known yet. Repeat with the same request_id, or ask "
        "LookupRequest; never start again under another request_id.",
        {"step": "confirm", "request_id": UNKNOWN},
    )
    await ledger.commit(
        unknown, [FinishRequest(RequestState.INDETERMINATE, error=errors.encode(lost), retry_after_us=120_000_000)]
    )
    away = errors.StripeUnreachable("Stripe could not be reached; nothing was done")
    parked = await begin(ledger, PARKED, _command(700), "back-office")
    await ledger.commit(parked, [FinishRequest(RequestState.PARKED, error=errors.encode(away))])
    running = await begin(ledger, RUNNING, _command(1250))
    await ledger.commit(running, [await step(ledger, running, "clone", "/v1/payment_methods", "pm_1Running")])
    paid = await begin(ledger, PAID, _command(1829))
    intent = await _steps(ledger, paid)
    confirmed = await step(ledger, paid, "confirm", f"/v1/payment_intents/{intent}/confirm", f"{intent}")
    result = json.dumps({"charge": {"charge_id": CHARGE, "state": "succeeded"}})
    await ledger.commit(paid, [confirmed, FinishRequest(RequestState.SUCCEEDED, result=result, charge_id=CHARGE)])
    event = HandleStripeEvent("evt_1DeadLetter", "payment_method.updated", SELLERS[0], VISA)
    dead = await begin(ledger, DEAD_EVENT, event, "")
    broken = errors.InternalError("A fault of this service", {"error_id": "4f1d"})
    await ledger.commit(dead, [FinishRequest(RequestState.FAILED, error=errors.encode(broken))])


# ---------------------------------------------------------------------------------------------------------- batches


async def batch(ledger: WholeLedger, batch_id: str = BATCH, items: int = 400, done: int = 260) -> None:
    """A batch in the middle of its work: `done` of its `items`, every 13th of them failed."""
    plan = BatchPlan(BatchOperation.CLONE, CloneFlow.PAYMENT_METHOD, named=True)
    customers = tuple(f"cus_Batch{number:06d}" for number in range(items))
    request = BatchRequest(
        f"6d3b1e78-{batch_id[4:8]}-4964-87a5-7f9a1c3e5b67", "CreateCloneBatch", "hash", batch_id, "migration"
    )
    await ledger.create_batch(request, plan, [Selection(customers, (SELLERS[0],))], sealed=True)
    rows = [NewItem(number, SELLERS[number % 2], customer, VISA) for number, customer in enumerate(customers)]
    await ledger.lay_out(batch_id, Expansion(0, 0, 0), rows, Expansion(items, 1, 0))
    await ledger.start_batch(batch_id)
    refusals = (
        errors.ResourceNotFound("No such payment_method", {}, resource_type="payment_method"),
        errors.NotCloneable("This payment method cannot be cloned by this flow"),
    )
    outcomes = []
    for number in range(done):
        if number % 13 == 12:
            why = refusals[number // 13 % 3 == 0]
            outcomes.append(ItemDone(number, ItemState.FAILED, 1, reason=why.reason, error=errors.encode(why)))
        else:
            clone_id = f"cln_00000000-0000-5000-8000-{1 + number % 12:012d}"
            outcomes.append(ItemDone(number, ItemState.SUCCEEDED, 1, clone_id, reused=number % 9 == 0))
    await ledger.finish_items(batch_id, outcomes)
