"""`ports_batches.BatchLedger` over a store that can run one transaction."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from cloneservice_server.domain import codec
from cloneservice_server.domain.batches import (
    BatchItem,
    BatchPlan,
    BatchState,
    CloneBatch,
    Failures,
    ItemState,
    Selection,
)
from cloneservice_server.ledger import batches, rows, statements
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ports import EffectTaken, Page, RequestRow
from cloneservice_server.ports_batches import BatchRequest, Expansion, ItemDone, NewItem, Partition, Share


class BatchStore(ABC):
    """The batches' part of a ledger in SQL."""

    _tokens: Iterator[str]

    @abstractmethod
    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT, see SqlLedger."""

    @abstractmethod
    async def write(self, parts: Sequence[Part], proof: Part | None = None) -> Sequence[Row]:
        """Run the parts as one transaction, see SqlLedger."""

    # ---------------------------------------------------------------------------------------- what callers ask for

    async def create_batch(
        self, request: BatchRequest, plan: BatchPlan, chunks: Sequence[Selection], *, sealed: bool
    ) -> RequestRow | None:
        """Store a batch: None, or the request that has this request_id already."""
        total = sum(chunk.count for chunk in chunks)
        insert = batches.insert_batch(request, plan, total, sealed=sealed)
        return await self._ask(request, [insert, *batches.insert_chunks(request.batch_id, chunks)])

    async def add_to_batch(
        self, request: BatchRequest, chunks: Sequence[Selection], *, sealed: bool
    ) -> RequestRow | None:
        """Store more items of an OPEN batch. Raises EffectTaken when it is not, or would be too large."""
        total = sum(chunk.count for chunk in chunks)
        grow = batches.grow_batch(request.batch_id, total, sealed=sealed)
        return await self._ask(request, [grow, *batches.insert_chunks(request.batch_id, chunks)])

    async def cancel_batch(self, request: BatchRequest) -> RequestRow | None:
        """Stop a batch that is not final. Raises EffectTaken when it is, or is stopping."""
        return await self._ask(request, batches.cancel(request.batch_id))

    async def retry_batch(self, request: BatchRequest) -> RequestRow | None:
        """Start a final batch's failed items again. Raises EffectTaken when it is not final, or none failed."""
        return await self._ask(request, batches.retry(request.batch_id))

    async def _ask(self, request: BatchRequest, parts: Sequence[Part]) -> RequestRow | None:
        token = next(self._tokens)
        proof = batches.put_request_proof(request.request_id, token)
        try:
            await self.write([batches.put_request(request, token), *parts], proof)
        except EffectTaken:
            found = await self.read(statements.select_request(request.request_id))
            if not found:
                raise
            return rows.request_row(found[0])
        return None

    # ------------------------------------------------------------------------------------------------------- reads

    async def get_batch(self, batch_id: str) -> CloneBatch | None:
        """Read one batch."""
        found = await self.read(batches.select_batch(batch_id))
        return _batch(found[0]) if found else None

    async def list_batches(self, page: Page, caller: str = "") -> list[CloneBatch]:
        """Newest first by (create_time_us, batch_id)."""
        return [_batch(row) for row in await self.read(batches.select_batches(page, caller))]

    async def list_active_batches(self, limit: int = 100) -> list[CloneBatch]:
        """Those that there is something to do for, oldest first."""
        return [_batch(row) for row in await self.read(batches.select_active(limit))]

    async def list_items(
        self, batch_id: str, states: Sequence[ItemState], after_index: int, limit: int
    ) -> list[BatchItem]:
        """By index, with their clones."""
        return [_item(row) for row in await self.read(batches.select_items(batch_id, states, after_index, limit))]

    async def list_events(self, batch_id: str, after_sequence: int, limit: int) -> list[BatchItem]:
        """Items that changed after `after_sequence`, by sequence, with their clones."""
        return [_item(row) for row in await self.read(batches.select_events(batch_id, after_sequence, limit))]

    async def list_failures(self, batch_id: str) -> list[Failures]:
        """Failed items by reason, most frequent first."""
        found = await self.read(batches.select_failures(batch_id))
        return [
            Failures(reason, many, tuple(row["item_index"] for row in among))
            for (reason, many), among in itertools.groupby(found, key=lambda row: (row["reason"], row["many"]))
        ]

    # -------------------------------------------------------------------------------------------------- laying out

    async def get_expansion(self, batch_id: str) -> tuple[Expansion, Selection | None]:
        """How far a batch is laid out, and the selection that goes on with; None when all is laid out."""
        row = (await self.read(batches.select_expansion(batch_id)))[0]
        at = Expansion(row["next_index"], row["next_chunk"], row["chunk_offset"])
        found = await self.read(batches.select_chunk(batch_id, at.chunk))
        if not found:
            return at, None
        return Expansion(at.next_index, found[0]["chunk"], at.offset), codec.loads(Selection, found[0]["body"])

    async def lay_out(
        self, batch_id: str, start: Expansion, items: Sequence[NewItem], end: Expansion, *, grown: int = 0
    ) -> None:
        """Insert items and move the expansion on. Raises EffectTaken when it does not stand at `start`."""
        await self.write(batches.lay_out(batch_id, start, items, end, grown))

    async def start_batch(self, batch_id: str) -> None:
        """PENDING -> RUNNING; failed items of an earlier round become PENDING."""
        await self.write([batches.reopen(batch_id)])
        while failed := await self.read(batches.select_failed(batch_id)):
            await self.write(batches.requeue(batch_id, [row["item_index"] for row in failed]))
        await self.write([batches.start(batch_id)])

    # -------------------------------------------------------------------------------------------------- partitions

    async def claim_partition(self, batch_id: str, owner: str, lease_s: float) -> Partition | None:
        """Take one open partition that nobody has; a rank only after all below it are done."""
        token = next(self._tokens)
        found = await self.write(
            [batches.claim(batch_id, owner, statements.lease_us(lease_s), token)],
            batches.claimed(batch_id, owner, token),
        )
        if not found:
            return None
        return Partition(batch_id, found[0]["connected_account_id"], found[0]["fence"], found[0]["cursor_index"])

    async def keep_partition(self, claimed: Partition, lease_s: float) -> bool:
        """Renew the lease and store the cursor; False when the claim is lost. A lease of 0 gives it back."""
        return bool(await self.write([batches.keep(claimed, statements.lease_us(lease_s))]))

    async def end_partition(self, claimed: Partition) -> None:
        """All items of the partition are final."""
        await self.write([batches.end(claimed)])

    async def pending_items(self, claimed: Partition, after_index: int, limit: int) -> list[BatchItem]:
        """The partition's items that are not final, by index."""
        return [_item(row) for row in await self.read(batches.select_pending(claimed, after_index, limit))]

    async def finish_items(self, batch_id: str, done: Sequence[ItemDone]) -> BatchState:
        """Store outcomes and count them; the batch's state then. EffectTaken when any item was final before."""
        found = await self.write(batches.finish(batch_id, done))
        return BatchState(found[0]["state"])

    async def prune_batches(self, older_than_s: float, limit: int = 500) -> int:
        """Forget batches that ended `older_than_s` ago, or were never sealed; delete up to `limit` rows of items.

        How many items were deleted; fewer than `limit`: nothing is left to delete.
        """
        await self.write([batches.forget(round(older_than_s * 1_000_000))])
        deleted = 0
        while deleted < limit and (found := await self.read(batches.select_forgotten())):
            number = found[0]["batch_no"]
            some = len(await self.write([batches.delete_items(number, limit - deleted)]))
            deleted += some
            if deleted < limit:
                await self.write(batches.delete_rest(number))
        return deleted

    async def renew_share(self, budget: str, mine: Share, lease_s: float) -> list[Share]:
        """Register this replica's use of `budget`, and return all that are registered, by owner."""
        found = await self.write(batches.renew_share(budget, mine, statements.lease_us(lease_s)))
        return [Share(row["owner"], bool(row["wanting"]), row["foreground_per_s"], row["age_us"]) for row in found]


def _batch(row: Row) -> CloneBatch:
    names = (name.strip() for name in batches.BATCH_COLUMNS.split(","))
    values = {name: row[name] for name in names}
    values["plan"] = codec.loads(BatchPlan, values["plan"])
    values["state"] = BatchState(values["state"])
    return CloneBatch(**values)


def _item(row: Row) -> BatchItem:
    return BatchItem(
        index=row["item_index"],
        platform_customer_id=row["platform_customer_id"],
        platform_payment_method_id=row["platform_payment_method_id"],
        connected_account_id=row["connected_account_id"],
        state=ItemState(row["state"]),
        attempts=row["attempts"],
        sequence=row["sequence"],
        clone_id=row["clone_id"],
        error=row["error"],
        clone=rows.clone({"body": row["clone"]}) if row["clone"] else None,
    )
