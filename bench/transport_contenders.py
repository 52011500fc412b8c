"""The transports that were not taken, with the same face as StripeTransport; for bench/transport.py only."""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
from cloneservice_server.ports import AnswerLost, NotSent


class PyqwestTransport:
    """pyqwest (reqwest in Rust). It tells a failed connection by its exception; a time-out of ours tells nothing."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._pyqwest: Any = importlib.import_module("pyqwest")
        self._transport = self._pyqwest.HTTPTransport(
            tls_ca_cert=Path(ca_file).read_bytes() if ca_file else None,
            tls_include_system_certs=ca_file is None,
            http_version=self._pyqwest.HTTPVersion.HTTP1,
            connect_timeout=5.0,
            pool_max_idle_per_host=256,
            follow_redirects=False,
            enable_gzip=False,
            enable_brotli=False,
            enable_zstd=False,
            enable_otel=False,
        )
        self._client = self._pyqwest.Client(self._transport)

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP request; the whole answer is buffered, whatever its size."""
        try:
            async with asyncio.timeout(timeout_s):
                if method == "POST":
                    response = await self._client.post(url, headers=headers, content=(body or "").encode())
                else:
                    response = await self._client.get(url, headers=headers)
        except ConnectionError as error:
            raise NotSent(type(error).__name__) from error
        except Exception as error:
            raise AnswerLost(type(error).__name__) from error
        return response.status, response.headers, bytes(response.content)

    async def close_async(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


class _Answer:
    def __init__(self, waiter: asyncio.Future[None]) -> None:
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self._waiter = waiter

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode()] = value.decode()

    def on_body(self, chunk: bytes) -> None:
        self.chunks.append(chunk)

    def on_message_complete(self) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, one request at a time."""

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._parser: Any = None
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._parser is not None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError())

    async def ask(self, head: bytes, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        self._waiter = asyncio.get_running_loop().create_future()
        answer = _Answer(self._waiter)
        self._parser = httptools.HttpResponseParser(answer)
        self.transport.write(head + body)
        await self._waiter
        return self._parser.get_status_code(), answer.headers, b"".join(answer.chunks)


class BareTransport:
    """asyncio and httptools with nothing around: what the best possible client of this kind costs."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._context = ssl.create_default_context(cafile=ca_file)
        self._idle: list[_Connection] = []

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP request."""
        where = urlsplit(url)
        content = (body or "").encode()
        target = f"{where.path}?{where.query}" if where.query else where.path
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {target} HTTP/1.1\r\nHost: {where.netloc}\r\n{lines}Content-Length: {len(content)}\r\n\r\n"
        sent = False
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = self._take() or await self._connect(where.hostname or "", where.port or 443, where.scheme)
                sent = True
                answered = await connection.ask(head.encode(), content)
        except (OSError, asyncio.CancelledError) as error:
            if connection is not None:
                connection.transport.abort()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise (AnswerLost if sent else NotSent)(type(error).__name__) from error
        self._idle.append(connection)
        return answered

    def _take(self) -> _Connection | None:
        while self._idle:
            if (connection := self._idle.pop()).open:
                return connection
        return None

    async def _connect(self, host: str, port: int, scheme: str) -> _Connection:
        context = self._context if scheme == "https" else None
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, host, port, ssl=context)
        return connection

    async def close_async(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.transport.abort()
