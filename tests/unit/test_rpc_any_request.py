"""Whatever a request holds, it is either refused as invalid or becomes a command; nothing else happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice_server.domain import codec
from cloneservice_server.domain.commands import COMMANDS
from cloneservice_server.domain.errors import InvalidRequest
from cloneservice_server.rpc import convert, convert_charges, validate
from cloneservice_server.rpc.status import status_of
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "SavePaymentMethod": convert.save_payment_method,
    "ClonePaymentMethod": convert.clone_payment_method,
    "AttachClone": convert.attach_clone,
    "RefreshClone": convert.refresh_clone,
    "RevokeClone": convert.revoke_clone,
    "CreateSetup": convert.create_setup,
    "EraseCustomer": convert.erase_customer,
    "CreateCharge": convert.create_charge,
    "CloneAndCharge": convert.clone_and_charge,
    "ConfirmCharge": convert_charges.confirm_charge,
    "CaptureCharge": convert_charges.capture_charge,
    "CancelCharge": convert_charges.cancel_charge,
    "RefundCharge": convert_charges.refund_charge,
    "ChargeBasket": convert_charges.charge_basket,
}
TEXTS = st.one_of(
    st.sampled_from(["", "usd", "EUR", "cus_1", "acct_1", "pm_1", "cln_1", "tok_1", "https://x"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
INTEGERS = st.one_of(st.integers(-1, 5), st.integers(-(2**31), 2**31 - 1))


REQUEST_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
CHARGE = pb.ChargeOptions(amount=types_pb2.Money(minor_units=1099, currency_code="usd"))


def valid(rpc: str) -> Any:
    """A request of `rpc` that passes."""
    fields: dict[str, Any] = {
        "request_id": REQUEST_ID,
        "platform_customer_id": "cus_1",
        "connected_account_id": "acct_1",
        "platform_payment_method_id": "pm_1",
        "clone_id": "cln_1",
        "charge_id": "chg_1",
        "legs": [pb.BasketLegOptions(connected_account_id="acct_1", amount=CHARGE.amount)],
        "charge": CHARGE,
    }
    kind = getattr(pb, f"{rpc}Request")
    return kind(**{name: value for name, value in fields.items() if name in kind.DESCRIPTOR.fields_by_name})


def fill(message: Message, draw: Callable[[Any], Any], depth: int = 0) -> Message:
    """Overwrite a field here and there, as hypothesis says."""
    for field in message.DESCRIPTOR.fields:
        if depth < 4 and draw(st.integers(0, 5)) == 0:
            fill_field(message, field, draw, depth)
    return message


def fill_field(message: Message, field: Any, draw: Callable[[Any], Any], depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name).update(draw(st.dictionaries(TEXTS, TEXTS, max_size=3)))
    elif field.message_type is not None:
        child = getattr(message, field.name)
        if field.is_repeated:
            child = child.add()
        child.SetInParent()
        fill(child, draw, depth + 1)
    else:
        kinds = {FieldDescriptor.CPPTYPE_STRING: TEXTS, FieldDescriptor.CPPTYPE_BOOL: st.booleans()}
        drawn = draw(kinds.get(field.cpp_type, INTEGERS))
        if field.is_repeated:
            getattr(message, field.name).append(drawn)
        else:
            setattr(message, field.name, drawn)


def refused(request: Message) -> InvalidRequest | None:
    try:
        validate.check(request)
    except InvalidRequest as error:
        return error
    return None


def test_each_command_has_its_converter() -> None:
    assert set(CONVERTERS) == set(COMMANDS) - {"HandleStripeEvent"}  # which Stripe sends, not a caller


@pytest.mark.parametrize("rpc", sorted(CONVERTERS))
def test_the_requests_to_begin_with_pass(rpc: str) -> None:
    assert refused(valid(rpc)) is None


@pytest.mark.parametrize("rpc", sorted(CONVERTERS))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_request_is_refused_or_becomes_a_command_that_survives_storage(rpc: str, data: st.DataObject) -> None:
    request = fill(valid(rpc), data.draw)
    refusal = refused(request)
    if refusal is not None:
        assert refusal.violations
        assert status_of(refusal).ByteSize() <= 8000
        return

    command = CONVERTERS[rpc](request)

    assert codec.loads(COMMANDS[rpc], codec.dumps(command)) == command
    assert convert.request_hash(command) == convert.request_hash(codec.loads(COMMANDS[rpc], codec.dumps(command)))


@pytest.mark.parametrize("rpc", sorted(CONVERTERS))
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_message_converts_even_unchecked(rpc: str, data: st.DataObject) -> None:
    """Validation is the border, not a crutch: the conversion has no way to fail."""
    CONVERTERS[rpc](fill(valid(rpc), data.draw))
