"""`/_fake/ui/`: the double's page in a browser. Pages are found here; what they show is made beside."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fake_stripe.errors import ApiError
from fake_stripe.http.keys import key_of
from fake_stripe.ui import security
from fake_stripe.ui.actions import ACTIONS, Notice, carry_out
from fake_stripe.ui.naming import ROOT, account_name, address_of, is_spent, named_by, world_label
from fake_stripe.ui.rendering import page, static_file
from fake_stripe.wire import Request, Response

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe
    from fake_stripe.world import World

log = logging.getLogger("fake_stripe")


class NotFoundError(Exception):
    """There is no such page; the message says what was looked for."""


@dataclass(slots=True)
class Look:
    """One look at a page: who asks for what, in which world."""

    app: "FakeStripe"
    path: str
    params: dict[str, str]
    base_url: str = ""
    name: str | None = None
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def world(self) -> "World":
        """The world that the address names."""
        world = self.app.worlds.get(self.name) if self.name is not None else None
        if world is None:
            raise NotFoundError("This world is not open. It was closed, or the server was started anew.")
        return world

    def query(self, **changes: Any) -> str:
        """This page's address with some parameters changed; None takes one away."""
        kept = {name: value for name, value in {**self.params, **changes}.items() if value not in (None, "")}
        return self.path + ("?" + urlencode(kept) if kept else "")


View = Callable[[Look], tuple[str, dict[str, Any]]]
VIEWS: list[tuple[re.Pattern[str], View]] = []


def view(pattern: str) -> Callable[[View], View]:
    """Register what answers addresses below a world's, as `payments/{id}`."""

    def register(found: View) -> View:
        VIEWS.append((re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)), found))
        return found

    return register


def handle(app: "FakeStripe", request: Request) -> Response:
    """Answer one request of a browser."""
    import fake_stripe.ui.views  # noqa: F401, PLC0415 - registers its views

    try:
        return _answer(app, request)
    except NotFoundError as missing:
        return page("nothing.html", {"title": "Not found", "text": str(missing)}, status=404)
    except Exception:
        log.exception("%s %s failed inside fake_stripe", request.method, request.path)
        text = b"fake_stripe failed to make this page; its log has the traceback. Please report it."
        return Response(500, [("Content-Type", "text/plain; charset=utf-8"), *security.HEADERS], text)


def _answer(app: "FakeStripe", request: Request) -> Response:
    below = request.path.removeprefix(ROOT).strip("/")
    if not request.path.startswith(ROOT) or request.path == ROOT:
        return _to_the_start(app, request)
    if below.startswith("static/"):
        found = static_file(below.removeprefix("static/")) if request.method in ("GET", "HEAD") else None
        if found is None:
            raise NotFoundError("There is no such file.")
        return found
    if request.method == "POST":
        return _press(app, request, below)
    if request.method not in ("GET", "HEAD"):
        raise NotFoundError(f"Pages take GET and POST, not {request.method}.")
    look = _look(app, request.path, request.query, request.base_url)
    mark = mark_of(app, look.name)
    if request.headers.get(b"x-mark") == mark.encode():
        return Response(200, [("HX-Reswap", "none"), ("Cache-Control", "no-store"), *security.HEADERS], b"")
    return render(look, mark)


def _to_the_start(app: "FakeStripe", request: Request) -> Response:
    """To the only world there is, or to the list of them."""
    names = app.worlds.names()
    only = len(names) == 1 and request.path != ROOT
    return Response(302, [("Location", address_of(names[0]) + "/" if only else ROOT + "/")], b"")


def _look(app: "FakeStripe", path: str, query: bytes, base_url: str) -> Look:
    params = dict(parse_qsl(query.decode("utf-8", "replace")))
    look = Look(app, path, params, base_url)
    below = path.removeprefix(ROOT).strip("/")
    if below:
        found = re.fullmatch(r"w/(\w+)(?:/.*)?", below)
        look.name = named_by(app, found[1]) if found else None
        if found is None:
            raise NotFoundError(f"There is no page {path}.")
    return look


