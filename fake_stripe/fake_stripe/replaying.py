"""`fake-stripe replay FILE`: send the calls of a journal or a recording again and compare the statuses.

FILE is a journal (`GET /_fake/journal?replayable=true`) or JSON lines of recorded exchanges ({"exchanges": [{method,
path, account, params, status, body}]}). Ids of the first run are replaced by those that the same calls make this time.
"""

import http.client
import json
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fake_stripe.live import is_live, leads_to_stripe

_ID = re.compile(r"\b[a-z]{2,12}_[A-Za-z0-9]{8,}\b")


@dataclass(slots=True)
class Recorded:
    """One call of the first run: what was sent, what came back, which ids it made."""

    method: str
    path: str
    params: list[tuple[str, str]]
    account: str | None
    status: int
    made: list[str]
    body: Any = None


def recorded(text: str) -> Iterator[Recorded]:
    """The calls of a file, in order; ValueError when it is neither a journal nor a recording."""
    try:
        documents = [json.loads(text)]
    except ValueError:
        documents = [json.loads(line) for line in text.splitlines() if line.strip()]
    for document in documents:
        if "calls" in document:
            yield from (_of_journal(call) for call in document["calls"] if call["status"])
        elif "exchanges" in document:
            yield from (_of_exchange(exchange) for exchange in document["exchanges"])
        else:
            raise ValueError("neither a journal ({calls: [...]}) nor a recording ({exchanges: [...]})")


def _of_journal(call: dict[str, Any]) -> Recorded:
    if "pairs" not in call:
        raise ValueError("this journal's parameters are masked: export it with ?replayable=true")
    made = [change["id"] for change in call["changes"] if change["change"] == "created"]
    account = call["account"] if call["connect"] else None
    return Recorded(call["method"], call["path"], [(n, v) for n, v in call["pairs"]], account, call["status"], made)


def _of_exchange(exchange: dict[str, Any]) -> Recorded:
    params = [(name, value) for name, value in exchange["params"]]
    account, status, body = exchange.get("account"), exchange["status"], exchange["body"]
    return Recorded(exchange["method"], exchange["path"], params, account, status, [], body)


class Session:
    """A world, over HTTP, and what the first run's ids are called in it."""

    def __init__(self, base_url: str, api_key: str) -> None:
        parts = urlsplit(base_url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=30)
        self._key = api_key
        self._names: dict[str, str] = {}

    def call(self, method: str, path: str, params: list[tuple[str, str]], account: str | None) -> tuple[int, Any]:
        """Send one call; its status (0 when the connection broke) and JSON."""
        headers = {"Authorization": f"Bearer {self._key}"}
        if account:
            headers["Stripe-Account"] = account
        encoded, body, url = urlencode(params), None, quote(path)
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = encoded
        elif encoded:
            url += "?" + encoded
        try:
            self._connection.request(method, url, body, headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return 0, None

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def again(self, first: Recorded) -> int:
        """Send a recorded call again under this run's ids, and learn those that it makes."""
        params = [(name, self._here(value)) for name, value in first.params]
        account = self._here(first.account) if first.account else None
        status, body = self.call(first.method, self._here(first.path), params, account)
        if first.made:
            _, journal = self.call("GET", "/_fake/journal", [("limit", "1")], None)
            changes = journal["calls"][-1]["changes"] if journal and journal.get("calls") else []
            now = [change["id"] for change in changes if change["change"] == "created"]
            self._names |= dict(zip(first.made, now, strict=False))
        self._learn(first.body, body)
        return status

    def _here(self, text: str) -> str:
        return _ID.sub(lambda match: self._names.get(match[0], match[0]), text)

    def _learn(self, then: Any, now: Any) -> None:
        if isinstance(then, dict) and isinstance(now, dict):
            for name in then.keys() & now.keys():
                self._learn(then[name], now[name])
        elif isinstance(then, list) and isinstance(now, list):
            for one, other in zip(then, now, strict=False):
                self._learn(one, other)
        elif isinstance(then, str) and isinstance(now, str) and _ID.fullmatch(then) and _ID.fullmatch(now):
            self._names.setdefault(then, now)


def replay_file(name: str, base_url: str | None, api_key: str) -> int:
    """Replay a file and print one line for each call that ended differently; 0 when none did."""
    if is_live(api_key) or (base_url and leads_to_stripe(base_url)):
        print("fake-stripe: refusing to replay against the real Stripe", file=sys.stderr)  # noqa: T201 - a command's output
        return 2
    try:
        calls = list(recorded(Path(name).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        print(f"fake-stripe: cannot replay {name}: {problem}", file=sys.stderr)  # noqa: T201 - as above
        return 2
    if base_url is not None:
        return _report(calls, Session(base_url, api_key))
    from fake_stripe.app import FakeStripe  # noqa: PLC0415 - only without a running double

    with FakeStripe() as fake:
        return _report(calls, Session(fake.url, api_key))


def _report(calls: list[Recorded], session: Session) -> int:
    same = 0
    with closing(session):
        statuses = [session.again(first) for first in calls]
    for number, (first, status) in enumerate(zip(calls, statuses, strict=True), start=1):
        if status == first.status:
            same += 1
        else:
            print(f"{number}: {first.method} {first.path} answered {first.status} then, {status} now")  # noqa: T201 - as above
    print(f"{same} of {len(calls)} calls ended as they did then")  # noqa: T201 - as above
    return 0 if same == len(calls) else 1
