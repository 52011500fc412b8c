"""A customer's legacy payment details: cards, bank accounts and Sources under /v1/customers/{customer}/sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects import payment_methods, tokens
from fake_stripe.objects.bank_details import MAX_ATTEMPTS, bank_account_object, deposit_result
from fake_stripe.objects.card_details import (
    Entered,
    checked_expiry,
    entered_by,
    legacy_card,
    refuse_verification,
    verified_legacy,
)
from fake_stripe.objects.metadata import merged_metadata, unset_to_none
from fake_stripe.objects.registry import Call, Handler, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

TYPES = ("card", "bank_account", "source")
_PAYMENT_METHOD_AS_SOURCE = (
    "You cannot use a PaymentMethod as a source for Customers. Instead, use the PaymentMethods API to Attach a Customer"
    " to a PaymentMethod. See https://stripe.com/docs/api/payment_methods/attach"
)


@dataclass(frozen=True, slots=True)
class Offered:
    """Payment details that were checked and can be saved: a token, a Source of this account, or raw details."""

    token: Wire | None = None
    source: Wire | None = None
    card: Wire | None = None
    bank_account: Wire | None = None
    instrument: Wire | None = None


# ---- saving


def check(scope: Scope, given: Any, *, param: str, customer: str | None = None) -> Offered:
    """Checks what `source` (or `card`, `bank_account`) holds; nothing is written.

    Raises:
        ApiError: unknown or used token, a Source that is attached or used up, a pm_ id, raw details that cannot be, 402
            for a declining card.
    """
    if isinstance(given, dict):
        return _check_details(scope, given)
    if str(given).startswith("pm_"):
        raise invalid(_PAYMENT_METHOD_AS_SOURCE, param=param)
    if str(given).startswith("src_"):
        return _check_source(scope, str(given), param, customer)
    token = tokens.peek(scope, str(given), param=param)
    if token["type"] == "card":
        refuse_verification(_outcome(scope, tokens.entered_in(scope, token)))
    elif token["type"] != "bank_account":
        raise invalid(f"The token {token['id']} cannot be used as a source.", param=param)
    return Offered(token=token)


def _outcome(scope: Scope, entered: Entered) -> cards.Outcome:
    return payment_methods.card_outcome(scope, entered.card.behaviour)


def _check_details(scope: Scope, given: Wire) -> Offered:
    if given.get("object") == "bank_account" or "account_number" in given:
        account = cards.bank_account(str(given.get("account_number") or ""))
        kept = {"type": "us_bank_account", "number": account.number, "behaviour": account.behaviour, "verified": False}
        return Offered(bank_account=bank_account_object(scope, given), instrument=kept)
    entered = entered_by(scope, given)
    refuse_verification(_outcome(scope, entered))
    card = legacy_card(scope, entered, given)
    card["metadata"] = merged_metadata(None, given.get("metadata"))
    return Offered(card=card, instrument=entered.instrument())


def _check_source(scope: Scope, source_id: str, param: str, customer: str | None) -> Offered:
    source = scope.get("source", source_id)
    if source is None:
        raise scope.missing("source", source_id, param=param)
    owner = source.get("customer")
    if owner and owner != customer:
        text = "This source is already attached to a customer."
        raise state_error(text, code="invalid_source_usage", param=param)
    if source["status"] == "consumed":
        from fake_stripe.objects import sources  # noqa: PLC0415 - Sources are deprecated: few calls name one

        raise sources.consumed(source, param=param)
    if source["usage"] == "single_use":
        text = "The source you provided cannot be attached to the customer: it must be reusable."
        raise state_error(text, code="invalid_source_usage", param=param)
    kept = scope.hidden(source_id).get("instrument") or {}
    refuse_verification(cards.outcome(kept.get("behaviour", "success")))
    return Offered(source=source)


def save(scope: Scope, offered: Offered, customer: str, *, default: bool = False) -> Wire:
    """Saves checked payment details to a customer; they become the default if asked for, or if there is none."""
    saved = _saved(scope, offered, customer)
    owner = scope.require("customer", customer)
    if default or owner["default_source"] is None:
        scope.update(owner, default_source=saved["id"])
    return saved


def _saved(scope: Scope, offered: Offered, customer: str) -> Wire:
    if offered.source is not None:
        scope.update(offered.source, customer=customer)
        return offered.source
    details, kept = offered.card or offered.bank_account, offered.instrument
    if offered.token is not None:
        token = tokens.redeem(scope, offered.token["id"], param="source")
        details = token.get("card") or token["bank_account"]
        kept = scope.hidden(token["id"])["instrument"]
    assert details is not None
    return _insert(scope, details, dict(kept or {}), customer)


def _insert(scope: Scope, details: Wire, kept: Wire, customer: str) -> Wire:
    made = {**details, "customer": customer, "metadata": details.get("metadata") or {}}
    if made["object"] == "card":
        made.pop("networks", None)
        made["allow_redisplay"] = "unspecified"
        made |= verified_legacy(cards.outcome(kept.get("behaviour", "success")), made)
    saved = scope.insert(made)
    hidden = scope.hidden(saved["id"])
    hidden["instrument"] = kept
    hidden["created"] = scope.world.now
    return saved


# ---- finding


def all_of(scope: Scope, customer: str, type_: str | None = None) -> list[Wire]:
    """A customer's sources, the default first, then newest first."""
    wanted = (type_,) if type_ else TYPES
    found = [o for name in wanted for o in scope.list(name, customer=customer)]
    owner = scope.get("customer", customer)
    default = owner["default_source"] if owner else None
    return sorted(found, key=lambda o: (o["id"] != default,))


