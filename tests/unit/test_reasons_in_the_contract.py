"""The comment of each RPC names the reasons that its code can raise: no more, no fewer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cloneservice.v1 import errors_pb2
from cloneservice_server.stripe_gateway.steps import STEPS
from cloneservice_server.workflows.effects import KINDS

from tests import stripe_refusals
from tests.raisable import SERVER, functions, reasons_in, reasons_of, reasons_of_rpc

PROTO = (Path(__file__).parents[2] / "protos/cloneservice/v1/clone_service.proto").read_text(encoding="utf-8")
ERROR_REASONS = {
    value.name.removeprefix("ERROR_REASON_") for value in errors_pb2.ErrorReason.DESCRIPTOR.values if value.number
}
MACHINERY = (
    "rpc.interceptors.access",
    "rpc.interceptors.errors",
    "rpc.interceptors.limits",
    "rpc.servicer",
    "rpc.validate",
    "workflows.engine",
    "workflows.run",
)
"""What every request goes through."""


def named(text: str) -> frozenset[str]:
    """The reasons that a text names."""
    return frozenset(set(re.findall(r"[A-Z][A-Z_]+[A-Z]", text)) & ERROR_REASONS)


def comment_of(declaration: str) -> str:
    """The comment above a declaration of the contract."""
    found = re.search(rf"((?:^ *//[^\n]*\n)+) *{declaration}\b", PROTO, re.MULTILINE)
    assert found is not None, declaration
    return found[1]


def common() -> frozenset[str]:
    """What any RPC may answer, as the service's comment says."""
    return named(comment_of("service CloneService"))


def stated() -> dict[str, frozenset[str]]:
    """Each RPC whose comment has a line of reasons, to those."""
    rpcs = re.findall(r"^ *rpc (\w+)\(", PROTO, re.MULTILINE)
    lines = {rpc: re.search(r"// Reasons: ([^.]*)\.", comment_of(f"rpc {rpc}")) for rpc in rpcs}
    return {rpc: named(line[1]) for rpc, line in lines.items() if line is not None}


@pytest.mark.parametrize("rpc", sorted(stated()))
def test_an_rpc_names_the_reasons_that_its_code_can_raise(rpc: str) -> None:
    assert stated()[rpc] == reasons_of_rpc(rpc) - common()


def test_every_rpc_says_what_it_calls_and_what_it_answers() -> None:
    rpcs = set(re.findall(r"^ *rpc (\w+)\(", PROTO, re.MULTILINE))

    assert len(rpcs) > 30
    assert rpcs - set(stated()) == set()
    for rpc in rpcs:
        assert "// Stripe: " in comment_of(f"rpc {rpc}"), rpc


def test_the_service_names_what_every_request_may_meet() -> None:
    machinery = frozenset().union(*(reasons_in(f"{SERVER}.{module}") for module in MACHINERY))
    anywhere = {case.expected.reason for case in stripe_refusals.CASES if case.expected.reason not in STEPS[case.step]}

    assert common() == machinery | anywhere


def test_what_stripe_refuses_a_step_with_is_said_of_the_step() -> None:
    untold = {
        (case.step, case.expected.reason)
        for case in stripe_refusals.CASES
        if case.expected.reason not in STEPS[case.step] | common()
    }

    assert untold == set()
    assert set(KINDS) <= set(STEPS)


def test_the_source_is_followed() -> None:
    """The reader itself: through modules, methods, arguments, and errors made by others."""
    assert len(functions()) > 300
    assert "RESOURCE_NOT_FOUND" in reasons_of(f"{SERVER}.domain.errors.not_found")
    assert "ETAG_MISMATCH" in reasons_of(f"{SERVER}.workflows.charge_life.cancel_charge")
    assert "ETAG_MISMATCH" not in reasons_of(f"{SERVER}.workflows.charge_life.refund_charge")
    assert "CARD_DECLINED" in reasons_of_rpc("ChargeBasket")
    assert "CARD_DECLINED" not in reasons_of_rpc("CaptureCharge")
