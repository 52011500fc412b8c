"""What a refusal of Stripe's is turned into: one function for each kind of answer, named by the table in `errors`."""

from __future__ import annotations

import re
from collections.abc import Callable

from cloneservice_server.domain import errors
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import Refused
from cloneservice_server.stripe_gateway.field_paths import field_path

Make = Callable[[Refused, str], DomainError]

RETRY_AFTER_S = 1.0
"""First wait after a rate limit or a lock, in seconds: Stripe sends no Retry-After and advises one, then doubling."""
_QUOTED_CHARS = 250

_SECRET = re.compile(r"\b(?:sk|rk|pk|whsec|ek)_[^\s'\"<>,;)]+|\b\w+_secret_\w+")
_NO_SUCH = re.compile(r"No such ([A-Za-z_ ]+?):? '?([^\s';]+)'?")
_ACCOUNT = re.compile(r"\bacct_\w+")

STATES = {
    "charge_already_captured": "SUCCEEDED",
    "charge_already_refunded": "REFUNDED",
    "charge_disputed": "DISPUTED",
    "charge_expired_for_capture": "CANCELED",
}
"""Stripe's codes that say which state a charge is in."""
_INSTRUMENTS = frozenset({"payment_method", "source", "token", "card", "bank_account"})
_NOUNS = {"paymentmethod": "payment_method", "setupintent": "setup_intent", "paymentintent": "payment_intent"}
_AUTHENTICATION = frozenset({"authentication_required", "payment_intent_action_required"})
_DESCRIPTIONS = {
    "amount_too_small": "below Stripe's minimum for this currency",
    "amount_too_large": "above what Stripe or the charge allows",
    "email_invalid": "not an e-mail address",
    "parameter_invalid_integer": "must be a whole number of minor units, at least Stripe's minimum",
}


def masked(text: str) -> str:
    """`text` without anything that looks like a key or a client secret."""
    return _SECRET.sub("[masked]", text)


def on_original(_: Refused, step: str) -> bool:
    """Whether the ids that a call of kind `step` names are those of the platform's own objects."""
    return step in ("clone", "setup") or step.startswith("platform_")


def missing(refused: Refused) -> tuple[str, str]:
    """What is missing and its id, of a resource_missing: ("customer", "cus_1"). The noun in snake_case."""
    found = _NO_SUCH.match(refused.message)
    if found is None:
        return "resource", refused.param
    noun = found[1].lower().replace(" ", "_")
    return _NOUNS.get(noun, noun), found[2]


def misses_clone(refused: Refused, step: str) -> bool:
    """Whether what is missing is a payment method, token or source on the connected account: the clone itself."""
    return missing(refused)[0] in _INSTRUMENTS and not on_original(refused, step)


def _facts(refused: Refused, **more: str) -> dict[str, str]:
    found = _ACCOUNT.search(refused.message)
    account = refused.account or (found.group() if found else "")
    known = {
        "stripe_code": refused.code,
        "stripe_request_id": refused.stripe_request_id,
        "connected_account_id": account,
    }
    return {key: value for key, value in {**more, **known}.items() if value}


# ---------------------------------------------------------------------------------------- known whatever the call was


def outcome_unknown(refused: Refused, step: str) -> DomainError:
    """Stripe's own failure: it may have been done."""
    return errors.OutcomeUnknown(
        f"Stripe failed with HTTP {refused.status} in the step {step!r}: whether it was done is not known yet",
        _facts(refused, step=step),
        retry_after_s=RETRY_AFTER_S,
    )


def rate_limit(refused: Refused, _: str) -> DomainError:
    """Refused by a limiter before anything was done."""
    reason = refused.rate_limited_reason or "rate"
    return errors.StripeRateLimited(
        f"Stripe's rate limit was reached ({masked(reason)}); nothing was done",
        _facts(refused, rate_limited_reason=masked(reason)),
        retry_after_s=RETRY_AFTER_S,
    )


def in_progress(refused: Refused, _: str) -> DomainError:
    """The object is locked, or the key is in use."""
    return errors.RequestInProgress(
        "Stripe is still busy with another call on the same object or key", _facts(refused), retry_after_s=RETRY_AFTER_S
    )


def key_refused(refused: Refused, _: str) -> DomainError:
    """The platform's API key."""
    return errors.KeyRefused("Stripe refused the API key that this service was given", _facts(refused))


def ours(refused: Refused, step: str) -> DomainError:
    """A fault of this service's own call."""
    what = refused.param or refused.code or refused.type
    return errors.StripeMisconfigured(
        f"Stripe refused a part of the call that this service wrote itself, in the step {step!r} ({masked(what)})",
        _facts(refused, step=step, stripe_param=masked(refused.param)),
    )


def declined(refused: Refused, _: str) -> DomainError:
    """402: CardDeclined, or AuthenticationRequired. Only `try_again_later` gives hope for the same payment method."""
    advice = refused.body.get("advice_code")
    advice = advice if isinstance(advice, str) else ""
    codes = {"code": refused.code, "decline_code": refused.decline_code, "advice_code": advice}
    metadata = {**codes, **_facts(refused)}
    later = advice == "try_again_later"
    if _AUTHENTICATION & {refused.code, refused.decline_code}:
        message = "The issuer wants the customer to authenticate: repeat the charge on session"
        return errors.AuthenticationRequired(message, metadata, may_retry_later=later)
    why = refused.decline_code or refused.code or "no reason given"
    return errors.CardDeclined(f"The payment method was declined ({masked(why)})", metadata, may_retry_later=later)


