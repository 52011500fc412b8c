"""Which type of object an id names, by its prefix."""

TYPES: dict[str, str] = {
    "acct": "account",
    "ba": "bank_account",
    "card": "card",
    "ch": "charge",
    "cus": "customer",
    "dp": "dispute",
    "du": "dispute",
    "evt": "event",
    "fee": "application_fee",
    "file": "file",
    "fr": "fee_refund",
    "in": "invoice",
    "ii": "invoiceitem",
    "mandate": "mandate",
    "person": "person",
    "pi": "payment_intent",
    "plan": "plan",
    "pm": "payment_method",
    "po": "payout",
    "price": "price",
    "prod": "product",
    "promo": "promotion_code",
    "py": "charge",
    "pyr": "refund",
    "re": "refund",
    "setatt": "setup_attempt",
    "seti": "setup_intent",
    "si": "subscription_item",
    "src": "source",
    "sub": "subscription",
    "tok": "token",
    "tr": "transfer",
    "trr": "transfer_reversal",
    "txn": "balance_transaction",
    "txr": "tax_rate",
    "we": "webhook_endpoint",
    "cs": "checkout.session",
    "clock": "test_helpers.test_clock",
}


def type_of(id: str) -> str | None:  # noqa: A002 - Stripe's name
    """The object type that an id's prefix stands for, or None."""
    return TYPES.get(id.partition("_")[0])
