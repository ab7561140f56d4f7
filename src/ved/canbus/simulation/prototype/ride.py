"""A light prototype on its track, step by step: the pilot asks for a force, road and air take theirs.

A point mass. In each step the forces are constant, so that force times mean speed is exactly what the kinetic energy
gains: the energy of a day adds up without a remainder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol

import numpy as np

from ved.canbus.simulation.signals import Floats
from ved.canbus.simulation.track import STEP_M, Place, Track

GRAVITY: Final = 9.80665
AIR_DENSITY: Final = 1.19
WIND_M_S: Final = 1.2  # from the west
NEVER_M: Final = 1e9

_SLEW_N_S: Final = 4.0  # share of the greatest force that the motor's force may change by in a second


@dataclass(frozen=True, slots=True)
class Body:
    """What the road feels of a prototype with its driver. `rotating_kg` is what wheels and motor add to the inertia,
    `cornering_n_rad` the stiffness of all tyres together, `recovery_n` the most that the motor brakes with."""

    mass_kg: float
    rotating_kg: float
    rolling: float
    drag_area_m2: float
    cornering_n_rad: float
    drive_n: float
    recovery_n: float

    @property
    def inertia_kg(self) -> float:
        """Mass that a force along the road has to accelerate."""
        return self.mass_kg + self.rotating_kg

    @property
    def rolling_n(self) -> float:
        """What the tyres take on a straight and level road."""
        return self.rolling * self.mass_kg * GRAVITY

    @property
    def air_n_s2(self) -> float:
        """What still air takes, per speed squared."""
        return 0.5 * AIR_DENSITY * self.drag_area_m2


class Pilot(Protocol):
    """Who drives. `phase` tells what the pilot is doing, in numbers that the car gives a meaning to."""

    phase: int

    def begin(self, laps: int) -> None:
        """A run of so many laps begins."""

    def wanted_n(self, gone_m: float, speed_m_s: float, stop_in_m: float) -> float:
        """Force wanted at the road, negative to brake. `gone_m` counts from the run's start; `stop_in_m` is the way
        to the place to stop at, NEVER_M before the last lap."""


@dataclass(frozen=True, slots=True, eq=False)
class Ride:
    """The car's way at n steps, arrays (n,): place, speed and lap at a step's beginning, forces and mean speed over it.

    `drive_n` is the motor's force at the road, negative in recovery; all others are positive against the motion.
    """

    time_s: Floats
    distance_m: Floats
    gone_m: Floats  # since the line where the run began
    speed_m_s: Floats
    mean_m_s: Floats
    acceleration_m_s2: Floats
    drive_n: Floats
    brake_n: Floats
    air_n: Floats
    rolling_n: Floats
    slope_n: Floats
    phase: Floats
    run_s: Floats
    lap: Floats
    lap_time_s: Floats
    last_lap_s: Floats
    curvature_per_m: Floats
    place: Place

    @property
    def is_driving(self) -> Floats:
        """1 on a run, 0 in a stop."""
        return np.minimum(self.lap, 1.0)

    @property
    def lateral_m_s2(self) -> Floats:
        """Acceleration to the left."""
        return self.curvature_per_m * self.speed_m_s**2

    @property
    def yaw_rad_s(self) -> Floats:
        """Rate of turn to the left."""
        return self.curvature_per_m * self.speed_m_s


@dataclass(frozen=True, slots=True)
class Schedule:
    """A day: the first stop, the laps of a run, the stop after each."""

    first_stop_s: float
    laps: int
    stop_s: float


_COLUMNS: Final = tuple(field.name for field in fields(Ride))[:-2]


class LightCar:
    """The car between chunks of time. `is_held` keeps it standing, `is_called_in` makes the next whole lap its last."""

    def __init__(self, body: Body, track: Track, pilot: Pilot, schedule: Schedule, step_s: float) -> None:
        self._body, self._track, self._pilot, self._schedule, self._step_s = body, track, pilot, schedule, step_s
        self._slope = ((np.roll(track.height_m, -1) - track.height_m) / STEP_M).tolist()
        self._turn = np.abs(track.curvature_per_m).tolist()
        self._head = np.cos(track.heading_rad).tolist()
        self._step, self._distance, self._speed, self._drive = 0, 0.0, 0.0, 0.0
        self._leaves_s, self._began_s, self._lap_began_s, self._last_lap_s = schedule.first_stop_s, 0.0, 0.0, 0.0
        self._begin_m, self._lap, self._stop_m = 0.0, 0, NEVER_M
        self.is_held = self.is_called_in = False

    @property
    def is_standing(self) -> bool:
        """True in a stop."""
        return self._lap == 0

    @property
    def run_s(self) -> float:
        """Seconds since the run began, 0 in a stop."""
        return self._step * self._step_s - self._began_s if self._lap else 0.0

    @property
    def gone_m(self) -> float:
        """Way since the line where the run began."""
        return self._distance - self._begin_m

    def run(self, steps: int) -> Ride:
        """The next `steps` steps."""
        rows = []
        for _ in range(steps):
            now_s = self._step * self._step_s
            if self._lap == 0 and now_s >= self._leaves_s and not self.is_held:
                self._leave(now_s)
            before = (now_s, self._distance, self.gone_m, self._speed)
            if self._lap:
                lap = (now_s - self._began_s, self._lap, now_s - self._lap_began_s, self._last_lap_s)
                rows.append((*before, *self._roll(now_s), *lap))
            else:
                rows.append((*before, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0, 0.0, self._last_lap_s))
            self._step += 1
        columns = np.array(rows, np.float64).T
        distance = columns[1]
        curvature = self._track.at(self._track.curvature_per_m, distance)
        by_name = dict(zip(_COLUMNS, columns, strict=True))
        return Ride(**by_name, curvature_per_m=curvature, place=self._track.place_at(distance))

    def _leave(self, now_s: float) -> None:
        self._began_s = self._lap_began_s = now_s
        self._begin_m = round(self._distance / self._track.length_m) * self._track.length_m
        self._lap, self._last_lap_s, self._stop_m = 1, 0.0, NEVER_M
        self.is_called_in = False
        self._pilot.begin(self._schedule.laps)

    def _roll(self, now_s: float) -> tuple[float, ...]:
        """One step on the track: mean speed, acceleration, the forces, the pilot's phase."""
        body, speed, step_s = self._body, self._speed, self._step_s
        row = int(self._distance % self._track.length_m / STEP_M) % len(self._turn)
        wanted = self._pilot.wanted_n(self.gone_m, speed, self._stop_m - self._distance)
        recovery = min(max(-wanted, 0.0), body.recovery_n * min(max(speed - 1.0, 0.0) / 2, 1.0))
        change = _SLEW_N_S * body.drive_n * step_s
        motor = min(max(wanted, 0.0), body.drive_n) - recovery
        self._drive = min(max(motor, self._drive - change), self._drive + change)
        brake = max(-wanted - recovery, 0.0)
        side = body.mass_kg * speed * speed * self._turn[row]
        rolling = body.rolling_n + side * side / body.cornering_n_rad
        airspeed = speed + WIND_M_S * -self._head[row]
        air = body.air_n_s2 * airspeed * abs(airspeed)
        slope = body.mass_kg * GRAVITY * self._slope[row]
        pull = (self._drive - brake - rolling - air - slope) / body.inertia_kg
        after = speed + pull * step_s
        if after <= 0:  # it stands: the brake, then the tyres give no more than that takes
            excess = -body.inertia_kg * after / step_s
            released = min(brake, excess)
            brake, rolling = brake - released, rolling - (excess - released)
            pull, after = -speed / step_s, 0.0
        mean = (speed + after) / 2
        self._go_on(now_s, mean, after)
        return mean, pull, self._drive, brake, air, rolling, slope, self._pilot.phase

    def _go_on(self, now_s: float, mean_m_s: float, after_m_s: float) -> None:
        """Move by a step; begin the next lap at the line, end the run at rest."""
        before_m, line_m = self._distance, self._begin_m + self._lap * self._track.length_m
        self._distance += mean_m_s * self._step_s
        if before_m < line_m <= self._distance and self._stop_m == NEVER_M:
            crossed_s = now_s + (line_m - before_m) / mean_m_s
            self._last_lap_s, self._lap_began_s = crossed_s - self._lap_began_s, crossed_s
            self._lap += 1
            if self._lap >= self._schedule.laps or self.is_called_in:
                self._stop_m = line_m + self._track.length_m
        is_over = after_m_s == 0.0 and self._stop_m - self._distance < 2.0
        self._speed = after_m_s
        if is_over:
            self._last_lap_s = now_s + self._step_s - self._lap_began_s
            self._lap, self._drive = 0, 0.0
            self._leaves_s = now_s + self._schedule.stop_s


def speed_limits(track: Track, lateral_m_s2: float, slowing_m_s2: Floats, most_m_s: float) -> list[float]:
    """Speed at each point of the track that lets the car reach every corner at no more than `lateral_m_s2` when it
    slows by `slowing_m_s2` (n,), at most `most_m_s`."""
    squared = np.minimum(lateral_m_s2 / np.maximum(np.abs(track.curvature_per_m), 1e-6), most_m_s**2).tolist()
    gain = (2 * STEP_M * np.maximum(slowing_m_s2, 0.0)).tolist()
    for row in (*range(len(squared) - 1, -1, -1), *range(len(squared) - 1, -1, -1)):
        squared[row] = min(squared[row], squared[(row + 1) % len(squared)] + gain[row])
    return [float(value) ** 0.5 for value in squared]


def limit_at(limits: Sequence[float], gone_m: float) -> float:
    """The limit at a distance from the line."""
    return limits[int(gone_m / STEP_M) % len(limits)]
