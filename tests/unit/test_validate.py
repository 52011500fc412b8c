"""What a request must look like; every rule is told by field path, all at once."""

from __future__ import annotations

from typing import Any

import pytest
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2
from cloneservice_server.domain.errors import InvalidRequest
from cloneservice_server.rpc import validate
from google.protobuf.message import Message

UNKNOWN: Any = 9  # an enum number that no version of the contract has
REQUEST_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def violations(request: Message) -> dict[str, str]:
    try:
        validate.check(request)
    except InvalidRequest as error:
        return {violation.field: violation.description for violation in error.violations}
    return {}


def clone_and_charge(**changes: Any) -> pb.CloneAndChargeRequest:
    fields: dict[str, Any] = {
        "request_id": REQUEST_ID,
        "platform_customer_id": "cus_1",
        "connected_account_id": "acct_1",
        "charge": pb.ChargeOptions(amount=money(1099)),
    }
    return pb.CloneAndChargeRequest(**{**fields, **changes})


def money(minor_units: int, currency_code: str = "usd") -> types_pb2.Money:
    return types_pb2.Money(minor_units=minor_units, currency_code=currency_code)


def test_a_complete_request_passes() -> None:
    request = clone_and_charge(
        platform_payment_method_id="pm_card_visa",
        flow=types_pb2.CLONE_FLOW_TOKEN,
        attach=pb.AttachOptions(connected_customer_id="cus_2", set_default=True),
        charge=pb.ChargeOptions(
            amount=money(99_999_999),
            application_fee=money(99_999_999, "USD"),
            return_url="https://shop.example/back",
            description="d" * 1000,
            statement_descriptor_suffix="s" * 22,
            metadata={f"{n:040}": "v" * 500 for n in range(20)},
        ),
    )

    assert violations(request) == {}


def test_everything_wrong_is_told_at_once_by_path() -> None:
    request = pb.CloneAndChargeRequest(
        request_id="again",
        platform_customer_id="shopper",
        flow=UNKNOWN,
        charge=pb.ChargeOptions(amount=money(-1, "dollars")),
    )

    assert set(violations(request)) == {
        "request_id",
        "platform_customer_id",
        "connected_account_id",
        "flow",
        "charge.amount.minor_units",
        "charge.amount.currency_code",
    }


def test_the_error_names_its_fields_in_metadata() -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate.check(pb.GetCloneRequest())

    assert (caught.value.metadata, caught.value.message) == ({"fields": "clone_id"}, "clone_id: is required")


def test_required_is_read_from_the_descriptor_for_every_request() -> None:
    for method in pb.DESCRIPTOR.services_by_name["CloneService"].methods:
        request = pb.__dict__[method.input_type.name]()
        if "request_id" in method.input_type.fields_by_name:
            assert violations(request)["request_id"] == "is required", method.name


@pytest.mark.parametrize(
    "wrong", ["", "1", "0f8fad5b-d9cb-469f-a165-70867728950", "0f8fad5bd9cb469fa16570867728950e", REQUEST_ID + "\n"]
)
def test_a_request_id_is_a_uuid(wrong: Any) -> None:
    assert "request_id" in violations(clone_and_charge(request_id=wrong))


def test_a_request_id_may_be_in_upper_case() -> None:
    assert violations(clone_and_charge(request_id=REQUEST_ID.upper())) == {}


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("platform_customer_id", ["cus_Nf4"], ["pm_1", "cus_", "acct_1"]),
        ("connected_account_id", ["acct_1"], ["cus_1", "1"]),
        ("platform_payment_method_id", ["pm_1", "card_1", "src_1", "ba_1"], ["tok_1", "cus_1", "4242424242424242"]),
    ],
)
def test_ids_have_the_prefix_of_what_they_name(field: str, right: Any, wrong: Any) -> None:
    assert [violations(clone_and_charge(**{field: value})) for value in right] == [{}] * len(right)
    assert [list(violations(clone_and_charge(**{field: value}))) for value in wrong] == [[field]] * len(wrong)


