"""The HTTP door for Stripe's webhooks: `POST /stripe/webhook`, on a listener of its own.

    200  stored, or known, or none of our business: Stripe need not send it again
    400  no signature of Stripe's for this body, or a body that is no event
    408  the body did not arrive in time          413  it is too long
    503  the ledger cannot be written: Stripe sends it again by itself

Answered before the work is done; see workflows/event_intake.py. Not encrypted: an ingress with TLS belongs in front.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from cloneservice_server.domain.errors import DomainError, InvalidRequest, WebhookSignatureInvalid
from cloneservice_server.settings import Address
from cloneservice_server.workflows.event_intake import EventIntake

PATH = "/stripe/webhook"
BODY_BYTES_MAX = 1024 * 1024
"""Stripe's events are a few kilobytes; the RPC takes as much."""
_BODY_S = 10.0


class WebhookServer:
    """Serves until `aclose`."""

    def __init__(self, intake: EventIntake) -> None:
        self._intake = intake
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, address: Address, *, shared: bool = False) -> None:
        """Listen; `shared`: beside other workers on the same port. Raises OSError when the address cannot be had."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post(PATH, self._take)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address.host, address.port, reuse_port=shared or None)
        try:
            await site.start()
        except OSError:
            await self.aclose()
            raise
        self.port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop, once deliveries in flight are answered."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_S):
                payload = await request.read()
        except TimeoutError:
            return _refusal(408, "the body did not arrive in time")
        try:
            taken = await self._intake.take(payload, request.headers.get("Stripe-Signature", ""))
        except (WebhookSignatureInvalid, InvalidRequest) as wrong:
            return _refusal(400, wrong.message)
        except DomainError as error:
            return _refusal(503, error.message)
        return web.json_response({"event": taken.event_id, "handled": taken.handled})


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
