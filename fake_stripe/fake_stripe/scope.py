"""The objects of one account in one mode: the only place where objects are kept."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from fake_stripe.errors import ApiError, resource_missing

if TYPE_CHECKING:
    from fake_stripe.world import World

Wire = dict[str, Any]

# object type -> (noun in "No such ...", name of the parameter when the id stands in the path)
NOUNS: dict[str, tuple[str, str]] = {
    "payment_method": ("PaymentMethod", "payment_method"),
    "payment_intent": ("payment_intent", "intent"),
    "setup_intent": ("setupintent", "intent"),
    "application_fee": ("application fee", "id"),
    "fee_refund": ("fee refund", "id"),
    "balance_transaction": ("balance transaction", "id"),
    "webhook_endpoint": ("webhook endpoint", "id"),
    "bank_account": ("external account", "id"),
    "card": ("source", "id"),
    "file": ("file upload", "file"),
    "test_helpers.test_clock": ("test clock", "id"),
}

_ANOTHER_ACCOUNT = (
    "; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should retry this"
    " request on that connected account. Learn more at https://stripe.com/docs/connect/authentication"
)
_PLATFORM_OWNED = (
    "; OAuth key or Stripe-Account header was used but API request was provided with a platform-owned payment method"
    " ID. Please ensure that the provided payment method matches the specified account."
)


def plain_clone(value: Any) -> Any:
    """A deep, independent duplicate of plain JSON data."""
    return orjson.loads(orjson.dumps(value))


def in_wire_order(obj: Wire) -> Wire:
    """Put members in Stripe's order, in place: id, object, then the alphabet; nested hashes alike."""
    names = sorted(obj)
    for first in ("object", "id"):
        if first in obj:
            names.remove(first)
            names.insert(0, first)
    ordered = {name: _ordered(obj[name]) for name in names}
    obj.clear()
    obj.update(ordered)
    return obj


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return in_wire_order(value) if value else value
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_ordered(item) for item in value]
    return value


class Change:
    """One write of the current call: what the journal shows and what a rollback takes back."""

    __slots__ = ("kind", "obj", "previous", "scope")

    def __init__(self, kind: str, scope: "Scope", obj: Wire, previous: Wire | None = None) -> None:
        self.kind = kind
        self.scope = scope
        self.obj = obj
        self.previous = previous


