"""deploy/envoy/full.yaml: who called is proved to Envoy, passed on to the server, and judged there."""

from __future__ import annotations

import http.client
import json

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2

from tests.certificates import Authority
from tests.mesh.calls import shopper, stub
from tests.mesh.secured import TRUST, Secured
from tests.stripe_http import StripeHttp

FORGED = (("x-forwarded-client-cert", f"By={TRUST}envoy;URI={TRUST}shop"),)


def code(mesh: Secured, credentials: grpc.ChannelCredentials | None, request: pb.CloneAndChargeRequest) -> str:
    """How one call ends."""
    with stub(mesh.port, credentials) as service:
        try:
            service.CloneAndCharge(request, timeout=20)
        except grpc.RpcError as error:
            name: str = error.code().name
            return name
    return "OK"


def test_a_caller_is_known_to_the_server_by_the_certificate_that_it_showed_to_envoy(
    mesh: Secured, stripe: StripeHttp
) -> None:
    asked = shopper(stripe)

    assert code(mesh, mesh.credentials(mesh.leaf("shop")), asked) == "OK"

    audited = [json.loads(line) for server in mesh.servers for line in server.log().splitlines() if "audit" in line]
    assert [line["caller"] for line in audited if line["method"] == "CloneAndCharge"] == ["shop"]
    assert len(stripe.succeeded_charges(asked.connected_account_id)) == 1


def test_a_service_of_the_mesh_that_the_policy_does_not_know_may_do_nothing(mesh: Secured, stripe: StripeHttp) -> None:
    asked = shopper(stripe)

    assert code(mesh, mesh.credentials(mesh.leaf("other")), asked) == "PERMISSION_DENIED"
    assert stripe.succeeded_charges(asked.connected_account_id) == []


def test_a_caller_may_charge_up_to_its_amount_only(mesh: Secured, stripe: StripeHttp) -> None:
    asked = shopper(stripe)
    asked.charge.amount.CopyFrom(types_pb2.Money(minor_units=5001, currency_code="USD"))

    assert code(mesh, mesh.credentials(mesh.leaf("shop")), asked) == "PERMISSION_DENIED"


def test_what_a_caller_says_of_itself_in_a_header_is_thrown_away(mesh: Secured, stripe: StripeHttp) -> None:
    asked = shopper(stripe)
    with stub(mesh.port, mesh.credentials(mesh.leaf("other"))) as service, pytest.raises(grpc.RpcError) as refused:
        service.CloneAndCharge(asked, timeout=20, metadata=FORGED)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("who", ["nobody", "a foreign authority", "outside of the trust domain"])
def test_without_a_certificate_of_the_mesh_there_is_no_connection(mesh: Secured, stripe: StripeHttp, who: str) -> None:
    credentials = {
        "nobody": grpc.ssl_channel_credentials(mesh.authority.pem),
        "a foreign authority": mesh.credentials(Authority("foreign").leaf(TRUST + "shop")),
        "outside of the trust domain": mesh.credentials(mesh.authority.leaf("spiffe://elsewhere.test/shop")),
    }[who]

    assert code(mesh, credentials, shopper(stripe)) == "UNAVAILABLE"


def test_nobody_reaches_the_server_around_envoy_with_a_header_of_envoys(mesh: Secured, stripe: StripeHttp) -> None:
    asked = shopper(stripe)
    port, credentials = mesh.servers[0].port, mesh.credentials(mesh.leaf("other"))
    with stub(port, credentials, "cloneservice.cluster.local") as service, pytest.raises(grpc.RpcError) as refused:
        service.CloneAndCharge(asked, timeout=20, metadata=FORGED)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_stripes_webhooks_come_in_by_a_listener_of_their_own(mesh: Secured) -> None:
    def posted(path: str, body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", mesh.envoy.ports["stripe"], timeout=20)
        connection.request("POST", path, body, {"stripe-signature": "t=1,v1=00", "content-type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return status

    assert posted("/stripe/webhook", b"{}") == 400  # the server's word: the signature is no good
    assert posted("/stripe/webhook", b"x" * 2_000_000) == 413
    assert posted("/cloneservice.v1.CloneService/ListCharges", b"") == 404
