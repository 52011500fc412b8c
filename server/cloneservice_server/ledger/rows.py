"""Rows to frozen values and back, for both stores. A row is anything that is indexed by column name.

Clones, charges and customers are stored whole as JSON (`body`), beside the columns that are searched by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol

from cloneservice_server.domain import codec
from cloneservice_server.domain.baskets import Basket
from cloneservice_server.domain.values import (
    Charge,
    Clone,
    ConnectedAccount,
    ConnectedCustomer,
    PlatformCustomer,
    Refund,
    RequestState,
)
from cloneservice_server.ports import EffectRow, EffectState, RequestRow, StripeCall
from cloneservice_server.ports_observer import Unfinished


class Row(Protocol):
    """What sqlite3.Row and asyncpg.Record have in common."""

    def __getitem__(self, key: str, /) -> Any:
        """The value of a column."""
        ...


REQUEST_COLUMNS = tuple(field.name for field in fields(RequestRow))
EFFECT_COLUMNS = tuple(field.name for field in fields(EffectRow))


def request_row(row: Row) -> RequestRow:
    """A row of `request`."""
    values = {name: row[name] for name in REQUEST_COLUMNS}
    values["state"] = RequestState(values["state"])
    return RequestRow(**values)


def effect_row(row: Row) -> EffectRow:
    """A row of `effect`."""
    values = {name: row[name] for name in EFFECT_COLUMNS}
    values["state"] = EffectState(values["state"])
    values["call"] = codec.loads(StripeCall, values["call"])
    values["result"] = json.loads(values["result"])
    return EffectRow(**values)


def unfinished(row: Row) -> Unfinished:
    """The row of counts."""
    return Unfinished(
        running=row["running"],
        indeterminate=row["indeterminate"],
        parked=row["parked"],
        oldest_indeterminate_s=row["oldest_indeterminate_us"] / 1_000_000,
    )


def clone(row: Row) -> Clone:
    """A row of `clone`."""
    return codec.loads(Clone, row["body"])


def charge(row: Row) -> Charge:
    """A row of `charge`."""
    return codec.loads(Charge, row["body"])


def refund(row: Row) -> Refund:
    """A row of `refund`."""
    return codec.loads(Refund, row["body"])


def basket(row: Row) -> Basket:
    """A row of `basket`."""
    return codec.loads(Basket, row["body"])


def platform_customer(row: Row) -> PlatformCustomer:
    """A row of `platform_customer`."""
    return codec.loads(PlatformCustomer, row["body"])


def connected_customer(row: Row) -> ConnectedCustomer:
    """A row of `connected_customer`."""
    return codec.loads(ConnectedCustomer, row["body"])


def connected_account(row: Row) -> ConnectedAccount:
    """A row of `connected_account`."""
    return codec.loads(ConnectedAccount, row["body"])


def call_json(call: StripeCall) -> str:
    """A call as it is stored."""
    return codec.dumps(call)


def result_json(result: Mapping[str, Any]) -> str:
    """What is kept of Stripe's answer, as it is stored."""
    return json.dumps(result, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
