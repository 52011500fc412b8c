"""`/_fake/`: the control API. State, time, faults, journal and events of a world, as JSON that describes itself."""

import logging
import time
from typing import TYPE_CHECKING, Any

from fake_stripe.control_routes import ROUTES, Asked, ControlError, Route, asked_of, json_response, openapi, route
from fake_stripe.control_worlds import clock_of, events_of, summary_of
from fake_stripe.errors import ApiError
from fake_stripe.wire import Request, Response
from fake_stripe.world import NEWEST_VERSION

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe

log = logging.getLogger("fake_stripe")

_LONGEST_WAIT = 60.0


def handle(app: "FakeStripe", request: Request) -> Response:
    """Answer one control request."""
    if request.path.startswith("/_fake/ui") or (request.path in ("/_fake", "/_fake/") and _is_browser(request)):
        return _page(app, request)
    import fake_stripe.control_payments  # noqa: F401, PLC0415 - registers its routes

    try:
        found, path = _route_of(request)
        asked = asked_of(app, request, path)
        return _finished(app, asked, found.call(asked))
    except ControlError as error:
        return json_response(error.status, {"error": {"message": error.message}})
    except ApiError as error:
        return json_response(error.status, {"error": error.members()})
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        return json_response(400, {"error": {"message": str(error.args[0]) if error.args else repr(error)}})
    except Exception:
        log.exception("%s %s failed inside fake_stripe", request.method, request.path)
        return json_response(500, {"error": {"message": "fake_stripe failed; its log has the traceback"}})


def _is_browser(request: Request) -> bool:
    return request.method in ("GET", "HEAD") and b"text/html" in request.headers.get(b"accept", b"")


def _page(app: "FakeStripe", request: Request) -> Response:
    """The page for people: its templates are loaded with the first look at it."""
    try:
        from fake_stripe.ui.pages import handle as answer  # noqa: PLC0415 - see above
    except ModuleNotFoundError as missing:
        text = f"The page needs {missing.name}, which is not installed: pip install 'cloneservice[fake]'."
        return json_response(501, {"error": {"message": text}})
    return answer(app, request)


def _finished(app: "FakeStripe", asked: Asked, answer: Any) -> Response:
    response = answer if isinstance(answer, Response) else json_response(200, answer)
    world = app.worlds.get(asked.world_name) if asked.key else None
    if world is not None:
        world.changes = []
        if world.outbox:
            response.deliveries += app.deliveries(world)
    return response


def _route_of(request: Request) -> tuple[Route, dict[str, str]]:
    path = request.path.rstrip("/")
    methods = []
    for found in ROUTES:
        match = found.pattern.fullmatch(path)
        if match is not None and found.method == request.method:
            return found, match.groupdict()
        if match is not None:
            methods.append(found.method)
    if methods:
        raise ControlError(405, f"{request.path} takes {', '.join(methods)}, not {request.method}")
    raise ControlError(404, f"there is no {request.path}; GET /_fake/openapi.json lists what there is")


# ---- the server


@route("GET", "/_fake")
def index(_: Asked) -> Any:
    """What there is."""
    return {"operations": [f"{found.method} {found.template}: {found.summary}" for found in ROUTES]}


@route("GET", "/_fake/health")
def health(asked: Asked) -> Any:
    """Whether the double is up; wait for this instead of sleeping."""
    return {"status": "ok", "api_version": NEWEST_VERSION, "worlds": len(asked.app.worlds.names())}


@route("GET", "/_fake/openapi.json")
def describe(_: Asked) -> Any:
    """This API as an OpenAPI document."""
    return openapi()


@route("GET", "/_fake/coverage")
def show_coverage(_: Asked) -> Any:
    """Every operation of Stripe's document: modelled, or answered by a fixture."""
    from fake_stripe.coverage import report  # noqa: PLC0415 - walks the whole catalog

    return report()


# ---- worlds


@route("GET", "/_fake/worlds")
def list_worlds(asked: Asked) -> Any:
    """The names of the open worlds."""
    return {"worlds": asked.app.worlds.names()}


@route("DELETE", "/_fake/worlds")
def close_worlds(asked: Asked) -> Any:
    """Drop every world."""
    return {"closed": asked.app.worlds.close_all()}


@route("DELETE", "/_fake/worlds/{name}")
def close_world(asked: Asked) -> Any:
    """Drop one world."""
    if not asked.app.worlds.close(asked.path["name"]):
        raise ControlError(404, f"no world {asked.path['name']!r} is open")
    return {"closed": 1}


@route("GET", "/_fake/world")
def show_world(asked: Asked) -> Any:
    """The world in figures: accounts, objects, clock, policies."""
    return summary_of(asked.world)


@route("POST", "/_fake/reset", seed="makes the ids reproducible from here on")
def reset(asked: Asked) -> Any:
    """Begin the world anew: no objects, no faults, an empty journal, a real clock. Takes constant time."""
    world = asked.app.worlds.reset(asked.world_name, asked.text("seed"))
    return {"name": world.name, "platform": world.platform, "ids_seed": world.ids.seed}


