"""Page tokens: where a list goes on, signed so that nobody makes one up, and tied to the list's filter.

A token grants nothing: it only says after which row to continue. Replicas that share the signing key take each
other's tokens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from cloneservice_server.domain import codec
from cloneservice_server.domain.errors import invalid

PAGE_SIZE = 50
PAGE_SIZE_MAX = 200
_MAC_BYTES = 16


def page_size(asked: int) -> int:
    """How many rows to answer: 0 means 50, more than 200 means 200. Negative sizes were refused before."""
    return min(asked or PAGE_SIZE, PAGE_SIZE_MAX)


class PageTokens:
    """Makes and reads the opaque tokens of every list."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, rpc: str, where: object, time_us: int, row_id: str) -> str:
        """The token to continue `rpc` with filter `where` after the row (`time_us`, `row_id`)."""
        position = json.dumps([time_us, row_id, _digest(rpc, where)], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(position) + position).decode().rstrip("=")

    def read(self, rpc: str, where: object, token: str) -> tuple[int, str]:
        """(time_us, row_id) to continue after; (0, "") for the empty token.

        Raises InvalidRequest when the token is not ours, or was made for another list or filter.
        """
        if not token:
            return 0, ""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error) as wrong:
            raise invalid("page_token", "is not a token of this service") from wrong
        mac, position = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(position)):
            raise invalid("page_token", "is not a token of this service")
        time_us, row_id, digest = json.loads(position)
        if digest != _digest(rpc, where):
            raise invalid("page_token", "belongs to another filter; begin again without it")
        return int(time_us), str(row_id)

    def _mac(self, position: bytes) -> bytes:
        return hmac.new(self._key, position, hashlib.sha256).digest()[:_MAC_BYTES]


def _digest(rpc: str, where: object) -> str:
    return hashlib.sha256(f"{rpc}\n{codec.dumps(where)}".encode()).hexdigest()[:16]
