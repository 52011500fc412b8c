"""Frozen dataclasses to JSON and back, deterministically: sorted keys, defaults left out, unknown keys refused.

Leaving defaults out means that a field added later does not change the bytes, and so not the hash, of older commands.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, Union

T = TypeVar("T")


_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_SCALARS = frozenset((str, int, bool, float, type(None)))


def dumps(value: object) -> str:
    """One value as compact JSON with sorted keys."""
    return _ENCODE(to_json(value))


def loads(cls: type[T], text: str) -> T:
    """The `cls` that `dumps` wrote. Raises TypeError or ValueError on anything else."""
    return typing.cast("T", from_json(cls, json.loads(text)))


def to_json(value: object) -> Any:
    """A JSON value; dataclass fields that equal their default are left out."""
    cls: type = value.__class__
    if cls in _SCALARS:
        return value
    if (fields := _fields(cls)) is not None:
        made = {}
        for name, default, factory in fields:
            item = getattr(value, name)
            if item != default and (factory is None or item != factory()):
                made[name] = to_json(item)
        return made
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


@lru_cache(maxsize=256)
def _fields(cls: type) -> tuple[tuple[str, object, Any], ...] | None:
    """(name, default, default factory) of each field of a dataclass; None for any other class."""
    if not dataclasses.is_dataclass(cls):
        return None
    missing = dataclasses.MISSING
    return tuple(
        (f.name, f.default, None if f.default_factory is missing else f.default_factory)
        for f in dataclasses.fields(cls)
    )


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def from_json(annotation: Any, value: Any) -> Any:
    """`value` as the annotated type."""
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType):
        options = [option for option in typing.get_args(annotation) if option is not type(None)]
        return None if value is None else from_json(options[0], value)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        if not isinstance(value, dict):
            raise TypeError(f"an object was expected for {annotation.__name__}, not {type(value).__name__}")
        hints = _hints(annotation)
        return annotation(**{name: from_json(hints[name], item) for name, item in value.items()})
    if origin in (tuple, list):
        item = typing.get_args(annotation)[0]
        return origin(from_json(item, element) for element in value)
    if origin is dict:
        return dict(value)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation(value)
    return value
