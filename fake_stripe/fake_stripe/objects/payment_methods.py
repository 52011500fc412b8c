"""PaymentMethods: get, list, update, attach, detach, and what the payment side may ask of one.

The life of an unattached PaymentMethod is one attempt; an attached one lives until it is detached. Both are kept as
hidden state: `consumed` (by whom), `set_up`, and the `instrument` (which test card or bank account it stands for).
"""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.errors import ApiError, invalid, state_error
from fake_stripe.objects import legacy_views
from fake_stripe.objects.bank_details import magic_us_bank_account, sepa_debit
from fake_stripe.objects.card_details import (
    magic,
    payment_method_card,
    refuse_verification,
    verified_checks,
)
from fake_stripe.objects.metadata import billing_details, merged_metadata
from fake_stripe.objects.registry import Call, operation
from fake_stripe.scope import Scope, Wire, plain_clone

CONSUMED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a"
    " connected account without Customer attachment, or was detached from a Customer. It may not be used again. To use"
    " a PaymentMethod multiple times, you must attach it to a Customer first."
)
_SET_UP_WITHOUT_CUSTOMER = (
    "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, you must attach it to a Customer first."
)
_CONSUMED_AT_ATTACH = (
    "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and"
    " may not be used again."
)


# ---- what the payment side may ask


def resolve_for_payment(
    call: Call,
    payment_method: str,
    *,
    customer: str | None,
    intent: Wire | None = None,
    kind: str = "payment_intent",
    param: str = "payment_method",
) -> Wire:
    """The PaymentMethod that an intent on `call.scope` may use, as a stored object (magic ids materialise here).

    Accepts pm_ ids, magic pm_card_*/pm_usBankAccount_* ids, and card_/src_/ba_ ids of legacy sources (answered as a
    PaymentMethod-shaped view with that id). `intent` is put into those errors that carry it (confirm, update).
    `kind` is `payment_intent` or `setup_intent`, and words the refusals.

    Raises:
        ApiError: unknown (with Stripe's hints), platform-owned, consumed, attached elsewhere, or attached while
            `customer` is missing.
    """
    found = require(call.scope, payment_method, param=param)
    owner = found["customer"]
    carried: dict[str, Any] = {kind: intent} if intent is not None else {}
    if owner is None:
        if is_consumed(call.scope, found) and not _in_use_by(call.scope, found, intent):
            raise _used_up(call.scope, found)
        return found
    if customer is None:
        raise _customer_left_out(found["id"], owner, kind, carried)
    if owner != customer:
        text = (
            f"The PaymentMethod {found['id']} does not belong to the Customer you supplied {customer}. Please use this"
            " PaymentMethod with the Customer that it belongs to instead."
        )
        raise state_error(text, code=None, param="payment_method", **carried)
    return found


def _in_use_by(scope: Scope, found: Wire, intent: Wire | None) -> bool:
    """The one attempt of this PaymentMethod is that of `intent`, and is not over: it waits for authentication, say."""
    if intent is None or intent["payment_method"] != found["id"]:
        return False
    return bool(scope.hidden(found["id"])["consumed"] == intent["id"])


def _used_up(scope: Scope, found: Wire) -> ApiError:
    source = scope.get("source", found["id"])
    if source is None:
        return state_error(_SET_UP_WITHOUT_CUSTOMER if _only_set_up(scope, found) else CONSUMED, code=None)
    from fake_stripe.objects import sources  # noqa: PLC0415 - Sources are deprecated: few calls name one

    return sources.consumed(source)


def _customer_left_out(payment_method: str, owner: str, kind: str, carried: dict[str, Any]) -> ApiError:
    if kind == "setup_intent":
        text = (
            f"The payment method supplied ({payment_method}) belongs to the Customer {owner}. Please include the"
            " Customer in the `customer` parameter on the SetupIntent."
        )
        return state_error(text, code=None, param="payment_method", **carried)
    text = (
        f"The `payment_method` parameter supplied {payment_method} belongs to the Customer {owner}. Please include the"
        " Customer in the `customer` parameter on the PaymentIntent."
    )
    return invalid(text, code="parameter_missing", param="source", **carried)


