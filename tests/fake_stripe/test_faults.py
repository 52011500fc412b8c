"""Scripted faults: what they match, how they act, and that they act exactly as often as they were told."""

from typing import Any

import orjson
import pytest
from fake_stripe.faults import Faults
from fake_stripe.wire import Fate, Response

from tests.fake_stripe.stripe_calls import SELLER, Api


@pytest.fixture
def api() -> Api:
    return Api()


def statuses(api: Api, count: int, path: str = "/v1/customers", **how: Any) -> list[int]:
    return [api_status(api, path, **how) for _ in range(count)]


def api_status(api: Api, path: str, method: str = "POST", **how: Any) -> int:
    return api.send(method, path, {}, **how)[0]


def raw(api: Api, **fault: object) -> Response:
    from fake_stripe.wire import Request

    api.world.faults.add(dict(fault))
    headers = {b"authorization": b"Bearer sk_test_calls", b"idempotency-key": b"k"}
    return api.fake.handle(Request("POST", "/v1/customers", headers=headers))


def customers(api: Api) -> int:
    return api.world.platform_scope(livemode=False).count("customer")


BANK_DEBIT: dict[str, Any] = {
    "amount": 500,
    "currency": "usd",
    "payment_method_types": ["us_bank_account"],
    "confirm": True,
    "mandate_data": {"customer_acceptance": {"type": "offline"}},
}
FIVE_HUNDRED = {"kind": "status", "status": 500}


# ---- matching


def test_a_fault_acts_once_unless_told_otherwise(api: Api) -> None:
    api.world.faults.add({"act": FIVE_HUNDRED})
    assert statuses(api, 3) == [500, 200, 200]


def test_times_says_how_often_and_null_means_always(api: Api) -> None:
    api.world.faults.add({"act": FIVE_HUNDRED, "times": 2})
    assert statuses(api, 3) == [500, 500, 200]
    api.world.faults.clear()
    api.world.faults.add({"act": FIVE_HUNDRED, "times": None})
    assert statuses(api, 4) == [500] * 4


def test_nth_picks_one_matching_call_or_several(api: Api) -> None:
    api.world.faults.add({"match": {"path": "/v1/customers", "nth": 3}, "act": FIVE_HUNDRED})
    api.get("/v1/account")
    assert statuses(api, 4) == [200, 200, 500, 200]
    api.world.faults.clear()
    api.world.faults.add({"match": {"nth": [1, 3]}, "times": None, "act": FIVE_HUNDRED})
    assert statuses(api, 4) == [500, 200, 500, 200]


@pytest.mark.parametrize(
    ("path", "hits"),
    [
        ("/v1/customers/{customer}", True),
        ("/v1/customers/*", True),
        ("/v1/customers", False),
        ("/v1/customers/cus", False),
    ],
)
def test_a_path_is_exact_a_template_or_a_wildcard(api: Api, path: str, hits: bool) -> None:
    made = api.customer()
    api.world.faults.add({"match": {"path": path}, "act": FIVE_HUNDRED})
    assert api_status(api, f"/v1/customers/{made}") == (500 if hits else 200)


def test_a_fault_may_be_about_one_method(api: Api) -> None:
    api.world.faults.add({"match": {"method": "get"}, "act": FIVE_HUNDRED})
    assert api_status(api, "/v1/customers") == 200
    assert api_status(api, "/v1/customers", "GET") == 500


def test_a_fault_may_be_about_one_account_or_the_platform(api: Api) -> None:
    api.world.faults.add({"match": {"account": SELLER}, "act": FIVE_HUNDRED})
    assert statuses(api, 1) == [200]
    assert statuses(api, 2, account=SELLER) == [500, 200]
    api.world.faults.add({"match": {"account": "platform"}, "act": FIVE_HUNDRED})
    assert statuses(api, 1, account=SELLER) == [200]
    assert statuses(api, 1) == [500]


def test_a_fault_may_be_about_parameter_values_and_an_idempotency_key(api: Api) -> None:
    api.world.faults.add({"match": {"params": {"metadata[order]": 7}}, "act": FIVE_HUNDRED})
    assert api.send("POST", "/v1/customers", {"metadata": {"order": "8"}})[0] == 200
    assert api.send("POST", "/v1/customers", {"metadata": {"order": "7"}})[0] == 500
    api.world.faults.add({"match": {"idempotency_key": "chosen"}, "act": FIVE_HUNDRED})
    assert statuses(api, 1) == [200]
    assert statuses(api, 1, idempotency_key="chosen") == [500]


