"""What each page shows, as values for its template."""

from typing import TYPE_CHECKING, Any

from fake_stripe import webhooks
from fake_stripe.control_worlds import events_of
from fake_stripe.faults import ACTS, STATUSES, Fault
from fake_stripe.journal import Entry
from fake_stripe.scope import Scope, Wire
from fake_stripe.ui import board, calls, lineage, payments
from fake_stripe.ui.masking import masked
from fake_stripe.ui.naming import account_name, is_spent, world_label
from fake_stripe.ui.pages import Look, NotFoundError, view

if TYPE_CHECKING:
    from fake_stripe.world import World

Values = tuple[str, dict[str, Any]]
EVENTS_PAGE = 100
MOST_WORLDS = 200


def worlds(look: Look) -> Values:
    """The open worlds, those used last first."""
    app = look.app
    found = [world for name in app.worlds.names() if (world := app.worlds.get(name)) is not None]
    found.sort(key=lambda world: world.journal[-1].number if world.journal else 0, reverse=True)
    shown = [
        {
            **world_label(world, app.worlds.seed),
            "platform": world.platform,
            "connected": len(world.connected),
            "calls": len(world.journal),
            "failed": sum(1 for entry in world.journal if entry.status >= 400),
            "last": world.journal[-1] if world.journal else None,
            "now": world.clock.now(),
        }
        for world in found[:MOST_WORLDS]
    ]
    return "worlds.html", {"worlds": shown, "left_out": len(found) - len(shown)}


@view("")
def overview(look: Look) -> Values:
    """Accounts as columns, what waits, and the lineage of clones."""
    world = look.world
    query = look.params.get("q", "").strip()
    columns, left_out = board.columns(world, query)
    return "overview.html", {
        "section": "accounts",
        "columns": columns,
        "left_out": left_out,
        "query": query,
        "waiting": payments.waiting(world),
        "scheduled": world.scheduled,
        "faults": [_act_of(fault) for fault in world.faults if not is_spent(fault)],
        "failure": next((entry for entry in reversed(world.journal) if entry.status >= 400), None),
        "empty": not world.journal and not any(column.tiles for column in columns),
    }


def _act_of(fault: Fault) -> str:
    return f"answers {fault.act.status}" if fault.act.kind == "status" else fault.act.kind.replace("_", " ")


@view("lineage")
def lineage_page(look: Look) -> Values:
    """The graph of clones."""
    only = look.params.get("of") or None
    return "lineage.html", {"section": "lineage", "graph": lineage.graph_of(look.world, only), "only": only}


@view("payments")
def payment_list(look: Look) -> Values:
    """PaymentIntents and SetupIntents, newest first."""
    world = look.world
    status = look.params.get("status", "")
    account = look.params.get("account", "")
    found = [i for i in payments.intents(world, status) if not account or i["account"] == account]
    start = _number(look, "from")
    return "payments.html", {
        "section": "payments",
        "intents": found[start : start + payments.PAGE],
        "total": len(found),
        "start": start,
        "older": look.query(**{"from": start + payments.PAGE}) if start + payments.PAGE < len(found) else None,
        "newer": look.query(**{"from": max(0, start - payments.PAGE) or None}) if start else None,
        "status": status,
        "account": account,
        "accounts": _accounts(world),
        "statuses": sorted({intent["status"] for intent in payments.intents(world)} | ({status} if status else set())),
    }


@view("payments/{id}")
def payment(look: Look) -> Values:
    """One intent and its timeline."""
    world = look.world
    found = payments.find(world, look.parts["id"])
    if found is None:
        raise NotFoundError(f"No account of this world has an intent {look.parts['id']}.")
    scope, intent = found
    return "payment.html", {
        "section": "payments",
        "intent": payments.shown_intent(scope, intent),
        "object": intent,
        "moments": payments.timeline(world, scope, intent),
        "account_name": account_name(world, scope.account_id),
    }


def _filter(look: Look) -> calls.Filter:
    params = look.params
    return calls.Filter(
        params.get("account", ""), params.get("status", ""), params.get("fault", ""), params.get("q", "")
    )


def _requests(look: Look, entry: Entry | None, number: str = "") -> Values:
    world = look.world
    wanted = _filter(look)
    found = calls.page_of(world, wanted, _number(look, "before") or None)
    listing = Look(look.app, f"{world_label(world, None)['address']}/requests", look.params)
    return "requests.html", {
        "section": "requests",
        "page": found,
        "wanted": wanted,
        "accounts": _accounts(world),
        "statuses": calls.STATUSES,
        "fault_ids": list(dict.fromkeys(e.fault for e in world.journal if e.fault)),
        "entry": calls.explained(world, entry) if entry else None,
        "asked": number,
        "older": listing.query(before=found.older) if found.older else None,
        "newer": listing.query(before=found.newer) if found.newer else None,
        "cleared": listing.path,
        "suffix": listing.query().removeprefix(listing.path),
    }


