"""How an interceptor goes around a handler: as an async context manager, the same for unary and streamed answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

SERVICE = "cloneservice.v1.CloneService"

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Guard = Callable[[str, Any, Context], AbstractAsyncContextManager[None]]
"""(RPC name without its service, request message, context) -> what goes around the handler."""


Decoder = Callable[[Callable[[bytes], Any]], Callable[[bytes], Any]]


class GuardInterceptor(grpc.aio.ServerInterceptor):
    """Puts `guard` around every handler of CloneService; health and reflection are left alone.

    `decoder` goes around what makes a message of the bytes received.
    """

    def __init__(self, guard: Guard, *, decoder: Decoder | None = None) -> None:
        self._guard = guard
        self._decoder = decoder
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """The handler with the guard around it; made once per RPC name."""
        name = handler_call_details.method
        known = self._wrapped.get(name)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        service, _, method = name.lstrip("/").rpartition("/")
        if service != SERVICE or handler is None:
            return handler
        self._wrapped[name] = _around(self._guard, method, handler, self._decoder)
        return self._wrapped[name]


def _around(guard: Guard, method: str, handler: Any, decoder: Decoder | None) -> Handler:
    decode = handler.request_deserializer if decoder is None else decoder(handler.request_deserializer)
    if handler.response_streaming:
        stream = handler.unary_stream

        # Not a generator: one that is closed when its caller goes away ends in another task's context, where what a
        # guard set (contextvars) cannot be taken back. A coroutine is cancelled where it runs.
        async def streamed(request: Any, context: Context) -> None:
            async with guard(method, request, context):
                if not inspect.isasyncgenfunction(stream):
                    await stream(request, context)
                    return
                async with aclosing(stream(request, context)) as messages:
                    async for message in messages:
                        await context.write(message)

        return grpc.unary_stream_rpc_method_handler(streamed, decode, deterministic)
    unary = handler.unary_unary

    async def answered(request: Any, context: Context) -> Any:
        async with guard(method, request, context):
            return await unary(request, context)

    return grpc.unary_unary_rpc_method_handler(answered, decode, deterministic)


def deterministic(message: Message) -> bytes:
    """Labels in a fixed order, so that a replayed answer is the first one byte for byte."""
    return message.SerializeToString(deterministic=True)
