"""`--workers 2` on PostgreSQL: one port, a killed worker is replaced while the other serves, one signal ends all."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cloneservice import CloneClient, Money

from fake_stripe import FakeStripe
from tests.stripe_http import StripeHttp


@contextmanager
def supervised(stripe: StripeHttp, ledger: str, *more: str) -> Iterator[tuple[Any, Any]]:
    command = ["serve", "--workers", "2", "--listen=127.0.0.1:0", "--stripe", stripe.url, "--ledger", ledger, *more]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLONESERVICE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "cloneservice_server", *command, "--json"],
        env={**environment, "STRIPE_API_KEY": stripe.api_key, "CLONESERVICE_LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, lines_of(process)
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=60)


def lines_of(process: Any) -> Iterator[dict[str, Any]]:
    for line in process.stderr:
        yield json.loads(line)


def next_pid(lines: Any) -> Any:
    return next(line["pid"] for line in lines if line["message"] == "worker serves")


def charge(target: str, shopper: str, account: str) -> Any:
    with CloneClient(target) as client:
        return client.clone_and_charge(shopper, account, Money(1099, "USD")).charge.state.name


def test_one_port_two_workers_one_replaced_all_stopped(postgres_url: str) -> None:
    with FakeStripe() as fake:
        stripe = StripeHttp(fake.url, "sk_test_workers")
        account = stripe.post("/v1/accounts", type="standard")["id"]
        shopper = stripe.post("/v1/customers")["id"]
        stripe.post("/v1/payment_methods/pm_card_visa/attach", customer=shopper)
        card = stripe.get("/v1/payment_methods", customer=shopper)["data"][0]["id"]
        stripe.post(f"/v1/customers/{shopper}", invoice_settings={"default_payment_method": card})
        with supervised(stripe, postgres_url) as (process, lines):
            said = json.loads(process.stdout.readline())
            pids = [next_pid(lines), next_pid(lines)]
            before = {charge(said["target"], shopper, account) for _ in range(6)}
            os.kill(pids[0], signal.SIGKILL)
            pids.append(next_pid(lines))
            after = {charge(said["target"], shopper, account) for _ in range(6)}
            process.terminate()
            code = process.wait(timeout=60)

    assert (said["workers"], before, after, code) == (2, {"SUCCEEDED"}, {"SUCCEEDED"}, 0)
    assert len(set(pids)) == 3
    assert [pid for pid in pids if is_running(pid)] == []


def test_workers_end_when_their_supervisor_is_killed(postgres_url: str) -> None:
    stripe = StripeHttp("http://127.0.0.1:1", "sk_test_workers")
    with supervised(stripe, postgres_url) as (process, lines):
        process.stdout.readline()
        workers = [os.pidfd_open(next_pid(lines)) for _ in range(2)]
        ends = select.poll()
        for worker in workers:
            ends.register(worker, select.POLLIN)
        process.kill()
        ended: set[int] = set()
        while len(ended) < 2 and (ready := ends.poll(60_000)):
            for worker, _ in ready:
                ended.add(worker)
                ends.unregister(worker)
        for worker in workers:
            os.close(worker)

    assert ended == set(workers)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_that_cannot_start_end_the_whole(postgres_url: str) -> None:
    stripe = StripeHttp("http://127.0.0.1:1", "sk_test_workers")
    with supervised(stripe, postgres_url, "--policy-file", "/no/such/policy") as (process, _):
        _, told = process.communicate(timeout=60)

    assert (process.returncode, "cannot read /no/such/policy" in told, "Traceback" in told) == (1, True, False)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--stripe", "fake"], "the embedded double lives in one process"),
        (["--stripe", "http://127.0.0.1:1", "--ledger", "sqlite:///x.db"], "--ledger postgresql://"),
    ],
)
def test_more_workers_than_one_are_refused_where_they_could_not_share(flags: Any, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cloneservice_server", "serve", "--workers", "2", *flags],
        env={**os.environ, "STRIPE_API_KEY": "sk_test_workers"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, told in done.stderr) == (2, True)
