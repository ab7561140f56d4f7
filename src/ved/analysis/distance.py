"""Positions in metres: a flat map around a place, the length of a path, the way along a reference line."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_M: Final = 6_371_008.8
_PROJECTED_AT_ONCE: Final = 1024
_Floats = NDArray[np.float64]


def to_plane(latitude_deg: _Floats, longitude_deg: _Floats, origin_deg: tuple[float, float]) -> tuple[_Floats, _Floats]:
    """East and north of `origin_deg` (latitude, longitude) in metres; for places of some tens of kilometres."""
    latitude_0, longitude_0 = origin_deg
    east = (np.mod(longitude_deg - longitude_0 + 180.0, 360.0) - 180.0) * np.cos(np.radians(latitude_0))
    scale = np.pi / 180.0 * EARTH_RADIUS_M
    return scale * east, scale * (latitude_deg - latitude_0)


def to_globe(x_m: _Floats, y_m: _Floats, origin_deg: tuple[float, float]) -> tuple[_Floats, _Floats]:
    """Latitude and longitude of places on the flat map around `origin_deg`: the inverse of `to_plane`."""
    scale = 180.0 / np.pi / EARTH_RADIUS_M
    longitude = origin_deg[1] + scale * x_m / np.cos(np.radians(origin_deg[0]))
    return origin_deg[0] + scale * y_m, np.mod(longitude + 180.0, 360.0) - 180.0


def thin_path(x_m: _Floats, y_m: _Floats, spacing_m: float) -> NDArray[np.intp]:
    """Rows of the points that are at least `spacing_m` from the one kept before: a car at rest is one point."""
    kept: list[int] = []
    last_x = last_y = np.inf
    for row, (x, y) in enumerate(zip(x_m.tolist(), y_m.tolist(), strict=True)):
        if not kept or (x - last_x) ** 2 + (y - last_y) ** 2 >= spacing_m**2:
            kept.append(row)
            last_x, last_y = x, y
    return np.array(kept, np.intp)


class ReferenceLine:
    """A closed line of one lap, on a flat map: n corners f64[n] (metres), from the start/finish line on; n >= 3."""

    def __init__(self, x_m: _Floats, y_m: _Floats) -> None:
        self._x, self._y = x_m, y_m
        self._step_x, self._step_y = np.roll(x_m, -1) - x_m, np.roll(y_m, -1) - y_m
        sizes = np.hypot(self._step_x, self._step_y)
        self._sizes = np.where(sizes > 0, sizes, 1.0)
        self._at = np.append(0.0, np.cumsum(sizes))
        self.length_m = float(self._at[-1])

    def place_at(self, distance_m: float) -> tuple[float, float]:
        """The place (x, y) so far along the line."""
        at = distance_m % self.length_m
        corner = int(np.searchsorted(self._at, at, side="right")) - 1
        share = (at - self._at[corner]) / self._sizes[corner]
        return float(self._x[corner] + share * self._step_x[corner]), float(
            self._y[corner] + share * self._step_y[corner]
        )

    def project(self, x_m: _Floats, y_m: _Floats, about_m: _Floats | None = None) -> _Floats:
        """Distance along the line, 0 to `length_m`, of the nearest place on it: f64[n] for n positions.

        `about_m`: where each is by another reckoning (the way that was driven): places further from that than a
        sixth of the lap are left out, so that where the track comes close to itself the right part of it counts.
        """
        out = np.empty(len(x_m))
        for first in range(0, len(x_m), _PROJECTED_AT_ONCE):
            rows = slice(first, first + _PROJECTED_AT_ONCE)
            out[rows] = self._nearest(
                x_m[rows, None], y_m[rows, None], None if about_m is None else about_m[rows, None]
            )
        return out

    def _nearest(self, x_m: _Floats, y_m: _Floats, about_m: _Floats | None) -> _Floats:
        along = ((x_m - self._x) * self._step_x + (y_m - self._y) * self._step_y) / self._sizes**2
        along = np.clip(along, 0.0, 1.0)
        away = np.hypot(self._x + along * self._step_x - x_m, self._y + along * self._step_y - y_m)
        place_m = self._at[:-1] + along * self._sizes
        if about_m is not None:
            apart = np.abs((place_m - about_m + self.length_m / 2) % self.length_m - self.length_m / 2)
            away = np.where(apart <= self.length_m / 6, away, np.inf)
        best = np.argmin(away, axis=1)
        picked: _Floats = place_m[np.arange(len(best)), best]
        return picked
