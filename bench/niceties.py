"""What TLS, authentication, tracing, metrics and logs cost together, against the bare service, in one run.

    python -m bench.niceties [--seconds 3] [--rounds 5] [--in-flight 64] [--each] [--json]

Two servers run side by side on the same local responder: one bare (plain text, nothing but warnings logged), one with
mutual TLS, a token, a policy, an audit line and a JSON log line per call, traces sampled at 10 %, metrics, and both
exported over OTLP. Rounds alternate between them; CPU is the server's own, per CloneAndCharge with the clone known (two
calls to Stripe, where the niceties weigh most). The median of the rounds' ratios counts. `--each` measures each alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloneservice import AsyncCloneClient, Money, Tls
from cloneservice_server.access.tokens import new_token

from bench.measure import ACCOUNT, HERE, KEY, Spread, cpu_s, hammer, process, ratios, spread
from bench.report import Column, Report, Table, Value, arguments
from tests.certificates import Authority

TARGET = 1.25
IDENTITY = "spiffe://bench.test/caller"
POLICY = f"""
version: 1
callers:
  bench:
    identities: ["{IDENTITY}", "token:bench"]
    rpcs: [CloneAndCharge, GetCharge]
    accounts: [{ACCOUNT}]
    max_amount: {{USD: 5000}}
"""


@dataclass(slots=True)
class Server:
    """A running server, and how to call it."""

    pid: int
    target: str
    options: dict[str, Any]

    async def cost_ms(self, seconds: float, in_flight: int) -> float:
        """CPU milliseconds of one CloneAndCharge."""
        async with AsyncCloneClient(self.target, **self.options) as client:

            async def operation() -> None:
                await client.clone_and_charge(
                    platform_customer_id="cus_known",
                    platform_payment_method_id="pm_known",
                    connected_account_id=ACCOUNT,
                    amount=Money(1999, "USD"),
                    application_fee=Money(199, "USD"),
                )

            await hammer(operation, min(0.5, seconds), in_flight)
            before = cpu_s(self.pid)
            done, _ = await hammer(operation, seconds, in_flight)
            return (cpu_s(self.pid) - before) / done * 1e3


class Bench:
    """Files and neighbours that servers of every kind need."""

    def __init__(self, folder: Path, stripe_url: str, collector: str) -> None:
        self.folder, self.stripe_url, self.collector = folder, stripe_url, collector
        self.authority = Authority()
        self.cert, self.key = self.authority.leaf("localhost").write(folder, "server")
        self.ca, self.policy, self.tokens = folder / "ca.crt", folder / "policy.yaml", folder / "tokens"
        self.ca.write_bytes(self.authority.pem)
        self.policy.write_text(POLICY)
        self.token, line = new_token("bench")
        self.tokens.write_text(line)

    @contextmanager
    def server(self, name: str, *niceties: str) -> Iterator[Server]:
        """A server with some of `NICETIES`."""
        flags = ["serve", "--stripe", self.stripe_url, "--listen", "127.0.0.1:0", "--json"]
        flags += ["--ledger", f"sqlite:///{self.folder}/{name}.db"]
        options: dict[str, Any] = {}
        if "tls" in niceties:
            flags += ["--tls-cert-file", str(self.cert), "--tls-key-file", str(self.key)]
            flags += ["--tls-client-ca-file", str(self.ca)]
            leaf = self.authority.leaf(IDENTITY)
            options["tls"] = Tls(
                root_certificates=self.authority.pem, private_key=leaf.key, certificate_chain=leaf.cert
            )
        if "auth" in niceties:
            flags += ["--policy-file", str(self.policy), "--token-file", str(self.tokens)]
            options["token"] = self.token
        if "metrics" in niceties:
            flags += ["--admin-listen", "127.0.0.1:0"]
        if "tracing" in niceties:
            flags += ["--otlp-endpoint", f"http://{self.collector}", "--trace-sample-percent", "10"]
        flags += ["--log-level", "info", "--log-format", "json"] if "logs" in niceties else ["--log-level", "warning"]
        with (self.folder / f"{name}.log").open("w") as log, _standard_error(log):
            server = process(sys.executable, "-m", "cloneservice_server", *flags, STRIPE_API_KEY=KEY)
            with server as (pid, line):
                yield Server(pid, f"localhost:{json.loads(line)['port']}", options)


NICETIES = ("tls", "auth", "metrics", "tracing", "logs")


@contextmanager
def _standard_error(log: Any) -> Iterator[None]:
    """Child processes write their standard error to `log`, as they would to a pipe of an orchestrator."""
    import os  # noqa: PLC0415 - for this alone

    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def compare(bench: Bench, given: Namespace, name: str, *niceties: str) -> tuple[Spread, Spread, Spread]:
    """Milliseconds bare, milliseconds with `niceties`, and their ratio."""
    with bench.server(f"{name}-bare") as bare, bench.server(name, *niceties) as full:
        rounds = [
            (
                asyncio.run(bare.cost_ms(given.seconds, given.in_flight)),
                asyncio.run(full.cost_ms(given.seconds, given.in_flight)),
            )
            for _ in range(given.rounds)
        ]
    plain, nice = zip(*rounds, strict=True)
    return spread(plain), spread(nice), ratios(nice, plain)


NAMES = {
    "all": "all together",
    "tls": "mutual TLS",
    "auth": "token, policy, audit",
    "metrics": "metrics",
    "tracing": "tracing",
    "logs": "logs",
}
COLUMNS = [
    Column("case", "with"),
    Column("bare", "bare, ms", 2),
    Column("with", "with, ms", 2),
    Column("ratio", "ratio", 2),
]


def main() -> int:
    """Measure, print the table; exit 1 when all together cost more than a quarter."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each server, alternating")
    parser.add_argument("--in-flight", type=int, default=64, help="operations at once")
    parser.add_argument("--each", action="store_true", help="also measure each nicety alone")
    given = parser.parse_args()
    sets = {"all": NICETIES, **({name: (name,) for name in NICETIES} if given.each else {})}
    report, rows = Report(given.json), list[dict[str, Value]]()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, stripe = stack.enter_context(process(sys.executable, str(HERE / "responder.py")))
        _, collector = stack.enter_context(process(sys.executable, str(HERE / "collector.py")))
        bench = Bench(folder, f"http://127.0.0.1:{stripe}", f"127.0.0.1:{collector}")
        for name, niceties in sets.items():
            plain, nice, ratio = compare(bench, given, name, *niceties)
            rows.append({"case": NAMES[name], "bare": plain, "with": nice, "ratio": ratio})
            if name == "all":
                report.at_most("all niceties, CPU of the bare service", ratio[0], TARGET, " times", 2)
                report.ratios["all niceties / bare service"] = ratio[0]
    report.table(Table("niceties", "CloneAndCharge with the clone known, CPU of the server", COLUMNS, rows))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
