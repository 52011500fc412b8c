"""Sources (deprecated): created from a token or as a bank-side flow, and the clone of a platform's card Source.

(docs.stripe.com/sources/connect.) Only card Sources can be cloned: other types are tied to the platform.
"""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects import customer_sources, tokens
from fake_stripe.objects.card_details import (
    Entered,
    entered_by,
    fingerprint,
    legacy_card,
)
from fake_stripe.objects.metadata import address, merged_metadata, unset_to_none
from fake_stripe.objects.registry import Call, operation
from fake_stripe.openapi.catalog import catalog
from fake_stripe.openapi.refusals import not_one_of
from fake_stripe.scope import Scope, Wire, plain_clone

REUSE = (
    "The reusable source you provided is consumed because it was previously charged without being attached to a"
    " customer or was detached from a customer. To charge a reusable source multiple time you must attach it to a"
    " customer first."
)
_CONNECT_ONLY = (
    "You can only share a source with an OAuth access token or the Stripe-Account header of a connected account."
)
_REDIRECTED = frozenset(
    {"alipay", "bancontact", "eps", "giropay", "ideal", "klarna", "p24", "sofort", "three_d_secure"}
)
_RECEIVED = frozenset({"ach_credit_transfer", "multibanco"})
_CARD_MEMBERS = (
    "address_line1_check",
    "address_zip_check",
    "brand",
    "country",
    "cvc_check",
    "dynamic_last4",
    "exp_month",
    "exp_year",
    "fingerprint",
    "funding",
    "last4",
    "name",
    "tokenization_method",
)


@operation("POST", "/v1/sources")
def create(call: Call) -> Wire:
    """A new Source of `type`, or on a connected account the clone of the platform's `original_source`."""
    scope, params = call.scope, call.params
    if params.get("customer") or params.get("original_source"):
        return _clone(call)
    type_ = params.get("type")
    if not type_:
        raise invalid("Missing required param: type.", code="parameter_missing", param="type")
    if type_ == "card":
        return _card(scope, params)
    known = catalog()
    types = known.facts(known.object_shape("source")["p"]["type"])["e"]
    if type_ not in types:
        raise not_one_of("type", types)
    return _announced(scope, _keep(scope, params, type_, {**(params.get(type_) or {})}, None))


def _announced(scope: Scope, source: Wire) -> Wire:
    if source["status"] == "chargeable":
        scope.emit("source.chargeable", source)
    return source


def _card(scope: Scope, params: Wire) -> Wire:
    token, given = params.get("token"), params.get("card")
    if token:
        shown, entered = tokens.redeem_card(scope, str(token), param="token")
    elif isinstance(given, dict) and given:
        entered = entered_by(scope, given)
        shown = legacy_card(scope, entered, given)
    else:
        raise invalid("Missing required param: token.", code="parameter_missing", param="token")
    return _announced(scope, _keep(scope, params, "card", _card_block(shown, entered), entered.instrument()))


def _card_block(shown: Wire, entered: Entered) -> Wire:
    block = {name: shown.get(name) for name in _CARD_MEMBERS}
    supported = cards.outcome(entered.card.behaviour).authentication != "never"
    return block | {"three_d_secure": "required" if supported else "optional"}


def _flow(params: Wire, type_: str) -> str:
    asked = params.get("flow")
    if asked:
        return str(asked)
    return "redirect" if type_ in _REDIRECTED else "receiver" if type_ in _RECEIVED else "none"


def _keep(scope: Scope, params: Wire, type_: str, block: Wire, instrument: Wire | None) -> Wire:
    flow = _flow(params, type_)
    id_ = scope.new_id("src")
    made: Wire = {
        "id": id_,
        "object": "source",
        "allow_redisplay": "unspecified",
        "amount": params.get("amount"),
        "client_secret": f"src_client_secret_{scope.world.ids.text(24)}",
        "created": scope.world.now,
        "currency": params.get("currency"),
        "flow": flow,
        "livemode": scope.livemode,
        "metadata": merged_metadata(None, params.get("metadata")),
        "owner": _owner(None, params.get("owner")),
        "statement_descriptor": params.get("statement_descriptor") or None,
        "status": "chargeable" if flow == "none" else "pending",
        "type": type_,
        "usage": params.get("usage") or ("reusable" if type_ in ("card", "sepa_debit", "ach_debit") else "single_use"),
        type_: block,
    }
    if flow == "redirect":
        returned = (params.get("redirect") or {}).get("return_url")
        url = f"https://hooks.stripe.com/redirect/authenticate/{id_}?client_secret={made['client_secret']}"
        made["redirect"] = {"failure_reason": None, "return_url": returned, "status": "pending", "url": url}
    if flow == "receiver":
        made["receiver"] = {
            "address": f"121042882-38381234567890123{id_[-4:]}",
            "amount_charged": 0,
            "amount_received": 0,
            "amount_returned": 0,
            "refund_attributes_method": "email",
            "refund_attributes_status": "missing",
        }
    source = scope.insert(made)
    if instrument is not None:
        scope.hidden(id_)["instrument"] = instrument
    return source


