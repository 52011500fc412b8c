"""The table from domain errors to statuses: one test a row, and the bound on its size."""

from __future__ import annotations

import base64
import dataclasses
import urllib.parse
from typing import Any

import grpc
import pytest
from cloneservice.v1 import errors_pb2, types_pb2
from cloneservice_server.domain import errors, values
from cloneservice_server.rpc import status
from google.rpc import error_details_pb2 as details

from tests.fakes_rpc import CHARGE_WITH_ACTION, DECLINED, SECRET

CODE = grpc.StatusCode
KINDS = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        details.ErrorInfo,
        details.BadRequest,
        details.ResourceInfo,
        details.PreconditionFailure,
        details.QuotaFailure,
        details.RetryInfo,
        errors_pb2.ChargeFailure,
    )
}


def told(error: Any) -> Any:
    """(code, {detail's name: detail}) of the status."""
    made = status.status_of(error)
    unpacked = {}
    for packed in made.details:
        kind = KINDS[packed.TypeName()]
        message = kind()
        assert packed.Unpack(message)
        assert kind.__name__ not in unpacked, "each detail type at most once"
        unpacked[kind.__name__] = message
    return next(code for code in CODE if code.value[0] == made.code), unpacked


def assert_row(error: Any, code: Any, *kinds: Any) -> Any:
    actual, unpacked = told(error)
    info = unpacked["ErrorInfo"]

    assert (actual, list(unpacked)) == (code, ["ErrorInfo", *kinds])
    assert (info.domain, info.reason, dict(info.metadata)) == ("cloneservice", error.reason, error.metadata)
    return unpacked


def test_invalid_request_tells_each_field() -> None:
    error = errors.InvalidRequest(
        "two", {"fields": "a,b.c"}, violations=(errors.FieldViolation("a", "x"), errors.FieldViolation("b.c", "y"))
    )

    unpacked = assert_row(error, CODE.INVALID_ARGUMENT, "BadRequest")

    told_fields = [(v.field, v.description) for v in unpacked["BadRequest"].field_violations]
    assert told_fields == [("a", "x"), ("b.c", "y")]


def test_request_id_reused_is_already_exists() -> None:
    assert_row(errors.RequestIdReused("reused", {"first_request_hash": "ab"}), CODE.ALREADY_EXISTS)


def test_request_in_progress_says_when_to_come_back() -> None:
    unpacked = assert_row(errors.RequestInProgress("busy", retry_after_s=2.5), CODE.ABORTED, "RetryInfo")

    assert unpacked["RetryInfo"].retry_delay.ToMilliseconds() == 2500


def test_resource_not_found_names_the_resource() -> None:
    unpacked = assert_row(errors.not_found("clone", "cln_1"), CODE.NOT_FOUND, "ResourceInfo")

    resource = unpacked["ResourceInfo"]
    assert (resource.resource_type, resource.resource_name) == ("clone", "cln_1")


def test_account_unavailable_names_the_account() -> None:
    error = errors.AccountUnavailable("no access", {"connected_account_id": "acct_1"})

    unpacked = assert_row(error, CODE.FAILED_PRECONDITION, "PreconditionFailure")

    violation = unpacked["PreconditionFailure"].violations[0]
    assert (violation.type, violation.subject) == ("CONNECTED_ACCOUNT_UNAVAILABLE", "acct_1")


def test_capability_missing_names_the_account() -> None:
    error = errors.CapabilityMissing("no card_payments", {"connected_account_id": "acct_1"})

    unpacked = assert_row(error, CODE.FAILED_PRECONDITION, "PreconditionFailure")

    assert unpacked["PreconditionFailure"].violations[0].subject == "acct_1"


def test_not_cloneable_is_a_failed_precondition() -> None:
    assert_row(errors.NotCloneable("no", {"usable_flow": "token"}), CODE.FAILED_PRECONDITION)


def test_clone_not_usable_is_a_failed_precondition() -> None:
    assert_row(errors.CloneNotUsable("spent", {"state": "consumed"}), CODE.FAILED_PRECONDITION)


def test_card_declined_carries_the_recorded_charge() -> None:
    error = errors.CardDeclined("declined", {"code": "card_declined"}, charge=DECLINED, may_retry_later=True)

    failure = assert_row(error, CODE.FAILED_PRECONDITION, "ChargeFailure")["ChargeFailure"]

    assert (
        failure.may_retry_later,
        failure.charge.charge_id,
        failure.charge.state,
        failure.charge.decline.decline_code,
    ) == (
        True,
        DECLINED.charge_id,
        types_pb2.Charge.STATE_DECLINED,
        "insufficient_funds",
    )


def test_card_declined_before_there_was_a_charge_has_no_charge_failure() -> None:
    assert_row(errors.CardDeclined("declined", {"code": "card_declined"}), CODE.FAILED_PRECONDITION)


def test_authentication_required_hands_out_no_secret() -> None:
    error = errors.AuthenticationRequired("3DS", {"code": "authentication_required"}, charge=CHARGE_WITH_ACTION)

    failure = assert_row(error, CODE.FAILED_PRECONDITION, "ChargeFailure")["ChargeFailure"]

    assert failure.charge.next_action.type == "use_stripe_sdk"
    assert SECRET.encode() not in status.status_of(error).SerializeToString()


