"""Values that ledger tests write. A lease of 0 seconds has run out as soon as it is given: no test waits for one."""

from __future__ import annotations

from cloneservice_server.domain.values import (
    Charge,
    ChargeState,
    Clone,
    CloneFlow,
    CloneState,
    Money,
    PlatformCustomer,
    RequestState,
)
from cloneservice_server.ledger import SqlLedger
from cloneservice_server.ports import Claim, FinishRequest, NewEffect, NewRequest, StripeCall

LEASE_S = 3600.0
EXPIRED_S = 0.0
OWNER = "replica-1"
OTHER = "replica-2"

SUCCEEDED = FinishRequest(RequestState.SUCCEEDED, result='{"answer":"the first"}')


def new_request(request_id: str = "request-1", **changed: str) -> NewRequest:
    return NewRequest(
        request_id,
        changed.get("method", "CreateCharge"),
        changed.get("request_hash", "hash"),
        changed.get("command", '{"name":"Zoë"}'),
        changed.get("caller", "shop"),
    )


async def begin(ledger: SqlLedger, request_id: str = "request-1", lease_s: float = LEASE_S) -> Claim:
    """A running request and the right to write for it."""
    row, inserted = await ledger.begin_request(new_request(request_id), OWNER, lease_s)
    assert inserted
    return Claim(row.request_id, row.fence)


def call(name: str = "first") -> StripeCall:
    params = {"name": name, "nested": {"list": [1, True, "x"]}, "amount": 1099}
    return StripeCall("POST", "/v1/payment_methods", "acct_1", params)


def new_effect(effect_id: str = "clone:acct_1:pm_1", name: str = "first", kind: str = "clone") -> NewEffect:
    return NewEffect(effect_id, kind, call(name))


def clone(clone_id: str = "clone_1", **changed: object) -> Clone:
    values = {
        "platform_customer_id": "cus_1",
        "platform_payment_method_id": "pm_1",
        "connected_account_id": "acct_1",
        "flow": CloneFlow.PAYMENT_METHOD,
        "state": CloneState.ACTIVE,
        "create_time_us": 1,
        "metadata": {"order": "7 €"},
    }
    return Clone(clone_id=clone_id, **{**values, **changed})  # type: ignore[arg-type]


def charge(charge_id: str = "charge_1", **changed: object) -> Charge:
    values = {
        "clone_id": "clone_1",
        "platform_customer_id": "cus_1",
        "connected_account_id": "acct_1",
        "amount": Money(1099, "USD"),
        "state": ChargeState.SUCCEEDED,
        "create_time_us": 1,
    }
    return Charge(charge_id=charge_id, **{**values, **changed})  # type: ignore[arg-type]


def customer(customer_id: str = "cus_1", reference: str = "") -> PlatformCustomer:
    return PlatformCustomer(customer_id, reference)
