"""Whether something has become much dearer: ratios of this run against those of bench/baseline.json, loosely.

Every ratio is of CPU within one run (or of rates that Stripe's limits set), the lower the better. A busy machine moves
them by some tenths; the factor lets that pass and stops what has doubled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import HERE

BASELINE = HERE / "baseline.json"
FACTOR = 1.6
OPTIONAL = ("PostgreSQL", "localstripe", "stripe-mock")
"""Ratios that name one of these are not there where it is not installed."""


@dataclass(frozen=True)
class Finding:
    """One ratio against the baseline."""

    name: str
    baseline: float
    measured: float | None

    @property
    def allowed(self) -> float:
        """The most that passes."""
        return self.baseline * FACTOR

    @property
    def holds(self) -> bool:
        """Whether it passes; one that is missing does only where it may be."""
        if self.measured is None:
            return any(name in self.name for name in OPTIONAL)
        return self.measured <= self.allowed

    def __str__(self) -> str:
        if self.measured is None:
            return f"{'ok' if self.holds else 'NOT':>4}  {self.name:<58} not measured"
        told = f"{self.measured:.3f}, baseline {self.baseline:.3f}, at most {self.allowed:.3f}"
        return f"{'ok' if self.holds else 'NOT':>4}  {self.name:<58} {told}"


def load(path: Path = BASELINE) -> dict[str, float]:
    """The committed ratios by name."""
    ratios: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["ratios"]
    return ratios


def save(ratios: Mapping[str, float], path: Path = BASELINE) -> None:
    """Make these the baseline."""
    rounded = {name: float(f"{value:.3g}") for name, value in sorted(ratios.items())}
    path.write_text(json.dumps({"ratios": rounded}, indent=2) + "\n", encoding="utf-8")


def compare(measured: Mapping[str, float], baseline: Mapping[str, float]) -> list[Finding]:
    """Each ratio of the baseline against this run's."""
    return [Finding(name, value, measured.get(name)) for name, value in sorted(baseline.items())]
