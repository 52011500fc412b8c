"""kill -9 at each boundary of CloneAndCharge: after a restart the same request_id gives one charge and one answer."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import clone_service_pb2_grpc as pb_grpc

from tests.crashing_servers import CrashingServers, crashing_servers
from tests.stripe_http import StripeHttp

BOUNDARIES = [
    f"{side} {step}"
    for step in (
        "begin_request",
        "intend clone",
        "send /v1/payment_methods",
        "intend customer",
        "send /v1/customers",
        "intend intent",
        "send /v1/payment_intents",
        "intend confirm",
        "send confirm",
        "commit",
    )
    for side in ("before", "after")
]


@pytest.fixture(scope="module")
def servers() -> Iterator[CrashingServers]:
    with crashing_servers() as template:
        yield template


class Story:
    """One request against servers that come and go over one ledger and one Stripe."""

    def __init__(self, servers: CrashingServers, stripe: StripeHttp, folder: Path) -> None:
        self.servers = servers
        self.stripe = stripe
        self.trace = folder / "trace"
        self.order = {
            "stripe": stripe.url,
            "api_key": stripe.api_key,
            "ledger": f"sqlite:///{folder}/ledger.db",
            "trace": str(self.trace),
        }
        self.account = stripe.connected_account()
        self.customer, self.card = stripe.saved_card()
        self.request = pb.CloneAndChargeRequest(
            request_id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(folder))),
            platform_customer_id=self.customer,
            platform_payment_method_id=self.card,
            connected_account_id=self.account,
        )
        self.request.charge.amount.minor_units = 1999
        self.request.charge.amount.currency_code = "USD"
        self.request.charge.application_fee.minor_units = 199
        self.request.charge.application_fee.currency_code = "USD"

    def start(self, crash_at: int = 0) -> tuple[int, int]:
        return self.servers.start(**self.order, crash_at=crash_at)

    def ask(self, port: int) -> pb.CloneAndChargeResponse:
        """Once, without any retry of the client's."""
        options = [("grpc.enable_retries", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            answer: pb.CloneAndChargeResponse = pb_grpc.CloneServiceStub(channel).CloneAndCharge(
                self.request, timeout=30
            )
            return answer

    def ask_until_answered(self, port: int) -> pb.CloneAndChargeResponse:
        """As the service config has clients do: what was parked as never begun waits for its caller to repeat."""
        for _ in range(3):
            try:
                return self.ask(port)
            except grpc.RpcError as parked:
                if parked.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
        return self.ask(port)

    def lookup(self, port: int) -> pb.LookupRequestResponse:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            asked = pb.LookupRequestRequest(request_id=self.request.request_id)
            answer: pb.LookupRequestResponse = pb_grpc.CloneServiceStub(channel).LookupRequest(asked, timeout=30)
            return answer


@pytest.fixture
def story(servers: CrashingServers, stripe: StripeHttp, tmp_path: Path) -> Story:
    return Story(servers, stripe, tmp_path)


def test_the_boundaries_killed_at_are_all_there_are(story: Story) -> None:
    pid, port = story.start()
    answer = story.ask(port)
    story.servers.stop(pid)

    crossed = [
        line.replace(f"/v1/payment_intents/{answer.charge.stripe_payment_intent_id}/confirm", "confirm")
        for line in story.trace.read_text().splitlines()
    ]

    assert crossed == BOUNDARIES


@pytest.mark.parametrize("boundary", range(1, len(BOUNDARIES) + 1), ids=[name.replace("/", "-") for name in BOUNDARIES])
def test_killed_here_it_charges_once_and_answers_the_same(story: Story, boundary: int) -> None:
    pid, port = story.start(crash_at=boundary)
    with pytest.raises(grpc.RpcError) as lost:
        story.ask(port)
    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    assert story.servers.wait(pid) == signal.SIGKILL

    pid, port = story.start()
    first, second = story.ask_until_answered(port), story.ask(port)
    told = story.lookup(port)
    story.servers.stop(pid)

    charges = story.stripe.succeeded_charges(story.account)
    assert [charge["payment_intent"] for charge in charges] == [first.charge.stripe_payment_intent_id]
    assert charges[0]["amount"] == 1999
    assert second == first
    assert told.state == pb.REQUEST_STATE_SUCCEEDED
    assert told.charge_id == first.charge.charge_id
    assert not first.reused
    customers = story.stripe.listed("/v1/customers", story.account)
    assert [customer["id"] for customer in customers] == [first.clone.connected_customer_id]
    attached = story.stripe.listed("/v1/payment_methods", story.account, customer=customers[0]["id"])
    assert [method["id"] for method in attached] == [first.clone.connected_payment_method_id]
