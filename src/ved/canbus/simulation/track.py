"""A closed race track: a spline through a few points, cut into equal steps of its length."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP_M: Final = 0.5
EARTH_RADIUS_M: Final = 6_371_008.8


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Course:
    """A track as it is drawn: points in metres east and north of its start line (scaled to `length_m`), its hills, and
    where on Earth it lies. A hill is (order, height_m, phase_rad): a wave of that many crests per lap."""

    points: tuple[tuple[float, float], ...]
    length_m: float
    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    hills: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where the car is at n times: arrays (n,). Heading counter-clockwise from east, height above the start line."""

    x_m: Floats
    y_m: Floats
    height_m: Floats
    heading_rad: Floats

    @property
    def course_deg(self) -> Floats:
        """Direction as a compass gives it: clockwise from north, 0 to 360."""
        out: Floats = (90 - np.degrees(self.heading_rad)) % 360
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """n points, STEP_M apart along the centre line; the last one stands one step before the first.

    `x_m` (east) and `y_m` (north) from the start line, `heading_rad` counter-clockwise from east and not wrapped,
    `curvature_per_m` positive to the left, `height_m` above the start line. All of shape (n,).
    """

    x_m: Floats
    y_m: Floats
    heading_rad: Floats
    curvature_per_m: Floats
    height_m: Floats
    latitude_deg: float
    longitude_deg: float
    altitude_m: float

    @property
    def length_m(self) -> float:
        """Length of one lap."""
        return len(self.x_m) * STEP_M

    def at(self, column: Floats, distance_m: Floats) -> Floats:
        """`column` of this track, linear between points, at distances from the start line (any lap)."""
        position = np.mod(distance_m, self.length_m) / STEP_M
        row = np.minimum(position.astype(np.intp), len(column) - 1)
        after = column[(row + 1) % len(column)]
        out: Floats = column[row] + (position - row) * (after - column[row])
        return out

    def place_at(self, distance_m: Floats) -> Place:
        """Where the centre line is at distances from the start line."""
        return Place(
            self.at(self.x_m, distance_m),
            self.at(self.y_m, distance_m),
            self.at(self.height_m, distance_m),
            self.heading_at(distance_m),
        )

    def heading_at(self, distance_m: Floats) -> Floats:
        """Heading in radians, counter-clockwise from east, not wrapped: it gains a full turn at each lap."""
        laps = np.floor(distance_m / self.length_m)
        position = (distance_m - laps * self.length_m) / STEP_M
        turn = 2 * math.pi * round((self.heading_rad[-1] - self.heading_rad[0]) / (2 * math.pi))
        closed = np.append(self.heading_rad, self.heading_rad[0] + turn)
        out: Floats = np.interp(position, np.arange(len(closed)), closed) + laps * turn
        return out

    def to_geographic(self, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats]:
        """Latitude and longitude in degrees on a plane that touches the sphere at the start line."""
        metres_per_deg = math.radians(1) * EARTH_RADIUS_M
        longitude_scale = metres_per_deg * math.cos(math.radians(self.latitude_deg))
        return self.latitude_deg + y_m / metres_per_deg, self.longitude_deg + x_m / longitude_scale


def build_track(course: Course) -> Track:
    """The course as even steps along its line."""
    points = np.array(course.points, np.float64)
    x, y = _even_steps(points * (course.length_m / _spline_length(points)))
    # Curvature by central differences of a line that is smoothed over about 2 m, as a driver would drive it.
    x, y = _smooth(x, 4), _smooth(y, 4)
    ahead_x, ahead_y = np.roll(x, -1) - x, np.roll(y, -1) - y
    heading = np.unwrap(np.arctan2(ahead_y + np.roll(ahead_y, 1), ahead_x + np.roll(ahead_x, 1)))
    turned = np.angle(np.exp(1j * (np.roll(heading, -1) - np.roll(heading, 1))))
    curvature = _smooth(turned / (2 * STEP_M), 4)
    angle = 2 * np.pi * np.arange(len(x)) / len(x)
    height = np.zeros(len(x))
    for order, crest_m, phase in course.hills:
        height += crest_m * (np.sin(order * angle + phase) - np.sin(phase))
    return Track(x, y, heading, curvature, height, course.latitude_deg, course.longitude_deg, course.altitude_m)


def _spline(points: Floats, steps: int) -> Floats:
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
    out: Floats = points[at] + u * linear + u**2 * second[at] / 2 + u**3 * cubic
    return out


def _closed_length(line: Floats) -> Floats:
    steps = np.hypot(*(np.roll(line, -1, axis=0) - line).T)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _spline_length(points: Floats) -> float:
    return float(_closed_length(_spline(points, 200))[-1])


def _even_steps(points: Floats) -> tuple[Floats, Floats]:
    line = _spline(points, 200)
    length = _closed_length(line)
    distance = np.arange(round(length[-1] / STEP_M)) * (length[-1] / round(length[-1] / STEP_M))
    closed = np.vstack((line, line[:1]))
    return np.interp(distance, length, closed[:, 0]), np.interp(distance, length, closed[:, 1])


def _smooth(closed: Floats, half_width: int) -> Floats:
    """Bell-shaped moving mean over a closed sequence."""
    kernel = np.hanning(2 * half_width + 3)[1:-1]
    padded = np.concatenate((closed[-half_width:], closed, closed[:half_width]))
    return np.convolve(padded, kernel / kernel.sum(), "valid")
