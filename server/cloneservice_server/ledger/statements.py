"""The statements of requests and effects, and of the ledger itself. See `part.py` for how they are written."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

from cloneservice_server.domain.values import RequestState
from cloneservice_server.ledger import lineage, refunds
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import EFFECT_COLUMNS, REQUEST_COLUMNS, call_json, result_json
from cloneservice_server.ports import (
    Claim,
    DropConnectedCustomer,
    DropPlatformCustomer,
    EffectTaken,
    Fenced,
    FinishRequest,
    ForgetEffects,
    LinkRequest,
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
    StrikeBatchItems,
    VoidEffect,
    Write,
)

_REQUEST = ", ".join(REQUEST_COLUMNS)
_EFFECT = ", ".join(EFFECT_COLUMNS)

# ------------------------------------------------------------------------------------------------------- requests

_INSERT_REQUEST = f"""
INSERT INTO request (request_id, method, request_hash, command, state, fence, owner, lease_until_us, caller,
    create_time_us, update_time_us, last_write, charge_id)
SELECT $1, $2, $3, $4, 'running', CAST($10 AS bigint), $5, {{now}} + CAST($6 AS bigint), $7, {{now}}, {{now}}, $8,
    COALESCE((SELECT charge_id FROM charge WHERE charge_id = $9), '')
WHERE {{after}}
ON CONFLICT (request_id) DO NOTHING
RETURNING {_REQUEST}"""  # noqa: S608 - column names only

_SELECT_REQUEST = f"SELECT {_REQUEST}, last_write FROM request WHERE request_id = $1"  # noqa: S608 - column names only

_TAKEN = f"""
SET state = 'running', fence = fence + CAST($5 AS bigint), attempts = attempts + 1, owner = $1,
    lease_until_us = {{now}} + CAST($2 AS bigint), update_time_us = {{now}}, last_write = $3
WHERE %s
RETURNING {_REQUEST}"""

_CLAIM_REQUEST = "UPDATE request" + _TAKEN % (
    "request_id = $4 AND state IN ('running', 'parked', 'indeterminate') AND lease_until_us <= {now}"
)

_DUE = """
WITH due AS (
    SELECT request_id FROM request
    WHERE (state = 'running' AND lease_until_us <= {now}) OR (state = 'indeterminate' AND retry_time_us <= {now})
    ORDER BY create_time_us LIMIT $4 {skip_locked})
