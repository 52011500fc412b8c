"""Expansion (facts §7.3), lists and searches (facts §7.4)."""

from typing import Any

import pytest

from tests.fake_stripe.stripe_calls import SELLER, Api


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def payment(api: Api) -> dict[str, Any]:
    customer, card = api.saved_card(account=SELLER)
    return api.post(
        "/v1/payment_intents",
        account=SELLER,
        amount=2000,
        currency="usd",
        customer=customer,
        payment_method=card,
        payment_method_types=["card"],
        confirm=True,
        application_fee_amount=100,
    )


# ---- expand


def test_an_id_is_replaced_by_its_object_and_the_stored_one_stays_as_it_is(api: Api, payment: dict[str, Any]) -> None:
    path = f"/v1/payment_intents/{payment['id']}"
    shown = api.get(path, account=SELLER, expand=["customer", "latest_charge.balance_transaction"])
    assert shown["customer"]["object"] == "customer"
    assert shown["latest_charge"]["balance_transaction"]["object"] == "balance_transaction"
    assert shown["payment_method"] == payment["payment_method"]
    assert api.get(path, account=SELLER)["customer"] == payment["customer"]


def test_expansion_works_on_creates_and_inside_hashes(api: Api) -> None:
    customer, card = api.saved_card()
    params: dict[str, Any] = {
        "invoice_settings": {"default_payment_method": card},
        "expand": ["invoice_settings.default_payment_method"],
    }
    shown = api.post(f"/v1/customers/{customer}", **params)
    assert shown["invoice_settings"]["default_payment_method"]["id"] == card


def test_in_lists_paths_begin_with_data(api: Api, payment: dict[str, Any]) -> None:
    shown = api.get("/v1/payment_intents", account=SELLER, expand=["data.customer"])
    assert shown["data"][0]["customer"]["id"] == payment["customer"]
    error = api.refused(400, "GET", "/v1/payment_intents", account=SELLER, expand=["customer"])
    assert error["message"].startswith("This property cannot be expanded (customer).")


def test_expansion_crosses_to_the_platform_for_the_application_fee(api: Api, payment: dict[str, Any]) -> None:
    shown = api.get(f"/v1/charges/{payment['latest_charge']}", account=SELLER, expand=["application_fee"])
    assert shown["application_fee"]["object"] == "application_fee"
    assert shown["application_fee"]["account"] == SELLER


def test_a_property_that_cannot_be_expanded_is_refused_and_nothing_is_written(api: Api) -> None:
    error = api.refused(400, "POST", "/v1/customers", expand=["email"], email="a@b.co")
    assert error["message"].startswith("This property cannot be expanded (email).")
    assert api.get("/v1/customers")["data"] == []


def test_more_than_four_levels_are_refused(api: Api) -> None:
    error = api.refused(400, "GET", "/v1/charges", expand=["data.a.b.c.d.e"])
    assert error["code"] == "property_expansion_max_depth"
    assert error["message"] == "You cannot expand more than 4 levels of a property. Property: data.a.b.c.d.e"


def test_the_data_of_a_list_is_one_of_the_four_levels(api: Api) -> None:
    deepest = "data.payment_intent.customer.default_source"
    assert api.get("/v1/charges", expand=[deepest])["data"] == []
    error = api.refused(400, "GET", "/v1/charges", expand=[f"{deepest}.customer"])
    assert error["code"] == "property_expansion_max_depth"
    owner = api.customer(source="tok_visa")
    api.post("/v1/charges", amount=500, currency="usd", customer=owner)
    intent = api.post(
        "/v1/payment_intents",
        amount=500,
        currency="usd",
        customer=owner,
        confirm=True,
        payment_method=api.saved_card(customer=owner)[1],
        payment_method_types=["card"],
    )
    charge = api.get(
        f"/v1/charges/{intent['latest_charge']}", expand=["payment_intent.customer.default_source.customer"]
    )
    assert charge["payment_intent"]["customer"]["default_source"]["customer"]["id"] == owner


def test_an_expandable_member_that_is_null_stays_null(api: Api) -> None:
    assert api.post("/v1/payment_intents", amount=100, currency="usd", expand=["customer"])["customer"] is None


def test_members_hidden_by_default_appear_when_expanded(api: Api) -> None:
    made = api.customer()
    assert "sources" not in api.get(f"/v1/customers/{made}")
    assert api.get(f"/v1/customers/{made}", expand=["sources"])["sources"]["object"] == "list"


# ---- lists


@pytest.fixture
def five(api: Api) -> list[str]:
    api.world.clock.freeze(1_800_000_000)
    made = []
    for number in range(5):
        made.append(api.customer(email=f"{number % 2}@b.co"))
        api.world.clock.advance(10)
    return made


def ids(page: dict[str, Any]) -> list[str]:
    return [found["id"] for found in page["data"]]


def test_a_list_is_newest_first_with_its_url_and_says_whether_there_is_more(api: Api, five: list[str]) -> None:
    page = api.get("/v1/customers", limit=3)
    assert list(page) == ["object", "data", "has_more", "url"]
    assert (page["object"], page["url"], page["has_more"]) == ("list", "/v1/customers", True)
    assert ids(page) == five[:1:-1]
    assert api.get("/v1/customers", limit=5)["has_more"] is False


def test_starting_after_goes_on_behind_an_object(api: Api, five: list[str]) -> None:
    page = api.get("/v1/customers", limit=2, starting_after=five[3])
    assert (ids(page), page["has_more"]) == ([five[2], five[1]], True)
    assert api.get("/v1/customers", limit=2, starting_after=five[1])["has_more"] is False


