"""Accounts: kinds, requirements, capabilities, external accounts, persons, and the end of access."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api, Wire

ACCOUNTS = "/v1/accounts"
BANK: Wire = {
    "object": "bank_account",
    "country": "US",
    "currency": "usd",
    "routing_number": "110000000",
    "account_number": "000123456789",
}
COMPLETE: Wire = {
    "business_type": "individual",
    "business_profile": {"mcc": "5734", "url": "https://seller.example"},
    "external_account": BANK,
    "tos_acceptance": {"date": 1700000000, "ip": "203.0.113.7"},
    "individual": {
        "first_name": "Jenny",
        "last_name": "Rosen",
        "email": "jenny@example.com",
        "phone": "+15555550123",
        "dob": {"day": 1, "month": 1, "year": 1990},
        "address": {"line1": "1 Main St", "city": "Springfield", "postal_code": "12345", "state": "IL"},
        "ssn_last_4": "0000",
    },
}
WANTED: Wire = {"capabilities": {"card_payments": {"requested": True}, "transfers": {"requested": True}}}


@pytest.fixture
def api() -> Api:
    return Api()


def account(api: Api, **params: Any) -> Wire:
    return api.post(ACCOUNTS, **params)


def test_a_standard_account_starts_with_nothing_enabled(api: Api) -> None:
    made = account(api, type="standard", country="AU", email="seller@example.com")
    assert (made["type"], made["country"], made["default_currency"]) == ("standard", "AU", "aud")
    assert (made["charges_enabled"], made["payouts_enabled"], made["capabilities"]) == (False, False, {})
    assert made["requirements"]["disabled_reason"] == "requirements.past_due"
    assert "external_account" in made["requirements"]["currently_due"]
    assert made["controller"]["stripe_dashboard"]["type"] == "full"


@pytest.mark.parametrize(
    ("controller", "kind"),
    [
        ({"stripe_dashboard": {"type": "full"}}, "standard"),
        (
            {
                "stripe_dashboard": {"type": "express"},
                "losses": {"payments": "application"},
                "fees": {"payer": "application"},
            },
            "express",
        ),
        (
            {
                "stripe_dashboard": {"type": "none"},
                "losses": {"payments": "application"},
                "requirement_collection": "application",
                "fees": {"payer": "application"},
            },
            "custom",
        ),
        ({"stripe_dashboard": {"type": "none"}, "losses": {"payments": "stripe"}}, "none"),
    ],
)
def test_the_controller_tells_the_type(api: Api, controller: Wire, kind: str) -> None:
    assert account(api, controller=controller)["type"] == kind


def test_type_and_controller_exclude_each_other(api: Api) -> None:
    error = api.refused(400, "POST", ACCOUNTS, type="custom", controller={"stripe_dashboard": {"type": "none"}})
    assert error["code"] == "parameters_exclusive"


def test_an_unknown_country_is_refused(api: Api) -> None:
    assert api.refused(400, "POST", ACCOUNTS, country="USA")["code"] == "country_unsupported"


def test_a_custom_account_with_everything_given_can_charge(api: Api) -> None:
    made = account(api, type="custom", country="US", **WANTED, **COMPLETE)
    assert made["requirements"]["currently_due"] == []
    assert made["capabilities"] == {"card_payments": "active", "transfers": "active"}
    assert (made["charges_enabled"], made["payouts_enabled"], made["details_submitted"]) == (True, True, True)


def test_a_custom_account_without_details_is_told_what_is_due(api: Api) -> None:
    made = account(api, type="custom", country="US", business_type="individual", **WANTED)
    assert made["capabilities"] == {"card_payments": "inactive", "transfers": "inactive"}
    assert "individual.first_name" in made["requirements"]["currently_due"]
    assert made["charges_enabled"] is False


def test_an_update_that_completes_it_enables_it_and_says_so(api: Api) -> None:
    made = account(api, type="custom", country="US", **WANTED)
    done = api.post(f"{ACCOUNTS}/{made['id']}", **COMPLETE, metadata={"a": "1"})
    assert (done["charges_enabled"], done["metadata"]) == (True, {"a": "1"})
    events = api.events(account=made["id"])
    assert events.count("capability.updated") == 2
    assert "account.updated" in events
    changed = api.get("/v1/events", account=made["id"], type="account.updated")["data"][0]
    assert changed["data"]["previous_attributes"]["charges_enabled"] is False


def test_the_account_acts_from_the_moment_it_is_made(api: Api) -> None:
    made = account(api, type="standard", country="AU")
    paid = api.post(
        "/v1/payment_intents",
        account=made["id"],
        amount=1000,
        currency="aud",
        payment_method="pm_card_visa",
        payment_method_types=["card"],
        confirm=True,
    )
    assert paid["status"] == "succeeded"


def test_get_account_names_the_account_acted_upon(api: Api) -> None:
    assert api.get("/v1/account")["id"] == api.world.platform
    assert api.get("/v1/account", account=SELLER)["id"] == SELLER
    assert api.get(f"{ACCOUNTS}/{SELLER}")["id"] == SELLER


def test_the_list_shows_connected_accounts_only(api: Api) -> None:
    api.get("/v1/account")
    made = [account(api)["id"] for _ in range(2)]
    assert [o["id"] for o in api.get(ACCOUNTS)["data"]][:2] == made[::-1]
    assert api.world.platform not in [o["id"] for o in api.get(ACCOUNTS)["data"]]


def test_a_deleted_account_is_out_of_reach(api: Api) -> None:
    made = account(api)["id"]
    assert api.delete(f"{ACCOUNTS}/{made}") == {"id": made, "object": "account", "deleted": True}
    assert api.refused(403, "GET", f"{ACCOUNTS}/{made}")["code"] == "account_invalid"
    assert api.refused(403, "GET", "/v1/customers", account=made)["code"] == "account_invalid"


def test_row_access_removed(api: Api) -> None:
    from fake_stripe.objects import accounts

    event = accounts.deauthorize(api.world, SELLER)
    assert event["type"] == "account.application.deauthorized"
    assert event["account"] == SELLER
    assert event["data"]["object"]["id"] == api.world.application
    error = api.refused(403, "POST", "/v1/customers", account=SELLER)
    assert error["code"] == "account_invalid"
    assert f"does not have access to account '{SELLER}' (or that account does not exist)" in error["message"]


def test_a_rejected_account_can_neither_charge_nor_be_paid_out(api: Api) -> None:
    made = account(api, type="custom", country="US", **WANTED, **COMPLETE)
    done = api.post(f"{ACCOUNTS}/{made['id']}/reject", reason="fraud")
    assert (done["charges_enabled"], done["payouts_enabled"]) == (False, False)
    assert done["requirements"]["disabled_reason"] == "rejected.fraud"


# ---- not ready


def pay(api: Api, made: Wire, key: str | None = None) -> tuple[int, Wire]:
    params = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "payment_method_types": ["card"]}
    status, body, _ = api.send("POST", "/v1/payment_intents", {**params, "confirm": True}, account=made["id"], key=key)
    return status, body


def test_row_no_card_payments_capability(api: Api) -> None:
    made = account(api, type="custom", country="US")
    api.world.set_policy({"capabilities": "enforced"}, made["id"])
    status, body = pay(api, made)
    assert status == 400
    assert body["error"]["message"] == (
        "You cannot create a charge on a connected account without the `card_payments` capability enabled."
    )


def test_row_test_mode_is_lax(api: Api) -> None:
    made = account(api, type="standard", country="AU")
    assert made["charges_enabled"] is False
    assert pay(api, made)[0] == 200


def test_row_live_and_disabled(api: Api) -> None:
    from fake_stripe.errors import ApiError
    from fake_stripe.objects.payment_intent_params import check_account

    made = account(api, type="standard", country="AU")["id"]
    api.world.set_policy({"capabilities": "enforced"}, made)
    live = api.world.scope(made, livemode=True)
    home = api.world.platform_scope(livemode=True)
    home.insert({**api.world.platform_scope(livemode=False).require("account", made)})
    with pytest.raises(ApiError, match="This Connect account cannot currently make live charges") as no:
        check_account(live)
    assert no.value.status == 400


def test_an_account_that_was_connected_complete_stays_so_when_it_is_changed(api: Api) -> None:
    changed = api.post(f"{ACCOUNTS}/{SELLER}", business_profile={"name": "Tea"})
    assert (changed["business_profile"]["name"], changed["charges_enabled"]) == ("Tea", True)


@pytest.mark.parametrize(
    ("token", "charges", "payouts"),
    [
        ("tok_visa_triggerVerification", True, True),
        ("tok_visa_triggerTransferBlock", True, False),
        ("tok_visa_triggerChargeBlock", False, False),
    ],
)
def test_row_trigger_tokens_ask_more_of_the_account(api: Api, token: str, charges: bool, payouts: bool) -> None:
    api.post("/v1/charges", account=SELLER, amount=1000, currency="usd", source=token)
    after = api.get(f"{ACCOUNTS}/{SELLER}")
    assert after["requirements"]["currently_due"] == ["individual.verification.document"]
    assert (after["charges_enabled"], after["payouts_enabled"]) == (charges, payouts)
    assert api.events(account=SELLER)[-1] == "account.updated"


# ---- capabilities


def test_capabilities_are_listed_and_given_back(api: Api) -> None:
    made = account(api, type="custom", country="US", **WANTED, **COMPLETE)
    path = f"{ACCOUNTS}/{made['id']}/capabilities"
    assert [o["id"] for o in api.get(path)["data"]] == ["card_payments", "transfers"]
    assert api.get(f"{path}/transfers")["status"] == "active"
    assert api.post(f"{path}/transfers", requested=False)["status"] == "unrequested"
    assert "transfers" not in api.get(f"{ACCOUNTS}/{made['id']}")["capabilities"]


def test_the_older_list_of_capabilities_is_still_taken(api: Api) -> None:
    made = account(api, type="custom", country="US", requested_capabilities=["card_payments"], **COMPLETE)
    assert made["capabilities"] == {"card_payments": "active"}


# ---- external accounts and persons


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"routing_number": "123"}, "routing_number_invalid"), ({"account_number": "12"}, "account_number_invalid")],
)
def test_an_external_account_with_numbers_no_us_bank_has_is_refused(api: Api, wrong: Wire, code: str) -> None:
    made = api.post(ACCOUNTS, type="custom", country="US")
    path = f"{ACCOUNTS}/{made['id']}/external_accounts"
    error = api.refused(400, "POST", path, external_account={**BANK, **wrong})
    assert (error["code"], error["param"]) == (code, f"external_account[{next(iter(wrong))}]")
    assert api.get(path)["data"] == []


def test_external_accounts_come_and_go(api: Api) -> None:
    made = account(api, type="custom", country="US")
    path = f"{ACCOUNTS}/{made['id']}/external_accounts"
    first = api.post(path, external_account=BANK)
    second = api.post(path, external_account={**BANK, "account_number": "000111111116"}, metadata={"a": "1"})
    assert (first["default_for_currency"], second["default_for_currency"]) == (True, False)
    assert (first["last4"], first["routing_number"]) == ("6789", "110000000")
    assert [o["id"] for o in api.get(path, object="bank_account")["data"]] == [first["id"], second["id"]]
    assert api.get(f"{ACCOUNTS}/{made['id']}")["external_accounts"]["total_count"] == 2
    assert "default external account" in api.refused(400, "DELETE", f"{path}/{first['id']}")["message"]
    api.post(f"{path}/{second['id']}", default_for_currency=True)
    assert api.delete(f"{path}/{first['id']}")["deleted"] is True
    assert api.refused(404, "GET", f"{path}/{first['id']}")["code"] == "resource_missing"


def test_a_bank_account_token_of_the_platform_becomes_an_external_account(api: Api) -> None:
    token = api.post("/v1/tokens", bank_account={k: v for k, v in BANK.items() if k != "object"})["id"]
    made = account(api, type="custom", country="US", external_account=token)
    bank = made["external_accounts"]["data"][0]
    assert (bank["last4"], bank["account"], bank["default_for_currency"]) == ("6789", made["id"], True)
    path = f"{ACCOUNTS}/{made['id']}/external_accounts"
    assert api.refused(400, "POST", path, external_account=token)["code"] == "token_already_used"


def test_the_individual_is_a_person_of_the_account(api: Api) -> None:
    made = account(api, type="custom", country="US", **COMPLETE)
    person = made["individual"]
    assert (person["first_name"], person["relationship"]["representative"]) == ("Jenny", True)
    assert person["ssn_last_4_provided"] is True
    assert "ssn_last_4" not in person
    assert [o["id"] for o in api.get(f"{ACCOUNTS}/{made['id']}/persons")["data"]] == [person["id"]]


def test_persons_come_change_and_go(api: Api) -> None:
    made = account(api, type="custom", country="US", business_type="company")
    path = f"{ACCOUNTS}/{made['id']}/persons"
    owner = api.post(path, first_name="Ann", relationship={"owner": True, "percent_ownership": "60"})
    api.post(path, first_name="Bob", relationship={"executive": True})
    assert [o["first_name"] for o in api.get(path, relationship={"owner": True})["data"]] == ["Ann"]
    assert api.post(f"{path}/{owner['id']}", last_name="Lee")["last_name"] == "Lee"
    assert api.delete(f"{path}/{owner['id']}")["deleted"] is True
    assert api.refused(404, "GET", f"{path}/{owner['id']}")["code"] == "resource_missing"
    assert [e for e in api.events(account=made["id"]) if e.startswith("person.")] == [
        "person.created",
        "person.created",
        "person.updated",
        "person.deleted",
    ]


def test_a_company_in_the_united_states_is_asked_for_itself_its_owners_and_a_representative(api: Api) -> None:
    made = account(api, type="custom", country="US", business_type="company", **WANTED)
    due = made["requirements"]
    assert made["company"]["owners_provided"] is False
    asked = {"company.owners_provided", "owners.email", "representative.ssn_last_4", "company.address.state"}
    assert asked <= set(due["currently_due"])
    assert "owners.dob.day" in set(due["eventually_due"]) - set(due["currently_due"])
    assert due["alternatives"][0]["original_fields_due"] == ["business_profile.url"]


def test_a_representative_is_asked_for_what_is_missing_and_so_is_the_account(api: Api) -> None:
    made = account(api, type="custom", country="US", business_type="company", **WANTED)
    role = {"representative": True, "title": "CEO"}
    person = api.post(f"{ACCOUNTS}/{made['id']}/persons", first_name="Rep", last_name="Resentative", relationship=role)
    assert "ssn_last_4" in person["requirements"]["currently_due"]
    due = api.get(f"{ACCOUNTS}/{made['id']}")["requirements"]["currently_due"]
    assert f"{person['id']}.ssn_last_4" in due
    assert not any(name.startswith("representative.") for name in due)
    rest = {name: COMPLETE["individual"][name] for name in ("email", "phone", "dob", "address", "ssn_last_4")}
    assert api.post(f"{ACCOUNTS}/{made['id']}/persons/{person['id']}", **rest)["requirements"]["currently_due"] == []


def test_a_company_that_gave_everything_may_charge(api: Api) -> None:
    made = account(api, type="custom", country="US", business_type="company", **WANTED)
    path = f"{ACCOUNTS}/{made['id']}"
    person = {**COMPLETE["individual"], "relationship": {"representative": True, "owner": True, "title": "CEO"}}
    api.post(f"{path}/persons", **person)
    company = {
        "name": "Hats Inc",
        "phone": "+15555550123",
        "tax_id": "000000000",
        "address": COMPLETE["individual"]["address"],
        "owners_provided": True,
    }
    given = {name: value for name, value in COMPLETE.items() if name not in ("business_type", "individual")}
    done = api.post(path, company=company, **given)
    assert done["requirements"]["currently_due"] == []
    assert done["charges_enabled"] is True
    assert done["settings"]["payments"]["statement_descriptor"] == "HATS INC"


def test_a_share_of_a_company_is_kept_when_its_holder_is_no_owner_any_more(api: Api) -> None:
    made = account(api, type="custom", country="US", business_type="company")
    path = f"{ACCOUNTS}/{made['id']}/persons"
    person = api.post(path, first_name="Ann", relationship={"owner": True, "percent_ownership": "100"})
    after = api.post(f"{path}/{person['id']}", relationship={"owner": False})
    assert after["relationship"]["percent_ownership"] == 100.0


@pytest.mark.parametrize(("kind", "form"), [("standard", "s"), ("express", "e"), ("custom", "c")])
def test_an_account_link_leads_to_the_onboarding_of_its_kind_for_five_minutes(api: Api, kind: str, form: str) -> None:
    made = account(api, type=kind, country="US")["id"]
    link = api.done(
        "POST",
        "/v1/account_links",
        {
            "account": made,
            "refresh_url": "https://a.example/r",
            "return_url": "https://a.example/b",
            "type": "account_onboarding",
        },
    )
    assert link["url"].startswith(f"https://connect.stripe.com/setup/{form}/{made}/")
    assert link["expires_at"] - link["created"] == 300


def test_a_link_to_an_account_of_nobody_is_refused(api: Api) -> None:
    status, body, _ = api.send("POST", "/v1/account_links", {"account": "acct_1Nope", "type": "account_onboarding"})
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "resource_missing", "account")


def test_a_login_link_is_for_onboarded_express_accounts(api: Api) -> None:
    made = account(api, type="express", country="US", **WANTED)
    error = api.refused(400, "POST", f"{ACCOUNTS}/{made['id']}/login_links")
    assert error["message"] == "Cannot create a login link for an account that has not completed onboarding."
    other = account(api, type="custom", country="US")
    api.refused(400, "POST", f"{ACCOUNTS}/{other['id']}/login_links")
    api.world.platform_scope(False).update(
        api.world.platform_scope(False).require("account", made["id"]), details_submitted=True
    )
    link = api.post(f"{ACCOUNTS}/{made['id']}/login_links")
    assert link["url"].startswith("https://connect.stripe.com/express/")