UPDATE request"""
_CLAIM_DUE = _DUE + _TAKEN % "request_id IN (SELECT request_id FROM due)"  # noqa: S608 - text of ours, values bound

_CLAIMED_BY_WRITE = f"""
SELECT {_REQUEST} FROM request WHERE state = 'running' AND owner = $1 AND last_write = $2"""  # noqa: S608 - column names only

_RENEW = """
UPDATE request SET lease_until_us = {now} + CAST($1 AS bigint)
WHERE owner = $2 AND state = 'running' AND (request_id, fence) IN (VALUES %s)
RETURNING request_id, fence"""
_RENEWED_AT_ONCE = (1, 8, 64, 256)  # few shapes of the statement, for the stores' caches

_RELEASE_ALL = (
    "UPDATE request SET lease_until_us = 0 WHERE state = 'running' AND lease_until_us > 0 RETURNING request_id"
)

_HOLDS = "SELECT request_id FROM request WHERE request_id = $1 AND fence = $2 AND owner = $3"


def fence_step() -> int:
    """How far a claim raises the fence: too far to guess.

    A fail-over may lose a claim. Raised by one, the next claim would bear the same fence as the lost one, whose owner
    could still commit what it knew from before.
    """
    return 1 + secrets.randbits(40)


def lease_us(lease_s: float) -> int:
    """A lease in whole microseconds."""
    return round(lease_s * 1_000_000)


def insert_request(new: NewRequest, owner: str, lease_s: float, token: str) -> Part:
    """Returns the new row, or none when the request_id exists."""
    args = (
        new.request_id,
        new.method,
        new.request_hash,
        new.command,
        owner,
        lease_us(lease_s),
        new.caller,
        token,
        new.charge_id,
        fence_step(),
    )
    return Part(_INSERT_REQUEST, args)


def select_request(request_id: str) -> Part:
    """The row, with `last_write`."""
    return Part(_SELECT_REQUEST, (request_id,))


def claim_request(request_id: str, owner: str, lease_s: float, token: str) -> Part:
    """Take over one request."""
    return Part(_CLAIM_REQUEST, (owner, lease_us(lease_s), token, request_id, fence_step()))


def claim_due(owner: str, lease_s: float, limit: int, token: str) -> Part:
    """Take over requests whose owner is gone, oldest first."""
    return Part(_CLAIM_DUE, (owner, lease_us(lease_s), token, limit, fence_step()))


def claimed_by(owner: str, token: str) -> Part:
    """What a claim of ours took, when its answer was lost."""
    return Part(_CLAIMED_BY_WRITE, (owner, token))


def release_all() -> Part:
    """End every lease: for a store that one process has to itself, whose earlier owner is therefore dead."""
    return Part(_RELEASE_ALL)


def renew(owner: str, claims: Sequence[Claim], lease_s: float) -> Iterator[Part]:
    """Renew leases, many with each statement; each returns (request_id, fence) of those it renewed."""
    most = _RENEWED_AT_ONCE[-1]
    for start in range(0, len(claims), most):
        some = list(claims[start : start + most])
        size = next(size for size in _RENEWED_AT_ONCE if size >= len(some))
        some += some[-1:] * (size - len(some))
        values = ", ".join(f"(${number}, CAST(${number + 1} AS bigint))" for number in range(3, 3 + 2 * size, 2))
        pairs = [value for claim in some for value in (claim.request_id, claim.fence)]
        yield Part(_RENEW % values, (lease_us(lease_s), owner, *pairs))


def holds(owner: str, claim: Claim) -> Part:
    """Whether nobody else has claimed the request since."""
    return Part(_HOLDS, (claim.request_id, claim.fence, owner))


# A request forgets what it alone did. Effects named after what they made (a clone, a connected customer) are how a
# later request finds it made, so they stay with the lineage. Both parts choose the same rows: one snapshot, one order.
_PRUNED = """
    SELECT request_id FROM request
    WHERE state IN ('succeeded', 'failed', 'parked') AND update_time_us <= {now} - CAST($1 AS bigint)
    ORDER BY update_time_us, request_id LIMIT $2"""

_PRUNE_EFFECTS = f"""
DELETE FROM effect
WHERE request_id IN ({_PRUNED}) AND effect_id LIKE '%:' || request_id AND state <> 'intent' AND {{after}}
RETURNING effect_id"""  # noqa: S608 - text of ours, values bound

_PRUNE_REQUESTS = f"""
DELETE FROM request WHERE request_id IN ({_PRUNED}) AND {{after}}
RETURNING request_id"""  # noqa: S608 - text of ours, values bound


def prune(older_than_us: int, limit: int) -> list[Part]:
    """Forget requests that ended or were parked so long ago, oldest first; returns their ids."""
    return [Part(sql, (older_than_us, limit)) for sql in (_PRUNE_EFFECTS, _PRUNE_REQUESTS)]


# A request whose outcome is being learnt is RUNNING for that time, but keeps its `retry_time_us`: it counts as awaited.
_COUNT_UNFINISHED = """
SELECT
    (SELECT count(*) FROM request WHERE state = 'running' AND retry_time_us = 0) AS running,
    (SELECT count(*) FROM request WHERE state = 'parked') AS parked,
    count(*) AS indeterminate,
    COALESCE({now} - min(create_time_us), 0) AS oldest_indeterminate_us
