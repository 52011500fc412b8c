"""The lineage read back from Stripe: what our metadata on the connected accounts says, written where a ledger lacks it.

Only GETs are sent, and rows that a ledger has are left as they are, so that it may be repeated and may be stopped.
What Stripe does not keep cannot come back: requests with their answers, batches and baskets as such, clones that were
neither attached nor charged, and of a token its own id.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloneservice_server.domain import errors
from cloneservice_server.domain.ids import derived_id
from cloneservice_server.domain.values import (
    CaptureMethod,
    Charge,
    ChargeState,
    Clone,
    CloneFlow,
    CloneState,
    ConnectedCustomer,
    Money,
    PlatformCustomer,
    Refund,
    RefundState,
    RequestState,
)
from cloneservice_server.ports import (
    Clock,
    EffectTaken,
    Ledger,
    PutCharge,
    PutClone,
    PutConnectedCustomer,
    PutPlatformCustomer,
    PutRefund,
    RequestRow,
    StripeCall,
    StripeGateway,
)
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.clones import FLOWS, shared_clone_effect
from cloneservice_server.workflows.effects import Read
from cloneservice_server.workflows.run import RetrySettings, Run
from cloneservice_server.workflows.stripe_objects import (
    Body,
    default_payment_method,
    payment_intent_facts,
    summary_of,
    with_payment_intent,
)

log = logging.getLogger("cloneservice.rebuild")

_GENERATIONS_MAX = 64
_RETRY = RetrySettings(attempts=8, backoff_s_max=15.0)
_MINE = "cloneservice_"


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did: rows by kind ("clones", "charges", ...), and the accounts that could not be read."""

    accounts: int = 0
    added: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    """Found at Stripe and in the ledger alike."""
    unread: dict[str, str] = field(default_factory=dict)
    """Account to the reason."""


async def rebuild_lineage(
    ledger: Ledger, gateway: StripeGateway, clock: Clock, accounts: Sequence[str] = ()
) -> Rebuilt:
    """Read the platform and its connected accounts (or only `accounts`), and write what the ledger has not.

    Raises the domain error of a platform that cannot be read; an account that cannot be is reported, not raised.
    """
    row = RequestRow("", "rebuild", "", "", RequestState.RUNNING, fence=0)
    read = Run(row, ledger, gateway, clock, _RETRY).read
    rebuilt = Rebuilt()
    await _platform(read, ledger, rebuilt)
    for account in accounts or [body["id"] async for body in _listed(read, "/v1/accounts")]:
        try:
            seen = await _Account(read, account, clock.now_us()).look()
        except errors.DomainError as error:
            rebuilt.unread[account] = str(error)
            continue
        await _write(ledger, seen, rebuilt)
        rebuilt.accounts += 1
        log.info("read account=%s clones=%d charges=%d", account, len(seen.clones), len(seen.charges))
    return rebuilt


async def _listed(read: Read, path: str, account: str = "", **filters: Any) -> AsyncIterator[Body]:
    params: dict[str, Any] = {**filters, "limit": 100}
    while True:
        page = await read(StripeCall("GET", path, account, params))
        for body in page["data"]:
            yield body
        if not page.get("has_more"):
            return
        params = {**params, "starting_after": page["data"][-1]["id"]}


def _metadata(body: Body) -> dict[str, str]:
    return body.get("metadata") or {}


def _labels(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if not key.startswith(_MINE)}


async def _platform(read: Read, ledger: Ledger, rebuilt: Rebuilt) -> None:
    async for body in _listed(read, "/v1/customers"):
        metadata = _metadata(body)
        if not metadata.get(calls.EFFECT, "").startswith("platform_customer:"):
            continue
        if await ledger.get_platform_customer(body["id"]) is not None:
            rebuilt.kept["platform customers"] += 1
            continue
        customer = PlatformCustomer(
            platform_customer_id=body["id"],
            external_reference=metadata.get(calls.EXTERNAL_REFERENCE, ""),
            default_platform_payment_method_id=default_payment_method(body),
            metadata=_labels(metadata),
            create_time_us=body["created"] * 1_000_000,
        )
        await ledger.commit(None, [PutPlatformCustomer(customer)])
        rebuilt.added["platform customers"] += 1


# ------------------------------------------------------------------------------------------------------ one account


