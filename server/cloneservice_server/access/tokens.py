"""Bearer tokens, kept as hashes: one line `NAME sha256:HEX` each, `#` begins a comment.

A token is 32 random bytes, so a plain sha256 is enough at rest: there is nothing to guess a dictionary against, and a
slow hash on every call would be a way to keep the server busy. A name may have several lines, so that tokens rotate.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

PREFIX = "cst_"
"""What every token begins with, so that scanners and people know one when they see it."""
_ADVICE = "make one with `cloneservice-server token NAME`"
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,63})\s+sha256:(?P<digest>[0-9a-f]{64})")


class TokenFileError(ValueError):
    """The file cannot be used; says which line. Never repeats the line, which might hold a token."""


class Tokens:
    """The tokens of one file."""

    def __init__(self, digests: list[tuple[str, bytes]]) -> None:
        self._digests = digests

    def __len__(self) -> int:
        return len(self._digests)

    def name_of(self, token: str) -> str:
        """Whose token it is; "" for nobody's. Takes the same time wherever, and whether, it is found."""
        digest, found = _digest(token), ""
        for name, known in self._digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found


def parse(raw: bytes) -> Tokens:
    """The tokens of a file. Raises TokenFileError."""
    digests = []
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise TokenFileError("is not a text file") from None
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise TokenFileError(f"line {number} is not `NAME sha256:HEX`; {_ADVICE}")
        digests.append((found["name"], bytes.fromhex(found["digest"])))
    if not digests:
        raise TokenFileError(f"holds no token; {_ADVICE}")
    return Tokens(digests)


def new_token(name: str) -> tuple[str, str]:
    """(a new token, its line for the file). Raises ValueError for a name that a line cannot hold."""
    token = f"{PREFIX}{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{_digest(token).hex()}"
    if _LINE.fullmatch(line) is None:
        raise ValueError(f"a name has 1 to 64 letters, digits, '.', '_' or '-', not {name!r}")
    return token, line


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
