"""Positions in metres: a flat map around a place, the length of a path, the way along a reference line."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_M: Final = 6_371_008.8
_Floats = NDArray[np.float64]


def to_plane(latitude_deg: _Floats, longitude_deg: _Floats, origin_deg: tuple[float, float]) -> tuple[_Floats, _Floats]:
    """East and north of `origin_deg` (latitude, longitude) in metres; for places of some tens of kilometres."""
    latitude_0, longitude_0 = origin_deg
    east = (np.mod(longitude_deg - longitude_0 + 180.0, 360.0) - 180.0) * np.cos(np.radians(latitude_0))
    scale = np.pi / 180.0 * EARTH_RADIUS_M
    return scale * east, scale * (latitude_deg - latitude_0)


def path_length_m(x_m: _Floats, y_m: _Floats) -> _Floats:
    """Length of the way from the first point to each: f64[n]."""
    if len(x_m) == 0:
        return np.empty(0)
    return np.append(0.0, np.cumsum(np.hypot(np.diff(x_m), np.diff(y_m))))


def thin_path(x_m: _Floats, y_m: _Floats, spacing_m: float) -> NDArray[np.intp]:
    """Rows of the points that are at least `spacing_m` from the one kept before: a car at rest is one point."""
    kept: list[int] = []
    last_x = last_y = np.inf
    for row, (x, y) in enumerate(zip(x_m.tolist(), y_m.tolist(), strict=True)):
        if not kept or (x - last_x) ** 2 + (y - last_y) ** 2 >= spacing_m**2:
            kept.append(row)
            last_x, last_y = x, y
    return np.array(kept, np.intp)
