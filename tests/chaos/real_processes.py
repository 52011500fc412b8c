"""Real processes to kill: servers on their product's own command line, and fake_stripe.

A template process imports everything once and forks a server per order, so that a hundred restarts cost seconds: the
server is `cloneservice-server serve` all the same. Run as a script it is the template: one JSON order a line on stdin,
one JSON answer a line on stdout.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "sk_test_chaos"
_PATH = os.pathsep.join(str(ROOT / folder) for folder in ("client", "server", "fake_stripe", "."))


def _template() -> None:
    import cloneservice_server.app
    import cloneservice_server.ledger
    import cloneservice_server.stripe_gateway.gateway  # noqa: F401 - imported once, for all children
    from cloneservice_server.cli import main

    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            os.waitpid(order["reap"], 0)
            children.discard(order["reap"])
            print("{}", flush=True)
            continue
        child = os.fork()
        if child == 0:
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os._exit(main(order["arguments"]))
        children.add(child)
        print(json.dumps({"pid": child}), flush=True)
    for child in children:  # of a run that failed half-way
        os.kill(child, signal.SIGKILL)


class Template:
    """The harness's side of the template process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": _PATH,
                "STRIPE_API_KEY": API_KEY,
                "GRPC_ENABLE_FORK_SUPPORT": "0",
                "GRPC_VERBOSITY": "NONE",
            },
        )

    def start(self, arguments: list[str], log: Path) -> int:
        """The pid of a new server."""
        return int(self._ask({"arguments": arguments, "log": str(log)})["pid"])

    def reap(self, pid: int) -> None:
        """Wait until a process that was sent a signal has ended."""
        self._ask({"reap": pid})

    def close(self) -> None:
        """End it, and what it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._process.stdout.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class Server:
    """One place where a server runs: the port stays, processes come and go."""

    def __init__(self, template: Template, folder: Path, ledger: str, stripe: str, *more: str) -> None:
        self.port = free_port()
        self.log = folder / f"server-{self.port}.log"
        self._template = template
        self._arguments = ["serve", "--listen", f"127.0.0.1:{self.port}", "--ledger", ledger, "--stripe", stripe]
        self._arguments += ["--lease-s", "2", "--log-level", "warning", *more]
        self.pid = 0

    @property
    def target(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """A new process."""
        self.pid = self._template.start(self._arguments, self.log)

    def kill(self) -> None:
        """SIGKILL, also to a paused one."""
        os.kill(self.pid, signal.SIGKILL)
        self._template.reap(self.pid)

    def pause(self) -> None:
        """SIGSTOP: from now on a zombie."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        os.kill(self.pid, signal.SIGTERM)
        self._template.reap(self.pid)

    def wait_until_serving(self, timeout_s: float = 30.0) -> None:
        """Until it takes connections."""
        wait_for(lambda: _connects(self.port), timeout_s, f"server on port {self.port}; see {self.log}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(holds: Any, timeout_s: float, what: str) -> None:
    """Poll until it holds; raises TimeoutError."""
    ends = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > ends:
            raise TimeoutError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.05)


@contextmanager
def template() -> Iterator[Template]:
    """A template process for the time of the block."""
    process = Template()
    try:
        yield process
    finally:
        process.close()


@contextmanager
def fake_stripe_process(journal: int = 2_000_000) -> Iterator[str]:
    """`fake-stripe serve` for the time of the block: its URL. All its calls are kept in the journal."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fake_stripe", "serve", "--port", "0", "--journal", str(journal)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": _PATH},
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(timeout=20)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def working_folder() -> Iterator[Path]:
    """A directory for ledgers and logs; kept when something fails, and said where."""
    folder = Path(tempfile.mkdtemp(prefix=f"cs-chaos-{uuid.uuid4().hex[:4]}-"))
    try:
        yield folder
    except BaseException:
        print(f"logs and ledgers are kept in {folder}", flush=True)
        raise
    else:
        for path in sorted(folder.rglob("*"), reverse=True):
            path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
        folder.rmdir()


if __name__ == "__main__":
    _template()
