"""Checks a request against its descriptor (REQUIRED, enums, oneofs) and against tables of prefixes and limits.

All violations are told at once, each with the field's path in proto terms (`charge.amount.minor_units`). Ids are
checked by character too, because they become parts of URL paths at Stripe. Rules that need a read are not here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cloneservice.v1 import types_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from cloneservice_server.domain.batches import ITEMS_MAX
from cloneservice_server.domain.errors import FieldViolation, InvalidRequest
from cloneservice_server.domain.ids import is_request_id

ID_LENGTH = 255
AMOUNT_MAX = 99_999_999
"""Stripe takes at most eight digits (docs.stripe.com/currencies, "Minimum and maximum charge amounts")."""
BASKET_LEGS = 20
METADATA_ENTRIES = 20
METADATA_KEY_LENGTH = 40
METADATA_VALUE_LENGTH = 500
RESERVED_METADATA_PREFIX = "cloneservice_"
"""Keys that this service writes itself on every object it makes."""

_SAVED = ("pm_", "card_", "src_", "ba_")
ID_PREFIXES: dict[str, tuple[str, ...]] = {
    "platform_customer_id": ("cus_",),
    "platform_customer_ids": ("cus_",),
    "connected_customer_id": ("cus_",),
    "connected_account_id": ("acct_",),
    "connected_account_ids": ("acct_",),
    "on_behalf_of_account_id": ("acct_",),
    "platform_payment_method_id": _SAVED,
    "clone_id": ("cln_",),
    "charge_id": ("chg_",),
    "batch_id": ("bat_",),
    "basket_id": ("bsk_",),
    "SavePaymentMethodRequest.platform_payment_method_id": ("pm_", "tok_", "src_"),
}
"""Field name, or message and field name, to the prefixes its ids may have. A repeated field holds such ids."""

TEXT_LENGTHS: dict[str, int] = {
    "description": 1000,
    "statement_descriptor_suffix": 22,
    "return_url": 2048,
    "email": 512,
    "name": 255,
    "external_reference": 200,
    "page_token": 1024,
    "signature": 4096,
    "payload": 1024 * 1024,
}
"""Longest text by field name; other texts are limited like ids. `external_reference` goes into Stripe metadata too."""

_ID = re.compile(r"[A-Za-z0-9_-]+")
_CURRENCY = re.compile(r"[A-Za-z]{3}")

Violations = Iterator[FieldViolation]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is known of one field before any request is seen."""

    name: str
    required: bool
    repeated: bool
    message: bool
    has_presence: bool
    check: Callable[[str, Any], Violations] | None
    """Checks one value that is set."""


def check(request: Message) -> None:
    """Raises InvalidRequest naming everything that is wrong with `request`."""
    violations = tuple(_message("", request))
    if violations:
        summary = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        fields = ",".join(violation.field for violation in violations)
        raise InvalidRequest(summary, {"fields": fields}, violations=violations)


def _message(prefix: str, message: Message) -> Violations:
    descriptor = message.DESCRIPTOR
    for oneof in _required_oneofs(descriptor):
        if message.WhichOneof(oneof) is None:
            arms = " or ".join(field.name for field in descriptor.oneofs_by_name[oneof].fields)
            yield FieldViolation(prefix + oneof, f"one of {arms} is required")
    for rule in _rules(descriptor):
        path, value = prefix + rule.name, getattr(message, rule.name)
        if not _is_set(message, rule, value):
            if rule.required:
                zero = rule.check is _minor_units  # which protobuf does not tell from no amount
                yield from _minor_units(path, value) if zero else (FieldViolation(path, "is required"),)
            continue
        for place, item in _items(path, rule, value):
            if rule.message:
                yield from _message(f"{place}.", item)
            elif rule.check is not None:
                yield from rule.check(place, item)
    across = ACROSS_FIELDS.get(descriptor.name)
    if across is not None:
        yield from across(prefix, message)


def _is_set(message: Message, rule: _Rule, value: Any) -> bool:
    return message.HasField(rule.name) if rule.has_presence else bool(value)


def _items(path: str, rule: _Rule, value: Any) -> Iterator[tuple[str, Any]]:
    if not rule.repeated:
        yield path, value
        return
    for index, item in enumerate(value):
        yield f"{path}[{index}]", item


@lru_cache(maxsize=256)
def _required_oneofs(descriptor: Descriptor) -> tuple[str, ...]:
    """Every choice of a request must be made; synthetic oneofs (proto3 `optional`) are none."""
    return tuple(oneof.name for oneof in descriptor.oneofs if not _is_synthetic(oneof.fields))


def _is_synthetic(fields: Any) -> bool:
    return len(fields) == 1 and fields[0].containing_oneof.name == f"_{fields[0].name}"