FROM request WHERE state = 'indeterminate' OR (state = 'running' AND retry_time_us > 0)"""


def count_unfinished() -> Part:
    """One row with the figures of `Unfinished`."""
    return Part(_COUNT_UNFINISHED)


# --------------------------------------------------------------------------------- the writes of a claimed request

# `last_write` lets a writer whose connection broke learn whether its transaction had been committed.
_GUARD = """
UPDATE request SET last_write = $3, update_time_us = {now}
WHERE request_id = $1 AND fence = $2 AND state = 'running' AND {after}
RETURNING request_id"""

_LINK = """
UPDATE request SET last_write = $3, update_time_us = {now},
    clone_id = COALESCE(NULLIF($4, ''), clone_id), charge_id = COALESCE(NULLIF($5, ''), charge_id)
WHERE request_id = $1 AND fence = $2 AND state = 'running' AND {after}
RETURNING request_id"""

_FINISH = """
UPDATE request SET last_write = $3, update_time_us = {now},
    clone_id = COALESCE(NULLIF($4, ''), clone_id), charge_id = COALESCE(NULLIF($5, ''), charge_id),
    batch_id = COALESCE(NULLIF($6, ''), batch_id), state = $7, result = $8, error = $9, lease_until_us = 0,
    retry_time_us = CASE WHEN $7 = 'indeterminate' THEN {now} + CAST($10 AS bigint) ELSE 0 END,
    command = COALESCE(NULLIF($11, ''), command)
WHERE request_id = $1 AND fence = $2 AND state = 'running' AND {after}
RETURNING request_id"""

_COMMITTED = "SELECT request_id FROM request WHERE request_id = $1 AND last_write = $2"


def guard(claim: Claim, writes: Sequence[Write], token: str) -> Part:
    """The first part of a run's transaction: writes the request's own row, and so proves the claim."""
    link = LinkRequest()
    finish: FinishRequest | None = None
    for write in writes:
        if isinstance(write, LinkRequest):
            link = LinkRequest(write.clone_id or link.clone_id, write.charge_id or link.charge_id)
        elif isinstance(write, FinishRequest):
            finish = write
    key = (claim.request_id, claim.fence, token)
    touches = ("request", claim.request_id)
    if finish is None:
        if link == LinkRequest():
            return Part(_GUARD, key, Fenced, touches)
        return Part(_LINK, (*key, link.clone_id, link.charge_id), Fenced, touches)
    if finish.state is RequestState.RUNNING:
        raise ValueError("a request is not finished by the state RUNNING")
    args = (
        *key,
        finish.clone_id or link.clone_id,
        finish.charge_id or link.charge_id,
        finish.batch_id,
        finish.state.value,
        finish.result,
        finish.error,
        finish.retry_after_us,
        finish.scrubbed_command,
    )
    return Part(_FINISH, args, Fenced, touches)


def committed(claim: Claim, token: str) -> Part:
    """Whether the transaction that bore `token` is the request's last one."""
    return Part(_COMMITTED, (claim.request_id, token))


# -------------------------------------------------------------------------------------------------------- effects

_INTEND = f"""
INSERT INTO effect (effect_id, kind, epoch, state, call, request_id, intent_time_us)
SELECT $1, $2, 0, 'intent', $3, $4, {{now}} WHERE {{after}}
ON CONFLICT (effect_id) DO UPDATE SET kind = excluded.kind, state = 'intent', call = excluded.call,
    request_id = excluded.request_id, intent_time_us = excluded.intent_time_us
WHERE effect.state = 'void'
RETURNING {_EFFECT}"""

_SELECT_EFFECT = f"SELECT {_EFFECT} FROM effect WHERE effect_id = $1"  # noqa: S608 - column names only

_SETTLE = """
UPDATE effect SET state = 'done', stripe_id = $3, result = $4, call = COALESCE(NULLIF($5, ''), call),
    settle_time_us = {now}, stripe_request_id = $6
WHERE effect_id = $1 AND epoch = $2 AND state = 'intent' AND {after}
RETURNING effect_id"""

_VOID = """
UPDATE effect SET state = 'void', epoch = epoch + 1, error = $3, settle_time_us = {now}, stripe_request_id = $4
WHERE effect_id = $1 AND epoch = $2 AND state = 'intent' AND {after}
RETURNING effect_id"""