def _owner(kept: Wire | None, given: Any) -> Wire:
    owner: Wire = {
        "address": None,
        "email": None,
        "name": None,
        "phone": None,
        "verified_address": None,
        "verified_email": None,
        "verified_name": None,
        "verified_phone": None,
    }
    owner |= kept or {}
    for name, value in (given or {}).items():
        owner[name] = address(value) if name == "address" else unset_to_none(value)
    return owner


@operation("GET", "/v1/sources/{source}")
def retrieve(call: Call) -> Wire:
    """One Source; with a publishable key its `client_secret` must be given and right."""
    found = call.scope.require("source", call.path["source"], param="source", in_path=True)
    secret = call.params.get("client_secret")
    if secret is not None and secret != found["client_secret"]:
        raise invalid(
            "The client secret provided does not match the client secret of the source.", param="client_secret"
        )
    return found


@operation("POST", "/v1/sources/{source}")
def update(call: Call) -> Wire:
    """Changes metadata and owner of a Source."""
    scope, params = call.scope, call.params
    found = scope.require("source", call.path["source"], param="source", in_path=True)
    changes: Wire = {}
    if "metadata" in params:
        changes["metadata"] = merged_metadata(found["metadata"], params["metadata"])
    if params.get("owner"):
        changes["owner"] = _owner(found["owner"], params["owner"])
    if params.get("amount") is not None:
        changes["amount"] = params["amount"]
    scope.update(found, **changes)
    return found


# ---- use


def usable(scope: Scope, source_id: str, *, param: str = "source") -> Wire:
    """The Source that a charge may use.

    Raises:
        ApiError: unknown (400), used up, or not chargeable (400 `invalid_source_usage`).
    """
    found = scope.get("source", source_id)
    if found is None:
        raise scope.missing("source", source_id, param=param)
    if found["status"] == "consumed":
        raise consumed(found, param=param)
    if found["status"] != "chargeable":
        text = f"This source is not chargeable: its status is {found['status']}."
        raise state_error(text, code="invalid_source_usage", param=param)
    return found


def consumed(source: Wire, *, param: str = "source") -> ApiError:
    """The 400 of a Source that was used up."""
    if source["usage"] == "reusable":
        return state_error(REUSE, code="invalid_source_usage", param=param)
    text = "This source has already been consumed and cannot be used again."
    return state_error(text, code="invalid_source_usage", param=param)


def consume(scope: Scope, source: Wire, *, by: str) -> None:
    """Uses up a Source that no customer has, by the charge `by`."""
    if not source.get("customer"):
        scope.update(source, status="consumed")
        scope.hidden(source["id"])["consumed"] = by


# ---- the clone


def _clone(call: Call) -> Wire:
    """The clone on the connected account of a card Source (or a card) of the platform."""
    params = call.params
    if not call.connect or call.scope is call.platform:
        raise invalid(_CONNECT_ONLY, param="customer" if params.get("customer") else "original_source")
    customer, named = params.get("customer") or None, params.get("original_source") or None
    owner = call.platform.require("customer", customer, param="customer") if customer else None
    if named is None and owner is not None:
        # Undocumented, yet seen to work: the default source is shared (stripe-go pull request 416).
        named = owner["default_source"]
        if named is None:
            raise state_error("The customer must have an active payment source attached.", code=None)
    original = _original(call.platform, str(named), customer)
    return _make_clone(call, original)


def _original(platform: Scope, named: str, customer: str | None) -> Wire:
    source = platform.get("source", named)
    if source is None:
        card = customer_sources.own(platform, customer, named) if customer else None
        if card is None or card["object"] != "card":
            raise platform.missing("source", named, param="original_source")
        return card
    owner = source.get("customer")
    if owner and owner != customer:
        text = (
            f"The source {named} is attached to a customer: the customer that it is attached to must be provided in"
            " `customer`."
        )
        raise invalid(text, param="customer")
    if customer and not owner:
        raise invalid(f"The source {named} is not attached to the customer {customer}.", param="original_source")
    if source["type"] != "card":
        text = f"Sources of type {source['type']} cannot be shared with connected accounts. Only card sources can be."
        raise invalid(text, param="original_source")
    if source["status"] == "consumed":
        raise consumed(source, param="original_source")
    return source


def _make_clone(call: Call, original: Wire) -> Wire:
    scope, platform = call.scope, call.platform
    kept = dict(platform.hidden(original["id"]).get("instrument") or {})
    if original["object"] == "card":
        block = {name: original.get(name) for name in _CARD_MEMBERS} | {"three_d_secure": "optional"}
        owner: Wire = {}
        usage = "reusable"
    else:
        block, owner, usage = plain_clone(original["card"]), plain_clone(original["owner"]), original["usage"]
    if "number" in kept:
        block["fingerprint"] = fingerprint(scope, kept["number"])
    params = {**call.params, "usage": call.params.get("usage") or usage, "flow": "none"}
    params["owner"] = {name: v for name, v in (owner or {}).items() if v} | (call.params.get("owner") or {})
    made = _keep(scope, params, "card", block, kept)
    scope.hidden(made["id"])["original"] = original["id"]
    if original["object"] == "source" and original["usage"] == "single_use":
        consume(platform, original, by=made["id"])
    return made
