"""Plots as small SVG: the same figures always give the same bytes, text stays text, colours follow light and dark.

Made by hand because a chart library's SVG is large, draws letters as paths, and knows one colour scheme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH = 720
_HEAD = 58
_STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#424a53}
.title{font-size:15px;font-weight:600;fill:#1f2328}.strong{font-weight:600;fill:#1f2328}
.card{fill:#fff;stroke:#d1d9e0}.grid{stroke:#e4e9ee}.axis{stroke:#9aa4af}.range{stroke:#1f2328;stroke-opacity:.55}
.target{stroke:#cf222e;stroke-dasharray:5 4}.targeted{fill:#cf222e}
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#8250df}.f3{fill:#6e7781}
.s0{stroke:#0969da}.s1{stroke:#bc4c00}.s2{stroke:#8250df}.s3{stroke:#6e7781}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}.band{fill-opacity:.14}
@media (prefers-color-scheme:dark){
text{fill:#b7bfc8}.title,.strong{fill:#f0f3f6}.card{fill:#0d1117;stroke:#3d444d}.grid{stroke:#262c34}.axis{stroke:#656c76}
.range{stroke:#f0f3f6}.target{stroke:#ff7b72}.targeted{fill:#ff7b72}
.f0{fill:#58a6ff}.f1{fill:#f0883e}.f2{fill:#bc8cff}.f3{fill:#8b949e}
.s0{stroke:#58a6ff}.s1{stroke:#f0883e}.s2{stroke:#bc8cff}.s3{stroke:#8b949e}}
"""
Point = tuple[float, float, float, float]
"""x, and the median, least and most of y."""


@dataclass(frozen=True)
class Bar:
    """One bar: its label, the median, least and most of its figure, and the number of its colour."""

    label: str
    figure: tuple[float, float, float]
    colour: int = 0


@dataclass(frozen=True)
class Series:
    """One line."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Axis:
    """What an axis shows."""

    label: str
    log: bool = False
    target: tuple[float, str] | None = None
    """A line across, and what it is."""


@dataclass
class Scale:
    """From figures to pixels."""

    least: float
    most: float
    start: float
    end: float
    log: bool = False
    ticks: list[float] = field(default_factory=list)

    def at(self, value: float) -> float:
        """Where a figure is, to a tenth of a pixel."""
        least, most, here = self.least, self.most, min(max(value, self.least), self.most)
        if self.log:
            least, most, here = math.log10(least), math.log10(most), math.log10(here)
        return round(self.start + (here - least) / (most - least) * (self.end - self.start), 1)


def linear(most: float, start: float, end: float) -> Scale:
    """From 0 to a round number not below `most`, in four to eight steps."""
    rough = most / 5 or 1.0
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times >= rough)
    count = math.ceil(most / step - 1e-9)
    return Scale(0.0, step * count, start, end, ticks=[round(step * number, 10) for number in range(count + 1)])


def logarithmic(least: float, most: float, start: float, end: float) -> Scale:
    """Whole powers of ten around the figures."""
    low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
    ticks = [10.0**power for power in range(low, max(high, low + 1) + 1)]
    return Scale(ticks[0], ticks[-1], start, end, log=True, ticks=ticks)


def number(value: float) -> str:
    """Three digits that count, thousands set apart."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(digits, 3)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tick(value: float) -> str:
    """A label of an axis: 1,000 and more in short."""
    if value >= 1_000_000:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 10_000 else f"{value:,g}"


def bars(title: str, axis: Axis, rows: Sequence[Bar]) -> str:
    """Bars across with their figures at the end, least and most as a thin line; dots where the axis is logarithmic."""
    left = 24 + max(len(row.label) for row in rows) * 6.3
    top, high = _HEAD + 6, 27
    bottom = top + len(rows) * high
    most = max(max(row.figure) for row in rows)
    if axis.log:
        scale = logarithmic(min(min(row.figure) for row in rows), most, left, WIDTH - 74)
    else:
        scale = linear(most, left, WIDTH - 74)
    parts = _across(scale, top, bottom)
    for at, row in enumerate(rows):
        middle = top + at * high + high / 2
        median, least, top_most = row.figure
        end = scale.at(median)
        parts.append(_text(left - 8, middle + 4, row.label, anchor="end"))
        if axis.log:
            parts.append(f'<line class="grid" x1="{left:.1f}" y1="{middle}" x2="{end}" y2="{middle}"/>')
            parts.append(f'<circle class="f{row.colour}" cx="{end}" cy="{middle}" r="6"/>')
        else:
            size = f'width="{max(end - left, 1):.1f}" height="16"'
            parts.append(f'<rect class="f{row.colour}" x="{left:.1f}" y="{middle - 8}" {size} rx="3"/>')
        parts.append(_range(scale, middle, least, top_most))
        parts.append(_text(max(end, scale.at(top_most)) + 10, middle + 4, number(median), kind="strong"))
    return _svg(title, axis.label, bottom + 32, parts)


