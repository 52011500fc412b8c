"""The `cloneservice` command: what it sends, prints and exits with."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloneservice
import pytest
from cloneservice.cli import main
from cloneservice.cli._arguments import parser
from cloneservice.cli._commands import COMMANDS
from cloneservice.v1 import clone_service_pb2 as pb
from cloneservice.v1 import errors_pb2
from cloneservice.v1 import types_pb2 as types
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc import StatusCode

from tests.certificates import Authority
from tests.fakes_grpc import Reply, ScriptedService, refusal, serving

CLIENT = Path(cloneservice.__file__).parent.parent
KEY = "11111111-1111-4111-8111-111111111111"
CLONE = types.Clone(
    clone_id="cln_1",
    platform_customer_id="cus_1",
    platform_payment_method_id="pm_1",
    connected_account_id="acct_1",
    connected_customer_id="cus_9",
    connected_payment_method_id="pm_9",
    state=types.Clone.STATE_ATTACHED,
    summary=types.PaymentMethodSummary(type="card", brand="visa", last4="4242", exp_month=2, exp_year=2034),
)
CLONE.create_time.seconds = 1_700_000_000
CHARGE = types.Charge(
    charge_id="chg_1",
    clone_id="cln_1",
    platform_customer_id="cus_1",
    connected_account_id="acct_1",
    stripe_payment_intent_id="pi_1",
    amount=types.Money(minor_units=2**53 + 1, currency_code="USD"),
    application_fee=types.Money(minor_units=100, currency_code="USD"),
    state=types.Charge.STATE_SUCCEEDED,
)
MONEY = ("--amount", "1099", "--currency", "usd")


@dataclass
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
def run(service: ScriptedService, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs the command in this process, against the scripted service."""
    with serving(service) as target:

        def run(*argv: str, **environ: str) -> Ran:
            try:
                status = main(argv, {"CLONESERVICE_TARGET": target, **environ})
            except SystemExit as left:
                status = int(left.code or 0)
            captured = capsys.readouterr()
            return Ran(status, captured.out, captured.err)

        yield run


def test_clone_and_charge_sends_every_option(run: Run, service: ScriptedService) -> None:
    service.answer("CloneAndCharge", pb.CloneAndChargeResponse(clone=CLONE, charge=CHARGE))

    options = "--payment-method pm_1 --flow payment_method --reuse never --connected-customer cus_9 --set-default"
    more = "--fee 100 --capture manual --off-session --description socks --metadata a=1 --metadata b=x=y"
    whose = ("--customer", "cus_1", "--account", "acct_1")
    ran = run("clone-and-charge", *whose, *MONEY, *options.split(), *more.split(), "--request-id", KEY)

    (sent,) = service.requests("CloneAndCharge")
    assert sent == pb.CloneAndChargeRequest(
        request_id=KEY,
        platform_customer_id="cus_1",
        platform_payment_method_id="pm_1",
        connected_account_id="acct_1",
        flow=types.CLONE_FLOW_PAYMENT_METHOD,
        reuse=types.CLONE_REUSE_NEVER,
        attach=pb.AttachOptions(connected_customer_id="cus_9", set_default=True),
        charge=pb.ChargeOptions(
            amount=types.Money(minor_units=1099, currency_code="USD"),
            application_fee=types.Money(minor_units=100, currency_code="USD"),
            capture_method=types.CAPTURE_METHOD_MANUAL,
            off_session=True,
            description="socks",
            metadata={"a": "1", "b": "x=y"},
        ),
    )
    assert ran.status == 0


