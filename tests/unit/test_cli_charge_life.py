"""The commands on a charge that was made: what they send, print and exit with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cloneservice.cli import main
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import types_pb2 as types
from google.protobuf.message import Message

from tests.fakes_grpc import ScriptedService, serving

KEY = "11111111-1111-4111-8111-111111111111"
USD_500 = types.Money(minor_units=500, currency_code="USD")
CHARGE = types.Charge(charge_id="chg_1", state=types.Charge.STATE_SUCCEEDED, amount=USD_500)
WAITING = types.Charge(charge_id="chg_1", state=types.Charge.STATE_REQUIRES_ACTION)
WAITING.next_action.client_secret = "pi_1_secret_x"
REFUND = types.Refund(refund_id="rfd_1", amount=USD_500, state=types.Refund.STATE_PENDING, reason="duplicate")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
def run(service: ScriptedService, capsys: pytest.CaptureFixture[str]) -> Any:
    with serving(service) as target:

        def run(*argv: str) -> tuple[int, str, str]:
            status = main(argv, {"CLONESERVICE_TARGET": target})
            printed = capsys.readouterr()
            return status, printed.out, printed.err

        yield run


@pytest.mark.parametrize(
    ("argv", "answer", "sent"),
    [
        (
            "charges confirm chg_1 --return-url https://x.example --request-id " + KEY,
            pb.ConfirmChargeResponse(charge=CHARGE),
            pb.ConfirmChargeRequest(request_id=KEY, charge_id="chg_1", return_url="https://x.example"),
        ),
        (
            "charges capture chg_1 --amount 500 --fee 500 --currency usd --request-id " + KEY,
            pb.CaptureChargeResponse(charge=CHARGE),
            pb.CaptureChargeRequest(request_id=KEY, charge_id="chg_1", amount=USD_500, application_fee=USD_500),
        ),
        (
            "charges cancel chg_1 --reason abandoned --request-id " + KEY,
            pb.CancelChargeResponse(charge=CHARGE),
            pb.CancelChargeRequest(request_id=KEY, charge_id="chg_1", reason="abandoned"),
        ),
        (
            "charges refund chg_1 --amount 500 --currency usd --refund-fee --metadata a=1 --request-id " + KEY,
            pb.RefundChargeResponse(refund=REFUND, charge=CHARGE),
            pb.RefundChargeRequest(
                request_id=KEY, charge_id="chg_1", amount=USD_500, refund_application_fee=True, metadata={"a": "1"}
            ),
        ),
    ],
)
def test_a_verb_sends_what_it_was_given(
    run: Run, service: ScriptedService, argv: str, answer: Message, sent: Message
) -> None:
    rpc = type(sent).__name__.removesuffix("Request")
    service.answer(rpc, answer)
    status, out, _ = run(*argv.split())

    assert service.requests(rpc) == [sent]
    assert status == 0
    assert "chg_1" in out


def test_a_charge_that_waits_for_the_shopper_has_its_own_status_and_keeps_the_secret(
    run: Run, service: ScriptedService
) -> None:
    service.answer("ConfirmCharge", pb.ConfirmChargeResponse(charge=WAITING))
    status, out, err = run("charges", "confirm", "chg_1")

    assert status == 7
    assert "pi_1_secret_x" not in out + err


def test_an_amount_needs_its_currency(run: Run, service: ScriptedService) -> None:
    status, _, err = run("charges", "refund", "chg_1", "--amount", "500")

    assert status == 2
    assert "--currency" in err
    assert service.requests("RefundCharge") == []


def test_refunds_are_listed_as_a_table(run: Run, service: ScriptedService) -> None:
    service.answer("ListRefunds", pb.ListRefundsResponse(refunds=[REFUND]))
    status, out, _ = run("charges", "refunds", "chg_1")

    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["REFUND", "STATE", "AMOUNT", "(MINOR)", "REASON"],
        ["rfd_1", "pending", "500", "USD", "duplicate"],
    ]


def test_a_basket_is_shown_leg_by_leg(run: Run, service: ScriptedService) -> None:
    basket = types.Basket(basket_id="bsk_1", state=types.Basket.STATE_CANCELED)
    basket.legs.add(connected_account_id="acct_1", amount=USD_500, state=types.BasketLeg.STATE_CANCELED)
    basket.legs.add(
        connected_account_id="acct_2", amount=USD_500, state=types.BasketLeg.STATE_FAILED, charge_id="chg_2"
    )
    service.answer("GetBasket", pb.GetBasketResponse(basket=basket))
    status, out, _ = run("baskets", "get", "bsk_1")

    assert status == 0
    assert "acct_1 500 USD canceled; acct_2 500 USD failed chg_2" in out
