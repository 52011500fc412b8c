"""THE table from Stripe's refusals to the domain's errors. The first row that matches wins: the order has a meaning.

Stripe's codes decide where Stripe sends any; many of the refusals that matter here have none and are told apart by
their words (recorded ones). Messages are this service's own; where Stripe's words help they are quoted, masked and cut.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import Refused
from cloneservice_server.stripe_gateway import explanations
from cloneservice_server.stripe_gateway.explanations import Make, masked
from cloneservice_server.stripe_gateway.field_paths import field_path
from cloneservice_server.stripe_gateway.steps import STEPS

_log = logging.getLogger(__name__)

MESSAGE_CHARS = 500
_ANYWHERE = {
    "INVALID_REQUEST",
    "REQUEST_IN_PROGRESS",
    "STRIPE_MISCONFIGURED",
    "STRIPE_OUTCOME_UNKNOWN",
    "STRIPE_RATE_LIMITED",
}
"""Reasons of rows that any step may meet."""

Matches = Callable[[Refused, str], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of refusal: how to know it, and what it means to the caller."""

    name: str
    matches: Matches
    make: Make


def to_domain_error(refused: Refused, *, step: str) -> DomainError:
    """The domain error that `refused` stands for when it answered a call of kind `step` (clone, intent, ...)."""
    row = next((row for row in TABLE if row.matches(refused, step)), None)
    if row is None:
        _log.warning("unknown refusal at step %s: %s: %s", step, refused, masked(refused.message))
        return explanations.unknown(refused, step)
    error = row.make(refused, step)
    if error.reason not in STEPS.get(step, {error.reason}) | _ANYWHERE:
        _log.warning("step %s was refused as %s, which the contract does not say: %s", step, error.reason, refused)
    error.message = masked(error.message)[:MESSAGE_CHARS]
    return error


# ------------------------------------------------------------------------------------------------- how a row is known


def _status(*statuses: int) -> Matches:
    return lambda refused, _: refused.status in statuses


def _code(*codes: str) -> Matches:
    return lambda refused, _: refused.code in codes


def _type(kind: str) -> Matches:
    return lambda refused, _: refused.type == kind


def _says(pattern: str) -> Matches:
    found = re.compile(pattern, re.IGNORECASE).search
    return lambda refused, _: found(refused.message) is not None


def _param(*roots: str) -> Matches:
    return lambda refused, _: refused.param.partition("[")[0] in roots


def _step(*steps: str) -> Matches:
    return lambda _, step: step in steps


def _any(*matches: Matches) -> Matches:
    return lambda refused, step: any(match(refused, step) for match in matches)


def _all(*matches: Matches) -> Matches:
    return lambda refused, step: all(match(refused, step) for match in matches)


def _rate_limited(refused: Refused, _: str) -> bool:
    # A 429 without the header is a lock on an object (docs.stripe.com/rate-limits), unless its code says otherwise.
    if refused.code == "rate_limit":
        return refused.status in (400, 429)
    return refused.status == 429 and refused.rate_limited_reason != ""


def _about_a_caller_value(refused: Refused, step: str) -> bool:
    ours = ("parameter_unknown", "parameter_missing")  # which parameters are sent is our doing, what is in them is not
    return refused.status == 400 and refused.code not in ours and field_path(step, refused.param) != ""


# -------------------------------------------------------------------------------------------------------------- table

_SPENT_CODES = ("token_already_used", "invalid_source_usage")
_SPENT = r"was previously used|may not be used again|is consumed because|cannot be attached\. To reuse"
_OTHERS = r"does not belong to the Customer|belongs to the Customer|is attached to a customer so for security purposes"
_ORIGINAL = ("payment_method", "original_source", "card", "bank_account", "customer", "source")

