"""Bank accounts as payment details: US accounts (PaymentMethod and legacy bank account) and SEPA debits."""

from __future__ import annotations

from typing import Any

from fake_stripe import cards
from fake_stripe.errors import invalid
from fake_stripe.objects.card_details import fingerprint
from fake_stripe.scope import Scope, Wire

TEST_ROUTING = "110000000"
_BANKS = {TEST_ROUTING: "STRIPE TEST BANK"}
DESCRIPTOR_CODES = {"SM11AA": "verified", "SM33CC": "too_many_attempts", "SM44DD": "timeout"}
AMOUNTS = {(32, 45): "verified", (10, 11): "too_many_attempts", (40, 41): "timeout"}
MAX_ATTEMPTS = 10
"""How often amounts may be tried before verification fails for good (docs.stripe.com/ach-deprecated)."""


def instrument(account: cards.BankAccount, *, verified: bool) -> Wire:
    """What is kept, hidden, beside the object: which test account, and whether its owner has proved it."""
    return {
        "type": "us_bank_account",
        "number": account.number,
        "behaviour": account.behaviour,
        "verified": verified,
    }


def us_bank_account(scope: Scope, params: Wire) -> tuple[Wire, Wire]:
    """`payment_method.us_bank_account` and its instrument, from raw details.

    Unverified until micro-deposits are, unless it was linked through Financial Connections.

    Raises:
        ApiError: 400 `routing_number_invalid`, `account_number_invalid` (docs.stripe.com/error-codes).
    """
    routing = str(params.get("routing_number") or TEST_ROUTING)
    number = str(params.get("account_number") or "000123456789")
    check_numbers(routing, number, at="us_bank_account")
    account = cards.bank_account(number)
    shown = _us_shown(scope, number, routing, params)
    linked = shown["financial_connections_account"] is not None
    return shown, instrument(account, verified=linked)


def magic_us_bank_account(scope: Scope, account: cards.BankAccount) -> tuple[Wire, Wire]:
    """The same for a magic id: such accounts are verified, save the one whose micro-deposits fail."""
    shown = _us_shown(scope, account.number, TEST_ROUTING, {})
    return shown, instrument(account, verified=account.behaviour != "microdeposits_fail")


def _us_shown(scope: Scope, number: str, routing: str, params: Wire) -> Wire:
    return {
        "account_holder_type": params.get("account_holder_type") or "individual",
        "account_type": params.get("account_type") or "checking",
        "bank_name": _BANKS.get(routing, "STRIPE TEST BANK"),
        "financial_connections_account": params.get("financial_connections_account") or None,
        "fingerprint": fingerprint(scope, f"{routing}:{number}"),
        "last4": number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": routing,
        "status_details": {},
    }


def check_numbers(routing: str, number: str, *, at: str) -> None:
    """Raises 400 for a routing number that is no ABA number or an account number that is none."""
    if not routing.isdigit() or len(routing) != 9 or not _aba_ok(routing):
        raise invalid(
            "Invalid routing number for US. The number must contain only digits and be 9 characters long.",
            code="routing_number_invalid",
            param=f"{at}[routing_number]",
        )
    if not number.isdigit() or not 4 <= len(number) <= 17:
        raise invalid(
            "You must use a test bank account number in test mode. Try 000123456789 or see more options at"
            " https://stripe.com/docs/connect/testing#account-numbers.",
            code="account_number_invalid",
            param=f"{at}[account_number]",
        )


def _aba_ok(routing: str) -> bool:
    weights = (3, 7, 1) * 3
    return sum(int(digit) * weight for digit, weight in zip(routing, weights, strict=True)) % 10 == 0


def bank_account_object(scope: Scope, params: Wire, *, status: str = "new") -> Wire:
    """A legacy `bank_account` as it stands in a token."""
    country = params.get("country") or "US"
    routing = str(params.get("routing_number") or (TEST_ROUTING if country == "US" else ""))
    number = str(params.get("account_number") or "000123456789")
    if country == "US":
        check_numbers(routing, number, at="bank_account")
    return {
        "id": scope.new_id("ba"),
        "object": "bank_account",
        "account_holder_name": params.get("account_holder_name") or None,
        "account_holder_type": params.get("account_holder_type") or None,
        "account_type": params.get("account_type") or None,
        "bank_name": _BANKS.get(routing, "STRIPE TEST BANK"),
        "country": country,
        "currency": params.get("currency") or "usd",
        "fingerprint": fingerprint(scope, f"{routing}:{number}"),
        "last4": number[-4:],
        "routing_number": routing or None,
        "status": status,
    }


def sepa_debit(scope: Scope, account: cards.SepaDebit) -> tuple[Wire, Wire]:
    """`payment_method.sepa_debit` and its instrument."""
    shown = {
        "bank_code": account.iban[4:12],
        "branch_code": "",
        "country": account.country,
        "fingerprint": fingerprint(scope, account.iban),
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": account.iban[-4:],
    }
    return shown, {"type": "sepa_debit", "number": account.iban, "behaviour": account.behaviour, "verified": True}


def deposit_result(amounts: Any, descriptor_code: str | None, *, fails: bool) -> str:
    """What entered micro-deposits say: `verified`, `mismatch`, `too_many_attempts` or `timeout`.

    The test values are those of docs.stripe.com/ach-direct-debit; an account that fails micro-deposits never matches.
    """
    if descriptor_code is not None:
        found = DESCRIPTOR_CODES.get(descriptor_code.upper(), "mismatch")
    else:
        pair = tuple(sorted(int(amount) for amount in amounts or ()))
        found = AMOUNTS.get((pair[0], pair[1]), "mismatch") if len(pair) == 2 else "mismatch"
    return "mismatch" if fails and found == "verified" else found
