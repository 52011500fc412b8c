"""A CloneService whose answers are scripted: the real contract on a real socket, and nothing behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from cloneservice.v1 import clone_service_pb2 as pb
from google.protobuf import any_pb2, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

SERVICE = pb.DESCRIPTOR.services_by_name["CloneService"]


@dataclass(frozen=True)
class Reply:
    """One scripted answer: messages (several only for a stream), then a status unless it is None (OK)."""

    messages: tuple[Message, ...] = ()
    status: status_pb2.Status | None = None
    initial_metadata: tuple[tuple[str, str], ...] = ()
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()
    before: Callable[[], object] = lambda: None
    """Run first; may block."""


@dataclass(frozen=True)
class Received:
    """What one try brought."""

    method: str
    request: Any
    metadata: dict[str, str | bytes]
    time_remaining_s: float


@dataclass
class ScriptedService(grpc.GenericRpcHandler):
    """Answers each method with its scripted replies in turn; the last one for good. Keeps what it received."""

    script: dict[str, list[Reply]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def answer(self, method: str, *replies: Reply | Message) -> None:
        self.script[method] = [reply if isinstance(reply, Reply) else Reply((reply,)) for reply in replies]

    def requests(self, method: str) -> list[Any]:
        return [got.request for got in self.received if got.method == method]

    def service(self, handler_call_details: Any) -> Any:
        method = SERVICE.methods_by_name[handler_call_details.method.rpartition("/")[2]]
        request_class = message_factory.GetMessageClass(method.input_type)
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler

        def stream(request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
            return self._reply(method.name, request, context)

        def unary(request: Message, context: grpc.ServicerContext) -> Message:
            return next(self._reply(method.name, request, context))

        return make(
            stream if method.server_streaming else unary,
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _reply(self, method: str, request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
        metadata = dict(context.invocation_metadata())
        self.received.append(Received(method, request, metadata, context.time_remaining()))
        replies = self.script[method]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        reply.before()
        if reply.initial_metadata:
            context.send_initial_metadata(reply.initial_metadata)
        if reply.trailing_metadata:
            context.set_trailing_metadata(reply.trailing_metadata)
        yield from reply.messages
        if reply.status is not None:
            context.abort_with_status(rpc_status.to_status(reply.status))


@contextmanager
def serving(service: ScriptedService, *, credentials: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """Serve on a free port of this machine; gives the target."""
    with ThreadPoolExecutor(8) as pool:
        server = grpc.server(pool, handlers=[service])
        address = "127.0.0.1:0"
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def status_of(
    code: grpc.StatusCode,
    reason: str = "",
    message: str = "no",
    *,
    metadata: dict[str, str] | None = None,
    details: Sequence[Message] = (),
    retry_after_s: float | None = None,
) -> status_pb2.Status:
    """A google.rpc.Status as the service makes them; without a reason it has no ErrorInfo."""
    packed = list(details)
    if reason:
        packed.insert(0, error_details_pb2.ErrorInfo(reason=reason, domain="cloneservice", metadata=metadata))
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(retry_after_s * 1e9))
        packed.append(retry)
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in packed:
        any_pb = any_pb2.Any()
        any_pb.Pack(detail)
        status.details.append(any_pb)
    return status


def refusal(code: grpc.StatusCode, reason: str = "", message: str = "no", **more: Any) -> Reply:
    """A reply that is an error; see `status_of`."""
    initial = more.pop("initial_metadata", ())
    return Reply(status=status_of(code, reason, message, **more), initial_metadata=initial)
