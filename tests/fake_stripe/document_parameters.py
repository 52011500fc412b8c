"""Parameters for any operation, drawn from the catalog: the least that it accepts, or random valid and invalid ones."""

import random
from typing import Any

from fake_stripe.openapi.catalog import Operation, catalog

Pairs = list[tuple[str, str]]
_TEXTS = {"currency": "usd", "email": "a@example.com", "decimal": "1.5"}


def least(operation: Operation) -> Pairs:
    """The required parameters alone."""
    pairs: Pairs = []
    root = catalog().facts(operation._number)
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


class Drawn:
    """Random parameters; the same for the same seed. `ids` are ids that exist and are put in now and then."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.rng = random.Random(seed)
        self.ids = ids

    def pairs(self, operation: Operation, *, wild: float = 0.1) -> Pairs:
        """Some parameters of an operation; a share of `wild` of the values and names is spoilt."""
        found: Pairs = [] if self.rng.random() < wild else least(operation)
        root = catalog().facts(operation._number)
        names = list(root.get("p", {}))
        for name in self.rng.sample(names, min(len(names), self.rng.randrange(5))):
            self._draw(catalog().facts(root["p"][name]), name, found, wild, 0)
        return [self._spoilt(pair, wild) for pair in found]

    def path(self, operation: Operation) -> str:
        """The operation's path with ids in it."""
        parts = operation.path.split("/")
        return "/".join(self._id() if part.startswith("{") else part for part in parts)

    def _id(self) -> str:
        return self.rng.choice([*self.ids, "cus_nope", "pm_card_visa"]) if self.ids else "cus_nope"

    def _draw(self, node: dict[str, Any], name: str, pairs: Pairs, wild: float, depth: int) -> None:
        rng = self.rng
        kind = node["t"]
        if kind == "o" and depth < 4:
            members = list(node.get("p", {}))
            chosen = set(rng.sample(members, min(len(members), rng.randrange(3)))) | set(node.get("q", ()))
            for member in sorted(chosen):
                self._draw(catalog().facts(node["p"][member]), f"{name}[{member}]", pairs, wild, depth + 1)
        elif kind == "m":
            self._draw(
                catalog().facts(node["v"]), f"{name}[{rng.choice(['usd', 'k', 'long' * 12])}]", pairs, wild, depth + 1
            )
        elif kind == "a":
            for index in range(rng.randrange(3)):
                item = f"{name}[{index}]" if rng.random() < 0.7 else f"{name}[]"
                self._draw(catalog().facts(node["v"]), item, pairs, wild, depth + 1)
        elif kind == "x":
            self._draw(catalog().facts(rng.choice(node["v"])), name, pairs, wild, depth)
        elif kind != "o":
            pairs.append((name, self._scalar(node, name)))

    def _scalar(self, node: dict[str, Any], name: str) -> str:
        rng = self.rng
        if node.get("e"):
            return str(rng.choice(node["e"]))
        if node["t"] == "i":
            return str(rng.choice([0, 1, 50, 100, 1099, 2000, 999999, 1760000000, 12, 2034]))
        if node["t"] == "b":
            return rng.choice(["true", "false"])
        if node["t"] == "s" and not node.get("f") and rng.random() < 0.5:
            return rng.choice([*self.ids, "pm_card_visa", "tok_visa", "usd", "card", "4242424242424242", "123"])
        return _value(node, name)

    def _spoilt(self, pair: tuple[str, str], wild: float) -> tuple[str, str]:
        name = pair[0]
        if self.rng.random() >= wild:
            return pair
        if self.rng.random() < 0.3:
            name = self.rng.choice([name + "x", name + "[x]", name + "[]", name + "[0]", "[" + name, name + "[", ""])
        return name, self.rng.choice(_STRANGE)
