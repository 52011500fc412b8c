"""PaymentIntents: the list of them, and the timeline of one: its calls, their events, and what happened in between."""

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from fake_stripe.journal import Entry
from fake_stripe.scope import Scope, Wire
from fake_stripe.ui.naming import money, short, tone_of

if TYPE_CHECKING:
    from fake_stripe.world import World

PAGE = 50
INTENTS = ("payment_intent", "setup_intent")
_TOLD = ("charge", "refund", "dispute", "application_fee", *INTENTS)

Written = tuple[str, str, str, str, dict[str, tuple[Any, Any]] | None]
"""One change as the journal has it: kind, type, id, account, members before and after."""


@dataclass(slots=True)
class Moment:
    """One entry of a timeline: a call, with the events that it caused, or events that no call caused."""

    at: int
    title: str
    tone: str
    call: Entry | None = None
    lines: list[str] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)


def intents(world: "World", status: str = "") -> list[dict[str, Any]]:
    """PaymentIntents and SetupIntents of all accounts, newest first, of one status if given."""
    found = [
        (intent["created"], scope.sequence_of(intent["id"]), shown_intent(scope, intent))
        for scope in world.scopes()
        for type_ in INTENTS
        for intent in scope.list(type_)
        if not status or intent["status"] == status
    ]
    return [shown for *_, shown in sorted(found, key=lambda entry: entry[:2], reverse=True)]


def waiting(world: "World") -> list[dict[str, Any]]:
    """The intents that wait for their shopper's authentication, newest first, at most a handful."""
    return list(islice((intent for intent in intents(world, "requires_action") if intent["challenge"]), 5))


def shown_intent(scope: Scope, intent: Wire) -> dict[str, Any]:
    """An intent as lists show it."""
    amount = money(intent["amount"], intent["currency"]) if intent["object"] == "payment_intent" else "Set-up"
    challenge = scope.hidden_if_any(intent["id"]).get("challenge") or {}
    return {
        "id": intent["id"],
        "type": intent["object"],
        "amount": amount,
        "status": intent["status"],
        "tone": tone_of(intent["status"]),
        "account": scope.account_id,
        "platform": scope.is_platform,
        "customer": intent.get("customer"),
        "payment_method": intent.get("payment_method"),
        "created": intent["created"],
        "challenge": intent["status"] == "requires_action" and challenge.get("state") == "open",
        "fee": money(intent["application_fee_amount"], intent["currency"])
        if intent.get("application_fee_amount")
        else None,
        "error": (intent.get("last_payment_error") or intent.get("last_setup_error") or {}).get("message"),
    }


def find(world: "World", id_: str) -> tuple[Scope, Wire] | None:
    """The intent with this id, wherever it lives."""
    for scope in world.scopes():
        for type_ in INTENTS:
            if (found := scope.get(type_, id_)) is not None:
                return scope, found
    return None


def timeline(world: "World", scope: Scope, intent: Wire) -> list[Moment]:
    """What happened to the intent, oldest first."""
    id_ = intent["id"]
    calls = [entry for entry in world.journal if entry.account == scope.account_id and touches(entry, id_)]
    moments = {entry.request_id: moment_of(entry, id_) for entry in calls}
    others: list[Moment] = []
    for event in _events(scope, id_):
        request = event["request"]["id"]
        moment = moments.get(request) if request else None
        if moment is None:
            title = "By itself, or from this page" if request is None else f"Call {request}, no longer in the journal"
            if others and others[-1].title == title and others[-1].at == event["created"]:
                moment = others[-1]
            else:
                moment = Moment(event["created"], title, "info")
                others.append(moment)
        moment.events.append((event["type"], event["id"]))
        if request is None or moment.call is None:
            moment.tone = _tone_of_event(event["type"]) or moment.tone
            moment.lines += _words_of(event)
    return sorted([*moments.values(), *others], key=lambda moment: moment.at)


def touches(entry: Entry, id_: str) -> bool:
    """Whether a call was about an object, or wrote it."""
    return f"/{id_}/" in f"{entry.path}/" or any(change[2] == id_ for change in entry.changes)


def moment_of(entry: Entry, about: str) -> Moment:
    """A call as a moment of the timeline of an object; what happened to others is told with their names."""
    moment = Moment(entry.at, f"{entry.method} {short(entry.path)}", tone_of(entry.status), entry)
    if entry.error:
        moment.lines.append(str(entry.error.get("message")))
    for kind, type_, id_, _, diff in merged(entry):
        name = "" if id_ == about else f"{type_.replace('_', ' ')} {short(id_)} "
        status = (diff or {}).get("status")
        if status is not None:
            moment.lines.append(f"{name}{_spoken(status[0])} → {_spoken(status[1])}")
        elif kind == "created" and id_ != about and type_ in _TOLD:
            moment.lines.append(f"{name}created")
    return moment


def _spoken(status: object) -> str:
    return str(status).replace("_", " ")


def merged(entry: Entry) -> list[Written]:
    """What a call wrote, each object once: its first state before, its last state after."""
    found: dict[str, Written] = {}
    for kind, type_, id_, account, diff in entry.changes:
        earlier = found.get(id_)
        if earlier is None:
            found[id_] = (kind, type_, id_, account, diff)
        elif earlier[0] != "created" or kind == "deleted":
            both = {
                **(diff or {}),
                **{n: (b, (diff or {}).get(n, (b, a))[1]) for n, (b, a) in (earlier[4] or {}).items()},
            }
            found[id_] = (kind, type_, id_, account, both or None)
    return [
        (kind, type_, id_, account, {n: pair for n, pair in (diff or {}).items() if pair[0] != pair[1]} or None)
        for kind, type_, id_, account, diff in found.values()
    ]


def _events(scope: Scope, id_: str) -> list[Wire]:
    """The events about the intent and what hangs on it, oldest first."""
    found = []
    for event in scope.list("event"):
        obj = event["data"]["object"]
        if id_ in (obj.get("id"), obj.get("payment_intent"), obj.get("setup_intent")):
            found.append(event)
    return found[::-1]


def _tone_of_event(type_: str) -> str:
    last = type_.rpartition(".")[2]
    return {
        "succeeded": "ok",
        "payment_failed": "bad",
        "failed": "bad",
        "setup_failed": "bad",
        "requires_action": "warn",
    }.get(last, "bad" if type_.startswith("charge.dispute") else "")


def _words_of(event: Wire) -> list[str]:
    obj = event["data"]["object"]
    error = obj.get("last_payment_error") or obj.get("last_setup_error") or {}
    words = [f"{obj['object']} {obj['id']} is {obj['status']}"] if obj.get("status") else []
    return [*words, *([str(error["message"])] if error.get("message") else [])]
