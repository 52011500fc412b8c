"""The statements of batches, their items and partitions, and of the shared limits. See `part.py` for how to write them.

Where a later part reads what an earlier one wrote, both name the same row as touched: the transaction is then sent
statement by statement, since the terms of one statement do not see each other's writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cloneservice_server.domain import codec
from cloneservice_server.domain.batches import ITEMS_MAX, BatchPlan, BatchState, ItemState, Selection, batch_number
from cloneservice_server.ledger.part import Part
from cloneservice_server.ports import EffectTaken, Page
from cloneservice_server.ports_batches import BatchRequest, Expansion, ItemDone, NewItem, Partition, Share

LAID_OUT_AT_ONCE = 500
REQUEUED_AT_ONCE = 2000
_EXAMPLES = 3

BATCH_COLUMNS = (
    "batch_id, plan, state, caller, total_count, succeeded_count, failed_count, skipped_count, reused_count, "
    "last_sequence, create_time_us, start_time_us, end_time_us"
)
_SELECT_ITEM = """
SELECT item.item_index, item.connected_account_id, item.platform_customer_id, item.platform_payment_method_id,
    item.state, item.attempts, item.sequence, item.clone_id, item.error, clone.body AS clone
FROM batch_item AS item LEFT JOIN clone ON clone.clone_id = item.clone_id
WHERE item.batch_no = $1"""


def _row(batch_id: str) -> tuple[str, str]:
    return ("batch", batch_id)


# ------------------------------------------------------------------------------------------- what callers ask for

_PUT_REQUEST = """
INSERT INTO request (request_id, method, request_hash, command, state, fence, caller, result, batch_id, create_time_us,
    update_time_us, last_write)
SELECT $1, $2, $3, '{}', 'succeeded', 1, $4, $5, $6, {now}, {now}, $7 WHERE {after}
ON CONFLICT (request_id) DO NOTHING
RETURNING request_id"""

_INSERT_BATCH = """
INSERT INTO batch (batch_id, batch_no, plan, state, caller, total_count, create_time_us)
SELECT $1, CAST($2 AS bigint), $3, $4, $5, CAST($6 AS bigint), {now} WHERE {after}
RETURNING batch_id"""

_INSERT_CHUNK = """
INSERT INTO batch_chunk (batch_no, chunk, body)
SELECT batch_no, total_count - CAST($2 AS bigint), $3 FROM batch WHERE batch_id = $1 AND {after}
RETURNING chunk"""

_GROW_BATCH = f"""
UPDATE batch SET total_count = total_count + CAST($2 AS bigint), state = $3
WHERE batch_id = $1 AND state = 'open' AND total_count + CAST($2 AS bigint) <= {ITEMS_MAX} AND {{after}}
RETURNING batch_id"""  # noqa: S608 - a number of ours

# Of a batch that is not laid out yet, what is laid out is all that there will be.
_CANCEL = """
UPDATE batch SET
    total_count = CASE WHEN state IN ('open', 'pending') THEN next_index ELSE total_count END,
    state = CASE WHEN state IN ('open', 'pending') AND succeeded_count + failed_count + skipped_count >= next_index
        THEN 'canceled' ELSE 'canceling' END,
    end_time_us = CASE
        WHEN state IN ('open', 'pending') AND succeeded_count + failed_count + skipped_count >= next_index
        THEN {now} ELSE 0 END
