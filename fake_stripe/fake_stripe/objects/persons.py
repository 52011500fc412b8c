"""Persons behind an account: its individual, representatives and owners (docs.stripe.com/api/persons)."""

from __future__ import annotations

from typing import Any

from fake_stripe.objects import account_requirements, accounts, files
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

_RELATIONSHIP = (
    "authorizer", "director", "executive", "legal_guardian", "owner", "percent_ownership", "representative", "title",
)  # fmt: skip
_SHOWN = (
    "email", "first_name", "last_name", "maiden_name", "nationality", "phone", "gender", "political_exposure",
    "first_name_kana", "first_name_kanji", "last_name_kana", "last_name_kanji",
)  # fmt: skip
_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def _country(scope: Scope) -> str:
    return str(accounts.account_of(scope.world, scope.account_id, livemode=scope.livemode)["country"])


def _build(scope: Scope, params: Wire) -> Wire:
    country = _country(scope)
    document: Wire = {"back": None, "details": None, "details_code": None, "front": None}
    person: Wire = {
        "id": scope.new_id("person"),
        "object": "person",
        "account": scope.account_id,
        "additional_tos_acceptances": {"account": {"date": None, "ip": None, "user_agent": None}},
        "address": {**dict.fromkeys(_ADDRESS), "country": country},
        "created": scope.world.clock.now(),
        "dob": {"day": None, "month": None, "year": None},
        "first_name": None,
        "future_requirements": _due([]),
        "id_number_provided": False,
        "last_name": None,
        "metadata": {},
        "relationship": {
            **dict.fromkeys(_RELATIONSHIP, False),
            "percent_ownership": None,
            "title": None,
        },
        "requirements": _due([]),
        "ssn_last_4_provided": False,
        "verification": {
            "additional_document": dict(document),
            "details": None,
            "details_code": None,
            "document": dict(document),
            "status": "unverified",
        },
    }
    _apply(person, params, country)
    return person


def _due(names: list[str]) -> Wire:
    return {
        "alternatives": [],
        "currently_due": list(names),
        "errors": [],
        "eventually_due": list(names),
        "past_due": list(names),
        "pending_verification": [],
    }


def _apply(person: Wire, params: Wire, country: str) -> None:
    for name in _SHOWN:
        if name in params:
            person[name] = params[name] or None
    for name in ("address", "dob", "relationship", "verification"):
        if isinstance(params.get(name), dict):
            person[name] = accounts.merged(person.get(name) or {}, params[name])
    share = person["relationship"].get("percent_ownership")
    if share is not None:
        person["relationship"]["percent_ownership"] = float(share)
    if params.get("id_number") or params.get("id_number_secondary"):
        person["id_number_provided"] = True
    if params.get("ssn_last_4") or len(str(params.get("id_number") or "")) == 9:
        person["ssn_last_4_provided"] = True
    if person["ssn_last_4_provided"] or person["id_number_provided"]:
        person["verification"]["status"] = "verified"
    if "metadata" in params:
        person["metadata"] = merged_metadata(person["metadata"], params["metadata"])
    person["requirements"] = _due(account_requirements.of_person(person, country))


def set_individual(scope: Scope, account: Wire, given: Any) -> None:
    """Makes or changes the account's `individual` from that parameter; `scope` is the account's own."""
    if not isinstance(given, dict):
        return
    home = scope.world.platform_scope(scope.livemode)
    kept = account.get("individual")
    if kept is None:
        person = scope.insert(_build(scope, given))
        scope.update(person, relationship={**person["relationship"], "representative": True})
    else:
        person = scope.require("person", kept["id"])
        _change(scope, person, given)
    home.update(account, individual=dict(person))


def _change(scope: Scope, person: Wire, params: Wire) -> Wire:
    changed = dict(person)
    _apply(changed, params, _country(scope))
    return scope.update(person, **{name: value for name, value in changed.items() if value != person.get(name)})


@operation("POST", "/v1/accounts/{account}/people")
@operation("POST", "/v1/accounts/{account}/persons")
def create(call: Call) -> Wire:
    """A new person of the account; emits person.created on it."""
    scope = _own(call)
    files.refuse_unknown(scope, call.params)
    person = scope.insert(_build(scope, call.params))
    scope.emit("person.created", person)
    _refresh(scope)
    return person


@operation("GET", "/v1/accounts/{account}/people")
@operation("GET", "/v1/accounts/{account}/persons")
def list_all(call: Call) -> Wire:
    """The persons of an account; `relationship[owner]=true` and the like narrow the list."""
    wanted = call.params.get("relationship") or {}
    found = (
        person
        for person in _own(call).list("person")
        if all(person["relationship"].get(name) == value for name, value in wanted.items())
    )
    return paginate(call, found, f"/v1/accounts/{call.path['account']}/persons")


@operation("GET", "/v1/accounts/{account}/people/{person}")
@operation("GET", "/v1/accounts/{account}/persons/{person}")
def retrieve(call: Call) -> Wire:
    """One person."""
    return _own(call).require("person", call.path["person"], param="person", in_path=True)


@operation("POST", "/v1/accounts/{account}/people/{person}")
@operation("POST", "/v1/accounts/{account}/persons/{person}")
def update(call: Call) -> Wire:
    """Changes a person; emits person.updated on the account."""
    scope = _own(call)
    person = scope.require("person", call.path["person"], param="person", in_path=True)
    files.refuse_unknown(scope, call.params)
    previous = _change(scope, person, call.params)
    if previous:
        scope.emit("person.updated", person, previous)
        _refresh(scope)
    return person


@operation("DELETE", "/v1/accounts/{account}/people/{person}")
@operation("DELETE", "/v1/accounts/{account}/persons/{person}")
def delete(call: Call) -> Wire:
    """Removes a person; emits person.deleted on the account."""
    scope = _own(call)
    person = scope.require("person", call.path["person"], param="person", in_path=True)
    scope.emit("person.deleted", person)
    left = scope.delete(person)
    _refresh(scope)
    return left


def _refresh(scope: Scope) -> None:
    """A person more or less changes what is asked of the account."""
    account = accounts.account_of(scope.world, scope.account_id, livemode=scope.livemode)
    accounts.refresh(scope.world.platform_scope(scope.livemode), account)


def _own(call: Call) -> Scope:
    return call.world.scope(call.path["account"], livemode=call.livemode)
