"""Who calls: by the certificate of the peer, by what a trusted proxy says of its peer (XFCC), or by a bearer token.

Identities are written `spiffe://...` (or another URI), `dns:NAME` and `token:NAME`. A proxy is believed only when its
own certificate is one of the trusted ones, or, where that is said, when it connects from this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloneservice_server.access.tokens import Tokens
from cloneservice_server.domain.errors import CallerUnauthenticated

LOOPBACK = "loopback"
"""As a trusted proxy: any process of this machine, such as a sidecar that ends TLS for us."""
XFCC = "x-forwarded-client-cert"
AUTHORIZATION = "authorization"
_LOCAL = ("ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D", "unix:")


@dataclass(frozen=True, slots=True)
class Peer:
    """What the transport says of the other end: its address in gRPC's notation, and what its certificate proves."""

    address: str
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()

    @property
    def identities(self) -> tuple[str, ...]:
        """URIs first: they name a workload, where DNS names may name a host."""
        return (*self.uris, *(f"dns:{name}" for name in self.dns_names))


def peer_of(address: str, auth_context: Mapping[str, Sequence[bytes]]) -> Peer:
    """The peer as gRPC's `peer()` and `auth_context()` describe it; only a verified certificate has identities."""
    uris, dns_names = (tuple(map(_text, auth_context.get(key, ()))) for key in ("peer_uri", "peer_dns"))
    return Peer(address, uris, dns_names)


def identities_of(
    peer: Peer, metadata: Mapping[str, str], *, trusted_proxies: frozenset[str], tokens: Tokens | None
) -> tuple[str, ...]:
    """Everything that identifies the caller, the best proof first; empty for a caller that shows nothing.

    Raises CallerUnauthenticated for a credential that is there and wrong: it is never just left aside.
    """
    behind = _is_trusted(peer, trusted_proxies)
    proven = _behind(metadata.get(XFCC, ""), trusted_proxies) if behind else peer.identities
    return (*proven, *_by_token(metadata.get(AUTHORIZATION, ""), tokens))


def _is_trusted(peer: Peer, trusted_proxies: frozenset[str]) -> bool:
    if LOOPBACK in trusted_proxies and peer.address.startswith(_LOCAL):
        return True
    return any(identity in trusted_proxies for identity in peer.identities)


def _by_token(authorization: str, tokens: Tokens | None) -> Iterator[str]:
    if not authorization or tokens is None:
        return
    scheme, _, token = authorization.partition(" ")
    name = tokens.name_of(token.strip()) if scheme.lower() == "bearer" else ""
    if not name:
        raise CallerUnauthenticated("The authorization metadata holds no token that this server knows")
    yield f"token:{name}"


# ------------------------------------------------------------------------------------------------------------- XFCC


def _behind(header: str, trusted_proxies: frozenset[str]) -> tuple[str, ...]:
    """Identities in the last element that no trusted proxy is named in: what the outermost of them saw itself.

    Elements before that one were written by whoever called that proxy, and may say anything.
    """
    for element in reversed(list(_split(header, ","))):
        identities = _element(element)
        if trusted_proxies.isdisjoint(identities):
            return identities
    return ()


def _element(element: str) -> tuple[str, ...]:
    uris, dns_names = [], []
    for pair in _split(element, ";"):
        key, _, value = pair.partition("=")
        name = _unquoted(value)
        if not name:
            continue
        if key.strip().lower() == "uri":
            uris.append(name)
        elif key.strip().lower() == "dns":
            dns_names.append(f"dns:{name}")
    return (*uris, *dns_names)


def _split(text: str, separator: str) -> Iterator[str]:
    """Parts of `text`, not splitting inside double quotes, where a backslash escapes."""
    part, quoted, escaped = "", False, False
    for character in text:
        if escaped or (quoted and character == "\\"):
            escaped = not escaped
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            if part.strip():
                yield part
            part = ""
            continue
        part += character
    if part.strip():
        yield part


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
