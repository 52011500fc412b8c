"""The audit of real processes: the double's state and journal against the ledger, and what callers were told.

The invariants are the simulation's own (invariants.py); only where their facts come from differs.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from functools import cached_property
from typing import Any

from cloneservice_server.clock import SystemClock
from cloneservice_server.domain import codec
from cloneservice_server.domain.commands import COMMANDS, Command
from cloneservice_server.ledger import inspection, open_ledger
from cloneservice_server.workflows import calls

from tests.chaos import invariants
from tests.chaos.real_load import Load, control
from tests.chaos.simulated_stripe import Made
from tests.stripe_http import StripeHttp

_LISTS = {
    "customer": "/v1/customers",
    "payment_intent": "/v1/payment_intents",
    "charge": "/v1/charges",
    "refund": "/v1/refunds",
}


class RealStripe:
    """The double after a run, as the invariants ask for it: its journal says who made what, its lists what is there."""

    def __init__(self, stripe: StripeHttp, accounts: list[str]) -> None:
        self._stripe = stripe
        self.made: list[Made] = []
        self.executed: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self._now: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._names: dict[str, set[str]] = defaultdict(set)
        for account in accounts:
            for kind, path in _LISTS.items():
                self._read_list(account, kind, path)
        self._read_journal()

    def _read_list(self, account: str, kind: str, path: str) -> None:
        page: dict[str, Any] = {}
        while True:
            found = self._stripe.get(path, account, limit=100, **page)
            for body in found["data"]:
                self._now[account, kind, body["id"]] = body
            if not found["has_more"]:
                return
            page = {"starting_after": found["data"][-1]["id"]}

    def _read_journal(self) -> None:
        platform = ""
        for call in control(self._stripe, "GET", "/_fake/journal?method=POST")["calls"]:
            if call["fault"] not in (None, "latency"):
                self.faults[call["fate"] or str(call["status"])] += 1
            key = call["idempotency_key"] or ""
            if not key.startswith("cs_"):
                continue
            if not call["idempotent_replayed"] and call["status"] in (200, 402, 500):
                self.executed[call["account"], key] += 1
            platform = platform or call["account"]
            for change in call["changes"]:
                if change["change"] == "created":
                    made = Made(change["object"], change["id"], call["account"], key, call["status"] >= 500)
                    self.made.append(made)
                self._names[call["account"]].add(change["id"])

    def money_taken(self, account: str) -> list[dict[str, Any]]:
        """The charges that took or hold money."""
        return [charge for charge in self.all_of("charge", account) if charge["status"] == "succeeded"]

    @cached_property
    def _by_kind(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        found = defaultdict(list)
        for (account, kind, _), body in self._now.items():
            found[account, kind].append(body)
        return found

    def all_of(self, kind: str, account: str) -> list[dict[str, Any]]:
        """Every object of a kind on an account; clones are those that the service made."""
        if kind in ("payment_method", "source"):
            made = [each for each in self.made if each.kind == kind and each.account == account]
            return [body for each in made if (body := self.object_of(each)) is not None]
        return self._by_kind.get((account, kind), [])

    def object_of(self, made: Made) -> dict[str, Any] | None:
        """The object as it is now."""
        slot = (made.account, made.kind, made.id)
        if slot not in self._now and made.kind in ("payment_method", "source", "token", "payment_intent", "customer"):
            self._now[slot] = self._stripe.get(f"/v1/{made.kind}s/{made.id}", made.account)
        return self._now.get(slot)

    def exists(self, account: str, name: str) -> bool:
        """Whether the account has an object of that id, which a call of the service made or changed."""
        if account:
            return name in self._names[account]
        return any(name in names for names in self._names.values())


class Aftermath:
    """What is left when the processes have stopped, as the invariants look at it."""

    failovers = 0
    froze = False  # no process was ever paused for a day

    def __init__(self, ledger: Any, truth: RealStripe, accounts: list[str], commands: dict[str, Command]) -> None:
        self.ledger, self.truth, self.accounts, self.commands = ledger, truth, accounts, commands

    def depends_on_no_other(self, _: str) -> bool:
        """Nothing was lost, so nobody depends on what is lost."""
        return True


async def audit(load: Load, stripe: StripeHttp, ledger_url: str) -> RealStripe:
    """All invariants, and that every intent was answered, always with the same words. Raises AssertionError."""
    truth = await asyncio.to_thread(RealStripe, stripe, load.accounts)
    ledger = open_ledger(ledger_url, SystemClock())
    await ledger.open()
    try:
        rows = {row["request_id"]: row async for row in inspection.every_row(ledger, "request")}
        assert set(rows) == {request.request_id for request in load.requests}, "I5: requests that nobody made"
        for request in load.requests:
            assert request.answers, f"I7: {request.request_id} was never answered"
            words = set(request.answers)
            assert len(words) == 1, f"I2: {request.request_id} was answered in two ways: {words}"
        commands = {name: codec.loads(COMMANDS[row["method"]], row["command"]) for name, row in rows.items()}
        await invariants.audit(Aftermath(ledger, truth, load.accounts, commands))
    finally:
        await ledger.aclose()
    _audit_money(truth, load.accounts, set(rows))
    return truth


def _audit_money(truth: RealStripe, accounts: list[str], known: set[str]) -> None:
    """The reverse: no money was taken for a request that the ledger does not know."""
    for account in accounts:
        for charge in truth.money_taken(account):
            name = charge["metadata"].get(calls.REQUEST)
            assert name in known, f"I5: {charge['id']} belongs to no request"
