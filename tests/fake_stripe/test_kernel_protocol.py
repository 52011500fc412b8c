"""Keys, accounts, versions, headers and envelopes: what every answer of the double has in common."""

import base64
from typing import Any

import orjson
import pytest
from fake_stripe.app import FakeStripe
from fake_stripe.wire import Request, Response

from tests.fake_stripe.stripe_calls import SELLER, Api


@pytest.fixture
def api() -> Api:
    return Api()


def sent(fake: FakeStripe, path: str, authorization: str | None, **headers: str) -> tuple[Response, dict[str, Any]]:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    if authorization is not None:
        given[b"authorization"] = authorization.encode()
    response = fake.handle(Request("GET", path, headers=given))
    return response, orjson.loads(response.body)


def headers_of(response: Response) -> dict[str, str]:
    return dict(response.headers)


def test_a_key_is_taken_as_bearer_or_as_the_user_name_of_basic() -> None:
    fake = FakeStripe()
    basic = "Basic " + base64.b64encode(b"sk_test_shop:").decode()
    by_bearer, by_basic = sent(fake, "/v1/account", "Bearer sk_test_shop")[1], sent(fake, "/v1/account", basic)[1]
    assert by_bearer["id"] == by_basic["id"]


def test_facts_3_1_no_key_is_401_in_stripes_words_without_request_id() -> None:
    response, body = sent(FakeStripe(), "/v1/account", None)
    assert response.status == 401
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["message"].startswith(
        "You did not provide an API key. You need to provide your API key in the"
    )
    assert "code" not in body["error"]
    assert "Request-Id" not in headers_of(response)


@pytest.mark.parametrize("authorization", ["Basic !!!", "Basic Og==", "Bearer ", "Digest x"])
def test_a_malformed_authorization_counts_as_no_key(authorization: str) -> None:
    response, body = sent(FakeStripe(), "/v1/account", authorization)
    assert (response.status, body["error"]["message"][:28]) == (401, "You did not provide an API k")


@pytest.mark.parametrize("key", ["nonsense", "sk_test_", "sk_test_invalid_one", "sk_test_0wrongwrong", "sk_prod_x"])
def test_facts_3_1_a_wrong_key_is_401_with_its_middle_masked(key: str) -> None:
    response, body = sent(FakeStripe(), "/v1/account", f"Bearer {key}")
    assert response.status == 401
    assert body["error"]["message"].startswith("Invalid API Key provided: ")
    assert key not in body["error"]["message"]
    assert "request_log_url" not in body["error"]


def test_an_expired_key_is_401_api_key_expired() -> None:
    response, body = sent(FakeStripe(), "/v1/account", "Bearer sk_test_expired_key")
    assert (response.status, body["error"]["code"]) == (401, "api_key_expired")


def test_a_key_that_could_be_a_real_live_one_is_refused() -> None:
    fake = FakeStripe()
    real = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
    response, body = sent(fake, "/v1/account", f"Bearer {real}")
    assert response.status == 401
    assert real not in body["error"]["message"]
    assert fake.worlds.names() == []


def test_the_live_twin_of_a_test_key_reaches_the_same_world_in_live_mode() -> None:
    api = Api("sk_test_twins")
    made = api.customer()
    status, body, _ = api.send("GET", f"/v1/customers/{made}", key="sk_live_fake_twins")
    assert status == 404
    assert body["error"]["message"] == (
        f"No such customer: '{made}'; a similar object exists in test mode, but a live mode key was used to make this"
        " request."
    )
    assert api.done("POST", "/v1/customers", {}, key="sk_live_fake_twins")["livemode"] is True


def test_facts_3_1_a_publishable_key_is_403_secret_key_required_with_request_id() -> None:
    api = Api("sk_test_shop")
    status, body, response = api.send("GET", "/v1/customers", key="pk_test_shop")
    assert (status, body["error"]["code"]) == (403, "secret_key_required")
    assert body["error"]["message"] == (
        "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of"
        " your API keys at https://dashboard.stripe.com/account/apikeys."
    )
    assert "Request-Id" in headers_of(response)


@pytest.mark.parametrize(
    ("key", "status", "code", "words"),
    [
        ("sk_test_noplatform", 403, "platform_account_required", "Only Stripe Connect platforms can work with other"),
        ("sk_test_rolled", 401, "platform_api_key_expired", "The API key provided by your Connect platform has"),
    ],
)
def test_facts_3_1_only_a_platforms_valid_key_works_with_other_accounts(
    key: str, status: int, code: str, words: str
) -> None:
    api = Api(key)
    error = api.refused(status, "GET", "/v1/customers", account=SELLER)
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["message"].startswith(words)
    assert api.get("/v1/customers")["data"] == []


def test_a_publishable_key_makes_tokens_and_payment_methods() -> None:
    api = Api("sk_test_shop")
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    assert api.done("POST", "/v1/tokens", {"card": card}, key="pk_test_shop")["object"] == "token"
    made = api.done("POST", "/v1/payment_methods", {"type": "card", "card": card}, key="pk_test_shop")
    assert made["object"] == "payment_method"


