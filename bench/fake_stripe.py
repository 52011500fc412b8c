"""What fake_stripe costs: CPU per request, start, memory, growth; beside localstripe in the same run.

    python bench/fake_stripe.py [--short] [--no-peer]

CPU is the server process's own user + system time around a burst of requests over 8 keep-alive connections, validation,
journal and events on. localstripe (PyPI, GPL: installed into a throw-away venv and only run) gets the same requests.
Exit code 1 when a figure misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

KEY = "sk_test_bench"
TARGETS_US = {"GET customer": 250, "POST customer": 400, "confirm PaymentIntent": 900}
START_MS, WORLD_MS, MEMORY_MB = 400, 1.0, 90


def cpu_s(pid: int) -> float:
    """User + system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@dataclass(frozen=True)
class Request:
    """One HTTP request, as bytes on the wire."""

    method: str
    path: str
    form: dict[str, str]
    key: str = KEY

    def encode(self) -> bytes:
        """The bytes."""
        body = urlencode(self.form).encode()
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.key}\r\n"
        kind = "Content-Type: application/x-www-form-urlencoded\r\n" if body else ""
        return f"{head}{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> tuple[int, bytes]:
    """Send one request, read its answer: (status, body)."""
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(head.split()[1]), await reader.readexactly(int(lengths[0].split(b":")[1]))


async def burst(port: int, requests: Iterator[Request], connections: int = 8) -> tuple[int, bytes]:
    """Send all of them; (how many, the last body). A refusal ends the benchmark."""
    done, last = 0, b""

    async def worker() -> None:
        nonlocal done, last
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            status, last = await exchange(reader, writer, request)
            if status >= 400:
                sys.exit(f"{request.method} {request.path} was answered {status}: {last[:300]!r}")
            done += 1
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return done, last


def cost_us(pid: int, port: int, count: int, request: Callable[[int], Request]) -> float:
    """Microseconds of the server's CPU per request."""
    before = cpu_s(pid)
    done, _ = asyncio.run(burst(port, (request(number) for number in range(count))))
    return (cpu_s(pid) - before) / done * 1e6


@contextmanager
def running(command: list[str], port: int, probe: str) -> Iterator[tuple[int, float]]:
    """A server process: (pid, milliseconds from exec to its first answer)."""
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{probe}", timeout=1)
            except urllib.error.HTTPError:
                break
            except OSError:
                if server.poll() is not None or time.monotonic() - started > 30:
                    sys.exit(f"{command[0]} did not start")
                time.sleep(0.002)
            else:
                break
        yield server.pid, (time.monotonic() - started) * 1e3
        server.terminate()


def free_port() -> int:
    """A port nobody listens on."""
    import socket  # noqa: PLC0415 - for this alone

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def get_customer(identifier: str) -> Callable[[int], Request]:
    """The same customer, again and again."""
    return lambda _: Request("GET", f"/v1/customers/{identifier}", {})


def post_customer(number: int) -> Request:
    """A new customer with a few parameters."""
    form = {"email": f"shopper{number}@example.com", "name": "A Shopper", "metadata[order]": str(number)}
    return Request("POST", "/v1/customers", form)


def made(port: int, request: Request) -> str:
    """The id of the object that a request makes."""
    _, body = asyncio.run(burst(port, iter([request]), connections=1))
    return str(json.loads(body)["id"])


def confirm_cost_us(pid: int, port: int, count: int) -> float:
    """Confirming PaymentIntents that are made beforehand."""
    form = {"amount": "1999", "currency": "usd", "payment_method": "pm_card_visa", "payment_method_types[]": "card"}
    identifiers = [made(port, Request("POST", "/v1/payment_intents", form)) for _ in range(count)]
    return cost_us(pid, port, count, lambda n: Request("POST", f"/v1/payment_intents/{identifiers[n]}/confirm", {}))