def intend(effect: NewEffect, request_id: str) -> Part:
    """Record the intent; returns the row if this call made it the one to send, and none if another stands."""
    args = (effect.effect_id, effect.kind, call_json(effect.call), request_id)
    return Part(_INTEND, args, None, ("effect", effect.effect_id))


def select_effect(effect_id: str) -> Part:
    """One effect."""
    return Part(_SELECT_EFFECT, (effect_id,))


_SELECT_OPEN_EFFECTS = f"""
SELECT {_EFFECT} FROM effect WHERE request_id = $1 AND state = 'intent'
ORDER BY intent_time_us, effect_id"""  # noqa: S608 - column names only


def select_open_effects(request_id: str) -> Part:
    """What a request has intended and not settled."""
    return Part(_SELECT_OPEN_EFFECTS, (request_id,))


_INTENDED = f"""
SELECT {_EFFECT} FROM effect
WHERE effect_id = $1 AND EXISTS (SELECT 1 FROM request WHERE request_id = $2 AND last_write = $3)"""  # noqa: S608 - column names only


def intended(effect: NewEffect, claim: Claim, token: str) -> Part:
    """The effect, if the transaction that bore `token` is the request's last one."""
    return Part(_INTENDED, (effect.effect_id, claim.request_id, token))


def _settle(write: SettleEffect) -> Part:
    call = "" if write.scrubbed is None else call_json(write.scrubbed)
    args = (write.effect_id, write.epoch, write.stripe_id, result_json(write.result), call, write.stripe_request_id)
    return Part(_SETTLE, args, EffectTaken, ("effect", write.effect_id))


def _void(write: VoidEffect) -> Part:
    args = (write.effect_id, write.epoch, write.error, write.stripe_request_id)
    return Part(_VOID, args, EffectTaken, ("effect", write.effect_id))


def writes_of(writes: Sequence[Write]) -> list[Part]:
    """The parts of all writes but LinkRequest and FinishRequest, which are the guard's; in the order given."""
    parts = []
    for write in writes:
        match write:
            case SettleEffect():
                parts.append(_settle(write))
            case VoidEffect():
                parts.append(_void(write))
            case PutClone():
                parts.append(lineage.put_clone(write))
            case PutCharge():
                parts.append(lineage.put_charge(write))
            case PutRefund():
                parts.append(refunds.put_refund(write))
            case PutBasket():
                parts.append(refunds.put_basket(write))
            case PutPlatformCustomer():
                parts.append(lineage.put_platform_customer(write))
            case PutConnectedCustomer():
                parts.append(lineage.put_connected_customer(write))
            case PutConnectedAccount():
                parts.append(lineage.put_connected_account(write))
            case DropConnectedCustomer():
                parts.append(lineage.drop_connected_customer(write))
            case DropPlatformCustomer():
                parts.append(lineage.drop_platform_customer(write))
            case ForgetEffects():
                parts.append(lineage.forget_effects(write))
            case StrikeBatchItems():
                parts.append(lineage.strike_batch_items(write))
            case LinkRequest() | FinishRequest():
                pass
    return parts


# ----------------------------------------------------------------------------------------------------------- meta

_PUT_META = """
INSERT INTO meta (name, value) SELECT $1, $2 WHERE {after}
ON CONFLICT (name) DO UPDATE SET value = excluded.value
RETURNING value"""

_PUT_META_ONCE = """
INSERT INTO meta (name, value) SELECT $1, $2 WHERE {after}
ON CONFLICT (name) DO NOTHING
RETURNING value"""


def put_meta(name: str, value: str) -> Part:
    """Set one fact about the ledger itself."""
    return Part(_PUT_META, (name, value), None, ("meta", name))


def put_meta_once(name: str, value: str) -> Part:
    """Set one fact if it is not set."""
    return Part(_PUT_META_ONCE, (name, value), None, ("meta", name))


def select_meta(name: str) -> Part:
    """One fact about the ledger itself."""
    return Part("SELECT value FROM meta WHERE name = $1", (name,))
