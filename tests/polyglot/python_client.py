"""The scenarios of the other languages with the Python client, in a venv that has nothing but its wheel.

Prints one JSON object a line: {"scenario": ..., "outcome": "passed" | "failed", "detail": ...}. Run by run.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any

from cloneservice import (
    BatchOperation,
    BatchState,
    CardDeclined,
    ChargeState,
    CloneClient,
    CloneServiceError,
    CloneState,
    CrossProduct,
    InvalidRequest,
    Money,
    new_request_id,
)
from cloneservice.v1 import types_pb2

SERVER_ONLY = ("stripe", "aiohttp", "orjson", "uvloop", "grpc_health", "grpc_reflection", "httptools", "h2", "asyncpg")
CONFIRM = {"method": "POST", "path": "/v1/payment_intents/{intent}/confirm"}


class Scenarios:
    """Each public method is one scenario."""

    def __init__(self, ready: dict[str, Any], client: CloneClient) -> None:
        self._ready = ready
        self._client = client
        self._account = ready["accounts"]["bakery"]

    def imports(self) -> None:
        """The wheel alone is enough, and what it cannot do says what to install."""
        assert [name for name in SERVER_ONLY if importlib.util.find_spec(name)] == []
        shown = subprocess.run([sys.executable, "-m", "cloneservice", "--help"], capture_output=True, check=True)
        assert b"clone-and-charge" in shown.stdout
        try:
            import cloneservice.testing  # noqa: F401
        except ImportError as missing:
            assert "pip install 'cloneservice[server,fake]'" in str(missing)
        else:
            raise AssertionError("cloneservice.testing without a server")

    def clone_and_charge(self) -> None:
        """The main job."""
        made = self._charge("pays", 1999, timeout_s=20)
        assert (made.charge.state, made.clone.state) == (ChargeState.SUCCEEDED, CloneState.ATTACHED)

    def int64(self) -> None:
        """Amounts beyond 2^53 are exact."""
        money = types_pb2.Money(minor_units=2**53 + 1, currency_code="JPY")
        assert types_pb2.Money.FromString(money.SerializeToString()).minor_units == 2**53 + 1

    def deadline(self) -> None:
        """The same request_id brings the answer that the first call did not wait for."""
        self._fault({"match": CONFIRM, "act": "latency", "latency": 2.5})
        request_id = new_request_id()
        try:
            self._charge("pays", 2100, request_id=request_id, timeout_s=1.5)
        except CloneServiceError as late:
            assert late.code.name == "DEADLINE_EXCEEDED", late
        else:
            raise AssertionError("it was in time")
        assert self._charge("pays", 2100, request_id=request_id, timeout_s=20).charge.state is ChargeState.SUCCEEDED
        assert self._charged(2100) == 1

    def retries(self) -> None:
        """More lost answers than the service itself bears with."""
        self._fault({"match": CONFIRM, "act": "commit_then_drop", "times": 4})
        assert self._charge("pays", 2200, timeout_s=20).charge.state is ChargeState.SUCCEEDED
        assert self._charged(2200) == 1

    def decline(self) -> None:
        """A typed error with the recorded charge."""
        try:
            self._charge("is_declined", 1999, timeout_s=20)
        except CardDeclined as declined:
            assert declined.charge is not None
            assert declined.charge.state is ChargeState.DECLINED
            assert declined.decline is not None
            assert declined.decline.decline_code == "generic_decline"
        else:
            raise AssertionError("charged")

    def error_details(self) -> None:
        """The field that is missing is named."""
        try:
            self._client.clone_and_charge(self._ready["customers"]["pays"], "", Money(1999, "USD"))
        except InvalidRequest as wrong:
            assert "connected_account_id" in {violation.field for violation in wrong.violations}
        else:
            raise AssertionError("accepted")

    def watch_resumed(self) -> None:
        """A batch is followed, left, and taken up at the event after the last one seen."""
        everything = CrossProduct(tuple(self._ready["customers"].values()), tuple(self._ready["accounts"].values()))
        batch = self._client.create_batch(BatchOperation.CLONE, everything).batch
        first = next(iter(self._client.watch_batch(batch.batch_id)))
        rest = list(self._client.watch_batch(batch.batch_id, after_sequence=first.sequence))
        items = {event.item.index for event in [first, *rest] if event.item is not None}
        assert items == set(range(6))
        assert rest[-1].batch is not None
        assert rest[-1].batch.state is BatchState.SUCCEEDED

    def _charge(self, shopper: str, amount: int, **options: Any) -> Any:
        customer = self._ready["customers"][shopper]
        return self._client.clone_and_charge(customer, self._account, Money(amount, "USD"), **options)

    def _charged(self, amount: int) -> int:
        charges = self._stripe("/v1/charges?limit=100", account=self._account)["data"]
        return sum(charge["amount"] == amount for charge in charges)

    def _fault(self, fault: dict[str, Any]) -> None:
        self._stripe("/_fake/faults", fault)

    def _stripe(self, path: str, body: dict[str, Any] | None = None, account: str = "") -> Any:
        headers = {"Authorization": f"Bearer {self._ready['stripe_api_key']}"}
        if account:
            headers["Stripe-Account"] = account
        if body is not None:
            headers["Content-Type"] = "application/json"
        encoded = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._ready["stripe"] + path, encoded, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


def play(name: str, scenario: Callable[[], None]) -> None:
    """Play one scenario and print what it came to."""
    try:
        scenario()
        told = {"outcome": "passed", "detail": ""}
    except Exception:  # noqa: BLE001 - whatever it is, it is told
        told = {"outcome": "failed", "detail": traceback.format_exc()}
    print(json.dumps({"scenario": name.replace("_", " "), **told}), flush=True)


def main() -> None:
    """Play all scenarios against a server of their own."""
    command = [os.environ.get("CLONESERVICE_SERVER", "cloneservice-server"), "dev"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        ready = json.loads(server.stdout.readline())
        with CloneClient(ready["target"]) as client:
            scenarios = Scenarios(ready, client)
            for name in [name for name in vars(Scenarios) if not name.startswith("_")]:
                play(name, getattr(scenarios, name))
        server.communicate()


if __name__ == "__main__":
    main()
