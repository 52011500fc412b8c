"""Time as one world sees it: real by default, or frozen and moved by hand."""

import heapq
import time
from collections.abc import Callable
from typing import Any

Job = Callable[..., None]


class Clock:
    """Unix time of one world.

    `freeze` stops it, `advance` moves it (frozen or not), `resume` lets it run on from where it stands.
    """

    __slots__ = ("_frozen", "_offset")

    def __init__(self, frozen: float | None = None, offset: float = 0.0) -> None:
        self._frozen = frozen
        self._offset = offset

    def now(self) -> int:
        """Whole unix seconds, the unit of every `created`."""
        return int(time.time() + self._offset if self._frozen is None else self._frozen)

    def time(self) -> float:
        """Unix seconds with their fraction, for rate limits."""
        return time.time() + self._offset if self._frozen is None else self._frozen

    @property
    def frozen(self) -> bool:
        """Whether time stands still until it is advanced."""
        return self._frozen is not None

    def freeze(self, at: float | None = None) -> None:
        """Stop at `at` unix seconds, or at this moment."""
        self._frozen = self.time() if at is None else float(at)

    def resume(self) -> None:
        """Let a frozen clock run on from where it stands."""
        if self._frozen is not None:
            self._offset = self._frozen - time.time()
            self._frozen = None

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`; time never goes back."""
        if seconds < 0:
            raise ValueError("a clock is only advanced, never set back")
        if self._frozen is None:
            self._offset += seconds
        else:
            self._frozen += seconds

    def state(self) -> tuple[float | None, float]:
        """What `Clock(*state)` needs to continue from here."""
        return self._frozen, self._offset


class Schedule:
    """What the world does by itself later: settle a bank debit, expire an authorisation.

    A job is a module-level function called as `job(world, *args)`; its arguments are plain data (ids, numbers), so
    that a snapshot of the world can carry it.
    """

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job, tuple[Any, ...]]] = []
        self._sequence = 0

    def add(self, at: int, job: Job, args: tuple[Any, ...]) -> None:
        """Run `job` once the clock reaches `at`; jobs of one second run in the order in which they were added."""
        if getattr(job, "__closure__", None) or getattr(job, "__self__", None) is not None:
            raise TypeError("a scheduled job must be a module-level function with plain arguments")
        self._sequence += 1
        heapq.heappush(self._heap, (at, self._sequence, job, args))

    @property
    def mark(self) -> int:
        """A point in the order in which jobs are added, for `drop_since`."""
        return self._sequence

    def drop_since(self, mark: int) -> None:
        """Drop the jobs that were added after `mark`."""
        if self._sequence > mark:
            self._heap = [entry for entry in self._heap if entry[1] <= mark]
            heapq.heapify(self._heap)

    def due(self, now: int) -> tuple[int, Job, tuple[Any, ...]] | None:
        """The next job whose time has come, taken off the schedule, with its time."""
        if not self._heap or self._heap[0][0] > now:
            return None
        at, _, job, args = heapq.heappop(self._heap)
        return at, job, args

    def take_all(self) -> list[tuple[Job, tuple[Any, ...]]]:
        """Every job that waits, taken off the schedule, in the order of their times."""
        jobs = [(job, args) for _, _, job, args in sorted(self._heap, key=lambda entry: entry[:2])]
        self._heap.clear()
        return jobs

    def copy_into(self, other: "Schedule") -> None:
        """Give `other` the same jobs."""
        other._heap = list(self._heap)  # noqa: SLF001 - the same class
        other._sequence = self._sequence  # noqa: SLF001 - the same class

    def __len__(self) -> int:
        return len(self._heap)
