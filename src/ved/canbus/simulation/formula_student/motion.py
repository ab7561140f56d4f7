"""Where the car is: stops and laps in a row, sampled in time."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.simulation.formula_student.driver import Driver, LapKind, LapPlan
from ved.canbus.simulation.signals import Floats
from ved.canbus.simulation.track import STEP_M, Track

FIRST_STOP_S: Final = 6.0
PIT_STOP_S: Final = 45.0
NEVER_S: Final = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The car's way at n times: arrays of shape (n,).

    `distance_m` counts from power-on, `speed_m_s` is its derivative and `acceleration_m_s2` the next one, smoothed over
    half a metre. `stopped_s` and `leaves_s` are the seconds since the stop began and until it ends (NEVER_S on a lap).
    """

    distance_m: Floats
    speed_m_s: Floats
    acceleration_m_s2: Floats
    offset_m: Floats
    lap: Floats
    lap_time_s: Floats
    last_lap_s: Floats
    stopped_s: Floats
    leaves_s: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Lap:
    """A planned lap as a table: time, speed and acceleration at each step; constant acceleration in between."""

    plan: LapPlan
    time_s: Floats
    speed_m_s: Floats
    acceleration_m_s2: Floats

    @staticmethod
    def of(plan: LapPlan, n: int) -> "_Lap":
        squared = plan.speed_squared[: n + 1]
        speed = np.sqrt(squared)
        step_s = 2 * STEP_M / np.maximum(speed[1:] + speed[:-1], 1e-6)
        edge = -1 if plan.kind is LapKind.IN else n + 2  # the next lap's first step tells the slope at the end
        smooth = np.gradient(plan.speed_squared[:edge] if edge > 0 else squared, STEP_M)[: n + 1] / 2
        return _Lap(plan, np.concatenate(([0.0], np.cumsum(step_s))), speed, smooth)


class Drive:
    """A day at the track: a stop, laps until the battery is low, a stop, and so on for ever.

    `is_battery_low`, set by the car, ends a stint at the next start line.
    """

    def __init__(self, track: Track, driver: Driver) -> None:
        self._track, self._driver = track, driver
        self._n = len(track.x_m)
        self._begin_s, self._begin_m = 0.0, 0.0
        self._stop_s = FIRST_STOP_S
        self._current: _Lap | None = None
        self._lap, self._last_lap_s = 0, 0.0
        self.is_battery_low = False

    def sample(self, time_s: Floats) -> Motion:
        """The motion at times that go on from those of the last call, in order."""
        out = Motion(*(np.empty(len(time_s)) for _ in range(9)))
        done = 0
        while done < len(time_s):
            end_s = self._begin_s + (self._current.time_s[-1] if self._current else self._stop_s)
            until = int(np.searchsorted(time_s, end_s))
            if until > done:
                self._fill(out, slice(done, until), time_s[done:until] - self._begin_s)
                done = until
            if done < len(time_s):
                self._next(end_s)
        return out

    def _next(self, end_s: float) -> None:
        ended = self._current
        if ended is None:
            self._current = _Lap.of(self._driver.plan(LapKind.OUT, None), self._n)
            self._lap, self._last_lap_s = 1, 0.0
        else:
            self._begin_m += self._track.length_m
            self._last_lap_s = float(ended.time_s[-1])
            if ended.plan.kind is LapKind.IN:
                self._current, self._stop_s, self._lap = None, PIT_STOP_S, 0
            else:
                kind = LapKind.IN if self.is_battery_low else LapKind.FLYING
                self._current = _Lap.of(self._driver.plan(kind, ended.plan), self._n)
                self._lap += 1
        self._begin_s = end_s

    def _fill(self, out: Motion, rows: slice, since_s: Floats) -> None:
        out.lap[rows], out.last_lap_s[rows] = self._lap, self._last_lap_s
        lap = self._current
        if lap is None:
            out.distance_m[rows], out.speed_m_s[rows], out.acceleration_m_s2[rows] = self._begin_m, 0.0, 0.0
            out.offset_m[rows], out.lap_time_s[rows] = 0.0, 0.0
            out.stopped_s[rows], out.leaves_s[rows] = since_s, self._stop_s - since_s
            return
        at = np.clip(np.searchsorted(lap.time_s, since_s, "right") - 1, 0, self._n - 1)
        rest = since_s - lap.time_s[at]
        pull = (lap.speed_m_s[at + 1] ** 2 - lap.speed_m_s[at] ** 2) / (2 * STEP_M)
        way = at * STEP_M + lap.speed_m_s[at] * rest + pull * rest**2 / 2
        out.distance_m[rows] = self._begin_m + way
        out.speed_m_s[rows] = np.maximum(lap.speed_m_s[at] + pull * rest, 0.0)
        part = way / STEP_M - at
        out.acceleration_m_s2[rows] = lap.acceleration_m_s2[at] * (1 - part) + lap.acceleration_m_s2[at + 1] * part
        out.offset_m[rows] = lap.plan.offset_m[at] * (1 - part) + lap.plan.offset_m[at + 1] * part
        out.lap_time_s[rows] = since_s
        out.stopped_s[rows], out.leaves_s[rows] = NEVER_S, NEVER_S
