"""What hangs on a customer besides payment details: balances and tax ids."""

import pytest

from tests.fake_stripe.stripe_calls import Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_adjustments_change_the_invoice_balance(api: Api) -> None:
    customer = api.customer()
    made = api.post(f"/v1/customers/{customer}/balance_transactions", amount=-500, currency="usd", description="gift")
    assert (made["ending_balance"], made["type"]) == (-500, "adjustment")
    api.post(f"/v1/customers/{customer}/balance_transactions", amount=200, currency="usd")
    assert api.get(f"/v1/customers/{customer}")["balance"] == -300
    listed = api.get(f"/v1/customers/{customer}/balance_transactions")["data"]
    assert [o["amount"] for o in listed] == [200, -500]
    path = f"/v1/customers/{customer}/balance_transactions/{made['id']}"
    assert api.post(path, metadata={"a": "b"})["metadata"] == {"a": "b"}
    assert api.get(path)["description"] == "gift"


def test_a_balance_keeps_its_currency(api: Api) -> None:
    customer = api.customer()
    api.post(f"/v1/customers/{customer}/balance_transactions", amount=-500, currency="usd")
    path = f"/v1/customers/{customer}/balance_transactions"
    assert "usd" in api.refused(400, "POST", path, amount=-500, currency="eur")["message"]


def test_the_cash_balance_knows_how_transfers_are_matched(api: Api) -> None:
    customer = api.customer()
    assert api.get(f"/v1/customers/{customer}/cash_balance")["settings"]["using_merchant_default"] is True
    changed = api.post(f"/v1/customers/{customer}/cash_balance", settings={"reconciliation_mode": "manual"})
    assert changed["settings"] == {"reconciliation_mode": "manual", "using_merchant_default": False}
    assert api.get(f"/v1/customers/{customer}", expand=["cash_balance"])["cash_balance"] == changed


def test_tax_ids_are_added_listed_and_removed(api: Api) -> None:
    made = api.post("/v1/customers", tax_id_data=[{"type": "eu_vat", "value": "DE123456789"}])
    listed = api.get(f"/v1/customers/{made['id']}/tax_ids")["data"]
    assert [(o["country"], o["verification"]["status"]) for o in listed] == [("DE", "pending")]
    second = api.post(f"/v1/customers/{made['id']}/tax_ids", type="us_ein", value="12-3456789")
    path = f"/v1/customers/{made['id']}/tax_ids/{second['id']}"
    assert api.get(path)["value"] == "12-3456789"
    assert api.delete(path)["deleted"] is True
    assert api.refused(404, "GET", path)["code"] == "resource_missing"
    assert api.get(f"/v1/customers/{made['id']}", expand=["tax_ids"])["tax_ids"]["total_count"] == 1
