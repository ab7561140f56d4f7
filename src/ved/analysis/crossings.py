"""Where a path of positions crosses lines: a fold over positions in any cuts."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FIX_GAP_US: Final = 2_000_000
"""Two positions further apart are no way."""

SPACING_M: Final = 2.0
"""What a receiver's noise adds at rest is no way: only steps of this length count."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """n valid positions in time order: `t_us` i64[n], metres on a flat map f64[n] each."""

    t_us: NDArray[np.int64]
    x_m: _Floats
    y_m: _Floats

    @staticmethod
    def join(parts: list["Fixes"]) -> "Fixes":
        """All parts, which follow each other, as one."""
        return Fixes(
            np.concatenate([np.empty(0, np.int64), *(part.t_us for part in parts)]),
            np.concatenate([np.empty(0), *(part.x_m for part in parts)]),
            np.concatenate([np.empty(0), *(part.y_m for part in parts)]),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A line between two points (metres), crossed towards the left-hand normal of `from` -> `to`.

    `is_one_way` False: in either direction.
    """

    from_x_m: float
    from_y_m: float
    to_x_m: float
    to_y_m: float
    is_one_way: bool = False


class Crossing(NamedTuple):
    """`line` was crossed at this time, after this way since the first position."""

    t_us: float
    line: int
    way_m: float


class Way:
    """The length of the path so far. A point counts when it is `SPACING_M` from the one that counted before."""

    def __init__(self) -> None:
        self._x = self._y = np.nan
        self._length_m = 0.0

    def state(self) -> list[float]:
        """What `restore` takes."""
        return [self._x, self._y, self._length_m]

    def restore(self, state: list[float]) -> None:
        """Go on where another stood."""
        self._x, self._y, self._length_m = state

    def step(self, x_m: _Floats, y_m: _Floats) -> tuple[_Floats, _Floats, _Floats]:
        """At each point: the last one that counted (x, y) and the way up to it."""
        xs, ys, lengths = np.empty(len(x_m)), np.empty(len(x_m)), np.empty(len(x_m))
        for row, (x, y) in enumerate(zip(x_m.tolist(), y_m.tolist(), strict=True)):
            moved_m = ((x - self._x) ** 2 + (y - self._y) ** 2) ** 0.5
            if not moved_m < SPACING_M:
                self._length_m += 0.0 if np.isnan(moved_m) else moved_m
                self._x, self._y = x, y
            xs[row], ys[row], lengths[row] = self._x, self._y, self._length_m
        return xs, ys, lengths


class CrossingFinder:
    """Finds the crossings of some lines, timed between the positions. Two positions `FIX_GAP_US` apart are no way."""

    def __init__(self, lines: tuple[Line, ...]) -> None:
        self._lines = lines
        self._way = Way()
        self._last: tuple[Fixes, tuple[_Floats, _Floats, _Floats]] | None = None
        self.gaps_us: list[int] = []
        """Times of the positions that no other followed in time."""

    def state(self) -> dict[str, Any] | None:
        """What `restore` takes, in numbers that JSON can say; None before the first position."""
        if self._last is None:
            return None
        fix, way = self._last
        last = [int(fix.t_us[0]), float(fix.x_m[0]), float(fix.y_m[0]), *(float(one[0]) for one in way)]
        return {"way": self._way.state(), "last": last, "gaps_us": self.gaps_us}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another with the same lines stood."""
        self._way.restore(state["way"])
        t_us, *rest = state["last"]
        x, y, *way = (np.array([one], np.float64) for one in rest)
        self._last = Fixes(np.array([t_us], np.int64), x, y), (way[0], way[1], way[2])
        self.gaps_us = list(state["gaps_us"])

    def step(self, fixes: Fixes) -> list[Crossing]:
        """The crossings up to the last of these positions, all later than those before; in order of time."""
        if not len(fixes.t_us):
            return []
        way = self._way.step(fixes.x_m, fixes.y_m)
        if self._last is not None:
            fixes = Fixes.join([self._last[0], fixes])
            before = self._last[1]
            way = (np.append(before[0], way[0]), np.append(before[1], way[1]), np.append(before[2], way[2]))
        last = slice(len(fixes.t_us) - 1, None)
        self._last = (
            Fixes(fixes.t_us[last], fixes.x_m[last], fixes.y_m[last]),
            (way[0][last], way[1][last], way[2][last]),
        )
        is_way = np.diff(fixes.t_us) <= FIX_GAP_US
        self.gaps_us += fixes.t_us[:-1][~is_way].tolist()
        found = [
            crossing for number, line in enumerate(self._lines) for crossing in _cross(number, line, fixes, way, is_way)
        ]
        return sorted(found)


def _cross(
    number: int, line: Line, fixes: Fixes, way: tuple[_Floats, _Floats, _Floats], is_way: NDArray[np.bool_]
) -> list[Crossing]:
    along_x, along_y = line.to_x_m - line.from_x_m, line.to_y_m - line.from_y_m
    x_m, y_m = fixes.x_m - line.from_x_m, fixes.y_m - line.from_y_m
    side = along_x * y_m - along_y * x_m
    before, after = side[:-1], side[1:]
    is_over = (before < 0) & (after >= 0)
    if not line.is_one_way:
        is_over |= (before >= 0) & (after < 0)
    rows = np.flatnonzero(is_over & is_way)
    share = before[rows] / (before[rows] - after[rows])
    hit_x = x_m[rows] + share * (x_m[rows + 1] - x_m[rows])
    hit_y = y_m[rows] + share * (y_m[rows + 1] - y_m[rows])
    place = (hit_x * along_x + hit_y * along_y) / (along_x**2 + along_y**2)
    is_hit = (place >= 0) & (place <= 1)
    rows, share = rows[is_hit], share[is_hit]
    t_us = fixes.t_us[rows] + share * (fixes.t_us[rows + 1] - fixes.t_us[rows])
    beyond_x = hit_x[is_hit] + line.from_x_m - way[0][rows]
    beyond_y = hit_y[is_hit] + line.from_y_m - way[1][rows]
    way_m = way[2][rows] + np.hypot(beyond_x, beyond_y)
    return [Crossing(t, number, way) for t, way in zip(t_us.tolist(), way_m.tolist(), strict=True)]
