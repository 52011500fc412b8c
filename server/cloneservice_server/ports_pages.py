"""What the admin page reads: the same ledger as `ports.Ledger`, through a door that cannot write and is not in the way.

Every list is bounded by its page or its limit. Each method raises LedgerUnavailable when the ledger is away, or when it
does not answer soon: a page is never worth a request's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.batches import BatchItem, CloneBatch, Failures, ItemState
from cloneservice_server.domain.values import (
    Charge,
    ChargeState,
    Clone,
    ConnectedAccount,
    ConnectedCustomer,
    PlatformCustomer,
    Refund,
    RequestState,
)
from cloneservice_server.ports import ChargeFilter, CloneFilter, EffectRow, Page, RequestRow
from cloneservice_server.ports_observer import Unfinished

LOOKED_THROUGH = 5000
"""A list of requests by state or method, or of charges by state, looks at so many, newest first: no index serves every
question, and what is looked for may be rare."""


class LedgerView(Protocol):
    """Reads for people."""

    async def aclose(self) -> None:
        """Close what was opened; reading again opens it again."""
        ...

    # ------------------------------------------------------------------------------------------- as ports.Ledger

    async def get_request(self, request_id: str) -> RequestRow | None:
        """Read one request."""
        ...

    async def count_unfinished(self) -> Unfinished:
        """How many requests have no final answer yet."""
        ...

    async def get_clone(self, clone_id: str) -> Clone | None:
        """Read one clone."""
        ...

    async def list_clones(self, where: CloneFilter, page: Page) -> list[Clone]:
        """Newest first by (create_time_us, clone_id)."""
        ...

    async def get_charge(self, charge_id: str) -> Charge | None:
        """Read one charge."""
        ...

    async def list_charges(self, where: ChargeFilter, page: Page) -> list[Charge]:
        """Newest first by (create_time_us, charge_id)."""
        ...

    async def get_refund(self, refund_id: str) -> Refund | None:
        """Read one refund."""
        ...

    async def list_refunds(self, charge_id: str, page: Page) -> list[Refund]:
        """Refunds of a charge, newest first by (create_time_us, refund_id)."""
        ...

    async def get_basket(self, basket_id: str) -> Basket | None:
        """Read one basket."""
        ...

    async def get_connected_account(self, connected_account_id: str) -> ConnectedAccount | None:
        """What events told of a connected account; None if none did."""
        ...

    async def get_platform_customer(self, platform_customer_id: str) -> PlatformCustomer | None:
        """What the ledger knows of a platform customer."""
        ...

    async def find_platform_customer(self, external_reference: str) -> PlatformCustomer | None:
        """The platform customer with this (non-empty) external reference; at most one exists."""
        ...

    # -------------------------------------------------------------------------------------- as ports.BatchLedger

    async def get_batch(self, batch_id: str) -> CloneBatch | None:
        """Read one batch."""
        ...

    async def list_batches(self, page: Page, caller: str = "") -> list[CloneBatch]:
        """Newest first by (create_time_us, batch_id)."""
        ...

    async def list_active_batches(self, limit: int = 100) -> list[CloneBatch]:
        """Those that are PENDING, RUNNING or CANCELING, oldest first."""
        ...

    async def list_items(
        self, batch_id: str, states: Sequence[ItemState], after_index: int, limit: int
    ) -> list[BatchItem]:
        """By index, with their clones."""
        ...

    async def list_failures(self, batch_id: str) -> list[Failures]:
        """Failed items by reason, most frequent first."""
        ...

    # ---------------------------------------------------------------------------------------- for the pages alone

    async def list_requests(self, states: Sequence[RequestState], page: Page, method: str = "") -> list[RequestRow]:
        """Requests in one of `states`, newest change first by (update_time_us, request_id); `page` counts in these.

        `method` "" is any. Of those that ended or were parked, at most LOOKED_THROUGH are looked at.
        """
        ...

    async def list_effects(self, request_id: str, limit: int) -> list[EffectRow]:
        """The effects that the request intended, oldest first."""
        ...

    async def find_effects(self, *, stripe_request_id: str = "", stripe_id: str = "", limit: int) -> list[EffectRow]:
        """Effects that Stripe answered under this Request-Id, or that made this object of Stripe's; newest first.

        PaymentIntents are not found so: see `find_charges`.
        """
        ...

    async def find_charges(self, stripe_payment_intent_id: str, limit: int) -> list[Charge]:
        """The charge of a PaymentIntent, on whichever account; more than one only if accounts share an id."""
        ...

    async def list_charges_in(self, state: ChargeState, page: Page) -> list[Charge]:
        """Newest first by (create_time_us, charge_id); at most LOOKED_THROUGH charges are looked at."""
        ...

    async def list_baskets(self, page: Page, platform_customer_id: str = "") -> list[Basket]:
        """Newest first by (create_time_us, basket_id)."""
        ...

    async def list_connected_customers(self, platform_customer_id: str, limit: int) -> list[ConnectedCustomer]:
        """The customers that stand for a platform customer, by account."""
        ...
