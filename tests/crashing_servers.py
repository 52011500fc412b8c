"""Servers that kill themselves with SIGKILL at a named boundary, each a real process of its own.

A template process imports everything once and forks a server per case, so that dozens of real kills cost seconds. The
server is the product's own (`build_app`); only its ledger and its gateway are wrapped to count the boundaries.
Run as a script it is the template: one JSON order a line on stdin, one JSON answer a line on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_LEDGER_STEPS = ("begin_request", "intend", "commit")


class Boundaries:
    """Counts the boundaries of a server's work and dies at one of them."""

    def __init__(self, crash_at: int, trace: Path) -> None:
        self.crash_at = crash_at
        self.seen = 0
        self._trace = trace.open("a", encoding="utf-8")

    def cross(self, name: str) -> None:
        """One boundary; the process ends here if it is the one."""
        self.seen += 1
        self._trace.write(name + "\n")
        self._trace.flush()
        if self.seen == self.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """A step with a boundary on either side of it."""
        self.cross(f"before {name}")
        done = await work()
        self.cross(f"after {name}")
        return done


class CrashingLedger:
    """The real ledger, with a boundary before and after each transaction that writes."""

    def __init__(self, ledger: Any, boundaries: Boundaries) -> None:
        self._ledger = ledger
        self._boundaries = boundaries

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        if name not in _LEDGER_STEPS:
            return method

        async def wrapped(*arguments: Any, **named: Any) -> Any:
            shown = f"intend {arguments[2].kind}" if name == "intend" else name
            return await self._boundaries.around(shown, lambda: method(*arguments, **named))

        return wrapped


class CrashingGateway:
    """The real gateway, with a boundary before and after each call that changes something."""

    def __init__(self, gateway: Any, boundaries: Boundaries) -> None:
        self._gateway = gateway
        self._boundaries = boundaries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def send(self, call: Any, **named: Any) -> Any:
        """One call."""
        if call.method == "GET":
            return await self._gateway.send(call, **named)
        return await self._boundaries.around(f"send {call.path}", lambda: self._gateway.send(call, **named))


async def _serve(order: dict[str, Any], ready: Callable[[dict[str, Any]], None]) -> None:
    from cloneservice_server.app import build_app
    from cloneservice_server.clock import SystemClock
    from cloneservice_server.ledger import open_ledger
    from cloneservice_server.settings import load
    from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

    flags = {"stripe": order["stripe"], "ledger": order["ledger"], "listen": "127.0.0.1:0"}
    settings = load(flags, {"STRIPE_API_KEY": order["api_key"]})
    clock, boundaries = SystemClock(), Boundaries(order["crash_at"], Path(order["trace"]))
    gateway: Any = CrashingGateway(SdkStripeGateway(settings.stripe_api_key, base_url=settings.stripe_url), boundaries)
    ledger: Any = CrashingLedger(open_ledger(settings.ledger, clock), boundaries)
    app = build_app(settings, gateway=gateway, ledger=ledger, clock=clock)
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    await app.start()
    ready({"pid": os.getpid(), "port": app.port})
    await asked.wait()
    await app.stop(5.0)


def _template() -> None:
    """The template process: fork a server for each order."""
    import cloneservice_server.app
    import cloneservice_server.ledger
    import cloneservice_server.stripe_gateway.gateway  # noqa: F401 - imported once, for all children

    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            children.discard(order["wait"])
            print(json.dumps({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}), flush=True)
            continue
        child = os.fork()
        children.add(child)
        if child == 0:
            try:
                asyncio.run(_serve(order, lambda answer: print(json.dumps(answer), flush=True)))
            except BaseException:  # noqa: BLE001 - whatever it is, the test must hear
                traceback.print_exc()
                print(json.dumps({"failed": traceback.format_exc()}), flush=True)
                os._exit(1)
            os._exit(0)
    for child in children:  # left by tests that failed half-way
        os.kill(child, signal.SIGKILL)


class CrashingServers:
    """The test's side of the template process."""

    def __init__(self, template: subprocess.Popen[str]) -> None:
        self._template = template

    def start(self, **order: Any) -> tuple[int, int]:
        """A server: (pid, port). Order: stripe, api_key, ledger, trace, crash_at (0 for never)."""
        answer = self._ask(order)
        assert "failed" not in answer, answer["failed"]
        return answer["pid"], answer["port"]

    def wait(self, pid: int) -> int:
        """Wait until it has ended; the signal that ended it, or 0."""
        return int(self._ask({"wait": pid})["signal"])

    def stop(self, pid: int) -> None:
        """SIGTERM, and wait."""
        os.kill(pid, signal.SIGTERM)
        assert self.wait(pid) == 0

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._template.stdin is not None
        assert self._template.stdout is not None
        self._template.stdin.write(json.dumps(order) + "\n")
        self._template.stdin.flush()
        answer: dict[str, Any] = json.loads(self._template.stdout.readline())
        return answer


@contextmanager
def crashing_servers() -> Iterator[CrashingServers]:
    """A template process for the time of the block."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("client", "server", "fake_stripe"))
    template = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "GRPC_ENABLE_FORK_SUPPORT": "0"},
    )
    try:
        yield CrashingServers(template)
    finally:
        assert template.stdin is not None
        template.stdin.close()
        template.wait(timeout=20)
        if template.stdout is not None:
            template.stdout.close()


if __name__ == "__main__":
    _template()
