"""What a policy allows, and how it is refused itself when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cloneservice_server.access.policy import Amount, PolicyError, parse
from cloneservice_server.access.watched import Watched

RPCS = ("CloneAndCharge", "GetCharge", "EraseCustomer")
POLICY = """
version: 1
callers:
  checkout:
    identities: ["spiffe://shop.test/web", "token:checkout"]
    rpcs: [CloneAndCharge, GetCharge]
    accounts: [acct_1, acct_2]
    max_amount: {USD: 5000, JPY: 0}
    former_names: [old-checkout]
  operator:
    identities: ["dns:ops.test"]
    rpcs: "*"
    accounts: "*"
    max_amount: unlimited
  reader:
    identities: ["token:reader"]
    rpcs: [GetCharge]
    accounts: "*"
"""


def rule(identity: str) -> Any:
    found = parse(POLICY.encode(), RPCS).rule_for([identity])
    assert found is not None
    return found


def why_not(identity: str, rpc: Any, accounts: Any = (), amounts: Any = (), *, everywhere: bool = False) -> str:
    found: str = rule(identity).why_not(rpc, accounts, amounts, everywhere=everywhere)
    return found


def usd(minor_units: int) -> Any:
    return [Amount(minor_units, "USD")]


def test_nobody_unnamed_has_a_rule() -> None:
    assert parse(POLICY.encode(), RPCS).rule_for(["spiffe://shop.test/other", "token:checkout2"]) is None


def test_what_the_policy_names_is_allowed() -> None:
    assert why_not("token:checkout", "CloneAndCharge", ["acct_1", "acct_2"], usd(5000)) == ""


def test_what_it_does_not_name_is_denied() -> None:
    assert [
        why_not("token:checkout", "EraseCustomer"),
        why_not("token:checkout", "CloneAndCharge", ["acct_1", "acct_3"]),
        why_not("token:checkout", "CloneAndCharge", ["acct_1"], usd(5001)),
        why_not("token:checkout", "CloneAndCharge", ["acct_1"], [Amount(1, "EUR")]),
        why_not("token:checkout", "CloneAndCharge", ["acct_1"], [Amount(1, "JPY")]),
        why_not("token:checkout", "GetCharge", everywhere=True),
    ] == [
        "may not call EraseCustomer",
        "may not act on connected account acct_3",
        "may charge at most 5000 USD (minor units)",
        "may not charge in EUR",
        "may charge at most 0 JPY (minor units)",
        "may not call GetCharge without naming a connected account: it is limited to some accounts",
    ]


def test_each_of_several_amounts_counts() -> None:
    assert why_not("token:checkout", "CloneAndCharge", ["acct_1"], [*usd(1), *usd(5001)]) != ""


def test_a_rule_without_max_amount_moves_no_money() -> None:
    assert why_not("token:reader", "GetCharge", [], usd(1)) == "may not charge in USD"


def test_an_operator_may_do_all() -> None:
    assert why_not("dns:ops.test", "EraseCustomer", ["acct_9"], usd(10**8), everywhere=True) == ""


def test_what_is_not_shaped_like_an_account_is_not_repeated() -> None:
    assert "4242" not in why_not("token:checkout", "CloneAndCharge", ["4242424242424242"])


def test_a_renamed_caller_finds_its_requests() -> None:
    caller = rule("token:checkout").caller

    assert [caller.owns(name) for name in ("checkout", "old-checkout", "token:checkout", "", "operator")] == [
        True,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must begin with `version: 1`"),
        ("[", "is not YAML"),
        ("version: 2\ncallers: {}", "must begin with `version: 1`"),
        ("version: 1", "callers: must map"),
        ("version: 1\ncallers: {}\nextra: 1", "extra: is not a part of a policy"),
        ("version: 1\ncallers: {a: 1}", "callers.a: must be a mapping"),
        ("version: 1\ncallers: {a: {}}", 'callers.a.accounts: is missing; give a list, or "*" for all'),
        ("version: 1\ncallers: {a: {acounts: []}}", "callers.a.acounts: is not known; did you mean accounts?"),
        ("version: 1\ncallers: {a: {rpcs: [CloneAndChrage]}}", "did you mean CloneAndCharge?"),
        ("version: 1\ncallers: {a: {accounts: [cus_1]}}", "callers.a.accounts[0]: 'cus_1' is no connected account"),
        ("version: 1\ncallers: {a: {identities: [web]}}", "callers.a.identities[0]: 'web' is no identity"),
        ("version: 1\ncallers: {a: {max_amount: {USD: 10.99}}}", "must be a whole number of minor units"),
        ("version: 1\ncallers: {a: {max_amount: {usd: 1}}}", "'usd' is not an ISO 4217 code in upper case"),
        ("version: 1\ncallers: {a: {max_amount: 100}}", "must map currencies to minor units"),
        ("version: 1\ncallers: {a: {requests_per_second: -1}}", "must be a whole number"),
        ("version: 1\ncallers: {'a b': {}}", "callers.a b: a name has"),
        ("version: 1\ncallers: {a: {rpcs: []}, a: {rpcs: '*'}}", "'a' is given twice"),
    ],
)
def test_a_wrong_policy_says_where_and_what_to_do(text: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text.encode(), RPCS)

    assert told in str(caught.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        parse(b"version: 1\ncallers: {a: {rpcs: [X], accounts: [y], identities: [z]}}", RPCS)

    assert len(caught.value.problems) == 3


def test_an_identity_belongs_to_one_caller() -> None:
    body = "{identities: ['token:x'], rpcs: '*', accounts: '*'}"

    with pytest.raises(PolicyError, match="'token:x' is a's already"):
        parse(f"version: 1\ncallers: {{a: {body}, b: {body}}}".encode(), RPCS)


def test_a_former_name_is_not_in_use() -> None:
    one, two = (
        "{identities: [], rpcs: '*', accounts: '*'}",
        "{identities: [], rpcs: '*', accounts: '*', former_names: [a]}",
    )

    with pytest.raises(PolicyError, match="another caller's name now"):
        parse(f"version: 1\ncallers: {{a: {one}, b: {two}}}".encode(), RPCS)


# ------------------------------------------------------------------------------------------------- files that change


def replaced(path: Path, text: str) -> None:
    """As Kubernetes and editors do it: a new file in the old one's place."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    watched = Watched((path,), int)
    seen = [watched.current()]
    replaced(path, "22")

    assert [*seen, watched.current(), watched.current()] == [1, 22, 22]


def test_a_changed_file_that_is_wrong_leaves_the_last_good_one_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    watched = Watched((path,), int)
    replaced(path, "one")
    seen = [watched.current(), watched.current()]
    path.unlink()
    seen.append(watched.current())

    assert (seen, watched.failures) == ([1, 1, 1], 2)
    assert len(caplog.records) == 2  # once for each change, not for each look

    replaced(path, "2")

    assert (watched.current(), watched.failures) == (2, 0)


def test_a_file_that_is_wrong_from_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Watched((tmp_path / "none",), int)