def test_facts_3_1_a_restricted_key_without_the_permission_is_403_naming_it() -> None:
    api = Api("sk_test_shop")
    api.world.restricted["rk_test_shop"] = frozenset({"customer_read"})
    assert api.send("GET", "/v1/customers", key="rk_test_shop")[0] == 200
    status, body, response = api.send("POST", "/v1/customers", key="rk_test_shop")
    assert status == 403
    assert (
        f"does not have the required permissions for this endpoint on account '{api.world.platform}'. Enabling"
        " Customers Write ('customer_write') permissions on this key would allow this request to continue."
    ) in body["error"]["message"]
    assert "Request-Id" in headers_of(response)


def test_facts_3_1_a_restricted_key_without_connect_permission_cannot_use_stripe_account() -> None:
    api = Api("sk_test_shop")
    api.world.restricted["rk_test_shop"] = frozenset({"customer_read"})
    status, body, _ = api.send("GET", "/v1/customers", key="rk_test_shop", account=SELLER)
    assert status == 403
    assert "does not have any Connect permissions" in body["error"]["message"]


def test_an_unrestricted_restricted_key_may_do_everything() -> None:
    assert Api("sk_test_shop").send("POST", "/v1/customers", key="rk_test_shop", account=SELLER)[0] == 200


def test_facts_3_1_an_unknown_account_is_403_account_invalid_without_request_id(api: Api) -> None:
    status, body, response = api.send("GET", "/v1/customers", account="acct_1Nobody", key="sk_test_calls")
    assert status == 403
    assert body["error"] == {
        "code": "account_invalid",
        "doc_url": "https://stripe.com/docs/error-codes/account-invalid",
        "message": "The provided key 'sk_test_*****' does not have access to account 'acct_1Nobody' (or that account"
        " does not exist). Application access may have been revoked.",
        "type": "invalid_request_error",
    }
    assert "Request-Id" not in headers_of(response)


def test_a_long_key_is_shown_with_its_last_four_characters() -> None:
    response, body = sent(FakeStripe(), "/v1/accounts/acct_x", "Bearer sk_test_abcdefghijklmnopqrsuCJm")
    assert response.status == 403
    assert "'sk_test_*******************uCJm'" in body["error"]["message"]


def test_revoked_access_is_403_account_invalid(api: Api) -> None:
    assert api.send("GET", "/v1/customers", account=SELLER)[0] == 200
    api.world.disconnect(SELLER)
    assert api.send("GET", "/v1/customers", account=SELLER)[1]["error"]["code"] == "account_invalid"


def test_stripe_account_is_echoed_and_so_is_an_account_in_the_path(api: Api) -> None:
    assert headers_of(api.send("GET", "/v1/customers", account=SELLER)[2])["Stripe-Account"] == SELLER
    assert headers_of(api.send("GET", f"/v1/accounts/{SELLER}")[2])["Stripe-Account"] == SELLER
    assert "Stripe-Account" not in headers_of(api.send("GET", "/v1/customers")[2])


def test_objects_of_one_account_do_not_exist_on_another(api: Api) -> None:
    made = api.customer(account=SELLER)
    error = api.refused(404, "GET", f"/v1/customers/{made}")
    assert error == {
        "code": "resource_missing",
        "message": f"No such customer: '{made}'",
        "param": "id",
        "type": "invalid_request_error",
    }


def test_facts_3_1_an_unknown_route_is_404_unrecognized_request_url(api: Api) -> None:
    error = api.refused(404, "GET", "/v1/nothing")
    assert error["message"].startswith(
        "Unrecognized request URL (GET: /v1/nothing). If you are trying to list objects,"
    )


@pytest.mark.parametrize(
    "version",
    ["tomorrow", "2026-6-1", "2026-06-24.Dahlia!", "2022-08-02", "2025-09-30.acacia", "2099-01-01", "2099-01-01.zebra"],
)
def test_facts_3_1_a_bad_stripe_version_is_400(api: Api, version: str) -> None:
    status, body, _ = api.send("GET", "/v1/customers", version=version)
    assert (status, body["error"]["message"]) == (400, f"Invalid Stripe API version: {version}")


def test_the_version_asked_for_is_named_in_the_answer(api: Api) -> None:
    for version in (
        "2023-10-16",
        "2026-06-24.dahlia",
        "2025-03-31.preview",
        "2023-10-16; risk_in_requirements_beta=v1",
    ):
        assert headers_of(api.send("GET", "/v1/customers", version=version)[2])["Stripe-Version"] == version


def test_json_bodies_are_refused_on_v1(api: Api) -> None:
    headers = {b"authorization": b"Bearer sk_test_calls", b"content-type": b"application/json"}
    response = api.fake.handle(Request("POST", "/v1/customers", headers=headers, body=b'{"email":"a@b.co"}'))
    assert response.status == 400
    assert b"check that your POST content type is application/x-www-form-urlencoded" in response.body


def test_error_members_are_in_alphabetical_order_and_absent_ones_left_out(api: Api) -> None:
    _, body, _ = api.send("GET", "/v1/customers/cus_nobody")
    assert list(body["error"]) == sorted(body["error"])
    assert set(body["error"]) == {"code", "doc_url", "message", "param", "request_log_url", "type"}
    assert body["error"]["doc_url"] == "https://stripe.com/docs/error-codes/resource-missing"


