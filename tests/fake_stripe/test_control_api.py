"""`/_fake/`: every control operation, and what the journal says about calls."""

from typing import Any, get_args, get_type_hints
from urllib.parse import urlencode

import orjson
import pytest
from fake_stripe.policy import Policy
from fake_stripe.wire import Request, Response

from tests.fake_stripe.stripe_calls import SELLER, Api

Wire = dict[str, Any]


@pytest.fixture
def api() -> Api:
    return Api()


def asked(api: Api, method: str, path: str, /, *, key: str | None = "sk_test_calls", **params: Any) -> Response:
    headers = {} if key is None else {b"authorization": f"Bearer {key}".encode()}
    if method == "POST":
        headers[b"content-type"] = b"application/json"
        return api.fake.handle(Request(method, path, headers=headers, body=orjson.dumps(params)))
    return api.fake.handle(Request(method, path, query=urlencode(params).encode(), headers=headers))


def done(api: Api, method: str, path: str, /, **params: Any) -> Wire:
    response = asked(api, method, path, **params)
    assert response.status == 200, response.body
    found: Wire = orjson.loads(response.body)
    return found


def refused(api: Api, method: str, path: str, /, **params: Any) -> tuple[int, str]:
    response = asked(api, method, path, **params)
    return response.status, orjson.loads(response.body)["error"]["message"]


# ---- the API itself


def test_health_needs_no_key(api: Api) -> None:
    assert orjson.loads(asked(api, "GET", "/_fake/health", key=None).body)["status"] == "ok"


def test_the_api_describes_every_one_of_its_operations(api: Api) -> None:
    document = orjson.loads(asked(api, "GET", "/_fake/openapi.json", key=None).body)
    assert document["openapi"] == "3.1.0"
    operations = [op for path in document["paths"].values() for op in path.values()]
    assert len(operations) > 30
    assert all(op["summary"] for op in operations)
    assert len({op["operationId"] for op in operations}) == len(operations)
    index = orjson.loads(asked(api, "GET", "/_fake", key=None).body)
    assert len(index["operations"]) == len(operations)


