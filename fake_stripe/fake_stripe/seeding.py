"""Filling a world from one JSON document: accounts, a clock, and calls that refer to one another's answers."""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from fake_stripe.ids import Ids
from fake_stripe.live import is_live
from fake_stripe.wire import Request
from fake_stripe.world import World

if TYPE_CHECKING:
    from fake_stripe.app import FakeStripe

_REFERENCE = re.compile(r"\$\{([\w-]+)((?:\.[\w-]+)*)\}")
_KNOWN = frozenset({"ids_seed", "clock", "accounts", "calls", "policy"})
_CALL = frozenset({"method", "path", "params", "account", "as", "idempotency_key"})


def connect(world: World, given: dict[str, Any] | str) -> dict[str, Any]:
    """Connect a fully set-up account under the given or a new id; returns its account object."""
    from fake_stripe.objects.accounts import account_of  # noqa: PLC0415 - object modules load on first use

    wanted: dict[str, Any] = {"id": given} if isinstance(given, str) else given
    account_id = wanted.get("id") or world.platform_scope(livemode=False).new_id("acct")
    if not re.fullmatch(r"acct_\w{4,}", account_id):
        raise ValueError(f"{account_id!r} is no account id: acct_ and letters or digits")
    world.connect(account_id)
    if wanted.get("policy"):
        world.set_policy(wanted["policy"], account_id)
    return account_of(world, account_id)


def plant(app: "FakeStripe", world: World, api_key: str, document: dict[str, Any]) -> dict[str, Any]:
    """Carry out a seed document; returns what was made, by the names that the document gives.

    Raises ValueError for an unknown member, a reference to nothing, or a call that Stripe would refuse.
    """
    unknown = document.keys() - _KNOWN
    if unknown:
        raise ValueError(f"a seed has no {', '.join(sorted(unknown))}; it knows {', '.join(sorted(_KNOWN))}")
    if is_live(orjson.dumps(document).decode()):
        raise ValueError("the seed holds a live-mode key")
    if "ids_seed" in document:
        world.ids = Ids(str(document["ids_seed"]), world.name, world.ids.counter)
    if "clock" in document:
        world.clock.freeze(float(document["clock"]))
    if "policy" in document:
        world.set_policy(document["policy"])
    accounts = [connect(world, given)["id"] for given in document.get("accounts", [])]
    made: dict[str, Any] = {}
    for number, call in enumerate(document.get("calls", []), start=1):
        if extra := call.keys() - _CALL:
            raise ValueError(f"call {number} has no {', '.join(sorted(extra))}; it knows {', '.join(sorted(_CALL))}")
        answer = _make(app, api_key, number, _resolved(call, made))
        made[call.get("as", f"call_{number}")] = answer
    return {"accounts": accounts, "made": {name: answer.get("id") for name, answer in made.items()}}


def _resolved(value: Any, made: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _resolved(inner, made) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, made) for inner in value]
    return _REFERENCE.sub(lambda match: _member(match, made), value) if isinstance(value, str) else value


def _member(match: re.Match[str], made: dict[str, Any]) -> str:
    found: Any = made.get(match[1])
    if found is None:
        raise ValueError(f"{match[0]} refers to nothing: no earlier call is named {match[1]!r}")
    for name in match[2].split(".")[1:] or ["id"]:
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        raise ValueError(f"{match[0]} refers to nothing: the answer has no such member")
    return str(found)


def form(params: dict[str, Any]) -> str:
    """Nested parameters as Stripe's form encoding."""
    return urlencode(form_pairs(params))


def form_pairs(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Nested parameters as the pairs of Stripe's form encoding; members that are None are left out."""
    return list(_pairs("", params))


def _pairs(prefix: str, value: Any) -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _pairs(f"{prefix}[{name}]" if prefix else name, inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _pairs(f"{prefix}[{index}]", inner)
    elif value is not None:
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)


def _make(app: "FakeStripe", api_key: str, number: int, call: dict[str, Any]) -> dict[str, Any]:
    method = str(call.get("method", "POST")).upper()
    headers = {b"authorization": f"Bearer {api_key}".encode()}
    if call.get("account"):
        headers[b"stripe-account"] = str(call["account"]).encode()
    if call.get("idempotency_key"):
        headers[b"idempotency-key"] = str(call["idempotency_key"]).encode()
    encoded = form(call.get("params", {})).encode()
    body, query = (encoded, b"") if method == "POST" else (b"", encoded)
    response = app.handle(Request(method, str(call.get("path")), query=query, headers=headers, body=body))
    app.hand_over(response.deliveries)
    if response.release is not None:
        response.release()
    answer: dict[str, Any] = orjson.loads(response.body or b"{}")
    if response.status != 200:
        reason = answer.get("error", {}).get("message", "no answer")
        raise ValueError(f"call {number} ({method} {call.get('path')}) answered {response.status}: {reason}")
    return answer
