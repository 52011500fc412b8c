"""Capabilities of connected accounts: what an account may do once its requirements are met.

Test mode turns a requested capability active as soon as nothing is due (docs.stripe.com/connect/account-capabilities).
"""

from __future__ import annotations

from typing import Any

from fake_stripe.objects.registry import Call, operation
from fake_stripe.openapi.catalog import catalog
from fake_stripe.render.lists import list_object
from fake_stripe.scope import Scope, Wire


def request(scope: Scope, account: Wire, params: Wire) -> None:
    """Notes the capabilities that the parameters of an account request or give back; `scope` is the account's own.

    Reads `capabilities[x][requested]` and the older list `requested_capabilities`.
    """
    listed = params.get("requested_capabilities") or ()
    asked: dict[str, bool] = dict.fromkeys(listed.values() if isinstance(listed, dict) else listed, True)
    given = params.get("capabilities")
    if isinstance(given, dict):
        asked |= {name: bool(wish.get("requested")) for name, wish in given.items() if isinstance(wish, dict)}
    for name, wish in asked.items():
        _put(scope, account["id"], name, requested=wish)


def _put(scope: Scope, account_id: str, name: str, *, requested: bool) -> Wire:
    now = scope.world.clock.now()
    kept = scope.get("capability", name)
    if kept is None:
        empty: Wire = {
            "alternatives": [],
            "current_deadline": None,
            "currently_due": [],
            "disabled_reason": None,
            "errors": [],
            "eventually_due": [],
            "past_due": [],
            "pending_verification": [],
        }
        return scope.insert(
            {
                "id": name,
                "object": "capability",
                "account": account_id,
                "future_requirements": dict(empty),
                "requested": requested,
                "requested_at": now if requested else None,
                "requirements": dict(empty),
                "status": "inactive" if requested else "unrequested",
            }
        )
    if kept["requested"] != requested:
        scope.update(kept, requested=requested, requested_at=now if requested else None)
    return kept


def requested(scope: Scope) -> list[str]:
    """The names of the capabilities that the account of `scope` wants."""
    return [str(capability["id"]) for capability in scope.list("capability") if capability["requested"]]


def settle(scope: Scope, account: Wire, *, due: list[str], rejected: bool) -> dict[str, str]:
    """The account's `capabilities` hash after its requirements were looked at; emits capability.updated for changes."""
    for capability in list(scope.list("capability")):
        wanted = due if capability["requested"] else []
        inactive = bool(wanted) or rejected
        reason = "rejected" if rejected else "requirements.fields_needed" if wanted else None
        requirements = {**capability["requirements"], "disabled_reason": reason}
        requirements |= {name: list(wanted) for name in ("currently_due", "eventually_due", "past_due")}
        status = "unrequested" if not capability["requested"] else "inactive" if inactive else "active"
        previous = scope.update(capability, status=status, requirements=requirements)
        if "status" in previous:
            scope.emit("capability.updated", capability, {"status": previous["status"]})
    kept = {capability["id"]: capability for capability in scope.list("capability")}
    shown: dict[str, str] = {name: status for name, status in account["capabilities"].items() if name not in kept}
    shown |= {name: c["status"] for name, c in kept.items() if c["status"] != "unrequested"}
    return dict(sorted(shown.items()))


@operation("GET", "/v1/accounts/{account}/capabilities")
def list_all(call: Call) -> Wire:
    """Every capability that was ever requested for the account, in one page."""
    found = sorted(_own(call).list("capability"), key=lambda capability: str(capability["id"]))
    return list_object(found, f"/v1/accounts/{call.path['account']}/capabilities")


@operation("GET", "/v1/accounts/{account}/capabilities/{capability}")
def retrieve(call: Call) -> Wire:
    """One capability by its name."""
    return _own(call).require("capability", call.path["capability"], param="capability", in_path=True)


@operation("POST", "/v1/accounts/{account}/capabilities/{capability}")
def update(call: Call) -> Wire:
    """Requests a capability (`requested=true`) or gives it back; raises `resource_missing` for an unknown one."""
    from fake_stripe.objects import accounts  # noqa: PLC0415 - accounts builds on this module

    scope = _own(call)
    name = call.path["capability"]
    if scope.get("capability", name) is None and name not in catalog().object_shape("account_capabilities")["p"]:
        raise scope.missing("capability", name, param="capability", in_path=True)
    account = accounts.account_of(call.world, call.path["account"], livemode=call.livemode)
    wish: Any = call.params.get("requested")
    capability = _put(scope, account["id"], name, requested=bool(wish))
    accounts.refresh(call.world.platform_scope(call.livemode), account)
    return capability


def _own(call: Call) -> Scope:
    return call.world.scope(call.path["account"], livemode=call.livemode)