def test_people_read_an_aligned_line_for_each_field_that_is_set(run: Run, service: ScriptedService) -> None:
    service.answer("GetClone", pb.GetCloneResponse(clone=CLONE))

    ran = run("clones", "get", "cln_1")

    lines = dict(line.split("  ", 1) for line in ran.out.splitlines())
    starts = {len(line) - len(line[line.index("  ") :].lstrip()) for line in ran.out.splitlines()}
    assert {key: value.strip() for key, value in lines.items()} == {
        "clone_id": "cln_1",
        "platform_customer_id": "cus_1",
        "platform_payment_method_id": "pm_1",
        "connected_account_id": "acct_1",
        "connected_customer_id": "cus_9",
        "connected_payment_method_id": "pm_9",
        "state": "attached",
        "summary": "visa 4242 02/2034",
        "create_time": "2023-11-14 22:13:20Z",
    }
    assert len(starts) == 1


def test_people_read_lists_as_aligned_tables_without_empty_columns(run: Run, service: ScriptedService) -> None:
    service.answer("ListCharges", pb.ListChargesResponse(charges=[CHARGE, types.Charge(charge_id="chg_22")]))

    ran = run("charges", "list", "--customer", "cus_1")

    header, first, second = ran.out.splitlines()
    assert header.split("  ")[0] == "CHARGE"
    assert first.index("succeeded") == header.index("STATE")
    assert first.index("9007199254740993 USD") == header.index("AMOUNT (MINOR)")
    assert second.startswith("chg_22  unspecified")
    assert "DECLINE" not in header
    assert [sent.platform_customer_id for sent in service.requests("ListCharges")] == ["cus_1"]


def test_an_empty_list_says_so(run: Run, service: ScriptedService) -> None:
    service.answer("ListClones", pb.ListClonesResponse())

    assert run("clones", "list").out == "(none)\n"
    assert run("clones", "list", "--json").out == ""


def test_programs_read_lists_as_json_lines_with_integers_as_numbers(run: Run, service: ScriptedService) -> None:
    service.answer("ListCharges", pb.ListChargesResponse(charges=[CHARGE, CHARGE]))

    ran = run("--json", "charges", "list")

    first, second = map(json.loads, ran.out.splitlines())
    assert first == second
    assert first["amount"] == {"minor_units": 2**53 + 1, "currency_code": "USD"}
    assert (first["state"], first["create_time"], first["metadata"]) == ("succeeded", None, {})


def test_programs_read_one_document_with_the_same_keys_each_time(run: Run, service: ScriptedService) -> None:
    service.answer("CloneAndCharge", pb.CloneAndChargeResponse(), pb.CloneAndChargeResponse(clone=CLONE, charge=CHARGE))
    argv = ("clone-and-charge", "--customer", "cus_1", "--account", "acct_1", *MONEY, "--json", "--request-id", KEY)

    empty, full = json.loads(run(*argv).out), json.loads(run(*argv).out)

    assert list(full) == ["clone", "charge", "reused", "request_id", "replayed"]
    assert list(empty["clone"]) == list(full["clone"])
    assert full["clone"]["create_time"] == "2023-11-14T22:13:20Z"
    assert full["request_id"] == KEY


@pytest.mark.parametrize(
    ("argv", "response", "fields"),
    [
        (
            ("save", "pm_1", "--customer", "cus_1", "--set-default"),
            pb.SavePaymentMethodResponse,
            {"platform_payment_method_id": "pm_1", "platform_customer_id": "cus_1", "set_default": True},
        ),
        (
            ("save", "tok_1", "--new-customer", "--email", "j@example.com", "--reference", "u-1"),
            pb.SavePaymentMethodResponse,
            {"new_customer": pb.NewCustomer(email="j@example.com", external_reference="u-1")},
        ),
        (
            ("payment-methods", "list", "--customer", "cus_1"),
            pb.ListPlatformPaymentMethodsResponse,
            {"platform_customer_id": "cus_1", "page_size": 101},
        ),
        (
            ("clone", "--customer", "cus_1", "--account", "acct_1", "--attach"),
            pb.ClonePaymentMethodResponse,
            {"attach": pb.AttachOptions(), "flow": types.CLONE_FLOW_UNSPECIFIED},
        ),
        (("charge", "--clone", "cln_1", *MONEY), pb.CreateChargeResponse, {"clone_id": "cln_1"}),
        (
            ("clones", "list", "--account", "acct_1", "--state", "active", "--state", "stale"),
            pb.ListClonesResponse,
            {"connected_account_id": "acct_1", "states": [types.Clone.STATE_ACTIVE, types.Clone.STATE_STALE]},
        ),
        (("clones", "attach", "cln_1"), pb.AttachCloneResponse, {"clone_id": "cln_1"}),
        (("charges", "get", "chg_1", "--refresh"), pb.GetChargeResponse, {"charge_id": "chg_1", "refresh": True}),
        (("lookup", KEY), pb.LookupRequestResponse, {"request_id": KEY}),
    ],
)
def test_each_command_reaches_its_rpc(
    run: Run, service: ScriptedService, argv: tuple[str, ...], response: type[Message], fields: dict[str, Any]
) -> None:
    method = response.DESCRIPTOR.name.removesuffix("Response")
    service.answer(method, response())

    ran = run(*argv)

    (sent,) = service.requests(method)
    assert (ran.status, ran.err) == (0, "")
    assert {name: getattr(sent, name) for name in fields} == fields