@route("GET", "/_fake/snapshots")
def list_snapshots(asked: Asked) -> Any:
    """The labels of the world's snapshots."""
    return {"snapshots": asked.app.worlds.snapshots(asked.world.name)}


@route("POST", "/_fake/snapshots", label="what to call it (default)")
def snapshot(asked: Asked) -> Any:
    """Keep the world's present state: objects, accounts, clock, ids, pending jobs, idempotency records."""
    label = asked.text("label", "default") or "default"
    asked.app.worlds.snapshot(asked.world.name, label)
    return {"snapshot": label}


@route("POST", "/_fake/snapshots/{label}/restore")
def restore(asked: Asked) -> Any:
    """Put the world back to a snapshot, which stays usable."""
    label = asked.path["label"]
    if label not in asked.app.worlds.snapshots(asked.world.name):
        raise ControlError(404, f"this world has no snapshot {label!r}")
    return summary_of(asked.app.worlds.restore(asked.world.name, label))


@route("POST", "/_fake/fork", to="name of the world to make: its key is sk_test_<name>")
def fork(asked: Asked) -> Any:
    """Give another key an independent duplicate of the world, with the same ids."""
    return summary_of(asked.app.worlds.fork(asked.world.name, str(asked.required("to"))))


@route(
    "POST",
    "/_fake/seed",
    ids_seed="makes the ids reproducible from here on",
    clock="unix seconds to freeze the clock at",
    accounts="connected accounts to make, as ids or {id, policy}",
    calls="calls to make, in order: {method, path, params, account, as}; ${name.member} refers to earlier answers",
)
def seed(asked: Asked) -> Any:
    """Fill the world from one document; answers the ids that were made, by their names."""
    from fake_stripe.seeding import plant  # noqa: PLC0415 - only for seeding

    return plant(asked.app, asked.world, asked.key or "", asked.params)


# ---- time


@route("GET", "/_fake/clock")
def show_clock(asked: Asked) -> Any:
    """The world's time."""
    return clock_of(asked.world)


@route(
    "POST",
    "/_fake/clock",
    freeze="true to stop now, or unix seconds to stop at",
    advance="seconds to move on; what falls due on the way happens",
    resume="true to let the clock run on",
)
def set_clock(asked: Asked) -> Any:
    """Freeze, advance or resume the world's clock."""
    world, params = asked.world, asked.params
    if not params.keys() & {"freeze", "advance", "resume"}:
        raise ControlError(400, "give freeze, advance or resume")
    if "freeze" in params:
        now = params["freeze"] is True or params["freeze"] == "true"
        world.clock.freeze(None if now else asked.number("freeze"))
    ran = world.advance(int(asked.number("advance") or 0)) if "advance" in params else 0
    if asked.flag("resume"):
        world.clock.resume()
    return {**clock_of(world), "jobs_run": ran}


@route("POST", "/_fake/settle")
def settle(asked: Asked) -> Any:
    """Let everything pending happen now: bank debits, refunds, disputes, expiring authorisations."""
    return {"jobs_run": asked.world.settle()}


# ---- faults


@route("GET", "/_fake/faults")
def list_faults(asked: Asked) -> Any:
    """The installed faults and how often each matched and fired."""
    return {"faults": [fault.as_dict() for fault in asked.world.faults]}


@route(
    "POST",
    "/_fake/faults",
    match="method, path (exact, {template} or *), account, params, idempotency_key, nth",
    act="latency, drop_before, commit_then_drop, reset_mid_body, malformed_body, lock_timeout, status, answer",
    latency="seconds, {low, high} or {median, sigma}",
    times="how often (1; null: always)",
    probability="0 .. 1",
    seed="of the probability and the latency",
)
def add_fault(asked: Asked) -> Any:
    """Install a fault; the first that matches and fires wins."""
    return asked.world.faults.add(asked.params).as_dict()


@route("DELETE", "/_fake/faults")
def clear_faults(asked: Asked) -> Any:
    """Take all faults away."""
    asked.world.faults.clear()
    return {"faults": []}


@route("DELETE", "/_fake/faults/{id}")
def remove_fault(asked: Asked) -> Any:
    """Take one fault away."""
    if not asked.world.faults.remove(asked.path["id"]):
        raise ControlError(404, f"there is no fault {asked.path['id']!r}")
    return {"removed": asked.path["id"]}


@route(
    "POST",
    "/_fake/overrides",
    match="as for faults",
    status="HTTP status (200)",
    body="the JSON to answer",
    headers="further headers",
    times="how often (1; null: always)",
)
def add_override(asked: Asked) -> Any:
    """Answer matching calls with this body instead of executing them."""
    act = {"kind": "answer", **{k: v for k, v in asked.params.items() if k in ("status", "body", "headers")}}
    given = {k: v for k, v in asked.params.items() if k not in ("status", "body", "headers")}
    return asked.world.faults.add({**given, "act": act}).as_dict()


