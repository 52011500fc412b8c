"""The catalog of Stripe's operations: finding the one that a request means, and checking its parameters.

`catalog.json.gz` is unpacked on first use (a few milliseconds); a parameter tree is compiled when the first request
needs it, and its parts are shared by all operations that have them.
"""

import difflib
import gzip
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson

from fake_stripe.errors import ApiError
from fake_stripe.openapi import parameters as tree
from fake_stripe.openapi import scalars
from fake_stripe.openapi.brackets import nest
from fake_stripe.openapi.exclusive import EXCLUSIVE, refuse_together
from fake_stripe.openapi.lenience import LEAST, UNDOCUMENTED, UNSET_BY_EMPTY

_FILE = Path(__file__).with_name("catalog.json.gz")


class Operation:
    """One operation of the API.

    Attributes:
        method: GET, POST or DELETE.
        path: the template, e.g. `/v1/customers/{customer}`.
        id: Stripe's operationId.
        response: name of the answered object, None for lists and other unnamed shapes.
        shape: number of the answer's shape in the catalog, 0 when the answer is not JSON.
    """

    __slots__ = ("_catalog", "_number", "_pairs", "_root", "id", "method", "path", "response", "shape")

    def __init__(self, catalog: "Catalog", facts: list[Any]) -> None:
        self._catalog = catalog
        self.method: str = facts[0]
        self.path: str = facts[1]
        self.id: str = facts[2]
        self._number: int = facts[3]
        self.shape: int = facts[4]
        self.response: str | None = facts[5]
        self._root: tree.Hash | None = None
        self._pairs = (self.method, self.path) in EXCLUSIVE

    @property
    def documented(self) -> scalars.Facts:
        """The root of the parameter tree as the document has it."""
        return self._catalog.facts(self._number)

    @property
    def parameters(self) -> tree.Hash:
        """The root of the parameter tree, with what is accepted beyond the document."""
        if self._root is None:
            facts = self.documented
            for name, node in UNDOCUMENTED.get((self.method, self.path), {}).items():
                facts = self._catalog.extended(facts, name.replace("]", "").split("["), node)
            self._root = tree.Hash(facts, self._catalog.parameter, self._special())
        return self._root

    def _special(self) -> tree.Special:
        if self.method == "GET":
            return {"limit": partial(tree.as_limit, clamp=not self.path.endswith("/search"))}
        key = (self.method, self.path)
        softened: tree.Special = {
            name: partial(_both, _WRITTEN.get(name), tree.unset_by_empty)
            for name in ("description", *UNSET_BY_EMPTY.get(key, ()))
        }
        bounded: tree.Special = {
            name: partial(tree.at_least, least=value) for name, value in LEAST.get(key, {}).items()
        }
        return _WRITTEN | softened | bounded

    def validate(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        """Nested, coerced parameters from decoded pairs in the order of the wire.

        An empty string stays where it may unset. Raises ApiError in Stripe's words: all unknown names at once, then
        what is missing, then the first bad value.
        """
        raw = nest(pairs)
        root = self._root or self.parameters
        unknown: list[str] = []
        try:
            values: dict[str, Any] = root.read(raw, "", unknown)
        except ApiError as error:
            raise tree.first_problem(root, raw) or error from None
        if unknown:
            raise tree.first_problem(root, raw) or ApiError(400, "invalid_request_error", "Received unknown parameter")
        if self._pairs:
            refuse_together((self.method, self.path), values)
        return values

    def suggestions(self, pairs: list[tuple[str, str]]) -> list[str]:
        """For each unknown name, the known one that its writer may have meant."""
        root = self.parameters
        found = []
        for name in tree.unknown_names(root, nest(pairs)):
            head, _, last = name.rpartition("[")
            holder = _descend(root, head) if head else root
            names = holder.names if isinstance(holder, tree.Hash) else []
            close = difflib.get_close_matches(last.rstrip("]"), names, n=1, cutoff=0.6)
            if close:
                meant = f"{head}[{close[0]}]" if head else close[0]
                found.append(f"{name}: did you mean {meant}?")
        return found


def _descend(root: scalars.Parameter | None, name: str) -> scalars.Parameter | None:
    node = root
    for part in name.replace("]", "").split("["):
        node = node.member(part) if isinstance(node, tree.Hash) else None
    return node


def _both(
    first: Callable[[scalars.Parameter], scalars.Parameter] | None,
    second: Callable[[scalars.Parameter], scalars.Parameter],
    found: scalars.Parameter,
) -> scalars.Parameter:
    return second(first(found) if first else found)


_WRITTEN: tree.Special = {
    "metadata": tree.as_metadata,
    "email": tree.as_email,
    "receipt_email": tree.as_email,
    "address": tree.unset_by_empty,
    "cancel_url": tree.as_url,
    "refresh_url": tree.as_url,
    "return_url": tree.as_url,
    "success_url": tree.as_url,
}


class Catalog:
    """All operations, and the shapes of all objects."""

    def __init__(self, text: bytes) -> None:
        lines = text.split(b"\n")
        index = orjson.loads(lines[0])
        self._lines: list[bytes | scalars.Facts] = list(lines)
        self.version: str = index["version"]
        self._objects: dict[str, int] = index["objects"]
        self._operations = [Operation(self, facts) for facts in index["operations"]]
        self._nodes: dict[int, scalars.Parameter] = {}
        self._routes: dict[str, Any] = {}
        for operation in self._operations:
            self._route(operation)

    def _route(self, operation: Operation) -> None:
        node = self._routes.setdefault(operation.method, {})
        names = []
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                segment = "{}"  # noqa: PLW2901 - all parameters of one place share a branch
            node = node.setdefault(segment, {})
        node[""] = (operation, names)

    def operations(self) -> Iterator[Operation]:
        """Every operation, by path."""
        return iter(self._operations)

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation that a request means and its path parameters; None when there is none."""
        routes = self._routes.get(method)
        if routes is None or path[:1] != "/":
            return None
        found = _find(routes, path.split("/"), 1)
        if found is None:
            return None
        (operation, names), values = found
        return operation, dict(zip(names, values, strict=True))

    def facts(self, number: int) -> dict[str, Any]:
        """A node as the document has it; `build.py` explains its letters."""
        line = self._lines[number]
        if isinstance(line, bytes):
            line = self._lines[number] = orjson.loads(line)
        return line

    def add(self, facts: scalars.Facts) -> int:
        """A node that the document does not have, its parts written inside it; returns its number."""
        parts = facts.get("v")
        if isinstance(parts, dict):
            facts = facts | {"v": self.add(parts)}
        elif isinstance(parts, list):
            facts = facts | {"v": [self.add(part) for part in parts]}
        self._lines.append(facts)
        return len(self._lines) - 1

    def extended(self, facts: scalars.Facts, path: list[str], node: scalars.Facts) -> scalars.Facts:
        """A hash with one more member, or with one replaced, at that path inside it."""
        name, *inner = path
        members = facts.get("p", {})
        if inner:
            number = self.add(self._extended_item(self.facts(members[name]), inner, node))
        elif "more" in node:
            documented = self.facts(members[name])
            number = self.add(documented | {"e": documented["e"] + node["more"]})
        else:
            number = self._lend(node)
        return facts | {"p": members | {name: number}}

    def _extended_item(self, facts: scalars.Facts, path: list[str], node: scalars.Facts) -> scalars.Facts:
        if facts["t"] != "a":
            return self.extended(facts, path, node)
        return facts | {"v": self.add(self.extended(self.facts(facts["v"]), path, node))}

    def _lend(self, node: scalars.Facts) -> int:
        """The number of an added node; `like` names an operation and one of its parameters to take it from."""
        if "like" not in node:
            return self.add(node)
        method, path, name = node["like"]
        lender = next(o for o in self._operations if (o.method, o.path) == (method, path))
        number: int = lender.documented["p"][name]
        return number

    def parameter(self, number: int) -> scalars.Parameter:
        """A parameter node, compiled."""
        found = self._nodes.get(number)
        if found is None:
            found = self._nodes[number] = self._compile(self.facts(number))
        return found

    def _compile(self, facts: scalars.Facts) -> scalars.Parameter:
        kind = facts["t"]
        if kind == "o":
            return tree.Hash(facts, self.parameter, _WRITTEN)
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](facts, self.parameter)
        return _SCALARS[kind](facts)

    def object_shape(self, name: str) -> dict[str, Any]:
        """The shape of a named object; KeyError for an unknown name."""
        return self.facts(self._objects[name])

    def has_object(self, name: str) -> bool:
        """Whether the document has an object of this name."""
        return name in self._objects


_CONTAINERS: dict[str, Callable[[scalars.Facts, Callable[[int], scalars.Parameter]], scalars.Parameter]] = {
    "a": tree.Array,
    "m": tree.Map,
    "x": tree.Choice,
}
_SCALARS: dict[str, Callable[[scalars.Facts], scalars.Parameter]] = {
    "s": scalars.String,
    "i": scalars.Integer,
    "n": scalars.Number,
    "b": scalars.Boolean,
    "any": scalars.Anything,
}


def _find(node: dict[str, Any], segments: list[str], depth: int) -> tuple[Any, list[str]] | None:
    if depth == len(segments):
        return (node[""], []) if "" in node else None
    segment = segments[depth]
    if not segment:
        return None
    below = node.get(segment)
    found = _find(below, segments, depth + 1) if below is not None else None
    if found is None:
        below = node.get("{}")
        found = _find(below, segments, depth + 1) if below is not None else None
        if found is not None:
            found[1].insert(0, segment)
    return found


@cache
def catalog() -> Catalog:
    """The catalog; unpacked on the first call."""
    return Catalog(gzip.decompress(_FILE.read_bytes()))


@cache
def versions() -> frozenset[str]:
    """The API versions that the document knows, of all years."""
    match = catalog().match("POST", "/v1/webhook_endpoints")
    assert match is not None
    named = match[0].documented["p"]["api_version"]
    return frozenset(catalog().facts(named)["e"])


@cache
def expandable(object_type: str, field: str) -> bool:
    """Whether `expand[]=field` is allowed in an object of this type; `field` may be dotted within the object."""
    known = catalog()
    if not known.has_object(object_type):
        return False
    holder = known.object_shape(object_type)
    shape: dict[str, Any] = {}
    for name in field.split("."):
        holder = shape or holder
        number = next((h["p"][name] for h in _hashes(known, holder) if name in h.get("p", {})), None)
        if number is None:
            return False
        shape = known.facts(number)
    if "X" in shape:
        return True
    last = field.rsplit(".", 1)[-1]
    hidden = any(last in h.get("h", ()) and last not in h.get("q", ()) for h in _hashes(known, holder))
    return hidden and (not shape.get("n") or "has_more" in shape.get("p", {}))


def _hashes(known: Catalog, shape: dict[str, Any]) -> Iterable[dict[str, Any]]:
    kind = shape["t"]
    if kind == "o":
        yield shape
    elif kind == "r":
        yield from _hashes(known, known.object_shape(shape["v"]))
    elif kind == "a":
        yield from _hashes(known, known.facts(shape["v"]))
    elif kind == "x":
        for number in shape["v"]:
            yield from _hashes(known, known.facts(number))
