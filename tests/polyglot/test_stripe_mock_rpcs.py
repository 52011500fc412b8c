"""Every RPC with `--stripe http://...` of Stripe's own stripe-mock: what it answers, and what it cannot, in a page."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import grpc.aio
import pytest
from cloneservice import AttachOptions, BasketLegOptions, CaptureMethod, CardDeclined, CloneFlow, Money, NewCustomer
from cloneservice.testing import LocalCloneService
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server.app import build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.ports import Refused, StripeCall
from cloneservice_server.settings import load
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from tests.polyglot.rpc_story import BEFORE, STORY, WEBHOOK_SECRET, Story
from tests.polyglot.stripe_mock import KEY, calling
from tests.polyglot.stripe_mock_page import NOT_IN_THE_DOCUMENT, PAGE, page

RPCS = [method.name for method in pb.DESCRIPTOR.services_by_name["CloneService"].methods]
TAKES_NOTHING = {"ListClones", "ListCharges", "ListCloneBatches"}
"""RPCs for which an empty request is a proper one."""


class WatchedGateway:
    """The real gateway; remembers which calls stripe-mock's validator complained about."""

    def __init__(self, gateway: SdkStripeGateway) -> None:
        self._gateway = gateway
        self.calls: list[str] = []
        self.complaints: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def send(self, call: StripeCall, **named: Any) -> Any:
        self.calls.append(f"{call.method} {call.path}")
        try:
            return await self._gateway.send(call, **named)
        except Refused as refused:
            self.complaints.append(f"{call.method} {call.path} {call.params}: {refused.status} {refused.message}")
            raise


@dataclass(slots=True)
class Service:
    """A server on stripe-mock, and a bare stub of it."""

    stub: CloneServiceStub
    gateway: WatchedGateway
    outcomes: dict[str, str] = field(default_factory=dict)

    async def ask(self, rpc: str, request: Message) -> tuple[Message | None, str]:
        """The answer, and in a word what it came to."""
        call = getattr(self.stub, rpc)(request, timeout=20)
        try:
            if rpc != "WatchCloneBatch":
                answer: Message = await call
                return answer, shown(answer)
            events = [event async for event in call]
            return events[-1], shown(events[-1])
        except grpc.aio.AioRpcError as error:
            return None, "not served" if error.code() is grpc.StatusCode.UNIMPLEMENTED else reason_of(error)


def shown(answer: Message) -> str:
    """`answers`, and the state of what it answers with."""
    for name in ("refund", "charge", "clone", "batch", "basket"):
        made = getattr(answer, name, None)
        if isinstance(made, Message) and made.ListFields():
            states: Any = made.DESCRIPTOR.fields_by_name["state"].enum_type
            state = states.values_by_number[getattr(made, "state")].name  # noqa: B009 - of several message types
            return f"answers, {name} {state.removeprefix('STATE_')}"
    return "answers"


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """`refused: REASON` of an error that says it."""
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(bytes(trailing["grpc-status-details-bin"]))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return f"refused: {info.reason}"


@pytest.fixture
async def service(stripe_mock: str) -> AsyncIterator[Service]:
    flags = {"stripe": stripe_mock, "ledger": "sqlite://:memory:", "listen": "127.0.0.1:0"}
    settings, clock = load(flags, {"STRIPE_API_KEY": KEY, "STRIPE_WEBHOOK_SECRETS": WEBHOOK_SECRET}), SystemClock()
    gateway = WatchedGateway(SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url))
    watched: Any = gateway
    app = build_app(settings, gateway=watched, ledger=open_ledger(settings.ledger, clock), clock=clock)
    await app.start()
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        yield Service(CloneServiceStub(channel), gateway)
    await app.stop(0.0)


def test_the_story_has_every_rpc_of_the_contract() -> None:
    assert sorted(STORY) == sorted(RPCS)


async def test_every_rpc_comes_to_what_the_page_says(service: Service) -> None:
    story = Story()
    for rpc, request in STORY.items():
        if earlier := BEFORE.get(rpc):
            story.learn((await service.ask(earlier, STORY[earlier](story)))[0])
        answer, service.outcomes[rpc] = await service.ask(rpc, request(story))
        story.learn(answer)
    expected = page(service.outcomes)
    if os.environ.get("STRIPE_MOCK_WRITE"):
        PAGE.write_text(expected, encoding="utf-8")

    assert service.gateway.complaints == []
    assert PAGE.read_text(encoding="utf-8") == expected, "make stripe-mock STRIPE_MOCK_WRITE=1 writes the page anew"


@pytest.mark.parametrize("rpc", RPCS)
async def test_an_empty_request_is_refused_before_stripe_is_asked(service: Service, rpc: str) -> None:
    method = pb.DESCRIPTOR.services_by_name["CloneService"].methods_by_name[rpc]
    _, outcome = await service.ask(rpc, getattr(pb, method.input_type.name)())

    expected = "answers" if rpc in TAKES_NOTHING else "refused: INVALID_REQUEST"
    assert outcome in (expected, "not served")
    assert service.gateway.calls == []