def mark_of(app: "FakeStripe", name: str | None) -> str:
    """Changes when what the page shows may have changed; looking again under the same mark is answered with nothing."""
    worlds = app.worlds
    if name is None:
        parts: list[Any] = [(known, _last(worlds.get(known))) for known in worlds.names()]
    else:
        world = worlds.get(name)
        parts = [name, worlds.snapshots(name), id(world), _last(world)]
        if world is not None:
            clock = world.clock
            parts += [clock.frozen, clock.state() if clock.frozen else None, world.scheduled, len(world.journal)]
            parts += [(scope.account_id, scope.count("event")) for scope in world.scopes()]
            parts += [(fault.id, fault.matched, fault.fired) for fault in world.faults]
            parts.append(sum(e.get("pending_webhooks") or 0 for s in world.scopes() for e in _newest(s)))
    return f"{hash(str(parts)) & 0xFFFFFFFFFFFF:012x}"


def _newest(scope: Any) -> list[Any]:
    from itertools import islice  # noqa: PLC0415 - only here

    return list(islice(scope.list("event"), 50))


def _last(world: "World | None") -> int:
    return world.journal[-1].number if world is not None and world.journal else 0


def render(look: Look, mark: str, notice: Notice | None = None) -> Response:
    """The page that an address names."""
    frame: dict[str, Any] = {"here": look.query(), "mark": mark, "notice": notice, "base": look.base_url}
    below = look.path.removeprefix(ROOT).strip("/")
    if not below:
        from fake_stripe.ui.views import worlds  # noqa: PLC0415 - registered above

        template, values = worlds(look)
        return page(template, {**frame, "world": None, **values})
    rest = below.split("/", 2)[2] if below.count("/") >= 2 else ""
    for pattern, found in VIEWS:
        match = pattern.fullmatch(rest)
        if match is not None:
            look.parts = match.groupdict()
            template, values = found(look)
            return page(template, {**frame, **_frame_of(look.world, look.app.worlds.seed), **values})
    raise NotFoundError(f"There is no page {look.path}.")


def _frame_of(world: "World", seed: str | None) -> dict[str, Any]:
    """What every page of a world shows besides its own."""
    return {
        "world": world_label(world, seed),
        "now": world.clock.now(),
        "frozen": world.clock.frozen,
        "faults_installed": sum(1 for fault in world.faults if not is_spent(fault)),
        "calls": len(world.journal),
        "platform": world.platform,
        "who": partial(account_name, world),
    }


# ---- buttons


def _press(app: "FakeStripe", request: Request, below: str) -> Response:
    if security.is_foreign(request):
        text = "Buttons answer only to this page itself, with scripts on; nothing was done."
        return page("nothing.html", {"title": "Refused", "text": text}, status=403)
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if below == "open":
        return _open(app, request, form)
    found = re.fullmatch(r"w/(\w+)/do/([a-z-]+)", below)
    name = named_by(app, found[1]) if found else None
    action = ACTIONS.get(found[2]) if found else None
    if name is None or action is None:
        raise NotFoundError("There is no such button here. The world may have been closed: reload the page.")
    notice, deliveries = carry_out(app, name, action, form)
    response = _shown_again(app, request, name, notice)
    response.deliveries = deliveries
    return response


def _shown_again(app: "FakeStripe", request: Request, name: str, notice: Notice) -> Response:
    """The page on which the button was, as it is now, with what there is to say."""
    current = urlsplit(request.headers.get(b"hx-current-url", b"").decode("latin-1"))
    home = address_of(name) + "/"
    for path, query in ((current.path, current.query), (home, "")):
        if path.startswith(home):
            look = _look(app, path, query.encode("latin-1"), request.base_url)
            try:
                return render(look, mark_of(app, name), notice)
            except NotFoundError:
                continue  # a page about something that the button took away
    raise NotFoundError("The page of that button is gone.")


def _open(app: "FakeStripe", request: Request, form: dict[str, str]) -> Response:
    try:
        key = key_of(b"Bearer " + form.get("key", "").strip().encode())
        app.worlds.open(key.world)
    except ApiError as refused:
        notice = Notice("bad", refused.message)
        return render(_look(app, ROOT + "/", b"", request.base_url), mark_of(app, None), notice)
    return Response(200, [("HX-Redirect", address_of(key.world) + "/"), *security.HEADERS], b"")
