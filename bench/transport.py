"""Which HTTP client should carry the calls to Stripe, aiohttp or pyqwest? CPU, and what each knows of a failure.

    python -m bench.transport            # CPU per call, 1 and 64 in flight, plain and TLS
    python -m bench.transport --faults   # what each client reports for a dozen ways to fail

A responder in a process of its own answers 2 kB. CPU is this process's user and system time, all threads. `gateway`
rows go through SdkStripeGateway (the SDK's encoding and headers, decoding), the others are the client alone with the
same bytes. Needs `pip install pyqwest` for its rows; `httptools` is a bare HTTP/1.1 client, shown only as the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import orjson
import uvloop
from cloneservice_server.ports import StripeCall
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway
from cloneservice_server.stripe_gateway.transport import StripeTransport, TransportSettings

from bench.transport_contenders import BareTransport, PyqwestTransport
from bench.transport_faults import compare_faults

KEY = "sk_test_" + "bench" * 5
CALL = StripeCall(
    "POST",
    "/v1/payment_intents",
    "acct_1Bench",
    {
        "amount": 1099,
        "currency": "usd",
        "customer": "cus_Bench",
        "payment_method": "pm_1Bench",
        "payment_method_types": ["card"],
        "application_fee_amount": 100,
        "metadata": {"cloneservice_request_id": "0" * 36, "cloneservice_charge_id": "chg_" + "0" * 36},
    },
)


class Exchanges(Protocol):
    """What a contender must do."""

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: str | None, timeout_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One HTTP request."""
        ...

    async def close_async(self) -> None:
        """Close the connections."""
        ...


# ---------------------------------------------------------------------------------------------------------- responder


def _canned() -> bytes:
    body = json.dumps({"id": "pi_1", "metadata": {f"key_{n}": "v" * 40 for n in range(34)}}, indent=2).encode()
    head = {
        "Server": "nginx",
        "Content-Type": "application/json",
        "Content-Length": len(body),
        "Request-Id": "req_0123456789abcd",
        "Stripe-Version": "2026-10-28.endive",
        "Idempotency-Key": "cs_" + "0" * 48,
        "Original-Request": "req_0123456789abcd",
        "Stripe-Should-Retry": "false",
        "Cache-Control": "no-cache, no-store",
        "Strict-Transport-Security": "max-age=63072000",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body


class Responder(asyncio.Protocol):
    """Answers every request with the same bytes."""

    answer = _canned()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport, self._buffer = cast("asyncio.Transport", transport), b""

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            self._transport.write(self.answer)


async def _respond(certificate: str) -> None:
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(Responder, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def responder(certificate: str = "") -> Any:
    """The responder's base URL, while it runs."""
    command = [sys.executable, "-m", "bench.transport", "--respond", certificate]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def make_certificate(folder: Path) -> tuple[str, str]:
    """(certificate with key, authority) for 127.0.0.1, made by the openssl program."""
    authority, chain = folder / "authority.pem", folder / "server.pem"
    new: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout"]

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    run(*new, folder / "ca.key", "-out", authority, "-subj", "/CN=bench")
    leaf: list[str | Path] = [
        "-CA",
        authority,
        "-CAkey",
        folder / "ca.key",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    run(*new, folder / "key", "-out", folder / "crt", *name, *leaf)
    chain.write_text((folder / "crt").read_text() + (folder / "key").read_text())
    return str(chain), str(authority)


# ---------------------------------------------------------------------------------------------------------------- CPU


async def _measure(name: str, call: Callable[[], Awaitable[object]], calls: int, in_flight: int) -> None:
    async def worker(times: int) -> None:
        for _ in range(times):
            await call()

    await asyncio.gather(*(worker(20) for _ in range(in_flight)))
    best_cpu = best_wall = float("inf")
    for _ in range(3):
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(worker(calls // in_flight) for _ in range(in_flight)))
        best_cpu = min(best_cpu, time.process_time() - cpu)
        best_wall = min(best_wall, time.perf_counter() - wall)
    per_call = 1_000_000 / calls
    print(f"{name:22} {in_flight:3} in flight  {best_cpu * per_call:6.0f} us CPU  {best_wall * per_call:6.0f} us wall")


def _contenders(ca_file: str | None, *, encrypted: bool) -> dict[str, Callable[[], Exchanges]]:
    settings = TransportSettings(max_connections=256, ca_file=ca_file)
    found: dict[str, Callable[[], Exchanges]] = {"aiohttp": lambda: StripeTransport(settings, encrypted=encrypted)}
    with contextlib.suppress(ImportError):
        importlib.import_module("pyqwest")
        found["pyqwest"] = lambda: PyqwestTransport(ca_file)
    found["httptools"] = lambda: BareTransport(ca_file)
    return found


async def compare_cpu(base_url: str, calls: int, ca_file: str | None = None) -> None:
    """Print a line for each contender, alone and under the gateway, at 1 and 64 in flight."""
    for in_flight in (1, 64):
        for name, make in _contenders(ca_file, encrypted=base_url.startswith("https:")).items():
            gateway = SdkStripeGateway(KEY, base_url=base_url, transport=TransportSettings(ca_file=ca_file))
            http = make()
            gateway._transport = http  # type: ignore[assignment]  # noqa: SLF001 - the contender takes its place
            method, url, headers, body = gateway._request(CALL, "cs_" + "0" * 48)  # noqa: SLF001 - the same bytes

            async def alone(
                http: Exchanges = http, method: str = method, url: str = url, body: str | None = body,
                headers: Mapping[str, str] = headers,
            ) -> None:  # fmt: skip
                _, answered, content = await http.exchange(method, url, headers, body, 30.0)
                answered["Request-Id"]
                orjson.loads(content)

            async def through(gateway: SdkStripeGateway = gateway) -> None:
                await gateway.send(CALL, idempotency_key="cs_" + "0" * 48)

            await _measure(name, alone, calls, in_flight)
            await _measure(f"gateway over {name}", through, calls, in_flight)
            await http.close_async()


def main() -> None:
    """Run what the arguments ask for."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--calls", type=int, default=6400)
    arguments.add_argument("--faults", action="store_true")
    arguments.add_argument("--respond", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.respond is not None:
        uvloop.run(_respond(chosen.respond))
    elif chosen.faults:
        uvloop.run(compare_faults(dict(_contenders(None, encrypted=True))))
    else:
        print("plain HTTP/1.1")
        with responder() as base_url:
            uvloop.run(compare_cpu(base_url, chosen.calls))
        with tempfile.TemporaryDirectory() as folder:
            chain, authority = make_certificate(Path(folder))
            print("TLS")
            with responder(chain) as base_url:
                uvloop.run(compare_cpu(base_url, chosen.calls, authority))


if __name__ == "__main__":
    main()
