"""The search box: an id of any kind, of ours or of Stripe's, to the pages that know it."""

from __future__ import annotations

from dataclasses import dataclass

from cloneservice_server.domain.ids import derived_uuid, is_request_id
from cloneservice_server.domain.values import CloneState
from cloneservice_server.pages.addresses import address
from cloneservice_server.ports import ChargeFilter, CloneFilter, Page
from cloneservice_server.ports_pages import LedgerView

QUERY_MAX = 200
_HITS_MAX = 20
_EVENT_SENDS = 3
_ANY = tuple(CloneState)


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that knows what was looked for, and what it is there."""

    address: str
    what: str
    id: str


async def look_up(ledger: LedgerView, query: str) -> list[Hit]:
    """Where `query` is known, each page once. Raises LedgerUnavailable."""
    text = query.strip()
    if not text or len(text) > QUERY_MAX or not text.isprintable():
        return []
    found = [*await _ours(ledger, text), *await _stripes(ledger, text)]
    if not found and (customer := await ledger.find_platform_customer(text)):
        found.append(Hit(address("shoppers", customer.platform_customer_id), "shopper", text))
    return list({hit.address: hit for hit in reversed(found)}.values())[::-1][:_HITS_MAX]


async def _ours(ledger: LedgerView, text: str) -> list[Hit]:
    """Ids that this service made, or its callers."""
    if is_request_id(text):
        row = await ledger.get_request(text.lower()) or await ledger.get_request(text)
        return [Hit(address("requests", row.request_id), "request", row.request_id)] if row else []
    if text.startswith("cln_") and await ledger.get_clone(text):
        return [Hit(address("clones", text), "clone", text)]
    if text.startswith("chg_") and await ledger.get_charge(text):
        return [Hit(address("charges", text), "charge", text)]
    if text.startswith("bsk_") and await ledger.get_basket(text):
        return [Hit(address("baskets", text), "basket", text)]
    if text.startswith("bat_") and await ledger.get_batch(text):
        return [Hit(address("batches", text), "batch", text)]
    if text.startswith("rfd_") and (refund := await ledger.get_refund(text)):
        return [Hit(address("charges", refund.charge_id), "charge that was refunded", refund.charge_id)]
    return []


async def _stripes(ledger: LedgerView, text: str) -> list[Hit]:
    """Ids of Stripe's."""
    prefix = text.partition("_")[0]
    if prefix == "cus" and await _is_shopper(ledger, text):
        return [Hit(address("shoppers", text), "shopper", text)]
    if prefix == "acct":
        clones = await ledger.list_clones(CloneFilter(connected_account_id=text, states=_ANY), Page(1))
        known = clones or await ledger.get_connected_account(text)
        return [Hit(address("accounts", text), "seller", text)] if known else []
    if prefix == "evt":
        return await _event(ledger, text)
    if prefix == "req":
        steps = await ledger.find_effects(stripe_request_id=text, limit=_HITS_MAX)
        return [Hit(address("requests", row.request_id), "request with that call", row.request_id) for row in steps]
    hits = [
        Hit(address("charges", charge.charge_id), "charge", charge.charge_id)
        for charge in (await ledger.find_charges(text, _HITS_MAX) if prefix == "pi" else [])
    ]
    if prefix in ("pm", "card", "src", "ba"):
        originals = CloneFilter(platform_payment_method_id=text, states=_ANY)
        shoppers = {clone.platform_customer_id for clone in await ledger.list_clones(originals, Page(_HITS_MAX))}
        hits += [Hit(address("shoppers", one), "shopper with that saved method", one) for one in sorted(shoppers)]
    return hits or await _made(ledger, text)


async def _made(ledger: LedgerView, text: str) -> list[Hit]:
    """Whatever object of Stripe's: by the step that made it."""
    if "_" not in text:
        return []
    steps = await ledger.find_effects(stripe_id=text, limit=_HITS_MAX)
    return [Hit(address("requests", row.request_id), "request that made it", row.request_id) for row in steps]


async def _is_shopper(ledger: LedgerView, text: str) -> bool:
    if await ledger.get_platform_customer(text):
        return True
    if await ledger.list_clones(CloneFilter(platform_customer_id=text, states=_ANY), Page(1)):
        return True
    return bool(await ledger.list_charges(ChargeFilter(platform_customer_id=text), Page(1)))


async def _event(ledger: LedgerView, event_id: str) -> list[Hit]:
    """The requests that an event became, one for each time that it was sent again after a failure."""
    ids = [derived_uuid(f"event:{event_id}:{attempt}") for attempt in range(_EVENT_SENDS)]
    known = [one for one in ids if await ledger.get_request(one)]
    return [Hit(address("requests", one), "handling of that event", one) for one in known]