def test_parameters_are_matched_as_they_are_sent_nested_and_booleans_too(api: Api) -> None:
    match = {"metadata": {"order": 7}, "confirm": False}
    fault = api.world.faults.add({"match": {"params": match}, "times": None, "act": FIVE_HUNDRED})
    api.world.faults.add({"match": {"params": {"metadata[order]": "8"}}, "act": FIVE_HUNDRED})
    intent = {"amount": 500, "currency": "usd"}
    for given in ({"metadata": {"order": 7}}, {"confirm": False}):
        assert api.send("POST", "/v1/payment_intents", {**intent, **given})[0] == 200
    assert api.send("POST", "/v1/payment_intents", {**intent, **match})[0] == 500
    assert api.send("POST", "/v1/payment_intents", {**intent, "metadata": {"order": 8}})[0] == 500
    assert fault.fired == 1


def test_several_calls_in_nth_are_all_meant_without_saying_how_often(api: Api) -> None:
    api.world.faults.add({"match": {"nth": [1, 3]}, "act": FIVE_HUNDRED})
    assert statuses(api, 4) == [500, 200, 500, 200]


def test_the_first_fault_that_matches_wins(api: Api) -> None:
    api.world.faults.add({"act": {"kind": "status", "status": 503}})
    api.world.faults.add({"act": FIVE_HUNDRED})
    assert statuses(api, 3) == [503, 500, 200]


def test_probability_is_drawn_from_the_seed(api: Api) -> None:
    def run(seed: int) -> list[int]:
        api.world.faults.clear()
        api.world.faults.add({"act": FIVE_HUNDRED, "times": None, "probability": 0.5, "seed": seed})
        return statuses(api, 30)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 5 < run(1).count(500) < 25


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"act": "explode"}, "act must be one of"),
        ({"act": {"kind": "status", "status": 418}}, "status must be one of"),
        ({"act": {"kind": "status", "status": 500, "reason": "global-rate"}}, "reason goes with status 429"),
        ({"act": "latency"}, "needs 'latency'"),
        ({"latency": -1}, "latency is seconds"),
        ({"latency": {"low": 2, "high": 1}}, "latency is seconds"),
        ({"act": "drop_before", "probability": 2}, "probability lies between"),
        ({"act": "drop_before", "matches": {}}, "a fault has no 'matches'"),
        ({"act": "drop_before", "match": {"route": "/"}}, "match has no 'route'"),
        ({"act": {"kind": "answer"}}, "needs a JSON body"),
        ({"act": {"kind": "answer", "body": {}, "status": 99}}, "lies between 200 and 599"),
        ({"act": {"kind": "answer", "body": {}, "headers": ["X"]}}, "headers is an object"),
        ({"act": "drop_before", "match": "/v1/customers"}, "match is an object"),
        ({"act": "drop_before", "match": {"method": 1}}, "method is a text"),
        ({"act": "drop_before", "match": {"path": ["/"]}}, "path is a text"),
        ({"act": "drop_before", "match": {"idempotency_key": 7}}, "idempotency_key is a text"),
        ({"act": "drop_before", "match": {"account": 7}}, "account is an id"),
        ({"act": "drop_before", "match": {"params": ["amount"]}}, "params is an object"),
        ({"act": "drop_before", "match": {"nth": "2"}}, "nth is the number"),
        ({"act": "drop_before", "match": {"nth": 0}}, "nth is the number"),
        ({"act": "drop_before", "match": {"nth": []}}, "nth is the number"),
        ({"act": "drop_before", "times": 0}, "times is a whole number"),
        ({"act": "drop_before", "times": "2"}, "times is a whole number"),
        ({"act": "drop_before", "probability": "half"}, "probability lies between"),
        ({"act": {"kind": "drop_before", "status": 1}}, "has no 'status'"),
        ({}, "act must be one of"),
    ],
)
def test_a_mistaken_fault_is_refused_with_what_is_wrong(fault: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("(", "\\(")):
        Faults().add(fault)


# ---- acting


def test_drop_before_executes_nothing_and_keeps_no_key(api: Api) -> None:
    response = raw(api, act="drop_before")
    assert response.fate is Fate.DROP
    assert customers(api) == 0
    _, _, again = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert "Idempotent-Replayed" not in dict(again.headers)


