"""HTTP to Stripe over aiohttp, as a `stripe.HTTPClient`: one call is one request, and its failure says what is known.

What decides between "nothing was done" and "outcome unknown" is one moment: a connection is in hand and the request is
about to be written. `_ConnectionPool.connect` marks it. Everything that fails before (DNS, TCP, TLS, waiting for the
pool) is NotSent, everything after it is AnswerLost, also where the bytes may have stayed: in doubt it is unknown.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import stripe
from yarl import URL

from cloneservice_server.ports import AnswerLost, NotSent, StripeFault

if TYPE_CHECKING:
    from aiohttp.client import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
"""More than any answer of Stripe's (a page of 100 objects is below 1 MiB); a longer one is not read to its end."""


@dataclass(slots=True)
class Attempt:
    """One HTTP request on its way: whether any byte of it may have left this process."""

    sent: bool = False


_ATTEMPT: ContextVar[Attempt] = ContextVar("stripe_attempt")


class _SecondSend(aiohttp.ClientError):
    """The HTTP library wanted to repeat a request by itself (it does with a GET on a connection that was closed)."""


class _ConnectionPool(aiohttp.TCPConnector):
    """Marks the attempt as sent when it gets its connection, and refuses it a second one."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the overridden method's
    ) -> Connection:
        attempt = _ATTEMPT.get()
        if attempt.sent:
            raise _SecondSend
        connection = await super().connect(req, traces, timeout)
        attempt.sent = True
        return connection


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Sizes and times of the connection pool. Times in seconds."""

    max_connections: int = 256
    """Requests in flight; one more waits, unsent. At 200 ms a call, 256 carry about 1,280 calls a second."""
    connect_timeout_s: float = 5.0
    """For TCP and TLS together."""
    idle_timeout_s: float = 30.0
    """How long an unused connection is kept; below the idle time-out of common HTTP servers (60 s and more)."""
    ca_file: str | None = None
    """PEM file of the certificate authorities to trust instead of those that the Stripe SDK ships."""


class StripeTransport(stripe.HTTPClient):
    """The transport that the SDK's requests go through. Made without a running loop; used within one loop only."""

    name = "aiohttp"

    def __init__(self, settings: TransportSettings | None = None, *, encrypted: bool = True) -> None:
        super().__init__()
        self._settings = settings or TransportSettings()
        self.tls = _tls_context(self._settings.ca_file) if encrypted else None
        self._session: aiohttp.ClientSession | None = None

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP request and its whole answer: status, headers (any case), body.

        `timeout_s` covers all of it, waiting for a connection included. Raises NotSent and AnswerLost.
        """
        attempt = Attempt()
        token = _ATTEMPT.set(attempt)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._roundtrip(method, url, headers, body)
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
            _fail(attempt, error)
        finally:
            _ATTEMPT.reset(token)

    async def _roundtrip(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        session = self._session or self._open()
        where = URL(url, encoded=True)  # the SDK has encoded it; a second pass would change what it means
        data = None if body is None else body.encode()
        async with session.request(method, where, headers=headers, data=data, allow_redirects=False) as response:
            return response.status, response.headers, await _read(response)

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        pool = _ConnectionPool(
            limit=settings.max_connections,
            keepalive_timeout=settings.idle_timeout_s,
            ssl=self.tls if self.tls is not None else True,
        )
        self._session = aiohttp.ClientSession(
            connector=pool,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),  # no state of one account's calls in another's
            headers={"Accept-Encoding": "identity"},  # a compressed answer could unpack to any size
            skip_auto_headers=("Accept",),
            auto_decompress=False,
            trust_env=False,
        )
        return self._session

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """The SDK's own entry, for calls made through a `StripeClient`; with the SDK's default time-out."""
        status, answered, body = await self.exchange(method, url, headers, post_data, timeout_s=80.0)
        return body, status, answered

    async def close_async(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def sleep_async(self, secs: float) -> None:
        """The SDK's wait between retries, of which we allow none."""
        await asyncio.sleep(secs)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise aiohttp.ClientPayloadError("answer too long")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _fail(attempt: Attempt, error: BaseException) -> NoReturn:
    # The library's text may quote what the peer sent; the class says enough.
    kind = "time-out" if isinstance(error, TimeoutError) else type(error).__name__
    fault: StripeFault
    if attempt.sent:
        fault = AnswerLost(f"the request left and no usable answer came ({kind})")
    else:
        fault = NotSent(f"no connection to Stripe ({kind})")
    raise fault from error


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or stripe.ca_bundle_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
