"""Taking in Stripe's events: verify, store, answer; the work is done in the background, by any replica.

What is stored of an event are its ids. Its object may be personal and is out of date anyway: events come twice, late
and in any order, so the work always asks Stripe how things are now. That also makes a second handling harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cloneservice_server.domain import errors
from cloneservice_server.domain.commands import Command, HandleStripeEvent
from cloneservice_server.domain.ids import derived_uuid
from cloneservice_server.domain.signatures import verify
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ports import Clock, RequestRow
from cloneservice_server.workflows import calls
from cloneservice_server.workflows.events import HANDLED

Secrets = Callable[[], Sequence[str]]
"""Asked for each delivery, so that a rolled secret needs no restart."""
_ID = re.compile(r"[A-Za-z0-9_\-]{1,255}")
_EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,251}")
_RESENDS_MAX = 20
"""How often an event that could not be handled may be sent again (Stripe's "Resend") and taken up anew."""


class Acceptor(Protocol):
    """The part of the engine that is used here."""

    async def accept(self, request_id: str, request_hash: str, command: Command) -> tuple[RequestRow, bool]:
        """Store a request and carry it out in the background; the row, and whether it is new."""
        ...


@dataclass(frozen=True, slots=True)
class EventTaken:
    """What became of one delivery; `handled` is False if the event is ignored or was seen before."""

    event_id: str
    handled: bool


class EventIntake:
    """The door for events. `secrets` gives those of all endpoints that lead here, old ones beside new ones."""

    def __init__(self, engine: Acceptor, clock: Clock, secrets: Secrets, *, livemode: bool) -> None:
        self._engine = engine
        self._clock = clock
        self._secrets = secrets
        self._livemode = livemode

    async def take(self, payload: bytes, signature: str) -> EventTaken:
        """Verify and store one delivery. Raises WebhookSignatureInvalid, InvalidRequest, LedgerDown."""
        verify(payload, signature, self._secrets(), now_s=self._clock.now_us() / 1_000_000)
        event = _event(payload)
        event_id = event["id"]
        if event.get("livemode") is not self._livemode:  # a Connect endpoint in live mode hears test events, too
            return EventTaken(event_id, handled=False)
        command = command_of(event)
        if (command.type, bool(command.account)) not in HANDLED:
            return EventTaken(event_id, handled=False)
        for attempt in range(_RESENDS_MAX):
            request_id = derived_uuid(f"event:{event_id}:{attempt}")
            row, created = await self._engine.accept(request_id, event_id, command)
            if created or row.state is not RequestState.FAILED:
                return EventTaken(event_id, created)
        return EventTaken(event_id, handled=False)


def _event(payload: bytes) -> dict[str, Any]:
    try:
        event = json.loads(payload)
    except ValueError:
        event = None
    if not isinstance(event, dict) or event.get("object") != "event" or not isinstance(event.get("type"), str):
        raise errors.invalid("payload", "must be the JSON of a Stripe event, as received")
    if not isinstance(event.get("id"), str) or _EVENT_ID.fullmatch(event["id"]) is None:
        raise errors.invalid("payload", "must have the id of an event")
    return event


def command_of(event: dict[str, Any]) -> HandleStripeEvent:
    """The ids of an event, and nothing else of it."""
    data = _object(event.get("data"))
    shown, before = _object(data.get("object")), _object(data.get("previous_attributes"))
    metadata = _object(shown.get("metadata"))
    is_intent = shown.get("object") == "payment_intent"
    return HandleStripeEvent(
        event_id=event["id"],
        type=event["type"][:100],
        account=_id(event.get("account")),
        object_id=_id(shown.get("id")),
        customer_id=_id(shown.get("customer") or before.get("customer")),
        payment_intent_id=_id(shown.get("id" if is_intent else "payment_intent")),
        clone_id=_id(metadata.get(calls.CLONE)),
        platform_customer_id=_id(metadata.get(calls.PLATFORM_CUSTOMER)),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str:
    """An id, expanded or not; "" for anything that is none, since ids become parts of paths."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""