WHERE batch_id = $1 AND state IN ('open', 'pending', 'running') AND {after}
RETURNING batch_id"""

_DROP_CHUNKS = "DELETE FROM batch_chunk WHERE batch_no = $1 AND {after}"

_RETRY = """
UPDATE batch SET state = 'pending', end_time_us = 0
WHERE batch_id = $1 AND state IN ('partially_failed', 'canceled') AND failed_count > 0 AND {after}
RETURNING batch_id"""


def put_request(request: BatchRequest, token: str) -> Part:
    """Record a request that is answered by what the same transaction does; a miss when there is one."""
    result = codec.dumps({"batch_id": request.batch_id})
    args = (
        request.request_id,
        request.method,
        request.request_hash,
        request.caller,
        result,
        request.batch_id,
        token,
    )
    return Part(_PUT_REQUEST, args, EffectTaken, ("request", request.request_id))


def put_request_proof(request_id: str, token: str) -> Part:
    """Whether the transaction that bore `token` was committed."""
    return Part("SELECT request_id FROM request WHERE request_id = $1 AND last_write = $2", (request_id, token))


def insert_batch(request: BatchRequest, plan: BatchPlan, total: int, *, sealed: bool) -> Part:
    """The batch."""
    state = BatchState.PENDING if sealed else BatchState.OPEN
    number = batch_number(request.batch_id)
    args = (request.batch_id, number, codec.dumps(plan), state.value, request.caller, total)
    return Part(_INSERT_BATCH, args, EffectTaken, _row(request.batch_id))


def insert_chunks(batch_id: str, chunks: Sequence[Selection]) -> list[Part]:
    """What is to be laid out; a chunk is numbered by how many items come before it."""
    parts, left = [], sum(chunk.count for chunk in chunks)
    for chunk in chunks:
        parts.append(Part(_INSERT_CHUNK, (batch_id, left, codec.dumps(chunk)), EffectTaken, _row(batch_id)))
        left -= chunk.count
    return parts


def grow_batch(batch_id: str, count: int, *, sealed: bool) -> Part:
    """An OPEN batch gets more items; a miss when it is not open or would be too large."""
    state = BatchState.PENDING if sealed else BatchState.OPEN
    return Part(_GROW_BATCH, (batch_id, count, state.value), EffectTaken, _row(batch_id))


def cancel(batch_id: str) -> list[Part]:
    """Stop a batch, and forget what is not laid out."""
    return [
        Part(_CANCEL, (batch_id,), EffectTaken, _row(batch_id)),
        Part(_DROP_CHUNKS, (batch_number(batch_id),), None, _row(batch_id)),
    ]


def retry(batch_id: str) -> list[Part]:
    """A finished batch with failed items is to be started again."""
    return [Part(_RETRY, (batch_id,), EffectTaken, _row(batch_id))]


# ---------------------------------------------------------------------------------------------------------- reads


def select_batch(batch_id: str) -> Part:
    """One batch."""
    sql = f"SELECT {BATCH_COLUMNS} FROM batch WHERE batch_id = $1 AND state <> 'forgotten'"  # noqa: S608 - column names
    return Part(sql, (batch_id,))


def select_batches(page: Page, caller: str) -> Part:
    """Batches, newest first."""
    sql = f"""
SELECT {BATCH_COLUMNS} FROM batch
WHERE state <> 'forgotten' AND ($1 = '' OR caller = $1)
    AND (CAST($2 AS bigint) = 0 OR (create_time_us, batch_id) < (CAST($2 AS bigint), $3))
ORDER BY create_time_us DESC, batch_id DESC LIMIT $4"""  # noqa: S608 - column names only
    return Part(sql, (caller, page.before_us, page.before_id, page.limit))


def select_active(limit: int) -> Part:
    """Batches that there is something to do for, oldest first."""
    sql = f"""
SELECT {BATCH_COLUMNS} FROM batch WHERE state IN ('pending', 'running', 'canceling')
ORDER BY create_time_us LIMIT $1"""  # noqa: S608 - column names only
    return Part(sql, (limit,))


def select_items(batch_id: str, states: Sequence[ItemState], after_index: int, limit: int) -> Part:
    """Items by index."""
    marks = ", ".join(f"${4 + number}" for number in range(len(states)))
    among = f"AND item.state IN ({marks}) " if states else ""
    sql = f"{_SELECT_ITEM} AND item.item_index > $2 {among}ORDER BY item.item_index LIMIT $3"
    return Part(sql, (batch_number(batch_id), after_index, limit, *(state.value for state in states)))


def select_events(batch_id: str, after_sequence: int, limit: int) -> Part:
    """Items by the sequence of their last change."""
    # `> 0` lets the planner use the index, which is of changed items only.
    sql = f"{_SELECT_ITEM} AND item.sequence > 0 AND item.sequence > $2 ORDER BY item.sequence LIMIT $3"
    return Part(sql, (batch_number(batch_id), after_sequence, limit))


def select_pending(claimed: Partition, after_index: int, limit: int) -> Part:
    """A partition's items that are not final."""
    sql = f"""{_SELECT_ITEM} AND item.connected_account_id = $2 AND item.item_index > $3 AND item.state = 'pending'
ORDER BY item.item_index LIMIT $4"""
    return Part(sql, (batch_number(claimed.batch_id), claimed.connected_account_id, after_index, limit))


