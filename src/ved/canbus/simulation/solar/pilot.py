"""The pilot of the solar prototype: a steady speed, given by the energy that there is."""

import math
from enum import IntEnum
from typing import Final

import numpy as np

from ved.canbus.simulation.prototype.ride import Body, limit_at, speed_limits
from ved.canbus.simulation.track import Track

LATERAL_M_S2: Final = 3.0
SLOWING_M_S2: Final = 0.7
TOP_M_S: Final = 25.0
DRIVE_W: Final = 2_800.0
GAIN: Final = 0.5  # m/s² asked for per m/s too slow


class Phase(IntEnum):
    """What the pilot does."""

    STOPPED = 0
    CRUISE = 1
    CORNER = 2
    STOP = 3


class Cruise:
    """A `Pilot`: holds `target_m_s` but for corners and the stop. `torque_share` is what the controller allows."""

    def __init__(self, track: Track, body: Body) -> None:
        self._body = body
        self._limits = speed_limits(track, LATERAL_M_S2, np.full(len(track.x_m), SLOWING_M_S2), TOP_M_S)
        self.phase: int = Phase.STOPPED
        self.target_m_s, self.torque_share = 12.0, 1.0

    def begin(self, laps: int) -> None:
        """The way does not depend on how many laps there are."""

    def wanted_n(self, gone_m: float, speed_m_s: float, stop_in_m: float) -> float:
        """What the road takes, and more or less of it to get to the speed."""
        corner, stop = limit_at(self._limits, gone_m), math.sqrt(2 * SLOWING_M_S2 * max(stop_in_m, 0.0))
        aim = min(self.target_m_s, corner, stop)
        self.phase = Phase.STOP if aim == stop else Phase.CORNER if aim == corner else Phase.CRUISE
        gain = GAIN if self.phase == Phase.CRUISE else 3 * GAIN
        body = self._body
        resistance = body.rolling_n + body.air_n_s2 * speed_m_s * speed_m_s
        wanted = resistance + gain * body.inertia_kg * (aim - speed_m_s)
        if self.phase == Phase.STOP:
            wanted -= body.inertia_kg * SLOWING_M_S2
        return min(wanted, self.torque_share * body.drive_n, DRIVE_W / max(speed_m_s, 1.0))
