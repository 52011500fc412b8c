"""The statements of `view.py`. See `part.py` for how they are written; each is served by an index and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cloneservice_server.domain.values import ChargeState, RequestState
from cloneservice_server.ledger.lineage import newest
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import EFFECT_COLUMNS, REQUEST_COLUMNS
from cloneservice_server.ports import Page
from cloneservice_server.ports_pages import LOOKED_THROUGH

_REQUEST = ", ".join(REQUEST_COLUMNS)
_EFFECT = ", ".join(EFFECT_COLUMNS)
_OPEN = ("running", "indeterminate", "parked")
_ENDED = "'succeeded', 'failed', 'parked'"  # the states of the index request_prunable


def list_requests(states: Sequence[RequestState], page: Page, method: str) -> Part:
    """Newest change first. Each state that is not final has an index of its own; the final ones share one by time."""
    wanted = [state.value for state in states]
    found = [_newest_requests(f"state = '{state}'", after=bool(page.before_us)) for state in _OPEN if state in wanted]
    if final := ", ".join(f"'{state}'" for state in wanted if state not in _OPEN):
        ended = _newest_requests(f"state IN ({_ENDED})", after=bool(page.before_us))
        found.append(f"{ended} WHERE state IN ({final})")
    sql = f"""
SELECT {_REQUEST} FROM ({" UNION ALL ".join(found)}) AS found WHERE $1 = '' OR method = $1
ORDER BY update_time_us DESC, request_id DESC LIMIT $2"""  # noqa: S608 - names of ours, values bound
    args = (method, page.limit)
    return Part(sql, (*args, page.before_us, page.before_id) if page.before_us else args)


def _newest_requests(condition: str, *, after: bool) -> str:
    """Those that fulfil it, newest first and no more than may be looked through; `after` a place, $3 and $4."""
    before = " AND (update_time_us, request_id) < (CAST($3 AS bigint), $4)" if after else ""
    return f"""SELECT {_REQUEST} FROM (
    SELECT {_REQUEST} FROM request WHERE {condition}{before}
    ORDER BY update_time_us DESC, request_id DESC LIMIT {LOOKED_THROUGH}) AS latest"""  # noqa: S608 - names of ours


def list_effects(request_id: str, limit: int) -> Part:
    """What a request intended, oldest first."""
    sql = f"SELECT {_EFFECT} FROM effect WHERE request_id = $1 ORDER BY intent_time_us, effect_id LIMIT $2"  # noqa: S608 - column names
    return Part(sql, (request_id, limit))


def find_effects(stripe_request_id: str, stripe_id: str, limit: int) -> Part:
    """By Stripe's Request-Id or by what was made; newest first."""
    # The conditions on constants let the planner use the indexes, which are of such rows only.
    if stripe_request_id:
        found, value = "stripe_request_id = $1 AND stripe_request_id <> ''", stripe_request_id
    else:
        made = "kind NOT IN ('intent', 'confirm', 'reconfirm', 'capture', 'cancel')"
        found, value = f"stripe_id = $1 AND stripe_id <> '' AND {made}", stripe_id
    sql = f"SELECT {_EFFECT} FROM effect WHERE {found} ORDER BY intent_time_us DESC, effect_id LIMIT $2"  # noqa: S608 - names of ours
    return Part(sql, (value, limit))


def find_charges(stripe_payment_intent_id: str, limit: int) -> Part:
    """By PaymentIntent."""
    sql = """
SELECT body FROM charge WHERE stripe_payment_intent_id = $1 AND stripe_payment_intent_id <> ''
ORDER BY charge_id LIMIT $2"""
    return Part(sql, (stripe_payment_intent_id, limit))


def list_charges_in(state: ChargeState, page: Page) -> Part:
    """Of the newest ones those in a state, of which there may be one in a million."""
    latest = newest("charge", {}, (), replace(page, limit=LOOKED_THROUGH), None)
    sql = latest.sql.replace("SELECT body", "SELECT body, state, create_time_us, charge_id", 1)
    place = len(latest.args)
    sql = f"""
SELECT body FROM ({sql}) AS latest WHERE state = ${place + 1}
ORDER BY create_time_us DESC, charge_id DESC LIMIT ${place + 2}"""  # noqa: S608 - text of ours, values bound
    return Part(sql, (*latest.args, state.value, page.limit))


def list_baskets(platform_customer_id: str, page: Page) -> Part:
    """Newest first."""
    return newest("basket", {"platform_customer_id": platform_customer_id}, (), page, None)


def list_connected_customers(platform_customer_id: str, limit: int) -> Part:
    """By account."""
    sql = """
SELECT body FROM connected_customer WHERE platform_customer_id = $1
ORDER BY connected_account_id LIMIT $2"""
    return Part(sql, (platform_customer_id, limit))
