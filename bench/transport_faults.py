"""What each HTTP client says of a dozen failures, against what really happened; for bench/transport.py only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from cloneservice_server.ports import AnswerLost, NotSent

_SHORT_S = 0.3

AFTER_THE_REQUEST = {
    "closed": b"",
    "reset": b"",
    "stall": b"",
    "cut headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut body": b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"a"',
    "cut chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a',
    "stalled body": b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"a"',
    "not HTTP": b"hello\r\n\r\n",
}
"""Faults that strike once the request is read, and the bytes sent before."""


class _Exchanges(Protocol):
    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]: ...

    async def close_async(self) -> None: ...


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    await reader.readexactly(size)


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
    else:
        writer.close()


@contextlib.asynccontextmanager
async def _server(fault: str, seen: list[int]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            if fault == "not TLS":
                writer.write(b"hello\r\n")
            await _read_request(reader)
            seen.append(1)
            writer.write(AFTER_THE_REQUEST[fault])
            await writer.drain()
            if fault.startswith("stall"):
                await reader.read()
            _end(writer, reset=fault == "reset")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        scheme = "https" if fault == "not TLS" else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
    finally:
        server.close()


@contextlib.contextmanager
def _silent_port() -> Any:
    """A port whose backlog is full: a connection to it is neither made nor refused."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}/v1/x"


async def _verdict(http: _Exchanges, url: str) -> str:
    try:
        status, _, _ = await http.exchange("POST", url, {}, "a=b", _SHORT_S)
    except NotSent as fault:
        return f"NotSent ({fault.__cause__.__class__.__name__})"
    except AnswerLost as fault:
        return f"AnswerLost ({fault.__cause__.__class__.__name__})"
    except Exception as error:  # noqa: BLE001 - what gets through unclassified is what we look for
        return f"UNCLASSIFIED {type(error).__name__}"
    finally:
        await http.close_async()
    return f"HTTP {status}"


async def compare_faults(contenders: dict[str, Callable[[], _Exchanges]]) -> None:
    """Print, for each fault, how often the request arrived and what each client says."""
    print(f"{'fault':22} {'arrived':8}" + "".join(f" {name:34}" for name in contenders))
    for fault in ("not TLS", *AFTER_THE_REQUEST):
        seen: list[int] = []
        said = []
        for make in contenders.values():
            async with _server(fault, seen) as url:
                said.append(await _verdict(make(), url))
        _show(fault, len(seen), said)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1/x"
        _show("refused", 0, [await _verdict(make(), url) for make in contenders.values()])
    with _silent_port() as url:
        _show("no connection in time", 0, [await _verdict(make(), url) for make in contenders.values()])
    url = "http://stripe.invalid/v1/x"
    _show("no such host", 0, [await _verdict(make(), url) for make in contenders.values()])


def _show(fault: str, arrived: int, said: list[str]) -> None:
    print(f"{fault:22} {arrived:<8}" + "".join(f" {verdict:34}" for verdict in said))