def test_commit_then_drop_commits_once_and_a_retry_with_the_key_finds_it(api: Api) -> None:
    response = raw(api, act="commit_then_drop")
    assert response.fate is Fate.DROP
    assert customers(api) == 1
    _, body, again = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert dict(again.headers)["Idempotent-Replayed"] == "true"
    assert body["id"] == orjson.loads(response.body)["id"]
    assert customers(api) == 1


def test_commit_then_drop_befalls_a_replay_too_when_it_has_times_left(api: Api) -> None:
    assert raw(api, act="commit_then_drop", times=2).fate is Fate.DROP
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[2].fate is Fate.DROP
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[2].fate is None
    assert customers(api) == 1


def test_reset_mid_body_commits(api: Api) -> None:
    assert raw(api, act="reset_mid_body").fate is Fate.RESET
    assert customers(api) == 1


def test_a_malformed_body_is_cut_in_the_middle_and_commits(api: Api) -> None:
    response = raw(api, act="malformed_body")
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(response.body)
    assert response.status == 200
    assert customers(api) == 1


def test_429_names_its_reason_and_executes_nothing(api: Api) -> None:
    response = raw(api, act={"kind": "status", "status": 429, "reason": "endpoint-concurrency"})
    assert response.status == 429
    assert dict(response.headers)["Stripe-Rate-Limited-Reason"] == "endpoint-concurrency"
    assert orjson.loads(response.body)["error"]["code"] == "rate_limit"
    assert customers(api) == 0


def test_facts_5_lock_timeout_is_429_without_reason_and_asks_for_a_retry(api: Api) -> None:
    response = raw(api, act="lock_timeout")
    headers = dict(response.headers)
    assert response.status == 429
    assert headers["Stripe-Should-Retry"] == "true"
    assert "Stripe-Rate-Limited-Reason" not in headers
    error = orjson.loads(response.body)["error"]
    assert error["code"] == "lock_timeout"
    assert error["message"].startswith("This object cannot be accessed right now because another API request or Stripe")


def test_409_is_an_idempotency_key_in_use(api: Api) -> None:
    response = raw(api, act={"kind": "status", "status": 409})
    assert (response.status, orjson.loads(response.body)["error"]["code"]) == (409, "idempotency_key_in_use")


def test_500_takes_the_change_back_unless_it_is_told_to_commit(api: Api) -> None:
    assert raw(api, act=FIVE_HUNDRED).status == 500
    assert customers(api) == 0
    assert api.events() == []
    api.world.faults.add({"act": {**FIVE_HUNDRED, "commit": True}})
    assert api.send("POST", "/v1/customers", {}, idempotency_key="other")[0] == 500
    assert customers(api) == 1


def test_500_comes_instead_of_a_decline_too_and_the_attempt_is_taken_back_unless_told_to_commit(api: Api) -> None:
    params = {"amount": 500, "currency": "usd", "payment_method_types": ["card"], "confirm": True}
    for commit in (False, True):
        card = api.bare_card("pm_card_visa_chargeDeclined")
        api.world.faults.add({"match": {"path": "/v1/payment_intents"}, "act": {**FIVE_HUNDRED, "commit": commit}})
        assert api.send("POST", "/v1/payment_intents", {**params, "payment_method": card})[0] == 500
        assert ("payment_intent.payment_failed" in api.events()) is commit


@pytest.mark.parametrize("status", [409, 429, 503])
def test_an_edge_that_fails_after_the_commit_leaves_the_true_result_under_the_key(api: Api, status: int) -> None:
    response = raw(api, act={"kind": "status", "status": status, "commit": True})
    assert (response.status, customers(api)) == (status, 1)
    again, _, response = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert (again, dict(response.headers)["Idempotent-Replayed"]) == (200, "true")
    assert customers(api) == 1


def test_500_takes_back_what_no_answer_shows_too(api: Api) -> None:
    card = api.bare_card()
    params: dict[str, Any] = {"amount": 500, "currency": "usd", "payment_method": card}
    params["payment_method_types"] = ["card"]
    api.world.faults.add({"match": {"path": "/v1/payment_intents"}, "act": FIVE_HUNDRED})
    assert api.send("POST", "/v1/payment_intents", {**params, "confirm": True})[0] == 500
    assert api.world.scheduled == 0
    assert api.post("/v1/payment_intents", **params, confirm=True)["status"] == "succeeded"
    error = api.refused(400, "POST", "/v1/payment_intents", **params)
    assert "was previously used" in error["message"]


