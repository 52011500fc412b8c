"""External accounts: where a connected account is paid out to, a bank account or a debit card.

Both `/v1/accounts/{account}/external_accounts` and the older `/bank_accounts` name them.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fake_stripe.errors import invalid
from fake_stripe.objects import accounts
from fake_stripe.objects.bank_details import TEST_ROUTING, check_numbers
from fake_stripe.objects.metadata import merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.render.lists import paginate
from fake_stripe.scope import Scope, Wire

_LAST_DEFAULT = (
    "You cannot delete the default external account for your default currency. Please make another external account the"
    " default using the `default_for_currency` param, and then delete this one."
)
_BANKS = {"110000000": "STRIPE TEST BANK", "110000": "STRIPE TEST BANK", "000000000": "STRIPE TEST BANK"}


def set_default(scope: Scope, account: Wire, given: Any) -> Wire | None:
    """Adds the external account that POST /v1/accounts was given (token or details) as default of its currency."""
    if not given:
        return None
    return _add(scope, account, given, wish=True, metadata={})


def _add(scope: Scope, account: Wire, given: Any, *, wish: bool, metadata: dict[str, str]) -> Wire:
    external = _card_or_bank(scope, account, given)
    external["metadata"] = metadata
    same = [o for o in _kept(scope) if o["currency"] == external["currency"]]
    external["default_for_currency"] = wish or not same
    if external["default_for_currency"]:
        for other in same:
            scope.update(other, default_for_currency=False)
    scope.insert(external)
    scope.hidden(external["id"])["external"] = True
    show(scope, account)
    return external


def _card_or_bank(scope: Scope, account: Wire, given: Any) -> Wire:
    """Raises ApiError: an unknown or used token, numbers that no US bank account has (400)."""
    if isinstance(given, str):
        return _from_token(scope, account, given)
    if given.get("object") == "card" or given.get("number"):
        return _card(scope, account, given)
    if (given.get("country") or account["country"]) == "US":
        routing, number = given.get("routing_number") or TEST_ROUTING, given.get("account_number", "")
        check_numbers(str(routing), str(number), at="external_account")
    return _bank_account(scope, account, given)


def _from_token(scope: Scope, account: Wire, token_id: str) -> Wire:
    from fake_stripe.objects import tokens  # noqa: PLC0415 - most runs never name a payout destination by token

    token = tokens.redeem(scope.world.platform_scope(scope.livemode), token_id, param="external_account", other=scope)
    details = dict(token.get("bank_account") or token.get("card") or {})
    if details.get("object") == "card":
        currency = details.get("currency") or account["default_currency"]
        return details | {
            "account": account["id"],
            "available_payout_methods": ["standard", "instant"],
            "currency": currency,
        }
    return _bank_account(scope, account, details)


def _card(scope: Scope, account: Wire, given: Wire) -> Wire:
    number = str(given.get("number", ""))
    return {
        "id": scope.new_id("card"),
        "object": "card",
        "account": account["id"],
        "available_payout_methods": ["standard", "instant"],
        "brand": "Visa" if number.startswith("4") else "MasterCard",
        "country": "US",
        "currency": given.get("currency") or account["default_currency"],
        "cvc_check": None,
        "dynamic_last4": None,
        "exp_month": int(given.get("exp_month") or 0),
        "exp_year": int(given.get("exp_year") or 0),
        "fingerprint": _fingerprint(number),
        "funding": "debit",
        "last4": number[-4:],
        "name": given.get("name") or None,
        "tokenization_method": None,
    }


def _bank_account(scope: Scope, account: Wire, given: Wire) -> Wire:
    number = str(given.get("account_number") or given.get("last4") or "")
    country = given.get("country") or account["country"]
    routing = given.get("routing_number") or None
    return {
        "id": scope.new_id("ba"),
        "object": "bank_account",
        "account": account["id"],
        "account_holder_name": given.get("account_holder_name") or None,
        "account_holder_type": given.get("account_holder_type") or None,
        "account_type": given.get("account_type") or None,
        "available_payout_methods": ["standard", "instant"] if country == "US" else ["standard"],
        "bank_name": given.get("bank_name") or _BANKS.get(str(routing), "STRIPE TEST BANK"),
        "country": country,
        "currency": given.get("currency") or account["default_currency"],
        "fingerprint": given.get("fingerprint") or _fingerprint(f"{routing}:{number}"),
        "future_requirements": _nothing_due(),
        "last4": number[-4:],
        "requirements": _nothing_due(),
        "routing_number": routing,
        "status": "new",
    }


def _nothing_due() -> Wire:
    return {"currently_due": [], "errors": [], "past_due": [], "pending_verification": []}


def _fingerprint(number: str) -> str:
    return hashlib.blake2b(number.encode(), digest_size=8).hexdigest()


def _kept(scope: Scope, *types: str) -> list[Wire]:
    found = [o for type_ in types or ("bank_account", "card") for o in scope.list(type_) if "account" in o]
    return sorted(found, key=lambda o: (not o["default_for_currency"],))


def show(scope: Scope, account: Wire) -> None:
    """Puts the external accounts of `scope`, the account's own, into the account object."""
    data = [dict(o) for o in _kept(scope)]
    listed = {**account["external_accounts"], "data": data, "total_count": len(data)}
    scope.world.platform_scope(scope.livemode).update(account, external_accounts=listed)