def test_the_description_is_sound_openapi(api: Api) -> None:
    """What a validator of OpenAPI 3.1 looks at; the document also passed openapi-spec-validator."""
    document = orjson.loads(asked(api, "GET", "/_fake/openapi.json", key=None).body)
    assert document["info"].keys() >= {"title", "version"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert method in ("get", "post", "delete")
            in_path = [p["name"] for p in operation["parameters"] if p["in"] == "path" and p["required"]]
            assert in_path == [part[1:-1] for part in path.split("/") if part.startswith("{")]
            assert all(p["schema"]["type"] == "string" for p in operation["parameters"])
            assert all(answer["description"] for answer in operation["responses"].values())
    body = document["paths"]["/_fake/policy"]["post"]["requestBody"]["content"]["application/json"]
    described = {name: set(p["enum"]) for name, p in body["schema"]["properties"].items() if name != "account"}
    hints = get_type_hints(Policy)
    assert described == {name: set(get_args(hint)) for name, hint in hints.items()}
    assert "bearer" in str(document["components"]["securitySchemes"])


def test_a_wrong_path_or_method_says_what_there_is(api: Api) -> None:
    assert refused(api, "GET", "/_fake/nothing")[0] == 404
    assert refused(api, "GET", "/_fake/reset") == (405, "/_fake/reset takes POST, not GET")


def test_a_world_is_chosen_by_authorization_key_or_header(api: Api) -> None:
    names = [
        orjson.loads(api.fake.handle(request).body)["name"]
        for request in (
            Request("GET", "/_fake/world", headers={b"authorization": b"Bearer sk_test_a"}),
            Request("GET", "/_fake/world", query=b"key=sk_test_b"),
            Request("GET", "/_fake/world", headers={b"x-fake-world": b"c"}),
        )
    ]
    assert names == ["a", "b", "c"]
    status, message = refused(api, "GET", "/_fake/world", key=None)
    assert (status, message[:15]) == (400, "Say which world")


def test_bad_json_is_refused(api: Api) -> None:
    headers = {b"authorization": b"Bearer sk_test_calls"}
    response = api.fake.handle(Request("POST", "/_fake/clock", headers=headers, body=b"{advance"))
    assert (response.status, b"not JSON" in response.body) == (400, True)


# ---- state


def test_reset_empties_the_world_and_may_seed_its_ids(api: Api) -> None:
    api.customer()
    assert done(api, "POST", "/_fake/reset", seed="s")["ids_seed"] == "s"
    first = api.customer()
    done(api, "POST", "/_fake/reset", seed="s")
    assert api.get("/v1/customers")["data"] == []
    assert api.customer() == first


def test_snapshot_and_restore(api: Api) -> None:
    made = api.customer()
    done(api, "POST", "/_fake/snapshots", label="one")
    api.delete(f"/v1/customers/{made}")
    assert done(api, "GET", "/_fake/snapshots")["snapshots"] == ["one"]
    done(api, "POST", "/_fake/snapshots/one/restore")
    assert "deleted" not in api.get(f"/v1/customers/{made}")
    assert refused(api, "POST", "/_fake/snapshots/two/restore") == (404, "this world has no snapshot 'two'")


def test_fork(api: Api) -> None:
    made = api.customer()
    assert done(api, "POST", "/_fake/fork", to="branch")["name"] == "branch"
    assert api.send("GET", f"/v1/customers/{made}", key="sk_test_branch")[0] == 200
    assert refused(api, "POST", "/_fake/fork")[0] == 400


def test_worlds_are_listed_and_closed(api: Api) -> None:
    api.customer()
    assert done(api, "GET", "/_fake/worlds")["worlds"] == ["calls"]
    done(api, "DELETE", "/_fake/worlds/calls")
    assert refused(api, "DELETE", "/_fake/worlds/calls")[0] == 404
    assert done(api, "DELETE", "/_fake/worlds") == {"closed": 0}


def test_a_world_is_shown_in_figures(api: Api) -> None:
    api.customer()
    shown = done(api, "GET", "/_fake/world")
    assert shown["connected"][0] == SELLER
    assert shown["scopes"][0]["objects"] == {"customer": 1, "event": 1}
    assert shown["policy"]["fingerprints"] == "same"


def test_a_seed_makes_accounts_and_calls_that_refer_to_one_another(api: Api) -> None:
    planted = done(
        api,
        "POST",
        "/_fake/seed",
        ids_seed="fixed",
        clock=1_800_000_000,
        policy={"fingerprints": "different"},
        accounts=["acct_1Shop00000000001", {"id": "acct_1Shop00000000002", "policy": {"capabilities": "enforced"}}],
        calls=[
            {"path": "/v1/customers", "params": {"email": "a@b.co", "metadata": {"n": 1}}, "as": "ann"},
            {"path": "/v1/payment_methods/pm_card_visa/attach", "params": {"customer": "${ann}"}, "as": "card"},
            {
                "path": "/v1/payment_methods",
                "account": "acct_1Shop00000000001",
                "params": {"customer": "${ann.id}", "payment_method": "${card.id}"},
                "as": "clone",
            },
        ],
    )
    assert planted["accounts"] == ["acct_1Shop00000000001", "acct_1Shop00000000002"]
    clone = api.get(f"/v1/payment_methods/{planted['made']['clone']}", account="acct_1Shop00000000001")
    assert clone["created"] == 1_800_000_000
    assert api.get(f"/v1/customers/{planted['made']['ann']}")["metadata"] == {"n": "1"}
    assert api.world.policy("acct_1Shop00000000002").capabilities == "enforced"


@pytest.mark.parametrize(
    ("seed", "complaint"),
    [
        ({"customers": []}, "a seed has no customers"),
        ({"calls": [{"path": "/v1/customers", "name": "x"}]}, "call 1 has no name"),
        ({"calls": [{"path": "/v1/customers/${nobody}"}]}, "refers to nothing"),
        ({"calls": [{"path": "/v1/customers", "params": {"bad": 1}}]}, "answered 400: Received unknown parameter: bad"),
        ({"accounts": ["shop"]}, "no account id"),
    ],
)
def test_a_mistaken_seed_is_refused_with_what_is_wrong(api: Api, seed: dict[str, Any], complaint: str) -> None:
    status, message = refused(api, "POST", "/_fake/seed", **seed)
    assert status == 400
    assert complaint in message


def test_accounts_are_connected_and_revoked(api: Api) -> None:
    made = done(api, "POST", "/_fake/accounts", id="acct_1Ready0000000001")
    assert made["charges_enabled"] is True
    assert api.send("GET", "/v1/customers", account=made["id"])[0] == 200
    done(api, "DELETE", f"/_fake/accounts/{made['id']}")
    assert api.send("GET", "/v1/customers", account=made["id"])[0] == 403
    assert refused(api, "DELETE", "/_fake/accounts/acct_1Nobody")[0] == 404


# ---- time


def test_the_clock_is_frozen_advanced_and_resumed(api: Api) -> None:
    assert done(api, "POST", "/_fake/clock", freeze=1_800_000_000)["now"] == 1_800_000_000
    assert done(api, "POST", "/_fake/clock", advance=60)["now"] == 1_800_000_060
    assert api.post("/v1/customers")["created"] == 1_800_000_060
    assert done(api, "GET", "/_fake/clock") == {"now": 1_800_000_060, "frozen": True}
    assert done(api, "POST", "/_fake/clock", resume=True)["frozen"] is False
    assert refused(api, "POST", "/_fake/clock") == (400, "give freeze, advance or resume")
    assert refused(api, "POST", "/_fake/clock", advance=-5)[0] == 400


def test_settle_lets_pending_things_happen(api: Api) -> None:
    assert done(api, "POST", "/_fake/settle") == {"jobs_run": 0}


# ---- faults and overrides


def test_faults_are_installed_listed_counted_and_removed(api: Api) -> None:
    made = done(api, "POST", "/_fake/faults", act={"kind": "status", "status": 500}, match={"path": "/v1/customers"})
    assert api.send("POST", "/v1/customers")[0] == 500
    (listed,) = done(api, "GET", "/_fake/faults")["faults"]
    assert (listed["id"], listed["matched"], listed["fired"]) == (made["id"], 1, 1)
    done(api, "DELETE", f"/_fake/faults/{made['id']}")
    assert refused(api, "DELETE", f"/_fake/faults/{made['id']}")[0] == 404
    done(api, "POST", "/_fake/faults", act="drop_before")
    assert done(api, "DELETE", "/_fake/faults") == {"faults": []}
    assert refused(api, "POST", "/_fake/faults", act="explode")[0] == 400


def test_an_override_answers_once_in_place_of_the_double(api: Api) -> None:
    done(api, "POST", "/_fake/overrides", match={"path": "/v1/balance"}, body={"object": "balance", "mine": True})
    assert api.get("/v1/balance") == {"object": "balance", "mine": True}
    assert "mine" not in api.get("/v1/balance")


# ---- the journal


def test_the_journal_tells_account_key_status_events_and_changes(api: Api) -> None:
    made = api.post("/v1/customers", account=SELLER, email="a@b.co")["id"]
    api.post(f"/v1/customers/{made}", account=SELLER, email="c@d.co")
    first, second = done(api, "GET", "/_fake/journal")["calls"]
    assert (first["method"], first["path"], first["operation"]) == ("POST", "/v1/customers", "PostCustomers")
    assert (first["account"], first["key"], first["status"]) == (SELLER, "sk_test_*****", 200)
    assert first["params"] == {"email": "a@b.co"}
    assert first["fidelity"] == "modelled"
    assert [event.split()[0] for event in first["events"]] == ["customer.created"]
    assert {"change": "created", "object": "customer", "id": made, "account": SELLER} in first["changes"]
    (updated,) = (change for change in second["changes"] if change["change"] == "updated")
    assert updated["members"] == {"email": {"before": "a@b.co", "after": "c@d.co"}}


def test_the_journal_masks_card_numbers_and_secrets(api: Api) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "987"}
    api.post("/v1/payment_methods", type="card", card=card)
    intent = api.post("/v1/payment_intents", amount=100, currency="usd")
    api.get(f"/v1/payment_intents/{intent['id']}", client_secret=intent["client_secret"])
    text = asked(api, "GET", "/_fake/journal").body
    assert b"****4242" in text
    assert b"424242424242" not in text
    assert b"987" not in text.replace(b"1987", b"")
    assert intent["client_secret"].encode() not in text


