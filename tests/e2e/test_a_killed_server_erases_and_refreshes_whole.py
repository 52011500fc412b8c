"""kill -9 at each boundary of EraseCustomer and RefreshClone: after a restart the same request_id ends the work."""

from __future__ import annotations

import signal
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import clone_service_pb2_grpc as pb_grpc
from cloneservice.v1 import types_pb2

from tests.crashing_servers import CrashingServers, crashing_servers
from tests.stripe_http import StripeHttp


def both_sides(*steps: str) -> list[str]:
    return [f"{side} {step}" for step in steps for side in ("before", "after")]


ERASE = both_sides(
    "begin_request",
    "intend delete_customer",
    "send DELETE customer",
    "intend delete_customer",
    "send DELETE customer",
    "intend platform_delete",
    "send DELETE customer",
    "commit",  # the tombstones
    "commit",
)
REFRESH = both_sides(
    "begin_request",
    "intend clone",
    "send POST clone",
    "intend attach",
    "send POST attach",
    "intend connected_default",
    "send POST customer",
    "commit",
)


@pytest.fixture(scope="module")
def servers() -> Iterator[CrashingServers]:
    with crashing_servers() as template:
        yield template


class Story:
    """A shopper with a clone on each of two accounts, and servers that come and go over one ledger and one Stripe."""

    def __init__(self, servers: CrashingServers, stripe: StripeHttp, folder: Path) -> None:
        self.servers, self.stripe, self.folder = servers, stripe, folder
        self.accounts = [stripe.connected_account() for _ in range(2)]
        self.customer, self.card = stripe.saved_card()
        pid, port = self.start("prepared")
        self.clones = [self._clone(port, account) for account in self.accounts]
        servers.stop(pid)

    def start(self, trace: str, crash_at: int = 0) -> tuple[int, int]:
        order = {"stripe": self.stripe.url, "api_key": self.stripe.api_key, "trace": str(self.folder / trace)}
        return self.servers.start(**order, ledger=f"sqlite:///{self.folder}/ledger.db", crash_at=crash_at)

    def request_id(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.folder}/{name}"))

    def ask(self, port: int, rpc: str, request: Any) -> Any:
        """Once, without any retry of the client's."""
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_retries", 0)]) as channel:
            return getattr(pb_grpc.CloneServiceStub(channel), rpc)(request, timeout=30)

    def insist(self, port: int, rpc: str, request: Any) -> Any:
        """As any client does: a request that the sweep found not begun is parked, and goes on when it is repeated."""
        try:
            return self.ask(port, rpc, request)
        except grpc.RpcError as parked:
            if parked.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return self.ask(port, rpc, request)

    def _clone(self, port: int, account: str) -> types_pb2.Clone:
        request = pb.ClonePaymentMethodRequest(request_id=self.request_id(account), connected_account_id=account)
        request.platform_customer_id, request.platform_payment_method_id = self.customer, self.card
        request.attach.SetInParent()
        made: types_pb2.Clone = self.ask(port, "ClonePaymentMethod", request).clone
        return made

    def crossed(self, trace: str) -> list[str]:
        """Boundaries, told by what is called and not by ids."""
        names = []
        for line in (self.folder / trace).read_text().splitlines():
            side, _, step = line.partition(" ")
            if step.startswith("send "):
                ends = {"/v1/payment_methods": "POST clone", "/attach": "POST attach"}
                verb = "DELETE customer" if self.erasing else "POST customer"
                step = "send " + next((name for end, name in ends.items() if step.endswith(end)), verb)
            names.append(f"{side} {step}")
        return names

    erasing = False

    def killed(self, boundary: int, rpc: str, request: Any) -> tuple[Any, Any]:
        """Die at the boundary; the answers of the same request, asked twice of the next server."""
        pid, port = self.start("killed", crash_at=boundary)
        with pytest.raises(grpc.RpcError) as lost:
            self.ask(port, rpc, request)
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
        assert self.servers.wait(pid) == signal.SIGKILL
        pid, port = self.start("next")
        answers = self.insist(port, rpc, request), self.ask(port, rpc, request)
        self.servers.stop(pid)
        return answers


@pytest.fixture
def story(servers: CrashingServers, stripe: StripeHttp, tmp_path: Path) -> Story:
    return Story(servers, stripe, tmp_path)


def erasure(story: Story) -> pb.EraseCustomerRequest:
    story.erasing = True
    request_id = story.request_id("erase")
    return pb.EraseCustomerRequest(
        request_id=request_id, platform_customer_id=story.customer, delete_platform_customer=True
    )


def renewal(story: Story) -> pb.RefreshCloneRequest:
    story.stripe.post(f"/v1/payment_methods/{story.card}", card={"exp_year": 2041})
    return pb.RefreshCloneRequest(request_id=story.request_id("refresh"), clone_id=story.clones[0].clone_id)


@pytest.mark.parametrize(
    ("rpc", "make", "expected"), [("EraseCustomer", erasure, ERASE), ("RefreshClone", renewal, REFRESH)]
)
def test_the_boundaries_killed_at_are_all_there_are(story: Story, rpc: str, make: Any, expected: list[str]) -> None:
    request = make(story)
    pid, port = story.start("whole")
    story.ask(port, rpc, request)
    story.servers.stop(pid)
    assert story.crossed("whole") == expected


@pytest.mark.parametrize("boundary", range(1, len(ERASE) + 1), ids=[name.replace("/", "-") for name in ERASE])
def test_an_erasure_killed_here_is_ended_and_answers_the_same(story: Story, boundary: int) -> None:
    first, second = story.killed(boundary, "EraseCustomer", erasure(story))

    assert second == first
    assert first.batch.state == types_pb2.CloneBatch.STATE_SUCCEEDED
    assert (first.clone_count, [item.connected_account_id for item in first.items]) == (2, sorted(story.accounts))
    for made in story.clones:
        assert story.stripe.get(f"/v1/customers/{made.connected_customer_id}", made.connected_account_id)["deleted"]
    assert story.stripe.get(f"/v1/customers/{story.customer}")["deleted"]
    with sqlite3.connect(story.folder / "ledger.db") as connection:
        (left,) = connection.execute(
            "SELECT count(*) FROM clone WHERE body LIKE ? OR body LIKE ?", (f"%{story.customer}%", f"%{story.card}%")
        ).fetchone()
    assert left == 0


@pytest.mark.parametrize("boundary", range(1, len(REFRESH) + 1), ids=[name.replace("/", "-") for name in REFRESH])
def test_a_refresh_killed_here_makes_one_successor(story: Story, boundary: int) -> None:
    first, second = story.killed(boundary, "RefreshClone", renewal(story))

    assert second == first
    assert (first.changed, first.clone.state) == (True, types_pb2.Clone.STATE_ATTACHED)
    old, account = story.clones[0], story.accounts[0]
    saved = story.stripe.listed(f"/v1/customers/{old.connected_customer_id}/payment_methods", account)
    assert {method["id"] for method in saved} == {
        old.connected_payment_method_id,
        first.clone.connected_payment_method_id,
    }
    connected = story.stripe.get(f"/v1/customers/{old.connected_customer_id}", account)
    assert connected["invoice_settings"]["default_payment_method"] == first.clone.connected_payment_method_id
