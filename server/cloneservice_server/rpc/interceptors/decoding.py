"""A message that cannot be decoded is its sender's mistake: INVALID_REQUEST, where gRPC would just say INTERNAL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

from cloneservice_server.domain.errors import InvalidRequest
from cloneservice_server.rpc.interceptors.wrap import Context, GuardInterceptor

UNREADABLE = Empty()
"""Stands for a message that could not be decoded, until the interceptor below refuses it."""


def tolerant(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """`decode`, giving UNREADABLE where it would raise."""

    def decoded(raw: bytes) -> Any:
        try:
            return decode(raw)
        except (DecodeError, ValueError, RecursionError):
            return UNREADABLE

    return decoded


def decoding_interceptor() -> GuardInterceptor:
    """Refuses what `tolerant` could not decode; after the log, so that the call is written down."""
    return GuardInterceptor(_guard, decoder=tolerant)


@asynccontextmanager
async def _guard(_method: str, request: Any, _context: Context) -> AsyncIterator[None]:
    if request is UNREADABLE:
        raise InvalidRequest(
            "The message is not one of this RPC: its bytes cannot be decoded, or a text in it is not UTF-8"
        )
    yield
