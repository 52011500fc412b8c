"""Objects and errors look to a client of an older API version as that version had them."""

from __future__ import annotations

from typing import Any

import pytest
from fake_stripe.versions import reshape, reshape_error

from tests.fake_stripe.stripe_calls import Api

NEWEST = "2026-08-26.dahlia"


def _declined(version: str) -> dict[str, Any]:
    api = Api(seed="versions")
    params = {"amount": 900, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    status, body, _ = api.send(
        "POST", "/v1/payment_intents", params | {"payment_method": "pm_card_chargeDeclined"}, version=version
    )
    assert status == 402
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("version", "advice", "network"),
    [
        (NEWEST, True, True),
        ("2025-01-27.acacia", True, True),
        ("2024-12-18.acacia", False, True),
        ("2024-11-20.acacia", False, False),
        ("2022-11-15", False, False),
    ],
)
def test_advice_on_declines_shows_from_the_version_that_brought_it(
    version: str, *, advice: bool, network: bool
) -> None:
    error = _declined(version)
    failure = error["payment_intent"]["last_payment_error"]
    assert ("advice_code" in error, "advice_code" in failure) == (advice, advice)
    assert ("network_decline_code" in error, "network_decline_code" in failure) == (network, network)
    assert error["decline_code"] == "generic_decline"


@pytest.mark.parametrize(
    ("version", "shown"), [(NEWEST, False), ("2025-03-31.basil", False), ("2025-02-24.acacia", True)]
)
def test_invoice_of_payments_is_gone_since_basil(version: str, *, shown: bool) -> None:
    intent = Api(seed="versions").post("/v1/payment_intents", amount=900, currency="usd", version=version)
    assert ("invoice" in intent) is shown


def test_objects_inside_lists_and_objects_are_reshaped_and_the_kept_ones_are_not_touched() -> None:
    charge = {"object": "charge", "id": "ch_1", "outcome": {"advice_code": "x"}}
    failure = {"advice_code": "x", "type": "y"}
    intent = {"object": "payment_intent", "id": "pi_1", "latest_charge": charge, "last_payment_error": failure}
    page = {"object": "list", "data": [intent], "url": "/v1/payment_intents"}
    shown = reshape(page, "2023-10-16")
    assert shown["data"][0]["latest_charge"] == {
        "object": "charge",
        "id": "ch_1",
        "outcome": {"advice_code": "x"},
        "invoice": None,
    }
    assert shown["data"][0]["invoice"] is None
    assert shown["data"][0]["last_payment_error"] == {"type": "y"}
    assert failure == {"advice_code": "x", "type": "y"}
    assert "invoice" not in intent


def test_the_newest_versions_show_the_kept_object_itself() -> None:
    page = {"object": "list", "data": [{"object": "charge", "id": "ch_1"}]}
    assert reshape(page, NEWEST) is page
    assert reshape_error(page, NEWEST) is page


def test_a_deleted_object_gains_nothing() -> None:
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    assert reshape(gone, "2022-11-15") == gone


def test_metadata_that_looks_like_an_object_is_left_alone() -> None:
    customer = {"object": "customer", "id": "cus_1", "metadata": {"object": "text"}}
    assert reshape(customer, "2022-11-15") == customer


def test_the_capture_method_of_new_intents_follows_the_version() -> None:
    api = Api(seed="versions")
    for version, expected in (
        ("2023-10-16", "automatic"),
        ("2024-04-10", "automatic_async"),
        (NEWEST, "automatic_async"),
    ):
        made = api.post("/v1/payment_intents", amount=900, currency="usd", version=version)
        assert made["capture_method"] == expected


def test_payment_methods_of_the_dashboard_are_the_default_since_2023_08_16() -> None:
    api = Api(seed="versions")
    old = api.post("/v1/payment_intents", amount=900, currency="usd", version="2022-11-15")
    new = api.post("/v1/payment_intents", amount=900, currency="usd", version="2023-08-16")
    assert (old["automatic_payment_methods"], old["payment_method_types"]) == (None, ["card"])
    assert new["automatic_payment_methods"]["enabled"] is True


def test_charges_and_invoices_can_be_expanded_in_the_versions_that_have_them() -> None:
    api = Api(seed="versions")
    wanted: dict[str, object] = {"amount": 900, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    paid = api.done("POST", "/v1/payment_intents", {"payment_method": "pm_card_visa", **wanted})
    path = f"/v1/payment_intents/{paid['id']}"
    for version in ("2020-08-27", None):
        shown = api.get(path, version=version, expand=["charges.data.balance_transaction", "latest_charge.invoice"])
        assert shown["charges"]["data"][0]["balance_transaction"]["object"] == "balance_transaction"
        assert shown["latest_charge"]["invoice"] is None
    for name, version in (("charges", "2022-11-15"), ("invoice", NEWEST), ("latest_charge.invoice", NEWEST)):
        status, body, _ = api.send("GET", path, {"expand": [name]}, version=version)
        assert (status, body["error"]["message"]) == (400, f"This property cannot be expanded ({name}).")


def test_what_is_not_there_cannot_be_expanded_however_deep_the_wish() -> None:
    api = Api(seed="versions")
    error = api.refused(400, "GET", f"/v1/customers/{api.customer()}", expand=["nothing.of.this"])
    assert error["message"].startswith("This property cannot be expanded (nothing")


def test_versions_before_2020_08_27_cannot_search() -> None:
    api = Api(seed="versions")
    params = {"query": "name:'Ada'"}
    assert api.send("GET", "/v1/customers/search", params, version="2020-08-27")[0] == 200
    status, body, _ = api.send("GET", "/v1/customers/search", params, version="2017-08-15")
    assert status == 400
    assert body["error"]["message"].startswith("Search is not supported on api version 2017-08-15. Update your API")
