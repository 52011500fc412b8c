"""Values as JSON for programs, and as aligned text for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cloneservice import (
    BasketLeg,
    BatchFailures,
    Charge,
    Clone,
    CloneBatch,
    CloneServiceError,
    Money,
    PaymentMethodSummary,
    PlatformPaymentMethod,
    Refund,
)

SECRETS = frozenset({"client_secret"})
HIDDEN = "(hidden; --show-secrets)"


def to_json(value: object, *, show_secrets: bool = False) -> Any:
    """A value as JSON types: field names in a fixed order, integers as numbers, times as RFC 3339 UTC."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, CloneServiceError):
        return error_to_json(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: to_json(getattr(value, field.name), show_secrets=show_secrets)
            for field in dataclasses.fields(value)
            if show_secrets or field.name not in SECRETS
        }
    if isinstance(value, Mapping):
        return dict(sorted(value.items()))
    if isinstance(value, tuple):
        return [to_json(item, show_secrets=show_secrets) for item in value]
    return value


def error_to_json(error: CloneServiceError) -> dict[str, Any]:
    """An error for programs: everything in it but the hint's wording may be relied on."""
    return {
        "reason": error.reason,
        "message": error.message,
        "code": error.code.name,
        "metadata": dict(sorted(error.metadata.items())),
        "request_id": error.request_id,
        "retry_after_s": error.retry_after_s,
        "replayed": error.replayed,
        "decline": to_json(getattr(error, "decline", None)),
        "charge": to_json(getattr(error, "charge", None)),
        "violations": [to_json(violation) for violation in getattr(error, "violations", ())],
    }


def one_line(value: object, *, show_secrets: bool = False) -> str:
    """A value as one line of JSON."""
    return json.dumps(to_json(value, show_secrets=show_secrets), ensure_ascii=False)


def printable(text: str) -> str:
    """Text with what could steer a terminal made visible: names and messages come from elsewhere."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _cell(value: object) -> str:
    match value:
        case None | "" | 0 | False | ():
            return ""
        case True:
            return "yes"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case PaymentMethodSummary():
            expiry = f"{value.exp_month:02}/{value.exp_year}" if value.exp_year else ""
            return " ".join(filter(None, (value.brand or value.type, value.last4, expiry)))
        case Money():
            return f"{value} (minor units)"
        case CloneServiceError():
            return f"{value.reason}: {value.message}"
        case BatchFailures():
            more = ", ..." if value.count > len(value.example_indexes) else ""
            return f"{value.reason} {value.count} (items {', '.join(map(str, value.example_indexes))}{more})"
        case BasketLeg():
            shown = (value.connected_account_id, str(value.amount), value.state, value.charge_id)
            return " ".join(filter(None, (*shown, value.error.reason if value.error else "")))
        case tuple():
            return "; ".join(map(_cell, value))
        case float():
            return f"{value:.1f}"
        case Mapping():
            return ", ".join(f"{key}={word}" for key, word in sorted(value.items()))
        case _:
            return str(value)


def _leaves(value: Any, path: str, *, show_secrets: bool) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        name = f"{path}{field.name}"
        if field.name in SECRETS and not show_secrets:
            yield name, HIDDEN if item else ""
        elif dataclasses.is_dataclass(item) and not isinstance(item, Money | PaymentMethodSummary):
            yield from _leaves(item, f"{name}.", show_secrets=show_secrets)
        else:
            yield name, _cell(item)


def details(value: object, *, show_secrets: bool = False) -> str:
    """A value for people: a line for each field that is set."""
    found = [(name, printable(text)) for name, text in _leaves(value, "", show_secrets=show_secrets) if text]
    width = max((len(name) for name, _ in found), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in found)


Column = tuple[str, Callable[[Any], object]]
COLUMNS: Mapping[type, Sequence[Column]] = {
    Clone: (
        ("CLONE", lambda clone: clone.clone_id),
        ("STATE", lambda clone: clone.state),
        ("CUSTOMER", lambda clone: clone.platform_customer_id),
        ("PAYMENT METHOD", lambda clone: clone.platform_payment_method_id),
        ("ACCOUNT", lambda clone: clone.connected_account_id),
        ("CONNECTED CUSTOMER", lambda clone: clone.connected_customer_id),
        ("CONNECTED OBJECT", lambda clone: clone.connected_object_id),
        ("CARD", lambda clone: clone.summary),
        ("CREATED", lambda clone: clone.create_time),
    ),
    Charge: (
        ("CHARGE", lambda charge: charge.charge_id),
        ("STATE", lambda charge: charge.state),
        ("AMOUNT (MINOR)", lambda charge: charge.amount and str(charge.amount)),
        ("FEE (MINOR)", lambda charge: charge.application_fee and str(charge.application_fee)),
        ("CUSTOMER", lambda charge: charge.platform_customer_id),
        ("ACCOUNT", lambda charge: charge.connected_account_id),
        ("CONNECTED CUSTOMER", lambda charge: charge.connected_customer_id),
        ("CLONE", lambda charge: charge.clone_id),
        ("PAYMENT INTENT", lambda charge: charge.stripe_payment_intent_id),
        ("DECLINE", lambda charge: charge.decline and (charge.decline.decline_code or charge.decline.code)),
        ("CREATED", lambda charge: charge.create_time),
    ),
    Refund: (
        ("REFUND", lambda refund: refund.refund_id),
        ("STATE", lambda refund: refund.state),
        ("AMOUNT (MINOR)", lambda refund: refund.amount and str(refund.amount)),
        ("REASON", lambda refund: refund.reason),
        ("STRIPE REFUND", lambda refund: refund.stripe_refund_id),
        ("CREATED", lambda refund: refund.create_time),
    ),
    CloneBatch: (
        ("BATCH", lambda batch: batch.batch_id),
        ("OPERATION", lambda batch: batch.operation),
        ("STATE", lambda batch: batch.state),
        ("ITEMS", lambda batch: batch.total_count),
        ("SUCCEEDED", lambda batch: batch.succeeded_count),
        ("REUSED", lambda batch: batch.reused_count),
        ("FAILED", lambda batch: batch.failed_count),
        ("SKIPPED", lambda batch: batch.skipped_count),
        ("CREATED", lambda batch: batch.create_time),
        ("ENDED", lambda batch: batch.end_time),
    ),
    PlatformPaymentMethod: (
        ("PAYMENT METHOD", lambda method: method.platform_payment_method_id),
        ("CUSTOMER", lambda method: method.platform_customer_id),
        ("TYPE", lambda method: method.summary.type),
        ("CARD", lambda method: method.summary),
        ("DEFAULT", lambda method: method.is_default),
    ),
}


def table(items: Sequence[object]) -> str:
    """Items of one kind for people: aligned columns; those that are empty throughout are left out."""
    if not items:
        return "(none)"
    columns = [[title, *(printable(_cell(cell(item))) for item in items)] for title, cell in COLUMNS[type(items[0])]]
    shown = [column for column in columns if any(column[1:])]
    widths = [max(map(len, column)) for column in shown]
    return "\n".join(_row(cells, widths) for cells in zip(*shown, strict=True))


def _row(cells: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
