"""What each call was and did: a bounded ring per world, written cheaply, explained when somebody reads it."""

import difflib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from fake_stripe.errors import ApiError
from fake_stripe.http.forms import UploadedFile, decode, is_multipart
from fake_stripe.scope import Change
from fake_stripe.wire import Request

if TYPE_CHECKING:
    from fake_stripe.openapi.catalog import Operation

MOST_BYTES = 64 * 1024
"""Bytes of parameters that are remembered of one call."""

MOST_BYTES_ANSWERED = 16 * 1024
"""Bytes of an answer that are remembered. Those of a POST cost nothing: its idempotency record holds the same bytes."""

_SECRET = re.compile(r"(?:^|\[)(number|cvc|cvv|client_secret|account_number|iban|id_number|ssn_last_4)\]?$")


def raw_params(request: Request) -> bytes:
    """What the journal remembers of a request's parameters: the bytes, but no uploads and no more than `MOST_BYTES`."""
    if request.method != "POST":
        return request.query[:MOST_BYTES]
    if is_multipart(request):
        return _without_files(request)[:MOST_BYTES]
    return request.body[:MOST_BYTES]


def _without_files(request: Request) -> bytes:
    try:
        pairs = decode(request.body, request.headers[b"content-type"].decode("latin-1"))
    except ApiError:
        return b""
    shown = [(name, f"({len(v)} bytes)" if isinstance(v, UploadedFile) else v) for name, v in pairs]
    return urlencode(shown).encode()


class Entry:
    """One call. Kept raw: masking, decoding and suggestions are worked out on reading."""

    __slots__ = (
        "account",
        "at",
        "body",
        "changes",
        "connect",
        "error",
        "events",
        "fate",
        "fault",
        "fidelity",
        "idempotency_key",
        "key",
        "livemode",
        "method",
        "number",
        "operation",
        "path",
        "raw_params",
        "replayed",
        "request_id",
        "size",
        "status",
        "version",
    )

    def __init__(self, number: int, at: int, method: str, path: str, raw_params: bytes) -> None:
        self.number = number
        self.at = at
        self.method = method
        self.path = path
        self.raw_params = raw_params
        self.account = ""
        self.connect = False
        self.livemode = False
        self.key = ""
        self.version = ""
        self.operation: Operation | None = None
        self.idempotency_key: str | None = None
        self.request_id = ""
        self.status = 0
        self.replayed = False
        self.fate: str | None = None
        self.fault: str | None = None
        self.fidelity = ""
        self.error: dict[str, Any] | None = None
        self.changes: list[tuple[str, str, str, str, dict[str, tuple[Any, Any]] | None]] = []
        self.events: list[str] = []
        self.body = b""
        self.size = 0

    def note_answer(self, body: bytes) -> None:
        """Remember what was answered, or would have been: whole, or the beginning of what is long."""
        self.size = len(body)
        self.body = body if len(body) <= MOST_BYTES_ANSWERED else body[:MOST_BYTES_ANSWERED]

    def note_changes(self, changes: list[Change]) -> None:
        """Remember what the call wrote: kind, type, id, account, and before/after of changed members."""
        for change in changes:
            obj = change.obj
            if obj["object"] == "event":
                self.events.append(f"{obj['type']} {obj['id']}")
                continue
            diff = {name: (before, obj.get(name)) for name, before in (change.previous or {}).items()}
            self.changes.append((change.kind, obj["object"], obj["id"], change.scope.account_id, diff or None))

    def note_error(self, error: ApiError) -> None:
        """Remember what was refused and why; the objects inside an error stay out, for the secrets in them."""
        known = ("type", "code", "decline_code", "param", "message")
        self.error = {name: value for name, value in error.members().items() if name in known}

    @property
    def matched(self) -> bool:
        """Whether the path and method name an operation."""
        return self.operation is not None

    def as_dict(self, *, replayable: bool = False) -> dict[str, Any]:
        """The entry as the control API shows it; card numbers, secrets and keys masked.

        `replayable` adds what sending the call again takes: its parameters unmasked, but for client secrets.
        """
        shown: dict[str, Any] = {
            "number": self.number,
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "params": masked_params(self.raw_params),
            "operation": self.operation.id if self.operation else None,
            "account": self.account,
            "livemode": self.livemode,
            "key": self.key,
            "version": self.version,
            "idempotency_key": self.idempotency_key,
            "idempotent_replayed": self.replayed,
            "request_id": self.request_id or None,
            "status": self.status,
            "fidelity": self.fidelity or None,
            "fault": self.fault,
            "fate": self.fate,
            "error": self.error,
            "events": self.events,
            "changes": [shown_change(change) for change in self.changes],
        }
        if replayable:
            pairs = parse_qsl(self.raw_params.decode("utf-8", "replace"), keep_blank_values=True)
            shown["pairs"] = [pair for pair in pairs if "client_secret" not in pair[0]]
            shown["connect"] = self.connect
        if self.error and self.error.get("code") == "parameter_unknown" and self.operation:
            pairs = parse_qsl(self.raw_params.decode("utf-8", "replace"), keep_blank_values=True)
            shown["did_you_mean"] = self.operation.suggestions(pairs)
        if self.operation is None and self.path.startswith("/v"):
            shown["near_misses"] = near_misses(self.method, self.path)
        return shown


def shown_change(change: tuple[str, str, str, str, dict[str, tuple[Any, Any]] | None]) -> dict[str, Any]:
    """One change as the control API shows it; members called secret are masked."""
    kind, type_, id_, account, diff = change
    shown: dict[str, Any] = {"change": kind, "object": type_, "id": id_, "account": account}
    if diff:
        shown["members"] = {
            name: {"before": "***", "after": "***"} if "secret" in name else {"before": before, "after": after}
            for name, (before, after) in diff.items()
        }
    return shown


def masked_params(raw: bytes) -> dict[str, str]:
    """Parameters by name, the values of secret ones starred (a card number keeps its last four)."""
    pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: _masked(name, value) for name, value in pairs}


def _masked(name: str, value: str) -> str:
    found = _SECRET.search(name)
    if found is None:
        return value
    return "****" + value[-4:] if found[1] in ("number", "account_number", "iban") and len(value) > 8 else "****"


def near_misses(method: str, path: str) -> list[str]:
    """The operations whose method and path come closest to a request that matched none."""
    from fake_stripe.openapi.catalog import catalog  # noqa: PLC0415 - only for a journal entry that is being read

    known = [f"{op.method} {op.path}" for op in catalog().operations()]
    return difflib.get_close_matches(f"{method} {path}", known, n=3, cutoff=0.5)
