"""Ids of our own, and the derivation of everything that must come out the same after a crash.

A clone's and a charge's id are derived from the effect that makes them, so that a request whose ledger row was lost
(an asynchronous fail-over, a restored backup) rebuilds the very same Stripe parameters under the same idempotency key.
"""

from __future__ import annotations

import hashlib
import re
import uuid

_NAMESPACE = uuid.UUID("8f6c1f0e-7a58-5c39-9d5b-2f1f6f0c6a11")
_REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def derived_id(prefix: str, seed: str) -> str:
    """`prefix` + the UUIDv5 of `seed`: the same seed always gives the same id."""
    return f"{prefix}_{uuid.uuid5(_NAMESPACE, seed)}"


def refund_id_of(name: str) -> str:
    """The id of the refund that the request (or a basket's leg) `name` makes; the same whenever it is asked."""
    return derived_id("rfd", f"refund:{name}")


def basket_id_of(request_id: str) -> str:
    """The id of the basket that `request_id` charges."""
    return derived_id("bsk", f"basket:{request_id}")


def derived_uuid(seed: str) -> str:
    """The UUIDv5 of `seed`, as the request_id of what no caller asked for."""
    return str(uuid.uuid5(_NAMESPACE, seed))


def is_request_id(text: str) -> bool:
    """Whether `text` is a UUID in its canonical form (any version)."""
    return _REQUEST_ID.fullmatch(text) is not None


def idempotency_key(effect_id: str, epoch: int) -> str:
    """Stripe Idempotency-Key of an effect's `epoch`: derived, never random, so a lost row leads to the same key."""
    return "cs_" + hashlib.sha256(f"{effect_id}\n{epoch}".encode()).hexdigest()[:48]
