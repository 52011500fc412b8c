"""The asyncio client: the same calls as the blocking one's, awaited. It belongs to the event loop of its first call."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import grpc

from cloneservice import _decode, _errors
from cloneservice._calls import baskets, batches, charge_life, charges, clones, payment_methods, recovery
from cloneservice._calls.call import Call, ListCall, WatchCall, method_signature
from cloneservice._channel import DEFAULT_TARGET, Connection, Deadlines, Tls
from cloneservice._results import Page
from cloneservice._retry import RetryPolicy
from cloneservice._values import BatchEvent
from cloneservice._watch import Watch
from cloneservice.v1 import clone_service_pb2_grpc

P = ParamSpec("P")
Answer = TypeVar("Answer")
Item = TypeVar("Item")


class AsyncPages(Generic[Item]):
    """A list that fetches as it is iterated over. Nothing is sent before; iterating again asks again."""

    def __init__(self, send: Callable[[Call[Page[Item]]], Awaitable[Page[Item]]], call: ListCall[Item]) -> None:
        self._send = send
        self._call = call

    async def __aiter__(self) -> AsyncIterator[Item]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[Item]]:
        """Every page, from `page_token` on."""
        page = await self.page()
        yield page
        while page.next_page_token:
            page = await self._send(self._call.page(page.next_page_token))
            yield page

    async def page(self) -> Page[Item]:
        """One page: the one `page_token` stands for, or the first."""
        return await self._send(self._call.page(self._call.request.page_token))


def _method(
    build: Callable[P, Any], run: Callable[[AsyncCloneClient, Any], Answer], answers: str
) -> Callable[Concatenate[AsyncCloneClient, P], Answer]:
    """A method of the client that builds a call and runs it; signature and docstring are those of `build`."""

    @functools.wraps(build)
    def method(self: AsyncCloneClient, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return run(self, build(*args, **kwargs))

    method.__signature__ = method_signature(build, answers)  # type: ignore[attr-defined]  # what inspect looks for
    return method


def _unary(build: Callable[P, Call[Answer]]) -> Callable[Concatenate[AsyncCloneClient, P], Coroutine[Any, Any, Answer]]:
    return _method(build, lambda self, call: self._send(call), "Coroutine[Any, Any, {}]")


def _listing(build: Callable[P, ListCall[Item]]) -> Callable[Concatenate[AsyncCloneClient, P], AsyncPages[Item]]:
    return _method(build, lambda self, call: AsyncPages(self._send, call), "AsyncPages[{}]")


def _watching(
    build: Callable[P, WatchCall],
) -> Callable[Concatenate[AsyncCloneClient, P], AsyncIterator[BatchEvent]]:
    return _method(build, lambda self, call: self._watch(call), "AsyncIterator[BatchEvent]")


class AsyncCloneClient:
    """Calls CloneService from asyncio; the methods are those of CloneClient, awaited.

    Args:
        target: host:port, or any gRPC name.
        tls: True, or certificates. TLS is the default beyond this machine; `insecure` turns it off.
        credentials: gRPC channel credentials instead of `tls`.
        insecure: Plain text to another machine, where something else encrypts.
        token: Bearer token, or a function that gives the present one.
        timeout_s: Seconds for each call with all its tries; None takes the service config's (30, CloneAndCharge 60).
        retry: How "not now" answers are repeated.
        metadata: Sent with each call.
        options: gRPC channel options, over the client's own.
        sleep: Waits for a number of seconds; tests give their own.
        clock: Monotonic seconds; tests give their own.

    Example:
        async with AsyncCloneClient("localhost:50051") as client:
            done = await client.clone_and_charge("cus_...", "acct_...", Money(1099, "USD"))
    """

    create_setup = _unary(payment_methods.create_setup)
    save_payment_method = _unary(payment_methods.save_payment_method)
    list_platform_payment_methods = _listing(payment_methods.list_platform_payment_methods)
    clone_payment_method = _unary(clones.clone_payment_method)
    attach_clone = _unary(clones.attach_clone)
    get_clone = _unary(clones.get_clone)
    list_clones = _listing(clones.list_clones)
    refresh_clone = _unary(clones.refresh_clone)
    revoke_clone = _unary(clones.revoke_clone)
    create_charge = _unary(charges.create_charge)
    clone_and_charge = _unary(charges.clone_and_charge)
    confirm_charge = _unary(charge_life.confirm_charge)
    capture_charge = _unary(charge_life.capture_charge)
    cancel_charge = _unary(charge_life.cancel_charge)
    refund_charge = _unary(charge_life.refund_charge)
    get_charge = _unary(charges.get_charge)
    list_charges = _listing(charges.list_charges)
    list_refunds = _listing(charge_life.list_refunds)
    charge_basket = _unary(baskets.charge_basket)
    get_basket = _unary(baskets.get_basket)
    create_batch = _unary(batches.create_batch)
    add_batch_items = _unary(batches.add_batch_items)
    get_batch = _unary(batches.get_batch)
    list_batches = _listing(batches.list_batches)
    list_batch_items = _listing(batches.list_batch_items)
    watch_batch = _watching(batches.watch_batch)
    retry_batch = _unary(batches.retry_batch)
    cancel_batch = _unary(batches.cancel_batch)
    erase_customer = _unary(batches.erase_customer)
    lookup_request = _unary(recovery.lookup_request)
    handle_stripe_event = _unary(recovery.handle_stripe_event)

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        tls: Tls | bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        token: str | Callable[[], str] | None = None,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        options: Sequence[tuple[str, Any]] = (),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = Connection(
            target=target,
            tls=tls,
            credentials=credentials,
            insecure=insecure,
            token=token,
            metadata=metadata,
            options=options,
        )
        self._deadlines = Deadlines(timeout_s)
        self._retry = retry or RetryPolicy()
        self._sleep = sleep
        self._clock = clock
        self._channel: grpc.aio.Channel | None = None
        self._stub: clone_service_pb2_grpc.CloneServiceAsyncStub | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.target!r})"

    async def close(self) -> None:
        """Close the channel; calls that are still waiting for an answer fail."""
        if self._channel is not None:
            await self._channel.close()

    def _open(self) -> clone_service_pb2_grpc.CloneServiceAsyncStub:
        """The stub on the channel, which is made here: an aio channel belongs to the loop that is running now."""
        if self._stub is None:
            options = self._connection.channel_options()
            if secured := self._connection.channel_credentials():
                self._channel = grpc.aio.secure_channel(self._connection.target, secured, options)
            else:
                self._channel = grpc.aio.insecure_channel(self._connection.target, options)
            self._stub = clone_service_pb2_grpc.CloneServiceStub(self._channel)
        return self._stub

    async def _send(self, call: Call[Answer]) -> Answer:
        deadline = self._clock() + self._deadlines.seconds_for(call)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._try(call, deadline - self._clock())
            except grpc.RpcError as failed:
                error = _errors.from_rpc_error(failed, request_id=call.request_id)
                wait_s = self._retry.wait_s(error, attempt, deadline - self._clock())
                if wait_s is None:
                    raise error from failed
            await self._sleep(wait_s)

    async def _try(self, call: Call[Answer], timeout_s: float) -> Answer:
        send: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = getattr(self._open(), call.method)
        metadata = self._connection.call_metadata()
        sent = send(call.request, timeout=timeout_s, metadata=metadata)
        response = await sent
        return call.decode(response, _errors.is_replay(await sent.initial_metadata()))

    async def _watch(self, call: WatchCall) -> AsyncIterator[BatchEvent]:
        watch = Watch(call, self._retry, self._clock)
        while True:
            failed: grpc.RpcError | None = None
            metadata = self._connection.call_metadata()
            stream = self._open().WatchCloneBatch(watch.request(), timeout=watch.timeout_s(), metadata=metadata)
            try:
                async for message in stream:
                    if (event := watch.take(_decode.batch_event(message))) is not None:
                        yield event
                    if watch.done:
                        return
            except grpc.RpcError as lost:
                failed = lost
            finally:
                stream.cancel()  # a caller that stops iterating lets go of the stream; the batch goes on
            await self._sleep(watch.pause_s(failed))
