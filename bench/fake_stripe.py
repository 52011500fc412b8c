"""What fake_stripe costs: CPU per request, start, memory, growth; beside localstripe and stripe-mock in the same run.

    python -m bench.fake_stripe [--short] [--json]

CPU is the server process's own user + system time around a burst of requests over 8 keep-alive connections, validation,
journal and events on. The others are taken from LOCALSTRIPE (of PyPI, GPL: only run, in a venv of its own) and
STRIPE_MOCK (Stripe's own, in Go), paths of programs that `make bench` sets up; who is not there is left out. Rounds
alternate between them. Exit code 1 when a figure misses its target.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import doubles
from bench.measure import KEY, cpu_s, free_port, memory_mb, ratios, spread, yardstick_us
from bench.report import Column, Report, Table, Value, arguments

TARGETS_US = {"GET customer": 250, "POST customer": 400, "confirm PaymentIntent": 900}
START_MS, WORLD_MS, MEMORY_MB = 400, 1.0, 90
HELD = 200  # customers that each double holds when they are compared: localstripe's writes grow with what it holds


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


PAYMENT = {"amount": "1999", "currency": "usd", "payment_method": "pm_card_visa", "payment_method_types[]": "card"}


def confirm_cost_us(pid: int, port: int, count: int) -> float:
    """Confirming PaymentIntents that are made beforehand."""
    identifiers = [made(port, Request("POST", "/v1/payment_intents", PAYMENT)) for _ in range(count)]
    return cost_us(pid, port, count, lambda n: Request("POST", f"/v1/payment_intents/{identifiers[n]}/confirm", {}))


def pay(_: int) -> Request:
    """A payment that succeeds at once: intent, charge, balance transaction, five events."""
    return Request("POST", "/v1/payment_intents", PAYMENT | {"confirm": "true"})


def measure_targets(report: Report, burst_size: int) -> None:
    """Start, memory with the catalog loaded, a new world, a confirmed payment."""
    port = free_port()
    with running(doubles.fake_stripe(port), port, "/_fake/health") as (pid, start_ms):
        made(port, post_customer(0))
        memory = memory_mb(pid)
        worlds = cost_us(pid, port, 200, lambda n: Request("GET", "/v1/customers", {}, f"sk_test_world{n}"))
        confirm = confirm_cost_us(pid, port, min(burst_size, 500))
    report.at_most("fake_stripe, start to first answer", start_ms, START_MS, " ms")
    report.at_most("fake_stripe, memory with the catalog loaded", memory, MEMORY_MB, " MB")
    report.at_most("fake_stripe, a new world and its first list", worlds / 1e3, WORLD_MS, " ms", 2)
    report.at_most("fake_stripe, confirm a PaymentIntent", confirm, TARGETS_US["confirm PaymentIntent"], " us")
    report.ratios["fake_stripe: confirm / yardstick"] = confirm / yardstick_us()


def measure_growth(report: Report, sizes: list[int], burst_size: int) -> None:
    """CPU per request and memory by what is held: customers, and a tenth as many payments.

    Memory is read before the bursts, which leave more.
    """
    port, rows, held = free_port(), list[dict[str, Value]](), 0
    costs: dict[str, list[float]] = {"get": [], "post": [], "confirm": []}
    with running(doubles.fake_stripe(port), port, "/_fake/health") as (pid, _):
        identifier = made(port, post_customer(0))
        for size in sizes:
            cost_us(pid, port, max(size - held, 1), post_customer)
            cost_us(pid, port, max((size - held) // 10, 1), pay)
            memory = memory_mb(pid)
            row = {
                "get": spread([cost_us(pid, port, burst_size, get_customer(identifier)) for _ in range(3)]),
                "post": spread([cost_us(pid, port, burst_size // 3, post_customer) for _ in range(3)]),
                "confirm": spread([confirm_cost_us(pid, port, burst_size // 15) for _ in range(3)]),
            }
            held = size + burst_size
            rows.append({"case": size, **row, "memory": memory})
            for key, found in row.items():
                costs[key].append(found[0])
    columns = [Column("case", "customers held"), Column("get", "GET a customer, us"), Column("post", "POST one, us")]
    columns += [Column("confirm", "confirm a payment, us"), Column("memory", "memory, MB")]
    report.table(Table("double_growth", "fake_stripe by what it holds, CPU of the server", columns, rows))
    for key, name in (("get", "GET customer"), ("post", "POST customer"), ("confirm", "confirm PaymentIntent")):
        least, most = costs[key][0], costs[key][-1]
        report.at_most(f"fake_stripe, {name} at {sizes[-1]:,}", most, TARGETS_US[name], " us")
        report.ratios[f"fake_stripe: {name.split()[0]}, most held / least held"] = most / least


@dataclass
class Double:
    """A running double and what has been measured of it."""

    name: str
    pid: int
    port: int
    customer: str
    get_us: list[float]
    post_us: list[float]


def compare(report: Report, rounds: int, burst_size: int) -> None:
    """The same requests to each double, in turn; localstripe's writes are few, since each takes milliseconds."""
    with ExitStack() as stack:
        running_doubles = []
        for name, command in doubles.here(report).items():
            port = free_port()
            pid, _ = stack.enter_context(running(command(port), port, "/v1/customers"))
            double = Double(name, pid, port, made(port, post_customer(0)), [], [])
            cost_us(pid, port, HELD, post_customer)
            running_doubles.append(double)
        for _ in range(rounds):
            for it in running_doubles:
                it.get_us.append(cost_us(it.pid, it.port, burst_size, get_customer(it.customer)))
                posts = 50 if it.name == "localstripe" else burst_size
                it.post_us.append(cost_us(it.pid, it.port, posts, post_customer))
        rows: list[dict[str, Value]] = [
            {
                "case": it.name,
                "get": spread(it.get_us),
                "post": spread(it.post_us),
                "get_ratio": ratios(it.get_us, running_doubles[0].get_us),
                "post_ratio": ratios(it.post_us, running_doubles[0].post_us),
                "memory": memory_mb(it.pid),
            }
            for it in running_doubles
        ]
    columns = [
        Column("case", f"{HELD} customers held"),
        Column("get", "GET a customer, us"),
        Column("get_ratio", "fake_stripe = 1", 1),
        Column("post", "POST one, us"),
        Column("post_ratio", "fake_stripe = 1", 1),
        Column("memory", "memory, MB"),
    ]
    report.table(Table("doubles", "The doubles side by side, CPU of the server", columns, rows))
    ours, unit = running_doubles[0], yardstick_us()
    report.ratios |= {
        "fake_stripe: GET / yardstick": spread(ours.get_us)[0] / unit,
        "fake_stripe: POST / yardstick": spread(ours.post_us)[0] / unit,
    }
    for it in running_doubles[1:]:
        report.ratios[f"fake_stripe: GET / {it.name}"] = ratios(ours.get_us, it.get_us)[0]


def main() -> int:
    """Measure, compare with the targets and with the others."""
    parser = arguments(__doc__)
    parser.add_argument("--short", action="store_true", help="up to 10,000 customers, smaller bursts")
    given = parser.parse_args()
    report, burst_size = Report(given.json), 900 if given.short else 3_000
    measure_targets(report, burst_size)
    compare(report, 3 if given.short else 5, burst_size)
    measure_growth(report, [100, 1_000, 10_000] if given.short else [100, 1_000, 10_000, 100_000], burst_size)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
