"""What both clients promise about a call: what is sent, what comes back, under which request_id and deadline."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from cloneservice import (
    AttachOptions,
    BatchOperation,
    BatchPair,
    BatchState,
    CaptureMethod,
    ChargeState,
    CloneClient,
    CloneFlow,
    CloneReuse,
    CloneState,
    CrossProduct,
    Money,
    NewCustomer,
    RequestState,
    RetryPolicy,
    TransportError,
    new_request_id,
)
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types
from grpc import StatusCode

from tests.fakes_clients import AsyncioDriver, BlockingDriver, Driver
from tests.fakes_grpc import Received, Reply, ScriptedService, refusal, serving

CLONE = types.Clone(
    clone_id="cln_1",
    platform_customer_id="cus_1",
    connected_account_id="acct_1",
    flow=types.CLONE_FLOW_TOKEN,
    connected_token_id="tok_1",
    state=types.Clone.STATE_ACTIVE,
    summary=types.PaymentMethodSummary(type="card", brand="visa", last4="4242", exp_month=12, exp_year=2034),
)
CHARGE = types.Charge(
    charge_id="chg_1",
    amount=types.Money(minor_units=1099, currency_code="USD"),
    state=types.Charge.STATE_SUCCEEDED,
)


def sent_deadline(received: Received, seconds: float) -> bool:
    """Whether the server was told `seconds`: gRPC rounds a deadline up by some per cent, and time passes on the way."""
    return seconds * 0.6 < received.time_remaining_s <= seconds * 1.1


@pytest.fixture
def service() -> Any:
    return ScriptedService()


@pytest.fixture(params=[BlockingDriver, AsyncioDriver], ids=["sync", "asyncio"])
def client(request: pytest.FixtureRequest, service: ScriptedService) -> Any:
    with serving(service) as target:
        yield request.param(target)


async def test_a_call_sends_what_it_was_given_and_gives_values_back(client: Driver, service: ScriptedService) -> None:
    service.answer("CloneAndCharge", pb.CloneAndChargeResponse(clone=CLONE, charge=CHARGE, reused=True))

    done = await client.call(
        "clone_and_charge",
        "cus_1",
        "acct_1",
        Money(1099, "usd"),
        platform_payment_method_id="pm_1",
        flow=CloneFlow.TOKEN,
        reuse=CloneReuse.NEVER,
        attach=AttachOptions(connected_customer_id="cus_9", set_default=True),
        application_fee=Money(100, "usd"),
        capture_method=CaptureMethod.MANUAL,
        off_session=True,
        description="order 7",
        metadata={"order": "7"},
        request_id="11111111-1111-4111-8111-111111111111",
    )

    (sent,) = service.requests("CloneAndCharge")
    assert sent == pb.CloneAndChargeRequest(
        request_id="11111111-1111-4111-8111-111111111111",
        platform_customer_id="cus_1",
        platform_payment_method_id="pm_1",
        connected_account_id="acct_1",
        flow=types.CLONE_FLOW_TOKEN,
        reuse=types.CLONE_REUSE_NEVER,
        attach=pb.AttachOptions(connected_customer_id="cus_9", set_default=True),
        charge=pb.ChargeOptions(
            amount=types.Money(minor_units=1099, currency_code="USD"),
            application_fee=types.Money(minor_units=100, currency_code="USD"),
            capture_method=types.CAPTURE_METHOD_MANUAL,
            off_session=True,
            description="order 7",
            metadata={"order": "7"},
        ),
    )
    assert done.clone.state is CloneState.ACTIVE
    assert done.clone.connected_object_id == "tok_1"
    assert done.charge.amount == Money(1099, "USD")
    assert done.charge.state is ChargeState.SUCCEEDED
    assert (done.reused, done.replayed, done.request_id) == (True, False, sent.request_id)


async def test_one_shot_is_sent_only_when_asked_for(client: Driver, service: ScriptedService) -> None:
    service.answer("CloneAndCharge", pb.CloneAndChargeResponse())

    await client.call("clone_and_charge", "cus_1", "acct_1", Money(1, "eur"))
    await client.call("clone_and_charge", "cus_1", "acct_1", Money(1, "eur"), one_shot=True)

    plain, one_shot = service.requests("CloneAndCharge")
    assert (plain.one_shot, plain.HasField("attach")) == (False, False)
    assert (one_shot.one_shot, one_shot.HasField("attach")) == (True, False)


async def test_attach_true_asks_for_the_defaults_and_false_leaves_it_unset(
    client: Driver, service: ScriptedService
) -> None:
    service.answer("ClonePaymentMethod", pb.ClonePaymentMethodResponse(clone=CLONE))

    await client.call("clone_payment_method", "cus_1", "acct_1")
    await client.call("clone_payment_method", "cus_1", "acct_1", attach=True)

    unattached, attached = service.requests("ClonePaymentMethod")
    assert not unattached.HasField("attach")
    assert attached.HasField("attach")
    assert attached.attach == pb.AttachOptions()


async def test_a_mutation_without_a_request_id_gets_a_new_uuid_and_tells_it(
    client: Driver, service: ScriptedService
) -> None:
    service.answer("RevokeClone", pb.RevokeCloneResponse(clone=CLONE))

    first = await client.call("revoke_clone", "cln_1")
    second = await client.call("revoke_clone", "cln_1")

    assert [sent.request_id for sent in service.requests("RevokeClone")] == [first.request_id, second.request_id]
    assert first.request_id != second.request_id
    assert uuid.UUID(first.request_id).version == 4


def test_new_request_ids_are_uuids_that_differ() -> None:
    assert uuid.UUID(new_request_id()) != uuid.UUID(new_request_id())


async def test_a_replayed_answer_says_so(client: Driver, service: ScriptedService) -> None:
    replay = Reply((pb.CreateChargeResponse(charge=CHARGE),), initial_metadata=(("idempotent-replayed", "true"),))
    service.answer("CreateCharge", replay)

    done = await client.call("create_charge", "cln_1", Money(1099, "usd"))

    assert done.replayed is True


@pytest.mark.parametrize(
    ("call", "response", "deadline_s"),
    [
        (("get_clone", "cln_1"), pb.GetCloneResponse(), 30),
        (("clone_and_charge", "c", "a", Money(1, "usd")), pb.CloneAndChargeResponse(), 60),
        (("handle_stripe_event", b"{}", "t=1"), pb.HandleStripeEventResponse(), 30),
    ],
)
async def test_every_call_sends_the_deadline_of_the_shipped_service_config(
    client: Driver, service: ScriptedService, call: Any, response: Any, deadline_s: Any
) -> None:
    service.answer(type(response).DESCRIPTOR.name.removesuffix("Response"), response)

    await client.call(*call)

    assert sent_deadline(service.received[0], deadline_s)


async def test_the_calls_own_deadline_wins_over_the_clients_and_that_over_the_configs(
    client: Driver, service: ScriptedService
) -> None:
    service.answer("GetClone", pb.GetCloneResponse())
    client.options["timeout_s"] = 500

    await client.call("get_clone", "cln_1")
    await client.call("get_clone", "cln_1", timeout_s=1000)

    ours, calls = service.received
    assert sent_deadline(ours, 500)
    assert sent_deadline(calls, 1000)


async def test_a_list_fetches_page_after_page_with_the_same_filters(client: Driver, service: ScriptedService) -> None:
    service.answer(
        "ListCharges",
        pb.ListChargesResponse(charges=[types.Charge(charge_id="chg_1")], next_page_token="more"),
        pb.ListChargesResponse(charges=[], next_page_token="last"),
        pb.ListChargesResponse(charges=[types.Charge(charge_id="chg_2"), types.Charge(charge_id="chg_3")]),
    )

    states = [ChargeState.SUCCEEDED, ChargeState.DECLINED]
    found = await client.collect("list_charges", platform_customer_id="cus_1", states=states, page_size=2)

    assert [charge.charge_id for charge in found] == ["chg_1", "chg_2", "chg_3"]
    sent = service.requests("ListCharges")
    assert [request.page_token for request in sent] == ["", "more", "last"]
    assert {request.platform_customer_id for request in sent} == {"cus_1"}
    assert {request.page_size for request in sent} == {2}
    assert {tuple(request.states) for request in sent} == {(types.Charge.STATE_SUCCEEDED, types.Charge.STATE_DECLINED)}


async def test_a_single_page_can_be_taken_and_gone_on_from(client: Driver, service: ScriptedService) -> None:
    service.answer("ListClones", pb.ListClonesResponse(clones=[CLONE], next_page_token="next"))

    page = await client.page("list_clones", page_token="here")

    assert ([clone.clone_id for clone in page.items], page.next_page_token) == (["cln_1"], "next")
    assert [sent.page_token for sent in service.requests("ListClones")] == ["here"]


async def test_listing_sends_nothing_before_it_is_iterated_over(service: ScriptedService) -> None:
    with serving(service) as target, CloneClient(target) as client:
        client.list_clones()

    assert service.received == []


async def test_a_new_customer_or_an_existing_one_is_named_never_both(client: Driver, service: ScriptedService) -> None:
    service.answer("SavePaymentMethod", pb.SavePaymentMethodResponse())
    jenny = NewCustomer(email="jenny@example.com", name="Jenny", external_reference="u-1", metadata={"a": "b"})

    await client.call("save_payment_method", "pm_1", new_customer=jenny, set_default=True)
    await client.call("save_payment_method", "tok_1", platform_customer_id="cus_1")

    new, existing = service.requests("SavePaymentMethod")
    assert new.WhichOneof("customer") == "new_customer"
    assert (new.new_customer.email, dict(new.new_customer.metadata)) == ("jenny@example.com", {"a": "b"})
    assert (existing.WhichOneof("customer"), existing.platform_customer_id) == ("platform_customer_id", "cus_1")
    for wrong in ({}, {"platform_customer_id": "cus_1", "new_customer": jenny}):
        with pytest.raises(ValueError, match="either"):
            await client.call("save_payment_method", "pm_1", **wrong)
    assert len(service.received) == 2


async def test_a_set_up_gives_its_client_secret_and_keeps_it_out_of_repr(
    client: Driver, service: ScriptedService
) -> None:
    action = types.NextAction(type="use_stripe_sdk", client_secret="seti_1_secret_x")
    service.answer("CreateSetup", pb.CreateSetupResponse(stripe_setup_intent_id="seti_1", next_action=action))

    done = await client.call("create_setup", platform_customer_id="cus_1", payment_method_types=["card"])

    assert done.next_action.client_secret == "seti_1_secret_x"
    assert "secret_x" not in repr(done)


async def test_pairs_and_cross_products_make_batches(client: Driver, service: ScriptedService) -> None:
    batch = types.CloneBatch(batch_id="bat_1", state=types.CloneBatch.STATE_PENDING, total_count=2)
    service.answer("CreateCloneBatch", pb.CreateCloneBatchResponse(batch=batch))

    done = await client.call("create_batch", BatchOperation.CLONE, [BatchPair("cus_1", "acct_1", "pm_1")])
    await client.call("create_batch", BatchOperation.REFRESH, CrossProduct(("cus_1",), ("acct_1", "acct_2"), True))

    pairs, cross = service.requests("CreateCloneBatch")
    assert pairs.operation == types.CloneBatch.OPERATION_CLONE
    assert [pair.platform_payment_method_id for pair in pairs.pairs.pairs] == ["pm_1"]
    assert pairs.WhichOneof("selection") == "pairs"
    assert list(cross.cross_product.connected_account_ids) == ["acct_1", "acct_2"]
    assert (done.batch.state, done.batch.total_count) == (BatchState.PENDING, 2)


@pytest.mark.parametrize(
    ("call", "response", "fields"),
    [
        (("attach_clone", "cln_1"), pb.AttachCloneResponse, {"clone_id": "cln_1"}),
        (("refresh_clone", "cln_1"), pb.RefreshCloneResponse, {"clone_id": "cln_1"}),
        (("confirm_charge", "chg_1"), pb.ConfirmChargeResponse, {"charge_id": "chg_1"}),
        (("capture_charge", "chg_1"), pb.CaptureChargeResponse, {"charge_id": "chg_1"}),
        (("cancel_charge", "chg_1"), pb.CancelChargeResponse, {"charge_id": "chg_1"}),
        (("refund_charge", "chg_1"), pb.RefundChargeResponse, {"charge_id": "chg_1"}),
        (("retry_batch", "bat_1"), pb.RetryCloneBatchResponse, {"batch_id": "bat_1"}),
        (("cancel_batch", "bat_1"), pb.CancelCloneBatchResponse, {"batch_id": "bat_1"}),
        (("erase_customer", "cus_1"), pb.EraseCustomerResponse, {"platform_customer_id": "cus_1"}),
        (("get_batch", "bat_1"), pb.GetCloneBatchResponse, {"batch_id": "bat_1"}),
        (("get_charge", "chg_1"), pb.GetChargeResponse, {"charge_id": "chg_1"}),
    ],
)
async def test_the_other_calls_reach_their_rpc(
    client: Driver, service: ScriptedService, call: Any, response: Any, fields: Any
) -> None:
    method = response.DESCRIPTOR.name.removesuffix("Response")
    service.answer(method, response())

    done = await client.call(*call)

    (sent,) = service.requests(method)
    assert {name: getattr(sent, name) for name in fields} == fields
    if hasattr(sent, "request_id"):
        assert done.request_id == sent.request_id


@pytest.mark.parametrize(
    ("call", "response"),
    [
        (
            ("list_platform_payment_methods", "cus_1"),
            pb.ListPlatformPaymentMethodsResponse,
        ),
        (("list_refunds", "chg_1"), pb.ListRefundsResponse),
        (("list_batches",), pb.ListCloneBatchesResponse),
        (("list_batch_items", "bat_1"), pb.ListCloneBatchItemsResponse),
    ],
)
async def test_the_other_lists_reach_their_rpc(
    client: Driver, service: ScriptedService, call: Any, response: Any
) -> None:
    method = response.DESCRIPTOR.name.removesuffix("Response")
    service.answer(method, response())

    assert await client.collect(*call) == []
    assert len(service.requests(method)) == 1


async def test_partial_refunds_and_captures_send_their_amounts(client: Driver, service: ScriptedService) -> None:
    refund = types.Refund(refund_id="rfd_1", amount=types.Money(minor_units=5, currency_code="USD"))
    service.answer("RefundCharge", pb.RefundChargeResponse(refund=refund, charge=CHARGE))
    service.answer("CaptureCharge", pb.CaptureChargeResponse(charge=CHARGE))

    done = await client.call("refund_charge", "chg_1", amount=Money(5, "usd"), refund_application_fee=True)
    await client.call("capture_charge", "chg_1", amount=Money(7, "usd"), application_fee=Money(1, "usd"), etag="e")

    (refunded,) = service.requests("RefundCharge")
    (captured,) = service.requests("CaptureCharge")
    assert (refunded.amount.minor_units, refunded.refund_application_fee) == (5, True)
    assert (captured.amount.minor_units, captured.application_fee.minor_units, captured.etag) == (7, 1, "e")
    assert (done.refund.refund_id, done.refund.amount) == ("rfd_1", Money(5, "USD"))


async def test_lookup_tells_an_unseen_request_from_a_state_it_does_not_know(
    client: Driver, service: ScriptedService
) -> None:
    unseen = pb.LookupRequestResponse(state=pb.REQUEST_STATE_UNKNOWN)
    newer = pb.LookupRequestResponse()
    newer.MergeFromString(b"\x08\x63")  # state = 99, from a newer service
    service.answer("LookupRequest", unseen, newer)

    states = [(await client.call("lookup_request", "r-1")).state for _ in range(2)]

    assert states == [RequestState.UNKNOWN, RequestState.UNRECOGNIZED]


async def test_lookup_gives_a_stored_refusal_as_the_error_it_was(client: Driver, service: ScriptedService) -> None:
    declined = refusal(StatusCode.FAILED_PRECONDITION, "CARD_DECLINED", metadata={"decline_code": "lost_card"})
    response = pb.LookupRequestResponse(state=pb.REQUEST_STATE_FAILED, charge_id="chg_1", error=declined.status)
    service.answer("LookupRequest", response)

    found = await client.call("lookup_request", "r-1")

    assert (found.state, found.charge_id) == (RequestState.FAILED, "chg_1")
    assert (type(found.error).__name__, found.error.decline.decline_code) == ("CardDeclined", "lost_card")
    assert found.error.request_id == "r-1"


async def test_unknown_enum_values_and_odd_times_never_fail(client: Driver, service: ScriptedService) -> None:
    clone = types.Clone(clone_id="cln_1")
    clone.MergeFromString(b"\x30\x63\x50\x63")  # flow = 99, state = 99
    clone.create_time.seconds = 1_700_000_000
    clone.update_time.seconds = 10**15  # beyond what a datetime can tell
    clone.last_error.code = 77
    service.answer("GetClone", pb.GetCloneResponse(clone=clone))

    found = await client.call("get_clone", "cln_1")

    assert (found.flow, found.state) == (CloneFlow.UNRECOGNIZED, CloneState.UNRECOGNIZED)
    assert found.create_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (found.update_time, found.verify_time) == (None, None)
    assert found.last_error.code == "UNKNOWN"


async def test_an_unrecognized_value_cannot_be_sent(client: Driver, service: ScriptedService) -> None:
    with pytest.raises(ValueError, match="not a value of the contract"):
        await client.call("clone_payment_method", "cus_1", "acct_1", flow=CloneFlow.UNRECOGNIZED)


async def test_the_token_is_asked_for_before_each_try_and_sent_as_a_bearer(
    client: Driver, service: ScriptedService
) -> None:
    tokens = iter(["one", "two"])
    busy = refusal(StatusCode.ABORTED, "REQUEST_IN_PROGRESS")
    service.answer("GetClone", busy, pb.GetCloneResponse())
    client.options.update(token=lambda: next(tokens), metadata=[("x-tenant", "shop")])

    await client.call("get_clone", "cln_1")

    assert [got.metadata["authorization"] for got in service.received] == ["Bearer one", "Bearer two"]
    assert {got.metadata["x-tenant"] for got in service.received} == {"shop"}


async def test_a_service_that_is_not_there_is_a_transport_error_not_a_hang(client: Driver) -> None:
    client.target = "127.0.0.1:1"
    client.options.update(retry=RetryPolicy(max_attempts=1), options=[("grpc.enable_retries", 0)])

    with pytest.raises(TransportError) as raised:
        await client.call("revoke_clone", "cln_1", request_id="r-1")

    assert raised.value.code is StatusCode.UNAVAILABLE
    assert "call again with request_id r-1" in str(raised.value)


def test_money_refuses_floats_and_keeps_the_code_in_upper_case() -> None:
    assert Money(1099, "usd") == Money(1099, "USD")
    wrongs: list[Any] = [10.99, True, "1099"]
    for wrong in wrongs:
        with pytest.raises(TypeError, match="smallest unit"):
            Money(wrong, "usd")
