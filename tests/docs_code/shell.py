"""The commands of a page, played in one shell as a reader would type them, and their output held against the page.

Servers that a page starts are left running behind the next command; free ports take the place of those that it names,
so that two runs never meet. `cus_...`, `acct_...` and `sk_test_...` stand for the seeds of a `cloneservice-server dev`,
whose double is Stripe for each `cloneservice-server serve`. What the page shows of the output must come in its order,
with `...` for anything within a line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.docs_code.blocks import Block
from tests.polyglot.run import BIN

_TIMEOUT_S = 180
_SERVERS = re.compile(r"^(?:cloneservice-server (?:serve|dev)|fake-stripe serve)\b")
_READY = """
ready() {
  for attempt in $(seq 300); do (: > "/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done
  return 1
}
"""
_DONE = "##### "


class Unexpected(Exception):  # noqa: N818 - reads as what happened
    """A command failed, or printed other than its page shows."""


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """`cloneservice-server dev` and its double: host:port of each."""
    with _dev() as told:
        yield told["target"], told["stripe"].partition("//")[2]


@contextmanager
def _dev() -> Iterator[dict[str, str]]:
    command = [str(BIN / "cloneservice-server"), "dev"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            told = json.loads(server.stdout.readline())
            yield {**told, "cus": told["customers"]["pays"], "acct": told["accounts"]["bakery"]}
        finally:
            server.stdin.close()  # it stops when its input ends


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def commands_of(blocks: Sequence[Block]) -> list[tuple[str, list[str]]]:
    """Each command with the lines that the page shows of its output."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks:
        for line in block.code.splitlines():
            if found and found[-1][0].endswith("\\"):
                found[-1] = (f"{found[-1][0][:-1]}{line.strip()}", [])
            elif line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
    return [(re.sub(r"\s+# .*$", "", command), shown) for command, shown in found]


def script_of(commands: Sequence[str]) -> str:
    """The shell script that runs the commands, marks where each ends, and waits for servers that it starts."""
    lines = ["set -euo pipefail", _READY]
    for number, command in enumerate(commands):
        server = _SERVERS.match(command)
        lines.append(f"{command} &" if server and not command.rstrip().endswith("&") else command)
        if server:
            port = re.search(r"127\.0\.0\.1:(\d+)|--port (\d+)", command)
            lines.append(f"ready {port[1] or port[2]}" if port else 'ready "${CLONESERVICE_LISTEN#*:}"')
        lines.append(f"sleep 0.2; echo; echo '{_DONE}{number}'" if server else f"echo; echo '{_DONE}{number}'")
    return "\n".join([*lines, ""])


def play(blocks: Sequence[Block], files: Sequence[Block] = ()) -> None:
    """Run all commands of one page, with the files that it shows beside them. Raises Unexpected."""
    commands = commands_of(blocks)
    with _dev() as stripe, tempfile.TemporaryDirectory() as folder:
        ports = dict(zip(("50051", "50052", "12111"), map(str, free_ports(3)), strict=True))
        named = {"cus_...": stripe["cus"], "acct_...": stripe["acct"], "sk_test_...": stripe["stripe_api_key"]}
        Path(folder, "customers.csv").write_text(f"customer\n{stripe['cus']}\n", encoding="utf-8")
        Path(folder, "accounts.csv").write_text(f"account\n{stripe['acct']}\n", encoding="utf-8")
        for block in files:
            Path(folder, block.file).write_text(told(block.code, ports), encoding="utf-8")
        address = f"127.0.0.1:{ports['50051']}"
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "CLONESERVICE_TARGET": address,
            "CLONESERVICE_LISTEN": address,
            "CLONESERVICE_STRIPE": stripe["stripe"],
            "GRPC_VERBOSITY": "NONE",
        }
        printed = _printed(
            script_of([told(command, {**ports, **named}) for command, _ in commands]), folder, environment
        )
    compare([(command, [told(line, ports) for line in shown]) for command, shown in commands], printed)


def told(text: str, meanings: Mapping[str, str]) -> str:
    """The text with what it means in this run. In what is printed ids are left alone: `cus_...` is any."""
    for written, meant in meanings.items():
        text = text.replace(written, meant)
    return text


def compare(commands: Sequence[tuple[str, list[str]]], printed: str) -> None:
    """Hold what was printed against what the page shows of it. Raises Unexpected."""
    parts = re.split(rf"\n{_DONE}\d+\n", printed)
    for (command, shown), part in zip(commands, parts, strict=False):
        left = part
        for line in shown:
            pattern = r"[^\n]*".join(re.escape(piece) for piece in re.split(r" *\.\.\. *", line))
            found = re.search(rf"^{pattern}$", left, re.MULTILINE)
            if found is None:
                raise Unexpected(f"$ {command}\nshould print: {line}\nprinted:\n{part[-3000:]}")
            left = left[found.end() :]
    if len(parts) <= len(commands):
        raise Unexpected(f"stopped in: {commands[len(parts) - 1][0]}\n{parts[-1][-3000:]}")


def _printed(script: str, folder: str, environment: dict[str, str]) -> str:
    """What the script says; its servers are ended with it."""
    path = Path(folder, "page.sh")
    path.write_text(script, encoding="utf-8")
    log = Path(folder, "page.log")
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            ["bash", str(path)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(_TIMEOUT_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
    return log.read_text(encoding="utf-8", errors="replace")
