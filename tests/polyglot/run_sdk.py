"""Stripe's own SDKs as clients of the doubles: all they do with fake_stripe, and the same examples with stripe-mock.

    python -m tests.polyglot.run_sdk      (or `make sdk`, which builds stripe-mock first and names it in STRIPE_MOCK)

Each SDK runs its suite against fake_stripe over HTTP/1.1 and over TLS with HTTP/2, then its examples against
stripe-mock and against `fake-stripe --stateless` with stripe-mock's own flags. Ends with `N passed, N failed`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.certificates import Authority
from tests.polyglot.run import BIN, NODE, PASSED, Outcomes, Suite, play, read_go, read_surefire, read_tap, report

SELLER = "acct_1SellerOfTheSuite"
SDKS = (
    Suite("stripe-node", "tests/polyglot/sdk/node", ("node", "npm"), (*NODE, "sdk.test.mjs"), read_tap),
    Suite("stripe-go", "tests/polyglot/sdk/go", ("go",), ("go", "test", "-count=1", "-json", "."), read_go),
    Suite("stripe-java", "tests/polyglot/sdk/java", ("java", "mvn"), ("mvn", "-q", "-B", "test"), read_surefire),
)
BUILDS = {"stripe-node": (("npm", "ci", "--silent"),), "stripe-go": (("go", "vet", "."),)}
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Double:
    """A running double as a suite is told of it."""

    name: str
    url: str
    authority: str = ""
    """PEM file that vouches for it; empty where nobody does."""
    stateless: bool = False

    def environment(self, suite: str) -> dict[str, str]:
        """A world of this suite's own, by its key."""
        words = "".join(letter for letter in f"{suite}{self.name}" if letter.isalnum())
        told = {"STRIPE_BASE": self.url, "STRIPE_KEY": f"sk_test_{words}", "STRIPE_SELLER": SELLER}
        if self.authority:
            told["STRIPE_CA"] = self.authority
        if self.stateless:
            told["STRIPE_STATELESS"] = "1"
        return told


@contextmanager
def listening(command: Sequence[str], folder: Path, pattern: str) -> Iterator[list[Any]]:
    """Run a server that says in two lines where it listens; what `pattern` finds in them. Its output goes to a file."""
    log = folder / f"{Path(command[0]).name}-{len(command)}.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            ends = time.monotonic() + _START_S
            while len(found := re.findall(pattern, log.read_text(encoding="utf-8"))) < 2:
                if time.monotonic() > ends or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} did not start: {log.read_text(encoding='utf-8')[-2000:]}")
                time.sleep(0.05)
            yield found
        finally:
            process.terminate()
            process.wait()


@contextmanager
def doubles(folder: Path) -> Iterator[list[Double]]:
    """fake_stripe both ways, and the two stateless doubles by the same flags."""
    authority = Authority()
    root = folder / "root.crt"
    root.write_bytes(authority.pem)
    cert, key = authority.leaf("localhost", "127.0.0.1").write(folder, "double")
    fake, says = str(BIN / "fake-stripe"), r"serves (https?://\S+)"
    flags = ["--port", "0", "--https-port", "0", "--cert", str(cert), "--key", str(key)]
    ports = ["-http-port", "0", "-https-port", "0"]
    with ExitStack() as running:
        plain, secure = running.enter_context(listening([fake, "serve", *flags], folder, says))
        found = [Double("HTTP/1.1", plain), Double("HTTP/2", secure, str(root))]
        urls = running.enter_context(listening([fake, *ports, "--stateless"], folder, says))
        found += [Double(f"stateless {url.partition(':')[0]}", url, stateless=True) for url in urls]
        if mock := os.environ.get("STRIPE_MOCK"):
            pairs = running.enter_context(listening([mock, *ports], folder, r"for (HTTPS?) at address: \S*:(\d+)"))
            for scheme, port in ((scheme.lower(), port) for scheme, port in pairs):
                url = f"{scheme}://127.0.0.1:{port}"
                found.append(Double(f"stripe-mock {scheme}", url, stateless=True))
        yield found


def seed(double: Double, key: str) -> None:
    """Connect the seller in the suite's world."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"accounts": [SELLER]}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{double.url}/_fake/seed", body, headers)) as answer:
        assert answer.status == 200


def played(suite: Suite, double: Double, plain: Double) -> Outcomes:
    """One SDK against one double; a stateless one is shown the examples alone."""
    environment = double.environment(suite.name)
    if not double.stateless:
        seed(plain, environment["STRIPE_KEY"])  # the same worlds behind both ports
    outcomes = play(replace(suite, environment=environment))
    return {"examples": outcomes.get("examples", "skipped")} if double.stateless else outcomes


def main() -> int:
    """Play everything; the exit code."""
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="stripe-sdks-") as folder, doubles(Path(folder)) as running:
        for suite in SDKS:
            found: dict[str, Outcomes] = {}
            for number, double in enumerate(running):
                built = replace(suite, build=BUILDS.get(suite.name, ()) if number == 0 else ())
                found[double.name] = played(built, double, running[0])
            print(f"\n{suite.name}")
            passed_here, failed_here = report(found)
            passed, failed = passed + passed_here, failed + failed_here
    print(f"{passed} {PASSED}, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
