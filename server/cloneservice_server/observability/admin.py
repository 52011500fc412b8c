"""The admin port: /metrics for Prometheus, /livez and /readyz for whoever starts and stops processes. HTTP.

/livez   200 while the event loop turns: restart the process when it does not
/readyz  200 when calls are welcome, 503 with what is missing when not: send them elsewhere, do not restart
/admin/  the page for the person on call, if it is turned on: see `pages`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from cloneservice_server.settings import Address

if TYPE_CHECKING:
    from cloneservice_server.pages.site import Pages

State = Callable[[], dict[str, bool]]
"""What must be true to serve, by name."""


class AdminServer:
    """Serves until `aclose`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        state: State,
        refresh: Callable[[], None],
        pages: Pages | None = None,
    ) -> None:
        self._registry = registry
        self._state = state
        self._refresh = refresh
        self._pages = pages
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, address: Address) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        if self._pages is not None:
            app.router.add_get("/admin", _to_the_pages)
            app.add_subapp("/admin/", self._pages.application())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address.host, address.port)
        try:
            await site.start()
        except OSError:
            await self.aclose()
            raise
        self.port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        self._refresh()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def _readyz(self, _: web.Request) -> web.Response:
        state = self._state()
        return web.json_response(state, status=200 if all(state.values()) else 503)


async def _to_the_pages(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/admin/"})