def select_failures(batch_id: str) -> Part:
    """Failed items by reason, with the first few of each."""
    sql = f"""
SELECT reason, MAX(many) AS many, item_index FROM (
    SELECT reason, item_index, COUNT(*) OVER (PARTITION BY reason) AS many,
        ROW_NUMBER() OVER (PARTITION BY reason ORDER BY item_index) AS place
    FROM batch_item WHERE batch_no = $1 AND state = 'failed') AS failed
WHERE place <= {_EXAMPLES} GROUP BY reason, item_index ORDER BY many DESC, reason, item_index"""  # noqa: S608 - a number
    return Part(sql, (batch_number(batch_id),))


# ------------------------------------------------------------------------------------------------------ laying out

_SELECT_EXPANSION = """
SELECT next_index, next_chunk, chunk_offset FROM batch WHERE batch_id = $1"""
_SELECT_CHUNK = """
SELECT chunk, body FROM batch_chunk WHERE batch_no = $1 AND chunk >= $2 ORDER BY chunk LIMIT 1"""

_MOVE_ON = """
UPDATE batch SET next_index = CAST($5 AS bigint), next_chunk = CAST($6 AS bigint), chunk_offset = CAST($7 AS bigint),
    total_count = total_count + CAST($8 AS bigint)
WHERE batch_id = $1 AND state = 'pending' AND next_index = $2 AND next_chunk = $3 AND chunk_offset = $4 AND {after}
RETURNING batch_id"""

_DROP_CHUNKS_BEFORE = "DELETE FROM batch_chunk WHERE batch_no = $1 AND chunk < $2 AND {after}"


def select_expansion(batch_id: str) -> Part:
    """How far a batch is laid out."""
    return Part(_SELECT_EXPANSION, (batch_id,))


def select_chunk(batch_id: str, chunk: int) -> Part:
    """The first chunk from this one on."""
    return Part(_SELECT_CHUNK, (batch_number(batch_id), chunk))


def lay_out(batch_id: str, start: Expansion, items: Sequence[NewItem], end: Expansion, grown: int) -> list[Part]:
    """Items that follow each other by index, their partitions, and how far this brings the batch."""
    number = batch_number(batch_id)
    moved = (start.next_index, start.chunk, start.offset, end.next_index, end.chunk, end.offset, grown)
    parts = [Part(_MOVE_ON, (batch_id, *moved), EffectTaken, _row(batch_id))]
    if items:
        args: list[Any] = [number, items[0].index]
        for item in items:
            args += (item.connected_account_id, item.platform_customer_id, item.platform_payment_method_id)
        parts.append(Part(_insert_items(len(items)), tuple(args)))
        accounts = sorted({item.connected_account_id for item in items})  # one order for all: no deadlock
        parts.append(Part(_insert_partitions(len(accounts)), (number, *accounts)))
    parts.append(Part(_DROP_CHUNKS_BEFORE, (number, end.chunk), None, _row(batch_id)))
    return parts


@lru_cache(maxsize=64)
def _insert_items(count: int) -> str:
    rows = ", ".join(
        f"(CAST($1 AS bigint), CAST($2 AS bigint) + {place}, ${3 * place + 3}, ${3 * place + 4}, ${3 * place + 5})"
        for place in range(count)
    )
    columns = "batch_no, item_index, connected_account_id, platform_customer_id, platform_payment_method_id"
    return f"INSERT INTO batch_item ({columns}) VALUES {rows}"  # noqa: S608 - names of ours, values bound