def is_consumed(scope: Scope, payment_method: Wire) -> bool:
    """Whether an unattached PaymentMethod has been used up, or was detached."""
    return payment_method["customer"] is None and bool(scope.hidden(payment_method["id"]).get("consumed"))


def consume(scope: Scope, payment_method: Wire, *, by: str) -> None:
    """Uses up an unattached PaymentMethod by one attempt of intent `by`; nothing happens to an attached one.

    Call it at each confirm, whatever its outcome.
    """
    if payment_method["customer"] is None:
        scope.hidden(payment_method["id"])["consumed"] = by
        source = scope.get("source", payment_method["id"])
        if source is not None:
            scope.update(source, status="consumed")


def outcome_of(scope: Scope, payment_method: Wire) -> cards.Outcome:
    """What charging this PaymentMethod does."""
    kept = scope.hidden(payment_method["id"]).get("instrument")
    if kept is None:
        return cards.CARD_OUTCOMES["success"]
    if kept["type"] != "card":
        return cards.bank_outcome(kept["behaviour"])
    return card_outcome(scope, kept["behaviour"])


def card_outcome(scope: Scope, behaviour: str) -> cards.Outcome:
    """What charging a test card does; in live mode it is declined where the policy says so."""
    if scope.livemode and scope.world.policy(scope.account_id).test_cards == "declined":
        return cards.LIVE_MODE
    return cards.outcome(behaviour)


def is_set_up(scope: Scope, payment_method: Wire) -> bool:
    """Whether an earlier SetupIntent or saved payment (here, or on the original of a clone) set it up off-session."""
    return bool(scope.hidden(payment_method["id"]).get("set_up"))


def mark_set_up(scope: Scope, payment_method: Wire, *, on_behalf_of: str | None = None) -> None:
    """Records a successful set-up for off-session use (SetupIntent, or a payment with setup_future_usage)."""
    hidden = scope.hidden(payment_method["id"])
    hidden["set_up"] = True
    if on_behalf_of:
        hidden["set_up_on_behalf_of"] = on_behalf_of


def is_verified(scope: Scope, payment_method: Wire) -> bool:
    """Whether it may be debited and shared: bank accounts need their owner's proof, cards nothing."""
    kept = scope.hidden(payment_method["id"]).get("instrument") or {}
    return bool(kept.get("verified", True))


def mark_verified(scope: Scope, payment_method: Wire) -> None:
    """Records that a bank account's owner has proved it (micro-deposits or instant verification)."""
    hidden = scope.hidden(payment_method["id"])
    hidden["instrument"] = {**hidden.get("instrument", {}), "verified": True}


def attach(scope: Scope, payment_method: Wire, customer: str) -> Wire:
    """Saves the PaymentMethod to a customer of `scope`, emits payment_method.attached; no verification is run."""
    if payment_method["customer"] == customer or scope.get("payment_method", payment_method["id"]) is None:
        return payment_method
    scope.update(payment_method, customer=customer)
    scope.emit("payment_method.attached", payment_method)
    return payment_method


def verify(scope: Scope, payment_method: Wire) -> None:
    """Records what the card verification of a charge, a set-up or an attachment says about the given checks."""
    card = payment_method.get("card")
    if card is None or scope.get("payment_method", payment_method["id"]) is None:
        return
    checks = verified_checks(outcome_of(scope, payment_method), card["checks"])
    if checks != card["checks"]:
        scope.update(payment_method, card={**card, "checks": checks})


