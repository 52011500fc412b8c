"""`--workers N`: one port, N processes, and a supervisor that starts them, restarts them and stops them in good order.

The kernel spreads connections over the listeners of one port (SO_REUSEPORT). Each worker is a server like any other,
with the ledger in PostgreSQL between them; the supervisor serves nothing and holds no state. A worker whose supervisor
is gone stops by itself: its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloneservice_server.settings import Address, Settings, parse_address

_log = logging.getLogger("cloneservice.workers")

_BACKOFF_S = 1.0
_BACKOFF_S_MAX = 30.0
_STEADY_S = 60.0
"""A worker that ran for so long begins with no wait again when it dies."""
_KILL_AFTER_S = 10.0
"""Beyond the time that a worker may take to stop."""


class WorkerFailed(Exception):  # noqa: N818 - reads as what happened
    """A worker could not start; it has said why on standard error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker ended with code {code} before it served")
        self.code = code


@dataclass(slots=True, eq=False)
class Supervisor:
    """Runs `settings.workers` processes of `command` (arguments after the interpreter's)."""

    settings: Settings
    command: list[str]
    announce: Callable[[dict[str, Any]], None]
    """Called once, when all serve, with what the first one said of itself."""
    _processes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises WorkerFailed, or OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        with reserved(self.settings.address) as address:
            keepers: list[asyncio.Task[None]] = []
            try:
                said = [await self._start(index, address) for index in range(self.settings.workers)]
                keepers = [asyncio.create_task(self._keep(index, address)) for index in range(self.settings.workers)]
                if not self._stopping.is_set():
                    self.announce({**said[0], "workers": self.settings.workers})
                await self._stopping.wait()
            finally:
                self._stopping.set()
                await self._stop_all()
                await asyncio.gather(*keepers, return_exceptions=True)

    def stop(self) -> None:
        """Ask for the end."""
        self._stopping.set()

    async def _start(self, index: int, address: Address) -> dict[str, Any]:
        """Start one worker and wait until it serves; what it says of itself."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **self._environment(index, address)},
        )
        self._processes[index] = process
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise WorkerFailed(await process.wait())
        _log.info("worker serves", extra={"fields": {"worker": index, "pid": process.pid}})
        said: dict[str, Any] = json.loads(line)
        return said

    def _environment(self, index: int, address: Address) -> dict[str, str]:
        given = {
            "CLONESERVICE_WORKERS": "1",
            "CLONESERVICE_SHARED_PORT": "true",
            "CLONESERVICE_LISTEN": str(address),
        }
        for name, text in (("ADMIN", self.settings.admin_listen), ("CHANNELZ", self.settings.channelz_listen)):
            if text:  # a listener of its own for each: the port after the first one's, and so on
                first = parse_address(text)
                own = first._replace(port=first.port + index if first.port else 0)
                given[f"CLONESERVICE_{name}_LISTEN"] = str(own)
        return given

    async def _keep(self, index: int, address: Address) -> None:
        """Start the worker again whenever it ends, the more slowly the sooner it does."""
        loop, backoff_s = asyncio.get_running_loop(), 0.0
        began_s = loop.time()
        while True:
            code = await self._processes[index].wait()
            if self._stopping.is_set():
                return
            fields = {"worker": index, "code": code}
            _log.error("a worker ended and is started again", extra={"fields": fields})
            if loop.time() - began_s >= _STEADY_S:
                backoff_s = 0.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)
            backoff_s = min(max(backoff_s * 2, _BACKOFF_S), _BACKOFF_S_MAX)
            if self._stopping.is_set():
                return
            began_s = loop.time()
            with contextlib.suppress(WorkerFailed, json.JSONDecodeError):
                await self._start(index, address)

    async def _stop_all(self) -> None:
        longest_s = self.settings.drain_delay_s + self.settings.shutdown_grace_s + _KILL_AFTER_S
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        ends = [asyncio.create_task(process.wait()) for process in running]
        if ends:
            await asyncio.wait(ends, timeout=longest_s)
        for process in running:
            if process.returncode is None:
                _log.error("a worker did not stop in time and is killed", extra={"fields": {"pid": process.pid}})
                process.kill()
        await asyncio.gather(*ends)


@contextlib.contextmanager
def reserved(address: Address) -> Any:
    """The address with its real port, kept for the workers. Raises OSError when somebody else listens there.

    The socket is bound and never listens, so the kernel gives it no connection; it keeps the port while every worker
    is down.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:  # without SO_REUSEPORT: fails if anybody else has the port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address.host, address.port))
        port = probe.getsockname()[1]
    with socket.socket(family) as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind((address.host, port))
        yield Address(address.host, port)
