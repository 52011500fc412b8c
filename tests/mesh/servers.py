"""Real `cloneservice-server serve` processes, as a deployment starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Server:
    """One replica in a process of its own, on a port that it keeps when it is started again."""

    def __init__(self, *, stripe: str, api_key: str, ledger: str, log: Path, flags: tuple[str, ...] = ()) -> None:
        self.port = 0
        self.said: dict[str, Any] = {}
        self._environment = {**os.environ, "STRIPE_API_KEY": api_key}
        self._flags = ("--stripe", stripe, "--ledger", ledger, "--log-format", "json", *flags)
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Server:
        """Start, or start again, and wait until it listens."""
        command = [sys.executable, "-m", "cloneservice_server", "serve", "--json"]
        command += ["--listen", f"127.0.0.1:{self.port}", *self._flags]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server did not start:\n{self.log()[-3000:]}"
        self.said = json.loads(line)
        self.port = self.said["port"]
        return self

    def log(self) -> str:
        """All that it has logged."""
        return self._log.read_text()

    def ask_to_stop(self) -> None:
        """SIGTERM: it drains. `wait` waits for its end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        code = self._process.wait(60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return code

    def kill(self) -> None:
        """SIGKILL, and wait."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    @property
    def runs(self) -> bool:
        """Whether it was started and not yet waited for."""
        return self._process is not None


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start all; at the end stop those that still run."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            if server.runs:
                server.kill()
