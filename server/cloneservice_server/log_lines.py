"""How log records become lines on standard error: one JSON object a line, or text for eyes."""

from __future__ import annotations

import json
import logging
import re
import time
from functools import lru_cache

from cloneservice_server import log_context

_SECRET = re.compile(
    r"\b(?:sk|rk|whsec|cst)_\w{4,}"  # keys, webhook secrets, our bearer tokens
    r"|\b\w+_secret_\w+"  # client secrets
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"
)
# The groups of a UUID may have digits alone, and look like a card's number once in some 20,000 ids.
_CARD = re.compile(
    r"(?P<uuid>(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f]))"
    r"|(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])"
)


class JsonLines(logging.Formatter):
    """One JSON object a line.

    Time, level, logger, message, what all lines of the work share (trace_id, request_id), the record's own `fields`,
    and a traceback if there is one.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrubbed(record.getMessage()),
            **log_context.fields(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = scrubbed(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """`time LEVEL logger message key=value ...`, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        fields = "".join(f" {key}={value}" for key, value in getattr(record, "fields", {}).items())
        line = f"{_utc(record)} {record.levelname:<7} {record.name} {scrubbed(record.getMessage())}{fields}"
        return f"{line}\n{scrubbed(self.formatException(record.exc_info))}" if record.exc_info else line


def scrubbed(text: str) -> str:
    """`text` without what looks like a key, a client secret, an e-mail address or a card number.

    This service writes none of these. But the text of an error nobody foresaw may repeat anything, and it goes into
    the log, where it is needed. Fields are not searched: they come from allow-lists.
    """
    return _CARD.sub(_without_card, _SECRET.sub("(scrubbed)", text))


def _without_card(match: re.Match[str]) -> str:
    if match["uuid"]:
        return match[0]
    digits = [int(character) for character in match[0] if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return "(scrubbed)" if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else match[0]


def configure(log_format: str, level: str) -> None:
    """Send this service's records to standard error as `log_format` ("json" or "text"), from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries speak up only when something is wrong; the SDK's details hold bodies
    for name in ("cloneservice", "cloneservice_server"):
        logging.getLogger(name).setLevel(level.upper())


def _utc(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=4)
def _second(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch_s))
