"""Who may see the page: somebody on this machine, or at the end of a tunnel to it, with a token of the page's own."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cloneservice_server.access.tokens import Tokens

FAILURES_MAX = 10
FAILURES_WITHIN_S = 60.0
"""After so many wrong tokens in so many seconds nobody is let in until they have passed: no token is read any more.

A token cannot be guessed anyway. This bounds what guessing costs us, and what it writes into the log."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who it is: the name beside the token."""

    name: str


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """An HTTP status, why in words, and after how many seconds to come again (0 for not at all)."""

    status: int
    why: str
    retry_after_s: int = 0


class Gate:
    """Decides on each request anew. `tokens` is asked each time, so that a token taken out of its file is out."""

    def __init__(self, tokens: Callable[[], Tokens], monotonic_s: Callable[[], float]) -> None:
        self._tokens = tokens
        self._monotonic_s = monotonic_s
        self._failures: deque[float] = deque(maxlen=FAILURES_MAX)

    def decide(self, peer: str, authorization: str) -> Admitted | TurnedAway:
        """Of a request from the address `peer`, with its Authorization header."""
        if not is_loopback(peer):
            return TurnedAway(
                403,
                "This page is not encrypted, so it answers connections from this machine only. Come through a tunnel: "
                "kubectl port-forward, or ssh -L.",
            )
        if wait_s := self._closed_for_s():
            return TurnedAway(429, "Too many wrong tokens; wait a little.", wait_s)
        if not authorization:
            return TurnedAway(401, "Sign in with the name of a token as user and the token as password.")
        user, token = credentials_in(authorization)
        name = self._tokens().name_of(token)
        if not name or not hmac.compare_digest((user or name).encode(), name.encode()):
            self._failures.append(self._monotonic_s())
            return TurnedAway(401, "The page has no such token.")
        return Admitted(name)

    def _closed_for_s(self) -> int:
        if len(self._failures) < FAILURES_MAX:
            return 0
        return max(0, math.ceil(self._failures[0] + FAILURES_WITHIN_S - self._monotonic_s()))


def is_loopback(peer: str) -> bool:
    """Whether an address is this machine's own; False for anything that is no address."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def credentials_in(authorization: str) -> tuple[str, str]:
    """(user, token) of HTTP Basic, whose password is the token, or of Bearer, without a user; two "" of neither."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return "", rest.strip()
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, token = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:  # no base64, or no text in it
        return "", ""
    return user, token