class _Account:
    """What one connected account shows of our lineage."""

    def __init__(self, read: Read, account: str, now_us: int) -> None:
        self._read = read
        self._account = account
        self._now_us = now_us
        self.customers: dict[str, ConnectedCustomer] = {}
        self.clones: dict[str, Clone] = {}
        self.charges: list[Charge] = []
        self.refunds: list[Refund] = []

    async def look(self) -> _Account:
        """Customers first: what is attached to them says more than the charges that were made with it."""
        async for body in _listed(self._read, "/v1/customers", self._account):
            if _metadata(body).get(calls.PLATFORM_CUSTOMER):
                await self._customer(body)
        expand = ["data.latest_charge"]
        async for body in _listed(self._read, "/v1/payment_intents", self._account, expand=expand):
            if _metadata(body).get(calls.CHARGE):
                await self._charge(body)
        async for body in _listed(self._read, "/v1/refunds", self._account):
            if _metadata(body).get(calls.REFUND):
                self._refund(body)
        self.clones = {made.clone_id: made for made in _in_generations(self.clones.values())}
        return self

    async def _customer(self, body: Body) -> None:
        metadata = _metadata(body)
        original = metadata[calls.PLATFORM_CUSTOMER]
        generation = metadata.get(calls.EFFECT, "").rpartition(":")[2]
        customer = ConnectedCustomer(
            self._account,
            original,
            body["id"],
            int(generation) if generation.isdigit() else 0,
            body["created"] * 1_000_000,
        )
        known = self.customers.get(original)
        if known is None or customer.generation > known.generation:
            self.customers[original] = customer
        await self._attached(body)

    async def _attached(self, customer: Body) -> None:
        """The clones attached to one customer. A card that a token became as the customer was made has no metadata."""
        path = f"/v1/customers/{customer['id']}"
        objects = {
            body["id"]: body
            for kind in ("payment_methods", "sources")
            async for body in _listed(self._read, f"{path}/{kind}", self._account)
        }
        nameless = []
        for body in objects.values():
            if _metadata(body).get(calls.CLONE):
                self._clone(_metadata(body), body, customer)
            elif body["id"].startswith(("card_", "ba_")):
                nameless.append(body)
        first = _metadata(customer)
        if first.get(calls.PLATFORM_PAYMENT_METHOD) and first[calls.CLONE] not in self.clones and len(nameless) == 1:
            self._clone(first, nameless[0], customer, labels={})

    async def _charge(self, intent: Body) -> None:
        metadata = _metadata(intent)
        if metadata[calls.CLONE] not in self.clones:
            self._clone(metadata, await self._charged_with(intent), intent, labels=None)
        made = self.clones[metadata[calls.CLONE]]
        created_us = intent["created"] * 1_000_000
        bare = Charge(
            charge_id=metadata[calls.CHARGE],
            clone_id=made.clone_id,
            platform_customer_id=metadata[calls.PLATFORM_CUSTOMER],
            connected_account_id=self._account,
            amount=Money(intent["amount"], intent["currency"].upper()),
            state=ChargeState.REQUIRES_CONFIRMATION,
            connected_customer_id=made.connected_customer_id,
            application_fee=intent.get("application_fee_amount") or 0,
            capture_method=CaptureMethod.MANUAL if intent["capture_method"] == "manual" else CaptureMethod.AUTOMATIC,
            request_id=metadata.get(calls.REQUEST, ""),
            basket_id=metadata.get(calls.BASKET, ""),
            metadata=_labels(metadata),
            create_time_us=created_us,
        )
        shown = with_payment_intent(bare, payment_intent_facts(intent), self._now_us)
        self.charges.append(dataclasses.replace(shown, version=1))

    def _refund(self, body: Body) -> None:
        metadata = _metadata(body)
        name = metadata[calls.EFFECT].partition(":")[2]
        created_us = body["created"] * 1_000_000
        refund = Refund(
            refund_id=metadata[calls.REFUND],
            charge_id=metadata[calls.CHARGE],
            connected_account_id=self._account,
            amount=Money(body["amount"], body["currency"].upper()),
            state=RefundState(body["status"]),
            stripe_refund_id=body["id"],
            reason=body.get("reason") or "",
            request_id=name,
            metadata=_labels(metadata),
            create_time_us=created_us,
            update_time_us=self._now_us,
        )
        self.refunds.append(refund)

    async def _charged_with(self, intent: Body) -> Body:
        """The object that a charge was made with, by its id alone where Stripe shows no more of it."""
        refused_with = (intent.get("last_payment_error") or {}).get("payment_method") or {}
        found = intent.get("payment_method") or intent.get("source") or refused_with.get("id") or ""
        identifier = found["id"] if isinstance(found, dict) else found
        if not identifier:
            return {"id": ""}
        kind = "sources" if identifier.startswith("src_") else "payment_methods"
        try:
            return await self._read(StripeCall("GET", f"/v1/{kind}/{identifier}", self._account))
        except errors.DomainError as error:
            log.info("account=%s: %s is not shown any more (%s)", self._account, identifier, error.reason)
            return {"id": identifier}

    def _clone(self, metadata: dict[str, str], body: Body, seen_in: Body, labels: dict[str, str] | None = None) -> None:
        """Note a clone. `metadata` names it, `body` is the object itself, `seen_in` says when at the latest."""
        owner = body.get("customer") or ""
        if labels is None:
            labels = _labels(_metadata(body))
        created_us = (body.get("created") or seen_in["created"]) * 1_000_000
        clone_id, original = metadata[calls.CLONE], metadata[calls.PLATFORM_PAYMENT_METHOD]
        flow = _flow(original, body)
        generation, shared = _generation(clone_id, self._account, original, flow)
        self.clones[clone_id] = Clone(
            clone_id=clone_id,
            platform_customer_id=metadata[calls.PLATFORM_CUSTOMER],
            platform_payment_method_id=original,
            connected_account_id=self._account,
            flow=flow,
            state=CloneState.ATTACHED if owner else CloneState.CONSUMED,
            connected_object_id=body["id"],
            charge_with=body["id"],
            connected_customer_id=owner,
            summary=summary_of(body),
            generation=generation,
            reusable=shared,
            metadata=labels,
            create_time_us=created_us,
            update_time_us=self._now_us,
            verify_time_us=self._now_us,
        )


