"""Stripe's own stripe-mock, the real binary on a free port, and one request at a time to it.

`make stripe-mock` builds the pinned version and names it in STRIPE_MOCK.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

KEY = "sk_test_123"
_READY = re.compile(r"Listening for HTTP at address: (\S+)")
_START_S = 30.0


@contextmanager
def running(binary: Path, log: Path) -> Iterator[str]:
    """The base URL of a running stripe-mock. It logs every request: to a file, since a full pipe would stop it."""
    with log.open("w", encoding="utf-8") as output:
        command = [str(binary), "-http-addr", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
            try:
                yield f"http://{_address(process, log)}"
            finally:
                process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and process.poll() is None:
        if found := _READY.search(log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"stripe-mock did not start: {log.read_text(encoding='utf-8')[-1000:]}")


class Caller:
    """One connection to a Stripe double over HTTP/1.1."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def send(self, method: str, path: str, form: str, account: str = "") -> tuple[int, bytes]:
        """Status and body of the answer to a form-encoded request."""
        headers = {"Authorization": f"Bearer {KEY}"}
        if account:
            headers["Stripe-Account"] = account
        target = path
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif form:
            target = f"{path}?{form}"
        self._connection.request(method, target, form if method == "POST" else None, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def calling(url: str) -> Iterator[Caller]:
    """A connection for the time of the block."""
    with closing(Caller(url)) as caller:
        yield caller
