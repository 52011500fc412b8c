"""What each page shows, read from the ledger in bounded pages: plain values for the templates, no markup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloneservice_server.domain import codec, errors
from cloneservice_server.domain.batches import BatchState, CloneBatch, Failures, ItemState
from cloneservice_server.domain.commands import HandleStripeEvent
from cloneservice_server.domain.ids import idempotency_key
from cloneservice_server.domain.values import Charge, ChargeState, Clone, CloneState, ConnectedAccount, RequestState
from cloneservice_server.pages.addresses import PAGE_SIZE, cursor, page_of
from cloneservice_server.pages.lineage import SELLERS_MAX, graph_of
from cloneservice_server.ports import ChargeFilter, CloneFilter, EffectRow, LedgerUnavailable, Page, RequestRow
from cloneservice_server.ports_batches import RateLimits
from cloneservice_server.ports_pages import LedgerView
from cloneservice_server.workflows.batch_rates import items_per_second

Values = dict[str, Any]

EVENTS = HandleStripeEvent.method
UNFINISHED = (RequestState.RUNNING, RequestState.INDETERMINATE, RequestState.PARKED)
REQUEST_LISTS: dict[str, tuple[RequestState, ...]] = {
    "unfinished": UNFINISHED,
    "indeterminate": (RequestState.INDETERMINATE,),
    "parked": (RequestState.PARKED,),
    "failed": (RequestState.FAILED,),
    "succeeded": (RequestState.SUCCEEDED,),
}
OF_A_SHOPPER = 200
"""Clones, and charges, of one shopper that are read; the newest."""
STEPS_MAX = 200


@dataclass(frozen=True, slots=True)
class Story:
    """A request as a line of a list; `error` is why it failed, or stopped so far."""

    row: RequestRow
    error: errors.DomainError | None


@dataclass(frozen=True, slots=True)
class Step:
    """An effect, with its Idempotency-Key at Stripe and, if an epoch of it was refused, why."""

    row: EffectRow
    key: str
    error: errors.DomainError | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch with its figures: rates in items a second (0.0 if not known), and the seconds that are left (or None)."""

    batch: CloneBatch
    rate: float = 0.0
    limit: float = 0.0
    left_s: int | None = None


