"""The RPCs of the contract that this version does not serve yet: each answers UNIMPLEMENTED and says so."""

from __future__ import annotations

from typing import Any, NoReturn, cast

import grpc
import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceServicer
from google.protobuf.descriptor import MethodDescriptor

Context = grpc.aio.ServicerContext[Any, Any]


def planned(servicer: object) -> list[str]:
    """Names of the contract's RPCs that `servicer` does not have."""
    return [method.name for method in _methods() if not hasattr(type(servicer), method.name)]


def complete(servicer: object) -> CloneServiceServicer:
    """`servicer` with an UNIMPLEMENTED answer for each RPC that it lacks."""
    for method in _methods():
        if not hasattr(type(servicer), method.name):
            setattr(servicer, method.name, _streamed(method.name) if method.server_streaming else _unary(method.name))
    return cast("CloneServiceServicer", servicer)


def _methods() -> list[MethodDescriptor]:
    return list(pb.DESCRIPTOR.services_by_name["CloneService"].methods)


async def _refuse(context: Context, name: str) -> NoReturn:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is in the contract, but this version does not serve it")


def _unary(name: str) -> Any:
    async def answer(_request: object, context: Context) -> NoReturn:
        await _refuse(context, name)

    return answer


def _streamed(name: str) -> Any:
    async def answer(_request: object, context: Context) -> Any:
        await _refuse(context, name)
        yield None

    return answer
