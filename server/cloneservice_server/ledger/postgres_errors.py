"""What an error of PostgreSQL or of the connection means for a transaction: one table."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import cast

import asyncpg


class Meaning(StrEnum):
    """What to do next."""

    TAKEN = "taken"
    """A unique index refused: somebody else's row stands. Undone."""
    AGAIN = "again"
    """Undone or not begun, through no fault of its own (serialization, deadlock, lock time-out): do it again."""
    LOST = "lost"
    """The connection is gone or useless: whether it was committed is not known. Connect anew, look, do it again."""
    UNAVAILABLE = "unavailable"
    """Undone, and at once again would not help (disk full, statement time-out)."""
    BUG = "bug"
    """Ours."""


_AGAIN = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "53300",  # too_many_connections: refused at the door, and one may leave any moment
}
_LOST = {
    "25006",  # read_only_sql_transaction: this server was demoted; the next connection finds the new primary
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now: starting up
    "57P05",  # idle_session_timeout
    "40003",  # statement_completion_unknown
    "25P03",  # idle_in_transaction_session_timeout
}
_UNAVAILABLE = {"57014", "3D000"}  # query_canceled (our statement_timeout), invalid_catalog_name
_UNAVAILABLE_CLASSES = ("28", "53", "58", "XX")  # authorization, insufficient resources, system error, internal error


def meaning(error: BaseException) -> Meaning:
    """What `error` means. Raised while connecting, LOST means that there is no connection to be had."""
    if isinstance(error, asyncpg.PostgresError):
        return _meaning_of_state(cast("str", error.sqlstate) or "")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return Meaning.LOST  # no primary among the hosts: a fail-over is under way
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        # asyncpg reports a connection closed under it in this way too.
        return Meaning.LOST if "clos" in str(error) or "connection" in str(error) else Meaning.BUG
    if isinstance(error, (OSError, EOFError, asyncio.TimeoutError)):
        return Meaning.LOST
    return Meaning.BUG


def _meaning_of_state(state: str) -> Meaning:
    if state == "23505":
        return Meaning.TAKEN
    if state in _AGAIN:
        return Meaning.AGAIN
    if state in _LOST or state.startswith("08"):
        return Meaning.LOST
    if state in _UNAVAILABLE or state.startswith(_UNAVAILABLE_CLASSES):
        return Meaning.UNAVAILABLE
    return Meaning.BUG
