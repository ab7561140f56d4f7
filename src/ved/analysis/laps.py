"""Laps from positions: crossings of a start/finish line, drawn or learned from the first closed lap."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.crossings import FIX_GAP_US, SPACING_M, Crossing, CrossingFinder, Fixes, Line

__all__ = ["FIX_GAP_US", "Fixes", "LapSpan", "LapTracker", "Line", "LineLearner", "best_lap", "find_laps", "learn_line"]

HALF_WIDTH_M: Final = 12.0
LEAST_LAP_M: Final = 150.0
LEAST_LAP_US: Final = 5_000_000
_SAME_WAY: Final = 0.7
_HEADING_POINTS: Final = 2
_MOST_POINTS: Final = 50_000

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LapSpan:
    """From one crossing to the next; numbers count from 1.

    `is_whole` is False where positions are missing for more than `FIX_GAP_US`. `sectors_us`: time from each line to the
    next, -1 where one was not crossed; empty on a track without sector lines.
    """

    number: int
    t_from_us: int
    t_to_us: int
    length_m: float
    is_whole: bool
    sectors_us: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LapStart:
    """A lap began; of two starts with one number the later holds (a car that waits on the line)."""

    number: int
    t_us: int


@dataclass(frozen=True, slots=True)
class LapStep:
    """What some positions more brought."""

    laps: tuple[LapSpan, ...] = ()
    starts: tuple[LapStart, ...] = ()


class LapTracker:
    """The laps between crossings of the first of `lines`; the others are sector lines in the order of the way.

    Crossings with less than `LEAST_LAP_US` or `LEAST_LAP_M` of way between them are a car that waits on the line: the
    first ends a lap, the last begins the next. The result does not depend on how the positions are cut.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._crossings = CrossingFinder(tuple(lines))
        self._sectors = len(lines) - 1
        self._last: Crossing | None = None
        self._splits: dict[int, float] = {}
        self._count = 0

    def step(self, fixes: Fixes) -> LapStep:
        """The laps that ended and began up to the last of these positions."""
        laps: list[LapSpan] = []
        starts: list[LapStart] = []
        for crossing in self._crossings.step(fixes):
            if crossing.line:
                self._splits.setdefault(crossing.line, crossing.t_us)
                continue
            last = self._last
            if last is not None and _is_lap(last, crossing):
                self._count += 1
                laps.append(self._span(last, crossing))
            self._last = crossing
            self._splits.clear()
            starts.append(LapStart(self._count + 1, round(crossing.t_us)))
        return LapStep(tuple(laps), tuple(starts))

    def state(self) -> dict[str, Any] | None:
        """What `restore` takes, in numbers that JSON can say; None before the first position."""
        crossings = self._crossings.state()
        if crossings is None:
            return None
        splits = [[line, t_us] for line, t_us in self._splits.items()]
        return {"crossings": crossings, "last": self._last, "splits": splits, "count": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another with the same lines stood."""
        self._crossings.restore(state["crossings"])
        self._last = None if state["last"] is None else Crossing(*state["last"])
        self._splits = dict(state["splits"])
        self._count = state["count"]

    def _span(self, first: Crossing, last: Crossing) -> LapSpan:
        gaps = self._crossings.gaps_us
        is_whole = not any(first.t_us <= gap < last.t_us for gap in gaps)
        self._crossings.gaps_us = [gap for gap in gaps if gap >= last.t_us]
        return LapSpan(
            number=self._count,
            t_from_us=round(first.t_us),
            t_to_us=round(last.t_us),
            length_m=last.way_m - first.way_m,
            is_whole=is_whole,
            sectors_us=self._sector_times(first, last),
        )

    def _sector_times(self, first: Crossing, last: Crossing) -> tuple[int, ...]:
        if not self._sectors:
            return ()
        at = [first.t_us, *(self._splits.get(line) for line in range(1, self._sectors + 1)), last.t_us]
        out = []
        for begin, end in itertools.pairwise(at):
            out.append(-1 if begin is None or end is None or end < begin else round(end) - round(begin))
        return tuple(out)


class LineLearner:
    """Learns the line just after the first place that the car comes by a second time, in the same direction.

    It lies square to the way there, `HALF_WIDTH_M` to each side. The way round is at least `LEAST_LAP_M`.
    """

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._headings: list[tuple[float, float]] = []
        self._lengths_m: list[float] = []
        self._near: dict[tuple[int, int], list[int]] = {}

    def step(self, fixes: Fixes) -> tuple[Line, int] | None:
        """The line, and the time at which it was known; None: no closed lap yet."""
        for t_us, x, y in zip(fixes.t_us.tolist(), fixes.x_m.tolist(), fixes.y_m.tolist(), strict=True):
            if self._points:
                moved_m = float(np.hypot(x - self._points[-1][0], y - self._points[-1][1]))
                if moved_m < SPACING_M:
                    continue
                self._lengths_m.append(self._lengths_m[-1] + moved_m)
            else:
                self._lengths_m.append(0.0)
            if len(self._points) >= _MOST_POINTS:
                return None
            self._points.append((x, y))
            line = self._look(len(self._points) - 1 - _HEADING_POINTS)
            if line is not None:
                return line, t_us
        return None

    def _look(self, at: int) -> Line | None:
        """Whether the place `at` was passed before; it becomes known now that its heading is."""
        if at < 0:
            return None
        x, y = self._points[at]
        behind, ahead = self._points[max(at - _HEADING_POINTS, 0)], self._points[at + _HEADING_POINTS]
        way_x, way_y = ahead[0] - behind[0], ahead[1] - behind[1]
        size = float(np.hypot(way_x, way_y)) or 1.0
        self._headings.append((way_x / size, way_y / size))
        cell = int(x // HALF_WIDTH_M), int(y // HALF_WIDTH_M)
        around = [(cell[0] + i, cell[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        met = [one for key in around for one in self._near.get(key, ()) if self._is_again(one, at)]
        if met:
            first = (
                min(met) + _HEADING_POINTS
            )  # past where a car may have stood at first: so it crosses the line, clearly
            return _across(self._points[first], self._headings[first])
        self._near.setdefault(cell, []).append(at)
        return None

    def _is_again(self, before: int, at: int) -> bool:
        (x, y), (x_0, y_0) = self._points[at], self._points[before]
        heading, heading_0 = self._headings[at], self._headings[before]
        return (
            self._lengths_m[at] - self._lengths_m[before] >= LEAST_LAP_M
            and np.hypot(x - x_0, y - y_0) <= HALF_WIDTH_M
            and heading[0] * heading_0[0] + heading[1] * heading_0[1] >= _SAME_WAY
        )


def learn_line(fixes: Fixes) -> Line | None:
    """The line that these positions teach, or None without a closed lap."""
    learned = LineLearner().step(fixes)
    return None if learned is None else learned[0]


def find_laps(fixes: Fixes, line: Line) -> list[LapSpan]:
    """The laps between crossings of `line`, timed between the samples."""
    return list(LapTracker([line]).step(fixes).laps)


def best_lap(laps: Sequence[LapSpan]) -> LapSpan | None:
    """The quickest whole lap."""
    return min((lap for lap in laps if lap.is_whole), key=lambda lap: lap.t_to_us - lap.t_from_us, default=None)


def line_across(place: tuple[float, float], ahead: tuple[float, float]) -> Line:
    """The line at `place`, square to the way from there to `ahead`."""
    way_x, way_y = ahead[0] - place[0], ahead[1] - place[1]
    size = float(np.hypot(way_x, way_y)) or 1.0
    return _across(place, (way_x / size, way_y / size))


def _is_lap(first: Crossing, last: Crossing) -> bool:
    return last.t_us - first.t_us >= LEAST_LAP_US and last.way_m - first.way_m >= LEAST_LAP_M


def _across(place: tuple[float, float], heading: tuple[float, float]) -> Line:
    side_x, side_y = heading[1] * HALF_WIDTH_M, -heading[0] * HALF_WIDTH_M
    x, y = place
    return Line(x - side_x, y - side_y, x + side_x, y + side_y, is_one_way=True)
