"""Money that moved: fees, balance transactions, the balance; all in minor units."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire


@pytest.fixture
def api() -> Api:
    return Api()


def paid(api: Api, account: str | None = None, magic: str = "pm_card_visa", **params: Any) -> Wire:
    given = {"amount": 1000, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    made = api.post("/v1/payment_intents", account=account, payment_method=magic, **{**given, **params})
    charge = api.get(f"/v1/charges/{made['latest_charge']}", account=account, expand=["balance_transaction"])
    transaction: Wire = charge["balance_transaction"]
    return transaction


@pytest.mark.parametrize(
    ("magic", "amount", "fee"),
    [("pm_card_visa", 950, 58), ("pm_card_visa", 1000, 59), ("pm_card_gb", 1000, 74), ("pm_card_visa", 50, 31)],
)
def test_stripes_fee_is_2_9_percent_and_30_and_more_for_foreign_cards(
    api: Api, magic: str, amount: int, fee: int
) -> None:
    transaction = paid(api, magic=magic, amount=amount)
    assert (transaction["fee"], transaction["net"]) == (fee, amount - fee)
    assert [part["type"] for part in transaction["fee_details"]] == ["stripe_fee"]


def test_row_direct_charge_has_both_fees(api: Api) -> None:
    transaction = paid(api, SELLER, application_fee_amount=100)
    parts = {part["type"]: part for part in transaction["fee_details"]}
    assert (parts["application_fee"]["amount"], parts["stripe_fee"]["amount"]) == (100, 59)
    assert parts["application_fee"]["application"] == api.world.application
    assert transaction["net"] == 1000 - 159


def test_row_the_platform_books_its_earning(api: Api) -> None:
    paid(api, SELLER, application_fee_amount=100)
    booked = api.get("/v1/balance_transactions", type="application_fee")["data"]
    assert [(o["amount"], o["reporting_category"]) for o in booked] == [(100, "platform_earning")]
    fee = api.get("/v1/application_fees")["data"][0]
    assert (fee["balance_transaction"], fee["account"]) == (booked[0]["id"], SELLER)


def test_funds_are_pending_until_their_day(api: Api) -> None:
    transaction = paid(api)
    assert transaction["status"] == "pending"
    assert transaction["available_on"] % 86_400 == 0
    before = api.get("/v1/balance")
    assert (before["available"][0]["amount"], before["pending"][0]["amount"]) == (0, 941)
    api.world.advance(8 * 86_400)
    after = api.get("/v1/balance")
    assert (after["available"][0]["amount"], after["pending"][0]["amount"]) == (941, 0)
    assert api.get(f"/v1/balance_transactions/{transaction['id']}")["status"] == "available"


def test_the_funds_of_each_day_become_available_on_their_own(api: Api) -> None:
    for days in (0, 1, 1):
        api.world.advance(days * 86_400)
        paid(api)
    api.world.advance(5 * 86_400)  # the day of the first one; the others follow, each on its day

    sides = []
    for _ in range(3):
        balance = api.get("/v1/balance")
        sides.append((balance["available"][0]["amount"], balance["pending"][0]["amount"]))
        api.world.advance(86_400)

    assert sides == [(941, 1882), (1882, 941), (2823, 0)]


def test_what_a_payment_has_to_remember_of_the_balance_does_not_grow_with_those_before(api: Api) -> None:
    scope = api.world.platform_scope(livemode=False)
    sizes = []
    for _ in range(3):
        paid(api)
        sizes.append(len(scope.hidden("balance")["usd"]["maturing"]))

    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("magic", ["pm_card_bypassPending", "pm_card_bypassPendingInternational"])
def test_row_bypass_pending_is_available_at_once(api: Api, magic: str) -> None:
    assert paid(api, magic=magic)["status"] == "available"
    assert api.get("/v1/balance")["pending"][0]["amount"] == 0


def test_row_stripes_fee_is_not_returned_by_a_refund(api: Api) -> None:
    transaction = paid(api)
    api.post("/v1/refunds", charge=transaction["source"])
    assert api.get("/v1/balance")["pending"][0]["amount"] == -59


def test_balances_are_kept_by_currency_and_account(api: Api) -> None:
    paid(api, currency="eur")
    paid(api, SELLER)
    pending = {part["currency"]: part["amount"] for part in api.get("/v1/balance")["pending"]}
    assert pending == {"usd": 0, "eur": 1000 - 69}
    assert api.get("/v1/balance", account=SELLER)["pending"][0]["amount"] == 941


def test_balance_transactions_are_listed_by_source_and_type(api: Api) -> None:
    transaction = paid(api)
    paid(api)
    refund = api.post("/v1/refunds", charge=transaction["source"])
    path = "/v1/balance_transactions"
    assert [o["id"] for o in api.get(path, source=transaction["source"])["data"]] == [transaction["id"]]
    assert [o["id"] for o in api.get(path, type="refund")["data"]] == [refund["balance_transaction"]]
    assert len(api.get(path)["data"]) == 3


def test_every_balance_is_the_sum_of_its_transactions(api: Api) -> None:
    paid(api, SELLER, application_fee_amount=100)
    paid(api, transfer_data={"destination": SELLER}, application_fee_amount=50)
    paid(api, magic="pm_card_createDispute")
    for account in (None, SELLER):
        moved = api.get("/v1/balance_transactions", account=account, limit=100)["data"]
        balance = api.get("/v1/balance", account=account)
        total = sum(part["amount"] for side in ("available", "pending") for part in balance[side])
        assert total == sum(o["net"] for o in moved)


def test_transfers_move_money_between_accounts(api: Api) -> None:
    paid(api, magic="pm_card_bypassPending", amount=5000)
    sent = api.post("/v1/transfers", amount=2000, currency="usd", destination=SELLER, metadata={"a": "1"})
    arrived = api.get(f"/v1/charges/{sent['destination_payment']}", account=SELLER)
    assert (arrived["amount"], arrived["source_transfer"]) == (2000, sent["id"])
    api.post(f"/v1/transfers/{sent['id']}/reversals", amount=500)
    assert api.get(f"/v1/transfers/{sent['id']}")["amount_reversed"] == 500
    error = api.refused(400, "POST", f"/v1/transfers/{sent['id']}/reversals", amount=1600)
    assert error["param"] == "amount"
    gone = api.refused(400, "POST", "/v1/transfers", amount=1, currency="usd", destination="acct_1Nobody")
    assert gone["message"] == "No such destination: 'acct_1Nobody'"


def funded(api: Api, number: str = "000123456789") -> str:
    """A connected account with a bank account and 4,825 cents available."""
    bank = {
        "object": "bank_account",
        "country": "US",
        "currency": "usd",
        "routing_number": "110000000",
        "account_number": number,
    }
    account = str(api.post("/v1/accounts", type="custom", country="US", external_account=bank)["id"])
    paid(api, account, magic="pm_card_bypassPending", amount=5000)
    return account


def test_a_payout_takes_from_the_balance_and_arrives_later(api: Api) -> None:
    account = funded(api)
    made = api.post("/v1/payouts", account=account, amount=4000, currency="usd")
    assert (made["status"], made["type"], made["destination"][:3]) == ("pending", "bank_account", "ba_")
    assert api.get("/v1/balance", account=account)["available"][0]["amount"] == 825
    api.world.settle()
    assert api.get(f"/v1/payouts/{made['id']}", account=account)["status"] == "paid"
    assert api.events(account=account)[-2:] == ["payout.created", "payout.paid"]
    assert api.refused(400, "POST", f"/v1/payouts/{made['id']}/cancel", account=account)["message"].startswith(
        "Payouts"
    )


def test_a_payout_needs_money_and_a_destination(api: Api) -> None:
    account = funded(api)
    error = api.refused(400, "POST", "/v1/payouts", account=account, amount=4826, currency="usd")
    assert error["code"] == "balance_insufficient"
    error = api.refused(400, "POST", "/v1/payouts", account=account, amount=100, currency="eur")
    assert "external accounts in that currency (eur)" in error["message"]
    error = api.refused(400, "POST", "/v1/payouts", account=account, amount=1, currency="usd", destination="ba_no")
    assert (error["code"], error["param"]) == ("resource_missing", "destination")


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_a_payout_that_does_not_arrive_gives_the_money_back(api: Api, end: str) -> None:
    account = funded(api, "000111111116")
    made = api.post("/v1/payouts", account=account, amount=4000, currency="usd", metadata={"a": "1"})
    if end == "canceled":
        api.post(f"/v1/payouts/{made['id']}/cancel", account=account)
    api.world.settle()
    after = api.get("/v1/payouts", account=account)["data"][0]
    assert (after["status"], after["metadata"]) == (end, {"a": "1"})
    assert after["failure_balance_transaction"].startswith("txn_")
    assert api.get("/v1/balance", account=account)["available"][0]["amount"] == 4825
