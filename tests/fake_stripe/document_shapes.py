"""Whether an answer has the shape that Stripe's OpenAPI document gives it: the tests' own reading of the catalog."""

from collections.abc import Iterator
from typing import Any

from fake_stripe.openapi.catalog import Operation, catalog

Shape = dict[str, Any]


def deviations(operation: Operation, value: Any) -> list[str]:
    """What is wrong with an answer of this operation: missing members, wrong types, unknown members, bad enums."""
    known = catalog()
    return list(_check(known.facts(operation.shape), value, operation.response or "answer"))


def object_deviations(name: str, value: Any) -> list[str]:
    """The same for an object by its name."""
    return list(_check(catalog().object_shape(name), value, name))


def _check(shape: Shape, value: Any, at: str) -> Iterator[str]:
    if value is None:
        if not shape.get("n"):
            yield f"{at} is null"
        return
    kind = shape["t"]
    if kind == "r":
        yield from _check(catalog().object_shape(shape["v"]), value, at)
    elif kind == "x":
        found = [list(_check(catalog().facts(number), value, at)) for number in shape["v"]]
        yield from min(found, key=len)
    elif kind == "o":
        yield from _check_hash(shape, value, at)
    elif kind == "a":
        if not isinstance(value, list):
            yield f"{at} is no array"
            return
        for index, item in enumerate(value):
            yield from _check(catalog().facts(shape["v"]), item, f"{at}[{index}]")
    elif kind == "m":
        if not isinstance(value, dict):
            yield f"{at} is no hash"
    else:
        yield from _check_scalar(shape, value, at)


def _check_hash(shape: Shape, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at} is no hash"
        return
    members = shape.get("p", {})
    for name in shape.get("q", ()):
        if name not in value:
            yield f"{at}.{name} is missing"
    for name, member in value.items():
        if name not in members:
            yield f"{at}.{name} is not in the document"
        else:
            yield from _check(catalog().facts(members[name]), member, f"{at}.{name}")


_TYPES: dict[str, tuple[type, ...]] = {"s": (str,), "i": (int,), "n": (int, float), "b": (bool,)}


def _check_scalar(shape: Shape, value: Any, at: str) -> Iterator[str]:
    types = _TYPES.get(shape["t"])
    if types is None:
        return
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        yield f"{at} is {value!r}"
    elif shape.get("e") and value not in shape["e"]:
        yield f"{at} is {value!r}, none of its words"