def test_the_request_log_url_names_the_platform_and_the_request(api: Api) -> None:
    _, body, response = api.send("GET", "/v1/customers/cus_nobody")
    request_id = headers_of(response)["Request-Id"]
    assert body["error"]["request_log_url"] == (
        f"https://dashboard.stripe.com/{api.world.platform}/test/workbench/logs?object={request_id}"
    )


def test_json_is_indented_by_two_and_begins_with_id_and_object(api: Api) -> None:
    _, body, response = api.send("POST", "/v1/customers", {"metadata": {"b": "1"}})
    assert response.body.startswith(b'{\n  "id": "cus_')
    assert list(body)[2:] == sorted(list(body)[2:])


def test_a_failure_inside_the_double_is_an_envelope_and_leaves_no_trace(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from fake_stripe.objects import registry

    def breaks(call: registry.Call) -> dict[str, Any]:
        call.scope.insert({"id": "cus_half", "object": "customer"})
        raise RuntimeError("boom")

    registry.handler_for("POST", "/v1/customers")
    monkeypatch.setitem(registry._handlers, ("POST", "/v1/customers"), breaks)
    status, body, _ = api.send("POST", "/v1/customers")
    assert (status, body["error"]["type"]) == (500, "api_error")
    assert "boom" not in body["error"]["message"]
    assert api.world.platform_scope(livemode=False).get("customer", "cus_half") is None


# ---- headers of answers to keys (facts 4.1, last rows; the keyless POST as recorded in 2026)


def test_a_post_with_a_key_is_answered_with_the_key_and_its_own_request_as_original(api: Api) -> None:
    headers = headers_of(api.send("POST", "/v1/customers", idempotency_key="k1")[2])
    assert headers["Idempotency-Key"] == "k1"
    assert headers["Original-Request"] == headers["Request-Id"]
    assert headers["Stripe-Should-Retry"] == "false"
    assert "Idempotent-Replayed" not in headers


def test_a_post_without_a_key_is_given_one(api: Api) -> None:
    first, second = (headers_of(api.send("POST", "/v1/customers")[2]) for _ in range(2))
    assert len(first["Idempotency-Key"]) == 36
    assert first["Idempotency-Key"] != second["Idempotency-Key"]


def test_a_delete_echoes_its_key_but_names_no_original_request(api: Api) -> None:
    headers = headers_of(api.send("DELETE", f"/v1/customers/{api.customer()}", idempotency_key="k")[2])
    assert headers["Idempotency-Key"] == "k"
    assert "Original-Request" not in headers
    assert "Stripe-Should-Retry" not in headers


def test_a_get_ignores_a_key(api: Api) -> None:
    headers = headers_of(api.send("GET", "/v1/customers", idempotency_key="k")[2])
    assert "Idempotency-Key" not in headers


def test_should_retry_is_absent_when_a_request_was_refused_before_it_executed(api: Api) -> None:
    for path, params in (
        ("/v1/customers", {"nonsense": 1}),
        ("/v1/payment_methods/pm_nobody/attach", {"customer": "x"}),
    ):
        status, _, response = api.send("POST", path, params, idempotency_key="k-" + path)
        assert status in (400, 404)
        assert "Stripe-Should-Retry" not in headers_of(response)


def test_should_retry_is_false_on_a_decline(api: Api) -> None:
    card = api.bare_card("pm_card_visa_chargeDeclined")
    params = {"payment_method": card}
    status, _, response = api.send("POST", "/v1/customers", params, idempotency_key="k")
    assert status == 402
    assert headers_of(response)["Stripe-Should-Retry"] == "false"


# ---- browsers and caches


def test_facts_7_8_no_answer_may_be_kept_and_pages_of_any_origin_may_read_it(api: Api) -> None:
    for path, status in (("/v1/account", 200), ("/v1/nowhere", 404)):
        got, _, response = api.send("GET", path)
        headers = dict(response.headers)
        assert got == status
        assert headers["Cache-Control"] == "no-cache, no-store"
        assert headers["Vary"] == "Origin"
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Request-Id" in headers["Access-Control-Expose-Headers"]
        assert headers["X-Stripe-Routing-Context-Priority-Tier"] == "api-testmode"
        assert "Strict-Transport-Security" not in headers  # it would bind every other server of this machine
    refused = api.send("GET", "/v1/account", key="sk_test_invalid")[2]
    assert dict(refused.headers)["Cache-Control"] == "no-cache, no-store"


def test_a_browsers_preflight_is_answered_without_a_key(api: Api) -> None:
    headers = {b"access-control-request-method": b"POST", b"access-control-request-headers": b"authorization"}
    answer = api.fake.handle(Request("OPTIONS", "/v1/tokens", headers=headers))
    assert answer.status == 200
    assert dict(answer.headers)["Access-Control-Allow-Headers"] == "authorization"
    assert "POST" in dict(answer.headers)["Access-Control-Allow-Methods"]
