"""The statements of the lineage: clones, charges, customers. See `statements.py` for how they are written."""

from __future__ import annotations

from typing import Any

from cloneservice_server.domain import codec
from cloneservice_server.domain.values import CloneFlow, CloneState
from cloneservice_server.ledger.part import Part
from cloneservice_server.ports import (
    ChargeFilter,
    CloneFilter,
    DropConnectedCustomer,
    DropPlatformCustomer,
    EffectTaken,
    ForgetEffects,
    Page,
    PutCharge,
    PutClone,
    PutConnectedAccount,
    PutConnectedCustomer,
    PutPlatformCustomer,
    StrikeBatchItems,
)

# Version 1 is the first row (another of that id is somebody else's); later versions replace their predecessor.
_INSERT_CLONE = """
INSERT INTO clone (clone_id, version, state, reusable, body, platform_customer_id, platform_payment_method_id,
    connected_account_id, flow, create_time_us)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE {after}
ON CONFLICT (clone_id) DO NOTHING
RETURNING clone_id"""

_UPDATE_CLONE = """
UPDATE clone SET version = $2, state = $3, reusable = $4, body = $5, platform_customer_id = $6,
    platform_payment_method_id = $7, connected_account_id = $8, flow = $9, create_time_us = $10
WHERE clone_id = $1 AND version = CAST($2 AS bigint) - 1 AND {after}
RETURNING clone_id"""

_INSERT_CHARGE = """
INSERT INTO charge (charge_id, version, state, body, clone_id, platform_customer_id, connected_account_id, request_id,
    stripe_payment_intent_id, create_time_us)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE {after}
ON CONFLICT (charge_id) DO NOTHING
RETURNING charge_id"""

_UPDATE_CHARGE = """
UPDATE charge SET version = $2, state = $3, body = $4, clone_id = $5, platform_customer_id = $6,
    connected_account_id = $7, request_id = $8, stripe_payment_intent_id = $9, create_time_us = $10
WHERE charge_id = $1 AND version = CAST($2 AS bigint) - 1 AND {after}
RETURNING charge_id"""

_PUT_PLATFORM_CUSTOMER = """
INSERT INTO platform_customer (platform_customer_id, external_reference, body)
SELECT $1, $2, $3 WHERE {after}
ON CONFLICT (platform_customer_id) DO UPDATE SET external_reference = excluded.external_reference, body = excluded.body
RETURNING platform_customer_id"""

_PUT_CONNECTED_CUSTOMER = """
INSERT INTO connected_customer (connected_account_id, platform_customer_id, connected_customer_id, body)
SELECT $1, $2, $3, $4 WHERE {after}
ON CONFLICT (connected_account_id, platform_customer_id)
DO UPDATE SET connected_customer_id = excluded.connected_customer_id, body = excluded.body
RETURNING connected_customer_id"""

_PUT_CONNECTED_ACCOUNT = """
INSERT INTO connected_account (connected_account_id, body)
SELECT $1, $2 WHERE {after}
ON CONFLICT (connected_account_id) DO UPDATE SET body = excluded.body
RETURNING connected_account_id"""


def put_clone(write: PutClone) -> Part:
    """Insert or replace a clone."""
    clone = write.clone
    args = (
        clone.clone_id,
        clone.version,
        clone.state.value,
        clone.reusable,
        codec.dumps(clone),
        clone.platform_customer_id,
        clone.platform_payment_method_id,
        clone.connected_account_id,
        clone.flow.value,
        clone.create_time_us,
    )
    sql = _UPDATE_CLONE if clone.version > 1 else _INSERT_CLONE
    return Part(sql, args, EffectTaken, ("clone", clone.clone_id))


def put_charge(write: PutCharge) -> Part:
    """Insert or replace a charge."""
    charge = write.charge
    args = (
        charge.charge_id,
        charge.version,
        charge.state.value,
        codec.dumps(charge),
        charge.clone_id,
        charge.platform_customer_id,
        charge.connected_account_id,
        charge.request_id,
        charge.stripe_payment_intent_id,
        charge.create_time_us,
    )
    sql = _UPDATE_CHARGE if charge.version > 1 else _INSERT_CHARGE
    return Part(sql, args, EffectTaken, ("charge", charge.charge_id))


def put_platform_customer(write: PutPlatformCustomer) -> Part:
    """Insert or replace a platform customer."""
    customer = write.customer
    args = (customer.platform_customer_id, customer.external_reference, codec.dumps(customer))
    return Part(_PUT_PLATFORM_CUSTOMER, args, EffectTaken, ("platform_customer", customer.platform_customer_id))


def put_connected_customer(write: PutConnectedCustomer) -> Part:
    """Insert or replace a connected customer."""
    customer = write.customer
    key = (customer.connected_account_id, customer.platform_customer_id)
    args = (*key, customer.connected_customer_id, codec.dumps(customer))
    return Part(_PUT_CONNECTED_CUSTOMER, args, EffectTaken, ("connected_customer", " ".join(key)))


def drop_connected_customer(write: DropConnectedCustomer) -> Part:
    """Delete a connected customer's row."""
    sql = """
DELETE FROM connected_customer WHERE connected_account_id = $1 AND platform_customer_id = $2 AND {after}
RETURNING connected_account_id"""
    return Part(sql, (write.connected_account_id, write.platform_customer_id))


def drop_platform_customer(write: DropPlatformCustomer) -> Part:
    """Delete a platform customer's row."""
    sql = "DELETE FROM platform_customer WHERE platform_customer_id = $1 AND {after} RETURNING platform_customer_id"
    return Part(sql, (write.platform_customer_id,))


