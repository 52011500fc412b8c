"""Reading a whole ledger: every row in order, and what must be true between the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from cloneservice_server.ledger import rows
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ledger.store import SqlLedger

_PAGE = 500

TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "meta": (("name",), ("value",)),
    "request": (("request_id",), rows.REQUEST_COLUMNS[1:]),
    "effect": (("effect_id",), rows.EFFECT_COLUMNS[1:]),
    "clone": (("clone_id",), ("body",)),
    "charge": (("charge_id",), ("body",)),
    "refund": (("refund_id",), ("body",)),
    "basket": (("basket_id",), ("body",)),
    "platform_customer": (("platform_customer_id",), ("body",)),
    "connected_customer": (("connected_account_id", "platform_customer_id"), ("body",)),
    "connected_account": (("connected_account_id",), ("body",)),
    "batch": (
        ("batch_id",),
        (
            *("batch_no", "plan", "state", "caller", "total_count", "succeeded_count", "failed_count", "skipped_count"),
            *("reused_count", "last_sequence", "next_index", "next_chunk", "chunk_offset", "create_time_us"),
            *("start_time_us", "end_time_us"),
        ),
    ),
    "batch_chunk": (("batch_no", "chunk"), ("body",)),
    "batch_item": (
        ("batch_no", "item_index"),
        (
            *("connected_account_id", "platform_customer_id", "platform_payment_method_id", "state", "attempts"),
            *("sequence", "clone_id", "reason", "error"),
        ),
    ),
    "batch_partition": (
        ("batch_no", "connected_account_id"),
        ("rank", "state", "fence", "owner", "lease_until_us", "cursor_index"),
    ),
    "rate_share": (("budget", "owner"), ("wanting", "foreground_per_s", "join_time_us", "lease_until_us")),
}
"""Each table's key and its other columns, those left out that only repeat the body."""


async def every_row(ledger: SqlLedger, table: str, *, columns: Sequence[str] = ()) -> AsyncIterator[Row]:
    """All rows of `table` in the order of its key, a page at a time; `columns` in place of the usual ones."""
    key, others = TABLES[table]
    shown = ", ".join(dict.fromkeys((*key, *(columns or others))))
    order = ", ".join(key)
    last: tuple[Any, ...] = ()
    while True:
        marks = ", ".join(f"${number}" for number in range(1, len(last) + 1))
        after = f"WHERE ({order}) > ({marks}) " if last else ""
        sql = f"SELECT {shown} FROM {table} {after}ORDER BY {order} LIMIT {_PAGE}"  # noqa: S608 - names of ours
        page = await ledger.read(Part(sql, last))
        for row in page:
            yield row
        if len(page) < _PAGE:
            return
        last = tuple(page[-1][name] for name in key)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must not be: the rule it breaks and the row that breaks it."""

    rule: str
    row: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.row}"


# Each finds the rows that break a rule, as `id`.
_RULES = {
    "a charge names a clone that is not there": """
SELECT charge_id AS id FROM charge
WHERE clone_id <> '' AND NOT EXISTS (SELECT 1 FROM clone WHERE clone.clone_id = charge.clone_id)""",
    "a refund names a charge that is not there": """
SELECT refund_id AS id FROM refund
WHERE NOT EXISTS (SELECT 1 FROM charge WHERE charge.charge_id = refund.charge_id)""",
    "a finished request left its basket open": """
SELECT basket.basket_id AS id FROM basket JOIN request ON request.request_id = basket.request_id
WHERE request.state IN ('succeeded', 'failed') AND basket.state NOT IN ('succeeded', 'canceled', 'broken')""",
    "one request made two charges": """
SELECT request_id AS id FROM charge WHERE request_id <> '' GROUP BY request_id HAVING count(*) > 1""",
    "a finished request names a clone that is not there": """
SELECT request_id AS id FROM request WHERE state = 'succeeded' AND clone_id <> ''
AND NOT EXISTS (SELECT 1 FROM clone WHERE clone.clone_id = request.clone_id)""",
    "a finished request names a charge that is not there": """