def payment_method_details(scope: Scope, payment_method: Wire) -> Wire:
    """The part of a charge's `payment_method_details` that describes the instrument: `{"type": t, t: {...}}`.

    Card: brand, checks, country, exp_month, exp_year, fingerprint, funding, installments, last4, mandate, network,
    three_d_secure, wallet... The caller adds what belongs to the charge (amount_authorized, authorization code...).
    """
    type_ = payment_method["type"]
    details = dict(payment_method.get(type_) or {})
    if type_ == "card":
        checks = verified_checks(outcome_of(scope, payment_method), details["checks"])
        chosen = details["networks"]["preferred"]
        details = {
            "brand": details["brand"],
            "checks": checks,
            "country": details["country"],
            "exp_month": details["exp_month"],
            "exp_year": details["exp_year"],
            "fingerprint": details["fingerprint"],
            "funding": details["funding"],
            "installments": None,
            "last4": details["last4"],
            "mandate": None,
            "network": chosen or details["brand"],
            "regulated_status": details["regulated_status"],
            "three_d_secure": None,
            "wallet": details["wallet"],
        }
    elif type_ == "us_bank_account":
        for name in ("financial_connections_account", "networks", "status_details"):
            details.pop(name, None)
        details |= {"mandate": scope.hidden(payment_method["id"]).get("mandate"), "payment_reference": None}
    elif type_ == "sepa_debit":
        details.pop("generated_from", None)
        details["mandate"] = scope.hidden(payment_method["id"]).get("mandate")
    return {type_: details, "type": type_}


def render(scope: Scope, payment_method: Wire) -> Wire:
    """The wire form of a PaymentMethod for embedding in an error: its state now, whatever happens to it later."""
    kept = scope.get("payment_method", payment_method["id"])
    clone: Wire = plain_clone(kept or payment_method)
    return clone


# ---- finding one


def find(scope: Scope, payment_method: str) -> Wire | None:
    """The PaymentMethod with that id on this account: stored, just materialised from a magic id, or a legacy view."""
    found = scope.get("payment_method", payment_method)
    if found is not None:
        return found
    known = cards.magic_payment_method(payment_method)
    if known is not None:
        return materialise(scope, known)
    return legacy_views.find(scope, payment_method)


def require(scope: Scope, payment_method: str, *, param: str = "payment_method", in_path: bool = False) -> Wire:
    """`find`, or Stripe's `resource_missing` with its hint."""
    found = find(scope, payment_method)
    if found is None:
        raise scope.missing("payment_method", payment_method, param=param, in_path=in_path)
    return found


def materialise(scope: Scope, known: cards.Card | cards.BankAccount | cards.SepaDebit) -> Wire:
    """A new PaymentMethod from a magic id: each use of such an id makes one (recorded)."""
    if isinstance(known, cards.Card):
        entered = magic(known, scope.world.now)
        block = payment_method_card(scope, entered, billing_details(None, None))
        return keep(scope, "card", block, entered.instrument(), {})
    if isinstance(known, cards.BankAccount):
        block, kept = magic_us_bank_account(scope, known)
        named = {"billing_details": {"name": "Jane Doe", "email": "jane.doe@example.com"}}
        return keep(scope, "us_bank_account", block, kept, named)
    block, kept = sepa_debit(scope, known)
    return keep(scope, "sepa_debit", block, kept, {})


def keep(scope: Scope, type_: str, block: Wire, instrument: Wire | None, params: Wire) -> Wire:
    """Stores a new PaymentMethod; `params` are billing_details, metadata and allow_redisplay as given."""
    made = insert(scope, type_, block, billing_details(None, params.get("billing_details") or None), params)
    if instrument is not None:
        scope.hidden(made["id"])["instrument"] = instrument
    return made


def insert(
    scope: Scope, type_: str, block: Wire, details: Wire, params: Wire, *, allow_redisplay: str = "unspecified"
) -> Wire:
    """Stores a bare PaymentMethod with these billing details; of `params` it takes metadata and allow_redisplay."""
    return scope.insert(
        {
            "id": scope.new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": params.get("allow_redisplay") or allow_redisplay,
            "billing_details": details,
            "created": scope.world.now,
            "customer": None,
            "customer_account": None,
            "livemode": scope.livemode,
            "metadata": merged_metadata(None, params.get("metadata")),
            "shared_payment_granted_token": None,
            "type": type_,
            type_: block,
        }
    )


