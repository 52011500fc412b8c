"""What fixtures keep: objects of operations that are not modelled can still be found, listed, changed and deleted.

Every collection that has an operation to create and one to retrieve is a shelf. An object on it has the shape of the
document, shows the parameters it was made with, and follows the plainest rules: an update merges, a verb at the end of
the path (`/v1/invoices/{invoice}/finalize`) sets the status that it is named after. Nothing else is modelled: no money
moves, no invoice follows a subscription.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from fake_stripe.errors import resource_missing
from fake_stripe.fixtures import Fixture
from fake_stripe.fixtures import answer as fixture
from fake_stripe.kept_details import complete
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call
from fake_stripe.openapi.catalog import catalog
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Wire

_NOUNS = {"promotion_code": "promotion code", "tax_rate": "tax rate", "checkout.session": "checkout.session"}
_EVENTS = {"subscription": "customer.subscription"}
_NOT_FILTERS = frozenset(("limit", "starting_after", "ending_before", "created", "expand"))

_STATES: dict[tuple[str, str], tuple[str, str]] = {
    ("checkout.session", "expire"): ("expired", "expired"),
    ("credit_note", "void"): ("void", "voided"),
    ("invoice", "finalize"): ("open", "finalized"),
    ("invoice", "mark_uncollectible"): ("uncollectible", "marked_uncollectible"),
    ("invoice", "pay"): ("paid", "paid"),
    ("invoice", "void"): ("void", "voided"),
    ("quote", "accept"): ("accepted", "accepted"),
    ("quote", "cancel"): ("canceled", "canceled"),
    ("quote", "finalize"): ("open", "finalized"),
    ("subscription", "cancel"): ("canceled", "deleted"),
    ("subscription", "resume"): ("active", "resumed"),
    ("subscription_schedule", "cancel"): ("canceled", "canceled"),
    ("subscription_schedule", "release"): ("released", "released"),
    ("topup", "cancel"): ("canceled", "canceled"),
}
"""The status that a verb leads to, and the last word of the event that says so."""

_NAMED = {"coupon": "coupon", "plan": "plan", "price": "price", "product": "product", "subscription": "subscription"}
"""Parameters that name an object of a shelf, wherever in the parameters they stand."""


class Shelf(NamedTuple):
    """A collection whose objects are kept: its path, and the type of its objects."""

    path: str
    type: str


@cache
def shelves() -> dict[str, Shelf]:
    """The shelves by the path of their collection."""
    known = catalog()
    found: dict[str, Shelf] = {}
    for operation in known.operations():
        single = known.match("GET", f"{operation.path}/any")
        if operation.method != "POST" or "{" in operation.path or single is None or not operation.response:
            continue
        if single[0].response == operation.response and single[1]:
            found[operation.path] = Shelf(operation.path, _type_of(operation.response))
    return found


def _type_of(name: str) -> str:
    shape = catalog().object_shape(name)
    enum = catalog().facts(shape["p"]["object"]).get("e") if "object" in shape.get("p", {}) else None
    return str(enum[0]) if enum else name


def answer(call: Call) -> Wire:
    """The answer to a validated call that no module handles.

    Raises:
        ApiError: `resource_missing` for an object that was never made.
    """
    known = shelves()
    call, template = _own(call)
    path, _, rest = template.partition("/{")
    shelf = known.get(path)
    if shelf is None:
        return fixture(call)
    refuse_unknown(call, call.params)
    if not rest:
        return _collection(call, shelf)
    found = _found(call, shelf)
    _, _, verb = rest.partition("}")
    if verb:
        return _verb(call, shelf, found, verb.strip("/"))
    if call.operation.method == "GET":
        return found
    if call.operation.method == "DELETE":
        return _remove(call, found)
    return _change(call, found)


_OF_A_CUSTOMER = "/v1/customers/{customer}"


def _own(call: Call) -> tuple[Call, str]:
    """The call and its template; what is asked of a customer's subscriptions is asked of those with that customer."""
    template = call.operation.path
    if not template.startswith(f"{_OF_A_CUSTOMER}/subscriptions"):
        return call, template
    customer = call.scope.require("customer", call.path["customer"], param="customer", in_path=True)
    path = {name: value for name, value in call.path.items() if name != "customer"}
    params = call.params if path else call.params | {"customer": customer["id"]}
    return replace(call, path=path, params=params), template.replace(_OF_A_CUSTOMER, "/v1")


