"""Laps from positions: crossings of a start/finish line, drawn or learned from the first closed lap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.distance import path_length_m, thin_path

FIX_GAP_US: Final = 2_000_000
HALF_WIDTH_M: Final = 12.0
LEAST_LAP_M: Final = 150.0
LEAST_LAP_US: Final = 5_000_000
SPACING_M: Final = 2.0
_MOST_POINTS: Final = 12_000
_SAME_WAY: Final = 0.7
_HEADING_POINTS: Final = 2

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """n valid positions in time order: `t_us` i64[n], metres on a flat map f64[n] each."""

    t_us: NDArray[np.int64]
    x_m: _Floats
    y_m: _Floats


@dataclass(frozen=True, slots=True)
class Line:
    """A start/finish line between two points (metres), crossed towards the left-hand normal of `from` -> `to`.

    `is_one_way` False: in either direction.
    """

    from_x_m: float
    from_y_m: float
    to_x_m: float
    to_y_m: float
    is_one_way: bool = False


@dataclass(frozen=True, slots=True)
class LapSpan:
    """From one crossing to the next. `is_whole` is False where positions are missing for more than `FIX_GAP_US`."""

    t_from_us: float
    t_to_us: float
    length_m: float
    is_whole: bool


def learn_line(fixes: Fixes) -> Line | None:
    """A line just after the first place that the car comes by a second time, in the same direction.

    None: no closed lap. It lies square to the way there, `HALF_WIDTH_M` to each side. The way round is at least
    `LEAST_LAP_M`.
    """
    spacing_m = SPACING_M
    rows = thin_path(fixes.x_m, fixes.y_m, spacing_m)
    if len(rows) > _MOST_POINTS:
        spacing_m *= len(rows) / _MOST_POINTS
        rows = thin_path(fixes.x_m, fixes.y_m, spacing_m)
    x_m, y_m = fixes.x_m[rows], fixes.y_m[rows]
    if len(rows) < 2 * _HEADING_POINTS + 2:
        return None
    heading = _headings(x_m, y_m)
    length_m = path_length_m(x_m, y_m)
    near_m = max(HALF_WIDTH_M, spacing_m)
    for at in range(len(rows) - 1):
        later = int(np.searchsorted(length_m, length_m[at] + LEAST_LAP_M))
        if later >= len(rows):
            return None
        is_near = np.hypot(x_m[later:] - x_m[at], y_m[later:] - y_m[at]) <= near_m
        is_same = heading[later:] @ heading[at] >= _SAME_WAY
        if bool((is_near & is_same).any()):
            ahead = at + _HEADING_POINTS  # past where a car may have stood at first: so it crosses the line, clearly
            return _across(float(x_m[ahead]), float(y_m[ahead]), heading[ahead])
    return None


def find_laps(fixes: Fixes, line: Line) -> list[LapSpan]:
    """The laps between crossings of `line`, timed between the samples.

    Crossings with less than `LEAST_LAP_US` or `LEAST_LAP_M` of way between them are a car that waits on the line: the
    first ends a lap, the last begins the next. Two positions more than `FIX_GAP_US` apart are no way, so a crossing
    between them is not seen.
    """
    times_us, ways_m = _crossings(fixes, line)
    is_far = (np.diff(times_us) >= LEAST_LAP_US) & (np.diff(ways_m) >= LEAST_LAP_M)
    gaps = np.flatnonzero(np.diff(fixes.t_us) > FIX_GAP_US)
    laps = []
    for first in np.flatnonzero(is_far).tolist():
        second = first + 1
        t_from, t_to = float(times_us[first]), float(times_us[second])
        is_whole = not bool(((fixes.t_us[gaps] >= t_from) & (fixes.t_us[gaps] < t_to)).any())
        laps.append(LapSpan(t_from, t_to, float(ways_m[second] - ways_m[first]), is_whole))
    return laps


def best_lap(laps: Sequence[LapSpan]) -> LapSpan | None:
    """The quickest whole lap."""
    return min((lap for lap in laps if lap.is_whole), key=lambda lap: lap.t_to_us - lap.t_from_us, default=None)


def _headings(x_m: _Floats, y_m: _Floats) -> _Floats:
    """Unit vectors f64[n, 2] over some points to each side."""
    rows = np.arange(len(x_m))
    ahead, behind = np.minimum(rows + _HEADING_POINTS, len(rows) - 1), np.maximum(rows - _HEADING_POINTS, 0)
    way = np.column_stack([x_m[ahead] - x_m[behind], y_m[ahead] - y_m[behind]])
    size = np.hypot(way[:, 0], way[:, 1])
    out: _Floats = way / np.where(size > 0, size, 1.0)[:, None]
    return out


def _across(x_m: float, y_m: float, heading: _Floats) -> Line:
    side_x, side_y = float(heading[1]) * HALF_WIDTH_M, -float(heading[0]) * HALF_WIDTH_M
    return Line(x_m - side_x, y_m - side_y, x_m + side_x, y_m + side_y, is_one_way=True)


def _crossings(fixes: Fixes, line: Line) -> tuple[_Floats, _Floats]:
    """Times (µs) and ways since the first position (m) at which the path goes through the line."""
    if len(fixes.t_us) < 2:
        return np.empty(0), np.empty(0)
    along_x, along_y = line.to_x_m - line.from_x_m, line.to_y_m - line.from_y_m
    x_m, y_m = fixes.x_m - line.from_x_m, fixes.y_m - line.from_y_m
    side = along_x * y_m - along_y * x_m
    before, after = side[:-1], side[1:]
    is_over = (before < 0) & (after >= 0)
    if not line.is_one_way:
        is_over |= (before >= 0) & (after < 0)
    is_over &= np.diff(fixes.t_us) <= FIX_GAP_US
    rows = np.flatnonzero(is_over)
    share = before[rows] / (before[rows] - after[rows])
    hit_x = x_m[rows] + share * (x_m[rows + 1] - x_m[rows])
    hit_y = y_m[rows] + share * (y_m[rows + 1] - y_m[rows])
    place = (hit_x * along_x + hit_y * along_y) / (along_x**2 + along_y**2)
    is_hit = (place >= 0) & (place <= 1)
    rows, share = rows[is_hit], share[is_hit]
    times = fixes.t_us.astype(np.float64)
    kept = thin_path(fixes.x_m, fixes.y_m, SPACING_M)  # what a receiver's noise adds at rest is no way
    way_m = path_length_m(fixes.x_m[kept], fixes.y_m[kept])
    return times[rows] + share * (times[rows + 1] - times[rows]), np.interp(rows + share, kept, way_m)