def test_a_request_id_is_made_when_none_is_given_and_told(run: Run, service: ScriptedService) -> None:
    service.answer("CreateCharge", pb.CreateChargeResponse(charge=CHARGE))

    told = json.loads(run("charge", "--clone", "cln_1", *MONEY, "--json").out)["request_id"]

    assert [sent.request_id for sent in service.requests("CreateCharge")] == [told]
    assert uuid.UUID(told).version == 4


def test_a_long_list_stops_at_the_limit_and_says_that_there_is_more(run: Run, service: ScriptedService) -> None:
    page = pb.ListClonesResponse(clones=[CLONE, CLONE], next_page_token="more")
    service.answer("ListClones", page, page, pb.ListClonesResponse(clones=[CLONE]))

    short = run("clones", "list", "--limit", "3", "--json")

    assert len(short.out.splitlines()) == 3
    assert short.err == "there are more than 3: give a larger --limit\n"
    assert len(service.received) == 2


DECLINE = refusal(
    StatusCode.FAILED_PRECONDITION,
    "CARD_DECLINED",
    "Your card was declined.",
    metadata={"decline_code": "lost_card"},
    details=[errors_pb2.ChargeFailure(charge=types.Charge(charge_id="chg_1"))],
)
VIOLATION = error_details_pb2.BadRequest.FieldViolation(field="clone_id", description="starts with cln_")


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [
        (DECLINE, 3, ["error: CARD_DECLINED: Your card was declined. [decline_code=lost_card]", "chg_1"]),
        (refusal(StatusCode.FAILED_PRECONDITION, "AUTHENTICATION_REQUIRED"), 3, ["error: AUTHENTICATION_REQUIRED"]),
        (refusal(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", "No such clone: cln_1"), 4, ["No such clone: cln_1"]),
        (
            refusal(
                StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
                details=[error_details_pb2.BadRequest(field_violations=[VIOLATION])],
            ),
            2,
            ["error: INVALID_REQUEST", "hint: clone_id: starts with cln_"],
        ),
        (refusal(StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT"), 5, [f"--request-id {KEY}", f"lookup {KEY}"]),
        (refusal(StatusCode.DEADLINE_EXCEEDED), 5, ["error: DEADLINE_EXCEEDED", f"--request-id {KEY}"]),
        (refusal(StatusCode.FAILED_PRECONDITION, "CLONE_NOT_USABLE"), 6, ["error: CLONE_NOT_USABLE"]),
        (refusal(StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"), 6, ["error: REQUEST_ID_REUSED"]),
        (refusal(StatusCode.INTERNAL, "INTERNAL", metadata={"error_id": "e-1"}), 1, ["[error_id=e-1]"]),
        (refusal(StatusCode.UNIMPLEMENTED), 1, ["error: UNIMPLEMENTED"]),
    ],
)
def test_failures_are_one_clear_line_with_a_status_of_their_own(
    run: Run, service: ScriptedService, reply: Reply, status: int, said: list[str]
) -> None:
    service.answer("CreateCharge", reply)

    ran = run("charge", "--clone", "cln_1", *MONEY, "--request-id", KEY)

    assert (ran.status, ran.out) == (status, "")
    assert ran.err.startswith("error: ")
    assert f"request_id: {KEY}" in ran.err.splitlines()
    assert [text for text in said if text not in ran.err] == []
    assert "Traceback" not in ran.err


def test_failures_are_json_for_programs(run: Run, service: ScriptedService) -> None:
    service.answer("CreateCharge", DECLINE)

    ran = run("charge", "--clone", "cln_1", *MONEY, "--request-id", KEY, "--json")

    error = json.loads(ran.err)["error"]
    assert (ran.status, ran.out) == (3, "")
    assert (error["reason"], error["request_id"]) == ("CARD_DECLINED", KEY)
    assert (error["decline"]["decline_code"], error["charge"]["charge_id"]) == ("lost_card", "chg_1")


def test_a_charge_that_waits_for_the_shopper_has_a_status_and_hides_its_secret(
    run: Run, service: ScriptedService
) -> None:
    waiting = types.Charge(charge_id="chg_1", state=types.Charge.STATE_REQUIRES_ACTION)
    waiting.next_action.CopyFrom(types.NextAction(type="use_stripe_sdk", client_secret="pi_1_secret_x"))
    service.answer("CreateCharge", pb.CreateChargeResponse(charge=waiting))
    argv = ("charge", "--clone", "cln_1", *MONEY)

    plain, as_json = run(*argv), run(*argv, "--json")
    shown, shown_json = run(*argv, "--show-secrets"), run(*argv, "--json", "--show-secrets")

    assert [ran.status for ran in (plain, as_json, shown, shown_json)] == [7] * 4
    assert "hint: the shopper must authenticate" in plain.err
    assert "secret_x" not in plain.out + as_json.out
    assert "secret_x" in shown.out
    assert json.loads(shown_json.out)["charge"]["next_action"]["client_secret"] == "pi_1_secret_x"


def test_a_charge_whose_outcome_is_unknown_is_open(run: Run, service: ScriptedService) -> None:
    lost = types.Charge(charge_id="chg_1", state=types.Charge.STATE_INDETERMINATE)
    service.answer("GetCharge", pb.GetChargeResponse(charge=lost))

    assert run("charges", "get", "chg_1").status == 0  # reading it is done
    service.answer("CreateCharge", pb.CreateChargeResponse(charge=lost))
    assert run("charge", "--clone", "cln_1", *MONEY).status == 5


def test_lookup_shows_the_stored_refusal_and_succeeds(run: Run, service: ScriptedService) -> None:
    failed = pb.LookupRequestResponse(state=pb.REQUEST_STATE_FAILED, charge_id="chg_1", error=DECLINE.status)
    service.answer("LookupRequest", failed)

    plain, as_json = run("lookup", KEY), run("lookup", KEY, "--json")

    assert (plain.status, "CARD_DECLINED: Your card was declined." in plain.out) == (0, True)
    assert json.loads(as_json.out)["error"]["reason"] == "CARD_DECLINED"


def test_nothing_from_outside_can_steer_the_terminal(run: Run, service: ScriptedService) -> None:
    service.answer("GetClone", refusal(StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", "no \x1b[31mred\nerror: fake"))
    service.answer("GetCharge", pb.GetChargeResponse(charge=types.Charge(charge_id="chg\x1b[2J", metadata={"a": "\r"})))

    failed, shown = run("clones", "get", "cln_1"), run("charges", "get", "chg_1")

    assert failed.err == "error: RESOURCE_NOT_FOUND: no \\x1b[31mred\\nerror: fake\n"
    assert "chg\\x1b[2J" in shown.out
    assert "\r" not in shown.out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "COMMAND"),
        (("charge", "--clone", "cln_1", "--amount", "10.99", "--currency", "usd"), "minor units"),
        (("charge", "--clone", "cln_1"), "--amount"),
        (("charge", "--clone", "cln_1", "--amount", "0", "--currency", "usd"), "0 is no amount"),
        (("charge", "--clone", "cln_1", "--amount", "9" * 20, "--currency", "usd"), "is not between"),
        (("clone", "--customer", "cus_1", "--account", "acct_1", "--metadata", "colour"), "KEY=VALUE"),
        (("clone", "--customer", "cus_1", "--account", "acct_1", "--flow", "magic"), "--flow"),
        (("clones", "list", "--limit", "0"), "--limit"),
        (("clones", "list", "--timeout", "soon"), "seconds"),
        (("clones", "list", "--insecure", "--tls-ca", "f"), "not allowed with"),
        (("clones", "list", "--tls-ca", "no/such/file.pem"), "cannot read the certificates"),
        (("save", "pm_1"), "--new-customer"),
        (("save", "pm_1", "--customer", "cus_1", "--email", "j@example.com"), "--new-customer"),
        (
            ("clone-and-charge", "--customer", "c", "--account", "a", *MONEY, "--one-shot", "--set-default"),
            "--one-shot",
        ),
    ],
)
def test_wrong_usage_is_explained_and_nothing_is_sent(
    run: Run, service: ScriptedService, argv: tuple[str, ...], said: str
) -> None:
    ran = run(*argv)

    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert service.received == []


def test_a_variable_that_cannot_be_read_is_named(run: Run) -> None:
    ran = run("clones", "list", CLONESERVICE_TIMEOUT="soon")

    assert (ran.status, ran.err) == (2, "error: CLONESERVICE_TIMEOUT: not a number of seconds: 'soon'\n")


def test_flags_win_over_the_environment(run: Run, service: ScriptedService) -> None:
    service.answer("ListClones", pb.ListClonesResponse())

    run("clones", "list", "--timeout", "900", CLONESERVICE_TIMEOUT="5", CLONESERVICE_TOKEN="sesame")
    away = run("clones", "list", "--target", "127.0.0.1:1", "--timeout", "1")

    (received,) = service.received
    assert 500 < received.time_remaining_s <= 990
    assert received.metadata["authorization"] == "Bearer sesame"
    assert away.status == 5
    assert "hint: is the service at 127.0.0.1:1, and does it speak plain text?" in away.err


def test_every_command_has_a_function_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    words = [command.split() for command in COMMANDS]

    for command in words:
        with pytest.raises(SystemExit) as left:
            parser(COMMANDS).parse_args([*command, "--help"])
        assert left.value.code == 0
        assert " ".join(command) in capsys.readouterr().out


def test_the_exit_statuses_are_documented_in_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"], {})

    out = capsys.readouterr().out
    assert [f"\n  {status}  " in out for status in (0, 1, 2, 3, 4, 5, 6, 7, 130)] == [True] * 9


def command(target: str, *argv: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    environ = {**os.environ, "PYTHONPATH": str(CLIENT), "CLONESERVICE_TARGET": target}
    argv = (sys.executable, "-m", "cloneservice", *argv)
    return subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupted(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, and wait until it is done."""
    process.send_signal(signal.SIGINT)
    process.wait()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs started here hear Ctrl-C, also where this one was started in the background and does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_says_with_which_request_id_to_go_on(service: ScriptedService) -> None:
    with serving(service) as target:
        process = command(target, "charge", "--clone", "cln_1", *MONEY)
        interrupt = Reply((pb.CreateChargeResponse(),), before=lambda: interrupted(process))
        service.answer("CreateCharge", interrupt)
        out, err = process.communicate(timeout=60)

    (sent,) = service.requests("CreateCharge")
    assert (process.returncode, out) == (130, "")
    assert err == (
        f"interrupted; the service may go on: run the same command with --request-id {sent.request_id},"
        f" or lookup {sent.request_id}\n"
    )


def test_a_reader_that_leaves_early_is_no_traceback(service: ScriptedService) -> None:
    service.answer("ListClones", pb.ListClonesResponse(clones=[CLONE] * 100))
    with serving(service) as target:
        process = command(target, "clones", "list", "--json")
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.stderr.close()
        process.wait(timeout=60)

    assert err == ""


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://127.0.0.1:50051/", "HOST:PORT without http://: --target 127.0.0.1:50051"),
        ("clones.internal", "'clones.internal' has no port: --target clones.internal:50051"),
        ("[::1]", "'[::1]' has no port: --target [::1]:50051"),
    ],
)
def test_a_target_that_is_no_address_is_told_with_one_that_is(run: Run, target: str, says: str) -> None:
    ran = run("lookup", KEY, CLONESERVICE_TARGET=target)

    assert (ran.status, says in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("token", ["cst_\u00e4", "cst_1\ncst_2"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(run: Run, token: str) -> None:
    ran = run("lookup", KEY, CLONESERVICE_TOKEN=token)

    assert (ran.status, "CLONESERVICE_TOKEN" in ran.err, "cst_1" in ran.err) == (2, True, False)


def test_a_line_end_behind_a_token_does_no_harm(run: Run, service: ScriptedService) -> None:
    service.answer("LookupRequest", pb.LookupRequestResponse(state=pb.REQUEST_STATE_SUCCEEDED))

    assert run("lookup", KEY, CLONESERVICE_TOKEN="cst_1\n").status == 0


def test_a_file_without_certificates_is_told_before_it_is_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN PRIVATE KEY-----\n", encoding="ascii")
    ran = run("--tls-ca", str(tmp_path / "ca.pem"), "lookup", KEY)

    assert (ran.status, "holds no PEM certificates" in ran.err, len(ran.err.splitlines())) == (2, True, 1)


def test_plain_text_is_told_to_whoever_asks_for_tls(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority("somebody").pem)
    ran = run("--tls-ca", str(tmp_path / "ca.pem"), "--timeout", "10", "lookup", KEY)

    assert (ran.status, "speaks plain text: leave out --tls-ca" in ran.err) == (5, True), ran.err


def test_a_request_id_that_was_never_seen_is_said_to_have_done_nothing(run: Run, service: ScriptedService) -> None:
    service.answer("LookupRequest", pb.LookupRequestResponse(state=pb.REQUEST_STATE_UNKNOWN))
    ran = run("lookup", KEY)

    assert (ran.status, ran.err) == (0, "hint: the service never got this request_id: nothing was done under it\n")


def test_what_the_message_says_is_not_said_again_as_a_hint(run: Run, service: ScriptedService) -> None:
    wrong = error_details_pb2.BadRequest(
        field_violations=[error_details_pb2.BadRequest.FieldViolation(field="a", description="must be b")]
    )
    refused = refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "a: must be b", details=[wrong])
    service.answer("GetCharge", refused)

    assert "hint:" not in run("charges", "get", "chg_1").err


@pytest.mark.parametrize(
    ("reason", "metadata", "says"),
    [
        ("CONNECTED_ACCOUNT_UNAVAILABLE", {}, "hint: is the id mistyped, or did the seller disconnect?"),
        ("RESOURCE_NOT_FOUND", {"stripe_code": "resource_missing"}, "or of the other mode (live or test)"),
        ("CALLER_UNAUTHENTICATED", {}, "hint: set CLONESERVICE_TOKEN"),
    ],
)
def test_likely_causes_of_a_refusal_are_named(
    run: Run, service: ScriptedService, reason: str, metadata: dict[str, str], says: str
) -> None:
    service.answer("GetCharge", refusal(StatusCode.FAILED_PRECONDITION, reason, metadata=metadata))

    assert says in run("charges", "get", "chg_1").err