# ---- what happened


@route(
    "GET",
    "/_fake/journal",
    unmatched="true: only calls that name no operation",
    method="only this method",
    path="only this path (exact or with *)",
    account="only this account",
    status="only this HTTP status",
    limit="only the last so many",
    replayable="true: with what `fake-stripe replay` needs, card numbers unmasked",
)
def show_journal(asked: Asked) -> Any:
    """The calls of this world, oldest first, each with its account, key, fault, error, events and changes."""
    from fnmatch import fnmatchcase  # noqa: PLC0415 - only for reading the journal

    entries = list(asked.world.journal)
    if asked.flag("unmatched"):
        entries = [entry for entry in entries if not entry.matched]
    for name in ("method", "account", "status"):
        if (wanted := asked.text(name)) is not None:
            entries = [entry for entry in entries if str(getattr(entry, name)) == wanted]
    if (pattern := asked.text("path")) is not None:
        entries = [entry for entry in entries if fnmatchcase(entry.path, pattern)]
    limit = asked.number("limit")
    if limit is not None and limit < 1:
        raise ControlError(400, "limit is at least 1")
    shown = entries[-int(limit) :] if limit else entries
    replayable = asked.flag("replayable")
    return {"calls": [entry.as_dict(replayable=replayable) for entry in shown], "total": len(entries)}


@route("GET", "/_fake/journal/refused")
def show_refused(asked: Asked) -> Any:
    """The last calls to this server whose key opened no world (401), oldest first."""
    return {"calls": [entry.as_dict() for entry in asked.app.refused]}


@route("DELETE", "/_fake/journal")
def clear_journal(asked: Asked) -> Any:
    """Forget the calls so far."""
    asked.world.journal.clear()
    return {"calls": []}


@route("GET", "/_fake/events", type="one type, or charge.*", account="acct_... or platform", about="id of the object")
def show_events(asked: Asked) -> Any:
    """The events of all accounts of this world, oldest first."""
    return {"events": events_of(asked.world, asked.text("type"), asked.text("account"), asked.text("about"))}


@route(
    "GET",
    "/_fake/events/wait",
    type="one type, or charge.*",
    account="acct_... or platform",
    about="id of the object",
    count="how many are wanted (1)",
    timeout="seconds to wait at most (10)",
)
def wait_for_event(asked: Asked) -> Any:
    """Answer as soon as there are such events; 408 when the time runs out first."""
    name = asked.world.name
    type_, account, about = asked.text("type"), asked.text("account"), asked.text("about")
    count = int(asked.number("count", 1) or 1)
    until = time.monotonic() + min(asked.number("timeout", 10) or 0, _LONGEST_WAIT)
    app = asked.app

    def look() -> Response | None:
        with app.lock:
            found = events_of(app.worlds.open(name), type_, account, about)
        if len(found) >= count:
            return json_response(200, {"events": found})
        if time.monotonic() >= until:
            text = f"{len(found)} of {count} such events within the time"
            return json_response(408, {"error": {"message": text}, "events": found})
        return None

    now = look()
    if now is not None:
        return now
    waiting = Response(200, [], b"")
    waiting.poll = look
    return waiting


# ---- switches


@route("GET", "/_fake/policy", account="acct_...; without one: what holds for accounts without their own")
def show_policy(asked: Asked) -> Any:
    """The switches of an account."""
    return asked.world.policy(asked.text("account") or "").as_dict()


@route(
    "POST",
    "/_fake/policy",
    account="acct_...; without one: all accounts without their own",
    raw_card_numbers="allowed | refused",
    legacy_tokens="allowed | refused",
    test_cards="accepted | declined",
    fingerprints="same | different",
    capabilities="lax | enforced",
    rate_limits="off | test | live",
)
def set_policy(asked: Asked) -> Any:
    """Set switches of an account."""
    changes = {name: value for name, value in asked.params.items() if name != "account"}
    return asked.world.set_policy(changes, asked.text("account")).as_dict()


@route(
    "POST",
    "/_fake/keys",
    restricted_key="rk_test_... of any world",
    permissions="e.g. [customer_read, payment_intent_write, connect]; null: all",
)
def restrict_key(asked: Asked) -> Any:
    """Say what a restricted key may do."""
    key = str(asked.required("restricted_key"))
    if not key.startswith("rk_"):
        raise ControlError(400, "only restricted keys (rk_test_...) are restricted")
    permissions = asked.required("permissions")
    world = asked.app.world(key)
    if permissions is None:
        world.restricted.pop(key, None)
    elif isinstance(permissions, list):
        world.restricted[key] = frozenset(map(str, permissions))
    else:
        raise ControlError(400, "permissions is a list of names, or null")
    return {"permissions": permissions}
