"""What one item of a batch does: the commands that unary calls run, and what their answers make of the item."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cloneservice_server.domain import codec, errors
from cloneservice_server.domain.batches import BatchItem, BatchOperation, BatchPlan, ItemState
from cloneservice_server.domain.commands import (
    AttachOptions,
    ClonePaymentMethod,
    Command,
    EraseCustomer,
    RefreshClone,
    RevokeClone,
)
from cloneservice_server.domain.results import CustomerErased, Result
from cloneservice_server.domain.values import CloneState
from cloneservice_server.ports import CloneFilter, Ledger, Page

_LIVING = tuple(
    state for state in CloneState if state not in (CloneState.REVOKED, CloneState.ERASED, CloneState.FAILED)
)
_CLONES_MAX = 100
"""Clones of one customer on one account that an item reaches."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item."""

    state: ItemState
    clone_id: str = ""
    reused: bool = False
    error: errors.DomainError | None = None
    pseudonym: str = ""


async def commands_of(ledger: Ledger, plan: BatchPlan, item: BatchItem) -> list[Command]:
    """What to run for an item, in order; none when there is nothing to do."""
    if plan.operation is BatchOperation.CLONE:
        return [
            ClonePaymentMethod(
                platform_customer_id=item.platform_customer_id,
                connected_account_id=item.connected_account_id,
                platform_payment_method_id=item.platform_payment_method_id,
                flow=plan.flow,
                attach=AttachOptions(set_default=plan.set_default),
            )
        ]
    if plan.operation is BatchOperation.ERASE:
        return [EraseCustomer(item.platform_customer_id, connected_account_id=item.connected_account_id)]
    where = CloneFilter(
        platform_customer_id=item.platform_customer_id,
        platform_payment_method_id=item.platform_payment_method_id,
        connected_account_id=item.connected_account_id,
        states=_LIVING,
    )
    clones = await ledger.list_clones(where, Page(_CLONES_MAX))
    if plan.operation is BatchOperation.REVOKE:
        return [RevokeClone(clone.clone_id) for clone in clones]
    return [RefreshClone(clone.clone_id) for clone in clones if not clone.superseded_by_clone_id]


def outcome_of(plan: BatchPlan, results: list[Result]) -> Outcome:
    """What the answers of an item's commands make of it: a refresh that found nothing stale is SKIPPED."""
    if not results:
        return Outcome(ItemState.SKIPPED)
    if isinstance(erased := results[0], CustomerErased):
        return _erased(erased)
    clone = next((made.clone_id for result in results if (made := getattr(result, "clone", None))), "")
    if plan.operation is BatchOperation.REFRESH and not any(getattr(result, "changed", True) for result in results):
        return Outcome(ItemState.SKIPPED, clone)
    return Outcome(ItemState.SUCCEEDED, clone, reused=all(getattr(result, "reused", False) for result in results))


def _erased(result: CustomerErased) -> Outcome:
    """SKIPPED where nothing was; FAILED where the account is beyond reach, though this ledger has forgotten."""
    refused = next((errors.decode(account.error) for account in result.accounts if account.error), None)
    if refused is not None:
        return Outcome(ItemState.FAILED, error=refused, pseudonym=result.pseudonym)
    state = ItemState.SUCCEEDED if result.accounts else ItemState.SKIPPED
    return Outcome(state, pseudonym=result.pseudonym)


def request_hash(command: Command) -> str:
    """Of an item's own request: nobody else makes it, so it need only be the same each time."""
    return hashlib.sha256(f"{command.method}\n{codec.dumps(command)}".encode()).hexdigest()