@lru_cache(maxsize=64)
def _insert_partitions(count: int) -> str:
    rows = ", ".join(
        f"(CAST($1 AS bigint), ${place + 2}, CASE WHEN ${place + 2} = '' THEN 1 ELSE 0 END)" for place in range(count)
    )
    return f"""
INSERT INTO batch_partition (batch_no, connected_account_id, rank) VALUES {rows}
ON CONFLICT (batch_no, connected_account_id) DO NOTHING"""  # noqa: S608 - names of ours, values bound


_REOPEN = """
UPDATE batch_partition SET state = 'open', cursor_index = -1
WHERE batch_no = $1 AND (state <> 'open' OR cursor_index >= 0)
RETURNING connected_account_id"""

_SELECT_FAILED = """
SELECT item_index FROM batch_item WHERE batch_no = $1 AND state = 'failed' ORDER BY item_index LIMIT $2"""

_FEWER_FAILED = """
UPDATE batch SET failed_count = failed_count - CAST($2 AS bigint)
WHERE batch_id = $1 AND state = 'pending' AND failed_count >= CAST($2 AS bigint) AND {after}
RETURNING batch_id"""

_REQUEUE = """
UPDATE batch_item SET state = 'pending', reason = '', error = ''
WHERE batch_no = $1 AND item_index >= $2 AND item_index <= $3 AND state = 'failed' AND {after}
RETURNING item_index"""

_START = """
UPDATE batch SET state = 'running', start_time_us = CASE WHEN start_time_us = 0 THEN {now} ELSE start_time_us END
WHERE batch_id = $1 AND state = 'pending' AND {after}
RETURNING batch_id"""


def reopen(batch_id: str) -> Part:
    """All partitions may be taken again."""
    return Part(_REOPEN, (batch_number(batch_id),))


def select_failed(batch_id: str) -> Part:
    """Some of the failed items."""
    return Part(_SELECT_FAILED, (batch_number(batch_id), REQUEUED_AT_ONCE))


def requeue(batch_id: str, indexes: Sequence[int]) -> list[Part]:
    """All failed items between the first and the last of `indexes`, which are these."""
    return [
        Part(_FEWER_FAILED, (batch_id, len(indexes)), EffectTaken, _row(batch_id)),
        Part(_REQUEUE, (batch_number(batch_id), indexes[0], indexes[-1]), EffectTaken, _row(batch_id)),
    ]


def start(batch_id: str) -> Part:
    """PENDING -> RUNNING."""
    return Part(_START, (batch_id,))


# ------------------------------------------------------------------------------------------------------ partitions

_CLAIM = """
WITH due AS (
    SELECT connected_account_id FROM batch_partition
    WHERE batch_no = $1 AND state = 'open' AND lease_until_us <= {now}
        AND rank = (SELECT MIN(rank) FROM batch_partition WHERE batch_no = $1 AND state = 'open')
    ORDER BY connected_account_id LIMIT 1 {skip_locked})
UPDATE batch_partition SET fence = fence + 1, owner = $2, lease_until_us = {now} + CAST($3 AS bigint), last_write = $4
WHERE batch_no = $1 AND connected_account_id IN (SELECT connected_account_id FROM due)
RETURNING connected_account_id, fence, cursor_index"""

_CLAIMED = """
SELECT connected_account_id, fence, cursor_index FROM batch_partition
WHERE batch_no = $1 AND owner = $2 AND last_write = $3"""

_KEEP = """
UPDATE batch_partition SET lease_until_us = {now} + CAST($4 AS bigint), cursor_index = CAST($5 AS bigint)
WHERE batch_no = $1 AND connected_account_id = $2 AND fence = $3 AND state = 'open'
RETURNING connected_account_id"""

_END = """
UPDATE batch_partition SET state = 'done', lease_until_us = 0, cursor_index = CAST($4 AS bigint)
WHERE batch_no = $1 AND connected_account_id = $2 AND fence = $3
RETURNING connected_account_id"""


