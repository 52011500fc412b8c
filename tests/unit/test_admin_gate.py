"""Who may see the admin page: from where, with which token, and how often a wrong one may be tried."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cloneservice_server.access.tokens import Tokens, parse
from cloneservice_server.pages.gate import FAILURES_MAX, FAILURES_WITHIN_S, Admitted, Gate, TurnedAway, is_loopback

from tests.admin_site import basic
from tests.virtual_clock import VirtualClock

TOKEN, OTHER = "cst_" + "a" * 43, "cst_" + "b" * 43
LINE, OTHER_LINE = (
    f"{name} sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    for name, token in (("oncall", TOKEN), ("audit", OTHER))
)
HERE = "127.0.0.1"


def gate(clock: VirtualClock | None = None, lines: str = f"{LINE}\n{OTHER_LINE}") -> Gate:
    tokens = parse(lines.encode())
    return Gate(lambda: tokens, (clock or VirtualClock()).monotonic_s)


def status(decided: Admitted | TurnedAway) -> int:
    return decided.status if isinstance(decided, TurnedAway) else 200


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (basic("oncall", TOKEN), "oncall"),
        (basic("", TOKEN), "oncall"),
        (basic("audit", OTHER), "audit"),
        (f"Bearer {TOKEN}", "oncall"),
        (f"bearer {OTHER}", "audit"),
    ],
)
def test_a_token_opens_as_password_or_bearer(authorization: str, name: str) -> None:
    assert gate().decide(HERE, authorization) == Admitted(name)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        basic("oncall", OTHER),
        basic("oncall", ""),
        basic("oncall", TOKEN[:-1]),
        basic(TOKEN, "oncall"),
        f"Bearer {LINE.split(':')[1]}",
        f"Digest {TOKEN}",
        TOKEN,
        "Basic ä",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic",
        "Bearer",
    ],
)
def test_anything_else_opens_nothing(authorization: str) -> None:
    assert status(gate().decide(HERE, authorization)) == 401


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.6", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known_by_its_addresses(peer: str) -> None:
    assert is_loopback(peer)


@pytest.mark.parametrize(
    "peer", ["10.0.0.7", "0.0.0.0", "192.168.1.1", "::ffff:10.0.0.7", "fe80::1%eth0", "", "localhost"]
)
def test_from_elsewhere_no_token_opens_and_none_is_read(peer: str) -> None:
    door = gate()

    assert [status(door.decide(peer, basic("oncall", TOKEN))) for _ in range(FAILURES_MAX + 2)] == [403] * 12


def test_after_too_many_wrong_tokens_none_is_read_until_they_have_passed() -> None:
    clock = VirtualClock()
    door = gate(clock)
    wrong = [status(door.decide(HERE, basic("oncall", f"cst_{n}"))) for n in range(FAILURES_MAX)]
    closed = door.decide(HERE, basic("oncall", TOKEN))

    assert wrong == [401] * FAILURES_MAX
    assert isinstance(closed, TurnedAway)
    assert (closed.status, closed.retry_after_s) == (429, 60)
    clock.advance(FAILURES_WITHIN_S)
    assert door.decide(HERE, basic("oncall", TOKEN)) == Admitted("oncall")


def test_slow_guesses_and_asking_without_a_token_close_nothing() -> None:
    clock = VirtualClock()
    door = gate(clock)
    for _ in range(3 * FAILURES_MAX):
        door.decide(HERE, "")
        assert status(door.decide(HERE, basic("oncall", "cst_wrong"))) == 401
        clock.advance(FAILURES_WITHIN_S / (FAILURES_MAX - 1))

    assert door.decide(HERE, basic("oncall", TOKEN)) == Admitted("oncall")


def test_a_token_taken_out_of_its_file_is_out_at_once() -> None:
    tokens: list[Tokens] = [parse(LINE.encode())]
    door = Gate(lambda: tokens[-1], VirtualClock().monotonic_s)
    before = door.decide(HERE, basic("oncall", TOKEN))
    tokens.append(parse(OTHER_LINE.encode()))

    assert (status(before), status(door.decide(HERE, basic("oncall", TOKEN)))) == (200, 401)
