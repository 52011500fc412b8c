"""The scripted Stripe keeps the rules that the engine rests on."""

from __future__ import annotations

import asyncio

import pytest
from cloneservice_server.ports import AnswerLost, NotSent, Refused, StripeCall, StripeGateway

from tests.fakes import Held, Lost, ScriptedStripeGateway

CREATE = StripeCall("POST", "/v1/customers", "acct_1", {"name": "a"})


def scripted() -> ScriptedStripeGateway:
    return ScriptedStripeGateway()


def test_it_is_a_gateway() -> None:
    gateway: StripeGateway = scripted()
    assert gateway.explain(Refused(401), "clone").reason == "STRIPE_MISCONFIGURED"


async def test_outcomes_are_played_in_turn_and_the_last_one_for_ever() -> None:
    gateway = scripted()
    gateway.on("POST", "/v1/customers", NotSent(), {"id": "cus_1"}, lambda call: {"id": call.params["name"]})
    with pytest.raises(NotSent):
        await gateway.send(CREATE, idempotency_key="a")
    assert [(await gateway.send(CREATE, idempotency_key=key)).body["id"] for key in "abc"] == ["cus_1", "a", "a"]
    assert len(gateway.done) == 3


async def test_a_newer_rule_comes_first_and_may_be_for_one_account_only() -> None:
    gateway = scripted()
    gateway.on("GET", "/v1/account", {"id": "any"})
    gateway.on("GET", "/v1/account", {"id": "two"}, account="acct_2")
    assert (await gateway.send(StripeCall("GET", "/v1/account", "acct_1"))).body == {"id": "any"}
    assert (await gateway.send(StripeCall("GET", "/v1/account", "acct_2"))).body == {"id": "two"}


async def test_a_lost_answer_was_done_and_the_same_key_brings_it_back() -> None:
    gateway = scripted()
    gateway.on("POST", "/v1/customers", Lost({"id": "cus_1"}), {"id": "cus_2"})
    with pytest.raises(AnswerLost):
        await gateway.send(CREATE, idempotency_key="a")
    again = await gateway.send(CREATE, idempotency_key="a")
    assert (again.body, again.replayed, len(gateway.done)) == ({"id": "cus_1"}, True, 1)
    assert (await gateway.send(CREATE, idempotency_key="b")).body == {"id": "cus_2"}


async def test_a_decline_is_stored_under_its_key_and_a_rate_limit_is_not() -> None:
    gateway = scripted()
    gateway.on(
        "POST", "/v1/customers", Refused(429, rate_limited_reason="global-rate"), Refused(402, code="x"), {"id": "1"}
    )
    for replayed in (False, False, True):
        with pytest.raises(Refused) as caught:
            await gateway.send(CREATE, idempotency_key="a")
        assert caught.value.replayed is replayed
    assert gateway.done == []


async def test_other_parameters_under_a_used_key_are_refused() -> None:
    gateway = scripted()
    gateway.on("POST", "/v1/customers", {"id": "cus_1"})
    await gateway.send(CREATE, idempotency_key="a")
    with pytest.raises(Refused) as caught:
        await gateway.send(StripeCall("POST", "/v1/customers", "acct_1", {"name": "b"}), idempotency_key="a")
    assert caught.value.type == "idempotency_error"
    await gateway.send(StripeCall("POST", "/v1/customers", "acct_2", {"name": "b"}), idempotency_key="a")


async def test_a_held_call_goes_on_when_it_is_released() -> None:
    gateway, held = scripted(), Held({"id": "cus_1"})
    gateway.on("POST", "/v1/customers", held)
    task = asyncio.create_task(gateway.send(CREATE, idempotency_key="a"))
    await held.arrived.wait()
    assert not task.done()
    held.release.set()
    assert (await task).body == {"id": "cus_1"}


async def test_a_call_that_nobody_expects_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no rule for POST"):
        await scripted().send(CREATE, idempotency_key="a")
    with pytest.raises(AssertionError, match="without a key"):
        await scripted().send(CREATE)