def test_ending_before_gives_the_page_right_before_an_object(api: Api, five: list[str]) -> None:
    page = api.get("/v1/customers", limit=2, ending_before=five[0])
    assert (ids(page), page["has_more"]) == ([five[2], five[1]], True)
    page = api.get("/v1/customers", limit=4, ending_before=five[0])
    assert (ids(page), page["has_more"]) == (five[:0:-1], False)


def test_facts_7_4_both_cursors_at_once_are_refused(api: Api, five: list[str]) -> None:
    error = api.refused(400, "GET", "/v1/customers", starting_after=five[0], ending_before=five[1])
    assert error["message"] == "Received both starting_after and ending_before parameters. Please pass in only one."


@pytest.mark.parametrize("cursor", ["starting_after", "ending_before"])
def test_facts_7_4_an_unknown_cursor_is_resource_missing(api: Api, five: list[str], cursor: str) -> None:
    error = api.refused(400, "GET", "/v1/customers", **{cursor: "cus_nobody"})
    assert (error["code"], error["param"]) == ("resource_missing", cursor)
    assert error["message"] == "No such customer: 'cus_nobody'"


def test_facts_7_4_a_limit_out_of_range_is_clamped(api: Api, five: list[str]) -> None:
    assert len(api.get("/v1/customers", limit=1000)["data"]) == 5
    assert len(api.get("/v1/customers", limit=0)["data"]) == 1


def test_lists_are_filtered_by_when_objects_were_created(api: Api, five: list[str]) -> None:
    start = 1_800_000_000
    assert ids(api.get("/v1/customers", created={"gte": start + 20})) == five[:1:-1]
    assert ids(api.get("/v1/customers", created={"gt": start + 20, "lt": start + 40})) == [five[3]]
    assert ids(api.get("/v1/customers", created={"lte": start})) == [five[0]]
    assert ids(api.get("/v1/customers", created=start + 10)) == [five[1]]


def test_a_filter_and_a_cursor_go_together(api: Api, five: list[str]) -> None:
    page = api.get("/v1/customers", email="0@b.co", limit=1, starting_after=five[4])
    assert (ids(page), page["has_more"]) == ([five[2]], True)


# ---- search


@pytest.fixture
def people(api: Api) -> dict[str, str]:
    made = {
        "ann": api.customer(email="ann@example.com", name="Ann Lee", metadata={"tier": "gold"}),
        "bob": api.customer(email="bob@example.com", name="Bob O'Neil", phone="123"),
        "cid": api.customer(email="cid@sample.org", name="Cid", metadata={"tier": "tin", "tag": "x"}),
    }
    return {value: key for key, value in made.items()}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email:'ann@example.com'", ["ann"]),
        ('email:"ANN@example.com"', ["ann"]),
        ("email~'example'", ["bob", "ann"]),
        ("-email~'example'", ["cid"]),
        ("metadata['tier']:'gold'", ["ann"]),
        ("metadata['tier']:null", ["bob"]),
        ("-metadata['tier']:null", ["cid", "ann"]),
        ("name:'Ann Lee' OR name:'Cid'", ["cid", "ann"]),
        ("name~'ann' AND email~'example'", ["ann"]),
        ("name~'ann' email~'sample'", []),
        ("name:'Bob O\\'Neil'", ["bob"]),
        ("phone:null AND created>0", ["cid", "ann"]),
        ("created<5", []),
    ],
)
def test_the_search_language(api: Api, people: dict[str, str], query: str, found: list[str]) -> None:
    page = api.get("/v1/customers/search", query=query)
    assert page["object"] == "search_result"
    assert [people[id_] for id_ in ids(page)] == found


@pytest.mark.parametrize(
    "query",
    ["", "email", "email='x'", "email:'x' AND name:'y' OR name:'z'", "email~'ab'", "created>'soon'", "email:'x' name"],
)
def test_a_query_that_makes_no_sense_is_400_naming_the_parameter(api: Api, people: dict[str, str], query: str) -> None:
    status, body, _ = api.send("GET", "/v1/customers/search", {"query": query})
    assert (status, body["error"]["param"]) == (400, "query")


def test_search_pages_follow_one_another(api: Api, people: dict[str, str]) -> None:
    first = api.get("/v1/customers/search", query="created>0", limit=2, expand=["total_count"])
    assert (first["has_more"], first["total_count"], first["url"]) == (True, 3, "/v1/customers/search")
    second = api.get("/v1/customers/search", query="created>0", limit=2, page=first["next_page"])
    assert (second["has_more"], second["next_page"]) == (False, None)
    assert [people[id_] for id_ in [*ids(first), *ids(second)]] == ["cid", "bob", "ann"]


def test_facts_7_4_a_search_refuses_a_limit_over_100(api: Api) -> None:
    error = api.refused(400, "GET", "/v1/customers/search", query="created>0", limit=200)
    assert error["message"] == "This value must be less than or equal to 100 (it currently is '200')."


def test_payments_are_searched_by_status_amount_and_card(api: Api, payment: dict[str, Any]) -> None:
    found = api.get("/v1/payment_intents/search", account=SELLER, query="status:'succeeded' AND amount>1999")
    assert ids(found) == [payment["id"]]
    query = "payment_method_details.card.last4:4242 AND amount:2000"
    assert ids(api.get("/v1/charges/search", account=SELLER, query=query)) == [payment["latest_charge"]]
    assert ids(api.get("/v1/charges/search", query=query)) == []