def own(scope: Scope, customer: str, source: str) -> Wire | None:
    """One of a customer's sources, None when it has none such."""
    for type_ in TYPES:
        found = scope.get(type_, source)
        if found is not None and found.get("customer") == customer:
            return found
    return None


def require_own(scope: Scope, customer: str, source: str, *, param: str = "id", in_path: bool = False) -> Wire:
    """`own`, or Stripe's `resource_missing`."""
    found = own(scope, customer, source)
    if found is None:
        if not in_path:
            text = f"No such source: '{source}'"
            raise invalid(text, code="resource_missing", param=param)
        raise ApiError(
            404, "invalid_request_error", f"No such source: '{source}'", code="resource_missing", param=param
        )
    return found


# ---- removing


def remove(scope: Scope, customer: str, source: str) -> Wire:
    """Takes a source from its customer; another one becomes the default. Returns what a DELETE answers."""
    found = require_own(scope, customer, source, in_path=True)
    if found["object"] == "source":
        scope.update(found, customer=None, status="consumed")
        scope.hidden(found["id"])["consumed"] = "detached"
        left = found
    else:
        left = scope.delete(found)
    owner = scope.get("customer", customer)
    if owner is not None and owner["default_source"] == source:
        rest = [o for o in all_of(scope, customer) if o["id"] != source]
        previous = scope.update(owner, default_source=rest[0]["id"] if rest else None)
        scope.emit("customer.source.deleted", found)
        scope.emit("customer.updated", owner, previous)
    else:
        scope.emit("customer.source.deleted", found)
    return left


def remove_all(scope: Scope, customer: str) -> None:
    """Takes every source from a customer that is about to be deleted."""
    for found in all_of(scope, customer):
        if found["object"] == "source":
            scope.update(found, customer=None, status="consumed")
            scope.hidden(found["id"])["consumed"] = "detached"
        else:
            scope.delete(found)


# ---- operations


def _customer(call: Call) -> str:
    found = call.scope.require("customer", call.path["customer"], param="customer", in_path=True)
    return str(found["id"])


@operation("GET", "/v1/customers/{customer}/sources")
def list_all(call: Call) -> Wire:
    """A customer's sources; `object` narrows the list to cards or bank accounts."""
    customer = _customer(call)
    items = all_of(call.scope, customer, call.params.get("object"))
    return paginate(call, items, f"/v1/customers/{customer}/sources")


@operation("POST", "/v1/customers/{customer}/sources")
def create(call: Call) -> Wire:
    """Saves a token, a Source or raw details to a customer."""
    scope, params, customer = call.scope, call.params, _customer(call)
    given = params.get("source") or params.get("card") or params.get("bank_account")
    if not given:
        raise invalid("Missing required param: source.", code="parameter_missing", param="source")
    offered = check(scope, given, param="source", customer=customer)
    saved = save(scope, offered, customer)
    if params.get("metadata"):
        scope.update(saved, metadata=merged_metadata(saved["metadata"], params["metadata"]))
    scope.emit("customer.source.created", saved)
    return saved


