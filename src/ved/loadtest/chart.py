"""Line and bar charts as SVG text: for a report (inline) and for the documentation (a file), in light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log2
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 64, 46
_TICKS: Final = 5
COLOURS: Final = 7
_LABEL: Final = 30
STYLE: Final = """
.chart{font:12px system-ui,sans-serif;--ink:#1b1f24;--dim:#8a929c;--c0:#0b62c4;--c1:#b5480a;--c2:#1a7f37;--c3:#8250df;
--c4:#9a6700;--c5:#0e7490;--c6:#a21caf;--bad:#cf222e}
@media (prefers-color-scheme:dark){.chart{--ink:#e6edf3;--dim:#7d8590;--c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;
--c3:#bc8cff;--c4:#d29922;--c5:#22d3ee;--c6:#f0abfc;--bad:#ff7b72}}
.chart text{fill:var(--ink)}.chart .grid{stroke:var(--dim);stroke-opacity:.35}.chart .limit{stroke:var(--bad);
stroke-dasharray:5 4}.chart path{fill:none;stroke-width:2}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A named line of (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a line chart shows; `limit` is a dashed level with its name. `is_doubling`: x has a logarithmic axis."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    limit: tuple[float, str] | None = None
    is_doubling: bool = False
    y_most: float | None = None


def svg_of(chart: Chart) -> str:
    """The chart as one <svg> element with its own style."""
    xs = sorted({x for line in chart.lines for x, _ in line.points}) or [0.0, 1.0]
    ys = [y for line in chart.lines for _, y in line.points] + ([chart.limit[0]] if chart.limit else [])
    plane = _Plane(
        xs[0], max(xs[-1], xs[0] * 1.0001, 1e-9), chart.y_most or _round_up(max(ys, default=1.0)), chart.is_doubling
    )
    parts = [*_axes(chart, plane, xs)]
    if chart.limit:
        y = plane.y(chart.limit[0])
        parts.append(f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{WIDTH - _RIGHT}" y="{y - 5:.1f}" text-anchor="end">{escape(chart.limit[1])}</text>')
    for number, line in enumerate(chart.lines):
        colour = f"var(--c{number % COLOURS})"
        points = [(plane.x(x), plane.y(min(y, plane.y_most))) for x, y in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        parts.append(f'<path d="M{path}" style="stroke:{colour}"/>')
        if len(points) <= 20:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="fill:{colour}"/>' for x, y in points]
        at = _LEFT + number * (WIDTH - _LEFT) // max(COLOURS - 1, len(chart.lines))
        parts.append(f'<rect x="{at}" y="34" width="10" height="10" style="fill:{colour}"/>')
        parts.append(f'<text x="{at + 15}" y="43">{escape(line.name)}</text>')
    return _svg(chart.title, HEIGHT, parts)


def bars_of(title: str, unit: str, bars: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars with their figures as one <svg> element."""
    most = max((value for _, value in bars), default=0.0) or 1.0
    parts = []
    for number, (name, value) in enumerate(bars):
        y, width = 40 + number * 26, 360 * value / most
        parts.append(f'<text x="170" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="180" y="{y}" width="{width:.1f}" height="18" style="fill:var(--c0)"/>')
        parts.append(f'<text x="{186 + width:.1f}" y="{y + 14}">{value:,.0f} {escape(unit)}</text>')
    return _svg(title, 52 + 26 * len(bars), parts)


@dataclass(frozen=True, slots=True)
class _Plane:
    x_least: float
    x_most: float
    y_most: float
    is_doubling: bool

    def x(self, value: float) -> float:
        if self.is_doubling:
            share = log2(max(value, 1e-9) / max(self.x_least, 1e-9)) / max(
                log2(self.x_most / max(self.x_least, 1e-9)), 1e-9
            )
        else:
            share = (value - self.x_least) / max(self.x_most - self.x_least, 1e-9)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self.y_most * (HEIGHT - _TOP - _BOTTOM)


def _axes(chart: Chart, plane: _Plane, xs: Sequence[float]) -> list[str]:
    parts = []
    for step in range(_TICKS + 1):
        value = plane.y_most * step / _TICKS
        y = plane.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.4g}</text>')
    many = [plane.x_least + (plane.x_most - plane.x_least) * step / _TICKS for step in range(_TICKS + 1)]
    parts += [
        f'<text x="{plane.x(value):.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:,.4g}</text>'
        for value in _spaced(xs if len(xs) <= 12 else many, plane)
    ]
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.x_label)}</text>')
    parts.append(f'<text x="{_LEFT - 46}" y="{_TOP - 6}">{escape(chart.y_label)}</text>')
    return parts


def _spaced(values: Sequence[float], plane: _Plane) -> list[float]:
    """Those of rising values whose labels do not touch: the last one, and from the left what has room."""
    out: list[float] = []
    for value in values[:-1]:
        at = plane.x(value)
        if plane.x(values[-1]) - at >= _LABEL and (not out or at - plane.x(out[-1]) >= _LABEL):
            out.append(value)
    return [*out, values[-1]]


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    head = f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-weight="600">{escape(title)}</text>'
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style>{head}{"".join(parts)}</svg>\n'
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10, … at or above `value`."""
    if value <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(power * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * step >= value)