def release_all() -> list[Part]:
    """End every lease, and every part of the rate limits: for a store that one process has to itself."""
    return [
        Part("UPDATE batch_partition SET lease_until_us = 0 WHERE lease_until_us > 0"),
        Part("DELETE FROM rate_share"),
    ]


def claim(batch_id: str, owner: str, lease_us: int, token: str) -> Part:
    """One partition that nobody has."""
    return Part(_CLAIM, (batch_number(batch_id), owner, lease_us, token))


def claimed(batch_id: str, owner: str, token: str) -> Part:
    """What a claim of ours took, when its answer was lost."""
    return Part(_CLAIMED, (batch_number(batch_id), owner, token))


def keep(held: Partition, lease_us: int) -> Part:
    """Renew, and store the cursor."""
    key = (batch_number(held.batch_id), held.connected_account_id, held.fence)
    return Part(_KEEP, (*key, lease_us, held.cursor))


def end(held: Partition) -> Part:
    """Nothing is left to do in it."""
    return Part(_END, (batch_number(held.batch_id), held.connected_account_id, held.fence, held.cursor))


# -------------------------------------------------------------------------------------------------------- outcomes

_COUNT = """
UPDATE batch SET succeeded_count = succeeded_count + CAST($2 AS bigint),
    failed_count = failed_count + CAST($3 AS bigint),
    skipped_count = skipped_count + CAST($4 AS bigint), reused_count = reused_count + CAST($5 AS bigint),
    last_sequence = last_sequence + CAST($6 AS bigint),
    state = CASE WHEN succeeded_count + failed_count + skipped_count + CAST($6 AS bigint) < total_count THEN state
        WHEN state = 'canceling' THEN 'canceled'
        WHEN failed_count + CAST($3 AS bigint) > 0 THEN 'partially_failed' ELSE 'succeeded' END,
    end_time_us = CASE WHEN succeeded_count + failed_count + skipped_count + CAST($6 AS bigint) < total_count THEN 0
        ELSE {now} END
WHERE batch_id = $1 AND state IN ('running', 'canceling') AND {after}
RETURNING batch_id"""

# The lock of the batch's row makes sequences visible in their order: a watcher never sees a later one first.
_FINISH = """
UPDATE batch_item SET state = $3, attempts = attempts + CAST($4 AS bigint), clone_id = $5, reason = $6, error = $7,
    sequence = (SELECT last_sequence FROM batch WHERE batch_id = $8) - CAST($9 AS bigint),
    platform_customer_id = CASE WHEN $10 = '' THEN platform_customer_id ELSE $10 END,
    platform_payment_method_id = CASE WHEN $10 = '' THEN platform_payment_method_id ELSE '' END
WHERE batch_no = $1 AND item_index = $2 AND state = 'pending' AND {after}
RETURNING item_index"""

_FORGET_REQUEST = """
DELETE FROM request WHERE request_id = $1 AND state IN ('succeeded', 'failed') AND {after}"""

_FORGET_EFFECTS = """
DELETE FROM effect WHERE request_id = $1 AND effect_id LIKE '%:' || $1 AND state = 'done' AND {after}"""


def finish(batch_id: str, done: Sequence[ItemDone]) -> list[Part]:
    """Outcomes, their count and sequence; the last part gives the batch's state."""
    row, number = _row(batch_id), batch_number(batch_id)
    counts = [sum(item.state is state for item in done) for state in (ItemState.SUCCEEDED, ItemState.FAILED)]
    skipped, reused = len(done) - sum(counts), sum(item.reused for item in done)
    parts = [Part(_COUNT, (batch_id, *counts, skipped, reused, len(done)), EffectTaken, row)]
    for later, item in zip(reversed(range(len(done))), done, strict=True):
        outcome = (item.state.value, item.attempts, item.clone_id, item.reason, item.error)
        parts.append(Part(_FINISH, (number, item.index, *outcome, batch_id, later, item.pseudonym), EffectTaken, row))
        for request_id in item.spent_request_ids:
            # A voided effect stays: its epoch keeps a retry from Stripe's stored refusal.
            parts.append(Part(_FORGET_EFFECTS, (request_id,), None, row))
            parts.append(Part(_FORGET_REQUEST, (request_id,), None, row))
    parts.append(Part("SELECT state FROM batch WHERE batch_id = $1", (batch_id,), None, row))
    return parts