@operation("GET", "/v1/customers/{customer}/sources/{id}")
def retrieve(call: Call) -> Wire:
    """One of a customer's sources."""
    return require_own(call.scope, _customer(call), call.path["id"], in_path=True)


@operation("POST", "/v1/customers/{customer}/sources/{id}")
def update(call: Call) -> Wire:
    """Changes name, address, expiry or metadata of a source."""
    scope, params = call.scope, call.params
    found = require_own(scope, _customer(call), call.path["id"], in_path=True)
    changes = {
        name: unset_to_none(params[name])
        for name in params
        if name in found and name not in ("metadata", "exp_month", "exp_year", "owner", "expand")
    }
    if found["object"] == "card" and ("exp_month" in params or "exp_year" in params):
        month, year = params.get("exp_month", found["exp_month"]), params.get("exp_year", found["exp_year"])
        changes["exp_month"], changes["exp_year"] = checked_expiry(scope, _int(month), _int(year))
    if "metadata" in params:
        changes["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    if isinstance(params.get("owner"), dict) and "owner" in found:
        changes["owner"] = {**found["owner"], **params["owner"]}
    previous = scope.update(found, **changes)
    if previous:
        scope.emit("customer.source.updated", found, previous)
    return found


def _int(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isdigit() else None


@operation("DELETE", "/v1/customers/{customer}/sources/{id}")
def delete(call: Call) -> Wire:
    """Removes a source; a Source object is only detached, and used up."""
    return remove(call.scope, _customer(call), call.path["id"])


@operation("POST", "/v1/customers/{customer}/sources/{id}/verify")
def verify(call: Call) -> Wire:
    """Verifies a bank account by the two micro-deposits that it got.

    Raises:
        ApiError: 400 for one that is verified or has failed, for wrong amounts and for too many tries.
    """
    scope = call.scope
    found = require_own(scope, _customer(call), call.path["id"], in_path=True)
    if found["object"] != "bank_account":
        raise invalid("Only bank accounts can be verified.", param="id")
    if found["status"] == "verified":
        raise state_error("This bank account has already been verified.", code=None)
    if found["status"] == "verification_failed":
        text = "You have exceeded the number of allowed verification attempts."
        raise state_error(text, code="bank_account_verification_failed")
    kept = scope.hidden(found["id"])["instrument"]
    amounts = call.params.get("amounts")
    if not amounts or len(amounts) != 2:
        raise invalid("Missing required param: amounts.", code="parameter_missing", param="amounts")
    result = deposit_result(amounts, None, fails=cards.bank_outcome(kept["behaviour"]).microdeposits_fail)
    if result != "verified":
        raise _not_verified(scope, found, result)
    kept["verified"] = True
    scope.update(found, status="verified")
    return found


def _not_verified(scope: Scope, bank: Wire, result: str) -> ApiError:
    hidden = scope.hidden(bank["id"])
    hidden["attempts"] = hidden.get("attempts", 0) + 1
    if result != "mismatch" or hidden["attempts"] >= MAX_ATTEMPTS:
        scope.update(bank, status="verification_failed")
        text = "You have exceeded the number of allowed verification attempts."
        return state_error(text, code="bank_account_verification_failed")
    text = "The amounts provided do not match the amounts that were sent to the bank account."
    return state_error(text, code=None)


# ---- the older names of the same things, of before 2015; the document still lists them


def _list_of(type_: str, name: str) -> Handler:
    def listed(call: Call) -> Wire:
        customer = _customer(call)
        items = all_of(call.scope, customer, type_)
        return paginate(call, items, f"/v1/customers/{customer}/{name}", type=type_)

    return listed


for _name, _type in (("cards", "card"), ("bank_accounts", "bank_account")):
    _base = f"/v1/customers/{{customer}}/{_name}"
    operation("GET", _base)(_list_of(_type, _name))
    operation("POST", _base)(create)
    operation("GET", _base + "/{id}")(retrieve)
    operation("POST", _base + "/{id}")(update)
    operation("DELETE", _base + "/{id}")(delete)
operation("POST", "/v1/customers/{customer}/bank_accounts/{id}/verify")(verify)
