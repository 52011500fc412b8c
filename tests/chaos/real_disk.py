"""A disk so small that it can be filled: a tmpfs of our own, which only root may mount."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BLOCK = b"\0" * 4096


class NoSmallDisk(Exception):  # noqa: N818 - reads as what happened
    """No file system of a bounded size can be had here."""


class Disk:
    """A small file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no block free."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                ballast.write(_BLOCK)

    def empty(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Disk]:
    """A file system of so many megabytes in a folder. Raises NoSmallDisk with the reason."""
    path = folder / "disk"
    path.mkdir()
    if os.geteuid() != 0:
        path.rmdir()
        raise NoSmallDisk("only root may mount a tmpfs")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        path.rmdir()
        raise NoSmallDisk(f"a tmpfs cannot be mounted: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)
        path.rmdir()