@pytest.fixture(scope="module")
def journal() -> Iterator[list[dict[str, Any]]]:
    """Every call that the service sends in the course of all flows, declines and 3-D Secure, as the double saw it."""
    with LocalCloneService() as local, local.client() as client:
        local.stripe.world.journal.clear()
        flows(local, client)
        yield [entry.as_dict(replayable=True) for entry in local.stripe.world.journal]


def flows(local: LocalCloneService, client: Any) -> None:
    account, other = local.accounts.values()
    source = local.stripe.stripe_client().v1.sources.create({"type": "card", "token": "tok_amex"})
    for saved in ("pm_card_visa", "tok_mastercard", source.id):
        made = client.save_payment_method(
            saved, new_customer=NewCustomer(email="a@b.co", name="Ada", external_reference=saved), set_default=True
        )
        for one_shot in (False, True):
            client.clone_and_charge(
                made.platform_customer.platform_customer_id,
                account if one_shot else other,
                Money(1999, "USD"),
                platform_payment_method_id=made.payment_method.platform_payment_method_id,
                application_fee=Money(199, "USD"),
                one_shot=one_shot,
                description="a cake",
                statement_descriptor_suffix="CAKE",
                metadata={"order": "1"},
            )
    with pytest.raises(CardDeclined):
        client.clone_and_charge(local.customers["is_declined"], account, Money(1999, "USD"))
    client.clone_and_charge(
        local.customers["must_authenticate"], account, Money(1999, "USD"), return_url="https://shop.example/back"
    )
    legs = [
        BasketLegOptions(seller, Money(1000, "USD"), application_fee=Money(100, "USD")) for seller in (account, other)
    ]
    client.charge_basket(local.customers["pays"], legs)
    step_by_step(local, client, account)
    client.create_setup(new_customer=NewCustomer(email="b@b.co"), on_behalf_of_account_id=account)
    client.erase_customer(local.customers["pays"], delete_platform_customer=True)


def step_by_step(local: LocalCloneService, client: Any, account: str) -> None:
    list(client.list_platform_payment_methods(local.customers["pays"]))
    bare = client.clone_payment_method(local.customers["pays"], account, flow=CloneFlow.PAYMENT_METHOD).clone
    attached = client.attach_clone(bare.clone_id, attach=AttachOptions(set_default=True)).clone
    client.create_charge(attached.clone_id, Money(500, "USD"), off_session=True)
    life_of_a_charge(client, attached.clone_id)
    client.refresh_clone(attached.clone_id)
    client.revoke_clone(attached.clone_id)


def life_of_a_charge(client: Any, clone_id: str) -> None:
    held = client.create_charge(clone_id, Money(700, "USD"), capture_method=CaptureMethod.MANUAL).charge
    client.get_charge(held.charge_id, refresh=True)
    client.capture_charge(held.charge_id, amount=Money(600, "USD"))
    client.refund_charge(held.charge_id, amount=Money(100, "USD"), reason="requested_by_customer")
    later = client.create_charge(clone_id, Money(800, "USD"), defer_confirmation=True).charge
    client.confirm_charge(later.charge_id, return_url="https://shop.example/back")
    dropped = client.create_charge(clone_id, Money(900, "USD"), defer_confirmation=True).charge
    client.cancel_charge(dropped.charge_id, reason="abandoned")


def test_each_call_that_the_flows_send_passes_stripe_mocks_validator(
    stripe_mock: str, journal: list[dict[str, Any]]
) -> None:
    """But for the calls that are right and that the document, all that the validator knows, does not have."""
    complaints, expected = [], set(NOT_IN_THE_DOCUMENT)
    with calling(stripe_mock) as caller:
        for sent in journal:
            account = sent["account"] if sent["connect"] else ""
            status, body = caller.send(sent["method"], sent["path"], urlencode(sent["pairs"]), account)
            excused = {name for name, _ in sent["pairs"]} & set(NOT_IN_THE_DOCUMENT)
            if status != 200 and not excused:
                complaints.append((sent["method"], sent["path"], sent["pairs"], body[:300]))
            if status != 200:
                expected -= excused

    assert complaints == []
    assert expected == set(), "not complained about any more: take it off the list"
    assert len({(sent["method"], sent["operation"]) for sent in journal}) >= 12


def test_its_validator_does_complain(stripe_mock: str) -> None:
    with calling(stripe_mock) as caller:
        status, _ = caller.send("POST", "/v1/payment_intents", "amount=1999&currency=usd&no_such_parameter=1")

    assert status == 400


def test_the_page_is_where_readers_look() -> None:
    assert Path(PAGE).is_file()
