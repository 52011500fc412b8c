"""One statement of a transaction, in the words SQLite and PostgreSQL share.

A statement has `$1`, `$2` ... for its own arguments, and three marks that each store fills in its own way:

- `{now}`: microseconds since the Unix epoch on the ledger's clock;
- `{after}`: a condition that is true once the part before it has written its row (see `postgres_statement.py`);
- `{skip_locked}`: passes over rows that another transaction holds.

A transaction is a list of parts. `miss` names what it means that a part returned no row: the whole transaction is
undone and that error raised; None when finding nothing is an answer. Hence every write ends in RETURNING.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cloneservice_server.ports import EffectTaken, Fenced

Miss = type[Fenced] | type[EffectTaken]


@dataclass(frozen=True, slots=True)
class Part:
    """One statement of a transaction. `touches` names the row it writes, if any."""

    sql: str
    args: tuple[Any, ...] = ()
    miss: Miss | None = None
    touches: tuple[str, str] | None = None