def unknown(refused: Refused, step: str) -> DomainError:
    """The default: a refusal that no row of the table knows."""
    return errors.InternalError(
        f"Stripe refused the step {step!r} for a reason that this service does not know (HTTP {refused.status})",
        _facts(refused, step=step, stripe_status=str(refused.status), stripe_type=masked(refused.type)),
    )


# -------------------------------------------------------------------------------------------- the account as a whole


def account_unavailable(refused: Refused, _: str) -> DomainError:
    """Not connected, revoked, unknown, or of the other mode."""
    facts = _facts(refused)
    account = facts.get("connected_account_id", "the connected account")
    return errors.AccountUnavailable(f"The platform may not act on {account}: not connected, or revoked", facts)


def charges_disabled(refused: Refused, _: str) -> DomainError:
    """Connected, but not allowed to charge."""
    facts = _facts(refused)
    account = facts.get("connected_account_id", "The connected account")
    return errors.AccountUnavailable(f"{account} cannot take charges: see its requirements at Stripe", facts)


def capability_missing(refused: Refused, _: str) -> DomainError:
    """Not for this type of payment method."""
    facts = _facts(refused)
    account = facts.get("connected_account_id", "The connected account")
    return errors.CapabilityMissing(f"{account} lacks the capability to charge this type of payment method", facts)


# ------------------------------------------------------------------------------------ objects used up, elsewhere, unfit


def spent_original(refused: Refused, _: str) -> DomainError:
    """The platform's object is consumed."""
    return errors.NotCloneable(
        "The payment method was used, shared or detached without being saved on a customer; it can be used only once",
        _facts(refused),
    )


def spent_clone(refused: Refused, _: str) -> DomainError:
    """The clone is consumed."""
    return errors.CloneNotUsable(
        "The clone is consumed: unattached, it serves one attempt; clone again, and attach to charge more than once",
        _facts(refused, state="CONSUMED"),
    )


def stale_clone(refused: Refused, _: str) -> DomainError:
    """The clone is not what the ledger says."""
    return errors.CloneNotUsable(
        "The clone is not on the connected account as it was made: detached, deleted or moved there; clone again",
        _facts(refused, state="STALE"),
    )


def not_found(refused: Refused, step: str) -> DomainError:
    """An id that the caller named. A customer says whose; on the platform's side so does a payment method."""
    noun, name = missing(refused)
    if noun == "customer":
        noun = "platform_customer" if on_original(refused, step) else "connected_customer"
    elif noun in _INSTRUMENTS and on_original(refused, step):
        noun = "platform_payment_method"
    error = errors.not_found(noun, masked(name))
    error.metadata.update(_facts(refused))
    if hint := re.search(r"similar object exists in (live|test) mode", refused.message):
        error.message += f" (there is one in {hint[1]} mode, for which another key is needed)"
    return error


def other_flow(flow: str) -> Make:
    """Refused by the token flow; `flow` is the one that fits, or "" to judge by the id that Stripe names."""

    def make(refused: Refused, _: str) -> DomainError:
        named = re.search(r"with ID (pm|src)_", refused.message)
        by_id = "" if named is None else f"CLONE_FLOW_{'PAYMENT_METHOD' if named[1] == 'pm' else 'SOURCE'}"
        usable = flow or by_id
        advice = f"; use {usable}" if usable else ""
        return errors.NotCloneable(
            f"The object cannot be cloned by the TOKEN flow{advice}", _facts(refused, usable_flow=usable)
        )

    return make


def unverified(refused: Refused, _: str) -> DomainError:
    """A bank account that was not verified."""
    return errors.NotCloneable("The bank account must be verified on the platform before it is shared", _facts(refused))


def not_cloneable(refused: Refused, _: str) -> DomainError:
    """The original is of a type, or of a customer, that this flow does not take."""
    said = masked(refused.message)[:_QUOTED_CHARS]
    return errors.NotCloneable(f'Stripe does not clone this object: "{said}"', _facts(refused))


# -------------------------------------------------------------------------------------------------- states and values


def wrong_state(refused: Refused, _: str) -> DomainError:
    """Not possible now; metadata `state` in this service's words where Stripe says which."""
    intent = refused.body.get("payment_intent") or refused.body.get("setup_intent")
    status = intent.get("status") if isinstance(intent, dict) else None
    state = STATES.get(refused.code, "")
    if isinstance(status, str):
        state = "DECLINED" if status == "requires_payment_method" else status.upper()
    elif refused.message.endswith("already been attached to a customer."):
        state = "ATTACHED"
    shown = f" ({masked(state)})" if state else ""
    return errors.InvalidState(f"Not possible in the present state at Stripe{shown}", _facts(refused, state=state))


def bad_value(refused: Refused, step: str) -> DomainError:
    """A value of the caller's, by the caller's name for it."""
    said = _DESCRIPTIONS.get(refused.code) or f'Stripe refused it: "{masked(refused.message)[:_QUOTED_CHARS]}"'
    return _bad_field(refused, field_path(step, refused.param), said)


def bad_field(param: str, description: str) -> Make:
    """One value of the caller's, where Stripe names no parameter."""
    return lambda refused, step: _bad_field(refused, field_path(step, param) or param, description)


def _bad_field(refused: Refused, path: str, description: str) -> DomainError:
    error = errors.invalid(path, description)
    error.metadata.update(_facts(refused))
    return error
