"""Idempotency keys: one result per key, account and mode for 24 hours of the world's clock."""

import hashlib
from urllib.parse import parse_qsl

from fake_stripe.errors import IDEMPOTENCY, INVALID_REQUEST, ApiError
from fake_stripe.world import World

LIFETIME = 24 * 3600
"""Seconds for which a key is kept; Stripe may prune keys at least that old."""

MAX_LENGTH = 255
LARGEST_KEPT = 8 * 1024
"""Bytes of a request that are kept to compare another one with; of larger ones, a digest of their parameters."""

_PRUNE_EVERY = 4096


class Record:
    """What is kept under one key: the request's identity and, once it is known, its result.

    Attributes:
        held: the first request is still being answered; whoever comes now gets 409.
        retry: the stored `Stripe-Should-Retry`, if any.
    """

    __slots__ = ("body", "created", "endpoint", "fidelity", "held", "request_id", "response", "retry", "status")

    def __init__(self, endpoint: str, body: bytes, request_id: str, created: int) -> None:
        self.endpoint = endpoint
        self.body = body
        self.request_id = request_id
        self.created = created
        self.held = True
        self.status = 0
        self.response = b""
        self.retry: str | None = None
        self.fidelity = ""

    def finish(self, status: int, response: bytes, retry: str | None, fidelity: str) -> None:
        """Keep the result."""
        self.status = status
        self.response = response
        self.retry = retry
        self.fidelity = fidelity

    def release(self) -> None:
        """The first answer has been sent: from now on the record is replayed."""
        self.held = False


def check_key(key: str) -> None:
    """Refuse an empty key and one of more than 255 characters."""
    if not key.strip():
        raise ApiError(400, INVALID_REQUEST, "Idempotency Key must be a non-empty string.")
    if len(key) > MAX_LENGTH:
        raise ApiError(
            400,
            INVALID_REQUEST,
            f"Idempotency Keys must be at most {MAX_LENGTH} characters long; the one provided has {len(key)}.",
        )


Slot = tuple[str, bool, str]
"""Account, mode and key: what a record is kept under. The same key on another account is another key."""


def find(world: World, slot: Slot, path: str, body: bytes) -> Record | None:
    """The record of an earlier request under this key, or None.

    Raises 409 while that request is being answered, 400 `idempotency_error` when it was another request.
    """
    record = world.idempotency.get(slot)
    if record is None or record.created + LIFETIME <= world.clock.now():
        return None
    key = slot[2]
    if record.held:
        raise in_progress(key)
    if record.endpoint != path:
        raise _reused(f"for the same endpoint they were first used for ('{path}' vs '{record.endpoint}')", key)
    if record.body != body and _parameters(record.body) != _parameters(body):
        raise _reused("with the same parameters they were first used with", key)
    return record


def in_progress(key: str) -> ApiError:
    """409 for a key whose first request is still going through."""
    return ApiError(
        409,
        IDEMPOTENCY,
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted"
        f" twice, and the other request is still going through): {key}. Please try again later.",
        code="idempotency_key_in_use",
    )


def keep(world: World, slot: Slot, record: Record) -> None:
    """Keep the result of a request that has executed, and now and then drop the records that have run out."""
    records = world.idempotency
    records[slot] = record
    if len(records) % _PRUNE_EVERY == 0:
        oldest = world.clock.now() - LIFETIME
        for stale in [name for name, kept in records.items() if kept.created <= oldest]:
            del records[stale]


def _reused(how: str, key: str) -> ApiError:
    return ApiError(
        400,
        IDEMPOTENCY,
        f"Keys for idempotent requests can only be used {how}. Try using a key other than '{key}' if you meant to"
        " execute a different request.",
    )


def digest(pairs: list[tuple[str, str]]) -> bytes:
    """What stands for the parameters of a request that is large, or whose bytes differ each time (multipart)."""
    found = hashlib.sha256()
    for name, value in sorted(pairs):
        for text in (name, value):
            raw = text.encode("utf-8", "surrogatepass")
            found.update(len(raw).to_bytes(8, "big") + raw)
    return found.hexdigest().encode()


def _parameters(body: bytes) -> list[tuple[str, str]]:
    return sorted(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
