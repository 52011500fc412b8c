"""All worlds of one server: opened by key, bounded in number, reset, snapshot, restored and forked by name."""

import re

from fake_stripe.clock import Clock
from fake_stripe.errors import INVALID_REQUEST, ApiError
from fake_stripe.policy import Policy
from fake_stripe.world import World


class Worlds:
    """Worlds by name. Resetting one is dropping it: the next request opens a fresh one."""

    def __init__(self, *, seed: str | None, stateless: bool, most: int, journal_size: int) -> None:
        self.seed = seed
        self.stateless = stateless
        self.most = most
        self.journal_size = journal_size
        self.policy = Policy()
        self._open: dict[str, World] = {}
        self._snapshots: dict[str, World] = {}

    def open(self, name: str) -> World:
        """The world of that name, made on first use; raises a 400 that says what to do once there are too many."""
        world = self._open.get(name)
        if world is None:
            world = self._open[name] = self._new(name)
        return world

    def _new(self, name: str, seed: str | None = None, clock: Clock | None = None) -> World:
        if len(self._open) >= self.most:
            raise ApiError(
                400,
                INVALID_REQUEST,
                f"fake_stripe holds {self.most} worlds, as many as it may. Reset those that are done with"
                " (DELETE /_fake/worlds/<name>, or /_fake/worlds for all) or start it with a larger --max-worlds.",
            )
        world = World(name, seed=self.seed if seed is None else seed, clock=clock, journal_size=self.journal_size)
        world.stateless = self.stateless
        if self.policy != Policy():
            world.set_policy(self.policy.as_dict())
        return world

    def get(self, name: str) -> World | None:
        """The world of that name if it is open."""
        return self._open.get(name)

    def names(self) -> list[str]:
        """The names of the open worlds."""
        return list(self._open)

    def reset(self, name: str, seed: str | None = None) -> World:
        """Begin that world anew, in constant time; its clock is real again, its faults and journal are gone."""
        self._open.pop(name, None)
        world = self._open[name] = self._new(name, seed)
        return world

    def close(self, name: str) -> bool:
        """Drop a world and its snapshots; False when it was not open."""
        for label in self.snapshots(name):
            del self._snapshots[f"{name}/{label}"]
        return self._open.pop(name, None) is not None

    def close_all(self) -> int:
        """Drop every world and all snapshots; returns how many worlds there were."""
        count = len(self._open)
        self._open = {}
        self._snapshots = {}
        return count

    def snapshot(self, name: str, label: str) -> World:
        """Keep the world's present state under a label."""
        kept = self._snapshots[f"{name}/{label}"] = self.open(name).duplicate()
        return kept

    def snapshots(self, name: str) -> list[str]:
        """The labels of a world's snapshots."""
        return [label.removeprefix(name + "/") for label in self._snapshots if label.startswith(name + "/")]

    def restore(self, name: str, label: str) -> World:
        """Put the world back to a snapshot, which stays usable; KeyError when there is none of that label."""
        world = self._open[name] = self._snapshots[f"{name}/{label}"].duplicate()
        return world

    def fork(self, name: str, other: str) -> World:
        """Give another name an independent duplicate of the world: same objects, same ids, same accounts.

        What the other world held is gone. Raises ValueError for a name that no key could have.
        """
        if not re.fullmatch(r"[A-Za-z0-9_.\-]+", other):
            raise ValueError(f"{other!r} is no name of a world: letters, digits, and _ . -")
        if other not in self._open and len(self._open) >= self.most:
            self._new(other)  # raises
        world = self._open[other] = self.open(name).duplicate(other)
        return world
