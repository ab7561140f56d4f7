"""A closed race track: a spline through a few points, cut into equal steps of its length."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP_M: Final = 0.5
EARTH_RADIUS_M: Final = 6_371_008.8

# An endurance course as cones would mark it on a paddock, in metres east and north of its start line.
_ENDURANCE_POINTS: Final = (
    (0, 0), (25, 0), (50, 0), (76, 3), (97, 14), (107, 34), (101, 54), (104, 74), (108, 92), (100, 106), (86, 103),
    (80, 86), (77, 64), (71, 47), (61, 41), (53, 49), (52, 66), (50, 86), (41, 103), (24, 114), (4, 118), (-16, 111),
    (-36, 118), (-56, 111), (-76, 118), (-97, 115), (-107, 100), (-100, 84), (-80, 77), (-58, 73), (-49, 62),
    (-55, 50), (-72, 43), (-92, 37), (-105, 23), (-102, 6), (-86, -5), (-63, -4), (-40, -1), (-20, 0),
)  # fmt: skip
_ENDURANCE_LENGTH_M: Final = 1_020.0
# Beside the Circuit Carole at Tremblay-en-France, north-east of Paris.
_ENDURANCE_LATITUDE_DEG: Final = 48.9797
_ENDURANCE_LONGITUDE_DEG: Final = 2.5225
_ENDURANCE_ALTITUDE_M: Final = 68.0


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """n points, STEP_M apart along the centre line; the last one stands one step before the first.

    `x_m` (east) and `y_m` (north) from the start line, `heading_rad` counter-clockwise from east and not wrapped,
    `curvature_per_m` positive to the left. All of shape (n,).
    """

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    heading_rad: NDArray[np.float64]
    curvature_per_m: NDArray[np.float64]
    latitude_deg: float
    longitude_deg: float
    altitude_m: float

    @property
    def length_m(self) -> float:
        """Length of one lap."""
        return len(self.x_m) * STEP_M

    def at(self, column: NDArray[np.float64], distance_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """`column` of this track, linear between points, at distances from the start line (any lap)."""
        position = np.mod(distance_m, self.length_m) / STEP_M
        row = np.minimum(position.astype(np.intp), len(column) - 1)
        after = column[(row + 1) % len(column)]
        out: NDArray[np.float64] = column[row] + (position - row) * (after - column[row])
        return out

    def heading_at(self, distance_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heading in radians, counter-clockwise from east, not wrapped: it gains a full turn at each lap."""
        laps = np.floor(distance_m / self.length_m)
        position = (distance_m - laps * self.length_m) / STEP_M
        turn = 2 * math.pi * round((self.heading_rad[-1] - self.heading_rad[0]) / (2 * math.pi))
        closed = np.append(self.heading_rad, self.heading_rad[0] + turn)
        out: NDArray[np.float64] = np.interp(position, np.arange(len(closed)), closed) + laps * turn
        return out

    def to_geographic(
        self, x_m: NDArray[np.float64], y_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Latitude and longitude in degrees on a plane that touches the sphere at the start line."""
        metres_per_deg = math.radians(1) * EARTH_RADIUS_M
        longitude_scale = metres_per_deg * math.cos(math.radians(self.latitude_deg))
        return self.latitude_deg + y_m / metres_per_deg, self.longitude_deg + x_m / longitude_scale


def endurance_track() -> Track:
    """The course of about one kilometre that the simulated Formula Student car drives."""
    points = np.array(_ENDURANCE_POINTS, np.float64)
    x, y = _even_steps(points * (_ENDURANCE_LENGTH_M / _spline_length(points)))
    # Curvature by central differences of a line that is smoothed over about 2 m, as a driver would drive it.
    x, y = _smooth(x, 4), _smooth(y, 4)
    ahead_x, ahead_y = np.roll(x, -1) - x, np.roll(y, -1) - y
    heading = np.unwrap(np.arctan2(ahead_y + np.roll(ahead_y, 1), ahead_x + np.roll(ahead_x, 1)))
    turned = np.angle(np.exp(1j * (np.roll(heading, -1) - np.roll(heading, 1))))
    curvature = _smooth(turned / (2 * STEP_M), 4)
    return Track(x, y, heading, curvature, _ENDURANCE_LATITUDE_DEG, _ENDURANCE_LONGITUDE_DEG, _ENDURANCE_ALTITUDE_M)


def _spline(points: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """`steps` points per stretch of the closed cubic spline through `points` (n, 2), chord lengths as parameter."""
    n = len(points)
    chord = np.hypot(*(np.roll(points, -1, axis=0) - points).T)
    slope = (np.roll(points, -1, axis=0) - points) / chord[:, None]
    system = np.zeros((n, n))
    row = np.arange(n)
    system[row, row - 1] = np.roll(chord, 1)
    system[row, row] = 2 * (chord + np.roll(chord, 1))
    system[row, (row + 1) % n] = chord
    second = np.linalg.solve(system, 6 * (slope - np.roll(slope, 1, axis=0)))
    after = np.roll(second, -1, axis=0)
    u = np.tile(np.arange(steps) / steps, n)[:, None] * np.repeat(chord, steps)[:, None]
    c, at = np.repeat(chord, steps)[:, None], np.repeat(row, steps)
    linear = slope[at] - c * (2 * second[at] + after[at]) / 6
    cubic = (after[at] - second[at]) / (6 * c)
    out: NDArray[np.float64] = points[at] + u * linear + u**2 * second[at] / 2 + u**3 * cubic
    return out


def _closed_length(line: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.hypot(*(np.roll(line, -1, axis=0) - line).T)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _spline_length(points: NDArray[np.float64]) -> float:
    return float(_closed_length(_spline(points, 200))[-1])


def _even_steps(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    line = _spline(points, 200)
    length = _closed_length(line)
    distance = np.arange(round(length[-1] / STEP_M)) * (length[-1] / round(length[-1] / STEP_M))
    closed = np.vstack((line, line[:1]))
    return np.interp(distance, length, closed[:, 0]), np.interp(distance, length, closed[:, 1])


def _smooth(closed: NDArray[np.float64], half_width: int) -> NDArray[np.float64]:
    """Bell-shaped moving mean over a closed sequence."""
    kernel = np.hanning(2 * half_width + 3)[1:-1]
    padded = np.concatenate((closed[-half_width:], closed, closed[:half_width]))
    return np.convolve(padded, kernel / kernel.sum(), "valid")
