"""The RPC for Stripe's events: for callers that receive webhooks themselves, beside the HTTP door of the server."""

# ruff: noqa: N802 - RPC names are the contract's
from __future__ import annotations

from typing import Any, Protocol

import grpc.aio
from cloneservice.v1 import clone_service_pb2 as pb

from cloneservice_server.rpc import validate

Context = grpc.aio.ServicerContext[Any, Any]


class Taken(Protocol):
    """What became of a delivery."""

    @property
    def event_id(self) -> str:
        """evt_..."""
        ...

    @property
    def handled(self) -> bool:
        """False if it is ignored or was seen before."""
        ...


class Events(Protocol):
    """The door for events (workflows/event_intake.py)."""

    async def take(self, payload: bytes, signature: str) -> Taken:
        """Verify and store one delivery."""
        ...


class EventRpcs:
    """Part of CloneServicer."""

    _events: Events

    async def HandleStripeEvent(self, request: pb.HandleStripeEventRequest, _: Context) -> pb.HandleStripeEventResponse:
        """Takes a raw webhook of Stripe's."""
        validate.check(request)
        taken = await self._events.take(request.payload, request.signature)
        return pb.HandleStripeEventResponse(stripe_event_id=taken.event_id, handled=taken.handled)
