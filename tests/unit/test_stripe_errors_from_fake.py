"""The gateway and its table against fake_stripe: refusals as they come over HTTP, not as we write them down."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import Refused, StripeCall
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway
from fake_stripe.app import FakeStripe


class Platform:
    """A platform with one connected account, a customer and a saved card, in a world of its own."""

    def __init__(self, gateway: SdkStripeGateway) -> None:
        self._gateway = gateway
        self._keys = itertools.count()
        self.account = self.customer = self.saved = ""

    async def make(self) -> Platform:
        self.account = await self.post("/v1/accounts", type="standard", country="US")
        self.customer = await self.post("/v1/customers")
        self.saved = await self.save("pm_card_visa")
        return self

    async def post(self, path: str, account: str = "", **params: Any) -> str:
        call = StripeCall("POST", path, account, params)
        answer = await self._gateway.send(call, idempotency_key=f"key_{next(self._keys)}")
        return str(answer.body["id"])

    async def save(self, payment_method: str) -> str:
        return await self.post(f"/v1/payment_methods/{payment_method}/attach", customer=self.customer)

    async def clone(self, original: str = "", customer: str = "", account: str = "") -> str:
        named = {"customer": customer or self.customer, "payment_method": original or self.saved}
        return await self.post("/v1/payment_methods", account or self.account, **named)

    async def intent(self, payment_method: str, **more: Any) -> str:
        params: dict[str, Any] = {"amount": 1099, "currency": "usd", "payment_method_types": ["card"], **more}
        return await self.post("/v1/payment_intents", self.account, payment_method=payment_method, **params)

    async def confirm(self, intent: str, **more: Any) -> str:
        return await self.post(f"/v1/payment_intents/{intent}/confirm", self.account, **more)

    async def refusal(self, step: str, doomed: Awaitable[object]) -> DomainError:
        with pytest.raises(Refused) as caught:
            await doomed
        return self._gateway.explain(caught.value, step)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    with FakeStripe(seed="errors") as fake:
        gateway = SdkStripeGateway(fake.api_key, base_url=fake.url)
        yield await Platform(gateway).make()
        await gateway.aclose()


async def consumed(platform: Platform) -> Awaitable[object]:
    clone = await platform.clone()
    await platform.confirm(await platform.intent(clone))
    return platform.intent(clone)


async def of_another_customer(platform: Platform) -> Awaitable[object]:
    clone = await platform.clone()
    await platform.post("/v1/customers", platform.account, payment_method=clone)
    other = await platform.post("/v1/customers", platform.account)
    return platform.intent(clone, customer=other)


async def attached_elsewhere(platform: Platform) -> Awaitable[object]:
    clone = await platform.clone()
    await platform.post("/v1/customers", platform.account, payment_method=clone)
    other = await platform.post("/v1/customers", platform.account)
    return platform.post(f"/v1/payment_methods/{clone}/attach", platform.account, customer=other)


async def to_a_missing_customer(platform: Platform) -> Awaitable[object]:
    clone = await platform.clone()
    return platform.post(f"/v1/payment_methods/{clone}/attach", platform.account, customer="cus_gone")


async def confirmed_twice(platform: Platform) -> Awaitable[object]:
    intent = await platform.intent(await platform.clone())
    await platform.confirm(intent)
    return platform.confirm(intent)


async def needs_the_customer(platform: Platform) -> Awaitable[object]:
    clone = await platform.clone(await platform.save("pm_card_authenticationRequired"))
    return platform.confirm(await platform.intent(clone), off_session=True)


async def spent_token(platform: Platform) -> Awaitable[object]:
    card = await platform.post(f"/v1/customers/{platform.customer}/sources", source="tok_visa")
    token = await platform.post("/v1/tokens", platform.account, customer=platform.customer, card=card)
    await platform.post("/v1/customers", platform.account, source=token)
    return platform.post("/v1/customers", platform.account, source=token)


async def refunded_twice(platform: Platform) -> Awaitable[object]:
    intent = await platform.intent(await platform.clone())
    await platform.confirm(intent)
    await platform.post("/v1/refunds", platform.account, payment_intent=intent)
    return platform.post("/v1/refunds", platform.account, payment_intent=intent)


async def sepa(platform: Platform) -> Awaitable[object]:
    return platform.clone(await platform.save("pm_sepaDebit_success_de"))


def now(do: Callable[[Platform], Awaitable[object]]) -> Callable[[Platform], Awaitable[Awaitable[object]]]:
    async def prepare(platform: Platform) -> Awaitable[object]:
        return do(platform)

    return prepare


@pytest.mark.parametrize(
    ("step", "prepare", "expected", "metadata"),
    [
        ("clone", now(lambda p: p.clone("pm_none")), errors.ResourceNotFound, {"id": "pm_none"}),
        ("clone", now(lambda p: p.clone(customer="cus_none")), errors.ResourceNotFound, {"id": "cus_none"}),
        (
            "clone",
            now(lambda p: p.clone(account="acct_1Unknown00000000")),
            errors.AccountUnavailable,
            {"connected_account_id": "acct_1Unknown00000000"},
        ),
        (
            "clone",
            now(lambda p: p.post("/v1/tokens", p.account, customer=p.customer)),
            errors.NotCloneable,
            {"usable_flow": "CLONE_FLOW_PAYMENT_METHOD"},
        ),
        (
            "clone",
            now(lambda p: p.post("/v1/tokens", p.account, customer=p.customer, card=p.saved)),
            errors.NotCloneable,
            {"usable_flow": "CLONE_FLOW_PAYMENT_METHOD"},
        ),
        ("clone", sepa, errors.NotCloneable, {}),
        ("intent", consumed, errors.CloneNotUsable, {"state": "CONSUMED"}),
        ("customer", spent_token, errors.CloneNotUsable, {"state": "CONSUMED"}),
        ("intent", of_another_customer, errors.CloneNotUsable, {"state": "STALE"}),
        ("intent", now(lambda p: p.intent("pm_gone")), errors.CloneNotUsable, {"state": "STALE"}),
        ("intent", now(lambda p: p.intent(p.saved)), errors.StripeMisconfigured, {}),
        ("attach", attached_elsewhere, errors.InvalidState, {"state": "ATTACHED"}),
        ("attach", to_a_missing_customer, errors.ResourceNotFound, {"id": "cus_gone"}),
        ("confirm", confirmed_twice, errors.InvalidState, {"state": "SUCCEEDED"}),
        ("confirm", needs_the_customer, errors.AuthenticationRequired, {"decline_code": "authentication_required"}),
        ("refund", refunded_twice, errors.InvalidState, {"state": "REFUNDED"}),
        (
            "platform_attach",
            now(lambda p: p.save("pm_card_visa_chargeDeclinedInsufficientFunds")),
            errors.CardDeclined,
            {"decline_code": "insufficient_funds", "advice_code": "try_again_later"},
        ),
        (
            "platform_customer",
            now(lambda p: p.post("/v1/customers", email="nobody")),
            errors.InvalidRequest,
            {"field": "new_customer.email"},
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_what_the_double_refuses_becomes_the_callers_error(
    platform: Platform,
    step: str,
    prepare: Callable[[Platform], Awaitable[Awaitable[object]]],
    expected: type[DomainError],
    metadata: dict[str, str],
) -> None:
    error = await platform.refusal(step, await prepare(platform))
    assert type(error) is expected
    assert {key: error.metadata[key] for key in metadata} == metadata


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"amount": 10}, "charge.amount.minor_units"),
        ({"currency": "xyz"}, "charge.amount.currency_code"),
        ({"application_fee_amount": 2000}, "charge.application_fee.minor_units"),
        ({"metadata": {"k" * 50: "v"}}, "charge.metadata"),
    ],
    ids=["amount", "currency", "fee", "metadata"],
)
async def test_a_value_that_the_double_refuses_is_named_by_the_callers_field(
    platform: Platform, params: dict[str, Any], path: str
) -> None:
    error = await platform.refusal("intent", platform.intent(await platform.clone(), **params))
    assert [violation.field for violation in error.violations] == [path]
