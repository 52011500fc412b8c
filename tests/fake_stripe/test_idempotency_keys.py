"""Idempotency in full: each row of facts §4.1."""

import orjson
import pytest
from fake_stripe.wire import Request, Response

from tests.fake_stripe.stripe_calls import OTHER_SELLER, SELLER, Api

MISMATCH = (
    "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key"
    " other than 'k' if you meant to execute a different request."
)


@pytest.fixture
def api() -> Api:
    return Api()


def replayed(response: Response) -> bool:
    return dict(response.headers).get("Idempotent-Replayed") == "true"


def test_a_success_is_replayed_with_the_same_body_a_new_request_id_and_the_original_one_named(api: Api) -> None:
    _, first, one = api.send("POST", "/v1/customers", {"email": "a@b.co"}, idempotency_key="k")
    _, again, two = api.send("POST", "/v1/customers", {"email": "a@b.co"}, idempotency_key="k")
    assert one.body == two.body
    assert first["id"] == again["id"]
    assert not replayed(one)
    assert replayed(two)
    head, later = dict(one.headers), dict(two.headers)
    assert later["Original-Request"] == head["Request-Id"]
    assert later["Request-Id"] != head["Request-Id"]
    assert later["Stripe-Should-Retry"] == "false"
    assert len(api.get("/v1/customers")["data"]) == 1


def test_a_decline_is_kept_and_replayed_for_a_day(api: Api) -> None:
    card = api.bare_card("pm_card_visa_chargeDeclined")
    _, first, _ = api.send("POST", "/v1/customers", {"payment_method": card}, idempotency_key="k")
    status, again, response = api.send("POST", "/v1/customers", {"payment_method": card}, idempotency_key="k")
    assert status == 402
    assert again == first
    assert replayed(response)


def test_a_state_error_is_kept(api: Api) -> None:
    intent = api.post("/v1/payment_intents", amount=1000, currency="usd")["id"]
    api.post(f"/v1/payment_intents/{intent}/cancel")
    for expected in (False, True):
        status, body, response = api.send("POST", f"/v1/payment_intents/{intent}/cancel", idempotency_key="k")
        assert (status, body["error"]["code"]) == (400, "payment_intent_unexpected_state")
        assert replayed(response) is expected


def test_a_request_refused_by_validation_is_not_kept_and_may_be_sent_again_with_the_same_key(api: Api) -> None:
    assert api.send("POST", "/v1/customers", {"nonsense": 1}, idempotency_key="k")[0] == 400
    status, _, response = api.send("POST", "/v1/customers", {"email": "a@b.co"}, idempotency_key="k")
    assert status == 200
    assert not replayed(response)


def test_a_missing_object_is_not_kept(api: Api) -> None:
    path = "/v1/payment_methods/pm_card_visa/attach"
    assert api.send("POST", path, {"customer": "cus_nobody"}, idempotency_key="k")[0] == 400
    assert api.send("POST", path, {"customer": api.customer()}, idempotency_key="k")[0] == 200


def test_another_request_with_the_key_is_400_idempotency_error(api: Api) -> None:
    api.send("POST", "/v1/customers", {"email": "a@b.co"}, idempotency_key="k")
    status, body, response = api.send("POST", "/v1/customers", {"email": "c@d.co"}, idempotency_key="k")
    assert (status, body["error"]["type"], body["error"]["message"]) == (400, "idempotency_error", MISMATCH)
    assert not replayed(response)
    assert len(api.get("/v1/customers")["data"]) == 1


def test_the_order_of_parameters_does_not_matter(api: Api) -> None:
    _, first, _ = api.send("POST", "/v1/customers", {"email": "a@b.co", "name": "A"}, idempotency_key="k")
    _, again, response = api.send("POST", "/v1/customers", {"name": "A", "email": "a@b.co"}, idempotency_key="k")
    assert again["id"] == first["id"]
    assert replayed(response)


def test_another_endpoint_with_the_key_is_400_naming_both(api: Api) -> None:
    made = api.send("POST", "/v1/customers", {}, idempotency_key="k")[1]["id"]
    status, body, _ = api.send("POST", f"/v1/customers/{made}", {}, idempotency_key="k")
    assert (status, body["error"]["type"]) == (400, "idempotency_error")
    assert body["error"]["message"] == (
        "Keys for idempotent requests can only be used for the same endpoint they were first used for"
        f" ('/v1/customers/{made}' vs '/v1/customers'). Try using a key other than 'k' if you meant to execute a"
        " different request."
    )


def test_the_same_key_on_two_accounts_and_in_two_modes_names_different_requests(api: Api) -> None:
    made = {
        api.done("POST", "/v1/customers", {}, idempotency_key="k", account=account, key=key)["id"]
        for account in (None, SELLER, OTHER_SELLER)
        for key in ("sk_test_calls", "sk_live_fake_calls")
    }
    assert len(made) == 6


def test_a_key_is_forgotten_after_24_hours_of_the_worlds_clock_and_not_before(api: Api) -> None:
    api.world.clock.freeze()
    first = api.send("POST", "/v1/customers", {}, idempotency_key="k")[1]["id"]
    api.world.advance(24 * 3600 - 1)
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[1]["id"] == first
    api.world.advance(1)
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[1]["id"] != first


