"""Whether this server should get calls: it follows the ledger, and whether Stripe takes the platform's key."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from cloneservice_server.ports import Clock, Ledger, LedgerUnavailable, Refused, StripeCall, StripeFault, StripeGateway

_log = logging.getLogger("cloneservice.app")

PROBE_S = 5.0
"""How often the ledger is asked."""
KEY_PROBE_S = 30.0
"""How often a refused key is tried again: nobody calls meanwhile, so no call would tell that it was mended."""


class Readiness:
    """State of what every RPC needs. A key is good until Stripe says 401, and again when it says other."""

    def __init__(self, ledger: Ledger, gateway: StripeGateway, clock: Clock) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._clock = clock
        self._tried_s = 0.0
        self._changed = asyncio.Event()
        self.ledger = True
        self.stripe_key = True

    @property
    def ready(self) -> bool:
        """Whether both are there."""
        return self.ledger and self.stripe_key

    def key_answered(self, *, refused: bool) -> None:
        """Stripe has answered a call; `refused` if with 401."""
        if refused and self.stripe_key:
            self._tried_s = self._clock.monotonic_s()
            _log.error("Stripe refuses the platform's API key (401): not serving until it is taken again")
        elif not refused and not self.stripe_key:
            _log.info("Stripe takes the platform's API key again")
        if self.stripe_key == refused:
            self.stripe_key = not refused
            self._changed.set()

    async def changed_within(self, longest_s: float) -> None:
        """Wait for Stripe's word on the key to change, at most `longest_s` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), longest_s)
        self._changed.clear()

    async def probe(self) -> None:
        """Ask the ledger, and Stripe if it refused the key. Never raises what they may raise."""
        await self._probe_ledger()
        if not self.stripe_key and self._clock.monotonic_s() - self._tried_s >= KEY_PROBE_S:
            self._tried_s = self._clock.monotonic_s()
            await probe_key(self._gateway, self)

    async def _probe_ledger(self) -> None:
        try:
            await self._ledger.ping()
        except LedgerUnavailable as error:
            if self.ledger:
                _log.error("the ledger is unavailable: not serving: %s", error)
            self.ledger = False
        else:
            if not self.ledger:
                _log.info("the ledger is there again")
            self.ledger = True


async def probe_key(gateway: StripeGateway, readiness: Readiness) -> None:
    """One read that any key may make, or is told 403: only 401 means that Stripe does not know the key."""
    try:
        await gateway.send(StripeCall("GET", "/v1/balance"), timeout_s=10.0)
    except Refused as refused:
        readiness.key_answered(refused=refused.status == 401)
    except StripeFault:
        return
    else:
        readiness.key_answered(refused=False)
