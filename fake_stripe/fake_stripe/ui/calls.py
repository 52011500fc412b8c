"""The journal for reading: filtered, paged, and each call explained."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fake_stripe.journal import Entry, shown_change
from fake_stripe.ui import payments
from fake_stripe.ui.masking import masked, masked_text

if TYPE_CHECKING:
    from fake_stripe.world import World

PAGE = 100
STATUSES = {"ok": "succeeded", "failed": "failed (4xx, 5xx)", "4xx": "4xx", "5xx": "5xx", "lost": "answer lost"}
_ID = re.compile(r"\b[a-z]{2,8}_[A-Za-z0-9]{8,}\b")


@dataclass(slots=True)
class Filter:
    """What the reader wants to see of the journal; empty members ask for nothing."""

    account: str = ""
    status: str = ""
    fault: str = ""
    text: str = ""

    @property
    def active(self) -> bool:
        """Whether anything is filtered at all."""
        return bool(self.account or self.status or self.fault or self.text)

    def keeps(self, entry: Entry) -> bool:
        """Whether the call is among those wanted."""
        if self.account and entry.account != self.account:
            return False
        if self.fault and (entry.fault is None if self.fault == "any" else entry.fault != self.fault):
            return False
        if self.status and not _has_status(entry, self.status):
            return False
        return not self.text or self.text.lower() in _text_of(entry)


def _has_status(entry: Entry, wanted: str) -> bool:
    status = entry.status
    if wanted == "ok":
        return 200 <= status < 300
    if wanted == "failed":
        return status >= 400
    if wanted == "lost":
        return entry.fate is not None
    if wanted.endswith("xx"):
        return str(status)[:1] == wanted[:1]
    return str(status) == wanted


def _text_of(entry: Entry) -> str:
    error = entry.error or {}
    parts = (entry.method, entry.path, entry.idempotency_key, entry.request_id, error.get("message"), error.get("code"))
    ids = (f"{change[1]} {change[2]}" for change in entry.changes)
    return " ".join([*filter(None, parts), *ids]).lower()


@dataclass(slots=True)
class Page:
    """One page of calls, newest first; `older` and `newer` are the numbers to go on from, if there is more."""

    entries: list[Entry]
    total: int
    older: int | None
    newer: int | None
    position: int


def page_of(world: "World", wanted: Filter, before: int | None = None) -> Page:
    """The newest calls with numbers below `before`."""
    found = [entry for entry in reversed(world.journal) if wanted.keeps(entry)] if wanted.active else None
    entries = found if found is not None else list(reversed(world.journal))
    start = 0
    if before is not None:
        start = next((place for place, entry in enumerate(entries) if entry.number < before), len(entries))
    shown = entries[start : start + PAGE]
    older = shown[-1].number if shown and start + PAGE < len(entries) else None
    newer = entries[max(0, start - PAGE)].number + 1 if start else None
    return Page(shown, len(entries), older, newer, start)


def find(world: "World", number: int) -> Entry | None:
    """The call of that number, if the journal still has it."""
    return next((entry for entry in reversed(world.journal) if entry.number == number), None)


def accounts_in(world: "World") -> list[str]:
    """The accounts that may be filtered by: the platform, those connected, and those that calls have named."""
    named = (entry.account for entry in world.journal if entry.account)
    return list(dict.fromkeys([world.platform, *world.connected, *named]))


def explained(world: "World", entry: Entry) -> dict[str, Any]:
    """A call with all that is known of it: parameters, answer, why it failed, what it changed."""
    shown: dict[str, Any] = masked(entry.as_dict())
    shown["changes"] = masked([shown_change(change) for change in payments.merged(entry)])
    shown.setdefault("did_you_mean", [])
    shown.setdefault("near_misses", None)
    shown["elsewhere"] = _elsewhere(world, entry) if entry.status in (400, 403, 404) else []
    shown["fault_given"] = next((f.as_dict() for f in world.faults if f.id == entry.fault), None)
    shown["body"] = entry.body
    shown["whole_body"] = entry.size == len(entry.body)
    shown["size"] = entry.size
    return shown


def _elsewhere(world: "World", entry: Entry) -> list[dict[str, str]]:
    """Where the ids that the refusal names do exist: most often on the platform, or on another account."""
    message = str((entry.error or {}).get("message", ""))
    found = []
    for id_ in dict.fromkeys(_ID.findall(message)):
        for scope in world.scopes():
            place = (scope.account_id, scope.livemode)
            if place != (entry.account, entry.livemode) and any(scope.get(type_, id_) for type_ in scope.types()):
                mode = (
                    "" if scope.livemode == entry.livemode else (" in live mode" if scope.livemode else " in test mode")
                )
                found.append({"id": id_, "account": scope.account_id, "mode": mode})
    return found


def summary_of(entry: Entry) -> str:
    """The error of a call in one line, if it failed."""
    error = entry.error or {}
    if error and entry.matched:
        return masked_text(str(error.get("decline_code") or error.get("code") or error.get("message") or ""))
    return ""
