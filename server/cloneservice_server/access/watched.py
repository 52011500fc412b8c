"""A file that is read again when it has changed, so that a rotated certificate or policy needs no restart."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger("cloneservice.access")

Stamp = tuple[int, int, int]


class Watched(Generic[T]):
    """What `parse` made of the files when it last succeeded.

    A version that does not parse is logged once and the last good one stays in force: a slip of the pen locks nobody
    out, and a file that is half written opens no door. Construction raises what `parse` raises.
    """

    def __init__(self, paths: tuple[Path, ...], parse: Callable[..., T]) -> None:
        self._paths = paths
        self._parse = parse
        self._stamps = self._look()
        self._value = self._read()
        self.failures = 0
        """How many changed versions could not be used since the last good one."""

    def current(self) -> T:
        """The value in force, after a look at the files (one stat each)."""
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            self._renew()
        return self._value

    def _renew(self) -> None:
        names = ", ".join(path.name for path in self._paths)
        try:
            self._value = self._read()
        except Exception as wrong:  # noqa: BLE001 - whatever is wrong with the new version, the old one is known to work
            self.failures += 1
            _log.error("%s changed and cannot be used; the last good version stays in force: %s", names, wrong)
        else:
            self.failures = 0
            _log.info("%s changed and was read again", names)

    def _read(self) -> T:
        return self._parse(*(path.read_bytes() for path in self._paths))

    def _look(self) -> tuple[Stamp | None, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> Stamp | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - follows the symlinks that Kubernetes swaps; half the price of Path.stat
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
