"""POST /v1/payment_methods: from raw details, from a token, and the clone of a platform's PaymentMethod.

The clone is the one v1 call whose ids belong to another account than the one that is acted upon: `customer` and
`payment_method` name the platform's objects, the answer is the connected account's.
(docs.stripe.com/connect/direct-charges-multiple-accounts)
"""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.errors import invalid, state_error
from fake_stripe.objects import legacy_views, other_payment_methods, payment_methods, tokens
from fake_stripe.objects.bank_details import sepa_debit, us_bank_account
from fake_stripe.objects.card_details import Entered, entered_by, fingerprint, payment_method_card
from fake_stripe.objects.metadata import EMPTY_ADDRESS, billing_details
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Scope, Wire, plain_clone

_CUSTOMER_AT_CREATION = (
    "You cannot attach a PaymentMethod to a Customer during PaymentMethod creation. Please instead create the"
    " PaymentMethod and then attach it using the attachment method of the PaymentMethods API."
)
_CUSTOMER_REQUIRED = (
    "The payment method you provided is attached to a customer so for security purposes you must provide the customer"
    " in the request."
)
CLONABLE = ("card", "us_bank_account")


@operation("POST", "/v1/payment_methods")
def create(call: Call) -> Wire:
    """A new PaymentMethod of `type`, or on a connected account the clone of the platform's `payment_method`."""
    params = call.params
    if params.get("payment_method") or params.get("customer"):
        return _clone(call)
    if not params.get("type"):
        raise invalid("Missing required param: type.", code="parameter_missing", param="type")
    return from_data(call.scope, params)


def from_data(scope: Scope, params: Wire) -> Wire:
    """A new PaymentMethod from `type` and that type's details, as `payment_method_data` holds them, too."""
    type_ = params["type"]
    given: Wire = params.get(type_) or {}
    _refuse_missing(type_, given)
    if type_ == "card":
        return _card(scope, given, params)
    if type_ == "us_bank_account":
        block, instrument = us_bank_account(scope, given)
        return payment_methods.keep(scope, type_, block, instrument, params)
    if type_ == "sepa_debit":
        account = cards.sepa_debit("".join(str(given.get("iban", "")).split()).upper())
        block, instrument = sepa_debit(scope, account)
        return payment_methods.keep(scope, type_, block, instrument, params)
    block = other_payment_methods.details(scope, type_, given, params.get("billing_details"))
    return payment_methods.keep(scope, type_, block, None, params)


_NEED_DETAILS = frozenset(
    {
        "acss_debit",
        "au_becs_debit",
        "boleto",
        "card",
        "fpx",
        "nz_bank_account",
        "sepa_debit",
        "sofort",
        "us_bank_account",
    }
)


def _refuse_missing(type_: str, given: Wire) -> None:
    if type_ in _NEED_DETAILS and not given:
        raise invalid(f"Missing required param: {type_}.", code="parameter_missing", param=type_)
    linked = given.get("financial_connections_account")
    if type_ == "us_bank_account" and not given.get("account_number") and not linked:
        name = "us_bank_account[account_number]"
        raise invalid(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _card(scope: Scope, given: Wire, params: Wire) -> Wire:
    token = given.get("token")
    if token:
        return _from_token(scope, str(token), params)
    for name in ("number", "exp_month", "exp_year"):
        if given.get(name) in (None, ""):
            param = f"card[{name}]"
            raise invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)
    return _from_entered(scope, entered_by(scope, given), params, (given.get("networks") or {}).get("preferred"))


def _from_entered(scope: Scope, entered: Entered, params: Wire, preferred: Any = None) -> Wire:
    block = payment_method_card(scope, entered, billing_details(None, params.get("billing_details") or None))
    if preferred:
        block["networks"]["preferred"] = preferred
    return payment_methods.keep(scope, "card", block, entered.instrument(), params)


def _from_token(scope: Scope, token_id: str, params: Wire) -> Wire:
    """A card PaymentMethod from a token; name and address of the token's card become its billing details."""
    card, entered = tokens.redeem_card(scope, token_id, param="card[token]")
    address = legacy_views.address_of(card)
    details: Wire = {"name": card["name"]} | (params.get("billing_details") or {})
    details["address"] = {name: value for name, value in address.items() if value} | (details.get("address") or {})
    return _from_entered(scope, entered, {**params, "billing_details": details})