@lru_cache(maxsize=256)
def _rules(descriptor: Descriptor) -> tuple[_Rule, ...]:
    return tuple(_rule(field) for field in descriptor.fields)


def _rule(field: FieldDescriptor) -> _Rule:
    behaviours = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    return _Rule(
        name=field.name,
        required=field_behavior_pb2.REQUIRED in behaviours,
        repeated=field.is_repeated and not is_map,
        message=field.message_type is not None and not is_map,
        has_presence=field.has_presence,
        check=_metadata if is_map else _check_for(field),
    )


def _check_for(field: FieldDescriptor) -> Callable[[str, Any], Violations] | None:
    qualified = f"{field.containing_type.name}.{field.name}" if field.containing_type else field.name
    prefixes = ID_PREFIXES.get(qualified) or ID_PREFIXES.get(field.name)
    if prefixes is not None:
        return _id_check(prefixes)
    if field.enum_type is not None:
        return _enum_check(field.enum_type, zero_allowed=not field.is_repeated)
    if (named := NAMED.get(qualified) or NAMED.get(field.name)) is not None:
        return named
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return _text_check(TEXT_LENGTHS.get(field.name, ID_LENGTH))
    return None


# ------------------------------------------------------------------------------------------------- checks of one value


def _id_check(prefixes: tuple[str, ...]) -> Callable[[str, str], Violations]:
    wanted = " or ".join(f"{prefix}..." for prefix in prefixes)

    def checked(path: str, value: str) -> Violations:
        if not value.startswith(prefixes) or value in prefixes:
            yield FieldViolation(path, f"must be an id like {wanted}")
        elif len(value) > ID_LENGTH:
            yield FieldViolation(path, f"must have at most {ID_LENGTH} characters")
        elif _ID.fullmatch(value) is None:
            yield FieldViolation(path, "may hold only letters, digits, '_' and '-'")

    return checked


def _enum_check(enum: EnumDescriptor, *, zero_allowed: bool) -> Callable[[str, int], Violations]:
    def checked(path: str, value: int) -> Violations:
        known = enum.values_by_number.get(value)
        if known is None:
            yield FieldViolation(path, f"{value} is not a value of {enum.name} that this server knows")
        elif value == 0 and not zero_allowed:
            yield FieldViolation(path, f"{known.name} is not a value to ask for; leave it out")

    return checked


def _text_check(longest: int) -> Callable[[str, str | bytes], Violations]:
    def checked(path: str, value: str | bytes) -> Violations:
        if len(value) > longest:
            yield FieldViolation(path, f"must have at most {longest} characters")
        elif isinstance(value, str) and "\0" in value:  # PostgreSQL cannot store it
            yield FieldViolation(path, "must not hold a NUL character")

    return checked


def _request_id(path: str, value: str) -> Violations:
    if not is_request_id(value):
        yield FieldViolation(path, "must be a UUID such as 123e4567-e89b-42d3-a456-426614174000")


def _currency_code(path: str, value: str) -> Violations:
    if _CURRENCY.fullmatch(value) is None:
        yield FieldViolation(path, "must be an ISO 4217 code of three letters")


def _minor_units(path: str, value: int) -> Violations:
    if not 0 < value <= AMOUNT_MAX:
        yield FieldViolation(path, f"must be between 1 and {AMOUNT_MAX}, in the currency's smallest unit")


def _not_negative(path: str, value: int) -> Violations:
    if value < 0:
        yield FieldViolation(path, "must not be negative")


def _external_reference(path: str, value: str) -> Violations:
    if "@" in value:
        yield FieldViolation(path, "must not be an e-mail address: references are stored, e-mail addresses are not")
    yield from _text_check(TEXT_LENGTHS["external_reference"])(path, value)


def _return_url(path: str, value: str) -> Violations:
    if not value.startswith(("https://", "http://")):
        yield FieldViolation(path, "must be a URL that begins with https:// or http://")
    yield from _text_check(TEXT_LENGTHS["return_url"])(path, value)


def _metadata(path: str, entries: Any) -> Violations:
    if len(entries) > METADATA_ENTRIES:
        yield FieldViolation(path, f"must have at most {METADATA_ENTRIES} entries")
        return
    for key, value in sorted(entries.items()):
        problem = _metadata_problem(key, value)
        if problem:
            yield FieldViolation(f"{path}[{key[:METADATA_KEY_LENGTH]!r}]", problem)


def _metadata_problem(key: str, value: str) -> str:
    if not key or len(key) > METADATA_KEY_LENGTH:
        return f"a key must have 1 to {METADATA_KEY_LENGTH} characters"
    if "[" in key or "]" in key or "\0" in key:
        return "a key must not hold square brackets or a NUL character"
    if key.startswith(RESERVED_METADATA_PREFIX):
        return f"keys that begin with {RESERVED_METADATA_PREFIX} are this service's own"
    if len(value) > METADATA_VALUE_LENGTH:
        return f"a value must have at most {METADATA_VALUE_LENGTH} characters"
    return "a value must not hold a NUL character" if "\0" in value else ""


