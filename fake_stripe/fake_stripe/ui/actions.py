"""The page's buttons. Each is one call of the control API, whose words the page repeats."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from fake_stripe.ui.masking import masked_text
from fake_stripe.wire import Request

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe

Form = dict[str, str]
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """What the page says about what was just done; `tone` is `ok` or `bad`."""

    tone: str
    text: str


@dataclass(slots=True)
class Action:
    """One button: its control operation, what its form means, and what to say once it is done."""

    method: str
    path: Callable[[Form], str]
    params: Callable[[Form], Answer]
    said: Callable[[Form, Answer], str]


def _to(path: str) -> Callable[[Form], str]:
    """The path with `{name}` filled from the form."""
    return path.format_map


def _jobs(answer: Answer) -> str:
    count = answer["jobs_run"]
    return "nothing was due" if not count else f"{count} thing{'s' * (count > 1)} that waited happened"


def _seconds(form: Form) -> int:
    try:
        return int(form["advance"])
    except ValueError:
        raise ValueError(f"seconds are a whole number, not {form['advance']!r}") from None


def _number(form: Form, name: str, kind: type) -> Any:
    try:
        return kind(form[name])
    except ValueError:
        raise ValueError(f"{name} is a number, not {form[name]!r}") from None


def fault_of(form: Form) -> Answer:
    """The fault that a filled-in form asks for; an empty field asks for nothing, empty `times` for always."""
    match: Answer = {name: form[name].strip() for name in ("method", "path", "account") if form.get(name, "").strip()}
    if form.get("nth"):
        match["nth"] = _number(form, "nth", int)
    act: Any = form.get("act", "")
    if act.startswith("status-"):
        act = {"kind": "status", "status": int(act.removeprefix("status-"))}
        if form.get("commit"):
            act["commit"] = True
    fault: Answer = {"match": match, "act": act}
    if form.get("latency"):
        fault["latency"] = _number(form, "latency", float)
    fault["times"] = _number(form, "times", int) if form.get("times") else None
    if form.get("probability"):
        fault["probability"] = _number(form, "probability", float)
    return fault


def _nothing(_: Form) -> Answer:
    return {}


ACTIONS: dict[str, Action] = {
    "freeze": Action("POST", _to("/_fake/clock"), lambda _: {"freeze": True}, lambda *_: "The clock stands still."),
    "resume": Action("POST", _to("/_fake/clock"), lambda _: {"resume": True}, lambda *_: "The clock runs on."),
    "advance": Action(
        "POST",
        _to("/_fake/clock"),
        lambda form: {"advance": _seconds(form)},
        lambda form, answer: f"Moved on by {spoken(_seconds(form))}; {_jobs(answer)}.",
    ),
    "settle": Action("POST", _to("/_fake/settle"), _nothing, lambda _, answer: f"Settled: {_jobs(answer)}."),
    "reset": Action(
        "POST", _to("/_fake/reset"), _nothing, lambda *_: "The world begins anew: no objects, no faults, no calls."
    ),
    "snapshot": Action(
        "POST",
        _to("/_fake/snapshots"),
        lambda form: {"label": form.get("label", "").strip() or "default"},
        lambda _, answer: f"Kept the present state as “{answer['snapshot']}”.",
    ),
    "restore": Action(
        "POST",
        _to("/_fake/snapshots/{label}/restore"),
        _nothing,
        lambda form, _: f"Back at “{form['label']}”. Faults and the journal do not belong to a snapshot.",
    ),
    "fault": Action(
        "POST", _to("/_fake/faults"), fault_of, lambda _, answer: f"Installed {answer['id']}. It waits for its call."
    ),
    "remove-fault": Action("DELETE", _to("/_fake/faults/{id}"), _nothing, lambda form, _: f"Took {form['id']} away."),
    "clear-faults": Action("DELETE", _to("/_fake/faults"), _nothing, lambda *_: "Took all faults away."),
    "clear-journal": Action("DELETE", _to("/_fake/journal"), _nothing, lambda *_: "Forgot the calls so far."),
    "resolve": Action(
        "POST",
        _to("/_fake/authentications/{intent}"),
        lambda form: {"outcome": form["outcome"]},
        lambda form, answer: f"Authentication {form['outcome']}: {answer['id']} is {answer['status']}.",
    ),
    "resend": Action(
        "POST",
        _to("/_fake/events/{event}/resend"),
        _nothing,
        lambda form, answer: (
            f"{form['event']} goes to {answer['deliveries']} endpoint{'s' * (answer['deliveries'] != 1)}."
        ),
    ),
    "webhooks": Action(
        "POST",
        _to("/_fake/webhooks"),
        lambda form: {"mode": form["mode"]},
        lambda _, answer: (
            "Webhooks are sent over HTTP." if answer["mode"] == "deliver" else "Webhooks are kept here, and not sent."
        ),
    ),
}


def spoken(seconds: int) -> str:
    """Seconds in the largest unit that divides them: 86400 is 1 day."""
    for unit, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit} {word}{'s' * (seconds != unit)}"
    return f"{seconds} second{'s' * (seconds != 1)}"


def carry_out(app: "FakeStripe", world: str, action: Action, form: Form) -> tuple[Notice, list[Any]]:
    """Do what a button asks for; returns what to say, and the webhook deliveries that it caused."""
    from fake_stripe.control import handle  # noqa: PLC0415 - which serves this page

    try:
        path, body = action.path(form), orjson.dumps(action.params(form))
    except KeyError as missing:
        return Notice("bad", f"The form has no {missing.args[0]!r}: reload the page."), []
    except ValueError as wrong:
        return Notice("bad", str(wrong)), []
    headers = {b"authorization": b"Bearer sk_test_" + world.encode(), b"content-type": b"application/json"}
    response = handle(app, Request(action.method, path, headers=headers, body=body))
    answer = orjson.loads(response.body)
    if response.status != 200:
        return Notice("bad", masked_text(str(answer["error"]["message"]))), response.deliveries
    return Notice("ok", action.said(form, answer)), response.deliveries
