"""Everything that leaves the service beside its answers (logs, spans, metrics, errors), searched for what must not.

One server, everything switched on, is taken through successes and through every kind of failure, by callers who put
card numbers, keys and personal data where they do not belong.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice.v1.clone_service_pb2_grpc import CloneServiceStub
from cloneservice_server import log_lines
from cloneservice_server.access.tokens import new_token
from cloneservice_server.app import App, build_app
from cloneservice_server.clock import SystemClock
from cloneservice_server.ledger import open_ledger
from cloneservice_server.observability.metrics import Metrics
from cloneservice_server.observability.telemetry import Telemetry
from cloneservice_server.observability.tracing import Tracing
from cloneservice_server.settings import load
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway
from grpc_status import rpc_status
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from tests.stripe_http import StripeHttp

PERSONAL = {"name": "Jenny Rosenqvist", "email": "jenny@rosenqvist.example"}
DESCRIPTION = "birthday cake, blue icing"
LABEL = "deliver to 12 Elm Street"
CARD = "4000056655665556"
KEY = "sk_test_" + "4eC39HqLyjWDarjtT1zdp7dc"
WEBHOOK_SECRET = "whsec_" + "5WbX5kEWLlfzsGNjH64I0lOOqUB6e8FH"
PATTERNS = {
    "a client secret": re.compile(r"_secret_"),
    "a key": re.compile(r"\b(?:sk|rk|whsec)_\w{8,}"),
    "a token": re.compile(r"cst_\w{8,}"),
    "a card number": re.compile(r"(?<![\d.])4[\d]{15}(?!\d)"),
    "an e-mail address": re.compile(r"[\w.]+@[\w.]+\.\w+"),
    "a person": re.compile(r"Rosenqvist"),
}


class Emitted:
    """What has come out so far."""

    def __init__(self) -> None:
        self.log, self.errors = io.StringIO(), []  # type: ignore[var-annotated]
        self.spans = InMemorySpanExporter()
        self.app: Any = None

    def sources(self) -> dict[str, str]:
        return {
            "log": self.log.getvalue(),
            "errors": "\n".join(self.errors),
            "spans": "\n".join(span.to_json() for span in self.spans.get_finished_spans()),
            "metrics": generate_latest(self.app.telemetry.metrics.registry).decode(),
        }


@pytest.fixture(params=["json", "text"])
def emitted(request: pytest.FixtureRequest) -> Iterator[Emitted]:
    """With this service's logging at its most talkative, and the root's handlers put back afterwards."""
    found, root = Emitted(), logging.getLogger()
    kept, level = root.handlers[:], root.level
    log_lines.configure(request.param, "debug")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(found.log)
    yield found
    root.handlers[:] = kept
    root.setLevel(level)


@pytest.fixture
def token() -> tuple[str, str]:
    return new_token("web")


@pytest.fixture
async def app(emitted: Emitted, stripe: StripeHttp, tmp_path: Path, token: Any) -> AsyncIterator[App]:
    policy, tokens = tmp_path / "policy", tmp_path / "tokens"
    policy.write_text(
        "version: 1\ncallers: {web: {identities: ['token:web'], rpcs: '*', accounts: '*', max_amount: {USD: 90000}}}"
    )
    tokens.write_text(token[1])
    flags = {
        "stripe": stripe.url,
        "ledger": f"sqlite:///{tmp_path}/ledger.db",
        "listen": "127.0.0.1:0",
        "policy_file": str(policy),
        "token_file": str(tokens),
    }
    settings, clock = load(flags, {"STRIPE_API_KEY": stripe.api_key}), SystemClock()
    tracing = Tracing(SimpleSpanProcessor(emitted.spans), sample_percent=100)
    telemetry = Telemetry(Metrics(tracing.step), tracing)
    gateway = SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url)
    ledger = open_ledger(settings.ledger, clock)
    running = build_app(settings, gateway=gateway, ledger=ledger, clock=clock, telemetry=telemetry)
    emitted.app = running
    await running.start()
    yield running
    await running.stop(0)


class Caller:
    """Calls without the client library, so that what the server says is seen as it is."""

    def __init__(self, channel: Any, token: str, emitted: Emitted) -> None:
        self.stub = CloneServiceStub(channel)
        self.metadata = [("authorization", f"Bearer {token}"), ("x-request-id", "r-1")]
        self.emitted = emitted

    async def call(self, rpc: str, request: Any, metadata: Any = None) -> Any:
        """The answer, or None; what a refusal says is kept."""
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = str(uuid.uuid4())
        try:
            return await getattr(self.stub, rpc)(request, metadata=metadata or self.metadata, timeout=60)
        except grpc.aio.AioRpcError as error:
            status = rpc_status.from_call(error)
            self.emitted.errors.append(f"{rpc} {error.code()} {error.details()} {status} {error.trailing_metadata()}")
            return None


def charge(amount: int = 1099, **more: Any) -> Any:
    money = types_pb2.Money(minor_units=amount, currency_code="usd")
    return pb.ChargeOptions(amount=money, description=DESCRIPTION, metadata={"note": LABEL}, **more)


async def seed(stripe: StripeHttp, card: str) -> str:
    """A platform customer with a default card."""

    def made() -> str:
        customer = stripe.post("/v1/customers", **PERSONAL)["id"]
        saved = stripe.post(f"/v1/payment_methods/{card}/attach", customer=customer)["id"]
        stripe.post(f"/v1/customers/{customer}", invoice_settings={"default_payment_method": saved})
        return str(customer)

    return await asyncio.to_thread(made)


async def tell_everything(caller: Caller, stripe: StripeHttp) -> list[str]:
    """The representative run; returns the client secrets that were rightly handed out."""
    account = (await asyncio.to_thread(stripe.post, "/v1/accounts", type="standard"))["id"]
    new = pb.NewCustomer(external_reference="shopper-1", metadata={"note": LABEL}, **PERSONAL)
    saved = await caller.call(
        "SavePaymentMethod", pb.SavePaymentMethodRequest(new_customer=new, platform_payment_method_id="pm_card_visa")
    )
    assert saved.platform_customer.platform_customer_id
    secrets = []
    for card in ("pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"):
        shopper = await seed(stripe, card)
        for off_session in (True, False):
            answer = await caller.call(
                "CloneAndCharge",
                pb.CloneAndChargeRequest(
                    platform_customer_id=shopper,
                    connected_account_id=account,
                    charge=charge(off_session=off_session, return_url="https://shop.test/?who=Jenny+Rosenqvist"),
                ),
            )
            if answer is not None and answer.charge.HasField("next_action"):
                secrets.append(answer.charge.next_action.client_secret)
    await misplace(caller, account)
    return secrets


async def misplace(caller: Caller, account: str) -> None:
    """Secrets, card numbers and people where ids belong, in every field of some requests, and in the metadata."""
    for wrong in (CARD, KEY, WEBHOOK_SECRET, PERSONAL["email"], PERSONAL["name"]):
        await caller.call("GetClone", pb.GetCloneRequest(clone_id=wrong))
        await caller.call("LookupRequest", pb.LookupRequestRequest(request_id=wrong))
        await caller.call("ListCharges", pb.ListChargesRequest(connected_account_id=wrong, page_token=wrong))
        await caller.call(
            "CloneAndCharge",
            pb.CloneAndChargeRequest(
                request_id=wrong,
                platform_customer_id=wrong,
                platform_payment_method_id=wrong,
                connected_account_id=wrong,
                charge=pb.ChargeOptions(amount=types_pb2.Money(minor_units=1, currency_code=wrong)),
            ),
        )
        await caller.call("HandleStripeEvent", pb.HandleStripeEventRequest(payload=wrong.encode(), signature=wrong))
        bearer = [("authorization", f"Bearer {wrong}"), ("traceparent", wrong), ("x-forwarded-client-cert", wrong)]
        await caller.call("GetClone", pb.GetCloneRequest(clone_id="cln_1"), bearer)
    await caller.call("CreateCharge", pb.CreateChargeRequest(clone_id="cln_1", charge=charge(10_000_000)))
    await caller.call(
        "ClonePaymentMethod", pb.ClonePaymentMethodRequest(platform_customer_id="cus_no", connected_account_id=account)
    )


async def test_nothing_emitted_holds_a_secret_a_card_or_a_person(
    app: App, emitted: Emitted, stripe: StripeHttp, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with grpc.aio.insecure_channel(str(app.address)) as channel:
        caller = Caller(channel, token[0], emitted)
        handed_out = await tell_everything(caller, stripe)
        await fail_inside(caller, app, monkeypatch)
    sources = emitted.sources()

    known = dict.fromkeys((stripe.api_key, token[0], *handed_out, *PERSONAL.values()), "said in so many words")
    found = [
        (name, what, match.group(0), text[max(0, match.start() - 80) : match.end() + 40])
        for name, text in sources.items()
        for what, pattern in [*PATTERNS.items(), *((what, re.compile(re.escape(text))) for text, what in known.items())]
        for match in pattern.finditer(text)
    ]
    assert found == []
    # A decline's details hold the charge with its caller's own labels, for that caller; they go nowhere else.
    assert [name for name, text in sources.items() if LABEL in text] == ["errors"]
    assert [name for name, text in sources.items() if DESCRIPTION in text] == []
    assert [name for name, text in sources.items() if len(text) < 1000] == []  # each was really looked through
    assert handed_out
    assert personal_data_in(Path(app.settings.ledger.removeprefix("sqlite:///"))) == []


async def fail_inside(caller: Caller, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours whose text holds everything that can be told from other words."""

    async def broken(*_: Any) -> Any:
        raise RuntimeError(f"cannot read {CARD} of {PERSONAL['email']} with {KEY}")

    monkeypatch.setattr(app.queries, "_ledger", type("Broken", (), {"get_clone": broken, "list_clones": broken})())
    errors = len(caller.emitted.errors)
    await caller.call("GetClone", pb.GetCloneRequest(clone_id="cln_1"))
    await caller.call("ListClones", pb.ListClonesRequest(platform_customer_id="cus_1"))

    assert [("INTERNAL" in text, "error_id" in text) for text in caller.emitted.errors[errors:]] == [(True, True)] * 2


def personal_data_in(ledger: Path) -> list[str]:
    """Names and addresses in the ledger's file, whatever table."""
    with sqlite3.connect(ledger) as connection:
        dump = "\n".join(connection.iterdump())
    return [text for text in PERSONAL.values() if text in dump]
