"""Scripted faults and overrides: exact, counted, seeded, and gone with their world.

A fault says what it matches and how it acts:

    {"match": {"method": "POST", "path": "/v1/payment_intents/{intent}/confirm", "account": "acct_...",
               "params": {"payment_method": "pm_..."}, "nth": 2},
     "act": "commit_then_drop", "latency": {"median": 0.2, "sigma": 0.5}, "times": 1, "probability": 1.0, "seed": 7}

The first installed fault that matches and fires wins. `times` is 1 unless told otherwise, with a list of calls in `nth`
as many as that names; null means every time. Parameters are compared as they are sent, nested ones either way:
{"card": {"number": "..."}} or {"card[number]": "..."}.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from fake_stripe.seeding import form_pairs

ACTS = (
    "latency",
    "drop_before",
    "commit_then_drop",
    "reset_mid_body",
    "malformed_body",
    "lock_timeout",
    "status",
    "answer",
)
STATUSES = (409, 429, 500, 503)
REASONS = ("global-rate", "endpoint-rate", "global-concurrency", "endpoint-concurrency", "resource-specific")
_MATCH_KEYS = frozenset({"method", "path", "account", "params", "idempotency_key", "nth"})
_FAULT_KEYS = frozenset({"id", "match", "act", "latency", "times", "probability", "seed"})
_ACT_KEYS: dict[str, frozenset[str]] = {
    "status": frozenset({"kind", "status", "reason", "commit", "should_retry"}),
    "answer": frozenset({"kind", "status", "body", "headers"}),
}


def _only(found: dict[str, Any], known: frozenset[str], where: str) -> None:
    for name in found:
        if name not in known:
            raise ValueError(f"{where} has no {name!r}; it knows {', '.join(sorted(known))}")


@dataclass(slots=True)
class Act:
    """What a fault does: one of `ACTS`, with its particulars."""

    kind: str
    status: int = 0
    reason: str | None = None
    commit: bool = False
    should_retry: bool | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def parse(given: Any) -> "Act":
        """From JSON: a name, or an object with `kind` and particulars; ValueError says what is wrong."""
        if isinstance(given, str):
            given = {"kind": given}
        if not isinstance(given, dict) or given.get("kind") not in ACTS:
            raise ValueError(f"act must be one of {', '.join(ACTS)}, as a name or as an object with that 'kind'")
        kind = given["kind"]
        _only(given, _ACT_KEYS.get(kind, frozenset({"kind"})), f"act {kind}")
        act = Act(**given)
        if kind == "status" and act.status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(map(str, STATUSES))}")
        if act.reason is not None and (act.reason not in REASONS or act.status != 429):
            raise ValueError(f"reason goes with status 429 and is one of {', '.join(REASONS)}")
        if kind == "answer":
            act.status = act.status or 200
            if act.status not in range(200, 600):
                raise ValueError("the status of an answer lies between 200 and 599")
            if not isinstance(act.headers, dict):
                raise ValueError("headers is an object of names and values")
            if not isinstance(act.body, (dict, list)):
                raise ValueError("act answer needs a JSON body")
        return act


def latency_of(given: Any) -> Callable[[random.Random], float]:
    """Seconds to hold an answer back: a number, {low, high}, or {median, sigma} of a log-normal distribution."""
    if isinstance(given, (int, float)) and given >= 0:
        seconds = float(given)
        return lambda _: seconds
    if isinstance(given, dict) and given.keys() == {"low", "high"} and 0 <= given["low"] <= given["high"]:
        low, high = float(given["low"]), float(given["high"])
        return lambda rng: rng.uniform(low, high)
    if isinstance(given, dict) and given.keys() == {"median", "sigma"} and given["median"] > 0 <= given["sigma"]:
        median, sigma = float(given["median"]), float(given["sigma"])
        return lambda rng: median * rng.lognormvariate(0.0, sigma)
    raise ValueError("latency is seconds, or {low, high}, or {median, sigma}, all in seconds and not negative")


def _path_pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\}|\*)", path)
    return re.compile("".join(".*" if p == "*" else "[^/]+" if p.startswith("{") else re.escape(p) for p in parts))


@dataclass(slots=True)
class Seen:
    """The request as faults look at it."""

    method: str
    path: str
    account: str
    is_platform: bool
    idempotency_key: str | None
    raw_params: bytes


def _match_of(given: Any) -> dict[str, Any]:
    """What a fault matches, checked: a slip must not become a fault that never befalls anything."""
    match = {} if given is None else given
    if not isinstance(match, dict):
        raise ValueError("match is an object")  # noqa: TRY004 - one kind for all bad faults
    _only(match, _MATCH_KEYS, "match")
    for name in ("method", "path", "idempotency_key"):
        if not isinstance(match.get(name, ""), str):
            raise ValueError(f"{name} is a text")  # noqa: TRY004 - as above
    if not isinstance(match.get("account"), (str, type(None))):
        raise ValueError("account is an id, or platform")  # noqa: TRY004 - as above
    if not isinstance(match.get("params", {}), dict):
        raise ValueError("params is an object of parameter names and their values")  # noqa: TRY004 - as above
    return match


def _is_count(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 1


def _calls_of(nth: Any) -> frozenset[int] | None:
    if nth is None:
        return None
    calls = nth if isinstance(nth, list) else [nth]
    if not calls or not all(map(_is_count, calls)):
        raise ValueError("nth is the number of a matching call, counted from 1, or a list of such")
    return frozenset(calls)


class Fault:
    """One installed fault and its counters."""

    __slots__ = (
        "act",
        "fired",
        "given",
        "id",
        "latency",
        "match",
        "matched",
        "nth",
        "params",
        "pattern",
        "probability",
        "rng",
        "times",
    )

    def __init__(self, given: dict[str, Any], number: int) -> None:
        _only(given, _FAULT_KEYS, "a fault")
        self.given = given
        self.id = str(given.get("id") or f"fault_{number}")
        self.match: dict[str, Any] = _match_of(given.get("match"))
        self.pattern = _path_pattern(self.match["path"]) if self.match.get("path") else None
        self.params = dict(form_pairs(self.match.get("params") or {}))
        self.nth = _calls_of(self.match.get("nth"))
        self.act = Act.parse(given.get("act", "latency" if "latency" in given else None))
        self.latency = latency_of(given["latency"]) if "latency" in given else None
        if self.act.kind == "latency" and self.latency is None:
            raise ValueError("act latency needs 'latency'")
        self.times: int | None = given.get("times", len(self.nth) if self.nth else 1)
        if self.times is not None and not _is_count(self.times):
            raise ValueError("times is a whole number from 1 on, or null for always")
        chance = given.get("probability", 1.0)
        if not isinstance(chance, (int, float)) or not 0 <= chance <= 1:
            raise ValueError("probability lies between 0 and 1")
        self.probability = float(chance)
        self.rng = random.Random(given.get("seed", 0))
        self.matched = 0
        self.fired = 0

    def matches(self, seen: Seen) -> bool:
        """Whether the request is one that this fault is about, counters aside."""
        match = self.match
        if "method" in match and match["method"].upper() != seen.method:
            return False
        if self.pattern is not None and not self.pattern.fullmatch(seen.path):
            return False
        if "account" in match and match["account"] != seen.account:
            wanted = match["account"]
            if not (seen.is_platform and wanted in ("platform", None)):
                return False
        if "idempotency_key" in match and match["idempotency_key"] != seen.idempotency_key:
            return False
        if self.params:
            sent = dict(parse_qsl(seen.raw_params.decode("utf-8", "replace"), keep_blank_values=True))
            return all(sent.get(name) == value for name, value in self.params.items())
        return True

    def fires(self) -> bool:
        """Count a match and decide whether it is this one's turn."""
        self.matched += 1
        if self.times is not None and self.fired >= self.times:
            return False
        if self.nth is not None and self.matched not in self.nth:
            return False
        if self.probability < 1 and self.rng.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def as_dict(self) -> dict[str, Any]:
        """The fault as it was given, with its id and counters."""
        return {**self.given, "id": self.id, "matched": self.matched, "fired": self.fired}


class Faults:
    """The faults of one world, in the order of their installation."""

    __slots__ = ("_faults", "_number")

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._faults)

    def __iter__(self) -> Any:
        return iter(self._faults)

    def add(self, given: dict[str, Any]) -> Fault:
        """Install one; ValueError says what is wrong with it."""
        self._number += 1
        fault = Fault(given, self._number)
        if any(other.id == fault.id for other in self._faults):
            raise ValueError(f"there is a fault {fault.id!r} already")
        self._faults.append(fault)
        return fault

    def remove(self, id: str) -> bool:  # noqa: A002 - the API's name
        """Take one away; False when there is none of that id."""
        before = len(self._faults)
        self._faults = [fault for fault in self._faults if fault.id != id]
        return len(self._faults) < before

    def clear(self) -> None:
        """Take all away."""
        self._faults = []

    def pick(self, seen: Seen) -> Fault | None:
        """The fault that befalls this request, if any."""
        for fault in self._faults:
            if fault.matches(seen) and fault.fires():
                return fault
        return None