def test_the_journal_explains_an_unknown_parameter_and_an_unknown_route(api: Api) -> None:
    api.send("POST", "/v1/customers", {"emial": "a@b.co"})
    api.send("GET", "/v1/customer")
    unknown, unmatched = done(api, "GET", "/_fake/journal")["calls"]
    assert unknown["did_you_mean"] == ["emial: did you mean email?"]
    assert "GET /v1/customers" in unmatched["near_misses"]
    assert [call["path"] for call in done(api, "GET", "/_fake/journal", unmatched="true")["calls"]] == ["/v1/customer"]


def test_the_journal_names_the_fault_that_befell_a_call(api: Api) -> None:
    done(api, "POST", "/_fake/faults", id="mine", act="commit_then_drop")
    api.fake.handle(Request("POST", "/v1/customers", headers={b"authorization": b"Bearer sk_test_calls"}))
    (call,) = done(api, "GET", "/_fake/journal")["calls"]
    assert (call["fault"], call["fate"], call["status"]) == ("mine", "commit_then_drop", 200)


def test_the_journal_is_filtered_bounded_and_cleared(api: Api) -> None:
    for _ in range(3):
        api.customer()
    api.get("/v1/customers")
    assert done(api, "GET", "/_fake/journal", method="POST")["total"] == 3
    assert done(api, "GET", "/_fake/journal", path="/v1/cust*", limit=2)["calls"][-1]["method"] == "GET"
    assert done(api, "GET", "/_fake/journal", status=404)["total"] == 0
    done(api, "DELETE", "/_fake/journal")
    assert done(api, "GET", "/_fake/journal")["total"] == 0
    assert api.world.journal.maxlen == 1000


