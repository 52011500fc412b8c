"""Parameter trees: checking raw strings against them and giving them their types.

A tree node reads a raw value and returns it coerced, or raises the refusal that Stripe would send. Members that no
node knows are collected in `unknown`, because Stripe names all of them at once and before anything else.
"""

from collections.abc import Callable
from typing import Any

from fake_stripe.errors import ApiError
from fake_stripe.openapi import refusals
from fake_stripe.openapi.brackets import Raw, bracketed, items_of, shown
from fake_stripe.openapi.scalars import Facts, Integer, Limit, Parameter, String

# docs.stripe.com/metadata
_METADATA_KEYS, _METADATA_KEY, _METADATA_VALUE = 50, 40, 500


class Array(Parameter):
    """Items of one kind."""

    __slots__ = ("_item", "_node")

    def __init__(self, facts: Facts, node: Callable[[int], Parameter]) -> None:
        super().__init__(facts)
        self._item: int = facts["v"]
        self._node = node

    def read(self, raw: Any, name: str, unknown: list[str]) -> list[Any] | str:
        """The items in order."""
        if raw == "":
            return self.unset(name)
        items = items_of(raw)
        if items is None:
            raise refusals.malformed("array", name)
        read = self._node(self._item).read
        return [read(item, f"{name}[{index}]", unknown) for index, item in enumerate(items)]

    def missing(self, raw: Any, name: str) -> str | None:
        """The first one missing in any item."""
        node = self._node(self._item)
        found = (node.missing(item, f"{name}[{index}]") for index, item in enumerate(items_of(raw) or ()))
        return next((one for one in found if one), None)

    def ordered(self, raw: Any) -> Any:
        """The items, each in order."""
        items = items_of(raw)
        return raw if items is None else [self._node(self._item).ordered(item) for item in items]


class Map(Parameter):
    """Values of one kind under names of the client's choice."""

    __slots__ = ("_item", "_node")

    def __init__(self, facts: Facts, node: Callable[[int], Parameter]) -> None:
        super().__init__(facts)
        self._item: int = facts["v"]
        self._node = node

    def read(self, raw: Any, name: str, unknown: list[str]) -> dict[str, Any] | str:
        """The values by name."""
        if raw == "":
            return self.unset(name)
        if not isinstance(raw, dict):
            raise refusals.malformed("object", name)
        node = self._node(self._item)
        return {key: node.read(value, bracketed(name, key), unknown) for key, value in raw.items()}


class Metadata(Parameter):
    """Names and texts of the client's own; an empty text removes a name (facts 7.5)."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__({"u": 1})

    def read(self, raw: Any, name: str, unknown: list[str]) -> dict[str, str] | str:
        """The texts by name."""
        del unknown
        if raw == "":
            return ""
        if not isinstance(raw, dict):
            raise refusals.malformed("object", name)
        for key, value in raw.items():
            if not isinstance(value, str):
                raise refusals.malformed("string", bracketed(name, key), shown(value))
            if len(key) > _METADATA_KEY:
                raise refusals.metadata_key(key, _METADATA_KEY)
            if len(value) > _METADATA_VALUE:
                raise refusals.metadata_value(value, _METADATA_VALUE)
        if len(raw) > _METADATA_KEYS:
            raise refusals.metadata_keys(len(raw), _METADATA_KEYS)
        return raw


Special = dict[str, Callable[[Parameter], Parameter]]
"""By a member's name: from the node that the document has to one that knows more."""


class Hash(Parameter):
    """Named members. They are compiled when the first request brings this hash."""

    __slots__ = ("_facts", "_lax", "_members", "_node", "_numbers", "_required", "_special")

    def __init__(self, facts: Facts, node: Callable[[int], Parameter], special: Special) -> None:
        super().__init__(facts)
        self._facts = facts
        self._numbers: dict[str, int] = facts.get("p", {})
        self._required: list[str] = facts.get("q", [])
        self._lax = bool(facts.get("y"))
        self._node = node
        self._special = special
        self._members: dict[str, Parameter] = {}

    def softened(self) -> "Hash":
        """This hash with texts that an empty string unsets; itself when it has required members."""
        if self._required:
            return self
        return Hash(self._facts, self._node, dict.fromkeys(self._numbers, unset_by_empty))

    @property
    def names(self) -> list[str]:
        """The names of all members."""
        return list(self._numbers)

    def member(self, name: str) -> Parameter | None:
        """The node of a member."""
        found = self._members.get(name)
        if found is None:
            number = self._numbers.get(name)
            if number is not None:
                found = self._node(number)
                special = self._special.get(name)
                found = self._members[name] = special(found) if special else found
        return found

    def read(self, raw: Any, name: str, unknown: list[str]) -> Any:
        """The coerced members in the order of the wire."""
        if not isinstance(raw, dict):
            if raw == "":
                return self.unset(name)
            if self._lax and isinstance(raw, str):
                return raw
            raise refusals.malformed("object", name)
        values: dict[str, Any] = {}
        members = self._members
        for key, value in raw.items():
            node = members.get(key) or self.member(key)
            if node is None:
                unknown.append(bracketed(name, key))
            else:
                values[key] = node.read(value, f"{name}[{key}]" if name else key, unknown)
        for key in self._required:
            if key not in raw:
                raise refusals.missing(bracketed(name, key))
        return values

    def missing(self, raw: Any, name: str) -> str | None:
        """Its own first, then those of its members."""
        if not isinstance(raw, dict):
            return None
        for key in self._required:
            if key not in raw:
                return bracketed(name, key)
        for key in self._numbers:
            node = self.member(key) if key in raw else None
            found = node.missing(raw[key], bracketed(name, key)) if node else None
            if found:
                return found
        return None

    def ordered(self, raw: Any) -> Any:
        """The members as declared."""
        if not isinstance(raw, dict):
            return raw
        nodes = ((key, self.member(key)) for key in self._numbers if key in raw)
        return {key: node.ordered(raw[key]) for key, node in nodes if node}


