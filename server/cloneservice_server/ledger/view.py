"""`ports_pages.LedgerView`: the ledger for people who look at it, read through connections of its own.

A view cannot write: its connections are opened read-only by the database itself. Nor does it stand in the way of those
who write: it has its own SQLite reader, or its own two PostgreSQL connections, and gives up after two seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Protocol

from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.values import Charge, ChargeState, ConnectedCustomer, RequestState
from cloneservice_server.ledger import looking, rows
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ledger.sqlite import MEMORY, SqliteLedger
from cloneservice_server.ledger.sqlite_reader import SqliteReader
from cloneservice_server.ledger.store import SqlLedger
from cloneservice_server.ports import Clock, EffectRow, Page, RequestRow


class Reader(Protocol):
    """A way to read."""

    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT. Raises LedgerUnavailable."""
        ...

    async def aclose(self) -> None:
        """Close what was opened."""
        ...


class SqlView(SqlLedger):
    """Every read of a ledger, and those for pages; `reader` opens what it needs when it is first asked."""

    def __init__(self, reader: Reader | None, ledger: SqlLedger) -> None:
        super().__init__()
        self._reader = reader
        self._ledger = ledger

    async def open(self) -> None:
        """Nothing to do: the first read opens."""

    async def aclose(self) -> None:
        """Close the reader; the ledger itself stays as it is."""
        if self._reader is not None:
            await self._reader.aclose()

    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT. Raises LedgerUnavailable."""
        return await (self._reader or self._ledger).read(part)

    async def write(self, parts: Sequence[Part], proof: Part | None = None) -> NoReturn:  # noqa: ARG002 - refused whatever it is
        """Refused."""
        raise PermissionError("a view of the ledger does not write")

    # ---------------------------------------------------------------------------------------------------- for pages

    async def list_requests(self, states: Sequence[RequestState], page: Page, method: str = "") -> list[RequestRow]:
        """Newest change first."""
        return [rows.request_row(row) for row in await self.read(looking.list_requests(states, page, method))]

    async def list_effects(self, request_id: str, limit: int) -> list[EffectRow]:
        """The effects that the request intended, oldest first."""
        return [rows.effect_row(row) for row in await self.read(looking.list_effects(request_id, limit))]

    async def find_effects(self, *, stripe_request_id: str = "", stripe_id: str = "", limit: int) -> list[EffectRow]:
        """Effects by Stripe's Request-Id, or by what they made; newest first."""
        part = looking.find_effects(stripe_request_id, stripe_id, limit)
        return [rows.effect_row(row) for row in await self.read(part)]

    async def find_charges(self, stripe_payment_intent_id: str, limit: int) -> list[Charge]:
        """The charge of a PaymentIntent, on whichever account."""
        return [rows.charge(row) for row in await self.read(looking.find_charges(stripe_payment_intent_id, limit))]

    async def list_charges_in(self, state: ChargeState, page: Page) -> list[Charge]:
        """Newest first."""
        return [rows.charge(row) for row in await self.read(looking.list_charges_in(state, page))]

    async def list_baskets(self, page: Page, platform_customer_id: str = "") -> list[Basket]:
        """Newest first."""
        return [rows.basket(row) for row in await self.read(looking.list_baskets(platform_customer_id, page))]

    async def list_connected_customers(self, platform_customer_id: str, limit: int) -> list[ConnectedCustomer]:
        """By account."""
        part = looking.list_connected_customers(platform_customer_id, limit)
        return [rows.connected_customer(row) for row in await self.read(part)]


def open_view(ledger: object, clock: Clock) -> SqlView:
    """A view of `ledger`, nothing of it opened yet.

    A ledger in memory has one connection and no other, so its view reads through that: it is for trying things out.
    """
    if isinstance(ledger, SqliteLedger):
        return SqlView(None if ledger.path == MEMORY else SqliteReader(ledger.path, clock), ledger)
    from cloneservice_server.ledger.postgres import PostgresLedger  # noqa: PLC0415 - asyncpg is an optional extra

    if isinstance(ledger, PostgresLedger):
        return SqlView(ledger.reader(), ledger)
    raise TypeError(f"{type(ledger).__name__} has no view")