@dataclass(slots=True)
class Views:
    """Reads for each page. Raises LedgerUnavailable, BadCursor; a thing that is not there is None."""

    ledger: LedgerView
    now_us: Callable[[], int]
    limits: RateLimits = field(default_factory=RateLimits)

    async def overview(self) -> Values:
        """What needs a person, and what is under way."""
        open_requests = await self.ledger.list_requests(UNFINISHED, Page(10))
        failed = await self.ledger.list_requests((RequestState.FAILED,), Page(8))
        return {
            "unfinished": await self.ledger.count_unfinished(),
            "batches": [self._progress(batch) for batch in await self.ledger.list_active_batches(10)],
            "requests": [story_of(row) for row in open_requests],
            "failed": [story_of(row) for row in failed],
            "charges": await self.ledger.list_charges(ChargeFilter(), Page(10)),
        }

    async def shopper(self, customer_id: str) -> Values | None:
        """One platform customer over all sellers; None if nothing of them is known."""
        ledger = self.ledger
        customer = await ledger.get_platform_customer(customer_id)
        where = CloneFilter(platform_customer_id=customer_id, states=tuple(CloneState))
        clones = await ledger.list_clones(where, Page(OF_A_SHOPPER))
        charges = await ledger.list_charges(ChargeFilter(platform_customer_id=customer_id), Page(OF_A_SHOPPER))
        if customer is None and not clones and not charges:
            return None
        customers = await ledger.list_connected_customers(customer_id, OF_A_SHOPPER)
        default = customer.default_platform_payment_method_id if customer else ""
        accounts = await self._accounts(clones)
        graph = graph_of(clones, charges, customers, accounts, default_method=default, now_us=self.now_us())
        return {
            "customer_id": customer_id,
            "customer": customer,
            "clones": clones,
            "charges": charges[:PAGE_SIZE],
            "baskets": await ledger.list_baskets(Page(20), customer_id),
            "graph": graph,
            "figures": _figures(clones, charges),
            "cut": OF_A_SHOPPER in (len(clones), len(charges)),
        }

    async def _accounts(self, clones: Sequence[Clone]) -> dict[str, ConnectedAccount]:
        names = list(dict.fromkeys(clone.connected_account_id for clone in reversed(clones)))[:SELLERS_MAX]
        found = [await self.ledger.get_connected_account(name) for name in names]
        return {account.connected_account_id: account for account in found if account is not None}

    async def account(self, account_id: str) -> Values | None:
        """One seller; None if nothing of it is known."""
        ledger = self.ledger
        account = await ledger.get_connected_account(account_id)
        where = CloneFilter(connected_account_id=account_id, states=tuple(CloneState))
        clones = await ledger.list_clones(where, Page(PAGE_SIZE))
        charges = await ledger.list_charges(ChargeFilter(connected_account_id=account_id), Page(PAGE_SIZE))
        if account is None and not clones and not charges:
            return None
        return {"account_id": account_id, "account": account, "clones": clones, "charges": charges}

    async def requests(self, name: str, method: str, after: str) -> Values:
        """A list of requests; `name` is one of REQUEST_LISTS."""
        rows = await self.ledger.list_requests(REQUEST_LISTS[name], page_of(after), method)
        return {
            "list": name,
            "method": method,
            "requests": [story_of(row) for row in rows[:PAGE_SIZE]],
            "next": _next(rows, lambda row: cursor(row.update_time_us, row.request_id)),
            "unfinished": await self.ledger.count_unfinished(),
        }

    async def request(self, request_id: str) -> Values | None:
        """One request with its steps."""
        row = await self.ledger.get_request(request_id)
        if row is None:
            return None
        steps = [step_of(effect) for effect in await self.ledger.list_effects(request_id, STEPS_MAX)]
        return {"story": story_of(row), "steps": steps}

    async def events(self, after: str) -> Values:
        """Stripe's events that could not be handled, and those that wait."""
        waiting = await self.ledger.list_requests(UNFINISHED, Page(PAGE_SIZE), EVENTS)
        dead = await self.ledger.list_requests((RequestState.FAILED,), page_of(after), EVENTS)
        return {
            "waiting": [(event_of(row), story_of(row)) for row in waiting],
            "dead": [(event_of(row), story_of(row)) for row in dead[:PAGE_SIZE]],
            "next": _next(dead, lambda row: cursor(row.update_time_us, row.request_id)),
        }

    async def charges(self, state: str, after: str) -> Values:
        """Charges, newest first; `state` "" is any."""
        states = tuple(one for one in ChargeState if one == state)
        page, ledger = page_of(after), self.ledger
        found = await (ledger.list_charges_in(states[0], page) if states else ledger.list_charges(ChargeFilter(), page))
        return {
            "state": state if states else "",
            "states": [one.value for one in ChargeState],
            "charges": found[:PAGE_SIZE],
            "next": _next(found, lambda charge: cursor(charge.create_time_us, charge.charge_id)),
        }

    async def charge(self, charge_id: str) -> Values | None:
        """One charge with its refunds, its clone and the request that made it."""
        charge = await self.ledger.get_charge(charge_id)
        if charge is None:
            return None
        made_by = charge.request_id.rpartition(":")[2]
        return {
            "charge": charge,
            "refunds": await self.ledger.list_refunds(charge_id, Page(PAGE_SIZE)),
            "clone": await self.ledger.get_clone(charge.clone_id) if charge.clone_id else None,
            "made_by": made_by,
            "kept": made_by and await self.ledger.get_request(made_by) is not None,
        }

    async def clone(self, clone_id: str) -> Values | None:
        """One clone with the steps that made it and its charges."""
        clone = await self.ledger.get_clone(clone_id)
        if clone is None:
            return None
        made = clone.connected_object_id
        steps = await self.ledger.find_effects(stripe_id=made, limit=20) if made else []
        return {
            "clone": clone,
            "error": error_of(clone.last_error),
            "steps": [step_of(effect) for effect in reversed(steps)],
            "charges": await self.ledger.list_charges(ChargeFilter(clone_id=clone_id), Page(PAGE_SIZE)),
        }

    async def baskets(self, after: str) -> Values:
        """Baskets, newest first."""
        found = await self.ledger.list_baskets(page_of(after))
        return {
            "baskets": found[:PAGE_SIZE],
            "next": _next(found, lambda basket: cursor(basket.create_time_us, basket.basket_id)),
        }

    async def basket(self, basket_id: str) -> Values | None:
        """One basket with its legs."""
        basket = await self.ledger.get_basket(basket_id)
        if basket is None:
            return None
        legs = [(leg, error_of(leg.error)) for leg in basket.legs]
        return {"basket": basket, "legs": legs, "error": error_of(basket.error)}

    async def batches(self, after: str) -> Values:
        """Batches, newest first."""
        found = await self.ledger.list_batches(page_of(after))
        return {
            "batches": [self._progress(batch) for batch in found[:PAGE_SIZE]],
            "next": _next(found, lambda batch: cursor(batch.create_time_us, batch.batch_id)),
        }

    async def batch(self, batch_id: str, state: str, after_index: int) -> Values | None:
        """One batch with its progress, its failures by reason, and a page of its items."""
        batch = await self.ledger.get_batch(batch_id)
        if batch is None:
            return None
        states = tuple(one for one in ItemState if one == state)
        items = await self.ledger.list_items(batch_id, states, after_index, PAGE_SIZE + 1)
        return {
            "progress": self._progress(batch),
            "failures": await self._failures(batch),
            "state": state if states else "",
            "states": [one.value for one in ItemState],
            "items": [(item, error_of(item.error)) for item in items[:PAGE_SIZE]],
            "next": _next(items, lambda item: str(item.index)),
        }

    async def _failures(self, batch: CloneBatch) -> list[Failures] | None:
        """None when there are too many to count in the time that a page has."""
        if not batch.failed_count:
            return []
        try:
            return await self.ledger.list_failures(batch.batch_id)
        except LedgerUnavailable:
            return None

    def _progress(self, batch: CloneBatch) -> Progress:
        rate, left_s = 0.0, None
        if batch.start_time_us:
            elapsed_us = (batch.end_time_us or self.now_us()) - batch.start_time_us
            rate = batch.done_count * 1_000_000 / max(elapsed_us, 1)
        if batch.state in (BatchState.RUNNING, BatchState.CANCELING) and rate > 0:
            left_s = round((batch.total_count - batch.done_count) / rate)
        return Progress(batch, rate, items_per_second(batch.plan, self.limits), left_s)