def _flow(original: str, body: Body) -> CloneFlow:
    """How a clone was made. A legacy card leaves two ways, and what a token became does not bear our clone's name."""
    first, *others = FLOWS[original.split("_", 1)[0]]
    named = _metadata(body).get(calls.EFFECT, "").startswith("clone:")
    return others[0] if others and named else first


def _generation(clone_id: str, account: str, original: str, flow: CloneFlow) -> tuple[int, bool]:
    """A reusable clone's generation, found by trying, as its id is derived from it; (0, False) for any other clone."""
    for generation in range(_GENERATIONS_MAX):
        if derived_id("cln", shared_clone_effect(account, original, flow, generation)) == clone_id:
            return generation, True
    return 0, False


def _in_generations(clones: Iterable[Clone]) -> list[Clone]:
    """The same clones, of which only the last of each line is reusable and the others name the next."""
    lines: dict[tuple[str, CloneFlow], list[Clone]] = defaultdict(list)
    done = []
    for made in clones:
        if made.reusable:
            lines[made.platform_payment_method_id, made.flow].append(made)
        else:
            done.append(made)
    for line in lines.values():
        line.sort(key=lambda made: made.generation)
        for made, successor in itertools.pairwise(line):
            done.append(dataclasses.replace(made, reusable=False, superseded_by_clone_id=successor.clone_id))
        done.append(line[-1])
    return done


# ------------------------------------------------------------------------------------------------------- the ledger


async def _write(ledger: Ledger, seen: _Account, rebuilt: Rebuilt) -> None:
    for customer in seen.customers.values():
        known = await ledger.get_connected_customer(customer.connected_account_id, customer.platform_customer_id)
        if known is not None:
            rebuilt.kept["connected customers"] += 1
            continue
        await ledger.commit(None, [PutConnectedCustomer(customer)])
        rebuilt.added["connected customers"] += 1
    for made in seen.clones.values():
        is_new = await ledger.get_clone(made.clone_id) is None and await _put_clone(ledger, made)
        (rebuilt.added if is_new else rebuilt.kept)["clones"] += 1
    for charge in seen.charges:
        is_new = await ledger.get_charge(charge.charge_id) is None and await _put(ledger, PutCharge(charge))
        (rebuilt.added if is_new else rebuilt.kept)["charges"] += 1
    for refund in seen.refunds:
        is_new = await ledger.get_refund(refund.refund_id) is None and await _put(ledger, PutRefund(refund))
        (rebuilt.added if is_new else rebuilt.kept)["refunds"] += 1


async def _put_clone(ledger: Ledger, made: Clone) -> bool:
    """Whether it was added; the ledger's own reusable clone stays the one that is reused."""
    if made.reusable:
        current = await ledger.find_reusable_clone(
            made.connected_account_id, made.platform_payment_method_id, made.flow
        )
        if current is not None:
            made = dataclasses.replace(made, reusable=False, superseded_by_clone_id=current.clone_id)
    return await _put(ledger, PutClone(made))


async def _put(ledger: Ledger, write: PutClone | PutCharge | PutRefund) -> bool:
    try:
        await ledger.commit(None, [write])
    except EffectTaken:  # a server beside us was faster
        return False
    return True
