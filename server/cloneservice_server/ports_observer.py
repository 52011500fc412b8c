"""What the engine tells whoever counts: one method for each thing worth a counter, a histogram or an alert.

An observer is called on the event loop, in the middle of the work: it only counts. It must not block; what it raises
is logged and changes nothing. Subclass `EngineObserver` and override what is wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ParamSpec

from cloneservice_server.domain.values import RequestState

log = logging.getLogger(__name__)
_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class RunEnded:
    """One run of a request, from its claim to the state that it left in the ledger."""

    method: str
    """Of the contract (`CloneAndCharge`)."""
    state: RequestState
    """SUCCEEDED, FAILED, PARKED or INDETERMINATE."""
    reason: str
    """Of the domain error (`CARD_DECLINED`), or ""."""
    elapsed_s: float
    attempts: int
    """How often the request was claimed so far; 1 for nearly all."""
    reconciled: bool
    """Whether its outcome had been unknown: with SUCCEEDED or FAILED it is known now."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Requests without a final answer in the whole ledger, whichever replica they belong to."""

    running: int = 0
    indeterminate: int = 0
    """Whose outcome at Stripe is not known; should go down to 0 by itself."""
    parked: int = 0
    """Which stopped with nothing left open, and go on when their caller repeats them."""
    oldest_indeterminate_s: float = 0.0
    """Age of the oldest INDETERMINATE request in seconds; 0.0 if there is none. The figure to alert on."""


_NOTHING: AbstractContextManager[None] = nullcontext()


class EngineObserver:
    """Does nothing by itself; see the module docstring."""

    def step(self, kind: str, request_id: str) -> AbstractContextManager[None]:  # noqa: ARG002 - for those who override it
        """What goes around one step of a workflow, from its intent to its outcome; must raise nothing of its own."""
        return _NOTHING

    def run_ended(self, ended: RunEnded) -> None:
        """A run has committed its outcome."""

    def replayed(self, method: str) -> None:
        """A caller got the stored answer of an earlier run."""

    def joined(self, method: str) -> None:
        """A caller waits for a run that was under way here."""

    def overloaded(self, method: str) -> None:
        """A caller was turned away with SERVICE_OVERLOADED."""

    def taken_up(self, method: str) -> None:
        """The background work claimed a request whose owner is gone, or whose outcome is awaited."""

    def fenced(self, method: str) -> None:
        """A run stopped because another replica had claimed its request."""

    def looked(self, kind: str, finding: str) -> None:
        """Stripe's objects were read to learn what became of a step of `kind`: "found", "refused" or "absent"."""

    def ledger_unavailable(self) -> None:
        """The ledger could not be read or written."""

    def unfinished(self, counts: Unfinished) -> None:
        """The state of the ledger, once in each sweep."""

    def pruned(self, requests: int) -> None:
        """So many requests were forgotten since their retention is over."""


def tell(report: Callable[_P, None], *args: _P.args, **named: _P.kwargs) -> None:
    """Call an observer's method; money does not stop moving in good order because a counter is broken."""
    try:
        report(*args, **named)
    except Exception:
        log.exception("an observer failed")