def story_of(row: RequestRow) -> Story:
    """A request and its stored error."""
    return Story(row, error_of(row.error))


def event_of(row: RequestRow) -> HandleStripeEvent:
    """What an event's request is to do; an empty one if this release cannot read it."""
    try:
        return codec.loads(HandleStripeEvent, row.command)
    except (ValueError, TypeError):
        return HandleStripeEvent("", "")


def step_of(row: EffectRow) -> Step:
    """An effect and what belongs to it."""
    return Step(row, idempotency_key(row.effect_id, row.epoch), error_of(row.error))


def error_of(text: str) -> errors.DomainError | None:
    """A stored error; None for none, and for one that this release does not know how to read."""
    if not text:
        return None
    try:
        return errors.decode(text)
    except (ValueError, TypeError, KeyError, AttributeError):
        return errors.InternalError("An error that this release cannot read")


def _next(rows: Sequence[Any], cursor_of: Callable[[Any], str]) -> str:
    """Where the next page goes on, or "" when this is the last."""
    return cursor_of(rows[PAGE_SIZE - 1]) if len(rows) > PAGE_SIZE else ""


def _figures(clones: Sequence[Clone], charges: Sequence[Charge]) -> Values:
    usable = [clone for clone in clones if clone.state in (CloneState.ACTIVE, CloneState.ATTACHED)]
    received: dict[str, int] = {}
    for charge in charges:
        currency = charge.amount.currency_code
        received[currency] = received.get(currency, 0) + charge.amount_received - charge.amount_refunded
    return {
        "sellers": len({clone.connected_account_id for clone in clones}),
        "usable": len(usable),
        "stale": sum(clone.state is CloneState.STALE for clone in clones),
        "charges": len(charges),
        "declined": sum(charge.state is ChargeState.DECLINED for charge in charges),
        "received": sorted((currency, amount) for currency, amount in received.items() if amount),
    }
