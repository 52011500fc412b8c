"""A first charge two ways: four calls in a row, or five calls in three round trips.

    python bench/critical_path.py [--delay 0.2] [--rounds 10]

Through the real gateway, against bench/responder.py answering after a delay. The figures and the choice are in
docs/adr/0001-critical-path.md.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cloneservice_server.ports import StripeCall
from cloneservice_server.stripe_gateway.gateway import SdkStripeGateway

ACCOUNT = "acct_1Bench000000001"
HERE = Path(__file__).resolve().parent


async def post(gateway: SdkStripeGateway, path: str, **params: Any) -> Any:
    """One call with a key of its own."""
    return (await gateway.send(StripeCall("POST", path, ACCOUNT, params), idempotency_key=uuid.uuid4().hex)).body


async def four_in_a_row(gateway: SdkStripeGateway) -> None:
    """Clone; customer made with it; create; confirm."""
    clone = await post(gateway, "/v1/payment_methods", customer="cus_a", payment_method="pm_a")
    customer = await post(gateway, "/v1/customers", payment_method=clone["id"])
    intent = await post(
        gateway, "/v1/payment_intents", amount=1999, customer=customer["id"], payment_method=clone["id"]
    )
    await post(gateway, f"/v1/payment_intents/{intent['id']}/confirm")


async def five_in_three(gateway: SdkStripeGateway) -> None:
    """Clone beside customer; attach beside create; confirm with the payment method."""
    clone, customer = await asyncio.gather(
        post(gateway, "/v1/payment_methods", customer="cus_a", payment_method="pm_a"), post(gateway, "/v1/customers")
    )
    _, intent = await asyncio.gather(
        post(gateway, "/v1/payment_methods", attach=clone["id"], customer=customer["id"]),
        post(gateway, "/v1/payment_intents", amount=1999, customer=customer["id"]),
    )
    await post(gateway, f"/v1/payment_intents/{intent['id']}/confirm", payment_method=clone["id"])


async def measure(url: str, way: Callable[[SdkStripeGateway], Awaitable[None]], rounds: int) -> tuple[float, float]:
    """Median milliseconds, and milliseconds of CPU, of one first charge."""
    gateway = SdkStripeGateway("sk_test_bench", base_url=url)
    await way(gateway)
    took: list[float] = []
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(rounds):
        started = time.monotonic()
        await way(gateway)
        took.append(time.monotonic() - started)
    after = resource.getrusage(resource.RUSAGE_SELF)
    await gateway.aclose()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return statistics.median(took) * 1e3, cpu / rounds * 1e3


def main() -> None:
    """Measure both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds a call to Stripe takes")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    command = [sys.executable, str(HERE / "responder.py"), str(options.delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as responder:
        assert responder.stdout is not None
        url = f"http://127.0.0.1:{responder.stdout.readline().strip()}"
        print(f"{'':16}{'calls':>6}{'median ms':>11}{'CPU ms':>8}")
        for way, calls in ((four_in_a_row, 4), (five_in_three, 5)):
            median, cpu = asyncio.run(measure(url, way, options.rounds))
            print(f"{way.__name__:16}{calls:>6}{median:>11.0f}{cpu:>8.2f}")
        responder.terminate()


if __name__ == "__main__":
    main()