TABLE: tuple[Row, ...] = (
    # What is known whatever the call was.
    Row("server error", lambda refused, _: refused.status >= 500, explanations.outcome_unknown),
    Row("rate limit", _rate_limited, explanations.rate_limit),
    Row(
        "lock or key in use",
        _any(_status(409, 429), _code("lock_timeout", "idempotency_key_in_use")),
        explanations.in_progress,
    ),
    Row("idempotency mismatch", _type("idempotency_error"), explanations.ours),
    Row(
        "key refused",
        _any(_status(401), _code("secret_key_required", "platform_account_required")),
        explanations.key_refused,
    ),
    Row("declined", _status(402), explanations.declined),
    # The account as a whole.
    Row(
        "account unavailable",
        _any(
            _code("account_invalid"),
            _all(_status(403), _says(r"does not have access to account")),
            _says(r"test account created with a testmode key"),
        ),
        explanations.account_unavailable,
    ),
    Row(
        "key without permission",
        _all(_status(403), _says(r"required permissions|restricted API key")),
        explanations.key_refused,
    ),
    Row("charges disabled", _says(r"cannot currently make live charges"), explanations.charges_disabled),
    Row(
        "capability missing",
        _any(
            _says(r"without the `?\w+`? capabilit|capabilit(?:y|ies) (?:is|are) not|required capabilit"),
            _all(_code("payment_intent_invalid_parameter"), _param("payment_method_types")),
        ),
        explanations.capability_missing,
    ),
    # Objects that are used up, elsewhere, or unfit for the flow. Words come before codes: these carry few.
    Row(
        "consumed original",
        _all(explanations.on_original, _any(_code(*_SPENT_CODES), _says(_SPENT))),
        explanations.spent_original,
    ),
    Row("consumed clone", _any(_code(*_SPENT_CODES), _says(_SPENT)), explanations.spent_clone),
    Row("platform-owned id", _says(r"platform-owned payment method ID"), explanations.ours),
    Row(
        "customer without a source",
        _says(r"must have an active payment source"),
        explanations.other_flow("CLONE_FLOW_PAYMENT_METHOD"),
    ),
    Row("no card with that id", _says(r"does not have (?:a )?card with ID"), explanations.other_flow("")),
    Row(
        "default is a source",
        _says(r"cannot be shared from existing customers"),
        explanations.other_flow("CLONE_FLOW_SOURCE"),
    ),
    Row(
        "payment method as source",
        _says(r"cannot use a PaymentMethod as a source"),
        explanations.other_flow("CLONE_FLOW_PAYMENT_METHOD"),
    ),
    Row("bank account unverified", _code("bank_account_unverified"), explanations.unverified),
    Row("missing clone", _all(_code("resource_missing"), explanations.misses_clone), explanations.stale_clone),
    Row("missing", _code("resource_missing", "missing"), explanations.not_found),
    Row("original of another customer", _all(_step("clone"), _says(_OTHERS)), explanations.not_cloneable),
    Row("clone of another customer", _says(_OTHERS), explanations.stale_clone),
    Row(
        "call without its account",
        _says(r"cannot attach a PaymentMethod to a Customer during PaymentMethod creation"),
        explanations.ours,
    ),
    # States.
    Row(
        "intent state",
        _code("payment_intent_unexpected_state", "setup_intent_unexpected_state"),
        explanations.wrong_state,
    ),
    Row("charge state", _code(*explanations.STATES), explanations.wrong_state),
    Row(
        "attachment state",
        _says(r"already been attached to a customer|detachment is impossible"),
        explanations.wrong_state,
    ),
    # Values.
    Row(
        "fee above amount",
        _any(_code("application_fees_not_allowed"), _says(r"must be less than or equal to the charge amount")),
        explanations.bad_field(
            "application_fee_amount", "more than the charge's amount, or not allowed for this account"
        ),
    ),
    Row(
        "return_url needed",
        _says(r"`return_url`"),
        explanations.bad_field("return_url", "needed for the payment method types of this account"),
    ),
    Row("value of the caller", _about_a_caller_value, explanations.bad_value),
    Row(
        "object not for this flow",
        _all(_step("clone"), _status(400), _param(*_ORIGINAL), _code("")),
        explanations.not_cloneable,
    ),
    Row(
        "parameter of ours",
        _any(
            lambda refused, _: refused.status == 400 and refused.param != "",
            lambda refused, _: refused.code.startswith("parameter"),
            _says(r"^Unrecognized request URL|^Invalid Stripe API version"),
        ),
        explanations.ours,
    ),
)
