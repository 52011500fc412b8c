"""What a captured charge sets in motion: balance transactions, application fee, transfer, dispute."""

from __future__ import annotations

from fake_stripe import cards, processing_fees
from fake_stripe.objects import accounts, application_fees, balance_transactions, disputes, transfers
from fake_stripe.scope import Scope, Wire


def settle(scope: Scope, charge: Wire, *, at_once: bool = False) -> None:
    """Books a captured charge of `scope`: its balance transaction, and the fee or the transfer that goes with it.

    `at_once` makes the funds available without the usual delay.
    """
    amount, currency = charge["amount_captured"], charge["currency"]
    account = accounts.account_of(scope.world, scope.account_id, livemode=scope.livemode)
    stripe = processing_fees.stripe_fee(
        amount, account=account, currency=currency, details=charge["payment_method_details"]
    )
    direct_fee = charge["application_fee_amount"] or 0 if not charge["transfer_data"] else 0
    parts = processing_fees.fee_details(
        stripe=stripe,
        application=direct_fee,
        application_id=scope.world.application,
        currency=currency,
    )
    transaction = balance_transactions.record(
        scope,
        "charge" if charge["id"].startswith("ch_") else "payment",
        amount=amount,
        currency=currency,
        source=charge["id"],
        like=charge["id"],
        fee_details=parts,
        description=charge["description"],
        at_once=at_once,
    )
    scope.update(charge, balance_transaction=transaction["id"])
    if charge["transfer_data"]:
        transfers.follow_charge(scope, charge)
    elif direct_fee and not scope.is_platform:
        fee = application_fees.collect(scope, charge, amount=direct_fee)
        scope.update(charge, application_fee=fee["id"])


def follow(scope: Scope, charge: Wire, outcome: cards.Outcome) -> None:
    """What comes after a captured payment: the platform hears of its fee, a dispute card is disputed."""
    if charge["application_fee"]:
        application_fees.announce(scope, charge["application_fee"])
    if outcome.requirement is not None:
        accounts.ask_more(scope, outcome.requirement)
    if outcome.early_fraud_warning:
        disputes.warn(scope, charge)
    if outcome.dispute is not None:
        for _ in range(outcome.dispute_count):
            disputes.open_for(scope, charge, reason=outcome.dispute, kind=outcome.dispute_kind)
    scope.hidden(charge["id"])["refund"] = outcome.refund


def capture(scope: Scope, charge: Wire, *, amount: int, restated: Wire, outcome: cards.Outcome | None = None) -> None:
    """Captures `amount` minor units of an authorised charge and releases the rest; emits charge.captured.

    `restated` may name application_fee_amount, statement_descriptor and metadata anew.
    """
    details = charge["payment_method_details"]
    if details["type"] == "card":
        card = {name: value for name, value in details["card"].items() if name != "capture_before"}
        details = {**details, "card": card}
    scope.update(
        charge,
        **restated,
        amount_captured=amount,
        amount_refunded=charge["amount"] - amount,
        captured=True,
        payment_method_details=details,
    )
    settle(scope, charge, at_once=outcome is not None and outcome.available_at_once)
    scope.emit("charge.captured", charge)