def forget_effects(write: ForgetEffects) -> Part:
    """Delete settled effects."""
    names = ", ".join(f"${number}" for number in range(1, len(write.effect_ids) + 1))
    sql = f"DELETE FROM effect WHERE effect_id IN ({names}) AND state <> 'intent' AND {{after}} RETURNING effect_id"  # noqa: S608
    return Part(sql, write.effect_ids)


def strike_batch_items(write: StrikeBatchItems) -> Part:
    """Erasures are rare and items many: they are gone through, and carry no index by customer."""
    sql = """
UPDATE batch_item SET platform_customer_id = $2, platform_payment_method_id = ''
WHERE platform_customer_id = $1 AND state <> 'pending' AND {after}
RETURNING item_index"""
    return Part(sql, (write.platform_customer_id, write.pseudonym))


def put_connected_account(write: PutConnectedAccount) -> Part:
    """Insert or replace what is known of a connected account."""
    account = write.account
    args = (account.connected_account_id, codec.dumps(account))
    return Part(_PUT_CONNECTED_ACCOUNT, args, EffectTaken, ("connected_account", account.connected_account_id))


# ---------------------------------------------------------------------------------------------------------- reads


def select_clone(clone_id: str) -> Part:
    """One clone."""
    return Part("SELECT body FROM clone WHERE clone_id = $1", (clone_id,))


def select_reusable_clone(connected_account_id: str, platform_payment_method_id: str, flow: CloneFlow) -> Part:
    """The one reusable clone."""
    sql = """
SELECT body FROM clone
WHERE connected_account_id = $1 AND platform_payment_method_id = $2 AND flow = $3 AND reusable"""
    return Part(sql, (connected_account_id, platform_payment_method_id, flow.value))


def select_charge(charge_id: str) -> Part:
    """One charge."""
    return Part("SELECT body FROM charge WHERE charge_id = $1", (charge_id,))


def select_connected_account(connected_account_id: str) -> Part:
    """One connected account."""
    return Part("SELECT body FROM connected_account WHERE connected_account_id = $1", (connected_account_id,))


def select_connected_customer(connected_account_id: str, platform_customer_id: str) -> Part:
    """One connected customer."""
    sql = "SELECT body FROM connected_customer WHERE connected_account_id = $1 AND platform_customer_id = $2"
    return Part(sql, (connected_account_id, platform_customer_id))


def select_platform_customer(platform_customer_id: str) -> Part:
    """One platform customer."""
    return Part("SELECT body FROM platform_customer WHERE platform_customer_id = $1", (platform_customer_id,))


def select_platform_customer_by_reference(external_reference: str) -> Part:
    """The platform customer with a reference."""
    # The second condition lets the planner use the index, which is of set references only.
    sql = "SELECT body FROM platform_customer WHERE external_reference = $1 AND external_reference <> ''"
    return Part(sql, (external_reference,))


def list_clones(where: CloneFilter, page: Page) -> Part:
    """Clones, newest first."""
    columns = {
        "platform_customer_id": where.platform_customer_id,
        "platform_payment_method_id": where.platform_payment_method_id,
        "connected_account_id": where.connected_account_id,
    }
    states = tuple(state.value for state in where.states or (state for state in CloneState if state != "erased"))
    states = () if len(states) == len(CloneState) else states
    return newest("clone", columns, states, page, where.accounts, made=(where.from_us, where.before_us))


def list_charges(where: ChargeFilter, page: Page) -> Part:
    """Charges, newest first."""
    columns = {
        "platform_customer_id": where.platform_customer_id,
        "clone_id": where.clone_id,
        "connected_account_id": where.connected_account_id,
        "original": where.platform_payment_method_id,
    }
    states = tuple(state.value for state in where.states)
    return newest("charge", columns, states, page, where.accounts, made=(where.from_us, where.before_us))


def newest(
    table: str,
    columns: dict[str, str],
    states: tuple[str, ...],
    page: Page,
    accounts: tuple[str, ...] | None,
    *,
    made: tuple[int, int] = (0, 0),
) -> Part:
    """Rows of `table` that match all columns given, newest first; `accounts` None is all accounts.

    `made`: from when, and before when; 0 is no limit. The column `original` is that of the row's clone.
    """
    args: list[Any] = []

    def arg(value: object) -> str:
        args.append(value)
        return f"${len(args)}"

    conditions = [f"{name} = {arg(value)}" for name, value in columns.items() if value and name != "original"]
    if original := columns.get("original"):
        of_original = f"SELECT clone_id FROM clone WHERE platform_payment_method_id = {arg(original)}"  # noqa: S608
        conditions.append(f"clone_id IN ({of_original})")
    conditions += [
        f"create_time_us {sign} {arg(time_us)}" for sign, time_us in zip((">=", "<"), made, strict=True) if time_us
    ]
    if states:
        conditions.append(f"state IN ({', '.join(arg(state) for state in states)})")
    if accounts is not None:
        conditions.append(f"connected_account_id IN ({', '.join(map(arg, accounts))})" if accounts else "false")
    if page.before_us or page.before_id:
        conditions.append(f"(create_time_us, {table}_id) < ({arg(page.before_us)}, {arg(page.before_id)})")
    sql = (
        f"SELECT body FROM {table} WHERE {' AND '.join(conditions) or 'true'} "  # noqa: S608 - names of ours, values bound
        f"ORDER BY create_time_us DESC, {table}_id DESC LIMIT {arg(page.limit)}"
    )
    return Part(sql, tuple(args))
