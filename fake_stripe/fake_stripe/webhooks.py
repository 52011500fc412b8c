"""Webhook delivery: which endpoint hears of which event, signing, sending, retrying (docs.stripe.com/webhooks).

Delivery is in order per endpoint unless a world asks otherwise. A failed delivery is tried again on the world's clock,
so that a test advances time instead of waiting.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import orjson

from fake_stripe.objects.events import matches
from fake_stripe.scope import Scope, Wire
from fake_stripe.world import World

log = logging.getLogger("fake_stripe")

_SETTINGS = "webhooks"
_KEPT = 1000
_TIMEOUT_SECONDS = 20.0
_MOST_COPIES = 100
RETRY_SECONDS_TEST = (3_600, 7_200)
"""Test mode: three tries over a few hours."""
RETRY_SECONDS_LIVE = (300, 1_800, 7_200, 18_000, 36_000, 72_000, 120_000)
"""Live mode: up to three days, ever more slowly."""

Emitted = tuple[Scope, Wire]


# ---- settings of a world


def settings(world: World) -> dict[str, Any]:
    """How the world delivers: `mode` (deliver, collect), `copies`, `reorder`, `retry_seconds` (None: Stripe's own)."""
    kept = world.platform_scope(livemode=False).hidden(_SETTINGS)
    for name, value in (("mode", "deliver"), ("copies", 1), ("reorder", False), ("retry_seconds", None)):
        kept.setdefault(name, value)
    kept.setdefault("collected", [])
    return kept


def configure(
    world: World,
    *,
    mode: str | None = None,
    copies: int | None = None,
    reorder: bool | None = None,
    retry_seconds: list[int] | None = None,
) -> dict[str, Any]:
    """Change how the world delivers; what is not named stays.

    Args:
        world: whose webhooks.
        mode: `deliver` sends over HTTP, `collect` only keeps what would be sent.
        copies: how often each event is sent to an endpoint; 2 and more make duplicates.
        reorder: mix the order of the events that one call caused.
        retry_seconds: waits before each further try of a failed delivery, in seconds of the world's clock.

    Raises:
        ValueError: a mode that does not exist, less than one copy or too many, waits that are no whole seconds.
    """
    kept = settings(world)
    if mode is not None:
        if mode not in ("deliver", "collect"):
            raise ValueError(f"webhook mode must be deliver or collect, not {mode!r}")
        kept["mode"] = mode
    if copies is not None:
        if not 1 <= copies <= _MOST_COPIES:
            raise ValueError(f"each event is sent at least once and at most {_MOST_COPIES} times")
        kept["copies"] = copies
    if reorder is not None:
        kept["reorder"] = reorder
    if retry_seconds is not None:
        if not isinstance(retry_seconds, list) or not all(
            isinstance(wait, int) and wait >= 0 for wait in retry_seconds
        ):
            raise ValueError("retry_seconds is a list of whole seconds")
        kept["retry_seconds"] = list(retry_seconds)
    return {name: value for name, value in kept.items() if name != "collected"}


def collected(world: World, *, clear: bool = False) -> list[Wire]:
    """The deliveries kept in collect mode, oldest first: endpoint, url, event, type, account, payload, signature."""
    kept = settings(world)
    found = list(kept["collected"])
    if clear:
        kept["collected"] = []
    return found


# ---- signing


def sign(payload: bytes, secrets: list[str], *, timestamp: int) -> str:
    """The `Stripe-Signature` of a payload: one `v1` for each secret (two while a secret is being rolled)."""
    signed = str(timestamp).encode() + b"." + payload
    parts = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={part}" for part in parts)])


# ---- planning


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint; `attempt` counts from one."""

    home: Scope
    endpoint_id: str
    owner: Scope
    event: Wire
    attempt: int = 1

    @property
    def world(self) -> World:
        """The world that both belong to."""
        return self.owner.world

    @property
    def address(self) -> str:
        """What the endpoint is called among those that an event waits for."""
        return _address(self.home, self.endpoint_id)

    def endpoint(self) -> Wire | None:
        """The endpoint, if it is still there and enabled."""
        found = self.home.get("webhook_endpoint", self.endpoint_id)
        return found if found is not None and found["status"] == "enabled" else None


def plan(world: World, emitted: list[Emitted]) -> list[Delivery]:
    """The deliveries that events cause, in order; in collect mode they are kept instead, and none is returned."""
    planned: list[Delivery] = []
    how = settings(world)
    for owner, event in emitted:
        state = owner.hidden(event["id"])
        due = state.pop("webhooks_due", None)
        waiting = state.setdefault("webhooks", {})
        if not waiting:
            waiting.update({_address(home, endpoint["id"]): 1 for home, endpoint in _listeners(owner, event)})
            event["pending_webhooks"] = len(waiting)
        for address, attempt in list(waiting.items()):
            if due is not None and address not in due:
                continue
            account, mode, endpoint_id = address.split("/")
            home = world.scope(account, mode == "live")
            planned += [Delivery(home, endpoint_id, owner, event, attempt) for _ in range(how["copies"])]
    if how["reorder"]:
        planned.sort(key=lambda _: world.ids.number(1_000_000))
    if how["mode"] == "collect":
        for delivery in planned:
            _collect(delivery, how)
        return []
    return planned


def _address(home: Scope, endpoint_id: str) -> str:
    return f"{home.account_id}/{'live' if home.livemode else 'test'}/{endpoint_id}"


def _listeners(owner: Scope, event: Wire) -> list[tuple[Scope, Wire]]:
    """The endpoints that hear of an event: its account's own, and the platform's Connect endpoints.

    Connect endpoints in live mode hear of what happens in test mode, too (docs.stripe.com/connect/webhooks).
    """
    world = owner.world
    places = [(owner, False)]
    if not owner.is_platform:
        places.append((world.platform_scope(owner.livemode), True))
        if not owner.livemode and (live := world.known_scope(world.platform, livemode=True)) is not None:
            places.append((live, True))
    return [
        (home, endpoint)
        for home, connect in places
        for endpoint in home.list("webhook_endpoint")
        if endpoint["status"] == "enabled"
        and bool(home.hidden(endpoint["id"]).get("connect")) == connect
        and any(matches(event["type"], pattern) for pattern in endpoint["enabled_events"])
    ]


def payload_of(delivery: Delivery, endpoint: Wire) -> bytes:
    """The body of a delivery: the event in the endpoint's API version, printed as Stripe prints it."""
    from fake_stripe.versions import reshape  # noqa: PLC0415 - only worlds with a webhook endpoint need it

    event = delivery.event
    version = endpoint["api_version"]
    if version:
        shown = reshape(event["data"]["object"], version)
        event = {**event, "api_version": version, "data": {**event["data"], "object": shown}}
    return orjson.dumps(event, option=orjson.OPT_INDENT_2)


def _collect(delivery: Delivery, how: dict[str, Any]) -> None:
    endpoint = delivery.endpoint()
    if endpoint is None:
        return
    payload = payload_of(delivery, endpoint)
    secrets = delivery.home.hidden(delivery.endpoint_id)["secrets"]
    how["collected"].append(
        {
            "account": delivery.event.get("account"),
            "endpoint": delivery.endpoint_id,
            "event": delivery.event["id"],
            "payload": payload.decode(),
            "signature": sign(payload, secrets, timestamp=int(time.time())),
            "type": delivery.event["type"],
            "url": endpoint["url"],
        }
    )
    del how["collected"][:-_KEPT]
    _acknowledge(delivery)


def resend(world: World, event_id: str) -> int:
    """Send an event again to whoever listens now, as the dashboard's button does; returns how many will hear of it.

    Raises:
        KeyError: no such event in this world.
    """
    for owner in world.scopes():
        event = owner.get("event", event_id)
        if event is not None:
            for name in ("webhooks", "webhooks_due"):
                owner.hidden(event_id).pop(name, None)
            world.outbox.append((owner, event))
            return len(_listeners(owner, event))
    raise KeyError(f"no event {event_id!r} in this world")


# ---- sending

_queues: WeakKeyDictionary[World, dict[str, deque[Delivery]]] = WeakKeyDictionary()


async def deliver(delivery: Delivery) -> None:
    """Send a delivery after those that wait for the same endpoint; failures are tried again on the world's clock."""
    queues = _queues.setdefault(delivery.world, {})
    waiting = queues.get(delivery.endpoint_id)
    if waiting is not None:
        waiting.append(delivery)
        return
    waiting = queues[delivery.endpoint_id] = deque([delivery])
    try:
        while waiting:
            await _send(waiting.popleft())
    finally:
        del queues[delivery.endpoint_id]


async def _send(delivery: Delivery) -> None:
    endpoint = delivery.endpoint()
    if endpoint is None:
        _acknowledge(delivery)
        return
    payload = payload_of(delivery, endpoint)
    secrets = delivery.home.hidden(delivery.endpoint_id)["secrets"]
    # Receivers compare with their own, real clock, wherever this world's stands.
    signature = sign(payload, secrets, timestamp=int(time.time()))
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            status = await post(endpoint["url"], payload, signature)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as failure:
        log.info("webhook %s to %s failed: %s", delivery.event["type"], endpoint["url"], type(failure).__name__)
        status = 0
    if 200 <= status < 300:
        _acknowledge(delivery)
    else:
        _try_again(delivery)


async def post(url: str, payload: bytes, signature: str) -> int:
    """POST a payload; returns the status of the answer.

    Raises:
        OSError: no connection. ValueError: no HTTP answer.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=_context() if secure else None)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
            "Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\n"
            "Content-Type: application/json; charset=utf-8\r\n"
            f"Content-Length: {len(payload)}\r\nStripe-Signature: {signature}\r\n"
            "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode("latin-1") + payload)
        await writer.drain()
        status_line = await reader.readline()
        words = status_line.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise ValueError("the endpoint did not answer with HTTP")
        return int(words[1])
    finally:
        writer.close()


def _context() -> ssl.SSLContext:
    """Endpoints of a test run have certificates that nobody signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _acknowledge(delivery: Delivery) -> None:
    waiting = delivery.owner.hidden(delivery.event["id"]).get("webhooks", {})
    if waiting.pop(delivery.address, None) is not None:
        delivery.event["pending_webhooks"] = len(waiting)


def _try_again(delivery: Delivery) -> None:
    world, owner = delivery.world, delivery.owner
    waits = settings(world)["retry_seconds"]
    if waits is None:
        waits = RETRY_SECONDS_LIVE if owner.livemode else RETRY_SECONDS_TEST
    waiting = owner.hidden(delivery.event["id"]).get("webhooks", {})
    if waiting.get(delivery.address) != delivery.attempt:
        return  # a duplicate of it has been told apart already
    if delivery.attempt > len(waits):
        _acknowledge(delivery)
        return
    waiting[delivery.address] = delivery.attempt + 1
    at = world.clock.now() + waits[delivery.attempt - 1]
    world.schedule(at, retry, owner.account_id, owner.livemode, delivery.event["id"], delivery.address)


def retry(world: World, account_id: str, livemode: bool, event_id: str, address: str) -> None:
    """Put an event that the endpoint `address` (account/mode/endpoint) has not taken back among those to deliver."""
    owner = world.scope(account_id, livemode)
    event = owner.get("event", event_id)
    state = owner.hidden(event_id)
    if event is None or address not in state.get("webhooks", {}):
        return
    if "webhooks_due" in state:
        state["webhooks_due"].append(address)
        return
    state["webhooks_due"] = [address]
    world.outbox.append((owner, event))
