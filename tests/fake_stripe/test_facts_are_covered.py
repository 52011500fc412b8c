"""The rows of the facts that carry a message or an error code are all provoked by a case that names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fake_stripe import facts_cards
from tests.fake_stripe.test_facts import CASES

FACTS = Path(__file__).parents[3] / "shared" / "facts" / "stripe-behaviour.md"
needs_facts = pytest.mark.skipif(not FACTS.is_file(), reason="no facts beside this checkout")
ROWS = [case.row for case in CASES] + [
    later.row for later in facts_cards.AUTHENTICATED + facts_cards.UNAUTHENTICATED + facts_cards.DEBITS
]

CODES = frozenset(
    (
        "account_closed", "account_invalid", "amount_too_large", "amount_too_small", "api_key_expired",
        "application_fees_not_allowed", "authentication_required", "bank_account_restricted",
        "bank_account_unverified", "card_declined", "card_velocity_exceeded", "charge_already_refunded",
        "charge_disputed", "charge_exceeds_source_limit", "charge_exceeds_weekly_limit", "debit_not_authorized",
        "email_invalid", "expired_card", "fraudulent", "generic_decline", "idempotency_error",
        "idempotency_key_in_use", "incorrect_cvc", "incorrect_number", "india_recurring_payment_mandate_canceled",
        "insufficient_funds", "invalid_source_usage", "livemode_mismatch", "lock_timeout", "lost_card", "missing",
        "no_account", "parameter_invalid_empty", "parameter_invalid_integer", "parameter_missing",
        "parameter_unknown", "parameters_exclusive", "payment_intent_action_required",
        "payment_intent_authentication_failure", "payment_intent_invalid_parameter",
        "payment_intent_unexpected_state", "platform_account_required", "platform_api_key_expired",
        "processing_error", "property_expansion_max_depth", "rate_limit", "resource_missing", "secret_key_required",
        "setup_intent_authentication_failure", "setup_intent_unexpected_state", "stolen_card", "testmode_decline",
        "token_already_used", "tokenized_account_number_deactivated",
    )
)  # fmt: skip
"""Codes and decline codes that the facts name."""

PROVEN_ELSEWHERE = {
    "2.5 Failed authentication": ("test_setup_intents", "test_row_failed_authentication"),
    "4.1 `Stripe-Should-Retry`": (
        "test_kernel_protocol",
        "test_should_retry_is_absent_when_a_request_was_refused_before_it_executed",
    ),
    "6.9 – | `btok_us_account_closed`": (  # noqa: RUF001 - as the document has it
        "test_charges",
        "test_a_legacy_bank_debit_pays_later",
    ),
    '7.4 "Too many charges': (
        "test_charges",
        "test_facts_7_4_a_transfer_group_of_more_than_a_hundred_charges_is_not_listed",
    ),
    "7.7 `request_log_url`": (
        "test_kernel_protocol",
        "test_facts_3_1_an_unknown_account_is_403_account_invalid_without_request_id",
    ),
}
"""Rows about headers, objects or many calls: the module and the test that hold them."""

NOT_PROVOKED = {
    "4.2 Error classes": "about Stripe's SDK for Python, not about what the API answers",
    "6.8 `4000003560000123`": "mandates of Indian cards are not modelled (DEVIATIONS.md)",
    "6.8 `4000003560000263`": "mandates of Indian cards are not modelled (DEVIATIONS.md)",
    "6.9 `000888888885`": "a bank's own tokenised number: the code is inferred, and nothing says when it comes",
    "7.7 `type`": "the list of the types that all other rows use",
}
"""Rows that no request provokes, each with its reason."""

WORDS_NOT_PROVOKED = {
    "No such PaymentMethod: *": "the plain sentence of the years before 2025, whatever the version: now with a hint",
    "This is a restricted API key, but the required permissions are not available for use by restricted keys.": (
        "which permissions restricted keys cannot have is not known"
    ),
    "The provided key 'rk_…' does not have the required permissions for this endpoint on account *. Having the"
    " 'rak_…_write' permission would allow this request to continue.": "the words before those of 2026",
    "no customer is made": "no message: what a refused creation leaves behind",
}
"""Sentences of rows that are provoked otherwise, each with its reason."""

CODES_NOT_PROVOKED = {
    "payment_intent_action_required": "sources differ between this one and authentication_required, which is taken",
    "setup_intent_authentication_failure": "the set-up twin, in test_setup_intents",
    "livemode_mismatch": "documented for cases that nobody has described",
    "application_fees_not_allowed": "Brazilian accounts are not modelled",
    "bank_account_restricted": "an alternative to account_closed on the same row, which is taken",
}
"""Codes of rows that are provoked otherwise, each with its reason."""

NO_REFUSAL = (
    "1.3 `customer` on POST /v1/tokens",
    "2.3 Charge: `application`",
    "6.1 So they can't tell",
    "6.1 Every id below",
    "7.8 `Request-Id` (missing",
    "7.9 Beta suffix",
)
"""Rows with quotation marks, or with a code in passing, around something that is no refusal."""


class Row(NamedTuple):
    """A line of the facts that carries a message or a code."""

    section: str
    text: str

    @property
    def sentences(self) -> list[str]:
        """The messages in it."""
        return [text for text in re.findall(r'"([^"]*)"', self.text) if len(text) > 12 and " " in text]

    @property
    def codes(self) -> set[str]:
        """The error codes in it: set as code, or in the tables of the test cards."""
        told = self.text.rpartition("`[")[0] or self.text
        words = set(re.findall(r"[a-z0-9_]+", told))
        return {code for code in words & CODES if "_" in code or f"`{code}`" in told or f"| {code} |" in told}


@cache
def rows() -> list[Row]:
    """The rows of sections 1 to 8 that carry a message or a code."""
    found, section = [], ""
    for line in FACTS.read_text("utf-8").splitlines():
        if line.startswith("#"):
            number = re.match(r"#+ (\d+(\.\d+)?)\b", line)
            section = number[1] if number else section
        elif section.partition(".")[0] in set("12345678") and line.strip() and not line.startswith("|---"):
            row = Row(section, line.removeprefix("| ").removeprefix("- "))
            if row.sentences or row.codes or "No such " in line:
                found.append(row)
    return found


def naming(row: Row, names: Iterable[str]) -> list[str]:
    """Those of the names that name this row."""
    told = [name.partition(" ") for name in names]
    return [f"{s} {opening}" for s, _, opening in told if s == row.section and row.text.startswith(opening)]


def plain(text: str) -> str:
    """A message without the ids in it, whether they are names of a shop or the placeholders of the document."""
    return re.sub(
        r"'?(\{[^}]*\}|\b(pm|cus|ch|tok|acct|card)_[XYA-Z]\b|\bX\b|sk_test_\*\*\*\*…uCJm)'?", "*", text
    ).strip("…")


@needs_facts
@pytest.mark.shared
def test_every_row_with_a_message_or_a_code_is_provoked() -> None:
    known = [*ROWS, *PROVEN_ELSEWHERE, *NOT_PROVOKED, *NO_REFUSAL]

    forgotten = [f"{row.section} {row.text[:80]}" for row in rows() if not naming(row, known)]

    assert len(rows()) > 150
    assert forgotten == []


@needs_facts
@pytest.mark.shared
def test_every_message_of_a_row_is_one_that_a_case_expects() -> None:
    for row in rows():
        if naming(row, [*NOT_PROVOKED, *NO_REFUSAL, *PROVEN_ELSEWHERE]):
            continue
        cases = [case for case in CASES if naming(row, [case.row])]
        expected = [plain(text) for case in cases for text in (case.like, case.message) if text]
        for sentence in map(plain, row.sentences):
            assert sentence in WORDS_NOT_PROVOKED or any(sentence in text for text in expected), (row.text, expected)


@needs_facts
@pytest.mark.shared
def test_every_code_of_a_row_is_one_that_a_case_expects() -> None:
    later = facts_cards.AUTHENTICATED + facts_cards.UNAUTHENTICATED + facts_cards.DEBITS
    for row in rows():
        if naming(row, [*NOT_PROVOKED, *NO_REFUSAL]):
            continue
        if naming(row, PROVEN_ELSEWHERE) and not naming(row, ROWS):
            continue
        got = {code for case in CASES if naming(row, [case.row]) for code in (case.code, case.decline_code, case.type)}
        got |= {code for one in later if naming(row, [one.row]) for code in (one.code, one.decline_code)}
        got |= {text for case in CASES if naming(row, [case.row]) for text in case.extra.values()}
        assert row.codes - got - set(CODES_NOT_PROVOKED) == set(), row.text


@needs_facts
@pytest.mark.shared
def test_every_case_names_a_row_that_there_is() -> None:
    names = {name for row in rows() for name in naming(row, [*ROWS, *PROVEN_ELSEWHERE, *NOT_PROVOKED, *NO_REFUSAL])}

    assert {*ROWS, *PROVEN_ELSEWHERE, *NOT_PROVOKED, *NO_REFUSAL} - names == set()


@pytest.mark.parametrize(("module", "test"), PROVEN_ELSEWHERE.values())
def test_a_row_that_is_proven_elsewhere_is_proven_there(module: str, test: str) -> None:
    assert f"\ndef {test}(" in Path(__file__).with_name(f"{module}.py").read_text("utf-8")