@view("requests")
def request_list(look: Look) -> Values:
    """The journal, newest first."""
    return _requests(look, None)


@view("requests/{number}")
def request(look: Look) -> Values:
    """The journal with one call opened: by its number, or its Request-Id."""
    asked = look.parts["number"]
    journal = look.world.journal
    if asked.isdigit():
        entry = calls.find(look.world, int(asked))
    else:
        entry = next((found for found in reversed(journal) if found.request_id == asked), None)
    return _requests(look, entry, asked)


@view("events")
def event_list(look: Look) -> Values:
    """Events, newest first, and who hears of them."""
    world = look.world
    type_ = look.params.get("type", "").strip()
    account = look.params.get("account", "")
    found = events_of(world, type_ or None, account or None)[::-1]
    start = _number(look, "from")
    settings = {"mode": "deliver", "collected": [], **world.platform_scope(livemode=False).hidden_if_any("webhooks")}
    return "events.html", {
        "section": "events",
        "events": found[start : start + EVENTS_PAGE],
        "total": len(found),
        "start": start,
        "older": look.query(**{"from": start + EVENTS_PAGE}) if start + EVENTS_PAGE < len(found) else None,
        "newer": look.query(**{"from": max(0, start - EVENTS_PAGE) or None}) if start else None,
        "type": type_,
        "account": account,
        "accounts": _accounts(world),
        "endpoints": [_endpoint(scope, e) for scope in world.scopes() for e in scope.list("webhook_endpoint")],
        "mode": settings["mode"],
        "collected": masked(list(settings["collected"])[-20:][::-1]),
        "retries": (webhooks.RETRY_SECONDS_TEST, webhooks.RETRY_SECONDS_LIVE),
    }


def _endpoint(scope: Scope, endpoint: Wire) -> dict[str, Any]:
    return {
        "id": endpoint["id"],
        "url": endpoint["url"],
        "status": endpoint["status"],
        "account": scope.account_id,
        "connect": bool(scope.hidden_if_any(endpoint["id"]).get("connect")),
        "events": endpoint["enabled_events"],
    }


@view("faults")
def fault_list(look: Look) -> Values:
    """The faults in force, and the form for another."""
    world = look.world
    return "faults.html", {
        "section": "faults",
        "faults": [{**fault.as_dict(), "spent": is_spent(fault)} for fault in world.faults],
        "acts": [act for act in ACTS if act not in ("status", "answer")],
        "http_statuses": STATUSES,
        "accounts": _accounts(world),
    }


@view("controls")
def controls(look: Look) -> Values:
    """Clock, what waits, snapshots, reset; the policy as it stands."""
    world = look.world
    return "controls.html", {
        "section": "controls",
        "snapshots": look.app.worlds.snapshots(world.name),
        "scheduled": world.scheduled,
        "policy": world.policy("").as_dict(),
        "seed": world.ids.seed,
        "objects": sum(scope.count(type_) for scope in world.scopes() for type_ in scope.types()),
    }


@view("objects/{id}")
def object_page(look: Look) -> Values:
    """One object of any type: as it is now, and the calls that touched it."""
    world, id_ = look.world, look.parts["id"]
    for scope in world.scopes():
        for type_ in scope.types():
            obj = scope.get(type_, id_)
            if obj is not None:
                touching = [e for e in reversed(world.journal) if payments.touches(e, id_)]
                return "object.html", {
                    "section": "accounts",
                    "object": obj,
                    "account": scope.account_id,
                    "account_name": account_name(world, scope.account_id),
                    "on_platform": scope.is_platform,
                    "original": lineage.original_of(scope, id_),
                    "clones": lineage.counts(world).get(id_, 0) if scope.is_platform else 0,
                    "moments": [payments.moment_of(entry, id_) for entry in touching[:50]],
                    "touched": len(touching),
                }
    raise NotFoundError(f"No account of this world has an object {id_}. It may have been deleted, or the world reset.")


def _accounts(world: "World") -> list[tuple[str, str]]:
    """Accounts to choose from, with what to call them."""
    named = [(account, account_name(world, account)) for account in calls.accounts_in(world)[:200]]
    return [
        (
            account,
            ("Platform" if account == world.platform else name or account) + (f" · {account[-6:]}" if name else ""),
        )
        for account, name in named
    ]


def _number(look: Look, name: str) -> int:
    value = look.params.get(name, "")
    return int(value) if value.isdigit() and len(value) < 16 else 0