@pytest.mark.parametrize(
    "value", ["cus_1/../accounts", "cus_1?expand", "cus_1#", "cus_é", "cus_1\n", "cus_%2e", "cus_1 "]
)
def test_an_id_cannot_become_another_path_at_stripe(value: str) -> None:
    assert "platform_customer_id" in violations(clone_and_charge(platform_customer_id=value))


def test_an_id_has_at_most_255_characters() -> None:
    assert violations(clone_and_charge(platform_customer_id="cus_" + "x" * 251)) == {}
    assert "platform_customer_id" in violations(clone_and_charge(platform_customer_id="cus_" + "x" * 252))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GetCloneRequest(clone_id="chg_1"), "clone_id"),
        (pb.GetChargeRequest(charge_id="cln_1"), "charge_id"),
        (pb.GetCloneBatchRequest(batch_id="chg_1"), "batch_id"),
        (
            pb.CreateSetupRequest(request_id=REQUEST_ID, platform_customer_id="cus_1", on_behalf_of_account_id="x"),
            "on_behalf_of_account_id",
        ),
    ],
)
def test_our_own_ids_are_told_apart(request_: Any, field: str) -> None:
    assert list(violations(request_)) == [field]


def test_repeated_ids_are_checked_one_by_one() -> None:
    request = pb.CreateCloneBatchRequest(
        request_id=REQUEST_ID,
        operation=types_pb2.CloneBatch.OPERATION_CLONE,
        cross_product=pb.CloneBatchCrossProduct(platform_customer_ids=["cus_1", "x"], connected_account_ids=["acct_1"]),
    )

    assert list(violations(request)) == ["cross_product.platform_customer_ids[1]"]


def test_messages_in_a_list_are_checked_one_by_one() -> None:
    pairs = pb.CloneBatchPairs(pairs=[pb.CloneBatchPair(platform_customer_id="cus_1")])
    request = pb.CreateCloneBatchRequest(
        request_id=REQUEST_ID, operation=types_pb2.CloneBatch.OPERATION_CLONE, pairs=pairs
    )

    assert violations(request) == {"pairs.pairs[0].connected_account_id": "is required"}


@pytest.mark.parametrize("saved", ["pm_card_visa", "tok_mastercard", "src_1"])
def test_saving_takes_tokens_too(saved: str) -> None:
    request = pb.SavePaymentMethodRequest(
        request_id=REQUEST_ID, platform_customer_id="cus_1", platform_payment_method_id=saved
    )

    assert violations(request) == {}


def test_a_choice_must_be_made() -> None:
    request = pb.SavePaymentMethodRequest(request_id=REQUEST_ID, platform_payment_method_id="pm_1")

    assert violations(request) == {"customer": "one of platform_customer_id or new_customer is required"}


def test_a_new_customer_may_be_empty() -> None:
    request = pb.SavePaymentMethodRequest(
        request_id=REQUEST_ID, platform_payment_method_id="pm_1", new_customer=pb.NewCustomer()
    )

    assert violations(request) == {}


def test_an_external_reference_is_no_email_address() -> None:
    request = pb.SavePaymentMethodRequest(
        request_id=REQUEST_ID,
        platform_payment_method_id="pm_1",
        new_customer=pb.NewCustomer(external_reference="jenny@shop.example", email="jenny@shop.example"),
    )

    assert list(violations(request)) == ["new_customer.external_reference"]


@pytest.mark.parametrize("amount", [0, -1, 100_000_000, 2**62])
def test_an_amount_is_positive_and_has_at_most_eight_digits(amount: Any) -> None:
    assert "charge.amount.minor_units" in violations(clone_and_charge(charge=pb.ChargeOptions(amount=money(amount))))


@pytest.mark.parametrize("currency", ["us", "usdt", "u$d", "US ", "éur"])
def test_a_currency_is_three_letters(currency: str) -> None:
    charge = pb.ChargeOptions(amount=money(1, currency))

    assert list(violations(clone_and_charge(charge=charge))) == ["charge.amount.currency_code"]