def _one_of(*words: str) -> Callable[[str, str], Violations]:
    def checked(path: str, value: str) -> Violations:
        if value not in words:
            yield FieldViolation(path, f"must be {', '.join(words[:-1])} or {words[-1]}")

    return checked


NAMED: dict[str, Callable[[str, Any], Violations]] = {
    "request_id": _request_id,
    "currency_code": _currency_code,
    "minor_units": _minor_units,
    "page_size": _not_negative,
    "max_concurrency": _not_negative,
    "after_sequence": _not_negative,
    "external_reference": _external_reference,
    "return_url": _return_url,
    "RefundChargeRequest.reason": _one_of("duplicate", "fraudulent", "requested_by_customer"),
    "CancelChargeRequest.reason": _one_of("duplicate", "fraudulent", "requested_by_customer", "abandoned"),
}
"""Field name, or message and field name, to the check of its value."""


# -------------------------------------------------------------------------------------------- rules across two fields


def _charge_options(prefix: str, options: Any) -> Violations:
    if not (options.HasField("application_fee") and options.HasField("amount")):
        return
    amount, fee = options.amount, options.application_fee
    if fee.currency_code.upper() != amount.currency_code.upper():
        yield FieldViolation(f"{prefix}application_fee.currency_code", "must be the currency of the amount")
    elif fee.minor_units > amount.minor_units:
        yield FieldViolation(f"{prefix}application_fee.minor_units", "must not be greater than the amount")


def _clone_and_charge(prefix: str, request: Any) -> Violations:
    if request.one_shot and request.HasField("attach"):
        yield FieldViolation(f"{prefix}attach", "must be left out with one_shot, which does not attach")


def _basket(prefix: str, request: Any) -> Violations:
    if len(request.legs) > BASKET_LEGS:
        yield FieldViolation(f"{prefix}legs", f"must be at most {BASKET_LEGS}")
        return
    seen: set[str] = set()
    for index, leg in enumerate(request.legs):
        if leg.connected_account_id in seen:
            yield FieldViolation(f"{prefix}legs[{index}].connected_account_id", "must be in one leg only")
        seen.add(leg.connected_account_id)


def _create_clone_batch(prefix: str, request: Any) -> Violations:
    if request.attach.connected_customer_id:
        yield FieldViolation(f"{prefix}attach.connected_customer_id", "must be empty: each item has its own customer")
    clones = types_pb2.CloneBatch.OPERATION_CLONE
    for name in ("flow", "attach"):
        is_set = request.HasField(name) if name == "attach" else request.flow
        if is_set and request.operation != clones:
            yield FieldViolation(f"{prefix}{name}", "is for CLONE only")
    if request.cross_product.all_payment_methods and request.operation != clones:
        yield FieldViolation(
            f"{prefix}cross_product.all_payment_methods",
            "is for CLONE only: the other operations reach every clone of a customer anyway",
        )
    yield from _selection(prefix, request)


def _add_clone_batch_items(prefix: str, request: Any) -> Violations:
    if request.cross_product.all_payment_methods:
        yield FieldViolation(f"{prefix}cross_product.all_payment_methods", "must be left out here; name the methods")
    yield from _selection(prefix, request)


def _selection(prefix: str, request: Any) -> Violations:
    cross = request.cross_product
    if len(cross.platform_customer_ids) * len(cross.connected_account_ids) > ITEMS_MAX:
        yield FieldViolation(f"{prefix}cross_product", f"must make at most {ITEMS_MAX} items")
    if request.HasField("pairs") and not request.pairs.pairs:
        yield FieldViolation(f"{prefix}pairs.pairs", "is required")


_YEAR_1_S, _YEAR_10000_S = -62_135_596_800, 253_402_300_800
"""The bounds of google.protobuf.Timestamp; a time beyond them is no time, and too large for the ledger."""


def _timestamp(prefix: str, time: Any) -> Violations:
    if not _YEAR_1_S <= time.seconds < _YEAR_10000_S or not 0 <= time.nanos < 1_000_000_000:
        yield FieldViolation(prefix.removesuffix("."), "must be a time between the years 1 and 9999")


ACROSS_FIELDS: dict[str, Callable[[str, Any], Violations]] = {
    "Timestamp": _timestamp,
    "ChargeOptions": _charge_options,
    "BasketLegOptions": _charge_options,
    "ChargeBasketRequest": _basket,
    "CloneAndChargeRequest": _clone_and_charge,
    "CreateCloneBatchRequest": _create_clone_batch,
    "AddCloneBatchItemsRequest": _add_clone_batch_items,
}
"""Message name to what its fields must mean together."""