# ---- cloning


def _clone(call: Call) -> Wire:
    params = call.params
    if not call.connect or call.scope is call.platform:
        raise invalid(_CUSTOMER_AT_CREATION)
    customer, named = params.get("customer") or None, params.get("payment_method") or None
    if named is None:
        raise invalid("Missing required param: payment_method.", code="parameter_missing", param="payment_method")
    if customer is not None:
        call.platform.require("customer", customer, param="customer")
    original = payment_methods.require(call.platform, named)
    refuse_sharing(call.platform, original, customer)
    _refuse_mandate_of_another(call, original)
    made = _make_clone(call.platform, call.scope, original, params)
    if original["customer"] is None:
        call.platform.hidden(original["id"])["consumed"] = made["id"]
    return made


def refuse_sharing(platform: Scope, original: Wire, customer: str | None) -> None:
    """Raises Stripe's refusal of an original that may not be shared with a connected account.

    The words for an original of another customer and for a type that cannot be cloned were never recorded: the first
    are those of the nearest relative in the PaymentIntents API, the second are this double's own.
    """
    owner = original["customer"]
    if owner is not None and customer is None:
        raise state_error(_CUSTOMER_REQUIRED, code=None)
    if owner is None and payment_methods.is_consumed(platform, original):
        raise state_error(payment_methods.CONSUMED, code=None)
    if owner is None and customer is not None:
        text = (
            f"The customer does not have a payment method with the ID {original['id']}. The payment method must be"
            " attached to the customer."
        )
        raise state_error(text, code=None, param="payment_method")
    if owner != customer:
        text = (
            f"The PaymentMethod {original['id']} does not belong to the Customer you supplied {customer}. Please use"
            " this PaymentMethod with the Customer that it belongs to instead."
        )
        raise state_error(text, code=None, param="payment_method")
    if original["type"] not in CLONABLE:
        text = (
            f"PaymentMethods of type {original['type']} cannot be shared with connected accounts. Only the types card"
            " and us_bank_account can be."
        )
        raise invalid(text, param="payment_method")
    if not payment_methods.is_verified(platform, original):
        text = "The bank account cannot be shared with a connected account, because it has not been verified."
        raise state_error(text, code="bank_account_unverified", param="payment_method")


def _refuse_mandate_of_another(call: Call, original: Wire) -> None:
    """A mandate given `on_behalf_of` one account serves no other (documented; the words are this double's own)."""
    mandate = call.platform.get("mandate", call.platform.hidden(original["id"]).get("mandate") or "")
    limited = mandate.get("on_behalf_of") if mandate is not None else None
    if limited and limited != call.scope.account_id:
        text = (
            f"The mandate of the payment method {original['id']} was authorised on behalf of the account {limited} and"
            " cannot be used on another account."
        )
        raise state_error(text, code=None, param="payment_method")


def _make_clone(platform: Scope, scope: Scope, original: Wire, params: Wire) -> Wire:
    """The clone: same details and checks, no customer, no metadata of the original; set-up state is carried."""
    type_ = original["type"]
    kept = dict(platform.hidden(original["id"]))
    instrument = kept.get("instrument")
    block = plain_clone(original[type_])
    if instrument is not None:
        number = instrument["number"]
        routed = f"{block['routing_number']}:{number}" if type_ == "us_bank_account" else number
        block["fingerprint"] = fingerprint(scope, routed)
    given = params.get("billing_details") or None
    details = billing_details(original["billing_details"], given)
    details = details | {"address": dict(details["address"] or EMPTY_ADDRESS)}
    redisplay = original["allow_redisplay"]
    made = payment_methods.insert(scope, type_, block, details, params, allow_redisplay=redisplay)
    hidden = scope.hidden(made["id"])
    hidden |= {name: kept[name] for name in ("instrument", "set_up", "set_up_on_behalf_of") if name in kept}
    hidden["original"] = original["id"]
    if kept.get("mandate"):
        from fake_stripe.objects import mandates  # noqa: PLC0415 - cards, nearly all clones, have none

        mandates.duplicate(platform, kept["mandate"], scope, made)
    return made
