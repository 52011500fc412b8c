"""Keyed hashes that stand for ids which were erased: who asks for the id finds what is left, nobody can turn back."""

from __future__ import annotations

import hashlib
import hmac


class Pseudonyms:
    """`key` is a secret of the server's: without it a pseudonym cannot even be guessed from a list of all ids."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, identifier: str) -> str:
        """The pseudonym of an id: the same one each time."""
        return "erased_" + hmac.new(self._key, identifier.encode(), hashlib.sha256).hexdigest()[:40]
