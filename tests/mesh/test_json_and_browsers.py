"""deploy/envoy/full.yaml, read from outside: JSON over HTTP and gRPC-Web on the port that speaks gRPC."""

from __future__ import annotations

import http.client
import json
import ssl
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from google.protobuf import json_format

from tests.mesh.calls import purchase, shopper
from tests.mesh.secured import Secured
from tests.stripe_http import StripeHttp

Answer = tuple[int, Any, http.client.HTTPMessage]


class Caller:
    """A caller with a client certificate of the mesh, speaking HTTP."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        self._port, self._tls = port, tls

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes, Any]:
        """One request and its whole answer."""
        connection = http.client.HTTPSConnection("localhost", self._port, context=self._tls, timeout=30)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, answer.headers

    def json(self, method: str, path: str, body: Any = None) -> Answer:
        """One JSON request; status, decoded body, headers."""
        sent = None if body is None else json.dumps(body).encode()
        status, content, headers = self.send(method, path, sent, {"content-type": "application/json"})
        return status, json.loads(content), headers


@pytest.fixture
def caller(mesh: Secured) -> Caller:
    """A service of the mesh, with its certificate, in front of Envoy with everything on."""
    return Caller(mesh.port, mesh.context(mesh.leaf("shop")))


def as_json(request: Any) -> dict[str, Any]:
    """A request message in the JSON form."""
    return json_format.MessageToDict(request, preserving_proto_field_name=True)


def test_a_shopper_pays_and_is_found_again_by_plain_json(caller: Caller, stripe: StripeHttp) -> None:
    asked = shopper(stripe)

    status, made, _ = caller.json("POST", "/v1/charges:cloneAndCharge", as_json(asked))
    _, charge, _ = caller.json("GET", f"/v1/charges/{made['charge']['charge_id']}")
    _, listed, _ = caller.json("GET", f"/v1/charges?platform_customer_id={asked.platform_customer_id}&page_size=10")
    _, looked_up, _ = caller.json("GET", f"/v1/requests/{asked.request_id}")

    assert status == 200
    assert made["charge"]["amount"] == {"minor_units": "1999", "currency_code": "USD"}  # 64-bit numbers are strings
    assert charge["charge"]["state"] == "STATE_SUCCEEDED"
    assert [each["charge_id"] for each in listed["charges"]] == [made["charge"]["charge_id"]]
    assert looked_up["state"] == "REQUEST_STATE_SUCCEEDED"


def test_the_same_json_request_charges_once(caller: Caller, stripe: StripeHttp) -> None:
    asked = shopper(stripe)

    first = caller.json("POST", "/v1/charges:cloneAndCharge", as_json(asked))
    second = caller.json("POST", "/v1/charges:cloneAndCharge", as_json(asked))

    assert first[1] == second[1]
    assert second[2]["idempotent-replayed"] == "true"
    assert len(stripe.succeeded_charges(asked.connected_account_id)) == 1


def test_an_error_is_json_with_its_reason_and_details(caller: Caller, stripe: StripeHttp) -> None:
    customer, _ = stripe.saved_card("pm_card_chargeCustomerFail")
    declined = caller.json(
        "POST", "/v1/charges:cloneAndCharge", as_json(purchase(customer, stripe.connected_account()))
    )
    missing = caller.json("GET", "/v1/charges/chg_f7fe6300-a2e9-5712-b1b8-d0a33a62da1c")
    malformed = caller.json("POST", "/v1/charges:cloneAndCharge", {"request_id": "not a uuid"})

    assert [each[0] for each in (declined, missing, malformed)] == [400, 404, 400]
    by_type = {detail["@type"].rpartition(".")[2]: detail for detail in declined[1]["details"]}
    assert by_type["ErrorInfo"]["reason"] == "CARD_DECLINED"
    assert by_type["ErrorInfo"]["domain"] == "cloneservice"
    assert by_type["ChargeFailure"]["charge"]["decline"]["decline_code"] == "generic_decline"
    assert missing[1]["details"][0]["reason"] == "RESOURCE_NOT_FOUND"
    assert any(detail.get("field_violations") or detail.get("fieldViolations") for detail in malformed[1]["details"])


def test_a_path_or_a_parameter_that_is_not_in_the_contract_is_refused(caller: Caller) -> None:
    assert caller.send("GET", "/v1/nothing", None, {})[0] in (404, 415)
    assert caller.send("GET", "/v1/charges?nonsense=1", None, {})[0] == 400


def test_a_browser_calls_by_grpc_web_from_the_allowed_origin_only(caller: Caller, stripe: StripeHttp) -> None:
    message = shopper(stripe).SerializeToString()
    body = struct.pack(">BI", 0, len(message)) + message
    path, origin = "/cloneservice.v1.CloneService/CloneAndCharge", "https://backoffice.example.com"
    asks = {"origin": origin, "access-control-request-method": "POST"}

    allowed = caller.send("OPTIONS", path, None, asks)
    refused = caller.send("OPTIONS", path, None, {**asks, "origin": "https://elsewhere.example.com"})
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": origin}
    status, content, answered = caller.send("POST", path, body, headers)

    assert allowed[2]["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in refused[2]
    assert status == 200
    assert "grpc-status-details-bin" in answered["access-control-expose-headers"]
    frames = dict(_frames(content))
    assert pb.CloneAndChargeResponse.FromString(frames[0]).charge.charge_id
    assert b"grpc-status:0" in frames[0x80]


def _frames(content: bytes) -> Iterator[tuple[int, bytes]]:
    while content:
        kind, length = struct.unpack(">BI", content[:5])
        yield kind, content[5 : 5 + length]
        content = content[5 + length :]
