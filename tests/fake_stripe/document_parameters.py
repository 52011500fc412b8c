"""Parameters for any operation, drawn from the catalog: the least that it accepts, or random valid and invalid ones."""

import random
from typing import Any

from fake_stripe.openapi.catalog import Operation, catalog

Pairs = list[tuple[str, str]]
_TEXTS = {"currency": "usd", "email": "a@example.com", "decimal": "1.5"}


def least(operation: Operation) -> Pairs:
    """The required parameters alone."""
    pairs: Pairs = []
    root = operation.documented
    for name in root.get("q", ()):
        _least(catalog().facts(root["p"][name]), name, pairs)
    return pairs


def _least(node: dict[str, Any], name: str, pairs: Pairs) -> None:
    kind = node["t"]
    if kind == "o":
        required = node.get("q") or list(node.get("p", {}))[:1]
        for member in required:
            _least(catalog().facts(node["p"][member]), f"{name}[{member}]", pairs)
    elif kind == "m":
        item = catalog().facts(node["v"])
        _least(item, f"{name}[usd]", pairs)
    elif kind == "a":
        _least(catalog().facts(node["v"]), f"{name}[0]", pairs)
    elif kind == "x":
        _least(catalog().facts(node["v"][0]), name, pairs)
    else:
        pairs.append((name, _value(node, name)))


def _value(node: dict[str, Any], name: str) -> str:
    kind = node["t"]
    if node.get("e"):
        return str(node["e"][0])
    if kind == "i":
        return "1000"
    if kind == "n":
        return "1.5"
    if kind == "b":
        return "true"
    leaf = name.rsplit("[", 1)[-1].rstrip("]")
    return _TEXTS.get(node.get("f") or leaf, "text")


_FREE = ["text", "pm_card_visa", "tok_visa", "usd", "card", "4242424242424242", "123", "US"]
_STRANGE = [
    "",
    " ",
    "0",
    "-1",
    "1.5",
    "true",
    "null",
    "99999999999999999999",
    "é☃",
    "a" * 600,
    "[]",
    "{}",
    "%",
    "usd",
    "\0",
]


_PLURALS = {"cards": "card", "bank_accounts": "bank_account", "sources": "card", "persons": "person"}


class Pool:
    """Ids that exist, by the object they are of."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ids: dict[str, list[str]] = {}

    def add(self, obj: Any) -> None:
        """Remember an answered object, and the items of an answered list."""
        if isinstance(obj.get("data"), list):
            for item in obj["data"]:
                self.add(item)
        elif isinstance(obj.get("id"), str) and not obj.get("deleted"):
            known = self._ids.setdefault(str(obj.get("object")), [])
            known.append(obj["id"])
            del known[:-8]

    def any(self) -> str:
        """Any id."""
        return self._rng.choice([id_ for ids in self._ids.values() for id_ in ids] or ["cus_nope"])

    def of(self, name: str) -> str | None:
        """An id of the object that a parameter or path segment of this name means."""
        known = self._ids.get(_PLURALS.get(name, name.removesuffix("s")))
        return self._rng.choice(known) if known else None


class Drawn:
    """Random parameters and paths out of one source of chance, with the pool's ids where ids belong."""

    def __init__(self, rng: random.Random, pool: Pool) -> None:
        self.rng = rng
        self.pool = pool

    def pairs(self, operation: Operation, *, wild: float) -> Pairs:
        """Some parameters of an operation; a share of `wild` of the values and names is spoilt."""
        found: Pairs = [] if self.rng.random() < wild else [self._known(*pair) for pair in least(operation)]
        root = operation.documented
        names = list(root.get("p", {}))
        for name in self.rng.sample(names, min(len(names), self.rng.randrange(5))):
            self._draw(catalog().facts(root["p"][name]), name, found, 0)
        return [self._spoilt(*pair, wild) for pair in found]

    def path(self, operation: Operation) -> str:
        """The operation's path with ids in it, mostly fitting ones."""
        parts = operation.path.split("/")
        for index, part in enumerate(parts):
            if part.startswith("{"):
                fitting = self.pool.of(parts[index - 1]) or self.pool.of(part[1:-1])
                parts[index] = fitting if fitting and self.rng.random() < 0.9 else self.pool.any()
        return "/".join(parts)

    def _draw(self, node: dict[str, Any], name: str, pairs: Pairs, depth: int) -> None:
        rng = self.rng
        kind = node["t"]
        if kind == "o" and depth < 4:
            members = list(node.get("p", {}))
            chosen = set(rng.sample(members, min(len(members), rng.randrange(3)))) | set(node.get("q", ()))
            for member in sorted(chosen):
                self._draw(catalog().facts(node["p"][member]), f"{name}[{member}]", pairs, depth + 1)
        elif kind == "m":
            self._draw(catalog().facts(node["v"]), f"{name}[{rng.choice(['usd', 'k', 'long' * 12])}]", pairs, depth + 1)
        elif kind == "a":
            for index in range(rng.randrange(3)):
                item = f"{name}[{index}]" if rng.random() < 0.7 else f"{name}[]"
                self._draw(catalog().facts(node["v"]), item, pairs, depth + 1)
        elif kind == "x":
            self._draw(catalog().facts(rng.choice(node["v"])), name, pairs, depth)
        elif kind != "o":
            pairs.append(self._known(name, self._scalar(node, name)))

    def _known(self, name: str, value: str) -> tuple[str, str]:
        """Ids where ids are meant, so that requests reach beyond the first look-up."""
        fitting = self.pool.of(name) if value == "text" or not value.isascii() or value in _FREE else None
        if name == "payment_method" and self.rng.random() < 0.5:
            fitting = self.rng.choice(["pm_card_visa", "pm_card_chargeDeclined", "pm_usBankAccount_success"])
        if name in ("source", "external_account") and self.rng.random() < 0.7:
            fitting = self.rng.choice(["tok_visa", "tok_mastercard", "btok_us_verified"])
        return name, fitting or value

    def _scalar(self, node: dict[str, Any], name: str) -> str:
        rng = self.rng
        if node.get("e"):
            return str(rng.choice(node["e"]))
        if node["t"] == "i":
            return str(rng.choice([0, 1, 50, 100, 1099, 2000, 999999, 1760000000, 12, 2034]))
        if node["t"] == "b":
            return rng.choice(["true", "false"])
        if node["t"] == "s" and not node.get("f") and rng.random() < 0.5:
            return rng.choice(_FREE)
        return _value(node, name)

    def _spoilt(self, name: str, value: str, wild: float) -> tuple[str, str]:
        if self.rng.random() >= wild:
            return name, value
        if self.rng.random() < 0.3:
            name = self.rng.choice([name + "x", name + "[x]", name + "[]", name + "[0]", "[" + name, name + "[", ""])
        return name, self.rng.choice(_STRANGE)