SELECT request_id AS id FROM request WHERE state = 'succeeded' AND charge_id <> ''
AND NOT EXISTS (SELECT 1 FROM charge WHERE charge.charge_id = request.charge_id)""",
    "a finished request left a change at Stripe unsettled": """
SELECT effect.effect_id AS id FROM effect JOIN request ON request.request_id = effect.request_id
WHERE effect.state = 'intent' AND request.state IN ('succeeded', 'failed')""",
    "a change is done but what it made is not named": """
SELECT effect_id AS id FROM effect WHERE state = 'done' AND stripe_id = ''""",
    "a request has a state that there is not": """
SELECT request_id AS id FROM request
WHERE state NOT IN ('running', 'parked', 'indeterminate', 'succeeded', 'failed')""",
    "a request succeeded without a result": """
SELECT request_id AS id FROM request WHERE state = 'succeeded' AND result = ''""",
    "a request failed without an error": """
SELECT request_id AS id FROM request WHERE state = 'failed' AND error = ''""",
    "a request that nobody works on is leased": """
SELECT request_id AS id FROM request WHERE state <> 'running' AND lease_until_us <> 0""",
}


async def problems(ledger: SqlLedger) -> AsyncIterator[Problem]:
    """Everything that is wrong between and within the tables; nothing for a sound ledger."""
    for rule, sql in _RULES.items():
        for row in await ledger.read(Part(sql)):
            yield Problem(rule, row["id"])
    async for problem in _unreadable(ledger):
        yield problem
    async for problem in _clone_problems(ledger):
        yield problem
    async for problem in _charge_problems(ledger):
        yield problem


async def _unreadable(ledger: SqlLedger) -> AsyncIterator[Problem]:
    readers = {
        "effect": rows.effect_row,
        "refund": rows.refund,
        "basket": rows.basket,
        "platform_customer": rows.platform_customer,
        "connected_customer": rows.connected_customer,
        "connected_account": rows.connected_account,
    }
    for table, reader in readers.items():
        key = TABLES[table][0]
        async for row in every_row(ledger, table):
            try:
                reader(row)
            except (TypeError, ValueError, KeyError):
                yield Problem(f"a row of {table} cannot be read", " ".join(row[name] for name in key))


_CLONE_COLUMNS = (
    "platform_customer_id",
    "platform_payment_method_id",
    "connected_account_id",
    "flow",
    "state",
    "reusable",
    "version",
    "create_time_us",
)
_CHARGE_COLUMNS = (
    "clone_id",
    "platform_customer_id",
    "connected_account_id",
    "state",
    "request_id",
    "stripe_payment_intent_id",
    "version",
    "create_time_us",
)


async def _clone_problems(ledger: SqlLedger) -> AsyncIterator[Problem]:
    async for row in every_row(ledger, "clone", columns=(*_CLONE_COLUMNS, "body")):
        try:
            clone = rows.clone(row)
        except (TypeError, ValueError, KeyError):
            yield Problem("a row of clone cannot be read", row["clone_id"])
            continue
        if any(row[name] != getattr(clone, name) for name in ("clone_id", *_CLONE_COLUMNS)):
            yield Problem("a clone is filed under other values than its own", row["clone_id"])
        successor = clone.superseded_by_clone_id
        if successor and not await ledger.read(Part("SELECT 1 FROM clone WHERE clone_id = $1", (successor,))):
            yield Problem("a clone was superseded by one that is not there", row["clone_id"])


async def _charge_problems(ledger: SqlLedger) -> AsyncIterator[Problem]:
    async for row in every_row(ledger, "charge", columns=(*_CHARGE_COLUMNS, "body")):
        try:
            charge = rows.charge(row)
        except (TypeError, ValueError, KeyError):
            yield Problem("a row of charge cannot be read", row["charge_id"])
            continue
        if any(row[name] != getattr(charge, name) for name in ("charge_id", *_CHARGE_COLUMNS)):
            yield Problem("a charge is filed under other values than its own", row["charge_id"])
