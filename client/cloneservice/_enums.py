"""Enum values of the contract to and from the client's StrEnums, by name, so that neither side's numbers leak."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from google.protobuf.descriptor import EnumDescriptor

from cloneservice import _values as values
from cloneservice.v1 import clone_service_pb2, types_pb2

Kind = TypeVar("Kind", bound=StrEnum)

_WIRE: Mapping[type[StrEnum], EnumDescriptor] = MappingProxyType(
    {
        values.CloneFlow: types_pb2.CloneFlow.DESCRIPTOR,
        values.CloneReuse: types_pb2.CloneReuse.DESCRIPTOR,
        values.CaptureMethod: types_pb2.CaptureMethod.DESCRIPTOR,
        values.CloneState: types_pb2.Clone.State.DESCRIPTOR,
        values.ChargeState: types_pb2.Charge.State.DESCRIPTOR,
        values.RefundState: types_pb2.Refund.State.DESCRIPTOR,
        values.BasketState: types_pb2.Basket.State.DESCRIPTOR,
        values.BasketLegState: types_pb2.BasketLeg.State.DESCRIPTOR,
        values.BatchOperation: types_pb2.CloneBatch.Operation.DESCRIPTOR,
        values.BatchState: types_pb2.CloneBatch.State.DESCRIPTOR,
        values.BatchItemState: types_pb2.CloneBatchItem.State.DESCRIPTOR,
        values.RequestState: clone_service_pb2.RequestState.DESCRIPTOR,
    }
)


@functools.cache
def _words(kind: type[StrEnum]) -> Mapping[int, str]:
    """Wire number to the client's word: STATE_REQUIRES_ACTION -> requires_action."""
    wire = _WIRE[kind].values
    prefix = next(value.name for value in wire if value.number == 0).removesuffix("UNSPECIFIED")
    return {value.number: value.name.removeprefix(prefix).lower() for value in wire}


def read(kind: type[Kind], number: int) -> Kind:
    """The member for a wire number; UNRECOGNIZED for a value that this client's contract does not have."""
    try:
        return kind(_words(kind)[number])
    except (KeyError, ValueError):
        return kind("unrecognized")


def read_optional(kind: type[Kind], number: int) -> Kind | None:
    """As `read`, with None for a value that was never sent."""
    return read(kind, number) if number else None


def write(value: StrEnum | None) -> Any:
    """The wire number of a member; 0 (unspecified) for None.

    Typed Any because the generated code knows its enums as types of their own.

    Raises:
        ValueError: the member is UNRECOGNIZED, which stands for no wire value.
    """
    if value is None:
        return 0
    for number, word in _words(type(value)).items():
        if word == value.value:
            return number
    raise ValueError(f"{value!r} is not a value of the contract")
