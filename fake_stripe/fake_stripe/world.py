"""One isolated universe per API key: a platform, its connected accounts, and all that they own."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fake_stripe.clock import Clock, Job, Schedule
from fake_stripe.ids import Ids, derived, platform_account
from fake_stripe.policy import Policy
from fake_stripe.scope import Change, Scope, Wire, in_wire_order, plain_clone

if TYPE_CHECKING:
    from fake_stripe.faults import Faults
    from fake_stripe.http.idempotency import Record
    from fake_stripe.objects.registry import Call

__all__ = ["NEWEST_VERSION", "Scope", "Wire", "World", "in_wire_order", "plain_clone"]

NEWEST_VERSION = "2026-08-26.dahlia"
"""The API version of the catalog, and the default version of every account."""


class World:
    """All state reachable with one API key; two worlds share nothing.

    Attributes:
        name: the key without its prefix: `sk_test_shop` and `pk_test_shop` open the world `shop`.
        platform: id of the platform's own account, derived from the name.
        ids: the ids of objects.
        request_ids: the ids of requests, apart from those of objects: how often a test reads changes no object's id.
        current: the call that is being handled, if any.
        changes: the writes of the current call.
        outbox: the events that wait for webhook delivery.
    """

    def __init__(
        self, name: str, *, seed: str | None = None, clock: Clock | None = None, journal_size: int = 1000
    ) -> None:
        self.name = name
        self.clock = clock or Clock()
        self.ids = Ids(seed, name)
        self.request_ids = Ids(seed, name + "/requests")
        self.platform = platform_account(name)
        self.api_version = NEWEST_VERSION
        self.changes: list[Change] = []
        self.outbox: list[tuple[Scope, Wire]] = []
        self.current: Call | None = None
        self.journal: deque[Any] = deque(maxlen=journal_size)
        self.idempotency: dict[tuple[str, bool, str], Record] = {}
        self.rates: dict[Any, tuple[int, int]] = {}
        self.restricted: dict[str, frozenset[str]] = {}
        self.stateless = False
        self._faults: Faults | None = None
        self._schedule = Schedule()
        self._scopes: dict[tuple[str, bool], Scope] = {}
        self._connected: dict[str, bool] = {}
        self._policies: dict[str, Policy] = {}
        self._default_policy = Policy()
        self._sequence = 0
        self._hidden_before: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._granted_before: dict[str, bool] | None = None
        self._schedule_before = 0

    @property
    def now(self) -> int:
        """Unix seconds on this world's clock."""
        return self.clock.now()

    @property
    def application(self) -> str:
        """The platform's Connect application id (`ca_`), as objects made through Connect name it."""
        return "ca_" + derived("application:" + self.platform, 32)

    @property
    def faults(self) -> "Faults":
        """The scripted faults and overrides of this world."""
        if self._faults is None:
            from fake_stripe.faults import Faults  # noqa: PLC0415 - most worlds never have a fault

            self._faults = Faults()
        return self._faults

    @property
    def has_faults(self) -> bool:
        """Whether any fault or override is installed: one look on the hot path."""
        return self._faults is not None and bool(self._faults)

    def next_sequence(self) -> int:
        """Rising numbers that order the objects of this world."""
        self._sequence += 1
        return self._sequence

    # ---- accounts

    def scope(self, account_id: str, livemode: bool) -> Scope:
        """The objects of one account in one mode; made on first use."""
        scope = self._scopes.get((account_id, livemode))
        if scope is None:
            scope = self._scopes[account_id, livemode] = Scope(self, account_id, livemode=livemode)
        return scope

    def known_scope(self, account_id: str, *, livemode: bool) -> Scope | None:
        """That scope if it has ever been used."""
        return self._scopes.get((account_id, livemode))

    def platform_scope(self, livemode: bool) -> Scope:
        """The platform's own objects in one mode."""
        return self.scope(self.platform, livemode)

    def scopes(self) -> list[Scope]:
        """Every scope that has been used."""
        return list(self._scopes.values())

    def connect(self, account_id: str, policy: Policy | None = None) -> None:
        """Make an account reachable with `Stripe-Account`."""
        self._note_access()
        self._connected[account_id] = True
        if policy is not None:
            self._policies[account_id] = policy

    def disconnect(self, account_id: str) -> None:
        """Revoke the platform's access: from now on `Stripe-Account` answers 403 account_invalid."""
        self._note_access()
        self._connected[account_id] = False

    def _note_access(self) -> None:
        if self.current is not None and self._granted_before is None:
            self._granted_before = dict(self._connected)

    def reaches(self, account_id: str) -> bool:
        """Whether the platform may act on that account."""
        return account_id == self.platform or self._connected.get(account_id, False)

    def only_in_test_mode(self, account_id: str) -> bool:
        """Whether POST /v1/accounts made the account with a test key: it has no live mode."""
        made = self.platform_scope(False).get("account", account_id)
        known = self.platform_scope(False).hidden(account_id) if made is not None else {"complete": True}
        return not known.get("complete")

    @property
    def connected(self) -> list[str]:
        """Ids of the accounts that the platform may act on, oldest first."""
        return [id_ for id_, granted in self._connected.items() if granted]

    def policy(self, account_id: str) -> Policy:
        """The switches of one account."""
        return self._policies.get(account_id, self._default_policy)

    def set_policy(self, changes: dict[str, Any], account_id: str | None = None) -> Policy:
        """Change switches of one account, or of every account that has none of its own."""
        if account_id is None:
            self._default_policy = self._default_policy.changed(changes)
            return self._default_policy
        self._policies[account_id] = self.policy(account_id).changed(changes)
        return self._policies[account_id]

    # ---- time

    def schedule(self, at: int, job: Job, *args: Any) -> None:
        """Have `job(world, *args)` run once the clock reaches `at`: checked at each request and on advance.

        `job` is a module-level function and its arguments are plain data, so that snapshots can carry them.
        """
        self._schedule.add(at, job, args)

    def run_due(self) -> int:
        """Run the jobs whose time has come; returns how many."""
        count = 0
        while due := self._schedule.due(self.clock.now()):
            _, job, args = due
            job(self, *args)
            count += 1
        return count

    @property
    def scheduled(self) -> int:
        """How many jobs wait."""
        return len(self._schedule)

    def settle(self) -> int:
        """Run everything that waits, now, whatever the clock says; returns how many jobs ran."""
        jobs = self._schedule.take_all()
        for job, args in jobs:
            job(self, *args)
        return len(jobs)

    def advance(self, seconds: int) -> int:
        """Move the clock, stopping at each due job on the way, so that each sees its own time; returns how many ran."""
        if seconds < 0:
            raise ValueError("a clock is only advanced, never set back")
        target = self.clock.time() + seconds
        count = 0
        while due := self._schedule.due(int(target)):
            at, job, args = due
            if (ahead := at - self.clock.time()) > 0:
                self.clock.advance(ahead)
            job(self, *args)
            count += 1
        if (rest := target - self.clock.time()) > 0:
            self.clock.advance(rest)
        return count

    # ---- the current call

    def begin_call(self) -> None:
        """Forget what earlier calls wrote: from now on it can no longer be taken back."""
        self.changes = []
        self.outbox = []
        self._hidden_before = []
        self._granted_before = None
        self._schedule_before = self._schedule.mark

    def remember_hidden(self, state: dict[str, Any]) -> None:
        """Note hidden state that the current call is about to see, and perhaps change."""
        if not any(state is noted for noted, _ in self._hidden_before):
            self._hidden_before.append((state, plain_clone(state) if state else {}))

    def take_back(self) -> None:
        """Undo all that the current call wrote: objects, hidden state, events, jobs, access to accounts."""
        for state, before in self._hidden_before:
            state.clear()
            state.update(before)
        self._schedule.drop_since(self._schedule_before)
        if self._granted_before is not None:
            self._connected = self._granted_before
        changes, self.changes = self.changes, []
        for change in reversed(changes):
            change.scope.take_back(change)
        self.changes = []
        self.outbox = []

    def duplicate(self, name: str | None = None) -> "World":
        """An independent world with the same objects, clock, ids, jobs, policies and idempotency records.

        Faults and the journal stay behind: a snapshot holds state, not the script of one test.
        """
        other = World(
            name or self.name,
            seed=self.ids.seed,
            clock=Clock(*self.clock.state()),
            journal_size=self.journal.maxlen or 0,
        )
        other.platform = self.platform
        other.api_version = self.api_version
        other.ids = Ids(self.ids.seed, self.name, self.ids.counter)
        other.request_ids = Ids(self.ids.seed, self.name + "/requests", self.request_ids.counter)
        other.idempotency = dict(self.idempotency)
        other.restricted = dict(self.restricted)
        other.stateless = self.stateless
        other._scopes = {key: scope.duplicate(other) for key, scope in self._scopes.items()}
        other._connected = dict(self._connected)
        other._policies = dict(self._policies)
        other._default_policy = self._default_policy
        other._sequence = self._sequence
        self._schedule.copy_into(other._schedule)
        return other


WorldHook = Callable[[World], None]
