"""What a benchmark has found: tables, checks against targets, and ratios; printed as text, or as JSON for the suite."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Value = str | float | Sequence[float] | None
"""Text, a number, the spread of a number (median, least, most), or nothing to tell."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    key: str
    head: str
    """With the unit after a comma: "CPU, ms"."""
    digits: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of figures under one title; the first column names the case."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Value]]

    def cells(self) -> list[list[str]]:
        """The heads, then each row, as text."""
        lines = [[column.head for column in self.columns]]
        lines += [[shown(row.get(column.key), column.digits) for column in self.columns] for row in self.rows]
        return lines

    def text(self) -> str:
        """For a terminal."""
        cells = self.cells()
        widths = [max(len(line[at]) for line in cells) for at in range(len(self.columns))]
        sides = [str.ljust] + [str.rjust] * (len(widths) - 1)
        lines = [
            "  ".join(side(cell, width) for side, cell, width in zip(sides, line, widths, strict=True))
            for line in cells
        ]
        return "\n".join([self.title, *lines, ""])


def shown(value: Value, digits: int) -> str:
    """A cell."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        median, least, most = (shown(one, digits) for one in value)
        return median if least == most else f"{median} ({least} to {most})"
    return f"{value:,.{digits}f}"


@dataclass(frozen=True)
class Check:
    """One figure and what it must be."""

    name: str
    figure: str
    wanted: str
    holds: bool


@dataclass
class Report:
    """Collects what one benchmark finds."""

    as_json: bool = False
    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    """By name, the lower the better: what is compared with bench/baseline.json."""
    remarks: list[str] = field(default_factory=list)

    def table(self, table: Table) -> None:
        """Add a table, and print it unless all is to be JSON."""
        self.tables.append(table)
        print(table.text(), file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def at_most(self, name: str, value: float, limit: float, unit: str = "", digits: int = 0) -> None:
        """Check a figure against its target."""
        text = f"{value:,.{digits}f}{unit}", f"at most {limit:,.{digits}f}{unit}"
        self.checks.append(Check(name, *text, holds=value <= limit))

    def remark(self, text: str) -> None:
        """Something left out, and why."""
        self.remarks.append(text)
        print(text, file=sys.stderr, flush=True)

    def finish(self) -> int:
        """Print what is left; the exit code: 1 when a check does not hold."""
        good = all(check.holds for check in self.checks)
        if self.as_json:
            print(json.dumps({name: value for name, value in asdict(self).items() if name != "as_json"}))
            return 0
        for check in self.checks:
            print(f"{'ok' if check.holds else 'NOT':>4}  {check.name:<52} {check.figure} ({check.wanted})")
        return 0 if good else 1


def arguments(description: str | None, **defaults: Any) -> ArgumentParser:
    """A parser that knows `--json`, which every benchmark takes."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print what was found as JSON (and exit 0)")
    parser.set_defaults(**defaults)
    return parser
