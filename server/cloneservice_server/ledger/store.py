"""`ports.Ledger` over a store that can run one transaction: the part that both adapters share."""

from __future__ import annotations

import itertools
import secrets
from abc import abstractmethod
from collections.abc import Sequence

from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.values import (
    Charge,
    Clone,
    CloneFlow,
    ConnectedAccount,
    ConnectedCustomer,
    PlatformCustomer,
    Refund,
)
from cloneservice_server.ledger import lineage, refunds, rows, statements
from cloneservice_server.ledger.batch_store import BatchStore
from cloneservice_server.ledger.part import Part
from cloneservice_server.ledger.rows import Row
from cloneservice_server.ports import (
    ChargeFilter,
    Claim,
    CloneFilter,
    EffectRow,
    FinishRequest,
    LinkRequest,
    NewEffect,
    NewRequest,
    Page,
    RequestRow,
    Write,
)
from cloneservice_server.ports_observer import Unfinished


class SqlLedger(BatchStore):
    """A ledger in SQL. An adapter brings `open`, `aclose`, `read` and `write`."""

    def __init__(self) -> None:
        self._tokens = (f"{secrets.token_hex(6)}.{number}" for number in itertools.count(1))

    @abstractmethod
    async def open(self) -> None:
        """Connect and migrate. Raises LedgerUnavailable with the reason."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finish queued transactions and close."""

    @abstractmethod
    async def read(self, part: Part) -> Sequence[Row]:
        """Run one SELECT. Raises LedgerUnavailable."""

    @abstractmethod
    async def write(self, parts: Sequence[Part], proof: Part | None = None) -> Sequence[Row]:
        """Run the parts as one transaction and return the last one's rows once all is durable.

        Raises a part's `miss`, EffectTaken on a unique index, or LedgerUnavailable; then nothing was written as far as
        is known. `proof` is a SELECT that finds rows when the transaction had been committed although its answer was
        lost; its rows then stand for the last part's.
        """

    async def ping(self) -> None:
        """Prove that a write would work. Raises LedgerUnavailable."""
        await self.write([statements.put_meta("ping", next(self._tokens))])

    async def bind(self, platform_key_fingerprint: str, *, livemode: bool) -> None:
        """Tie an empty ledger to live or test mode, or check that it is tied to it. Raises ValueError on the other.

        The fingerprint is kept for people who look for the key that last wrote here; keys rotate, so it may change.
        """
        mode = "live" if livemode else "test"
        stored = await self.write([statements.put_meta_once("mode", mode)])
        if not stored:
            stored = await self.read(statements.select_meta("mode"))
        if stored[0]["value"] != mode:
            raise ValueError(
                f"this ledger belongs to {stored[0]['value']} mode, but the Stripe key is for {mode} mode: take the "
                "other key, or keep a ledger for each mode (--ledger)"
            )
        await self.write([statements.put_meta("platform_key_fingerprint", platform_key_fingerprint)])

    # -------------------------------------------------------------------------------------------------- requests

    async def begin_request(self, new: NewRequest, owner: str, lease_s: float) -> tuple[RequestRow, bool]:
        """Insert the request, RUNNING, leased to `owner`; or return the row that is there, and False."""
        token = next(self._tokens)
        insert = statements.insert_request(new, owner, lease_s, token)
        while True:
            if inserted := await self.write([insert]):
                return rows.request_row(inserted[0]), True
            if stored := await self.read(statements.select_request(new.request_id)):
                # Our own row, when the insert was done and only its answer was lost.
                return rows.request_row(stored[0]), stored[0]["last_write"] == token

    async def get_request(self, request_id: str) -> RequestRow | None:
        """Read one request."""
        found = await self.read(statements.select_request(request_id))
        return rows.request_row(found[0]) if found else None

    async def claim_request(self, request_id: str, owner: str, lease_s: float) -> RequestRow | None:
        """Take over an unfinished request whose lease has run out or was released. None if not to be had.

        It is RUNNING from then on, whatever it was.
        """
        token = next(self._tokens)
        claim = statements.claim_request(request_id, owner, lease_s, token)
        found = await self.write([claim], statements.claimed_by(owner, token))
        return rows.request_row(found[0]) if found else None

    async def claim_due(self, owner: str, lease_s: float, limit: int) -> list[RequestRow]:
        """Take over requests RUNNING with a lease run out, or INDETERMINATE and due, oldest first; not PARKED ones."""
        token = next(self._tokens)
        due = statements.claim_due(owner, lease_s, limit, token)
        found = await self.write([due], statements.claimed_by(owner, token))
        return sorted((rows.request_row(row) for row in found), key=lambda row: (row.create_time_us, row.request_id))

    async def renew(self, owner: str, claims: Sequence[Claim], lease_s: float) -> set[str]:
        """Renew leases; return the request_ids whose claim is lost. A request finished meanwhile is not lost."""
        renewed: set[tuple[str, int]] = set()
        for part in statements.renew(owner, claims, lease_s):
            renewed.update((row["request_id"], row["fence"]) for row in await self.write([part]))
        left = [claim for claim in claims if (claim.request_id, claim.fence) not in renewed]
        held = [bool(await self.read(statements.holds(owner, claim))) for claim in left]
        return {claim.request_id for claim, is_held in zip(left, held, strict=True) if not is_held}

    async def prune(self, older_than_s: float, limit: int = 500) -> int:
        """Forget up to `limit` requests that ended or were parked `older_than_s` ago, and their own effects; how many.

        The lineage stays, and so do the effects that later requests find it by. A request_id that is used again after
        this is a new request: keep rows for longer than any client retries.
        """
        return len(await self.write(statements.prune(round(older_than_s * 1_000_000), limit)))

    async def count_unfinished(self) -> Unfinished:
        """How many requests have no final answer yet."""
        return rows.unfinished((await self.read(statements.count_unfinished()))[0])

    # ---------------------------------------------------------------------------------------------------- writes

    async def intend(self, claim: Claim, writes: Sequence[Write], effect: NewEffect) -> EffectRow:
        """Apply `writes` and record the intent, in one transaction; return the row that now stands.

        No row: inserted at epoch 0, INTENT. VOID row: becomes INTENT with this call, its epoch kept. INTENT or DONE
        row: returned as it is (its stored call is what must be sent, not ours). Raises Fenced, EffectTaken.
        """
        token = next(self._tokens)
        parts = [
            statements.guard(claim, writes, token),
            *statements.writes_of(writes),
            statements.intend(effect, claim.request_id),
        ]
        recorded = await self.write(parts, statements.intended(effect, claim, token))
        if not recorded:
            recorded = await self.read(statements.select_effect(effect.effect_id))
        return rows.effect_row(recorded[0])

    async def commit(self, claim: Claim | None, writes: Sequence[Write]) -> None:
        """Apply `writes` in one transaction. `claim` None is for writes that belong to no request.

        Raises Fenced, EffectTaken; ValueError when a request's own write comes without its claim.
        """
        parts = statements.writes_of(writes)
        if claim is None:
            if any(isinstance(write, (LinkRequest, FinishRequest)) for write in writes):
                raise ValueError("LinkRequest and FinishRequest need a claim")
            if parts:
                await self.write(parts)
            return
        token = next(self._tokens)
        await self.write([statements.guard(claim, writes, token), *parts], statements.committed(claim, token))

    # ----------------------------------------------------------------------------------------------------- reads

    async def get_effect(self, effect_id: str) -> EffectRow | None:
        """Read one effect."""
        found = await self.read(statements.select_effect(effect_id))
        return rows.effect_row(found[0]) if found else None

    async def open_effects(self, request_id: str) -> list[EffectRow]:
        """The effects that the request intended and that are not settled, oldest first."""
        return [rows.effect_row(row) for row in await self.read(statements.select_open_effects(request_id))]

    async def get_clone(self, clone_id: str) -> Clone | None:
        """Read one clone."""
        found = await self.read(lineage.select_clone(clone_id))
        return rows.clone(found[0]) if found else None

    async def find_reusable_clone(
        self, connected_account_id: str, platform_payment_method_id: str, flow: CloneFlow
    ) -> Clone | None:
        """The clone with `reusable` true, whatever its state; at most one exists."""
        part = lineage.select_reusable_clone(connected_account_id, platform_payment_method_id, flow)
        found = await self.read(part)
        return rows.clone(found[0]) if found else None

    async def list_clones(self, where: CloneFilter, page: Page) -> list[Clone]:
        """Newest first by (create_time_us, clone_id)."""
        return [rows.clone(row) for row in await self.read(lineage.list_clones(where, page))]

    async def get_charge(self, charge_id: str) -> Charge | None:
        """Read one charge."""
        found = await self.read(lineage.select_charge(charge_id))
        return rows.charge(found[0]) if found else None

    async def list_charges(self, where: ChargeFilter, page: Page) -> list[Charge]:
        """Newest first by (create_time_us, charge_id)."""
        return [rows.charge(row) for row in await self.read(lineage.list_charges(where, page))]

    async def find_charge(self, connected_account_id: str, stripe_payment_intent_id: str) -> Charge | None:
        """The charge of a PaymentIntent on an account."""
        part = refunds.select_charge_of_payment_intent(connected_account_id, stripe_payment_intent_id)
        found = await self.read(part)
        return rows.charge(found[0]) if found else None

    async def get_refund(self, refund_id: str) -> Refund | None:
        """Read one refund."""
        found = await self.read(refunds.select_refund(refund_id))
        return rows.refund(found[0]) if found else None

    async def find_refund(self, connected_account_id: str, stripe_refund_id: str) -> Refund | None:
        """The refund that stands for Stripe's (re_...) on an account."""
        found = await self.read(refunds.select_refund_by_stripe_id(connected_account_id, stripe_refund_id))
        return rows.refund(found[0]) if found else None

    async def list_refunds(self, charge_id: str, page: Page) -> list[Refund]:
        """Refunds of a charge, newest first by (create_time_us, refund_id)."""
        return [rows.refund(row) for row in await self.read(refunds.list_refunds(charge_id, page))]

    async def get_basket(self, basket_id: str) -> Basket | None:
        """Read one basket."""
        found = await self.read(refunds.select_basket(basket_id))
        return rows.basket(found[0]) if found else None

    async def get_connected_customer(
        self, connected_account_id: str, platform_customer_id: str
    ) -> ConnectedCustomer | None:
        """The customer that stands for a platform customer on an account."""
        found = await self.read(lineage.select_connected_customer(connected_account_id, platform_customer_id))
        return rows.connected_customer(found[0]) if found else None

    async def get_connected_account(self, connected_account_id: str) -> ConnectedAccount | None:
        """What events told of a connected account; None if none did."""
        found = await self.read(lineage.select_connected_account(connected_account_id))
        return rows.connected_account(found[0]) if found else None

    async def get_platform_customer(self, platform_customer_id: str) -> PlatformCustomer | None:
        """What the ledger knows of a platform customer."""
        found = await self.read(lineage.select_platform_customer(platform_customer_id))
        return rows.platform_customer(found[0]) if found else None

    async def find_platform_customer(self, external_reference: str) -> PlatformCustomer | None:
        """The platform customer with this (non-empty) external reference; at most one exists."""
        found = await self.read(lineage.select_platform_customer_by_reference(external_reference))
        return rows.platform_customer(found[0]) if found else None