def test_calls_whose_key_opens_no_world_are_remembered_by_the_server(api: Api) -> None:
    secret = "sk_test_invalid" + "9" * 16
    api.send("POST", "/v1/customers", {"email": "a@b.co"}, key=secret)
    response = asked(api, "GET", "/_fake/journal/refused", key=None)
    (call,) = orjson.loads(response.body)["calls"]
    assert (call["method"], call["path"], call["status"]) == ("POST", "/v1/customers", 401)
    assert call["error"]["message"].startswith("Invalid API Key provided")
    assert secret.encode() not in response.body


@pytest.mark.parametrize(
    ("method", "path", "params", "complaint"),
    [
        ("POST", "/_fake/clock", {"freeze": False}, "'freeze' must be a number"),
        ("POST", "/_fake/clock", {"advance": "soon"}, "'advance' must be a number"),
        ("POST", "/_fake/clock", {"advance": "inf"}, "must be a number"),
        ("POST", "/_fake/clock", {"advance": -1}, "never set back"),
        ("GET", "/_fake/journal", {"limit": "-1"}, "at least 1"),
        ("GET", "/_fake/journal", {"limit": "nan"}, "must be a number"),
        ("POST", "/_fake/fork", {"to": "a/b"}, "no name of a world"),
        ("POST", "/_fake/webhooks", {"retry_seconds": "soon"}, "whole seconds"),
        ("POST", "/_fake/webhooks", {"copies": 1_000_000}, "at most 100 times"),
        ("POST", "/_fake/keys", {"restricted_key": "sk_test_calls", "permissions": []}, "only restricted keys"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    api: Api, method: str, path: str, params: Wire, complaint: str
) -> None:
    frozen = done(api, "GET", "/_fake/clock")["frozen"]
    status, message = refused(api, method, path, **params)
    assert (status, complaint in message) == (400, True), message
    assert done(api, "GET", "/_fake/clock")["frozen"] is frozen


# ---- events


def test_events_of_all_accounts_are_shown_in_their_order(api: Api) -> None:
    api.customer()
    api.customer(account=SELLER)
    api.delete(f"/v1/customers/{api.customer()}")
    types = [event["type"] for event in done(api, "GET", "/_fake/events")["events"]]
    assert types == ["customer.created"] * 3 + ["customer.deleted"]
    assert len(done(api, "GET", "/_fake/events", account=SELLER)["events"]) == 1
    assert len(done(api, "GET", "/_fake/events", account="platform", type="customer.c*")["events"]) == 2


def test_waiting_for_an_event_answers_at_once_when_it_is_there(api: Api) -> None:
    made = api.customer()
    found = done(api, "GET", "/_fake/events/wait", type="customer.created", about=made)
    assert found["events"][0]["data"]["object"]["id"] == made


def test_waiting_for_an_event_answers_when_it_comes_or_408_when_the_time_is_up(api: Api) -> None:
    waiting = asked(api, "GET", "/_fake/events/wait", type="customer.created", timeout=30)
    assert waiting.poll is not None
    assert waiting.poll() is None
    api.customer()
    answer = waiting.poll()
    assert answer is not None
    assert answer.status == 200
    assert asked(api, "GET", "/_fake/events/wait", type="customer.deleted", timeout=0).status == 408


# ---- switches and what happens outside the API


def test_policies_are_set_and_shown(api: Api) -> None:
    assert (
        done(api, "POST", "/_fake/policy", account=SELLER, raw_card_numbers="refused")["raw_card_numbers"] == "refused"
    )
    assert done(api, "GET", "/_fake/policy", account=SELLER)["raw_card_numbers"] == "refused"
    assert done(api, "GET", "/_fake/policy")["raw_card_numbers"] == "allowed"
    assert refused(api, "POST", "/_fake/policy", raw_card_numbers="maybe")[0] == 400


def test_restricted_keys_are_given_their_permissions(api: Api) -> None:
    done(api, "POST", "/_fake/keys", restricted_key="rk_test_calls", permissions=["charge_read"])
    assert api.send("GET", "/v1/customers", key="rk_test_calls")[0] == 403
    done(api, "POST", "/_fake/keys", restricted_key="rk_test_calls", permissions=None)
    assert api.send("GET", "/v1/customers", key="rk_test_calls")[0] == 200


def three_d_secure(api: Api) -> dict[str, Any]:
    card = api.bare_card("pm_card_authenticationRequired")
    params: dict[str, Any] = {"amount": 100, "currency": "usd", "payment_method": card, "confirm": True}
    return api.post("/v1/payment_intents", return_url="https://shop.example/back", **params)


def test_a_challenge_is_answered_by_the_control_api(api: Api) -> None:
    intent = three_d_secure(api)
    assert intent["status"] == "requires_action"
    assert done(api, "POST", f"/_fake/authentications/{intent['id']}")["status"] == "succeeded"
    assert refused(api, "POST", f"/_fake/authentications/{intent['id']}")[0] == 400
    assert refused(api, "POST", "/_fake/authentications/pi_nobody")[0] == 404


def test_the_challenge_page_sends_the_shopper_back(api: Api) -> None:
    url = three_d_secure(api)["next_action"]["redirect_to_url"]["url"]
    path, _, query = url.removeprefix("http://127.0.0.1").partition("?")
    page = api.fake.handle(Request("GET", path, query=query.encode()))
    assert (page.status, b"Complete authentication" in page.body) == (200, True)
    headers = {b"content-type": b"application/x-www-form-urlencoded"}
    back = api.fake.handle(Request("POST", path, query=query.encode(), headers=headers, body=b"outcome=succeeded"))
    assert back.status == 302
    assert dict(back.headers)["Location"].startswith("https://shop.example/back?payment_intent=pi_")


def test_the_challenge_of_a_live_mode_intent_is_answered_too(api: Api) -> None:
    params = {"amount": 500, "currency": "usd", "payment_method": "pm_card_authenticationRequired", "confirm": True}
    params |= {"return_url": "https://shop.example/back", "payment_method_types": ["card"]}
    made = api.done("POST", "/v1/payment_intents", params, key="sk_live_fake_calls")
    assert made["livemode"] is True
    path, _, query = made["next_action"]["redirect_to_url"]["url"].removeprefix("http://127.0.0.1").partition("?")
    assert api.fake.handle(Request("GET", path, query=query.encode())).status == 200
    assert api.fake.handle(Request("POST", path, query=query.encode(), body=b'{"outcome": "failed"}')).status == 302
    got = api.done("GET", f"/v1/payment_intents/{made['id']}", {}, key="sk_live_fake_calls")
    assert got["status"] == "requires_payment_method"


def test_disputes_are_opened_and_decided(api: Api) -> None:
    card = api.bare_card()
    params: dict[str, Any] = {
        "amount": 500,
        "currency": "usd",
        "payment_method": card,
        "payment_method_types": ["card"],
    }
    charge = api.post("/v1/payment_intents", confirm=True, **params)["latest_charge"]
    dispute = done(api, "POST", "/_fake/disputes", charge=charge, reason="duplicate")
    assert (dispute["reason"], api.get(f"/v1/charges/{charge}")["disputed"]) == ("duplicate", True)
    assert done(api, "POST", f"/_fake/disputes/{dispute['id']}", status="lost")["status"] == "lost"
    assert refused(api, "POST", "/_fake/disputes", charge="ch_nobody")[0] == 404


def test_webhooks_are_collected_on_demand_and_events_sent_again(api: Api) -> None:
    api.post("/v1/webhook_endpoints", url="http://127.0.0.1:1/hook", enabled_events=["*"])
    assert done(api, "POST", "/_fake/webhooks", mode="collect")["mode"] == "collect"
    api.customer()
    (kept,) = done(api, "GET", "/_fake/webhooks/collected", clear="true")["deliveries"]
    assert kept["type"] == "customer.created"
    done(api, "POST", f"/_fake/events/{kept['event']}/resend")
    (again,) = done(api, "GET", "/_fake/webhooks/collected")["deliveries"]
    assert again["event"] == kept["event"]


def test_coverage_counts_modelled_operations_among_all(api: Api) -> None:
    found = orjson.loads(asked(api, "GET", "/_fake/coverage", key=None).body)
    assert found["total"] >= 594
    assert found["modelled"] > 100
    assert {"method": "POST", "path": "/v1/customers", "operation": "PostCustomers", "fidelity": "modelled"} in found[
        "operations"
    ]
