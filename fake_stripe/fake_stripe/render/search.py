"""Stripe's search query language (docs.stripe.com/search#search-query-language).

Clauses `field:'value'`, `field~'part'`, `field>10`, `field:null`, `metadata['key']:'value'`, each negated by a leading
`-`; joined by AND or by OR, not both. A search is answered from the present state: Stripe's own lags by up to a minute.
"""

import re
from collections.abc import Callable
from typing import Any

from fake_stripe.errors import invalid
from fake_stripe.scope import Wire

Match = Callable[[Wire], bool]

_CLAUSE = re.compile(
    r"""\s*(?P<negated>-)?
        (?P<field>[a-z_][a-z0-9_.]*)
        (?:\[\s*(?P<quote>['"])(?P<key>.*?)(?P=quote)\s*\])?
        \s*(?P<operator>>=|<=|:|~|>|<)\s*
        (?:(?P<mark>['"])(?P<text>(?:\\.|(?!(?P=mark)).)*)(?P=mark)|(?P<bare>[^\s'"]+))""",
    re.VERBOSE,
)
_JOIN = re.compile(r"\s+(AND|OR)\s+|\s+", re.IGNORECASE)
_SUBSTRING = 3
_MOST_CLAUSES = 10
_MISSING: Any = object()


def _malformed(query: str, why: str) -> Exception:
    return invalid(
        f"We were unable to parse your search query. {why} For more information, see"
        f" https://stripe.com/docs/search#search-query-language. Query: {query}",
        param="query",
    )


def matcher(query: str, fields: dict[str, str]) -> Match:
    """A predicate on objects for a query; raises a 400 that says what Stripe could not parse."""
    clauses: list[Match] = []
    joins: set[str] = set()
    at = 0
    while True:
        found = _CLAUSE.match(query, at)
        if found is None:
            raise _malformed(query, f"It stops making sense at position {at}.")
        clauses.append(_clause(found, fields, query))
        at = found.end()
        if not query[at:].strip():
            break
        join = _JOIN.match(query, at)
        if join is None:
            raise _malformed(query, f"Clauses are joined by AND or OR; there is neither at position {at}.")
        joins.add((join[1] or "AND").upper())
        at = join.end()
    if len(joins) > 1:
        raise _malformed(query, "You cannot combine AND with OR in one query.")
    if len(clauses) > _MOST_CLAUSES:
        raise _malformed(query, f"A query has at most {_MOST_CLAUSES} clauses.")
    if "OR" in joins:
        return lambda obj: any(clause(obj) for clause in clauses)
    return lambda obj: all(clause(obj) for clause in clauses)


def _clause(found: re.Match[str], fields: dict[str, str], query: str) -> Match:
    name, key, operator = found["field"], found["key"], found["operator"]
    path = [*fields.get(name, name).split("."), *([key] if key is not None else [])]
    bare = found["bare"]
    wanted = bare if bare is not None else re.sub(r"\\(.)", r"\1", found["text"])
    test = _test(operator, wanted, is_null=bare is not None and bare.lower() == "null", query=query)
    if found["negated"]:
        return lambda obj: not test(_inside(obj, *path))
    return lambda obj: test(_inside(obj, *path))


def _inside(obj: Wire, *path: str) -> Any:
    value: Any = obj
    for name in path:
        value = value.get(name, _MISSING) if isinstance(value, dict) else _MISSING
    return value


def _test(operator: str, wanted: str, *, is_null: bool, query: str) -> Callable[[Any], bool]:
    if operator == ":" and is_null:
        return lambda value: value is None or value is _MISSING or value == ""
    if operator == ":":
        return lambda value: _equal(value, wanted)
    if operator == "~":
        if len(wanted) < _SUBSTRING:
            raise _malformed(query, f"A substring needs at least {_SUBSTRING} characters.")
        part = wanted.lower()
        return lambda value: isinstance(value, str) and part in value.lower()
    return _compared(operator, wanted, query)


def _compared(operator: str, wanted: str, query: str) -> Callable[[Any], bool]:
    try:
        limit = float(wanted)
    except ValueError:
        raise _malformed(query, f"{operator} compares numbers, and {wanted} is none.") from None
    tests: dict[str, Callable[[float], bool]] = {
        ">": lambda value: value > limit,
        "<": lambda value: value < limit,
        ">=": lambda value: value >= limit,
        "<=": lambda value: value <= limit,
    }
    test = tests[operator]

    def compare(value: Any) -> bool:
        if isinstance(value, str):
            value = float(value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else _MISSING
        return isinstance(value, (int, float)) and not isinstance(value, bool) and test(value)

    return compare


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted.lower() == ("true" if value else "false")
    if isinstance(value, (int, float)):
        return str(value) == wanted
    return isinstance(value, str) and value.lower() == wanted.lower()