class Scope:
    """Everything that one account owns in one mode. Objects are plain dicts in the newest wire shape, unexpanded.

    Change objects only through `update`, never in place: the indexes, the journal and the rollback rest on it.
    """

    __slots__ = ("_hidden", "_indexes", "_sequence", "_tables", "_tombstones", "account_id", "livemode", "world")

    def __init__(self, world: "World", account_id: str, *, livemode: bool) -> None:
        self.world = world
        self.account_id = account_id
        self.livemode = livemode
        self._tables: dict[str, dict[str, Wire]] = {}
        self._sequence: dict[str, int] = {}
        self._indexes: dict[str, dict[str, dict[Any, dict[str, Wire]]]] = {}
        self._hidden: dict[str, dict[str, Any]] = {}
        self._tombstones: dict[str, Wire] = {}

    @property
    def is_platform(self) -> bool:
        """Whether this account is the platform itself, not one connected to it."""
        return self.account_id == self.world.platform

    def new_id(self, prefix: str, *, like: str | None = None) -> str:
        """An id with Stripe's prefix, length and account infix; `like` another, both share their middle."""
        return self.world.ids.new(prefix, self.account_id, self.world.clock.now(), like)

    def insert(self, obj: Wire) -> Wire:
        """Keep a new object (its table is `obj["object"]`) and return it, its members put in Stripe's order."""
        in_wire_order(obj)
        self._put(obj)
        self.world.changes.append(Change("created", self, obj))
        return obj

    def _put(self, obj: Wire) -> None:
        type_, id_ = obj["object"], obj["id"]
        table = self._tables.get(type_)
        if table is None:
            table = self._tables[type_] = {}
        if id_ in table:
            raise ValueError(f"{id_} exists already")
        table[id_] = obj
        if id_ not in self._sequence:
            self._sequence[id_] = self.world.next_sequence()
        for field, buckets in self._indexes.get(type_, {}).items():
            self._file(buckets, obj.get(field), obj)

    def _file(self, buckets: dict[Any, dict[str, Wire]], value: Any, obj: Wire) -> None:
        if value is None or isinstance(value, (dict, list)):
            return
        bucket = buckets.setdefault(value, {})
        sequence = self._sequence
        late = bool(bucket) and sequence[next(reversed(bucket))] > sequence[obj["id"]]
        bucket[obj["id"]] = obj
        if late:
            buckets[value] = {id_: bucket[id_] for id_ in sorted(bucket, key=sequence.__getitem__)}

    def _unfile(self, buckets: dict[Any, dict[str, Wire]], value: Any, id_: str) -> None:
        if value is None or isinstance(value, (dict, list)):
            return
        bucket = buckets.get(value)
        if bucket is not None:
            bucket.pop(id_, None)
            if not bucket:
                del buckets[value]

    def get(self, type: str, id: str) -> Wire | None:  # noqa: A002 - Stripe's names of both
        """The object, or None; None for a deleted one, too."""
        table = self._tables.get(type)
        return None if table is None else table.get(id)

    def tombstone(self, type: str, id: str) -> Wire | None:  # noqa: A002 - Stripe's names of both
        """The three-member form of a deleted object, or None."""
        left = self._tombstones.get(id)
        return left if left is not None and left["object"] == type else None

    def require(self, type: str, id: str, *, param: str | None = None, in_path: bool = False) -> Wire:  # noqa: A002 - Stripe's names of both
        """The object, or Stripe's `resource_missing` with its noun and hint.

        `param` names the parameter that held the id; for an id in the path it may be left out (the recorded name is
        taken: `intent` for a PaymentIntent, `payment_method`, mostly `id`).
        """
        table = self._tables.get(type)
        found = None if table is None else table.get(id)
        if found is None:
            raise self.missing(type, id, param=param, in_path=in_path)
        return found

    def missing(self, type: str, id: str, *, param: str | None = None, in_path: bool = False) -> ApiError:  # noqa: A002 - Stripe's names of both
        """The `resource_missing` error for an id that this account and mode do not have."""
        noun, path_param = NOUNS.get(type, (type, "id"))
        if param is None and in_path:
            param = path_param
        return resource_missing(noun, id, param=param, in_path=in_path, hint=self._hint(type, id))

    def _hint(self, type_: str, id_: str) -> str:
        other = self.world.known_scope(self.account_id, livemode=not self.livemode)
        if other is not None and other.get(type_, id_) is not None:
            there, here = ("test", "live") if self.livemode else ("live", "test")
            return f"; a similar object exists in {there} mode, but a {here} mode key was used to make this request."
        if type_ != "payment_method":
            return ""
        if self.is_platform:
            return _ANOTHER_ACCOUNT
        owned = self.world.platform_scope(self.livemode).get(type_, id_)
        return _PLATFORM_OWNED if owned is not None else ""

    def update(self, obj: Wire, **changes: Any) -> Wire:
        """Set members of a kept object; returns the former values of those that really changed."""
        indexes = self._indexes.get(obj["object"], {})
        previous: Wire = {}
        grown = False
        for name, value in changes.items():
            before = obj.get(name)
            if name in obj and before == value:
                continue
            previous[name] = before
            grown = grown or name not in obj
            obj[name] = _ordered(value)
            buckets = indexes.get(name)
            if buckets is not None:
                self._unfile(buckets, before, obj["id"])
                self._file(buckets, value, obj)
        if grown:
            in_wire_order(obj)
        if previous:
            self.world.changes.append(Change("updated", self, obj, previous))
        return previous

    def delete(self, obj: Wire, tombstone: Wire | None = None) -> Wire:
        """Drop a kept object; `tombstone` is what a later GET answers (by default id, object, deleted). Returns it."""
        left = tombstone or {"id": obj["id"], "object": obj["object"], "deleted": True}
        self._drop(obj)
        self._tombstones[obj["id"]] = left
        self.world.changes.append(Change("deleted", self, obj))
        return left

    def _drop(self, obj: Wire) -> None:
        type_, id_ = obj["object"], obj["id"]
        del self._tables[type_][id_]
        for field, buckets in self._indexes.get(type_, {}).items():
            self._unfile(buckets, obj.get(field), id_)

    def list(self, type: str, **equals: Any) -> Iterator[Wire]:  # noqa: A002 - Stripe's name
        """Objects of a type, newest first, whose members equal the given values; a value of None is no condition.

        Each member asked for is indexed from its first use on, so the cost is that of the matches. Whoever writes while
        walking takes a `list(...)` of it first.
        """
        table = self._tables.get(type)
        if not table:
            return iter(())
        asked = [(field, value) for field, value in equals.items() if value is not None]
        if not asked:
            return reversed(table.values())
        buckets = [self._index(type, field).get(value, {}) for field, value in asked]
        smallest = min(buckets, key=len)
        if len(asked) == 1:
            return reversed(smallest.values())
        return (o for o in reversed(smallest.values()) if all(o.get(field) == value for field, value in asked))

    def _index(self, type_: str, field: str) -> dict[Any, dict[str, Wire]]:
        indexes = self._indexes.setdefault(type_, {})
        buckets = indexes.get(field)
        if buckets is None:
            buckets = indexes[field] = {}
            for obj in self._tables[type_].values():
                self._file(buckets, obj.get(field), obj)
        return buckets

    def sequence_of(self, id: str) -> int:  # noqa: A002 - Stripe's name
        """The object's place in the order in which this world's objects were made."""
        return self._sequence.get(id, 0)

    def count(self, type: str) -> int:  # noqa: A002 - Stripe's name
        """How many objects of a type there are."""
        return len(self._tables.get(type, ()))

    def types(self) -> Iterable[str]:
        """The types of which objects are kept."""
        return self._tables.keys()

    def hidden(self, id: str) -> dict[str, Any]:  # noqa: A002 - Stripe's name
        """State beside an object that no answer shows (consumed, used, authentication, ...); plain JSON data only."""
        found = self._hidden.get(id)
        if found is None:
            found = self._hidden[id] = {}
        if self.world.current is not None:
            self.world.remember_hidden(found)
        return found

    def hidden_if_any(self, id: str) -> Mapping[str, Any]:  # noqa: A002 - Stripe's name
        """That state for those who only look: asking leaves nothing behind."""
        return self._hidden.get(id, {})

    def emit(self, event_type: str, obj: Wire, previous: Wire | None = None) -> Wire:
        """Record an event of this account with a snapshot of `obj`, and hand it to webhook delivery."""
        world = self.world
        call = world.current
        data: Wire = {"object": plain_clone(obj)}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Wire = {"id": self.new_id("evt"), "object": "event"}
        if not self.is_platform:
            event["account"] = self.account_id
        event |= {
            "api_version": world.api_version,
            "context": None if self.is_platform else self.account_id,
            "created": world.clock.now(),
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": 0,
            "request": {
                "id": call.request_id if call else None,
                "idempotency_key": call.idempotency_key if call else None,
            },
            "type": event_type,
        }
        self._put(event)
        world.changes.append(Change("created", self, event))
        world.outbox.append((self, event))
        return event

    def take_back(self, change: Change) -> None:
        """Undo one change of the current call."""
        if change.kind == "created":
            self._drop(change.obj)
            self._hidden.pop(change.obj["id"], None)
        elif change.kind == "deleted":
            self._tombstones.pop(change.obj["id"], None)
            self._put(change.obj)
            table = self._tables[change.obj["object"]]
            self._tables[change.obj["object"]] = dict(sorted(table.items(), key=lambda entry: self._sequence[entry[0]]))
        elif change.previous:
            self.update(change.obj, **change.previous)

    def duplicate(self, world: "World") -> "Scope":
        """The same objects in another world."""
        other = Scope(world, self.account_id, livemode=self.livemode)
        other._tables = {type_: {id_: plain_clone(o) for id_, o in t.items()} for type_, t in self._tables.items()}
        other._sequence = dict(self._sequence)
        other._hidden = {id_: plain_clone(state) for id_, state in self._hidden.items() if state}
        other._tombstones = dict(self._tombstones)
        return other