def refuse_unknown(call: Call, given: Any, at: str = "") -> None:
    """Raises `resource_missing` for a price, product, coupon or the like that has an id of Stripe's and is not there.

    Names of the client's own (`plan=gold`) are taken as they are: they may be from before this world.
    """
    if isinstance(given, list):
        for index, item in enumerate(given):
            refuse_unknown(call, item, f"{at}[{index}]")
    for name, value in given.items() if isinstance(given, dict) else ():
        path = f"{at}[{name}]" if at else name
        type_ = _NAMED.get(name)
        if type_ and isinstance(value, str) and value.startswith((f"{type_}_", "prod_", "sub_")):
            if call.scope.get(type_, value) is None:
                raise resource_missing(_NOUNS.get(type_, type_), value, param=path, in_path=False)
        elif name != "metadata":
            refuse_unknown(call, value, path)
    if not at and isinstance(given, dict) and given.get("customer"):
        call.scope.require("customer", given["customer"], param="customer")


def _collection(call: Call, shelf: Shelf) -> Wire:
    if call.operation.method == "POST":
        made = complete(call, fixture(call))
        named = call.params.get("id")
        if isinstance(named, str) and named:
            made["id"] = named
        kept = call.scope.insert(made)
        _emit(call, kept, "created")
        return kept
    asked = ((name, value) for name, value in call.params.items() if name not in _NOT_FILTERS)
    wanted = {name: value for name, value in asked if value not in ("", "all")}
    items = (item for item in call.scope.list(shelf.type) if all(_equals(item, n, v) for n, v in wanted.items()))
    return paginate(call, items, shelf.path, type=shelf.type)


def _equals(item: Wire, name: str, value: Any) -> bool:
    held = item.get(name)
    return name not in item or held == value or (isinstance(held, dict) and held.get("id") == value)


def _found(call: Call, shelf: Shelf) -> Wire:
    param, id_ = next(iter(call.path.items()))
    found = call.scope.get(shelf.type, id_)
    if found is None:
        raise resource_missing(_NOUNS.get(shelf.type, shelf.type), id_, param=param, in_path=True)
    return found


def _verb(call: Call, shelf: Shelf, found: Wire, verb: str) -> Wire:
    """What stands behind the id in the path: an action on the object, or something of its own, which is a fixture."""
    if call.operation.method != "POST" or _type_of(call.operation.response or "") != shelf.type:
        return fixture(call)
    return _change(call, found, verb)


def _change(call: Call, found: Wire, verb: str = "") -> Wire:
    status, event = _STATES.get((found["object"], verb), ("", "updated"))
    state: Wire = {"status": status} if status else {}
    if status in ("canceled", "paid", "void"):
        state |= {name: call.now for name in ("canceled_at", "ended_at") if name in found}
    shown = Fixture(call, catalog()).members(found["object"], call.params)
    if "metadata" in call.params:
        shown["metadata"] = merged_metadata(found.get("metadata"), call.params["metadata"])
    previous = call.scope.update(found, **{name: value for name, value in shown.items() if name in found} | state)
    if previous:
        _emit(call, found, event, previous if event == "updated" else None)
    return found


def _remove(call: Call, found: Wire) -> Wire:
    """DELETE: the object goes, or, like a subscription, stays and is canceled."""
    shape = catalog().object_shape(call.operation.response or "")
    if "deleted" not in shape.get("p", {}):
        return _change(call, found, "cancel")
    _emit(call, found, "deleted")
    return call.scope.delete(found)


@cache
def _event_types() -> frozenset[str]:
    match = catalog().match("POST", "/v1/webhook_endpoints")
    assert match is not None
    events = catalog().facts(match[0].documented["p"]["enabled_events"])
    return frozenset(catalog().facts(events["v"])["e"])


def _emit(call: Call, obj: Wire, what: str, previous: Wire | None = None) -> None:
    name = f"{_EVENTS.get(obj['object'], obj['object'])}.{what}"
    if name in _event_types():
        call.scope.emit(name, obj, previous)
