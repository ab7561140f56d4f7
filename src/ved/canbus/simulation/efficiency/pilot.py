"""The pilot of the efficiency prototype: pulse and glide, for the least energy within the time of the attempt."""

import math
from enum import IntEnum
from typing import Final

import numpy as np

from ved.canbus.simulation.prototype.ride import GRAVITY, Body, limit_at, speed_limits
from ved.canbus.simulation.track import STEP_M, Track

ALLOWED_S: Final = 2_340.0
ATTEMPT_S: Final = ALLOWED_S - 30.0  # what the pilot aims at
LATERAL_M_S2: Final = 2.6
BRAKING_M_S2: Final = 0.45
TOP_M_S: Final = 10.0
GLIDING_M_S2: Final = 0.042  # what the car loses on a level road at its usual speed
_BAND: Final = (0.86, 1.13)  # where a pulse begins and ends, as shares of the speed that the time asks for


class Phase(IntEnum):
    """What the pilot does."""

    STOPPED = 0
    PULSE = 1
    GLIDE = 2
    BRAKE = 3


class PulseAndGlide:
    """A `Pilot`. One strong pulse near the motor's best efficiency, then a long glide with everything off.

    No pulse goes into a corner that the car would have to brake for, and none comes when the car reaches the line by
    itself. `torque_share` is what the controller allows.
    """

    def __init__(self, track: Track, body: Body, random: np.random.Generator) -> None:
        self._track, self._body, self._random = track, body, random
        level = np.full(len(track.x_m), BRAKING_M_S2)
        slope = (np.roll(track.height_m, -1) - track.height_m) / STEP_M
        self._brakes = speed_limits(track, LATERAL_M_S2, level, TOP_M_S)
        self._glides = speed_limits(track, LATERAL_M_S2, GLIDING_M_S2 + GRAVITY * slope, TOP_M_S)
        self._way_m, self._low, self._high = 0.0, 0.0, 0.0
        self.phase: int = Phase.STOPPED
        self.needed_m_s, self.torque_share = 0.0, 1.0

    @property
    def low_m_s(self) -> float:
        """Where the next pulse begins."""
        return self.needed_m_s * self._low

    @property
    def high_m_s(self) -> float:
        """Where it ends."""
        return self.needed_m_s * self._high

    def begin(self, laps: int) -> None:
        """An attempt over so many laps begins."""
        self._way_m = laps * self._track.length_m
        self.phase = Phase.PULSE
        self._draw_band()
        self.plan(0.0, 0.0)

    def plan(self, run_s: float, gone_m: float) -> None:
        """Look at the clock: how fast must it go on from here?"""
        self.needed_m_s = min(max((self._way_m - gone_m) / max(ATTEMPT_S - run_s, 1.0), 5.8), 8.4)

    def wanted_n(self, gone_m: float, speed_m_s: float, stop_in_m: float) -> float:
        """Full pulse, nothing, or the brake."""
        limit = min(limit_at(self._brakes, gone_m), math.sqrt(2 * BRAKING_M_S2 * max(stop_in_m, 0.0)))
        if speed_m_s > limit + (0.0 if self.phase == Phase.BRAKE else 0.15):
            self.phase = Phase.BRAKE
            return -self._body.inertia_kg * (BRAKING_M_S2 + 1.5 * (speed_m_s - limit))
        room = min(limit_at(self._glides, gone_m), limit)
        if self.phase == Phase.PULSE:
            if speed_m_s > min(self.high_m_s, room):
                self.phase = Phase.GLIDE
                self._draw_band()
        elif speed_m_s < min(self.low_m_s, room - 0.6) and speed_m_s**2 < 2 * GLIDING_M_S2 * stop_in_m:
            self.phase = Phase.PULSE
        else:
            self.phase = Phase.GLIDE
        return self._body.drive_n * self.torque_share if self.phase == Phase.PULSE else 0.0

    def _draw_band(self) -> None:
        """No two pulses are alike: a person presses the button."""
        low, high = self._random.normal(_BAND, 0.012)
        self._low, self._high = float(low), float(high)
