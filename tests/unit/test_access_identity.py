"""Who a caller is taken for: by certificate, by a trusted proxy's word, by token; and what is not believed."""

from __future__ import annotations

from typing import Any

import pytest
from cloneservice_server.access import tokens
from cloneservice_server.access.identity import LOOPBACK, Peer, identities_of, peer_of
from cloneservice_server.domain.errors import CallerUnauthenticated

PROXY = "spiffe://shop.test/envoy"
WEB = "spiffe://shop.test/web"
ADDRESS = "ipv4:10.0.0.1:999"


def identify(peer: Any, xfcc: Any = "", *, trusted: Any = (PROXY,)) -> Any:
    metadata = {"x-forwarded-client-cert": xfcc} if xfcc else {}
    return identities_of(peer, metadata, trusted_proxies=frozenset(trusted), tokens=None)


def test_a_certificate_names_its_uris_before_its_dns_names() -> None:
    peer = peer_of(ADDRESS, {"peer_dns": [b"web.test"], "peer_uri": [WEB.encode()]})

    assert identify(peer) == (WEB, "dns:web.test")


def test_a_plain_connection_names_nobody() -> None:
    assert identify(peer_of(ADDRESS, {})) == ()


def test_a_trusted_proxy_names_who_is_behind_it() -> None:
    xfcc = f'By={PROXY};Hash=ab;Subject="CN=web,O=shop";URI={WEB};DNS=web.test'

    assert identify(Peer(ADDRESS, (PROXY,)), xfcc) == (WEB, "dns:web.test")


@pytest.mark.parametrize("peer", [Peer(ADDRESS), Peer(ADDRESS, (WEB,)), Peer(ADDRESS, (), ("envoy",))])
def test_nobody_else_is_believed_about_others(peer: Peer) -> None:
    assert "spiffe://shop.test/admin" not in identify(peer, "URI=spiffe://shop.test/admin")


def test_a_trusted_proxy_that_names_nobody_is_nobody() -> None:
    assert identify(Peer(ADDRESS, (PROXY,))) == ()


def test_what_the_caller_wrote_before_the_proxys_own_element_is_hearsay() -> None:
    assert identify(Peer(ADDRESS, (PROXY,)), f"URI=spiffe://shop.test/admin,URI={WEB}") == (WEB,)


def test_a_chain_of_trusted_proxies_is_followed_to_its_outer_end() -> None:
    assert identify(Peer(ADDRESS, (PROXY,)), f"URI=spiffe://evil.test/x,URI={WEB},By=x;URI={PROXY}") == (WEB,)


def test_quotes_hide_separators() -> None:
    xfcc = 'Subject="CN=a,URI=spiffe://shop.test/admin;DNS=x\\",URI=y";DNS=web.test'

    assert identify(Peer(ADDRESS, (PROXY,)), xfcc) == ("dns:web.test",)


@pytest.mark.parametrize("xfcc", [",", ";", "URI=", '"', 'URI="', "=;=,", "URI", 'DNS=""', "\\"])
def test_a_mangled_header_names_nobody_and_breaks_nothing(xfcc: str) -> None:
    assert [name for name in identify(Peer(ADDRESS, (PROXY,)), xfcc) if not name.startswith('"')] == []


@pytest.mark.parametrize(
    ("address", "believed"),
    [("ipv4:127.0.0.6:1", True), ("ipv6:%5B::1%5D:1", True), ("unix:/run/x", True), (ADDRESS, False)],
)
def test_a_sidecar_is_believed_where_it_is_said_to_be_one(address: str, believed: bool) -> None:
    assert (identify(Peer(address), f"URI={WEB}", trusted=[LOOPBACK]) == (WEB,)) is believed
    assert identify(Peer(address), f"URI={WEB}", trusted=[]) == ()


# ------------------------------------------------------------------------------------------------------------ tokens


def by_token(authorization: str, file: str) -> Any:
    return identities_of(
        Peer(ADDRESS, (WEB,)),
        {"authorization": authorization},
        trusted_proxies=frozenset(),
        tokens=tokens.parse(file.encode()),
    )


def test_a_token_names_its_bearer_after_the_certificate() -> None:
    token, line = tokens.new_token("checkout")

    assert by_token(f"Bearer {token}", line) == (WEB, "token:checkout")


def test_a_name_may_have_two_tokens_while_they_rotate() -> None:
    (old, old_line), (new, new_line) = tokens.new_token("checkout"), tokens.new_token("checkout")
    file = f"# rotated\n{old_line}\n{new_line}  # the new one\n"

    assert {by_token(f"bearer {old}", file), by_token(f"BEARER {new}", file)} == {(WEB, "token:checkout")}


@pytest.mark.parametrize("authorization", ["Bearer cst_wrong", "Bearer ", "Basic abc", "cst_wrong", "Bearer \ud800"])
def test_a_wrong_credential_is_refused_even_beside_a_good_certificate(authorization: str) -> None:
    with pytest.raises(CallerUnauthenticated):
        by_token(authorization, tokens.new_token("checkout")[1])


def test_the_file_holds_no_token() -> None:
    token, line = tokens.new_token("checkout")

    assert token.startswith("cst_")
    assert token.removeprefix("cst_") not in line


@pytest.mark.parametrize(
    "file", ["", "# only words", "checkout cst_secret", "checkout sha256:12", "a b sha256:" + "0" * 64]
)
def test_a_bad_token_file_is_refused_without_repeating_it(file: str) -> None:
    with pytest.raises(tokens.TokenFileError) as caught:
        tokens.parse(file.encode())

    assert "cst_secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65])
def test_a_name_that_a_line_cannot_hold_gets_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        tokens.new_token(name)