def test_while_the_first_request_is_held_the_second_is_409_and_afterwards_a_replay(api: Api) -> None:
    api.world.faults.add({"latency": 5})
    _, first, held = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert held.delay == 5
    status, body, _ = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert (status, body["error"]["code"], body["error"]["type"]) == (
        409,
        "idempotency_key_in_use",
        "idempotency_error",
    )
    assert body["error"]["message"] == (
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted"
        " twice, and the other request is still going through): k. Please try again later."
    )
    assert held.release is not None
    held.release()
    _, again, response = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert again["id"] == first["id"]
    assert replayed(response)


def test_an_empty_key_is_400(api: Api) -> None:
    for key in (" ",):
        status, body, _ = api.send("POST", "/v1/customers", {}, idempotency_key=key)
        assert (status, body["error"]["message"]) == (400, "Idempotency Key must be a non-empty string.")


def test_a_key_of_255_characters_is_taken_and_one_of_256_refused(api: Api) -> None:
    assert api.send("POST", "/v1/customers", {}, idempotency_key="x" * 255)[0] == 200
    assert api.send("POST", "/v1/customers", {}, idempotency_key="x" * 256)[0] == 400


def test_a_key_of_another_key_holder_of_the_same_world_is_the_same_key(api: Api) -> None:
    first = api.send("POST", "/v1/customers", {}, idempotency_key="k")[1]["id"]
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k", key="rk_test_calls")[1]["id"] == first


def test_the_rate_limiters_429_and_a_401_are_not_kept(api: Api) -> None:
    api.world.clock.freeze(1_800_000_000)
    api.world.set_policy({"rate_limits": "test"})
    for number in range(25):
        assert api.send("POST", "/v1/customers", {}, idempotency_key=f"k{number}")[0] == 200
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[0] == 429
    api.world.advance(1)
    status, _, response = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert status == 200
    assert not replayed(response)


def test_a_replay_changes_nothing_and_emits_no_event(api: Api) -> None:
    for _ in range(3):
        api.send("POST", "/v1/customers", {"email": "a@b.co"}, idempotency_key="k")
    assert api.events() == ["customer.created"]


def test_an_event_names_the_request_and_its_key(api: Api) -> None:
    _, _, response = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    request = api.get("/v1/events")["data"][0]["request"]
    assert request == {"id": dict(response.headers)["Request-Id"], "idempotency_key": "k"}


def test_a_stored_500_is_replayed(api: Api) -> None:
    api.world.faults.add({"act": {"kind": "status", "status": 500}})
    status, _, one = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    again, _, two = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert (status, again) == (500, 500)
    assert one.body == two.body
    assert replayed(two)
    assert orjson.loads(two.body)["error"]["type"] == "api_error"


def upload(api: Api, boundary: str, content: bytes, key: str = "k") -> tuple[int, Response]:
    parts = [
        b'Content-Disposition: form-data; name="purpose"\r\n\r\ndispute_evidence',
        b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + content,
    ]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    headers = {
        b"authorization": b"Bearer sk_test_calls",
        b"idempotency-key": key.encode(),
        b"content-type": f"multipart/form-data; boundary={boundary}".encode(),
    }
    answer = api.fake.handle(Request("POST", "/v1/files", headers=headers, body=body + f"--{boundary}--".encode()))
    return answer.status, answer


def test_an_upload_is_recognised_by_its_parts_whatever_their_boundary(api: Api) -> None:
    assert upload(api, "one", b"\x89PNG")[0] == 200
    status, again = upload(api, "two", b"\x89PNG")
    assert (status, replayed(again)) == (200, True)
    status, other = upload(api, "three", b"\x89PNG another")
    assert (status, orjson.loads(other.body)["error"]["type"]) == (400, "idempotency_error")


def test_of_a_large_request_a_digest_is_compared_and_the_order_still_does_not_matter(api: Api) -> None:
    texts = {f"k{number}": "x" * 450 for number in range(40)}
    backwards = dict(reversed(texts.items()))
    assert api.send("POST", "/v1/customers", {"metadata": texts}, idempotency_key="k")[0] == 200
    assert replayed(api.send("POST", "/v1/customers", {"metadata": backwards}, idempotency_key="k")[2])
    changed = {**texts, "k39": "y" * 450}

    status, body, _ = api.send("POST", "/v1/customers", {"metadata": changed}, idempotency_key="k")
    assert (status, body["error"]["type"]) == (400, "idempotency_error")
    kept = next(iter(api.world.idempotency.values()))
    assert len(kept.body) < 100


def test_a_request_that_brought_no_key_leaves_no_record(api: Api) -> None:
    api.post("/v1/customers", email="a@b.co")
    assert api.world.idempotency == {}


def test_a_publishable_keys_403_and_a_fault_at_the_door_are_not_kept(api: Api) -> None:
    status, _, _ = api.send("POST", "/v1/customers", {}, key="pk_test_calls", idempotency_key="k")
    assert status == 403
    api.world.faults.add({"act": {"kind": "status", "status": 409}})
    assert api.send("POST", "/v1/customers", {}, idempotency_key="k")[0] == 409
    status, _, response = api.send("POST", "/v1/customers", {}, idempotency_key="k")
    assert (status, replayed(response)) == (200, False)


def test_a_replay_says_again_that_it_is_a_fixture(api: Api) -> None:
    params = {"name": "Basic"}
    for _ in range(2):
        status, _, response = api.send("POST", "/v1/products", params, idempotency_key="k")
        assert (status, dict(response.headers)["Fake-Stripe-Fidelity"]) == (200, "fixture")
    assert replayed(response)