def _own(call: Call) -> tuple[Scope, Wire]:
    account = accounts.account_of(call.world, call.path["account"], livemode=call.livemode)
    return call.world.scope(account["id"], livemode=call.livemode), account


def require(scope: Scope, id_: str, *, param: str = "id", in_path: bool = True) -> Wire:
    """An external account of `scope`, the account's own; raises `resource_missing`."""
    found = scope.get("card", id_) or scope.get("bank_account", id_)
    if found is None or "account" not in found:
        raise scope.missing("bank_account", id_, param=param, in_path=in_path)
    return found


def default_of(scope: Scope, currency: str) -> Wire | None:
    """Where the account of `scope` is paid out to in a currency."""
    return next((o for o in _kept(scope) if o["currency"] == currency and o["default_for_currency"]), None)


@operation("POST", "/v1/accounts/{account}/bank_accounts")
@operation("POST", "/v1/accounts/{account}/external_accounts")
def create(call: Call) -> Wire:
    """Adds an external account; emits account.external_account.created on the account."""
    scope, account = _own(call)
    params = call.params
    given = params.get("external_account") or params.get("bank_account")
    if not given:
        raise invalid("Missing required param: external_account.", code="parameter_missing", param="external_account")
    wish = bool(params.get("default_for_currency"))
    external = _add(scope, account, given, wish=wish, metadata=merged_metadata({}, params.get("metadata")))
    accounts.refresh(call.world.platform_scope(call.livemode), account)
    scope.emit("account.external_account.created", external)
    return external


@operation("GET", "/v1/accounts/{account}/bank_accounts")
@operation("GET", "/v1/accounts/{account}/external_accounts")
def list_all(call: Call) -> Wire:
    """The external accounts, the default one first; `object=card|bank_account` narrows the list."""
    scope, account = _own(call)
    kind = call.params.get("object")
    found = _kept(scope, kind) if kind else _kept(scope)
    return paginate(call, found, f"/v1/accounts/{account['id']}/external_accounts")


@operation("GET", "/v1/accounts/{account}/bank_accounts/{id}")
@operation("GET", "/v1/accounts/{account}/external_accounts/{id}")
def retrieve(call: Call) -> Wire:
    """One external account."""
    return require(_own(call)[0], call.path["id"])


@operation("POST", "/v1/accounts/{account}/bank_accounts/{id}")
@operation("POST", "/v1/accounts/{account}/external_accounts/{id}")
def update(call: Call) -> Wire:
    """Changes holder, metadata or whether it is the default; emits account.external_account.updated."""
    scope, account = _own(call)
    external = require(scope, call.path["id"])
    holder = ("account_holder_name", "account_holder_type")
    changes: Wire = {name: call.params[name] or None for name in holder if name in call.params}
    changes |= {name: call.params[name] for name in ("exp_month", "exp_year", "name") if name in call.params}
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(external["metadata"], call.params["metadata"])
    if call.params.get("default_for_currency"):
        for other in _kept(scope):
            if other["currency"] == external["currency"]:
                scope.update(other, default_for_currency=False)
        changes["default_for_currency"] = True
    previous = scope.update(external, **changes)
    show(scope, account)
    scope.emit("account.external_account.updated", external, previous)
    return external


@operation("DELETE", "/v1/accounts/{account}/bank_accounts/{id}")
@operation("DELETE", "/v1/accounts/{account}/external_accounts/{id}")
def delete(call: Call) -> Wire:
    """Removes an external account; the default of a currency stays as long as it is the account's only one there.

    Raises:
        ApiError: it is the default of its currency and others would be left without one (400).
    """
    scope, account = _own(call)
    external = require(scope, call.path["id"])
    if external["default_for_currency"] and external["currency"] == account["default_currency"]:
        raise invalid(_LAST_DEFAULT)
    gone = {"id": external["id"], "object": external["object"], "deleted": True}
    scope.emit("account.external_account.deleted", external)
    scope.delete(external, gone)
    show(scope, account)
    return gone
