"""Parameters that are one text on the wire: texts, numbers, truth values."""

import re
from collections.abc import Callable
from typing import Any

from fake_stripe.amounts import CURRENCIES
from fake_stripe.openapi import refusals
from fake_stripe.openapi.brackets import shown

Facts = dict[str, Any]
"""A parameter node as the catalog holds it; `build.py` explains its letters."""

_INTEGER = re.compile(r"-?\d{1,19}")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")  # an app's own, too
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_KNOWN_CURRENCIES = frozenset(CURRENCIES.split(", "))
_LARGEST = 2**63 - 1


class Parameter:
    """A node of a parameter tree. `unsettable`: an empty string is an answer, it unsets."""

    __slots__ = ("unsettable",)

    def __init__(self, facts: Facts) -> None:
        self.unsettable = bool(facts.get("u"))

    def read(self, raw: Any, name: str, unknown: list[str]) -> Any:
        """The coerced value; raises ApiError."""
        raise NotImplementedError

    def unset(self, name: str) -> str:
        """The empty string where it may unset; raises `parameter_invalid_empty` elsewhere."""
        if self.unsettable:
            return ""
        raise refusals.empty(name)

    def missing(self, raw: Any, name: str) -> str | None:
        """The name of the first required member that is not there."""
        del raw, name
        return None

    def ordered(self, raw: Any) -> Any:
        """The raw value with its members in the order in which they are declared."""
        return raw


class String(Parameter):
    """Text, an enum, a currency or a decimal."""

    __slots__ = ("_allowed", "_check", "_enum", "_facts", "_is_file", "_most")

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._facts = facts
        enum = facts.get("e")
        self._enum: list[str] | None = enum
        self._allowed = frozenset(enum) if enum else None
        self._most: int = facts.get("l") or 0
        self._check = _FORMATS.get(facts.get("f", ""))
        self._is_file = facts.get("f") == "binary"

    def refined(self, **facts: Any) -> "String":
        """The same with further facts."""
        return String(self._facts | facts)

    def allows(self, raw: str) -> bool:
        """Whether the value is in the enum; without one all are."""
        return self._allowed is None or raw in self._allowed

    def read(self, raw: Any, name: str, unknown: list[str]) -> str:
        """The text; a currency in lower case."""
        del unknown
        if not isinstance(raw, str):
            raise refusals.malformed("string", name, shown(raw))
        if not raw:
            return raw if self._is_file else self.unset(name)
        if self._allowed is not None and raw not in self._allowed:
            raise refusals.not_one_of(name, _as_shown(self._enum or []))
        if self._most and len(raw) > self._most:
            raise refusals.too_long(name, raw, self._most)
        return raw if self._check is None else self._check(raw, name)


def _as_shown(enum: list[str]) -> list[str]:
    """An enum in the order of Stripe's messages: `*` last of the events, `card` first of the payment methods (seen)."""
    first = ["card"] if {"card", "acss_debit"} <= set(enum) else []
    last = ["*"] if "*" in enum else []
    return first + [word for word in enum if word not in (*first, *last)] + last


def _currency(raw: str, name: str) -> str:
    lower = raw.lower()
    if lower not in _KNOWN_CURRENCIES:
        raise refusals.currency(name, raw, CURRENCIES)
    return lower


def _decimal(raw: str, name: str) -> str:
    if _NUMBER.fullmatch(raw) is None:
        raise refusals.malformed("decimal", name, raw)
    return raw


def _email(raw: str, name: str) -> str:
    if _EMAIL.fullmatch(raw) is None:
        raise refusals.email(name, raw)
    return raw


def _url(raw: str, name: str) -> str:
    if _SCHEME.match(raw) is None:
        raise refusals.url(name)
    return raw


_FORMATS: dict[str, Callable[[str, str], str]] = {
    "currency": _currency,
    "decimal": _decimal,
    "email": _email,
    "url": _url,
}


class Integer(Parameter):
    """A whole number; Unix seconds and minor units, too."""

    __slots__ = ("least",)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.least: int | None = facts.get("least")

    def read(self, raw: Any, name: str, unknown: list[str]) -> int | str:
        """The number."""
        del unknown
        if not isinstance(raw, str):
            raise refusals.integer(name, shown(raw))
        if not raw:
            return self.unset(name)
        if _INTEGER.fullmatch(raw) is None or not raw.isascii():
            raise refusals.integer(name, raw)
        value = int(raw)
        if abs(value) > _LARGEST:
            raise refusals.integer(name, raw)
        if self.least is not None and value < self.least:
            raise refusals.too_small(name, self.least)
        return value


class Limit(Integer):
    """The page size: lists bring it into 1..100, searches refuse what is outside (facts 7.4)."""

    __slots__ = ("_clamp",)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._clamp = bool(facts.get("clamp"))

    def read(self, raw: Any, name: str, unknown: list[str]) -> int | str:
        """The number."""
        value = super().read(raw, name, unknown)
        if isinstance(value, str) or 1 <= value <= 100:
            return value
        if self._clamp:
            return min(max(value, 1), 100)
        raise refusals.too_small(name, 1) if value < 1 else refusals.too_large(name, 100, value)


class Number(Parameter):
    """A number that may have a fraction."""

    __slots__ = ()

    def read(self, raw: Any, name: str, unknown: list[str]) -> float | str:
        """The number, whole ones as int."""
        del unknown
        if not isinstance(raw, str):
            raise refusals.malformed("number", name, shown(raw))
        if not raw:
            return self.unset(name)
        if _NUMBER.fullmatch(raw) is None or len(raw) > 19:
            raise refusals.malformed("number", name, raw)
        return int(raw) if raw.lstrip("-").isdecimal() else float(raw)


class Boolean(Parameter):
    """`true` or `false`, in these letters."""

    __slots__ = ()

    def read(self, raw: Any, name: str, unknown: list[str]) -> bool | str:
        """The truth value."""
        del unknown
        if raw == "true":
            return True
        if raw == "false":
            return False
        if raw == "":
            return self.unset(name)
        raise refusals.malformed("boolean", name, shown(raw))


class Anything(Parameter):
    """A value about which the document says nothing."""

    __slots__ = ()

    def read(self, raw: Any, name: str, unknown: list[str]) -> Any:
        """The raw value."""
        del name, unknown
        return raw
