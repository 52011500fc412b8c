"""Messages to frozen commands and back: nothing lost, nothing made up, no secret in the wrong answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice_server.domain import commands, errors, results, values
from cloneservice_server.domain.values import RequestState
from cloneservice_server.ports import ChargeFilter, CloneFilter, RequestRow
from cloneservice_server.rpc import convert, messages

from tests.fakes_rpc import ACTION, CHARGE, CHARGE_WITH_ACTION, CLONE, CUSTOMER, PAYMENT_METHOD, REQUEST_ID, SECRET


def full_charge_options() -> Any:
    return pb.ChargeOptions(
        amount=types_pb2.Money(minor_units=1099, currency_code="usd"),
        application_fee=types_pb2.Money(minor_units=123, currency_code="uSd"),
        capture_method=types_pb2.CAPTURE_METHOD_MANUAL,
        off_session=True,
        defer_confirmation=True,
        return_url="https://x",
        description="d",
        statement_descriptor_suffix="s",
        metadata={"a": "b"},
    )


CHARGE_OPTIONS = commands.ChargeOptions(
    values.Money(1099, "USD"),
    values.Money(123, "USD"),
    values.CaptureMethod.MANUAL,
    off_session=True,
    defer_confirmation=True,
    return_url="https://x",
    description="d",
    statement_descriptor_suffix="s",
    metadata={"a": "b"},
)


def test_clone_and_charge_becomes_its_command_field_by_field() -> None:
    request = pb.CloneAndChargeRequest(
        request_id=REQUEST_ID,
        platform_customer_id="cus_1",
        platform_payment_method_id="card_1",
        connected_account_id="acct_1",
        flow=types_pb2.CLONE_FLOW_SOURCE,
        reuse=types_pb2.CLONE_REUSE_NEVER,
        attach=pb.AttachOptions(connected_customer_id="cus_2", set_default=True),
        charge=full_charge_options(),
        validate_only=True,
        one_shot=True,
    )

    assert convert.clone_and_charge(request) == commands.CloneAndCharge(
        "cus_1",
        "acct_1",
        CHARGE_OPTIONS,
        "card_1",
        values.CloneFlow.SOURCE,
        values.CloneReuse.NEVER,
        commands.AttachOptions("cus_2", set_default=True),
        one_shot=True,
        validate_only=True,
    )


def test_what_is_unspecified_becomes_the_domains_default() -> None:
    request = pb.ClonePaymentMethodRequest(
        request_id=REQUEST_ID, platform_customer_id="cus_1", connected_account_id="acct_1"
    )

    assert convert.clone_payment_method(request) == commands.ClonePaymentMethod("cus_1", "acct_1")


def test_an_empty_attach_is_not_the_same_as_none() -> None:
    request = pb.ClonePaymentMethodRequest(attach=pb.AttachOptions())

    assert convert.clone_payment_method(request).attach == commands.AttachOptions()


def test_the_other_mutations_become_their_commands() -> None:
    save = pb.SavePaymentMethodRequest(
        platform_payment_method_id="pm_1",
        new_customer=pb.NewCustomer(external_reference="r", email="e", name="n", metadata={"a": "b"}),
        set_default=True,
    )
    attach = pb.AttachCloneRequest(clone_id="cln_1", attach=pb.AttachOptions(set_default=True), etag="e")

    assert convert.save_payment_method(save) == commands.SavePaymentMethod(
        "pm_1", "", commands.NewCustomer("r", "e", "n", {"a": "b"}), set_default=True
    )
    assert convert.attach_clone(attach) == commands.AttachClone("cln_1", commands.AttachOptions("", True), "e")
    assert convert.create_charge(
        pb.CreateChargeRequest(clone_id="cln_1", charge=full_charge_options())
    ) == commands.CreateCharge("cln_1", CHARGE_OPTIONS)


# ----------------------------------------------------------------------------------------------------- request hash


def hash_of(**changes: Any) -> Any:
    request = pb.CloneAndChargeRequest(
        request_id=REQUEST_ID, platform_customer_id="cus_1", connected_account_id="acct_1", charge=full_charge_options()
    )
    request.MergeFrom(pb.CloneAndChargeRequest(**changes))
    return convert.request_hash(convert.clone_and_charge(request))


def test_the_hash_leaves_out_the_request_id_and_the_case_of_currencies() -> None:
    upper = pb.ChargeOptions(amount=types_pb2.Money(minor_units=1099, currency_code="USD"))

    assert hash_of() == hash_of(request_id="other") == hash_of(charge=upper)


def test_the_hash_takes_a_default_and_its_name_for_the_same() -> None:
    assert hash_of() == hash_of(reuse=types_pb2.CLONE_REUSE_IF_CURRENT)


@pytest.mark.parametrize(
    "change",
    [
        {"platform_customer_id": "cus_2"},
        {"connected_account_id": "acct_2"},
        {"platform_payment_method_id": "pm_1"},
        {"flow": types_pb2.CLONE_FLOW_TOKEN},
        {"reuse": types_pb2.CLONE_REUSE_NEVER},
        {"attach": pb.AttachOptions()},
        {"one_shot": True},
        {"charge": pb.ChargeOptions(amount=types_pb2.Money(minor_units=1100))},
        {"charge": pb.ChargeOptions(amount=types_pb2.Money(currency_code="EUR"))},
        {"charge": pb.ChargeOptions(metadata={"c": "d"})},
        {"charge": pb.ChargeOptions(description="e")},
    ],
)
def test_the_hash_notices_each_change(change: Any) -> None:
    assert hash_of() != hash_of(**change)


def test_the_hash_of_equal_parameters_differs_between_rpcs() -> None:
    clone = convert.request_hash(commands.ClonePaymentMethod("cus_1", "acct_1"))
    attach = convert.request_hash(commands.AttachClone("cus_1"))

    assert clone != attach


def test_the_hash_does_not_change_between_versions() -> None:
    command = commands.CreateCharge(
        "cln_1", commands.ChargeOptions(values.Money(1099, "USD"), metadata={"b": "1", "a": "2"})
    )

    assert convert.request_hash(command) == GOLDEN


GOLDEN = "959feea8d1abad503e20c678063fc4c3f08c260a102fd124e9122d9785f22403"


# ------------------------------------------------------------------------------------------------ filters and enums


def test_filters_forget_order_and_repetition_of_states() -> None:
    attached, active = types_pb2.Clone.STATE_ATTACHED, types_pb2.Clone.STATE_ACTIVE
    clones = pb.ListClonesRequest(platform_payment_method_id="pm_1", states=[attached, active, attached])
    charges = pb.ListChargesRequest(clone_id="cln_1", states=[types_pb2.Charge.STATE_DECLINED])

    assert convert.clone_filter(clones) == CloneFilter(
        platform_payment_method_id="pm_1", states=(values.CloneState.ACTIVE, values.CloneState.ATTACHED)
    )
    assert convert.charge_filter(charges) == ChargeFilter(clone_id="cln_1", states=(values.ChargeState.DECLINED,))


@pytest.mark.parametrize(
    ("domain", "wire"),
    [
        (values.CloneState, types_pb2.Clone.State),
        (values.ChargeState, types_pb2.Charge.State),
        (values.CloneFlow, types_pb2.CloneFlow),
        (values.CloneReuse, types_pb2.CloneReuse),
        (values.CaptureMethod, types_pb2.CaptureMethod),
    ],
)
def test_each_enum_value_of_the_contract_has_one_in_the_domain(domain: Any, wire: Any) -> None:
    prefix = wire.keys()[0].removesuffix("_UNSPECIFIED")

    assert {f"{prefix}_{member.name}" for member in domain} == set(wire.keys()[1:])


# ------------------------------------------------------------------------------------------------------ responses


def test_a_clone_shows_its_lineage() -> None:
    message = convert.clone(CLONE)

    assert (message.platform_customer_id, message.platform_payment_method_id, message.connected_account_id) == (
        "cus_1",
        "pm_1",
        "acct_1",
    )
    assert (message.connected_customer_id, message.connected_payment_method_id) == ("cus_2", "pm_2")
    assert (message.state, message.flow) == (types_pb2.Clone.STATE_ATTACHED, types_pb2.CLONE_FLOW_PAYMENT_METHOD)
    assert (message.summary.last4, message.summary.exp_year, dict(message.metadata)) == ("4242", 2034, {"order": "1"})
    assert (message.create_time.seconds, message.update_time.seconds, message.HasField("verify_time")) == (
        1_700_000_000,
        1_700_000_001,
        False,
    )
    assert message.etag == values.etag(3, "cln_000001")
    assert not message.HasField("last_error")


@pytest.mark.parametrize(
    ("flow", "field"),
    [
        (values.CloneFlow.PAYMENT_METHOD, "connected_payment_method_id"),
        (values.CloneFlow.TOKEN, "connected_token_id"),
        (values.CloneFlow.SOURCE, "connected_source_id"),
    ],
)
def test_the_object_made_is_shown_by_its_flow(flow: Any, field: str) -> None:
    message = convert.clone(dataclasses.replace(CLONE, flow=flow, connected_object_id="x_1"))

    assert (message.WhichOneof("connected_object"), getattr(message, field)) == (field, "x_1")


def test_a_clone_without_an_object_shows_none() -> None:
    message = convert.clone(dataclasses.replace(CLONE, connected_object_id=""))

    assert message.WhichOneof("connected_object") is None


def test_a_failed_clone_says_why_as_a_status() -> None:
    error = errors.NotCloneable("no", {"usable_flow": "token"})

    message = convert.clone(dataclasses.replace(CLONE, last_error=errors.encode(error)))

    assert (message.last_error.code, message.last_error.message, len(message.last_error.details)) == (9, "no", 1)


def test_a_charge_is_shown_field_by_field() -> None:
    message = messages.charge(CHARGE)

    assert (message.charge_id, message.clone_id, message.stripe_payment_intent_id, message.stripe_charge_id) == (
        "chg_000001",
        "cln_000001",
        "pi_1",
        "ch_1",
    )
    assert [
        (money.minor_units, money.currency_code)
        for money in (message.amount, message.amount_received, message.amount_refunded, message.application_fee)
    ] == [(1099, "USD"), (1099, "USD"), (0, "USD"), (123, "USD")]
    assert (message.state, message.capture_method) == (
        types_pb2.Charge.STATE_SUCCEEDED,
        types_pb2.CAPTURE_METHOD_AUTOMATIC,
    )
    assert (message.HasField("next_action"), message.HasField("decline")) == (False, False)


def test_microseconds_survive() -> None:
    assert messages.platform_customer(CUSTOMER).create_time.nanos == 1000


def test_the_answer_of_the_call_that_made_it_hands_out_the_client_secret() -> None:
    charged = convert.charged(results.ChargeMade(CHARGE_WITH_ACTION))
    cloned = convert.cloned_and_charged(results.CloneCharged(CLONE, CHARGE_WITH_ACTION, reused=True))

    assert charged.charge.next_action.client_secret == SECRET
    assert (cloned.charge.next_action.client_secret, cloned.reused) == (SECRET, True)


def test_no_other_answer_hands_out_the_client_secret() -> None:
    assert messages.charge(CHARGE_WITH_ACTION).next_action == types_pb2.NextAction(type=ACTION.type)


def test_validate_only_answers_nothing() -> None:
    assert convert.cloned_and_charged(results.CloneCharged(None, None)) == pb.CloneAndChargeResponse()


def test_the_other_results_become_their_responses() -> None:
    saved = convert.saved(results.SavedPaymentMethod(CUSTOMER, PAYMENT_METHOD))

    assert (saved.platform_customer.external_reference, saved.payment_method.is_default) == ("shopper-1", True)
    assert convert.cloned(results.CloneMade(CLONE, reused=True)).reused
    assert convert.attached(results.CloneMade(CLONE)).clone.clone_id == "cln_000001"


# --------------------------------------------------------------------------------------------------------- lookup


def row(state: Any, error: Any = None) -> Any:
    stored = "" if error is None else errors.encode(error)
    return RequestRow(
        REQUEST_ID, "CloneAndCharge", "h", "{}", state, 1, error=stored, clone_id="cln_1", charge_id="chg_1"
    )


def test_a_request_never_seen_is_unknown() -> None:
    assert convert.looked_up(None) == pb.LookupRequestResponse(state=pb.REQUEST_STATE_UNKNOWN)


@pytest.mark.parametrize(
    ("state", "wire"),
    [
        (RequestState.RUNNING, pb.REQUEST_STATE_RUNNING),
        (RequestState.SUCCEEDED, pb.REQUEST_STATE_SUCCEEDED),
        (RequestState.FAILED, pb.REQUEST_STATE_FAILED),
        (RequestState.PARKED, pb.REQUEST_STATE_FAILED),
        (RequestState.INDETERMINATE, pb.REQUEST_STATE_INDETERMINATE),
    ],
)
def test_a_request_that_was_seen_says_what_became_of_it(state: Any, wire: Any) -> None:
    found = convert.looked_up(row(state))

    assert (found.state, found.method, found.clone_id, found.charge_id, found.HasField("error")) == (
        wire,
        "cloneservice.v1.CloneService/CloneAndCharge",
        "cln_1",
        "chg_1",
        False,
    )


def test_a_refused_request_says_why() -> None:
    found = convert.looked_up(row(RequestState.FAILED, errors.CardDeclined("declined", charge=CHARGE)))

    assert (found.error.code, found.error.message, len(found.error.details)) == (9, "declined", 2)
