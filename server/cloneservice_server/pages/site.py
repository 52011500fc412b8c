"""The admin page over HTTP, under /admin/ of the admin port: GET and HEAD, for those whom the gate lets in.

200  the page                      302  what was searched for is one thing: here it is
401  no token, or a wrong one      403  not from this machine       404  the ledger does not know it
405  any other method              429  too many wrong tokens       503  the ledger is away, or slow
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from cloneservice_server.access.tokens import Tokens
from cloneservice_server.pages.addresses import ROOT, BadCursor, Dashboard
from cloneservice_server.pages.gate import Gate, TurnedAway
from cloneservice_server.pages.lookup import look_up
from cloneservice_server.pages.rendering import HEADERS, STATIC, render, static_file
from cloneservice_server.pages.views import REQUEST_LISTS, Values, Views
from cloneservice_server.ports import Clock, LedgerUnavailable
from cloneservice_server.ports_batches import RateLimits
from cloneservice_server.ports_pages import LedgerView

_log = logging.getLogger("cloneservice.app")
_audit = logging.getLogger("cloneservice.audit")

_AT_ONCE = 2
_PAGE_S_MAX = 10.0
_INDEX_MAX = 10_000_000
_METHOD = re.compile(r"[A-Za-z]{1,64}")

Answer = tuple[str, Values | None]
"""A template and its values; None when the thing is not there."""
View = Callable[[web.Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Serving:
    """What the pages tell of this server: its mode ("live", "test" or "a double"), and what must be true to serve."""

    mode: str
    state: Callable[[], Mapping[str, bool]]
    dashboard: Dashboard
    limits: RateLimits


class Pages:
    """The pages as an application of aiohttp's. It owns `ledger`, a view of the ledger."""

    def __init__(self, ledger: LedgerView, tokens: Callable[[], Tokens], clock: Clock, serving: Serving) -> None:
        self._ledger = ledger
        self._gate = Gate(tokens, clock.monotonic_s)
        self._clock = clock
        self._serving = serving
        self._views = Views(ledger, clock.now_us, serving.limits)
        self._places = asyncio.Semaphore(_AT_ONCE)

    def application(self) -> web.Application:
        """What is mounted under ROOT."""
        app = web.Application(middlewares=[self._guard], client_max_size=1024)
        views: dict[str, View] = {
            "/": self._overview,
            "/search": self._search,
            "/requests": self._requests,
            "/requests/{id}": self._one("request", self._views.request),
            "/shoppers/{id}": self._one("shopper", self._views.shopper),
            "/accounts/{id}": self._one("account", self._views.account),
            "/clones/{id}": self._one("clone", self._views.clone),
            "/charges": self._charges,
            "/charges/{id}": self._one("charge", self._views.charge),
            "/baskets": self._baskets,
            "/baskets/{id}": self._one("basket", self._views.basket),
            "/batches": self._batches,
            "/batches/{id}": self._batch,
            "/events": self._events,
        }
        for path, view in views.items():
            app.router.add_get(path, self._page(view))
        app.router.add_get("/static/{name}", _static)
        app.on_cleanup.append(self._close)
        return app

    async def _close(self, _: web.Application) -> None:
        await self._ledger.aclose()

    # -------------------------------------------------------------------------------------- before and after a page

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> web.Response:
        """Every request: its method, its sender, then the page; and whatever goes wrong there."""
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "These pages are read only.", Allow="GET, HEAD")
        decided = self._gate.decide(_peer(request), request.headers.get("Authorization", ""))
        if isinstance(decided, TurnedAway):
            return _turned_away(request, decided)
        if "/static/" not in request.path:
            fields = {"decision": "allow", "caller": f"token:{decided.name}", "page": request.path}
            _audit.info("admin page", extra={"fields": fields})
        try:
            async with asyncio.timeout(_PAGE_S_MAX), self._places:
                answer: web.Response = await handler(request)
                return answer
        except (LedgerUnavailable, TimeoutError):
            return await self._said(request, 503, "The ledger does not answer", _LEDGER_AWAY)
        except web.HTTPException as other:
            if other.status < 400:
                return _with_headers(web.Response(status=other.status, headers={"Location": other.headers["Location"]}))
            return await self._said(request, other.status, "There is no such page", "")
        except BadCursor:
            return await self._said(request, 400, "This address is not one of the page's", "")
        except Exception:  # noqa: BLE001 - whoever looks is told, and the log is
            error_id = uuid.uuid4().hex
            _log.exception("a page of the admin port failed: error_id=%s", error_id)
            return await self._said(request, 500, "This page failed", f"The log tells why, by error_id={error_id}.")

    def _page(self, view: View) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            template, values = await view(request)
            if values is None:
                return await self._said(request, 404, "The ledger does not know it", _NOT_KNOWN)
            return await self._rendered(request, template, values)

        return handle

    async def _said(self, request: web.Request, status: int, title: str, text: str) -> web.Response:
        return await self._rendered(request, "said", {"title": title, "text": text}, status=status)

    async def _rendered(
        self, request: web.Request, template: str, values: Values, *, status: int = 200
    ) -> web.Response:
        serving = self._serving
        section = request.path.removeprefix(ROOT).strip("/").partition("/")[0]
        still = {name: value for name, value in request.query.items() if name != "follow"}
        frame = {
            "follow": "follow" in request.query and status == 200,
            "here_still": f"{request.path}?{urlencode(still)}",
            "here_following": f"{request.path}?{urlencode({**still, 'follow': '1'})}",
            "now_us": self._clock.now_us(),
            "mode": serving.mode,
            "serving": dict(serving.state()),
            "log_of": serving.dashboard.log_of,
            "section": section,
            "query": request.query.get("q", "")[:200],
        }
        text = await asyncio.to_thread(render, template, {**frame, **values})
        return _with_headers(web.Response(text=text, status=status, content_type="text/html", charset="utf-8"))

    # ------------------------------------------------------------------------------------------------------- pages

    async def _overview(self, _: web.Request) -> Answer:
        return "overview", await self._views.overview()

    async def _search(self, request: web.Request) -> Answer:
        hits = await look_up(self._ledger, request.query.get("q", ""))
        if len(hits) == 1:
            raise web.HTTPFound(hits[0].address)
        return "search", {"hits": hits}

    async def _requests(self, request: web.Request) -> Answer:
        name, method = request.query.get("list", "unfinished"), request.query.get("method", "")
        name = name if name in REQUEST_LISTS else "unfinished"
        method = method if _METHOD.fullmatch(method) else ""
        return "requests", await self._views.requests(name, method, request.query.get("after", ""))

    async def _events(self, request: web.Request) -> Answer:
        return "events", await self._views.events(request.query.get("after", ""))

    async def _charges(self, request: web.Request) -> Answer:
        return "charges", await self._views.charges(request.query.get("state", ""), request.query.get("after", ""))

    async def _baskets(self, request: web.Request) -> Answer:
        return "baskets", await self._views.baskets(request.query.get("after", ""))

    async def _batches(self, request: web.Request) -> Answer:
        return "batches", await self._views.batches(request.query.get("after", ""))

    async def _batch(self, request: web.Request) -> Answer:
        after = request.query.get("after", "-1")
        index = int(after) if after.isascii() and after.isdigit() and len(after) < 9 else -1
        state = request.query.get("state", "")
        return "batch", await self._views.batch(request.match_info["id"], state, min(index, _INDEX_MAX))

    def _one(self, template: str, view: Callable[[str], Awaitable[Values | None]]) -> View:
        async def one(request: web.Request) -> Answer:
            identifier = request.match_info["id"]
            known = identifier.isprintable() and len(identifier) <= 300
            return template, await view(identifier) if known else None

        return one