# ------------------------------------------------------------------------------------------------------- retention

# A batch that is being forgotten is gone for every reader at once, and its rows go in pieces after that. The
# retention of an OPEN batch that nobody sealed counts from its creation.
_FORGET = """
UPDATE batch SET state = 'forgotten'
WHERE {after} AND (
    (state IN ('succeeded', 'partially_failed', 'canceled') AND end_time_us <= {now} - CAST($1 AS bigint))
    OR (state = 'open' AND create_time_us <= {now} - CAST($1 AS bigint)))
RETURNING batch_id"""

_SELECT_FORGOTTEN = "SELECT batch_no FROM batch WHERE state = 'forgotten' ORDER BY batch_no LIMIT 1"

_DELETE_ITEMS = """
DELETE FROM batch_item WHERE batch_no = $1 AND item_index IN (
    SELECT item_index FROM batch_item WHERE batch_no = $1 ORDER BY item_index LIMIT $2) AND {after}
RETURNING item_index"""

_DELETE_REST = (
    "DELETE FROM batch_chunk WHERE batch_no = $1 AND {after}",
    "DELETE FROM batch_partition WHERE batch_no = $1 AND {after}",
    "DELETE FROM batch WHERE batch_no = $1 AND state = 'forgotten' AND {after}",
)


def forget(older_than_us: int) -> Part:
    """Batches that ended so long ago, or were never sealed, are not there any more; returns their ids."""
    return Part(_FORGET, (older_than_us,))


def select_forgotten() -> Part:
    """The number of a batch that still has rows to delete."""
    return Part(_SELECT_FORGOTTEN)


def delete_items(number: int, limit: int) -> Part:
    """Some items of a forgotten batch; returns them."""
    return Part(_DELETE_ITEMS, (number, limit))


def delete_rest(number: int) -> list[Part]:
    """What is left of a forgotten batch without items."""
    return [Part(sql, (number,), None, ("batch", str(number))) for sql in _DELETE_REST]


# ---------------------------------------------------------------------------------------------------------- shares

_RENEW_SHARE = """
INSERT INTO rate_share (budget, owner, wanting, foreground_per_s, join_time_us, lease_until_us)
SELECT $1, $2, CAST($3 AS boolean), CAST($4 AS double precision), {now}, {now} + CAST($5 AS bigint) WHERE {after}
ON CONFLICT (budget, owner) DO UPDATE SET wanting = excluded.wanting, foreground_per_s = excluded.foreground_per_s,
    join_time_us = CASE WHEN rate_share.lease_until_us <= {now} OR (excluded.wanting AND NOT rate_share.wanting)
        THEN {now} ELSE rate_share.join_time_us END,
    lease_until_us = excluded.lease_until_us
RETURNING owner"""

_FORGET_SHARES = "DELETE FROM rate_share WHERE budget = $1 AND lease_until_us <= {now} - 60000000 AND {after}"

_SELECT_SHARES = """
SELECT owner, wanting, foreground_per_s, {now} - join_time_us AS age_us FROM rate_share
WHERE budget = $1 AND lease_until_us > {now} ORDER BY owner"""


def renew_share(budget: str, mine: Share, lease_us: int) -> list[Part]:
    """Register a share; the last part gives all that are."""
    row = ("rate_share", budget)
    return [
        Part(_FORGET_SHARES, (budget,), None, row),
        Part(_RENEW_SHARE, (budget, mine.owner, mine.wanting, mine.foreground_per_s, lease_us), None, row),
        Part(_SELECT_SHARES, (budget,), None, row),
    ]
