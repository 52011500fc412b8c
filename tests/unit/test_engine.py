"""What the engine promises about one request, whoever asks how often and whatever Stripe does meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import (
    AttachClone,
    AttachOptions,
    ChargeOptions,
    CloneAndCharge,
    ClonePaymentMethod,
    CreateCharge,
    NewCustomer,
    SavePaymentMethod,
)
from cloneservice_server.domain.results import ChargeMade, CloneCharged, CloneMade, SavedPaymentMethod
from cloneservice_server.domain.values import ChargeState, CloneFlow, CloneReuse, CloneState, Money, RequestState
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import AnswerLost, Ledger, NotSent, Refused, StripeCall
from cloneservice_server.workflows.engine import Engine, EngineSettings
from cloneservice_server.workflows.run import RetrySettings

from tests.fakes import Held, Lost
from tests.virtual_clock import VirtualClock
from tests.working_stripe import WorkingStripe as Stripe
from tests.working_stripe import payment_intent

ACCOUNT, CUSTOMER, CARD = "acct_seller", "cus_shopper", "pm_saved"
SETTINGS = EngineSettings(lease_s=30, retry=RetrySettings(attempts=3, backoff_s=0.1))
CHARGE = CloneAndCharge(CUSTOMER, ACCOUNT, ChargeOptions(Money(1999, "USD"), Money(199, "USD")), CARD)
DECLINED = {"code": "card_declined", "decline_code": "insufficient_funds", "type": "card_error", "message": "No funds."}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def stripe() -> Stripe:
    return Stripe()


@pytest.fixture
async def ledger(clock: VirtualClock) -> AsyncIterator[Ledger]:
    opened = open_ledger("sqlite://:memory:", clock)
    await opened.open()
    yield opened
    await opened.aclose()


def make_engine(ledger: Ledger, stripe: Stripe, clock: VirtualClock, owner: str = "one") -> Engine:
    return Engine(ledger=ledger, gateway=stripe, clock=clock, owner=owner, settings=SETTINGS)


@pytest.fixture
def engine(ledger: Ledger, stripe: Stripe, clock: VirtualClock) -> Engine:
    return make_engine(ledger, stripe, clock)


def new_id() -> str:
    return str(uuid.uuid4())


async def charged(engine: Engine, command: CloneAndCharge = CHARGE, request_id: str = "") -> CloneCharged:
    answer = await engine.submit(request_id or new_id(), str(hash(command.platform_customer_id)), command)
    assert answer.error is None, answer.error
    assert isinstance(answer.result, CloneCharged)
    return answer.result


async def test_a_first_charge_takes_four_calls_and_a_second_one_two(engine: Engine, stripe: Stripe) -> None:
    first = await charged(engine)
    calls = len(stripe.done)
    second = await charged(engine)

    assert (calls, len(stripe.done) - calls) == (4, 2)
    assert (first.reused, second.reused) == (False, True)
    assert first.clone is not None
    assert second.clone == first.clone
    assert first.charge is not None
    assert first.charge.state is ChargeState.SUCCEEDED
    assert first.charge.application_fee == 199


async def test_every_post_carries_a_key_of_its_own(engine: Engine, stripe: Stripe) -> None:
    await charged(engine)

    keys = [sent.idempotency_key for sent in stripe.sent]

    assert all(keys)
    assert len(set(keys)) == 4


async def test_the_same_request_is_answered_from_the_ledger(engine: Engine, stripe: Stripe) -> None:
    request_id = new_id()
    first = await engine.submit(request_id, "hash", CHARGE)
    again = await engine.submit(request_id, "hash", CHARGE)

    assert (first.replayed, again.replayed) == (False, True)
    assert again.result == first.result
    assert len(stripe.sent) == 4


async def test_an_id_in_other_letters_is_the_same_id(engine: Engine) -> None:
    request_id = new_id()
    await engine.submit(request_id, "hash", CHARGE)

    assert (await engine.submit(request_id.upper(), "hash", CHARGE)).replayed


async def test_other_parameters_under_a_used_id_are_refused(engine: Engine, stripe: Stripe) -> None:
    request_id = new_id()
    await engine.submit(request_id, "hash", CHARGE)
    answer = await engine.submit(request_id, "other", CHARGE)

    assert isinstance(answer.error, errors.RequestIdReused)
    assert answer.error.metadata["first_request_hash"] == "hash"
    assert len(stripe.sent) == 4


async def test_callers_at_the_same_time_share_one_run(engine: Engine, stripe: Stripe) -> None:
    request_id = new_id()
    answers = await asyncio.gather(*(engine.submit(request_id, "hash", CHARGE) for _ in range(20)))

    assert len(stripe.sent) == 4
    assert all(answer.result == answers[0].result for answer in answers)


async def test_other_parameters_while_the_first_runs_are_refused(engine: Engine) -> None:
    request_id = new_id()
    first, other = await asyncio.gather(
        engine.submit(request_id, "hash", CHARGE), engine.submit(request_id, "other", CHARGE)
    )

    assert first.error is None
    assert isinstance(other.error, errors.RequestIdReused)


async def test_a_caller_that_leaves_does_not_stop_the_work(engine: Engine, stripe: Stripe, ledger: Ledger) -> None:
    held = Held(lambda call: payment_intent("succeeded", call.path.split("/")[3]))
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", held)
    request_id = new_id()
    caller = asyncio.create_task(engine.submit(request_id, "hash", CHARGE))
    await held.arrived.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    held.release.set()
    await engine.settle()

    row = await ledger.get_request(request_id)

    assert row is not None
    assert row.state is RequestState.SUCCEEDED


async def test_first_charges_of_one_shopper_make_one_clone_and_one_customer(engine: Engine, stripe: Stripe) -> None:
    made = await asyncio.gather(*(charged(engine) for _ in range(10)))

    paths = [call.path for call in stripe.done]
    assert paths.count("/v1/payment_methods") == 1
    assert paths.count("/v1/customers") == 1
    assert len(stripe.confirmed()) == 10
    assert len({result.clone.clone_id for result in made if result.clone}) == 1


async def test_two_cards_of_one_shopper_at_once_share_the_customer(engine: Engine, stripe: Stripe) -> None:
    other = dataclasses.replace(CHARGE, platform_payment_method_id="pm_other")
    first, second = await asyncio.gather(charged(engine), charged(engine, other))

    assert [call.path for call in stripe.done].count("/v1/customers") == 1
    assert first.clone is not None
    assert second.clone is not None
    assert first.clone.connected_customer_id == second.clone.connected_customer_id
    assert first.clone.clone_id != second.clone.clone_id
    assert {first.clone.state, second.clone.state} == {CloneState.ATTACHED}


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(engine: Engine, stripe: Stripe) -> None:
    confirmed = payment_intent("succeeded", "pi_x", latest_charge="ch_1")
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", Lost(confirmed))
    made = await charged(engine)

    sends = stripe.sent_to(r"/v1/payment_intents/[^/]+/confirm")
    assert len(sends) == 2
    assert sends[0] == sends[1]
    assert len(stripe.confirmed()) == 1
    assert made.charge is not None
    assert made.charge.state is ChargeState.SUCCEEDED


async def test_an_outcome_that_stays_unknown_is_said_to_be_and_reconciled(
    engine: Engine, stripe: Stripe, ledger: Ledger, clock: VirtualClock
) -> None:
    stripe.on(
        "POST",
        r"/v1/payment_intents/[^/]+/confirm",
        AnswerLost(),
        AnswerLost(),
        AnswerLost(),
        payment_intent("succeeded"),
    )
    request_id = new_id()
    answer = await engine.submit(request_id, "hash", CHARGE)
    row = await ledger.get_request(request_id)

    assert isinstance(answer.error, errors.OutcomeUnknown)
    assert row is not None
    assert row.state is RequestState.INDETERMINATE
    charge = await ledger.get_charge(row.charge_id)
    assert charge is not None
    assert charge.state is ChargeState.INDETERMINATE

    clock.advance(10)
    await engine.recover_once()
    await engine.settle()

    assert (await engine.submit(request_id, "hash", CHARGE)).error is None
    assert len(stripe.confirmed()) == 1


async def test_a_stripe_that_cannot_be_reached_parks_the_request(
    engine: Engine, stripe: Stripe, ledger: Ledger
) -> None:
    stripe.on("POST", r"/v1/payment_intents", *[NotSent()] * 3, payment_intent("requires_confirmation"))
    request_id = new_id()
    answer = await engine.submit(request_id, "hash", CHARGE)
    row = await ledger.get_request(request_id)

    assert isinstance(answer.error, errors.StripeUnreachable)
    assert row is not None
    assert row.state is RequestState.PARKED

    again = await engine.submit(request_id, "hash", CHARGE)

    assert again.error is None
    assert len(stripe.confirmed()) == 1


async def test_a_parked_request_is_not_charged_behind_its_callers_back(
    engine: Engine, stripe: Stripe, clock: VirtualClock
) -> None:
    stripe.on("POST", r"/v1/payment_intents", NotSent())
    await engine.submit(new_id(), "hash", CHARGE)
    clock.advance(3600)

    assert await engine.recover_once() == 0
    assert stripe.confirmed() == []


async def test_a_decline_is_the_answer_for_good(engine: Engine, stripe: Stripe, ledger: Ledger) -> None:
    declined = {**DECLINED, "payment_intent": payment_intent("requires_payment_method", last_payment_error=DECLINED)}
    refusal = Refused(402, "card_error", "card_declined", "No funds.", decline_code="insufficient_funds", body=declined)
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", refusal)
    request_id = new_id()
    first = await engine.submit(request_id, "hash", CHARGE)
    sent = len(stripe.sent)
    again = await engine.submit(request_id, "hash", CHARGE)

    assert isinstance(first.error, errors.CardDeclined)
    assert first.error.charge is not None
    assert first.error.charge.state is ChargeState.DECLINED
    assert first.error.charge.decline is not None
    assert first.error.charge.decline.decline_code == "insufficient_funds"
    assert await ledger.get_charge(first.error.charge.charge_id) == first.error.charge
    assert again.replayed
    assert errors.encode(again.error or errors.InternalError("")) == errors.encode(first.error)
    assert len(stripe.sent) == sent


async def test_a_card_declined_when_attached_fails_its_own_request_only(engine: Engine, stripe: Stripe) -> None:
    refusal = Refused(402, "card_error", "card_declined", "Declined.", decline_code="stolen_card", body=DECLINED)
    stripe.on("POST", r"/v1/customers", refusal, {"id": "cus_made", "object": "customer"}, account=ACCOUNT)
    first = await engine.submit(new_id(), "hash", CHARGE)
    second = await engine.submit(new_id(), "hash", CHARGE)

    assert isinstance(first.error, errors.CardDeclined)
    assert second.error is None
    keys = [sent.idempotency_key for sent in stripe.sent_to("/v1/customers")]
    assert len(set(keys)) == 2


async def test_a_deadline_stops_before_a_step_and_the_same_request_goes_on(
    engine: Engine, stripe: Stripe, clock: VirtualClock
) -> None:
    def slow(call: StripeCall) -> dict[str, Any]:
        clock.advance(5)
        return {"id": "cus_made", "object": "customer", "metadata": call.params["metadata"]}

    stripe.on("POST", r"/v1/customers", slow)
    request_id = new_id()
    answer = await engine.submit(request_id, "hash", CHARGE, deadline_s=5)

    assert isinstance(answer.error, errors.DeadlineTooShort)
    assert [call.path for call in stripe.done] == ["/v1/payment_methods", "/v1/customers"]

    again = await engine.submit(request_id, "hash", CHARGE, deadline_s=5)

    assert again.error is None
    assert len(stripe.done) == 4


async def test_a_killed_owner_is_followed_by_another_replica(
    engine: Engine, ledger: Ledger, stripe: Stripe, clock: VirtualClock
) -> None:
    held = Held(NotSent())
    stripe.on("POST", r"/v1/payment_intents", held, payment_intent("requires_confirmation"))
    request_id = new_id()
    caller = asyncio.create_task(engine.submit(request_id, "hash", CHARGE))
    await held.arrived.wait()  # and never comes back: the first replica is gone
    clock.advance(31)
    other = make_engine(ledger, stripe, clock, owner="two")
    answer = await other.submit(request_id, "hash", CHARGE)
    held.release.set()
    late = await caller

    assert answer.error is None
    assert late.result == answer.result
    assert len(stripe.confirmed()) == 1


async def test_recovery_takes_up_what_a_dead_process_left(
    engine: Engine, ledger: Ledger, stripe: Stripe, clock: VirtualClock
) -> None:
    held = Held(NotSent())
    stripe.on("POST", r"/v1/payment_intents", held, payment_intent("requires_confirmation"))
    request_id = new_id()
    caller = asyncio.create_task(engine.submit(request_id, "hash", CHARGE))
    await held.arrived.wait()
    clock.advance(31)
    other = make_engine(ledger, stripe, clock, owner="two")

    assert await other.recover_once() == 1
    await other.settle()

    row = await ledger.get_request(request_id)
    assert row is not None
    assert row.state is RequestState.SUCCEEDED
    held.release.set()
    await caller


async def test_while_another_replica_works_a_caller_is_asked_to_wait(
    engine: Engine, ledger: Ledger, stripe: Stripe, clock: VirtualClock
) -> None:
    held = Held(payment_intent("requires_confirmation"))
    stripe.on("POST", r"/v1/payment_intents", held)
    request_id = new_id()
    caller = asyncio.create_task(engine.submit(request_id, "hash", CHARGE))
    await held.arrived.wait()
    other = make_engine(ledger, stripe, clock, owner="two")
    answer = await other.submit(request_id, "hash", CHARGE)

    assert isinstance(answer.error, errors.RequestInProgress)
    held.release.set()
    assert (await caller).error is None


async def test_a_draining_server_releases_its_work_at_the_next_step(
    engine: Engine, ledger: Ledger, stripe: Stripe, clock: VirtualClock
) -> None:
    held = Held(payment_intent("requires_confirmation"))
    stripe.on("POST", r"/v1/payment_intents", held)
    request_id = new_id()
    caller = asyncio.create_task(engine.submit(request_id, "hash", CHARGE))
    await held.arrived.wait()
    draining = asyncio.create_task(engine.drain(5))
    await asyncio.sleep(0)
    held.release.set()
    await draining

    assert isinstance((await caller).error, errors.OutcomeUnknown)
    assert stripe.confirmed() == []
    other = make_engine(ledger, stripe, clock, owner="two")
    assert await other.recover_once() == 1
    await other.settle()
    assert len(stripe.confirmed()) == 1


async def test_a_stored_500_is_looked_behind(engine: Engine, stripe: Stripe) -> None:
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", Refused(500, "api_error"))
    stripe.on("GET", r"/v1/payment_intents/[^/]+", payment_intent("succeeded", latest_charge="ch_1"))
    made = await charged(engine)

    assert made.charge is not None
    assert made.charge.state is ChargeState.SUCCEEDED


async def test_a_stored_500_that_did_nothing_is_done_again_under_a_new_key(engine: Engine, stripe: Stripe) -> None:
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", Refused(500, "api_error"), payment_intent("succeeded"))
    stripe.on("GET", r"/v1/payment_intents/[^/]+", payment_intent("requires_confirmation"))
    made = await charged(engine)

    keys = [sent.idempotency_key for sent in stripe.sent_to(r"/v1/payment_intents/[^/]+/confirm")]
    assert len(set(keys)) == 2
    assert len(stripe.confirmed()) == 1
    assert made.charge is not None
    assert made.charge.state is ChargeState.SUCCEEDED


async def test_after_23_hours_stripe_is_looked_at_before_anything_is_sent(
    engine: Engine, stripe: Stripe, clock: VirtualClock
) -> None:
    stripe.on("POST", r"/v1/payment_intents", Lost(payment_intent("requires_confirmation", "pi_lost")), AnswerLost())
    stripe._stored.clear()
    request_id = new_id()

    async def forgetful(call: StripeCall, **named: Any) -> Any:
        if call.path == "/v1/payment_intents" and call.method == "POST":
            stripe._stored.clear()
        return await Stripe.send(stripe, call, **named)

    engine._gateway = type("Forgetful", (), {"send": staticmethod(forgetful), "explain": stripe.explain})()
    assert isinstance((await engine.submit(request_id, "hash", CHARGE)).error, errors.OutcomeUnknown)
    clock.advance(24 * 3600)
    seen = payment_intent(
        "requires_confirmation",
        "pi_lost",
        metadata={"cloneservice_request_id": request_id},
        created=clock.now_us() // 1_000_000,
    )
    stripe.on("GET", r"/v1/payment_intents", {"data": [seen], "has_more": False})
    sent = len(stripe.sent_to("/v1/payment_intents"))
    answer = await engine.submit(request_id, "hash", CHARGE)

    assert answer.error is None
    assert isinstance(answer.result, CloneCharged)
    assert answer.result.charge is not None
    assert answer.result.charge.stripe_payment_intent_id == "pi_lost"
    posts = [call for call in stripe.sent_to("/v1/payment_intents")[sent:] if call.call.method == "POST"]
    assert posts == []


async def test_a_clone_found_spent_is_made_anew_once(engine: Engine, stripe: Stripe, ledger: Ledger) -> None:
    first = await charged(engine)
    assert first.clone is not None
    consumed = Refused(
        400,
        "invalid_request_error",
        message="The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
        "shared with a connected account without Customer attachment, or was detached from a Customer. It may not be "
        "used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
    )
    stripe.on("POST", r"/v1/payment_intents", consumed, payment_intent("requires_confirmation"))
    second = await charged(engine)

    assert second.clone is not None
    assert second.clone.clone_id != first.clone.clone_id
    assert not second.reused
    old = await ledger.get_clone(first.clone.clone_id)
    assert old is not None
    assert (old.state, old.superseded_by_clone_id) == (CloneState.STALE, second.clone.clone_id)


async def test_a_one_shot_clone_is_not_attached_and_is_spent(engine: Engine, stripe: Stripe, ledger: Ledger) -> None:
    made = await charged(engine, dataclasses.replace(CHARGE, one_shot=True))

    assert made.clone is not None
    assert made.clone.state is CloneState.CONSUMED
    assert await ledger.get_clone(made.clone.clone_id) == made.clone
    assert [call.path for call in stripe.done].count("/v1/customers") == 0
    answer = await engine.submit(new_id(), "hash", CreateCharge(made.clone.clone_id, CHARGE.charge))
    assert isinstance(answer.error, errors.CloneNotUsable)


async def test_reuse_never_makes_another_clone(engine: Engine) -> None:
    first = await charged(engine)
    second = await charged(engine, dataclasses.replace(CHARGE, reuse=CloneReuse.NEVER))

    assert first.clone is not None
    assert second.clone is not None
    assert first.clone.clone_id != second.clone.clone_id
    assert first.clone.connected_customer_id == second.clone.connected_customer_id


async def test_a_flow_that_does_not_fit_names_the_one_that_does(engine: Engine, stripe: Stripe) -> None:
    answer = await engine.submit(new_id(), "hash", dataclasses.replace(CHARGE, flow=CloneFlow.TOKEN))

    assert isinstance(answer.error, errors.NotCloneable)
    assert answer.error.metadata["usable_flow"] == "CLONE_FLOW_PAYMENT_METHOD"
    assert stripe.sent == []


async def test_clone_then_attach_then_charge_in_three_requests(engine: Engine) -> None:
    made = (await engine.submit(new_id(), "hash", ClonePaymentMethod(CUSTOMER, ACCOUNT, CARD))).result
    assert isinstance(made, CloneMade)
    assert made.clone.state is CloneState.ACTIVE
    attached = (await engine.submit(new_id(), "hash", AttachClone(made.clone.clone_id))).result
    assert isinstance(attached, CloneMade)
    assert attached.clone.state is CloneState.ATTACHED
    paid = (await engine.submit(new_id(), "hash", CreateCharge(made.clone.clone_id, CHARGE.charge))).result
    assert isinstance(paid, ChargeMade)
    assert paid.charge.state is ChargeState.SUCCEEDED


async def test_an_etag_that_is_not_the_current_one_is_refused(engine: Engine) -> None:
    made = (await engine.submit(new_id(), "hash", ClonePaymentMethod(CUSTOMER, ACCOUNT, CARD))).result
    assert isinstance(made, CloneMade)
    answer = await engine.submit(new_id(), "hash", AttachClone(made.clone.clone_id, AttachOptions(), etag='"old"'))

    assert isinstance(answer.error, errors.EtagMismatch)


async def test_validate_only_changes_and_records_nothing(engine: Engine, stripe: Stripe, ledger: Ledger) -> None:
    stripe.on("GET", r"/v1/payment_methods/.*", {"id": CARD, "object": "payment_method", "customer": CUSTOMER})
    stripe.on("GET", r"/v1/account", {"id": ACCOUNT, "charges_enabled": True})
    request_id = new_id()
    answer = await engine.submit(request_id, "hash", dataclasses.replace(CHARGE, validate_only=True))

    assert answer.error is None
    assert stripe.done == [call for call in stripe.done if call.method == "GET"]
    assert await ledger.get_request(request_id) is None


async def test_client_secrets_reach_the_caller_and_not_the_ledger(
    engine: Engine, stripe: Stripe, ledger: Ledger
) -> None:
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks/?client_secret=pi_1_secret_x"}}
    acting = payment_intent("requires_action", client_secret="pi_1_secret_x", next_action=action)
    stripe.on("POST", r"/v1/payment_intents/[^/]+/confirm", acting)
    stripe.on("GET", r"/v1/payment_intents/[^/]+", acting)
    request_id = new_id()
    first = await engine.submit(request_id, "hash", CHARGE)
    again = await engine.submit(request_id, "hash", CHARGE)
    row = await ledger.get_request(request_id)
    effect = await ledger.get_effect(f"confirm:{request_id}")

    for answer in (first, again):
        assert isinstance(answer.result, CloneCharged)
        assert answer.result.charge is not None
        assert answer.result.charge.next_action is not None
        assert answer.result.charge.next_action.client_secret == "pi_1_secret_x"
    assert row is not None
    assert effect is not None
    assert "secret" not in f"{row}{effect}{await ledger.get_charge(row.charge_id)}"


async def test_personal_data_leaves_the_ledger_with_the_answer(engine: Engine, stripe: Stripe, ledger: Ledger) -> None:
    new = NewCustomer(external_reference="shopper-1", email="ann@example.com", name="Ann Example")
    request_id = new_id()
    answer = await engine.submit(request_id, "hash", SavePaymentMethod("pm_1", new_customer=new))
    row = await ledger.get_request(request_id)
    kept = [sent.call.params for sent in stripe.sent_to("/v1/customers")]

    assert isinstance(answer.result, SavedPaymentMethod)
    assert kept[0]["email"] == "ann@example.com"
    assert row is not None
    effects = [
        await ledger.get_effect(call.params["metadata"]["cloneservice_effect"])
        for call in stripe.done
        if call.path == "/v1/customers"
    ]
    assert "Ann" not in f"{row}{effects}"
    assert "ann@" not in f"{row}{effects}"


async def test_one_external_reference_is_one_customer(engine: Engine, stripe: Stripe) -> None:
    commands = [
        SavePaymentMethod(f"pm_{n}", new_customer=NewCustomer(external_reference="shopper-1")) for n in range(5)
    ]
    answers = await asyncio.gather(*(engine.submit(new_id(), str(n), command) for n, command in enumerate(commands)))

    made = {
        answer.result.platform_customer.platform_customer_id
        for answer in answers
        if isinstance(answer.result, SavedPaymentMethod)
    }
    assert len(made) == 1
    assert [call.path for call in stripe.done].count("/v1/customers") == 1


async def test_more_work_than_there_is_room_for_is_refused(ledger: Ledger, stripe: Stripe, clock: VirtualClock) -> None:
    small = Engine(ledger=ledger, gateway=stripe, clock=clock, settings=EngineSettings(running_max=1, waiting_max=1))
    held = Held(payment_intent("requires_confirmation"))
    stripe.on("POST", r"/v1/payment_intents", held)
    waiting = [asyncio.create_task(small.submit(new_id(), "hash", CHARGE)) for _ in range(2)]
    await held.arrived.wait()
    refused = await small.submit(new_id(), "hash", CHARGE)
    held.release.set()

    assert isinstance(refused.error, errors.ServiceOverloaded)
    assert [answer.error for answer in await asyncio.gather(*waiting)] == [None, None]
