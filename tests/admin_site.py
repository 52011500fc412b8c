"""The admin page on a port of its own, over a ledger in memory or a file: no gRPC, no engine, no Stripe."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cloneservice_server.access.tokens import Tokens, new_token, parse
from cloneservice_server.ledger import SqlLedger, open_ledger
from cloneservice_server.ledger.view import open_view
from cloneservice_server.observability.admin import AdminServer
from cloneservice_server.pages.addresses import Dashboard
from cloneservice_server.pages.site import Pages, Serving
from cloneservice_server.ports import Clock
from cloneservice_server.ports_batches import RateLimits
from cloneservice_server.ports_pages import LedgerView
from cloneservice_server.settings import Address
from prometheus_client import CollectorRegistry


def basic(user: str, token: str) -> str:
    """The Authorization header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@dataclass
class AdminSite:
    """A running page. `answer` asks it as `user` with `token`."""

    ledger: SqlLedger
    user: str
    token: str
    tokens: Tokens
    port: int = 0
    state: dict[str, bool] = field(default_factory=lambda: {"serving": True, "ledger": True, "stripe_key": True})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(
        self, path: str, *, method: str = "GET", token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str, Mapping[str, str]]:
        """(status, body, headers); redirections are not followed. `token` "" asks without any."""
        token = self.token if token is None else token
        signed = {"Authorization": basic(self.user, token)} if token else {}
        async with (
            aiohttp.ClientSession(self.url, headers={**signed, **(headers or {})}) as session,
            session.request(method, path, allow_redirects=False) as response,
        ):
            return response.status, await response.text(), response.headers

    async def page(self, path: str) -> str:
        """The body of a page that must be there."""
        status, body, _ = await self.answer(f"/admin/{path}")
        assert status == 200, (path, status, body)
        return body


@asynccontextmanager
async def admin_site(
    clock: Clock, folder: Path | None = None, *, mode: str = "test", view: LedgerView | None = None, **serving: Any
) -> AsyncIterator[AdminSite]:
    """The page over an empty ledger, in `folder` or in memory."""
    ledger = open_ledger(f"sqlite:///{folder}/ledger.db" if folder else "sqlite://:memory:", clock)
    await ledger.open()
    token, line = new_token("oncall")
    site = AdminSite(ledger, "oncall", token, parse(line.encode()))
    dashboard = Dashboard(livemode=mode == "live", is_stripe=mode in ("live", "test"))
    told = Serving(mode, lambda: site.state, dashboard, serving.get("limits", RateLimits(25, 25)))
    pages = Pages(view or open_view(ledger, clock), lambda: site.tokens, clock, told)
    server = AdminServer(CollectorRegistry(), lambda: site.state, lambda: None, pages)
    await server.start(Address("127.0.0.1", serving.get("port", 0)))
    site.port = server.port
    try:
        yield site
    finally:
        await server.aclose()
        await ledger.aclose()