def lines(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Lines over a common x, named where they end; a band from least to most."""
    right = 24 + max(len(one.label) for one in series) * 8.0
    top, bottom, left = _HEAD + 10, 330.0, 64.0
    xs = [point[0] for one in series for point in one.points]
    ys = [value for one in series for point in one.points for value in point[1:]]
    ys += [y.target[0]] if y.target else []
    across = logarithmic(min(xs), max(xs), left, WIDTH - right) if x.log else linear(max(xs), left, WIDTH - right)
    up = logarithmic(min(ys), max(ys), bottom, top) if y.log else linear(max(ys), bottom, top)
    parts = [
        f'<line class="grid" x1="{left}" y1="{up.at(value)}" x2="{WIDTH - right:.1f}" y2="{up.at(value)}"/>'
        + _text(left - 8, up.at(value) + 4, tick(value), anchor="end")
        for value in up.ticks
    ]
    for value in across.ticks:
        parts.append(
            f'<line class="axis" x1="{across.at(value)}" y1="{bottom}" x2="{across.at(value)}" y2="{bottom + 4}"/>'
        )
        parts.append(_text(across.at(value), bottom + 18, tick(value), anchor="middle"))
    parts.append(f'<line class="axis" x1="{left}" y1="{bottom}" x2="{WIDTH - right:.1f}" y2="{bottom}"/>')
    parts.append(_text((left + WIDTH - right) / 2, bottom + 38, x.label, anchor="middle"))
    if y.target:
        at = up.at(y.target[0])
        parts.append(f'<line class="target" x1="{left}" y1="{at}" x2="{WIDTH - right:.1f}" y2="{at}"/>')
        parts.append(_text(left + 6, at - 6, y.target[1], kind="targeted"))
    parts += _series(series, across, up)
    return _svg(title, y.label, bottom + 52, parts)


def _series(series: Sequence[Series], across: Scale, up: Scale) -> list[str]:
    parts, ends = [], list[tuple[float, float, int]]()
    for at, one in enumerate(series):
        over = [f"{across.at(x)},{up.at(most)}" for x, _, _, most in one.points]
        under = [f"{across.at(x)},{up.at(least)}" for x, _, least, _ in reversed(one.points)]
        parts.append(f'<polygon class="f{at} band" points="{" ".join(over + under)}"/>')
        path = [f"{across.at(x)},{up.at(median)}" for x, median, _, _ in one.points]
        parts.append(f'<polyline class="s{at} line" points="{" ".join(path)}"/>')
        parts += [
            f'<circle class="f{at}" cx="{across.at(x)}" cy="{up.at(median)}" r="3.5"/>'
            for x, median, _, _ in one.points
        ]
        last = one.points[-1]
        ends.append((up.at(last[1]), across.at(last[0]), at))
    lowest = -math.inf
    for y, x, at in sorted(ends):
        lowest = max(y, lowest + 16)  # names that would touch are moved apart
        parts.append(_text(x + 10, lowest + 4, series[at].label, kind=f"strong f{at}"))
    return parts


def _across(scale: Scale, top: float, bottom: float) -> list[str]:
    return [
        f'<line class="grid" x1="{scale.at(value)}" y1="{top}" x2="{scale.at(value)}" y2="{bottom}"/>'
        + _text(scale.at(value), bottom + 17, tick(value), anchor="middle")
        for value in scale.ticks
    ]


def _range(scale: Scale, middle: float, least: float, most: float) -> str:
    start, end = scale.at(least), scale.at(most)
    if end - start < 2:
        return ""
    ends = "".join(f"M{x} {middle - 4}v8" for x in (start, end))
    return f'<path class="range" d="M{start} {middle}H{end}{ends}" fill="none" stroke-width="1.5"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "", kind: str = "") -> str:
    more = f' text-anchor="{anchor}"' if anchor else ""
    more += f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _svg(title: str, subtitle: str, height: float, parts: Sequence[str]) -> str:
    size = f'width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}"'
    top = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8"/>',
        _text(20, 28, title, kind="title"),
        _text(20, 47, subtitle),
    ]
    return "\n".join([*top, *(part for part in parts if part), "</svg>", ""])