def test_the_fee_is_in_the_currency_of_the_amount() -> None:
    charge = pb.ChargeOptions(amount=money(1000, "usd"), application_fee=money(10, "eur"))

    assert list(violations(clone_and_charge(charge=charge))) == ["charge.application_fee.currency_code"]


def test_the_fee_is_at_most_the_amount() -> None:
    charge = pb.ChargeOptions(amount=money(1000), application_fee=money(1001))

    assert list(violations(clone_and_charge(charge=charge))) == ["charge.application_fee.minor_units"]


def test_one_shot_excludes_attach() -> None:
    assert list(violations(clone_and_charge(one_shot=True, attach=pb.AttachOptions()))) == ["attach"]


def test_unknown_enum_numbers_are_refused() -> None:
    assert list(violations(clone_and_charge(reuse=7))) == ["reuse"]


def test_unknown_and_unspecified_states_are_no_filter() -> None:
    request = pb.ListClonesRequest(states=[types_pb2.Clone.STATE_ATTACHED, types_pb2.Clone.STATE_UNSPECIFIED, UNKNOWN])

    assert list(violations(request)) == ["states[1]", "states[2]"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "v"),
        ("k" * 41, "v"),
        ("a[b]", "v"),
        ("cloneservice_clone_id", "v"),
        ("k", "v" * 501),
        ("k", "\0"),
        ("\0", "v"),
    ],
)
def test_metadata_that_stripe_or_we_cannot_keep_is_refused(key: Any, value: Any) -> None:
    request = clone_and_charge(charge=pb.ChargeOptions(amount=money(1), metadata={key: value}))

    assert [path.split("[")[0] for path in violations(request)] == ["charge.metadata"]


def test_metadata_has_at_most_20_entries() -> None:
    request = clone_and_charge(charge=pb.ChargeOptions(amount=money(1), metadata={str(n): "" for n in range(21)}))

    assert violations(request) == {"charge.metadata": "must have at most 20 entries"}


@pytest.mark.parametrize(
    ("field", "length"), [("description", 1001), ("statement_descriptor_suffix", 23), ("return_url", 2049)]
)
def test_texts_have_a_longest_length(field: str, length: int) -> None:
    charge = pb.ChargeOptions(amount=money(1))
    setattr(charge, field, "https://" + "x" * (length - 8))

    assert list(violations(clone_and_charge(charge=charge))) == [f"charge.{field}"]


def test_a_return_url_is_a_web_address() -> None:
    charge = pb.ChargeOptions(amount=money(1), return_url="javascript:alert(1)")

    assert list(violations(clone_and_charge(charge=charge))) == ["charge.return_url"]


def test_no_text_holds_a_nul() -> None:
    request = pb.ConfirmChargeRequest(request_id=REQUEST_ID, charge_id="chg_1", etag="a\0b")

    assert violations(request) == {"etag": "must not hold a NUL character"}


def test_reasons_are_stripes_own() -> None:
    refund = pb.RefundChargeRequest(request_id=REQUEST_ID, charge_id="chg_1", reason="abandoned")
    cancel = pb.CancelChargeRequest(request_id=REQUEST_ID, charge_id="chg_1", reason="abandoned")

    assert violations(refund) == {"reason": "must be duplicate, fraudulent or requested_by_customer"}
    assert violations(cancel) == {}


def test_a_page_size_is_not_negative() -> None:
    assert list(violations(pb.ListChargesRequest(page_size=-1))) == ["page_size"]
    assert violations(pb.ListChargesRequest(page_size=2**31 - 1)) == {}


@pytest.mark.parametrize(("seconds", "nanos"), [(2**62, 0), (-(2**62), 0), (253_402_300_800, 0), (0, -1), (0, 10**9)])
def test_a_time_that_is_none_is_refused(seconds: int, nanos: int) -> None:
    request = pb.ListClonesRequest()
    request.create_time_from.seconds, request.create_time_from.nanos = seconds, nanos

    with pytest.raises(InvalidRequest) as caught:
        validate.check(request)

    assert [violation.field for violation in caught.value.violations] == ["create_time_from"]
