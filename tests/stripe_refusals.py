"""Stripe's refusals in its own words, each with the row of the gateway's table that must know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cloneservice_server.domain import errors
from cloneservice_server.domain.errors import DomainError
from cloneservice_server.ports import Refused

INVALID = "invalid_request_error"


@dataclass(frozen=True)
class Case:
    """A refusal at a step, the row that must know it, and the error that must come of it."""

    row: str
    step: str
    refused: Refused
    expected: type[DomainError]
    metadata: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def refusal(status: int, message: str = "", code: str = "", param: str = "", **more: Any) -> Refused:
    return Refused(status, more.pop("type", INVALID), code, message, param, **more)


def wants_retry(seconds: float = 1.0) -> dict[str, Any]:
    return {"retry_after_s": seconds}


def field_of(path: str) -> dict[str, Any]:
    return {"paths": [path]}


def named(kind: str, name: str) -> dict[str, Any]:
    return {"resource_type": kind, "resource_name": name}


HINT = (
    "; OAuth key or Stripe-Account header was used but API request was provided with a platform-owned payment "
    "method ID. Please ensure that the provided payment method matches the specified account."
)
CONSUMED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
    "with a connected account without Customer attachment, or was detached from a Customer. It may not be used"
    " again. To use a PaymentMethod multiple times, you must attach it to a Customer first."
)
CONSUMED_ATTACH = (
    "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
    "Customer, and may not be used again."
)
CONSUMED_SOURCE = (
    "The reusable source you provided is consumed because it was previously charged without being attached to "
    "a customer or was detached from a customer. To charge a reusable source multiple time you must attach it "
    "to a customer first."
)
NO_ACCESS = (
    "The provided key 'sk_test_****uCJm' does not have access to account 'acct_9' (or that account does not "
    "exist). Application access may have been revoked."
)
WRONG_CUSTOMER = (
    "The PaymentMethod pm_1 does not belong to the Customer you supplied cus_2. Please use this PaymentMethod "
    "with the Customer that it belongs to instead."
)
OWNED = (
    "The `payment_method` parameter supplied pm_1 belongs to the Customer cus_1. Please include the Customer "
    "in the `customer` parameter on the PaymentIntent."
)
LOCKED = (
    "This object cannot be accessed right now because another API request or Stripe process is currently accessing it."
)
RETURN_URL = "Because some of these payment methods might redirect your customer, you must provide a `return_url`."
CAPTURED = "This PaymentIntent could not be captured because it has already been captured."
DISABLED = (
    "This Connect account cannot currently make live charges. The `requirements.disabled_reason` property says why."
)
CARD_PAYMENTS = "You cannot create a charge on a connected account without the `card_payments` capability enabled."
TESTMODE = (
    "The account acct_9 was a test account created with a testmode key, and therefore can only be used with "
    "testmode keys"
)
RESTRICTED = (
    "The provided key 'rk_test_abc' does not have the required permissions for this endpoint on account "
    "'acct_9'. Having the 'rak_payment_method_write' permission would allow this request to continue."
)
ALREADY = "The payment method you provided has already been attached to a customer."
FEE = "The application fee must be less than or equal to the charge amount."

CASES = [
    # What is known whatever the call was.
    Case("server error", "confirm", refusal(500, "oops", type="api_error"), errors.OutcomeUnknown, {"step": "confirm"}),
    Case("server error", "clone", refusal(503), errors.OutcomeUnknown, {}, wants_retry()),
    Case(
        "rate limit",
        "intent",
        refusal(
            429, "Request rate limit exceeded", "rate_limit", rate_limited_reason="endpoint-rate", account="acct_1"
        ),
        errors.StripeRateLimited,
        {"rate_limited_reason": "endpoint-rate", "connected_account_id": "acct_1"},
        wants_retry(),
    ),
    Case("rate limit", "intent", refusal(429, rate_limited_reason="global-concurrency"), errors.StripeRateLimited),
    Case("rate limit", "intent", refusal(400, "Request rate limit exceeded", "rate_limit"), errors.StripeRateLimited),
    Case(
        "lock or key in use",
        "attach",
        refusal(429, LOCKED, "lock_timeout"),
        errors.RequestInProgress,
        {},
        wants_retry(),
    ),
    Case("lock or key in use", "attach", refusal(429, LOCKED), errors.RequestInProgress),
    Case("lock or key in use", "intent", refusal(409, code="idempotency_key_in_use"), errors.RequestInProgress),
    Case(
        "lock or key in use",
        "intent",
        refusal(409, code="idempotency_key_in_use", type="idempotency_error"),
        errors.RequestInProgress,
    ),
    Case(
        "idempotency mismatch",
        "intent",
        refusal(
            400, "Keys for idempotent requests can only be used with the same parameters", type="idempotency_error"
        ),
        errors.StripeMisconfigured,
        {"step": "intent"},
    ),
    Case("key refused", "clone", refusal(401, "Invalid API Key provided: sk_test_***abc"), errors.KeyRefused),
    Case("key refused", "clone", refusal(401, "Expired API Key", "api_key_expired"), errors.KeyRefused),
    Case("key refused", "clone", refusal(403, code="secret_key_required"), errors.KeyRefused),
    Case("key refused", "clone", refusal(403, code="platform_account_required"), errors.KeyRefused),
    Case(
        "declined",
        "confirm",
        refusal(
            402,
            "Your card has insufficient funds.",
            "card_declined",
            type="card_error",
            decline_code="insufficient_funds",
            body={"advice_code": "try_again_later"},
        ),
        errors.CardDeclined,
        {"code": "card_declined", "decline_code": "insufficient_funds", "advice_code": "try_again_later"},
        {"may_retry_later": True},
    ),
    Case(
        "declined",
        "customer",
        refusal(402, code="card_declined", decline_code="lost_card", body={"advice_code": "do_not_try_again"}),
        errors.CardDeclined,
        {"advice_code": "do_not_try_again"},
        {"may_retry_later": False},
    ),
    Case(
        "declined",
        "confirm",
        refusal(402, code="authentication_required", decline_code="authentication_required", type="card_error"),
        errors.AuthenticationRequired,
        {"code": "authentication_required", "decline_code": "authentication_required"},
        {"may_retry_later": False},
    ),
    Case("declined", "confirm", refusal(402, code="payment_intent_action_required"), errors.AuthenticationRequired),
    # The account as a whole.
    Case(
        "account unavailable",
        "clone",
        refusal(403, NO_ACCESS, "account_invalid", account="acct_9"),
        errors.AccountUnavailable,
        {"connected_account_id": "acct_9", "stripe_code": "account_invalid"},
    ),
    Case(
        "account unavailable",
        "read",
        refusal(403, NO_ACCESS),
        errors.AccountUnavailable,
        {"connected_account_id": "acct_9"},
    ),
    Case("account unavailable", "clone", refusal(400, TESTMODE), errors.AccountUnavailable),
    Case("key without permission", "clone", refusal(403, RESTRICTED), errors.KeyRefused),
    Case(
        "key without permission",
        "clone",
        refusal(
            403, "You passed a restricted API key with the Stripe-Account header, but it has no Connect permissions."
        ),
        errors.KeyRefused,
    ),
    Case("charges disabled", "confirm", refusal(400, DISABLED, account="acct_2"), errors.AccountUnavailable),
    Case(
        "charges disabled",
        "clone",
        refusal(400, "Your account cannot currently make live charges"),
        errors.AccountUnavailable,
    ),
    Case(
        "capability missing",
        "intent",
        refusal(400, CARD_PAYMENTS, account="acct_2"),
        errors.CapabilityMissing,
        {"connected_account_id": "acct_2"},
    ),
    Case(
        "capability missing",
        "intent",
        refusal(
            400, "The payment method type is not on.", "payment_intent_invalid_parameter", "payment_method_types[0]"
        ),
        errors.CapabilityMissing,
    ),
    # Objects that are used up, elsewhere, or unfit for the flow.
    Case("consumed original", "clone", refusal(400, CONSUMED), errors.NotCloneable),
    Case("consumed original", "platform_attach", refusal(400, CONSUMED_ATTACH), errors.NotCloneable),
    Case("consumed original", "platform_attach", refusal(400, code="token_already_used"), errors.NotCloneable),
    Case("consumed clone", "intent", refusal(400, CONSUMED), errors.CloneNotUsable, {"state": "CONSUMED"}),
    Case("consumed clone", "attach", refusal(400, CONSUMED_ATTACH), errors.CloneNotUsable, {"state": "CONSUMED"}),
    Case("consumed clone", "intent", refusal(400, CONSUMED_SOURCE), errors.CloneNotUsable, {"state": "CONSUMED"}),
    Case("consumed clone", "attach", refusal(400, code="invalid_source_usage"), errors.CloneNotUsable),
    Case(
        "consumed clone",
        "attach",
        refusal(400, "The provided PaymentMethod cannot be attached. To reuse a PaymentMethod, attach it first."),
        errors.CloneNotUsable,
    ),
    Case("consumed clone", "customer", refusal(400, code="token_already_used"), errors.CloneNotUsable),
    Case(
        "platform-owned id",
        "intent",
        refusal(400, f"No such PaymentMethod: 'pm_1'{HINT}", "resource_missing", "payment_method"),
        errors.StripeMisconfigured,
    ),
    Case(
        "customer without a source",
        "clone",
        refusal(400, "The customer must have an active payment source attached."),
        errors.NotCloneable,
        {"usable_flow": "CLONE_FLOW_PAYMENT_METHOD"},
    ),
    Case(
        "no card with that id",
        "clone",
        refusal(400, "Customer cus_1 does not have card with ID pm_1"),
        errors.NotCloneable,
        {"usable_flow": "CLONE_FLOW_PAYMENT_METHOD"},
    ),
    Case(
        "no card with that id",
        "clone",
        refusal(400, "Customer cus_1 does not have card with ID src_1"),
        errors.NotCloneable,
        {"usable_flow": "CLONE_FLOW_SOURCE"},
    ),
    Case(
        "no card with that id",
        "clone",
        refusal(400, "Customer cus_1 does not have card with ID card_9"),
        errors.NotCloneable,
    ),
    Case(
        "default is a source",
        "clone",
        refusal(400, "The default source of the customer is a source and cannot be shared from existing customers."),
        errors.NotCloneable,
        {"usable_flow": "CLONE_FLOW_SOURCE"},
    ),
    Case(
        "payment method as source",
        "attach",
        refusal(400, "You cannot use a PaymentMethod as a source for Customers."),
        errors.NotCloneable,
        {"usable_flow": "CLONE_FLOW_PAYMENT_METHOD"},
    ),
    Case("bank account unverified", "clone", refusal(400, code="bank_account_unverified"), errors.NotCloneable),
    Case(
        "missing clone",
        "intent",
        refusal(400, "No such PaymentMethod: 'pm_1'", "resource_missing", "payment_method"),
        errors.CloneNotUsable,
        {"state": "STALE"},
    ),
    Case("missing clone", "attach", refusal(400, "No such token: 'tok_1'", "resource_missing"), errors.CloneNotUsable),
    Case("missing clone", "attach", refusal(400, "No such source: 'src_1'", "resource_missing"), errors.CloneNotUsable),
    Case(
        "missing",
        "clone",
        refusal(400, "No such customer: 'cus_9'", "resource_missing", "customer"),
        errors.ResourceNotFound,
        {"id": "cus_9"},
        named("platform_customer", "cus_9"),
    ),
    Case(
        "missing",
        "attach",
        refusal(404, "No such customer: 'cus_9'", "resource_missing", "customer", account="acct_1"),
        errors.ResourceNotFound,
        {"connected_account_id": "acct_1"},
        named("connected_customer", "cus_9"),
    ),
    Case(
        "missing",
        "platform_attach",
        refusal(
            404,
            "No such PaymentMethod: 'pm_9'; It's possible this PaymentMethod exists on one of your connected accounts",
            "resource_missing",
            "payment_method",
        ),
        errors.ResourceNotFound,
        {"id": "pm_9"},
        named("platform_payment_method", "pm_9"),
    ),
    Case(
        "missing",
        "platform_read",
        refusal(404, "No such source: 'card_9'", "resource_missing", "id"),
        errors.ResourceNotFound,
        {},
        named("platform_payment_method", "card_9"),
    ),
    Case(
        "missing",
        "confirm",
        refusal(404, "No such payment_intent: 'pi_9'", "resource_missing", "intent"),
        errors.ResourceNotFound,
        {},
        named("payment_intent", "pi_9"),
    ),
    Case(
        "missing",
        "read",
        refusal(404, "No such setupintent: 'seti_9'", "resource_missing", "intent"),
        errors.ResourceNotFound,
        {},
        named("setup_intent", "seti_9"),
    ),
    Case(
        "missing",
        "platform_read",
        refusal(
            404,
            "No such customer: 'cus_9'; a similar object exists in live mode, but a test mode key was used.",
            "resource_missing",
            "id",
        ),
        errors.ResourceNotFound,
        {},
        {"message": "No such platform_customer: cus_9 (there is one in live mode, for which another key is needed)"},
    ),
    Case(
        "original of another customer",
        "clone",
        refusal(400, WRONG_CUSTOMER, param="payment_method"),
        errors.NotCloneable,
    ),
    Case(
        "clone of another customer",
        "intent",
        refusal(400, WRONG_CUSTOMER, param="payment_method"),
        errors.CloneNotUsable,
        {"state": "STALE"},
    ),
    Case(
        "clone of another customer", "intent", refusal(400, OWNED, "parameter_missing", "source"), errors.CloneNotUsable
    ),
    Case(
        "call without its account",
        "clone",
        refusal(400, "You cannot attach a PaymentMethod to a Customer during PaymentMethod creation. Please instead"),
        errors.StripeMisconfigured,
    ),
    # States.
    Case(
        "intent state",
        "capture",
        refusal(
            400,
            CAPTURED,
            "payment_intent_unexpected_state",
            body={"payment_intent": {"id": "pi_1", "status": "succeeded"}},
        ),
        errors.InvalidState,
        {"state": "SUCCEEDED"},
    ),
    Case(
        "intent state",
        "confirm",
        refusal(
            400, code="payment_intent_unexpected_state", body={"payment_intent": {"status": "requires_payment_method"}}
        ),
        errors.InvalidState,
        {"state": "DECLINED"},
    ),
    Case(
        "intent state",
        "setup",
        refusal(400, code="setup_intent_unexpected_state", body={"setup_intent": {"status": "canceled"}}),
        errors.InvalidState,
        {"state": "CANCELED"},
    ),
    Case(
        "charge state",
        "refund",
        refusal(400, "Charge ch_1 has already been refunded.", "charge_already_refunded"),
        errors.InvalidState,
        {"state": "REFUNDED"},
    ),
    Case("charge state", "refund", refusal(400, code="charge_disputed"), errors.InvalidState, {"state": "DISPUTED"}),
    Case("attachment state", "attach", refusal(400, ALREADY), errors.InvalidState, {"state": "ATTACHED"}),
    Case(
        "attachment state",
        "detach",
        refusal(400, "The payment method you provided is not attached to a customer so detachment is impossible."),
        errors.InvalidState,
    ),
    # Values.
    Case(
        "fee above amount",
        "intent",
        refusal(400, FEE),
        errors.InvalidRequest,
        {},
        field_of("charge.application_fee.minor_units"),
    ),
    Case(
        "fee above amount",
        "capture",
        refusal(400, FEE),
        errors.InvalidRequest,
        {},
        field_of("application_fee.minor_units"),
    ),
    Case("fee above amount", "intent", refusal(400, code="application_fees_not_allowed"), errors.InvalidRequest),
    Case(
        "return_url needed",
        "confirm",
        refusal(400, RETURN_URL),
        errors.InvalidRequest,
        {},
        field_of("charge.return_url"),
    ),
    Case(
        "value of the caller",
        "intent",
        refusal(400, "Amount must be at least $0.50 usd", "amount_too_small", "amount"),
        errors.InvalidRequest,
        {"field": "charge.amount.minor_units", "stripe_code": "amount_too_small"},
        field_of("charge.amount.minor_units"),
    ),
    Case(
        "value of the caller",
        "intent",
        refusal(400, "Invalid currency: xyz. Stripe currently supports these currencies: usd, aed", param="currency"),
        errors.InvalidRequest,
        {},
        field_of("charge.amount.currency_code"),
    ),
    Case(
        "value of the caller",
        "platform_customer",
        refusal(400, "Invalid email address: x", "email_invalid", "email"),
        errors.InvalidRequest,
        {},
        field_of("new_customer.email"),
    ),
    Case(
        "value of the caller",
        "intent",
        refusal(400, "Metadata values can have up to 500 characters", param="metadata[order]"),
        errors.InvalidRequest,
        {},
        field_of('charge.metadata["order"]'),
    ),
    Case(
        "value of the caller",
        "capture",
        refusal(400, "the requested capture amount is greater", "amount_too_large", "amount_to_capture"),
        errors.InvalidRequest,
        {},
        field_of("amount.minor_units"),
    ),
    Case(
        "value of the caller",
        "refund",
        refusal(400, "Refund amount ($11.00) is greater than charge amount ($10.00)", param="amount"),
        errors.InvalidRequest,
        {},
        field_of("amount.minor_units"),
    ),
    Case(
        "object not for this flow",
        "clone",
        refusal(400, "This PaymentMethod type cannot be shared.", param="payment_method"),
        errors.NotCloneable,
    ),
    Case(
        "parameter of ours",
        "intent",
        refusal(400, "Received unknown parameter: amount", "parameter_unknown", "amount"),
        errors.StripeMisconfigured,
        {"stripe_param": "amount"},
    ),
    Case(
        "parameter of ours",
        "intent",
        refusal(400, "Invalid array", param="metadata[cloneservice_effect]"),
        errors.StripeMisconfigured,
    ),
    Case("parameter of ours", "clone", refusal(400, code="parameter_missing"), errors.StripeMisconfigured),
    Case(
        "parameter of ours", "read", refusal(404, "Unrecognized request URL (GET: /v1/x)."), errors.StripeMisconfigured
    ),
]
