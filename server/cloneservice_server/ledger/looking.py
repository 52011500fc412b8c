"""The statements of `view.py`. See `part.py` for how they are written; each is served by an index and bounded."""

from __future__ import annotations

from collections.abc import Sequence

from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger.lineage import newest
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import EFFECT_COLUMNS, REQUEST_COLUMNS
from cloneservice_server.ports import Page
from cloneservice_server.ports_pages import LOOKED_THROUGH

_REQUEST = ", ".join(REQUEST_COLUMNS)
_EFFECT = ", ".join(EFFECT_COLUMNS)
_KEPT_IN_ORDER = ("succeeded", "failed", "parked")  # the states of the index request_prunable


def list_requests(states: Sequence[RequestState], page: Page, method: str) -> Part:
    """Newest change first. The two kinds of states are found by different indexes; what is unfinished is little."""
    wanted = [state.value for state in states]
    if not set(wanted) <= set(_KEPT_IN_ORDER):
        return _requests(wanted, page, method, "request")
    kept = ", ".join(f"'{state}'" for state in _KEPT_IN_ORDER)
    before = "(update_time_us, request_id) < (CAST($1 AS bigint), $2)" if page.before_us else "true"
    latest = f"""(
    SELECT {_REQUEST} FROM request WHERE state IN ({kept}) AND {before}
    ORDER BY update_time_us DESC, request_id DESC LIMIT {LOOKED_THROUGH}) AS latest"""  # noqa: S608 - names of ours
    return _requests(wanted, page, method, latest)


def _requests(states: list[str], page: Page, method: str, table: str) -> Part:
    shown = ", ".join(f"'{state}'" for state in states) or "''"
    sql = f"""
SELECT {_REQUEST} FROM {table}
WHERE state IN ({shown}) AND ($3 = '' OR method = $3)
    AND (CAST($1 AS bigint) = 0 OR (update_time_us, request_id) < (CAST($1 AS bigint), $2))
ORDER BY update_time_us DESC, request_id DESC LIMIT $4"""  # noqa: S608 - names of ours, values bound
    return Part(sql, (page.before_us, page.before_id, method, page.limit))


def list_effects(request_id: str, limit: int) -> Part:
    """What a request intended, oldest first."""
    sql = f"SELECT {_EFFECT} FROM effect WHERE request_id = $1 ORDER BY intent_time_us, effect_id LIMIT $2"  # noqa: S608 - column names
    return Part(sql, (request_id, limit))


def find_effects(stripe_request_id: str, stripe_id: str, limit: int) -> Part:
    """By Stripe's Request-Id or by what was made; newest first."""
    column, value = ("stripe_request_id", stripe_request_id) if stripe_request_id else ("stripe_id", stripe_id)
    # The second condition lets the planner use the index, which is of set ids only.
    sql = f"""
SELECT {_EFFECT} FROM effect WHERE {column} = $1 AND {column} <> ''
ORDER BY intent_time_us DESC, effect_id LIMIT $2"""  # noqa: S608 - column names only
    return Part(sql, (value, limit))


def find_charges(stripe_payment_intent_id: str, limit: int) -> Part:
    """By PaymentIntent."""
    sql = """
SELECT body FROM charge WHERE stripe_payment_intent_id = $1 AND stripe_payment_intent_id <> ''
ORDER BY charge_id LIMIT $2"""
    return Part(sql, (stripe_payment_intent_id, limit))


def list_baskets(platform_customer_id: str, page: Page) -> Part:
    """Newest first."""
    return newest("basket", {"platform_customer_id": platform_customer_id}, (), page, None)


def list_connected_customers(platform_customer_id: str, limit: int) -> Part:
    """By account."""
    sql = """
SELECT body FROM connected_customer WHERE platform_customer_id = $1
ORDER BY connected_account_id LIMIT $2"""
    return Part(sql, (platform_customer_id, limit))
