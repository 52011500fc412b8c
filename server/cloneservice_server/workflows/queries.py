"""Reads: what the ledger knows, and Stripe's word where the caller asks for it."""

from __future__ import annotations

import dataclasses

from cloneservice_server.domain import errors
from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.pseudonyms import Pseudonyms
from cloneservice_server.domain.values import Charge, Clone, CloneState, PlatformPaymentMethod, Refund, RequestState
from cloneservice_server.ports import (
    ChargeFilter,
    Clock,
    CloneFilter,
    EffectTaken,
    Ledger,
    LedgerUnavailable,
    Page,
    PutCharge,
    RequestRow,
    StripeCall,
    StripeGateway,
)
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.run import RetrySettings, Run
from cloneservice_server.workflows.stripe_objects import (
    default_payment_method,
    news_of,
    payment_intent_facts,
    summary_of,
)


class Queries:
    """Every read of the contract. Raises ResourceNotFound, LedgerDown, and what Stripe's refusals stand for."""

    def __init__(
        self,
        ledger: Ledger,
        gateway: StripeGateway,
        clock: Clock,
        retry: RetrySettings | None = None,
        *,
        erasure_key: bytes = b"",
    ) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self._retry = retry or RetrySettings()
        self._pseudonyms = Pseudonyms(erasure_key)

    def _erased(self, identifier: str) -> str:
        return self._pseudonyms.of(identifier) if identifier else ""

    def _reader(self) -> Run:
        row = RequestRow("", "query", "", "", RequestState.RUNNING, fence=0)
        return Run(row, self._ledger, self._gateway, self._clock, self._retry)

    async def get_clone(self, clone_id: str) -> Clone:
        """One clone."""
        with _ledger_errors():
            made = await self._ledger.get_clone(clone_id)
        if made is None:
            raise errors.not_found("clone", clone_id)
        return made

    async def list_clones(self, where: CloneFilter, page: Page) -> list[Clone]:
        """Clones, newest first; those that were erased are found by the ids that they once had."""
        if where.states == (CloneState.ERASED,):
            where = dataclasses.replace(
                where,
                platform_customer_id=self._erased(where.platform_customer_id),
                platform_payment_method_id=self._erased(where.platform_payment_method_id),
            )
        with _ledger_errors():
            return await self._ledger.list_clones(where, page)

    async def get_charge(self, charge_id: str, *, refresh: bool) -> Charge:
        """One charge; with `refresh`, as Stripe shows it now, which the ledger then keeps."""
        with _ledger_errors():
            charge = await self._ledger.get_charge(charge_id)
            if charge is None:
                raise errors.not_found("charge", charge_id)
            if not refresh or not charge.stripe_payment_intent_id:
                return charge
            body = await self._reader().read(calls.read_payment_intent(charge))
            seen = news_of(charge, payment_intent_facts(body), self._clock.now_us())
            return charge if seen is None else await self._keep(charge, seen)

    async def _keep(self, known: Charge, seen: Charge) -> Charge:
        try:
            await self._ledger.commit(None, [PutCharge(seen)])
        except EffectTaken:  # a workflow wrote at the same time: its word is newer than what we read
            return await self._ledger.get_charge(known.charge_id) or known
        return seen

    async def list_refunds(self, charge_id: str, page: Page) -> list[Refund]:
        """Refunds of a charge, newest first."""
        with _ledger_errors():
            if await self._ledger.get_charge(charge_id) is None:
                raise errors.not_found("charge", charge_id)
            return await self._ledger.list_refunds(charge_id, page)

    async def get_basket(self, basket_id: str) -> Basket:
        """One basket."""
        with _ledger_errors():
            basket = await self._ledger.get_basket(basket_id)
        if basket is None:
            raise errors.not_found("basket", basket_id)
        return basket

    async def list_charges(self, where: ChargeFilter, page: Page) -> list[Charge]:
        """Charges, newest first."""
        with _ledger_errors():
            return await self._ledger.list_charges(where, page)

    async def lookup(self, request_id: str) -> RequestRow | None:
        """What became of a request; None if it was never seen."""
        with _ledger_errors():
            return await self._ledger.get_request(request_id.lower())

    async def list_platform_payment_methods(
        self, platform_customer_id: str, limit: int, starting_after: str = ""
    ) -> tuple[list[PlatformPaymentMethod], bool]:
        """What a platform customer has saved, and whether there is more. Legacy cards are among them."""
        reader = self._reader()
        customer = await reader.read(StripeCall("GET", f"/v1/customers/{platform_customer_id}"), step="platform_read")
        if customer.get("deleted"):
            raise errors.not_found("platform_customer", platform_customer_id)
        params: dict[str, object] = {"limit": min(limit, 100)}
        if starting_after:
            params["starting_after"] = starting_after
        path = f"/v1/customers/{platform_customer_id}/payment_methods"
        page = await reader.read(StripeCall("GET", path, "", params), step="platform_read")
        default = default_payment_method(customer)
        saved = [
            PlatformPaymentMethod(body["id"], platform_customer_id, summary_of(body), is_default=body["id"] == default)
            for body in page["data"]
        ]
        return saved, bool(page.get("has_more"))


class _ledger_errors:  # noqa: N801 - reads as a statement
    """A ledger that cannot be read, in the service's words."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, LedgerUnavailable):
            raise errors.LedgerDown("The ledger cannot be read now", retry_after_s=2.0) from error
