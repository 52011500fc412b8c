"""Page tokens continue a list and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cloneservice_server.domain.errors import InvalidRequest
from cloneservice_server.ports import ChargeFilter, CloneFilter
from cloneservice_server.rpc.paging import PageTokens, page_size

TOKENS = PageTokens(b"key")
WHERE = CloneFilter(platform_customer_id="cus_1")


def test_a_token_leads_back_to_its_row() -> None:
    token = TOKENS.make("ListClones", WHERE, 1_700_000_000_000_001, "cln_1")

    assert TOKENS.read("ListClones", WHERE, token) == (1_700_000_000_000_001, "cln_1")


def test_no_token_is_the_beginning() -> None:
    assert TOKENS.read("ListClones", WHERE, "") == (0, "")


def test_replicas_with_the_same_key_take_each_others_tokens() -> None:
    token = TOKENS.make("ListClones", WHERE, 1, "cln_1")

    assert PageTokens(b"key").read("ListClones", WHERE, token) == (1, "cln_1")


def test_a_token_of_another_key_is_refused() -> None:
    token = PageTokens(b"other").make("ListClones", WHERE, 1, "cln_1")

    with pytest.raises(InvalidRequest, match="not a token of this service"):
        TOKENS.read("ListClones", WHERE, token)


@pytest.mark.parametrize(
    "token", ["x", "é", "====", "a" * 400, base64.urlsafe_b64encode(b"[1,2,3]").decode(), "ab\ncd"]
)
def test_a_made_up_token_is_refused(token: Any) -> None:
    with pytest.raises(InvalidRequest, match="page_token"):
        TOKENS.read("ListClones", WHERE, token)


def test_each_changed_character_is_noticed() -> None:
    token = TOKENS.make("ListClones", WHERE, 1, "cln_1")
    changed = [token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(len(token) - 1)]

    for one in changed:
        with pytest.raises(InvalidRequest):
            TOKENS.read("ListClones", WHERE, one)


def test_a_token_is_tied_to_its_filter() -> None:
    token = TOKENS.make("ListClones", WHERE, 1, "cln_1")

    with pytest.raises(InvalidRequest, match="another filter"):
        TOKENS.read("ListClones", CloneFilter(platform_customer_id="cus_2"), token)


def test_a_token_is_tied_to_its_list() -> None:
    token = TOKENS.make("ListClones", CloneFilter(), 1, "cln_1")

    with pytest.raises(InvalidRequest, match="another filter"):
        TOKENS.read("ListCharges", ChargeFilter(), token)


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (200, 200), (201, 200), (2**31 - 1, 200)])
def test_page_sizes_have_a_default_and_a_limit(asked: Any, given: int) -> None:
    assert page_size(asked) == given
