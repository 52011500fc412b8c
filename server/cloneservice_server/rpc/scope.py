"""What a request reaches: the connected accounts, resources and amounts that it names, read off its descriptor.

It is made to refuse what it does not know. An RPC that is not listed below reaches everywhere unless its request names
accounts or resources, wherever in the message; and a request with an id of an unknown kind reaches everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cloneservice.v1 import types_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from cloneservice_server.access.policy import Amount

PLATFORM = frozenset(
    {"CreateSetup", "SavePaymentMethod", "ListPlatformPaymentMethods", "LookupRequest", "HandleStripeEvent"}
)
"""RPCs about the platform alone (or, LookupRequest, about the caller's own requests): no connected account is reached
unless the request names one. HandleStripeEvent is authenticated by Stripe's signature besides."""
LISTED = frozenset({"ListClones", "ListCharges", "ListCloneBatches"})
"""Lists whose rows are narrowed to the caller's accounts, or to what it made itself."""
MONEY_OF_CHARGE = frozenset({"ConfirmCharge", "CaptureCharge", "RefundCharge"})
"""RPCs that move an amount that the charge, not the request, may name."""

EMPTY_BY = {"CreateCloneBatch": "open"}
"""RPC to the choice by which its request reaches nothing yet: an open batch gets its accounts by AddCloneBatchItems."""

ACCOUNT_FIELDS = frozenset({"connected_account_id", "connected_account_ids", "on_behalf_of_account_id"})
RESOURCE_FIELDS = {"clone_id": "clone", "charge_id": "charge", "batch_id": "batch", "basket_id": "basket"}
"""Field to the resource type, whose accounts the ledger knows."""
NEUTRAL_IDS = frozenset(
    {
        "request_id",
        "platform_customer_id",
        "platform_customer_ids",
        "platform_payment_method_id",
        "connected_customer_id",  # of an account that the same message names, or of the clone's
    }
)
"""Ids that lead to no connected account by themselves."""
FEE_FIELDS = frozenset({"application_fee"})
"""Money that is part of an amount beside it."""


@dataclass(slots=True)
class Scope:
    """What one request reaches."""

    accounts: list[str] = field(default_factory=list)
    resources: list[tuple[str, str]] = field(default_factory=list)
    """(resource type, id)."""
    amounts: list[Amount] = field(default_factory=list)
    everywhere: bool = False
    """Whether it reaches accounts that it does not name."""


def scope_of(rpc: str, request: Message) -> Scope:
    """The scope of one request of `rpc`, before any look at the ledger."""
    scope = Scope()
    _collect(request, scope)
    if rpc in LISTED:
        scope.resources.clear()  # rows of others are left out; that a filter names one of theirs must not show
    named = bool(scope.accounts or scope.resources)
    if not named and rpc not in PLATFORM and rpc not in LISTED and not _is_empty(rpc, request):
        scope.everywhere = True
    return scope


def _is_empty(rpc: str, request: Message) -> bool:
    return rpc in EMPTY_BY and request.HasField(EMPTY_BY[rpc])


def unknown_ids(descriptor: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Fields of a request, at any depth, that look like ids and are of no kind known here."""
    for found in descriptor.fields:
        if found.message_type is not None and found.message_type.full_name not in seen:
            yield from unknown_ids(found.message_type, seen | {descriptor.full_name})
        elif found.cpp_type == FieldDescriptor.CPPTYPE_STRING and _kind(found.name) == "unknown":
            yield f"{descriptor.name}.{found.name}"


def _kind(name: str) -> str:
    if name in ACCOUNT_FIELDS:
        return "account"
    if name in RESOURCE_FIELDS:
        return "resource"
    if name in NEUTRAL_IDS or not name.endswith(("_id", "_ids", "account", "accounts")):
        return "neutral"
    return "unknown"


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: str
    repeated: bool


@lru_cache(maxsize=256)
def _fields(descriptor: Descriptor) -> tuple[_Field, ...]:
    """The fields of a message that matter here."""
    found = []
    for one in descriptor.fields:
        if one.message_type is not None:
            if one.message_type.GetOptions().map_entry:
                continue
            is_money = one.message_type.full_name == types_pb2.Money.DESCRIPTOR.full_name
            kind = ("fee" if one.name in FEE_FIELDS else "money") if is_money else "message"
        else:
            kind = _kind(one.name) if one.cpp_type == FieldDescriptor.CPPTYPE_STRING else "neutral"
        if kind not in ("neutral", "fee"):
            found.append(_Field(one.name, kind, one.is_repeated))
    return tuple(found)


def _collect(message: Message, scope: Scope) -> None:
    for one in _fields(message.DESCRIPTOR):
        value = getattr(message, one.name)
        if not one.repeated and one.kind in ("message", "money") and not message.HasField(one.name):
            continue
        for item in value if one.repeated else (value,):
            _take(one, item, scope)


def _take(one: _Field, item: Any, scope: Scope) -> None:
    if one.kind == "message":
        _collect(item, scope)
    elif one.kind == "money":
        scope.amounts.append(Amount(item.minor_units, item.currency_code.upper()))
    elif not item:
        return
    elif one.kind == "account":
        scope.accounts.append(item)
    elif one.kind == "resource":
        scope.resources.append((RESOURCE_FIELDS[one.name], item))
    else:
        scope.everywhere = True
