"""Lays a batch's items out: from what was asked for, as it came, to one row for each, a few hundred at a time.

Every write says how far it goes on from; two replicas at once cost each other a write and nothing more, and a crash
goes on where the last write stood.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cloneservice_server.domain import errors
from cloneservice_server.domain.batches import CloneBatch, Selection
from cloneservice_server.domain.values import PlatformPaymentMethod
from cloneservice_server.ports import EffectTaken
from cloneservice_server.ports_batches import BatchLedger, Expansion, NewItem

AT_ONCE = 500
_STRIDE = 1 << 20
"""A place within a selection of all payment methods is the customer's place times this, plus the item's."""

ListMethods = Callable[[str], Awaitable[list[str]]]
"""Platform customer to the ids of all that it has saved."""
ListPage = Callable[[str, int, str], Awaitable[tuple[list[PlatformPaymentMethod], bool]]]
"""Platform customer, size of the page and the id it starts after, to the page and whether there is more."""


async def lay_out(ledger: BatchLedger, batch: CloneBatch, list_methods: ListMethods) -> bool:
    """Lay out all that is left, and start the batch. False when somebody else moved it on, or stopped it."""
    try:
        while True:
            at, selection = await ledger.get_expansion(batch.batch_id)
            if selection is None:
                await ledger.start_batch(batch.batch_id)
                return True
            if batch.plan.all_payment_methods:
                await _lay_out_methods(ledger, batch, at, selection, list_methods)
            else:
                await _lay_out_selection(ledger, batch, at, selection)
    except EffectTaken:
        return False


async def _lay_out_selection(ledger: BatchLedger, batch: CloneBatch, at: Expansion, selection: Selection) -> None:
    while at.offset < selection.count:
        stop = min(at.offset + AT_ONCE, selection.count)
        items = [NewItem(at.next_index + place, *item) for place, item in enumerate(selection.items(at.offset, stop))]
        end = Expansion(at.next_index + len(items), at.chunk, stop)
        if stop == selection.count:
            end = Expansion(end.next_index, at.chunk + selection.count, 0)
        await ledger.lay_out(batch.batch_id, at, items, end)
        at = end if stop < selection.count else Expansion(end.next_index, at.chunk, stop)
        await asyncio.sleep(0)  # a ledger in memory answers at once: others want their turn too


async def _lay_out_methods(
    ledger: BatchLedger, batch: CloneBatch, at: Expansion, selection: Selection, list_methods: ListMethods
) -> None:
    many = len(selection.customers)
    while (customer := at.offset // _STRIDE) < many:
        name = selection.customers[customer]
        methods = await _methods(list_methods, name)
        wanted = [(account, name, method) for account in selection.accounts for method in methods]
        start = at.offset % _STRIDE
        part = wanted[start : start + AT_ONCE]
        items = [NewItem(at.next_index + place, *item) for place, item in enumerate(part)]
        grown = len(wanted) - len(selection.accounts) if start == 0 else 0
        finished = start + len(part) >= len(wanted)
        offset = (customer + 1) * _STRIDE if finished else at.offset + len(part)
        end = Expansion(at.next_index + len(items), at.chunk, offset)
        if finished and customer + 1 == many:
            end = Expansion(end.next_index, at.chunk + selection.count, 0)
        await ledger.lay_out(batch.batch_id, at, items, end, grown=grown)
        if end.chunk != at.chunk:
            return
        at = end
        await asyncio.sleep(0)


async def _methods(list_methods: ListMethods, customer: str) -> list[str]:
    """All that a customer has saved; an item with none fails by itself, and says why."""
    try:
        return await list_methods(customer) or [""]
    except errors.DomainError as error:
        if not error.final:
            raise
        return [""]


def listing(list_page: ListPage) -> ListMethods:
    """All pages of a customer's payment methods."""

    async def listed(customer: str) -> list[str]:
        found: list[str] = []
        more = True
        while more:
            page, more = await list_page(customer, 100, found[-1] if found else "")
            found += [method.platform_payment_method_id for method in page]
        return found

    return listed