def test_invalid_state_is_a_failed_precondition() -> None:
    assert_row(errors.InvalidState("captured", {"state": "succeeded"}), CODE.FAILED_PRECONDITION)


def test_etag_mismatch_is_aborted_and_not_to_be_repeated_blindly() -> None:
    assert_row(errors.EtagMismatch("changed", {"etag": "x"}), CODE.ABORTED)


def test_stripe_rate_limit_says_whose_and_how_long() -> None:
    error = errors.StripeRateLimited("slow down", {"connected_account_id": "acct_1"}, retry_after_s=4)

    unpacked = assert_row(error, CODE.RESOURCE_EXHAUSTED, "QuotaFailure", "RetryInfo")

    assert unpacked["QuotaFailure"].violations[0].subject == "acct_1"
    assert unpacked["RetryInfo"].retry_delay.seconds == 4


def test_stripe_rate_limit_of_the_platform_says_platform() -> None:
    unpacked = told(errors.StripeRateLimited("slow down"))[1]

    assert unpacked["QuotaFailure"].violations[0].subject == "platform"


@pytest.mark.parametrize("kind", [errors.StripeUnreachable, errors.OutcomeUnknown, errors.LedgerDown])
def test_what_passes_by_itself_is_unavailable_with_a_time_to_repeat(kind: Any) -> None:
    unpacked = assert_row(kind("away", {"step": "confirm"}), CODE.UNAVAILABLE, "RetryInfo")

    assert unpacked["RetryInfo"].retry_delay.seconds == 1


@pytest.mark.parametrize("kind", [errors.StripeMisconfigured, errors.KeyRefused])
def test_stripe_misconfigured_is_our_fault_not_the_callers_credentials(kind: Any) -> None:
    assert_row(kind("key refused"), CODE.INTERNAL)


def test_overload_says_when_to_come_back() -> None:
    assert_row(errors.ServiceOverloaded("full", retry_after_s=1), CODE.RESOURCE_EXHAUSTED, "RetryInfo")


def test_deadline_too_short_is_deadline_exceeded() -> None:
    assert_row(errors.DeadlineTooShort("0.2 s left"), CODE.DEADLINE_EXCEEDED)


def test_webhook_signature_invalid_is_an_invalid_argument() -> None:
    assert_row(errors.WebhookSignatureInvalid("no"), CODE.INVALID_ARGUMENT)


def test_internal_carries_the_error_id() -> None:
    assert_row(errors.InternalError("fault", {"error_id": "e1"}), CODE.INTERNAL)


def every_reason() -> Any:
    return {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    }


def test_every_published_reason_has_a_row_and_no_row_is_unpublished() -> None:
    assert set(status.TABLE) == every_reason()


def test_every_domain_error_has_a_published_reason() -> None:
    kinds = [errors.DomainError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())

    assert {kind.reason for kind in kinds} <= every_reason()


def wire_bytes(made: Any) -> Any:
    """What the status takes in HTTP/2 trailers: grpc-message percent-encoded, grpc-status-details-bin in base64."""
    return len(urllib.parse.quote(made.message, safe=" ")) + len(base64.b64encode(made.SerializeToString()))


@pytest.mark.parametrize("character", ["x", "é", "€", "💳", "\n", "%"])
@pytest.mark.parametrize("kind", [errors._BY_NAME[name] for name in sorted(errors._BY_NAME)])
def test_no_error_whatever_it_holds_exceeds_what_headers_carry(kind: Any, character: str) -> None:
    long = character * 5000
    charge = dataclasses.replace(
        DECLINED,
        decline=values.Decline("c" * 200, "d" * 200, "a" * 200, "n" * 20, long),
        metadata={f"{n:040}": character * 500 for n in range(20)},
    )
    error = kind(
        long,
        {f"{character * 100}{n}": long for n in range(100)},
        retry_after_s=1e6,
        resource_type=long,
        resource_name=long,
        violations=tuple(errors.FieldViolation(long, long) for _ in range(500)),
        charge=charge,
    )

    made = status.status_of(error)

    assert len(made.message) <= 500
    assert sum(detail.ByteSize() for detail in made.details) <= 4096
    assert wire_bytes(made) <= 8000
    assert told(error)[1]["ErrorInfo"].reason == kind.reason


def test_a_charge_that_is_too_long_loses_its_labels_before_anything_else() -> None:
    charge = dataclasses.replace(DECLINED, metadata={f"{n:040}": "v" * 500 for n in range(20)})

    failure = told(errors.CardDeclined("declined", charge=charge))[1]["ChargeFailure"]

    assert (dict(failure.charge.metadata), failure.charge.decline.code) == ({}, "card_declined")


def test_a_short_message_stays_as_it_is() -> None:
    assert status.status_of(errors.InvalidState("Schön, 10 €")).message == "Schön, 10 €"


def test_a_lone_surrogate_does_not_break_the_status() -> None:
    assert status.status_of(errors.InvalidState("a\ud800b")).message == "a?b"