# ---- operations


@operation("GET", "/v1/payment_methods/{payment_method}")
def retrieve(call: Call) -> Wire:
    """One PaymentMethod, consumed and detached ones too; a magic id makes a new one."""
    return require(call.scope, call.path["payment_method"], in_path=True)


@operation("POST", "/v1/payment_methods/{payment_method}/attach")
def attach_to_customer(call: Call) -> Wire:
    """Saves a PaymentMethod to a customer after a verification of the card.

    Raises:
        ApiError: 400 for one that is attached elsewhere or used up, or without a customer; 402 for a declining card.
    """
    scope, customer = call.scope, call.params.get("customer")
    named = call.path["payment_method"]
    if cards.magic_payment_method(named) is None:
        require(scope, named, in_path=True)
    if not customer:
        if call.params.get("customer_account"):
            raise scope.missing("account", call.params["customer_account"], param="customer_account")
        raise invalid("Must provide customer or customer_account.", code="parameter_missing")
    scope.require("customer", customer, param="customer")
    return attach_verified(scope, require(scope, named, in_path=True), customer)


def attach_verified(scope: Scope, payment_method: Wire, customer: str) -> Wire:
    """`attach` with the verification that POST attach and customer creation run."""
    refuse_attachment(scope, payment_method, customer)
    if payment_method["customer"] == customer:
        return payment_method
    refuse_declining(scope, payment_method)
    verify(scope, payment_method)
    return attach(scope, payment_method, customer)


def refuse_declining(scope: Scope, payment_method: Wire) -> None:
    """Raises the 402 of a card that its issuer does not let be saved."""
    refuse_verification(outcome_of(scope, payment_method))


def refuse_attachment(scope: Scope, payment_method: Wire, customer: str | None) -> None:
    """Raises Stripe's 400 for a PaymentMethod that cannot be attached to (that) customer; None stands for a new one."""
    owner = payment_method["customer"]
    if owner is not None and owner != customer:
        text = "The payment method you provided has already been attached to a customer."
        raise state_error(text, code=None)
    if is_consumed(scope, payment_method) and not _only_set_up(scope, payment_method):
        raise state_error(_CONSUMED_AT_ATTACH, code=None)
    if not is_verified(scope, payment_method):
        text = "PaymentMethods of type us_bank_account must be verified before they can be attached to a customer."
        raise state_error(text, code="bank_account_unverified")


def _only_set_up(scope: Scope, payment_method: Wire) -> bool:
    """A set-up without a customer uses a PaymentMethod up for other intents, yet it may still be saved afterwards."""
    hidden = scope.hidden(payment_method["id"])
    return str(hidden.get("consumed")).startswith("seti_") and bool(hidden.get("set_up"))


@operation("POST", "/v1/payment_methods/{payment_method}/detach")
def detach(call: Call) -> Wire:
    """Takes a PaymentMethod from its customer; it cannot be used again."""
    scope = call.scope
    found = require(scope, call.path["payment_method"], in_path=True)
    if found["customer"] is None:
        text = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise state_error(text, code=None)
    if scope.get("payment_method", found["id"]) is None:
        from fake_stripe.objects import customer_sources  # noqa: PLC0415 - only legacy cards are detached there

        customer_sources.remove(scope, found["customer"], found["id"])
        return {**found, "customer": None}
    release(scope, found)
    return found


def release(scope: Scope, payment_method: Wire) -> None:
    """Detaches: the customer no longer has it, no default names it, it is used up."""
    owner = payment_method["customer"]
    previous = scope.update(payment_method, customer=None)
    scope.hidden(payment_method["id"])["consumed"] = "detached"
    customer = scope.get("customer", owner)
    if customer is not None and customer["invoice_settings"]["default_payment_method"] == payment_method["id"]:
        settings = {**customer["invoice_settings"], "default_payment_method": None}
        scope.update(customer, invoice_settings=settings)
    scope.emit("payment_method.detached", payment_method, previous)
