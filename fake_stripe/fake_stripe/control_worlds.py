"""What a world shows of itself: its events, its state in figures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fake_stripe.scope import Scope, Wire
    from fake_stripe.world import World


def events_of(
    world: "World", type_: str | None = None, account: str | None = None, about: str | None = None
) -> list["Wire"]:
    """The events of all accounts, oldest first; of one type (`charge.*`: all of a kind), account or object if given."""
    found = [
        (event["created"], scope.sequence_of(event["id"]), event)
        for scope in _scopes(world, account)
        for event in scope.list("event")
        if _fits(event, type_, about)
    ]
    return [event for *_, event in sorted(found, key=lambda entry: entry[:2])]


def _scopes(world: "World", account: str | None) -> Iterator["Scope"]:
    wanted = world.platform if account == "platform" else account
    return (scope for scope in world.scopes() if wanted is None or scope.account_id == wanted)


def _fits(event: "Wire", type_: str | None, about: str | None) -> bool:
    if about is not None and event["data"]["object"].get("id") != about:
        return False
    if type_ is None or type_ == event["type"]:
        return True
    return type_.endswith("*") and event["type"].startswith(type_[:-1])


def summary_of(world: "World") -> dict[str, Any]:
    """The world in figures: accounts, objects by type, clock, policies."""
    scopes = [
        {
            "account": scope.account_id,
            "livemode": scope.livemode,
            "platform": scope.is_platform,
            "objects": {type_: scope.count(type_) for type_ in sorted(scope.types()) if scope.count(type_)},
        }
        for scope in world.scopes()
    ]
    return {
        "name": world.name,
        "platform": world.platform,
        "connected": world.connected,
        "clock": clock_of(world),
        "ids_seed": world.ids.seed,
        "scheduled_jobs": world.scheduled,
        "faults": sum(1 for _ in world.faults) if world.has_faults else 0,
        "calls": len(world.journal),
        "policy": world.policy("").as_dict(),
        "scopes": scopes,
    }


def clock_of(world: "World") -> dict[str, Any]:
    """The world's clock."""
    return {"now": world.clock.now(), "frozen": world.clock.frozen}
