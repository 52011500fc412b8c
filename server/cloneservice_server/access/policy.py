"""Who may do what: caller by RPC by connected account by amount, from a YAML file; what it does not allow is denied.

    version: 1
    callers:
      checkout:
        identities: ["spiffe://shop.example/ns/web/sa/checkout", "token:checkout"]
        rpcs: [CloneAndCharge, GetCharge, ListCharges, LookupRequest]    # or "*"
        accounts: [acct_1, acct_2]                                       # or "*"
        max_amount: {USD: 50000, EUR: 50000}                             # minor units; or "unlimited"

`max_amount` bounds each single charge; without it a caller moves no money, and a currency that is not listed is denied.
`former_names` lets a renamed caller find the requests it made before; `requests_per_second` bounds it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from cloneservice_server.domain.callers import Caller

ALL = "*"
UNLIMITED = "unlimited"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTITY = re.compile(r"[a-z][a-z0-9+.-]*://\S+|dns:\S+|token:[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9_]{1,250}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_KEYS = ("identities", "rpcs", "accounts", "max_amount", "former_names", "requests_per_second")


class PolicyError(ValueError):
    """A policy that cannot be used; `problems` says where and what to do, all at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Amount:
    """The amount of one charge, in minor units of `currency` (upper case)."""

    minor_units: int
    currency: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What one caller may do."""

    caller: Caller
    identities: tuple[str, ...]
    rpcs: frozenset[str] | None
    """None means all."""
    max_amounts: Mapping[str, int] | None
    """Largest single charge by currency; None means that there is no bound."""

    def allows_rpc(self, rpc: str) -> bool:
        """Whether the RPC is this caller's at all."""
        return self.rpcs is None or rpc in self.rpcs

    def why_not(self, rpc: str, accounts: Iterable[str], amounts: Iterable[Amount], *, everywhere: bool) -> str:
        """Why a call is denied, in words for its caller; "" when it is allowed.

        `everywhere`: it reaches, or may reach, accounts that cannot be told beforehand.
        """
        if not self.allows_rpc(rpc):
            return f"may not call {rpc}"
        if everywhere and self.caller.accounts is not None:
            return f"may not call {rpc} without naming a connected account: it is limited to some accounts"
        for account in accounts:
            if not self.caller.sees(account):
                shown = account if _ACCOUNT.fullmatch(account) else "(malformed)"  # it will be logged
                return f"may not act on connected account {shown}"
        return next(filter(None, map(self._why_not_amount, amounts)), "")

    def _why_not_amount(self, amount: Amount) -> str:
        if self.max_amounts is None:
            return ""
        if amount.currency not in self.max_amounts:
            return f"may not charge in {amount.currency if _CURRENCY.fullmatch(amount.currency) else '(malformed)'}"
        largest = self.max_amounts[amount.currency]
        return "" if amount.minor_units <= largest else f"may charge at most {largest} {amount.currency} (minor units)"