class Choice(Parameter):
    """One of several: an id or a hash, a time or a range of times, a number or a word."""

    __slots__ = ("_node", "_numbers")

    def __init__(self, facts: Facts, node: Callable[[int], Parameter]) -> None:
        super().__init__(facts)
        self._numbers: list[int] = facts["v"]
        self._node = node

    def variant(self, raw: Any) -> Parameter:
        """The variant that a value is meant for."""
        nodes = [self._node(number) for number in self._numbers]
        if isinstance(raw, str):
            scalars = [node for node in nodes if not isinstance(node, (Hash, Array, Map))]
            for node in scalars:
                if _fits(node, raw):
                    return node
            return scalars[0] if scalars else nodes[0]
        hashes = [node for node in nodes if isinstance(node, Hash)]
        for found in hashes:
            if isinstance(raw, dict) and all(key in found.names for key in raw):
                return found
        arrays = [node for node in nodes if isinstance(node, (Array, Map))]
        return (arrays or hashes or nodes)[0]

    def read(self, raw: Any, name: str, unknown: list[str]) -> Any:
        """What the fitting variant makes of it."""
        if raw == "":
            return self.unset(name)
        return self.variant(raw).read(raw, name, unknown)

    def missing(self, raw: Any, name: str) -> str | None:
        """Those of the fitting variant."""
        return self.variant(raw).missing(raw, name)

    def ordered(self, raw: Any) -> Any:
        """As the fitting variant declares them."""
        return self.variant(raw).ordered(raw)


def _fits(node: Parameter, raw: str) -> bool:
    if isinstance(node, String):
        return node.allows(raw)
    try:
        node.read(raw, "", [])
    except ApiError:
        return False
    return True


def as_email(found: Parameter) -> Parameter:
    """A text that must look like an e-mail address."""
    return found.refined(f="email") if isinstance(found, String) else found


def as_url(found: Parameter) -> Parameter:
    """A text that must begin with a scheme."""
    return found.refined(f="url") if isinstance(found, String) else found


def as_metadata(found: Parameter) -> Parameter:
    """The map that Stripe keeps for the client."""
    return Metadata() if type(found) is Map else found


def as_limit(found: Parameter, *, clamp: bool) -> Parameter:
    """A page size."""
    return Limit({"clamp": clamp}) if type(found) is Integer else found


def at_least(found: Parameter, least: int) -> Parameter:
    """A number that may not be less."""
    return Integer({"least": least, "u": found.unsettable}) if type(found) is Integer else found


def unset_by_empty(found: Parameter) -> Parameter:
    """A text, or the texts of a hash without required members, that an empty string unsets."""
    if isinstance(found, String):
        return found.refined(u=1)
    return found.softened() if isinstance(found, Hash) else found


def first_problem(root: Hash, raw: Raw) -> ApiError | None:
    """The refusal that comes first: all unknown names, then what is missing, then the first bad value as declared."""
    unknown: list[str] = []
    problem: ApiError | None = None
    try:
        root.read(raw, "", unknown)
    except ApiError as error:
        problem = error
        unknown = unknown_names(root, raw)
    if unknown:
        return refusals.unknown(unknown)
    missing = root.missing(raw, "")
    if missing:
        return refusals.missing(missing)
    try:
        root.read(root.ordered(raw), "", [])
    except ApiError as error:
        return error
    return problem


def unknown_names(node: Parameter, raw: Any, name: str = "") -> list[str]:
    """Every name that the tree does not have, in the order of the wire."""
    if isinstance(node, Choice):
        node = node.variant(raw)
    if isinstance(node, Hash) and isinstance(raw, dict):
        found: list[str] = []
        for key, value in raw.items():
            member = node.member(key)
            if member is None:
                found.append(bracketed(name, key))
            else:
                found += unknown_names(member, value, bracketed(name, key))
        return found
    return []
