"""Batches at Stripe's speed: how near to the limits, how many refusals, how much memory, and each item once.

    python -m bench.batch [--short] [--only live test million replicas] [--speed 4] [--items 10000] [--json]

- live, test: pairs over 50 accounts, through gRPC, engine, ledger (a SQLite file) and HTTP, against fake_stripe in a
  process of its own with its rate limits on. fake_stripe limits each account; a gate in front of it, stricter than
  what Stripe documents, counts all accounts together and refuses with 429 what would be more in any second, so that
  nothing over the limit passes unseen. Time can be made to run
  `--speed` times as fast on both sides, which is harder: the jitter of this machine weighs so much more.
- million: one CreateCloneBatch of 1,000 x 1,000, and as many pairs in chunks; laid out, and listed page by page.
- replicas: two server processes on PostgreSQL, in real time, one of them killed half-way.

`--short` takes fewer items (under a minute). The exit code is 1 when a figure does not hold.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from argparse import Namespace
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from cloneservice import AsyncCloneClient, BatchOperation, BatchPair, BatchState, CloneBatch, CrossProduct  # noqa: E402
from cloneservice_server.app import App, build_app  # noqa: E402
from cloneservice_server.domain.errors import DomainError  # noqa: E402
from cloneservice_server.ledger import open_ledger  # noqa: E402
from cloneservice_server.ports import Refused, StripeAnswer, StripeCall, StripeGateway  # noqa: E402
from cloneservice_server.settings import load  # noqa: E402
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway  # noqa: E402
from cloneservice_server.stripe_gateway.pacing import endpoint_of  # noqa: E402

from bench.report import Check, Column, Report, Table, Value, arguments  # noqa: E402
from tests.postgres_fixture import PostgresServer, find_binaries  # noqa: E402

KEY = "sk_test_bench"
LIMITS = {"live": 100, "test": 25}
ENDPOINT = 25
RATE_LEAST = 0.95
MEMORY_MOST_MB = 50.0
CREATE_MOST_S = 60.0


class FastClock:
    """`ports.Clock` that runs `speed` times as fast as the machine's."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._wall_us, self._since = time.time_ns() // 1000, time.monotonic()

    def now_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return self._wall_us + round(self.monotonic_s() * 1_000_000)

    def monotonic_s(self) -> float:
        """Seconds since the start."""
        return (time.monotonic() - self._since) * self._speed

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` of these seconds."""
        await asyncio.sleep(delay_s / self._speed)


class Gate:
    """Counts every call, and refuses what is more than the limits allow in any second, over all accounts."""

    def __init__(self, gateway: StripeGateway, clock: FastClock, per_second: int) -> None:
        self._gateway, self._clock = gateway, clock
        self._limits = {"": per_second}
        self._recent: dict[str, deque[float]] = {}
        self.sent: list[float] = []
        self.by_endpoint: Counter[str] = Counter()
        self.refused: list[float] = []

    async def send(self, call: StripeCall, *, idempotency_key: str = "", timeout_s: float = 30.0) -> StripeAnswer:
        """One call."""
        now_s, endpoint = self._clock.monotonic_s(), endpoint_of(call)
        for name in ("", endpoint):
            times = self._recent.setdefault(name, deque())
            while times and times[0] <= now_s - 1.0:
                times.popleft()
            if len(times) >= self._limits.get(name, ENDPOINT):
                self.refused.append(now_s)
                raise Refused(429, code="rate_limit", rate_limited_reason="endpoint-rate" if name else "global-rate")
            times.append(now_s)
        self.sent.append(now_s)
        self.by_endpoint[endpoint] += 1
        try:
            return await self._gateway.send(call, idempotency_key=idempotency_key, timeout_s=timeout_s)
        except Refused as refused:
            if refused.status == 429:
                self.refused.append(self._clock.monotonic_s())
            raise

    def explain(self, refused: Refused, step: str) -> DomainError:
        """What a refusal means."""
        return self._gateway.explain(refused, step)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._gateway.aclose()


# -------------------------------------------------------------------------------------------------- the two sides


@contextmanager
def double(speed: float, limits: str) -> Iterator[str]:
    """The URL of a double in a process of its own."""
    command = [sys.executable, "-m", "bench.batch_double", str(speed), limits]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        child.wait(timeout=20)


class Seeds:
    """Makes objects at the double, over one connection."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=60)

    def call(self, method: str, path: str, account: str = "", **params: str) -> dict[str, Any]:
        """One call, begun again while the double finds it too fast."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
        if account:
            headers["Stripe-Account"] = account
        while True:
            self._http.request(method, path, urllib.parse.urlencode(params), headers)
            answer = self._http.getresponse()
            body: dict[str, Any] = json.loads(answer.read())
            if answer.status != 429:
                assert answer.status == 200, body
                return body
            time.sleep(0.01)

    def shoppers(self, count: int) -> list[tuple[str, str]]:
        """(customer, saved card)."""
        made = []
        for _ in range(count):
            customer = self.call("POST", "/v1/customers")["id"]
            made.append(
                (customer, self.call("POST", "/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"])
            )
        return made

    def accounts(self, count: int) -> list[str]:
        """Connected accounts."""
        return [self.call("POST", "/v1/accounts", type="standard", country="US")["id"] for _ in range(count)]

    def customers_on(self, account: str) -> int:
        """How many customers an account has."""
        many, params = 0, {"limit": "100"}
        while True:
            page = self.call("GET", "/v1/customers?" + urllib.parse.urlencode(params), account)
            many += len(page["data"])
            if not page["has_more"]:
                return many
            params["starting_after"] = page["data"][-1]["id"]


@asynccontextmanager
async def served(url: str, directory: str, clock: FastClock, per_second: int) -> AsyncIterator[tuple[App, Gate]]:
    """A server in this process, behind the gate."""
    flags = {
        "stripe": url,
        "ledger": f"sqlite:///{directory}/ledger.db",
        "listen": "127.0.0.1:0",
        "stripe_rate_limit": per_second,
        "stripe_endpoint_rate_limit": ENDPOINT,
        "log_level": "error",
    }
    settings = load(flags, {"STRIPE_API_KEY": KEY})
    gate = Gate(SdkStripeGateway(KEY, base_url=url), clock, per_second)
    app = build_app(settings, gateway=gate, ledger=open_ledger(settings.ledger, clock), clock=clock)
    await app.start()
    try:
        yield app, gate
    finally:
        await app.stop(1.0)


def resident_mb() -> float:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def peak_mb(work: Awaitable[Any]) -> tuple[Any, float]:
    """What the work gives, and the most memory meanwhile."""
    most = resident_mb()
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait([task], timeout=0.25)
        most = max(most, resident_mb())
    return task.result(), most


# ---------------------------------------------------------------------------------------------------- the figures


def within(name: str, figure: float, limit: float, told: str, unit: str) -> Check:
    """A figure that must not be more than `limit`."""
    return Check(name, told, f"at most {limit:.0f} {unit}", figure <= limit)


async def final(client: AsyncCloneClient, batch_id: str) -> CloneBatch:
    """The batch, once it is final."""
    batch = None
    async for event in client.watch_batch(batch_id):
        batch = event.batch or batch
    assert batch is not None
    return batch


async def pace(report: Report, mode: str, items: int, speed: float) -> dict[str, Value]:
    """A batch at the limits of `mode`: a row of the table."""
    per_second, accounts = LIMITS[mode], 50
    with double(speed, mode) as url, tempfile.TemporaryDirectory() as directory:
        seeds = Seeds(url)
        shoppers, sellers = seeds.shoppers(-(-items // accounts)), seeds.accounts(accounts)
        pairs = [BatchPair(customer, account, card) for customer, card in shoppers for account in sellers][:items]
        async with (
            served(url, directory, FastClock(speed), per_second) as (app, gate),
            AsyncCloneClient(f"127.0.0.1:{app.port}") as client,
        ):
            await client.create_batch(BatchOperation.CLONE, pairs, validate_only=True)  # what a first call imports
            idle = resident_mb()
            made = await client.create_batch(BatchOperation.CLONE, pairs)
            batch, most = await peak_mb(final(client, made.batch.batch_id))
        there = sum(seeds.customers_on(account) for account in sellers)
    calls, elapsed_s = len(gate.sent), gate.sent[-1] - gate.sent[0]
    bound = min(per_second / (calls / items), ENDPOINT)
    rate = (items - 1) / elapsed_s
    late = [at_s for at_s in gate.refused if at_s > gate.sent[0] + 1.0]
    told = f"{rate:.2f} of {bound:.2f} items/s, {calls / elapsed_s:.1f} calls/s; {elapsed_s:.0f} s"
    once = there == items == batch.succeeded_count
    report.checks += [
        Check(f"{mode}: rate", f"{rate / bound:.1%} ({told})", "at least 95 %", rate >= RATE_LEAST * bound),
        Check(f"{mode}: 429 after the first second", f"{len(late)} of {calls}", "none", not late),
        within(f"{mode}: memory over idle", most - idle, MEMORY_MOST_MB, f"{most - idle:.0f} MB", "MB"),
        Check(f"{mode}: each item once", f"{batch.succeeded_count} done, {there} there", f"{items} and {items}", once),
    ]
    report.ratios[f"batch at the {mode} limits: possible / done"] = bound / rate
    figures = {"items": items, "possible": bound, "rate": rate, "share": rate / bound * 100, "seconds": elapsed_s}
    return {"case": f"{mode} limits", **figures, "refused": len(late), "memory": most - idle}


async def million(report: Report, side: int) -> None:
    """Create, lay out and list `side` x `side` items, and the same number in chunks of pairs."""
    customers, accounts = (tuple(f"{name}_{n:018}" for n in range(side)) for name in ("cus", "acct"))

    async def as_product(client: AsyncCloneClient) -> str:
        product = CrossProduct(customers, accounts)
        return (await client.create_batch(BatchOperation.CLONE, product)).batch.batch_id

    async def as_chunks(client: AsyncCloneClient) -> str:
        batch_id = (await client.create_batch(BatchOperation.CLONE, None)).batch.batch_id
        for start in range(0, side, max(1, 5000 // side)):
            some = accounts[start : start + max(1, 5000 // side)]
            pairs = [BatchPair(customer, account) for account in some for customer in customers]
            await client.add_batch_items(batch_id, pairs, seal=some[-1] == accounts[-1])
        return batch_id

    for name, create in (("cross product", as_product), ("chunks of pairs", as_chunks)):
        report.checks += await _large(name, side * side, create)


async def _large(name: str, count: int, create: Callable[[AsyncCloneClient], Awaitable[str]]) -> list[Check]:
    with double(1.0, "off") as url, tempfile.TemporaryDirectory() as directory:
        async with (
            served(url, directory, FastClock(1.0), 1) as (app, _),  # one call a second: nearly nothing runs meanwhile
            AsyncCloneClient(f"127.0.0.1:{app.port}") as client,
        ):
            idle, began = resident_mb(), time.monotonic()
            batch_id, most = await peak_mb(create(client))
            created_s = time.monotonic() - began
            _, most_2 = await peak_mb(_laid_out(client, batch_id))
            laid_out_s, began = time.monotonic() - began, time.monotonic()
            listed, most_3 = await peak_mb(_listed(client, batch_id))
            listed_s = time.monotonic() - began
            more_mb = max(most, most_2, most_3) - idle
            size_mb = (Path(directory) / "ledger.db").stat().st_size / 1e6
    accepted, listing = f"{created_s:.2f} s, laid out in {laid_out_s:.1f} s", f"{listed:,} in {listed_s:.1f} s"
    what = f"{count:,} by {name}"
    return [
        within(f"{what}: accepted", created_s, CREATE_MOST_S, accepted, "s"),
        Check(f"{what}: listed", f"{listing}, {size_mb:.0f} MB file", f"{count:,}", listed == count),
        within(f"{what}: memory over idle", more_mb, MEMORY_MOST_MB, f"{more_mb:.0f} MB", "MB"),
    ]


async def _laid_out(client: AsyncCloneClient, batch_id: str) -> None:
    while (await client.get_batch(batch_id)).state is BatchState.PENDING:  # noqa: ASYNC110 - a server's state
        await asyncio.sleep(0.1)


async def _listed(client: AsyncCloneClient, batch_id: str) -> int:
    many = 0
    async for item in client.list_batch_items(batch_id, page_size=200):
        assert item.index == many
        many += 1
    return many


async def replicas(report: Report, items: int) -> None:
    """Two servers on PostgreSQL share a batch; one is killed half-way."""
    binaries = find_binaries()
    if binaries is None:
        report.remark("replicas: left out, no PostgreSQL on this machine")
        return
    database = PostgresServer(binaries)
    await asyncio.to_thread(database.create)
    try:
        ledger = await asyncio.to_thread(database.new_database)
        with double(1.0, "off") as url:
            seeds = Seeds(url)
            sellers, shoppers = seeds.accounts(20), seeds.shoppers(items // 20)
            pairs = [BatchPair(customer, account, card) for customer, card in shoppers for account in sellers]
            command = [sys.executable, "-m", "cloneservice_server", "serve", "--stripe", url, "--lease-s", "3"]
            command += ["--ledger", ledger, "--listen", "127.0.0.1:0"]
            command += ["--stripe-rate-limit", "100", "--stripe-endpoint-rate-limit", "50"]
            batch, took_s = await _killed_half_way(command, pairs)
            there = sum(seeds.customers_on(account) for account in sellers)
    finally:
        database.remove()
    figure = f"{batch.succeeded_count} done, {there} there, in {took_s:.0f} s ({items / took_s:.1f}/s of 48.5)"
    once = there == items == batch.succeeded_count
    report.checks.append(Check("replicas: each item once, one killed half-way", figure, "each once", once))


async def _killed_half_way(command: list[str], pairs: list[BatchPair]) -> tuple[CloneBatch, float]:
    environment = {**os.environ, "STRIPE_API_KEY": KEY}
    servers = [_started(command, environment) for _ in range(2)]
    try:
        targets = [await asyncio.to_thread(_target, server) for server in servers]
        began = time.monotonic()
        async with AsyncCloneClient(targets[1]) as client:
            made = await client.create_batch(BatchOperation.CLONE, pairs)
            while (await client.get_batch(made.batch.batch_id)).succeeded_count < len(pairs) // 2:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            servers[0].kill()
            return await final(client, made.batch.batch_id), time.monotonic() - began
    finally:
        for server in servers:
            server.kill()
            server.wait()


def _started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def _target(server: subprocess.Popen[str]) -> str:
    """Where a server listens: it says so on its first line."""
    assert server.stdout is not None
    words = server.stdout.readline().split()
    if words[:2] != ["listening", "on"]:
        raise SystemExit("a server did not start")
    return words[2]


COLUMNS = [
    Column("case", "pairs over 50 accounts"),
    Column("items", "items"),
    Column("possible", "possible, items/s", 1),
    Column("rate", "done, items/s", 2),
    Column("share", "share, %", 1),
    Column("seconds", "took, s"),
    Column("refused", "refused with 429"),
    Column("memory", "memory over idle, MB"),
]


async def run(given: Namespace) -> int:
    """Measure what was asked for; the exit code."""
    report = Report(given.json)
    sizes = {"live": 400, "test": 120} if given.short else {"live": given.items, "test": given.items}
    rows = [await pace(report, mode, sizes[mode], given.speed) for mode in ("live", "test") if mode in given.only]
    if rows:
        report.table(Table("batch", "Batches at Stripe's limits", COLUMNS, rows))
    if "million" in given.only:
        await million(report, 120 if given.short else 1000)
    if "replicas" in given.only:
        await replicas(report, 300 if given.short else given.items)
    return report.finish()


def main() -> int:
    """Read the arguments and run."""
    parser = arguments(__doc__)
    parser.add_argument("--short", action="store_true", help="fewer items: under a minute")
    parser.add_argument("--items", type=int, default=10_000, help="of each batch but the million; a multiple of 100")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster time runs; default 1")
    stories = ["live", "test", "million", "replicas"]
    parser.add_argument("--only", nargs="+", choices=stories, default=stories)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
