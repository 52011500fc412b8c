"""The right to erasure: every clone off its account, the connected customers deleted, the ledger left with tombstones.

First all that is done at Stripe, account by account, while the ledger still knows where to look; then the ledger. A
request that dies on the way finds its done effects and what is left, so each step is safe to repeat. Charges stay for
accounting without what is personal: amounts, states and Stripe's own ids, under a keyed hash of the shopper's id.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cloneservice_server.domain import errors
from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.commands import EraseCustomer
from cloneservice_server.domain.results import AccountErased, CustomerErased
from cloneservice_server.domain.values import (
    Charge,
    Clone,
    CloneState,
    ConnectedCustomer,
    PaymentMethodSummary,
)
from cloneservice_server.ports import (
    ChargeFilter,
    CloneFilter,
    DropConnectedCustomer,
    DropPlatformCustomer,
    ForgetEffects,
    NewEffect,
    Page,
    PutBasket,
    PutCharge,
    PutClone,
    PutConnectedCustomer,
    StrikeBatchItems,
    StripeCall,
    Write,
)
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.clones import shared_clone_effect
from cloneservice_server.workflows.revoke_clone import detach
from cloneservice_server.workflows.run import Restart, Run

Row = TypeVar("Row", Clone, Charge)
_PAGE = 100
_WRITES_MAX = 100  # in one transaction: others write between two of them

KEPT = (
    "Charges, refunds and disputes at Stripe stay there, with our metadata: Stripe and the sellers keep them by law.",
    "Charges stay in this ledger with amounts, states and Stripe's ids, without personal data, for accounting.",
    "Stored answers of earlier requests, and the calls they made, are forgotten when the retention of requests ends.",
    "Items of batches that have still to run name the shopper: cancel such batches, then erase again.",
    "Backups and exports of the ledger are yours to expire.",
)
"""What an erasure leaves, whatever it erases."""
KEPT_PLATFORM_CUSTOMER = "The customer on the platform stays at Stripe: delete_platform_customer was not asked for."


@dataclass(frozen=True, slots=True)
class _Traces:
    """What the ledger holds of a shopper."""

    clones: list[Clone]
    charges: list[Charge]

    def accounts(self) -> list[str]:
        there = {made.connected_account_id for made in self.clones}
        return sorted(there | {charge.connected_account_id for charge in self.charges})

    def count(self, account: str) -> AccountErased:
        return AccountErased(
            account,
            sum(made.connected_account_id == account for made in self.clones),
            sum(charge.connected_account_id == account for charge in self.charges),
        )


async def erase_customer(run: Run, command: EraseCustomer) -> CustomerErased:
    """Erase at Stripe, then here; then look whether anything came in between, and begin again if so."""
    customer = command.platform_customer_id
    known = await _traces(run, customer, command.connected_account_id)
    refused: dict[str, str] = {}
    for account in known.accounts():
        try:
            await _erase_on_account(run, account, customer, known.clones)
        except errors.AccountUnavailable as error:  # the seller left: what is there is beyond the platform's reach
            refused[account] = errors.encode(error)
    if command.delete_platform_customer:
        await _delete(run, "", customer)
    await _erase_in_ledger(run, command, known)
    left = await _traces(run, customer, command.connected_account_id)
    if left.clones or left.charges:
        raise Restart
    return await _report(run, command, refused)


async def preview_erase_customer(run: Run, command: EraseCustomer) -> CustomerErased:
    """`validate_only`: count what would go."""
    known = await _traces(run, command.platform_customer_id)
    return CustomerErased(
        accounts=tuple(map(known.count, known.accounts())),
        clone_count=len(known.clones),
        charge_count=len(known.charges),
        kept=_kept(command, {}),
        preview=True,
    )


def without_personal_data(command: EraseCustomer) -> EraseCustomer:
    """The command as it may stay in the ledger once it is done."""
    return dataclasses.replace(command, platform_customer_id="")


# -------------------------------------------------------------------------------------------------------- at Stripe


async def _erase_on_account(run: Run, account: str, customer: str, clones: Iterable[Clone]) -> None:
    """Deleting the customer that we made there takes its cards along; elsewhere our clones are taken off."""
    known = await run.ledger.get_connected_customer(account, customer)
    ours = known.connected_customer_id if known else ""
    if ours:
        await _delete(run, account, ours)
    for made in clones:
        there = made.connected_account_id == account
        if there and made.connected_customer_id != ours and made.state in (CloneState.ATTACHED, CloneState.STALE):
            await detach(run, made)


async def _delete(run: Run, account: str, customer: str) -> None:
    """Delete a customer, and look that it is gone."""
    name, delete = f"erase:{account}:{customer}", calls.delete_customer(account, customer)
    look = StripeCall("GET", f"/v1/customers/{customer}", account)
    try:
        if account:
            await run.effect(NewEffect(name, "delete_customer", delete))
            body = await run.read(look, step="delete_customer")
        else:
            await run.effect(NewEffect(name, "platform_delete", delete))
            body = await run.read(look, step="platform_delete")
    except errors.ResourceNotFound:
        return
    if not body.get("deleted"):
        raise errors.OutcomeUnknown(
            "Stripe still shows a customer that was deleted; repeat with the same request_id", retry_after_s=2.0
        )


# ---------------------------------------------------------------------------------------------------- in the ledger


async def _erase_in_ledger(run: Run, command: EraseCustomer, known: _Traces) -> None:
    customer, everywhere = command.platform_customer_id, not command.connected_account_id
    now_us, alias = run.now_us(), run.pseudonyms.of(customer)
    baskets = {charge.basket_id for charge in known.charges if charge.basket_id and everywhere}
    writes: list[Write] = [PutCharge(_charge_without_person(charge, alias, now_us)) for charge in known.charges]
    for basket_id in sorted(baskets):
        basket = await run.ledger.get_basket(basket_id)
        if basket is not None and basket.platform_customer_id != alias:
            writes.append(PutBasket(_without_person(basket, alias, run.pseudonyms.of, now_us)))
    for made in known.clones:
        writes += await _tombstone(run, made, alias, now_us)
    for account in known.accounts():
        writes += await _forget_connected_customer(run, account, customer, alias)
    if everywhere:
        writes += await _forget_platform_customer(run, customer)
        writes.append(StrikeBatchItems(customer, alias))
    for start in range(0, len(writes), _WRITES_MAX):
        await run.flush(*writes[start : start + _WRITES_MAX])


def _charge_without_person(charge: Charge, alias: str, now_us: int) -> Charge:
    return dataclasses.replace(
        charge,
        platform_customer_id=alias,
        connected_customer_id="",
        metadata={},
        next_action=None,
        decline=dataclasses.replace(charge.decline, message="") if charge.decline else None,
        update_time_us=now_us,
        version=charge.version + 1,
    )


def _without_person(basket: Basket, alias: str, of: Callable[[str], str], now_us: int) -> Basket:
    return dataclasses.replace(
        basket,
        platform_customer_id=alias,
        platform_payment_method_id=of(basket.platform_payment_method_id),
        metadata={},
        update_time_us=now_us,
        version=basket.version + 1,
    )


async def _tombstone(run: Run, made: Clone, alias: str, now_us: int) -> list[Write]:
    """The clone under keyed hashes. A shared one holds its generation, so that its name is never used again."""
    original = run.pseudonyms.of(made.platform_payment_method_id)
    writes: list[Write] = []
    account = made.connected_account_id
    earlier = await run.ledger.find_reusable_clone(account, original, made.flow) if made.reusable else None
    if earlier is not None:
        writes.append(PutClone(dataclasses.replace(earlier, reusable=False, version=earlier.version + 1)))
    gone = dataclasses.replace(
        made,
        state=CloneState.ERASED,
        platform_customer_id=alias,
        platform_payment_method_id=original,
        connected_object_id="",
        charge_with="",
        connected_customer_id="",
        summary=PaymentMethodSummary(),
        platform_fingerprint="",
        last_error="",
        metadata={},
        update_time_us=now_us,
        version=made.version + 1,
    )
    effects = (
        shared_clone_effect(account, made.platform_payment_method_id, made.flow, made.generation),
        f"attach:{made.clone_id}:{made.connected_customer_id}",
        f"detach:{made.clone_id}",
    )
    return [*writes, PutClone(gone), ForgetEffects(effects)]


async def _forget_connected_customer(run: Run, account: str, customer: str, alias: str) -> list[Write]:
    known = await run.ledger.get_connected_customer(account, customer)
    if known is None:
        return []
    effects = [f"customer:{account}:{customer}:{number}" for number in range(known.generation + 1)]
    if known.connected_customer_id:
        effects.append(f"erase:{account}:{known.connected_customer_id}")
    return [
        PutConnectedCustomer(ConnectedCustomer(account, alias, "", known.generation + 1, known.create_time_us)),
        DropConnectedCustomer(account, customer),
        ForgetEffects(tuple(effects)),
    ]


async def _forget_platform_customer(run: Run, customer: str) -> list[Write]:
    known = await run.ledger.get_platform_customer(customer)
    effects = [f"erase::{customer}"]
    if known is not None and known.external_reference:
        digest = hashlib.sha256(known.external_reference.encode()).hexdigest()[:32]
        effects.append(f"platform_customer:ref:{digest}")
    return [DropPlatformCustomer(customer), ForgetEffects(tuple(effects))]


# ------------------------------------------------------------------------------------------------------------ reads


async def _traces(run: Run, customer: str, account: str = "") -> _Traces:
    """All that is of a shopper, on one account if it is named."""

    async def clones(page: Page) -> list[Clone]:
        where = CloneFilter(platform_customer_id=customer, connected_account_id=account)
        return await run.ledger.list_clones(where, page)

    async def charges(page: Page) -> list[Charge]:
        where = ChargeFilter(platform_customer_id=customer, connected_account_id=account)
        return await run.ledger.list_charges(where, page)

    return _Traces(await _all(clones, lambda made: made.clone_id), await _all(charges, lambda charge: charge.charge_id))


async def _all(read: Callable[[Page], Awaitable[list[Row]]], name: Callable[[Row], str]) -> list[Row]:
    found: list[Row] = []
    page = Page(_PAGE)
    while True:
        rows = await read(page)
        found += rows
        if len(rows) < _PAGE:
            return found
        page = Page(_PAGE, rows[-1].create_time_us, name(rows[-1]))


async def _report(run: Run, command: EraseCustomer, refused: dict[str, str]) -> CustomerErased:
    """What this request erased, read from its tombstones: after a crash, too, it is all of it."""
    alias, since_us = run.pseudonyms.of(command.platform_customer_id), run.row.create_time_us
    account = command.connected_account_id

    async def clones(page: Page) -> list[Clone]:
        where = CloneFilter(platform_customer_id=alias, connected_account_id=account, states=(CloneState.ERASED,))
        return await run.ledger.list_clones(where, page)

    async def charges(page: Page) -> list[Charge]:
        where = ChargeFilter(platform_customer_id=alias, connected_account_id=account)
        return await run.ledger.list_charges(where, page)

    erased = _Traces(
        [made for made in await _all(clones, lambda made: made.clone_id) if made.update_time_us >= since_us],
        [one for one in await _all(charges, lambda charge: charge.charge_id) if one.update_time_us >= since_us],
    )
    accounts = tuple(
        dataclasses.replace(erased.count(there), error=refused.get(there, "")) for there in erased.accounts()
    )
    return CustomerErased(
        accounts=accounts,
        clone_count=len(erased.clones),
        charge_count=len(erased.charges),
        kept=_kept(command, refused),
        create_time_us=since_us,
        end_time_us=run.now_us(),
        pseudonym=alias,
    )


def _kept(command: EraseCustomer, refused: dict[str, str]) -> tuple[str, ...]:
    there = [
        f"What {account} holds: the platform has no access to it any more; its owner must erase it."
        for account in sorted(refused)
    ]
    return (*there, *(() if command.delete_platform_customer else (KEPT_PLATFORM_CUSTOMER,)), *KEPT)
