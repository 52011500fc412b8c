"""kill -9 at the boundaries of a capture, a refund and a basket: after a restart it is done once, and answered so."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import clone_service_pb2_grpc as pb_grpc
from cloneservice.v1 import types_pb2 as types

from tests.crashing_servers import CrashingServers, crashing_servers
from tests.stripe_http import StripeHttp

SERVICE_CONFIG = (Path(__file__).parents[2] / "protos/service_config.json").read_text()
"""What clients repeat: a restarted server may say once that nothing was begun, when it found so by itself."""
VERB_BOUNDARIES = 8
"""Before and after: begin_request, intend, send, commit."""
BASKET_DEATHS = (5, 20, 33, 38, 43)
"""Some of the boundaries of a basket of two; tests/chaos goes through all of them."""


@pytest.fixture(scope="module")
def servers() -> Iterator[CrashingServers]:
    with crashing_servers() as template:
        yield template


class Story:
    """Requests against servers that come and go over one ledger and one Stripe."""

    def __init__(self, servers: CrashingServers, stripe: StripeHttp, folder: Path) -> None:
        self.servers, self.stripe, self.trace = servers, stripe, folder / "trace"
        ledger = f"sqlite:///{folder}/ledger.db"
        self.order = {"stripe": stripe.url, "api_key": stripe.api_key, "ledger": ledger, "trace": str(self.trace)}
        self.accounts = [stripe.connected_account() for _ in range(2)]
        self.customer, self.card = stripe.saved_card()

    def ask(self, rpc: str, *requests: Any, crash_at: int = 0) -> list[Any]:
        """A server, its answers (none if it is to die), and its end."""
        pid, port = self.servers.start(**self.order, crash_at=crash_at)
        options = [("grpc.enable_retries", 0)] if crash_at else [("grpc.service_config", SERVICE_CONFIG)]
        answers = []
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            call = getattr(pb_grpc.CloneServiceStub(channel), rpc)
            if not crash_at:
                answers = [call(request, timeout=30) for request in requests]
            else:
                with pytest.raises(grpc.RpcError):
                    call(requests[0], timeout=30)
        if crash_at:
            assert self.servers.wait(pid) == signal.SIGKILL
        else:
            self.servers.stop(pid)
        return answers

    def charge(self, capture_method: Any) -> Any:
        """A charge made by a server that lived."""
        request = pb.CloneAndChargeRequest(
            request_id=str(uuid.uuid4()), platform_customer_id=self.customer, connected_account_id=self.accounts[0]
        )
        request.charge.amount.CopyFrom(types.Money(minor_units=1999, currency_code="USD"))
        request.charge.capture_method = capture_method
        return self.ask("CloneAndCharge", request)[0].charge


@pytest.fixture
def story(servers: CrashingServers, stripe: StripeHttp, tmp_path: Path) -> Story:
    return Story(servers, stripe, tmp_path)


@pytest.mark.parametrize("boundary", range(1, VERB_BOUNDARIES + 1))
def test_a_capture_is_made_once(story: Story, boundary: int) -> None:
    held = story.charge(types.CAPTURE_METHOD_MANUAL)
    part = types.Money(minor_units=1500, currency_code="USD")
    request = pb.CaptureChargeRequest(request_id=str(uuid.uuid4()), charge_id=held.charge_id, amount=part)
    assert story.ask("CaptureCharge", request, crash_at=boundary) == []
    first, again = story.ask("CaptureCharge", request, request)

    assert first == again
    assert first.charge.amount_received == part
    (charge,) = story.stripe.succeeded_charges(story.accounts[0])
    assert charge["amount_captured"] == 1500


@pytest.mark.parametrize("boundary", range(1, VERB_BOUNDARIES + 1))
def test_a_refund_is_made_once(story: Story, boundary: int) -> None:
    done = story.charge(types.CAPTURE_METHOD_AUTOMATIC)
    part = types.Money(minor_units=500, currency_code="USD")
    request = pb.RefundChargeRequest(request_id=str(uuid.uuid4()), charge_id=done.charge_id, amount=part)
    assert story.ask("RefundCharge", request, crash_at=boundary) == []
    first, again = story.ask("RefundCharge", request, request)

    assert first == again
    assert first.charge.amount_refunded == part
    (refund,) = story.stripe.listed("/v1/refunds", story.accounts[0])
    assert (refund["id"], refund["amount"]) == (first.refund.stripe_refund_id, 500)


@pytest.mark.parametrize("boundary", BASKET_DEATHS)
def test_a_basket_is_charged_whole(story: Story, boundary: int) -> None:
    request = pb.ChargeBasketRequest(request_id=str(uuid.uuid4()), platform_customer_id=story.customer)
    for account in story.accounts:
        request.legs.add(connected_account_id=account, amount=types.Money(minor_units=700, currency_code="USD"))
    assert story.ask("ChargeBasket", request, crash_at=boundary) == []
    first, again = story.ask("ChargeBasket", request, request)

    assert first == again
    assert first.basket.state == types.Basket.STATE_SUCCEEDED
    for account in story.accounts:
        assert [charge["amount_captured"] for charge in story.stripe.succeeded_charges(account)] == [700]