def measure_fake(sizes: list[int], burst_size: int) -> dict[str, float]:
    """All figures of fake_stripe; prints the growth table."""
    port = free_port()
    command = [sys.executable, "-m", "fake_stripe", "serve", "--port", str(port)]
    figures: dict[str, float] = {}
    with running(command, port, "/_fake/health") as (pid, start_ms):
        figures["start to first answer, ms"] = start_ms
        identifier = made(port, post_customer(0))
        figures["memory with the catalog loaded, MB"] = memory_mb(pid)
        worlds = cost_us(pid, port, 200, lambda n: Request("GET", "/v1/customers", {}, f"sk_test_world{n}"))
        figures["a new world and its first list, ms"] = worlds / 1e3
        figures["confirm PaymentIntent"] = confirm_cost_us(pid, port, min(burst_size, 500))
        print(f"{'customers':>12}{'GET us':>10}{'POST us':>10}{'memory MB':>12}")
        held = 1
        for size in sizes:
            cost_us(pid, port, max(size - held, 1), post_customer)
            held = max(size, held + 1)
            get = cost_us(pid, port, burst_size, get_customer(identifier))
            post = cost_us(pid, port, burst_size, post_customer)
            held += burst_size
            print(f"{size:>12,}{get:>10.0f}{post:>10.0f}{memory_mb(pid):>12.0f}", flush=True)
            figures.setdefault("GET customer", get)
            figures.setdefault("POST customer", post)
            figures[f"GET customer at {size:,}"] = get
            figures[f"POST customer at {size:,}"] = post
    return figures


def measure_localstripe(burst_size: int) -> dict[str, float]:
    """GET and POST of a customer with localstripe holding 200 of them (its writes grow with what it holds)."""
    with tempfile.TemporaryDirectory(prefix="localstripe-") as folder:
        venv.create(folder, with_pip=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "localstripe"]
        subprocess.run(pip, check=True)
        port = free_port()
        with running([f"{folder}/bin/localstripe", "--port", str(port), "--from-scratch"], port, "/") as (
            pid,
            start_ms,
        ):
            identifier = made(port, post_customer(0))
            cost_us(pid, port, 200, post_customer)
            return {
                "start": start_ms,
                "GET customer": cost_us(pid, port, burst_size, get_customer(identifier)),
                "POST customer": cost_us(pid, port, min(burst_size, 100), post_customer),
            }


def main() -> int:
    """Measure, compare with the targets and with the peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="up to 10,000 customers, smaller bursts")
    parser.add_argument("--no-peer", action="store_true", help="without localstripe")
    options = parser.parse_args()
    sizes = [100, 1_000, 10_000] if options.short else [100, 1_000, 10_000, 100_000]
    figures = measure_fake(sizes, 1_000 if options.short else 3_000)
    limits: dict[str, tuple[float, float]] = {
        f"{name}, us": (figures[name], limit) for name, limit in TARGETS_US.items()
    }
    for name in ("GET customer", "POST customer"):
        limits[f"{name} at {sizes[-1]:,}, us"] = (figures[f"{name} at {sizes[-1]:,}"], TARGETS_US[name])
    limits["start to first answer, ms"] = (figures["start to first answer, ms"], START_MS)
    limits["a new world and its first list, ms"] = (figures["a new world and its first list, ms"], WORLD_MS)
    limits["memory, catalog loaded, MB"] = (figures["memory with the catalog loaded, MB"], MEMORY_MB)
    print(f"\n{'':40}{'measured':>10}{'target':>10}")
    for name, (value, limit) in limits.items():
        print(f"{name:40}{value:>10.1f}{limit:>10.1f}{'' if value <= limit else '  MISSED'}")
    if not options.no_peer:
        peer = measure_localstripe(500)
        print("\nlocalstripe with 200 customers, and how many times cheaper fake_stripe is:")
        for name in ("GET customer", "POST customer"):
            print(f"  {name:16}{peer[name]:>8.0f} us   {peer[name] / figures[name]:>6.1f} x")
        print(
            f"  {'start':16}{peer['start']:>8.0f} ms   {peer['start'] / figures['start to first answer, ms']:>6.1f} x"
        )
    return 1 if any(value > limit for value, limit in limits.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
