"""The table from Stripe's refusals to domain errors: every row, known by Stripe's own recorded words and codes."""

from __future__ import annotations

import logging

import pytest
from cloneservice_server.domain import errors
from cloneservice_server.ports import Refused
from cloneservice_server.stripe_gateway.errors import MESSAGE_CHARS, TABLE, to_domain_error

from tests.stripe_refusals import CASES, INVALID, Case, refusal


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}/{case.step}")
def test_a_refusal_is_known_by_its_row_and_becomes_its_error(case: Case) -> None:
    matched = next(row.name for row in TABLE if row.matches(case.refused, case.step))
    assert matched == case.row
    error = to_domain_error(case.refused, step=case.step)
    assert type(error) is case.expected
    assert error.message
    for key, value in case.metadata.items():
        assert error.metadata[key] == value
    expected = dict(case.attributes)
    if "paths" in expected:
        assert [violation.field for violation in error.violations] == expected.pop("paths")
    assert {name: getattr(error, name) for name in expected} == expected


def test_every_row_of_the_table_has_a_case() -> None:
    assert [row.name for row in TABLE if row.name not in {case.row for case in CASES}] == []


def test_row_names_are_unique() -> None:
    names = [row.name for row in TABLE]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("step", ["clone", "customer", "attach", "intent", "confirm", "read", "platform_read"])
@pytest.mark.parametrize("status", [400, 403, 404, 410, 424])
def test_a_refusal_that_nobody_knows_is_our_internal_error_with_what_finds_it_at_stripe(status: int, step: str) -> None:
    refused = refusal(status, "Something new.", "brand_new_code", stripe_request_id="req_7", account="acct_1")
    error = to_domain_error(refused, step=step)
    assert type(error) is errors.InternalError
    assert error.metadata == {
        "step": step,
        "stripe_status": str(status),
        "stripe_type": INVALID,
        "stripe_code": "brand_new_code",
        "stripe_request_id": "req_7",
        "connected_account_id": "acct_1",
    }


def test_a_refusal_that_nobody_knows_is_logged_in_stripes_words_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        to_domain_error(refusal(400, "New trouble with pi_1_secret_abc"), step="confirm")
    assert "New trouble with [masked]" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "secret", ["sk_test_51abcDEF", "rk_live_9x", "sk_test_****uCJm", "pi_1_secret_Zz9", "whsec_abc"]
)
@pytest.mark.parametrize(
    "refused",
    [
        refusal(400, "Bad value {0}", param="email"),
        refusal(400, "No such customer: '{0}'", "resource_missing"),
        refusal(400, "This type ({0}) cannot be shared.", param="payment_method"),
        refusal(400, "Received unknown parameter", "parameter_unknown", "metadata[{0}]"),
        refusal(402, "{0}", "card_declined"),
        refusal(403, "The provided key '{0}' does not have access to account 'acct_9'", "account_invalid"),
        refusal(401, "Invalid API Key provided: {0}"),
        refusal(418, "{0}"),
    ],
    ids=["value", "missing", "not cloneable", "ours", "declined", "account", "key", "unknown"],
)
@pytest.mark.parametrize("step", ["clone", "platform_customer", "confirm"])
def test_nothing_that_looks_like_a_secret_reaches_the_caller_or_the_ledger(
    refused: Refused, step: str, secret: str
) -> None:
    said = Refused(refused.status, INVALID, refused.code, refused.message.format(secret), refused.param.format(secret))
    stored = errors.encode(to_domain_error(said, step=step))
    assert secret not in stored
    assert "uCJm" not in stored


def test_messages_are_short_enough_for_a_status() -> None:
    long = refusal(400, "x" * 5000, param="email")
    for step in ("platform_customer", "clone", "intent"):
        assert len(to_domain_error(long, step=step).message) <= MESSAGE_CHARS


def test_errors_that_leave_the_request_open_and_those_that_end_it() -> None:
    open_rows = {"server error", "rate limit", "lock or key in use", "key refused", "key without permission"}
    for case in CASES:
        assert to_domain_error(case.refused, step=case.step).final == (case.row not in open_rows)