_LEDGER_AWAY = (
    "It cannot be read, or not soon enough. Nothing is lost by that; /readyz says whether this server takes calls. "
    "Load this page again in a moment."
)
_NOT_KNOWN = "It may be of another ledger, or forgotten: requests are kept for --request-retention-days after they end."


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in STATIC:
        raise web.HTTPNotFound
    return _with_headers(web.Response(body=static_file(name), content_type=STATIC[name], charset="utf-8"))


def _peer(request: web.Request) -> str:
    """The address at the other end of the connection: never what a header says of it."""
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return str(name[0]) if isinstance(name, tuple) and name else ""


def _turned_away(request: web.Request, decided: TurnedAway) -> web.Response:
    if request.headers.get("Authorization") or decided.status != 401:
        fields = {"decision": "deny", "page": request.path, "status": decided.status}
        _audit.warning("admin page", extra={"fields": fields})
    more = (
        {"WWW-Authenticate": 'Basic realm="CloneService admin page", charset="UTF-8"'} if decided.status == 401 else {}
    )
    if decided.retry_after_s:
        more["Retry-After"] = str(decided.retry_after_s)
    return _plain(decided.status, decided.why, **more)


def _plain(status: int, text: str, **headers: str) -> web.Response:
    phrase = HTTPStatus(status).phrase
    return _with_headers(web.Response(status=status, text=f"{status} {phrase}: {text}\n", headers=headers))


def _with_headers(response: web.Response) -> web.Response:
    response.headers.update(HEADERS)
    return response