def test_500_takes_back_a_new_connection_and_what_was_to_happen_later(api: Api) -> None:
    before = api.world.connected
    for path, params in (
        ("/v1/accounts", {"type": "standard", "country": "US"}),
        ("/v1/payment_intents", {**BANK_DEBIT, "payment_method": api.bare_card("pm_usBankAccount_success")}),
    ):
        api.world.faults.add({"match": {"path": path}, "act": FIVE_HUNDRED})
        assert api.send("POST", path, params)[0] == 500
    assert api.world.connected == before
    assert api.world.scheduled == 0
    api.post(path, **params)  # and without the fault there is something to happen later
    assert api.world.scheduled > 0


def test_503_stops_at_the_door_and_keeps_no_key(api: Api) -> None:
    assert raw(api, act={"kind": "status", "status": 503}).status == 503
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[0] == 200


def test_should_retry_can_be_set_on_a_status(api: Api) -> None:
    response = raw(api, act={"kind": "status", "status": 500, "should_retry": False})
    assert dict(response.headers)["Stripe-Should-Retry"] == "false"


def test_latency_is_fixed_uniform_or_log_normal_and_goes_with_any_act(api: Api) -> None:
    assert raw(api, latency=0.25).delay == 0.25
    assert 1 <= raw(api, latency={"low": 1, "high": 2}).delay <= 2
    assert raw(api, latency={"median": 0.5, "sigma": 0}).delay == 0.5
    drawn = {raw(api, latency={"median": 0.5, "sigma": 1}, seed=seed).delay for seed in range(9)}
    assert len(drawn) == 9
    late = raw(api, act="commit_then_drop", latency=3)
    assert (late.delay, late.fate) == (3, Fate.DROP)


def test_an_answer_is_given_instead_of_executing(api: Api) -> None:
    act = {"kind": "answer", "status": 402, "body": {"error": {"type": "card_error"}}, "headers": {"X-Why": "test"}}
    response = raw(api, act=act)
    assert (response.status, orjson.loads(response.body)) == (402, {"error": {"type": "card_error"}})
    assert dict(response.headers)["X-Why"] == "test"
    assert customers(api) == 0


def test_a_fault_never_reaches_another_world(api: Api) -> None:
    api.world.faults.add({"act": FIVE_HUNDRED, "times": None})
    assert api.send("GET", "/v1/customers", key="sk_test_elsewhere")[0] == 200


def test_faults_are_gone_with_their_world(api: Api) -> None:
    api.world.faults.add({"act": FIVE_HUNDRED, "times": None})
    api.fake.worlds.reset(api.world.name)
    assert statuses(api, 2) == [200, 200]


# ---- rate limits (facts 5)


def test_25_requests_a_second_in_test_mode_then_429_global_rate(api: Api) -> None:
    api.world.clock.freeze(1_800_000_000)
    api.world.set_policy({"rate_limits": "test"})
    paths = ["/v1/customers", "/v1/charges", "/v1/payment_intents"]
    assert {api_status(api, paths[number % 3], "GET") for number in range(25)} == {200}
    status, body, response = api.send("GET", "/v1/customers")
    assert (status, body["error"]["code"]) == (429, "rate_limit")
    assert dict(response.headers)["Stripe-Rate-Limited-Reason"] == "global-rate"
    api.world.clock.advance(1)
    assert api_status(api, "/v1/customers", "GET") == 200


def test_25_a_second_for_each_endpoint_and_100_in_all_with_live_limits(api: Api) -> None:
    api.world.clock.freeze(1_800_000_000)
    api.world.set_policy({"rate_limits": "live"})
    assert statuses(api, 25) == [200] * 25
    _, _, response = api.send("POST", "/v1/customers")
    assert dict(response.headers)["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    paths = ["/v1/customers", "/v1/charges", "/v1/payment_intents", "/v1/refunds"]
    seen = [dict(api.send("GET", paths[number % 4])[2].headers) for number in range(80)]
    assert "global-rate" in {headers.get("Stripe-Rate-Limited-Reason") for headers in seen}


def test_limits_hold_for_the_account_that_is_acted_upon(api: Api) -> None:
    api.world.clock.freeze(1_800_000_000)
    api.world.set_policy({"rate_limits": "test"}, SELLER)
    assert statuses(api, 26, account=SELLER).count(429) == 1
    assert statuses(api, 30).count(429) == 0