class Policy:
    """All rules, by identity."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._by_identity = {identity: rule for rule in self.rules for identity in rule.identities}

    def rule_for(self, identities: Iterable[str]) -> Rule | None:
        """The rule of the first identity that has one."""
        return next((self._by_identity[one] for one in identities if one in self._by_identity), None)


# ------------------------------------------------------------------------------------------------------------ reading


def parse(raw: bytes, rpcs: Iterable[str]) -> Policy:
    """The policy in a file; `rpcs` are the names that exist. Raises PolicyError."""
    try:
        document = yaml.load(raw, _Loader)  # noqa: S506 - a SafeLoader that also refuses a key given twice
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise PolicyError([f"is not YAML: {' '.join(str(wrong).split())}"]) from wrong
    problems: list[str] = []
    rules = _rules(document, frozenset(rpcs), problems)
    _check_identities(rules, problems)
    if problems:
        raise PolicyError(problems)
    return Policy(rules)


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, of which YAML would keep one in silence."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            if isinstance(key, str):
                seen.add(key)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


def _rules(document: Any, rpcs: frozenset[str], problems: list[str]) -> list[Rule]:
    if not isinstance(document, dict) or document.get("version") != 1:
        problems.append("must begin with `version: 1`")
        return []
    unknown = sorted(str(key) for key in document if key not in ("version", "callers"))
    problems.extend(f"{key}: is not a part of a policy; there are `version` and `callers`" for key in unknown)
    callers = document.get("callers")
    if not isinstance(callers, dict):
        problems.append("callers: must map each caller's name to what it may do")
        return []
    return [_rule(name, body, rpcs, problems) for name, body in callers.items()]


def _rule(name: Any, body: Any, rpcs: frozenset[str], problems: list[str]) -> Rule:
    place = f"callers.{name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        problems.append(f"{place}: a name has 1 to 64 letters, digits, '.', '_' or '-'")
    if not isinstance(body, dict):
        problems.append(f"{place}: must be a mapping with {', '.join(_KEYS)}")
        body = {}
    for key in body:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, 1)
            problems.append(f"{place}.{key}: is not known{f'; did you mean {near[0]}?' if near else ''}")
    identities = _names(f"{place}.identities", body.get("identities"), _identity_problem, problems)
    former = _names(f"{place}.former_names", body.get("former_names", []), _name_problem, problems)
    caller = Caller(
        str(name),
        accounts=_all_or(f"{place}.accounts", body.get("accounts"), _account_problem, problems),
        aliases=frozenset((*identities, *former)),
        requests_per_second=_rate(f"{place}.requests_per_second", body.get("requests_per_second", 0), problems),
    )
    allowed = _all_or(f"{place}.rpcs", body.get("rpcs"), lambda rpc: _rpc_problem(rpc, rpcs), problems)
    amounts = _amounts(f"{place}.max_amount", body.get("max_amount", {}), problems)
    return Rule(caller, identities, allowed, amounts)


Problem = Callable[[str], str]


def _names(place: str, value: Any, problem_of: Problem, problems: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        problems.append(f"{place}: must be a list of texts")
        return ()
    for index, item in enumerate(value):
        if problem := problem_of(item):
            problems.append(f"{place}[{index}]: {item!r} {problem}")
    return tuple(value)


def _all_or(place: str, value: Any, problem_of: Problem, problems: list[str]) -> frozenset[str] | None:
    if value == ALL:
        return None
    if value is None:
        problems.append(f'{place}: is missing; give a list, or "*" for all')
        return frozenset()
    return frozenset(_names(place, value, problem_of, problems))


def _amounts(place: str, value: Any, problems: list[str]) -> Mapping[str, int] | None:
    if value == UNLIMITED:
        return None
    if not isinstance(value, dict):
        problems.append(f'{place}: must map currencies to minor units, such as {{USD: 50000}}, or be "{UNLIMITED}"')
        return {}
    for currency, largest in value.items():
        if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            problems.append(f"{place}: {currency!r} is not an ISO 4217 code in upper case")
        if isinstance(largest, bool) or not isinstance(largest, int) or largest < 0:
            problems.append(f"{place}.{currency}: must be a whole number of minor units, as 1099 for 10.99")
    return value


def _rate(place: str, value: Any, problems: list[str]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        problems.append(f"{place}: must be a whole number; 0 means the server's own setting")
        return 0
    return value


def _identity_problem(text: str) -> str:
    return "" if _IDENTITY.fullmatch(text) else "is no identity: spiffe://..., dns:NAME or token:NAME"


def _name_problem(text: str) -> str:
    return "" if _NAME.fullmatch(text) else "is no name of a caller"


def _account_problem(text: str) -> str:
    return "" if _ACCOUNT.fullmatch(text) else "is no connected account: acct_..."


def _rpc_problem(text: str, rpcs: frozenset[str]) -> str:
    if text in rpcs:
        return ""
    near = difflib.get_close_matches(text, rpcs, 1)
    return f"is no RPC of the contract{f'; did you mean {near[0]}?' if near else ''}"


def _check_identities(rules: list[Rule], problems: list[str]) -> None:
    owner: dict[str, str] = {}
    for rule in rules:
        for identity in rule.identities:
            other = owner.setdefault(identity, rule.caller.name)
            if other != rule.caller.name:
                problems.append(f"callers.{rule.caller.name}.identities: {identity!r} is {other}'s already")
        others = {one.caller.name for one in rules if one is not rule}
        problems.extend(
            f"callers.{rule.caller.name}.former_names: {former!r} is another caller's name now"
            for former in sorted(others & (rule.caller.aliases or frozenset()))
        )
