"""A transaction as one statement, so that it costs PostgreSQL and us one round trip.

The parts become the `WITH` terms of one statement. Where a part must have written a row, the next one's `{after}` and
the closing SELECT ask `cloneservice_expect` for it (migration 0001), which raises and so undoes the statement. Each
part's condition reads the one before it, which also makes them happen in the order given: a clone must cease to be the
reusable one before another becomes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cloneservice_server.ledger.part import Miss, Part
from cloneservice_server.ports import EffectTaken, Fenced

NOW = "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)"

# Classes of SQLSTATE that the standard leaves to applications start with I to Z or 5 to 9.
MISS_STATES: dict[str, Miss] = {"X0001": Fenced, "X0002": EffectTaken}
_STATES = {miss: state for state, miss in MISS_STATES.items()}
_ARGUMENT = re.compile(r"\$(\d+)")

Shape = tuple[tuple[str, Miss | None], ...]


@lru_cache(maxsize=512)
def render(sql: str) -> str:
    """One part on its own."""
    return _fill(sql, "true")


def can_be_one(parts: Sequence[Part]) -> bool:
    """Whether no row is written twice: of two changes to a row in one statement only the first would happen."""
    rows = [part.touches for part in parts if part.touches is not None]
    return len(set(rows)) == len(rows)


def compose(parts: Sequence[Part]) -> tuple[str, tuple[Any, ...]]:
    """The one statement and its arguments; its rows are the last part's, if that one's `miss` is None."""
    shape = tuple((part.sql, part.miss) for part in parts)
    return _compose(shape, tuple(len(part.args) for part in parts)), tuple(arg for part in parts for arg in part.args)


@lru_cache(maxsize=1024)
def _compose(shape: Shape, arguments: tuple[int, ...]) -> str:
    terms, after, first = [], "true", 0
    expectations = []
    for number, ((sql, miss), count) in enumerate(zip(shape, arguments, strict=True)):
        shifted = _ARGUMENT.sub(lambda match, first=first: f"${int(match[1]) + first}", sql)  # type: ignore[misc]
        terms.append(f"w{number} AS ({_fill(shifted, after)}\n)")
        first += count
        if miss is not None:
            after = _expect(number, miss)
            expectations.append(after)
    held = " AND ".join(expectations) or "true"
    last = len(shape) - 1
    if shape[last][1] is not None:
        return f"WITH {', '.join(terms)}\nSELECT {held} AS held"
    return f"WITH {', '.join(terms)}\nSELECT {held} AS held, w{last}.* FROM (SELECT 1) AS one LEFT JOIN w{last} ON true"


def _expect(number: int, miss: Miss) -> str:
    rows = f"(SELECT count(*) FROM w{number})"  # noqa: S608 - a number
    return f"cloneservice_expect({rows}, '{_STATES[miss]}')"


def _fill(sql: str, after: str) -> str:
    return sql.replace("{after}", after).replace("{now}", NOW).replace("{skip_locked}", "FOR UPDATE SKIP LOCKED")
