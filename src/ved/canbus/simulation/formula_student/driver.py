"""The driver: how fast the car goes at each point of a lap.

Quasi-steady-state lap simulation: the corners limit the speed, then a pass forwards adds what the motor can, and a pass
backwards what the brakes can, both inside the friction circle. No lap is like the other; the seed decides.
Method: Brayshaw and Harrison, "A quasi steady state approach to race car lap simulation", 2005.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.simulation.track import STEP_M, Track

GRAVITY: Final = 9.80665
MASS_KG: Final = 275.0  # with driver
ROTATING_FACTOR: Final = 1.05  # wheels and motor add to the inertia
DRAG_AREA_M2: Final = 1.15
DOWNFORCE_AREA_M2: Final = 2.8
AIR_DENSITY: Final = 1.19
ROLLING: Final = 0.018
GRIP_LATERAL: Final = 1.42
GRIP_ACCELERATION: Final = 0.62  # of the weight: the rear axle alone drives
GRIP_BRAKING: Final = 0.95
DRIVE_FORCE_N: Final = 1_700.0  # what the torque limit of the endurance gives at the road
DRIVE_POWER_W: Final = 30_000.0
TOP_SPEED_M_S: Final = 29.0

_LEAD_IN: Final = round(300 / STEP_M)
_LOOK_AHEAD: Final = round(150 / STEP_M)
_BLEND: Final = round(60 / STEP_M)


class LapKind(Enum):
    """How a lap begins and ends."""

    OUT = "from standstill"
    FLYING = "from and to speed"
    IN = "to standstill"


@dataclass(frozen=True, slots=True, eq=False)
class LapPlan:
    """Speed squared and lateral offset (m, to the left) at steps of STEP_M from the start line.

    The first n + 1 steps are the lap; what follows is how it would go on, for the next lap to begin with.
    """

    kind: LapKind
    speed_squared: NDArray[np.float64]
    offset_m: NDArray[np.float64]


class Driver:
    """Plans one lap after the other."""

    def __init__(self, track: Track, seed: int) -> None:
        self._track = track
        self._random = np.random.Generator(np.random.PCG64([seed, 0xD]))
        self._skill = float(self._random.uniform(0.74, 0.78))
        self._laps = 0

    def plan(self, kind: LapKind, previous: LapPlan | None) -> LapPlan:
        """The next lap; `previous` is the lap that runs into it, None from standstill."""
        self._laps += 1
        n = len(self._track.x_m)
        before = 0 if kind is LapKind.OUT else _LEAD_IN
        after = 0 if kind is LapKind.IN else _LOOK_AHEAD
        steps = np.arange(-before, n + after + 1)
        care = (0.72 if kind is LapKind.IN else 1.0) * self._pace()
        grip = care * (1 + self._wander(0.025))
        speed_squared = _drive(self._track.curvature_per_m[steps % n], grip[steps % n], kind)[before:]
        offset = self._wander(0.35)[np.arange(n + after + 1) % n]
        if kind is LapKind.IN:
            speed_squared[-1], pad = 0.0, np.zeros(_LOOK_AHEAD)
            speed_squared, offset = np.concatenate((speed_squared, pad)), np.concatenate((offset, pad + offset[-1]))
        plan = LapPlan(kind, speed_squared[: n + _BLEND + 1], offset[: n + _BLEND + 1])
        return plan if previous is None else _run_into(previous, plan, n)

    def _pace(self) -> float:
        """Share of the grip that the driver uses on this lap: better with every lap, then as good as the day."""
        warm_up = 0.05 * math.exp(-self._laps / 2.5)
        return self._skill - warm_up + float(self._random.normal(0, 0.008))

    def _wander(self, deviation: float) -> NDArray[np.float64]:
        """A smooth random curve around the lap, closed, with this standard deviation."""
        n = len(self._track.x_m)
        angle = 2 * np.pi * np.arange(n) / n
        orders = np.arange(1, 11)
        sine, cosine = self._random.normal(0, deviation / math.sqrt(len(orders)), (2, len(orders)))
        waves = np.outer(orders, angle)
        out: NDArray[np.float64] = sine @ np.sin(waves) + cosine @ np.cos(waves)
        return out


def _drive(curvature: NDArray[np.float64], grip: NDArray[np.float64], kind: LapKind) -> NDArray[np.float64]:
    """Speed squared along the steps, from the friction circle."""
    lift = 0.5 * AIR_DENSITY * DOWNFORCE_AREA_M2 / MASS_KG
    drag = 0.5 * AIR_DENSITY * DRAG_AREA_M2 / MASS_KG
    lateral = GRIP_LATERAL * grip
    room = np.maximum(np.abs(curvature) - lateral * lift, 1e-3)
    limit = np.minimum(lateral * GRAVITY / room, TOP_SPEED_M_S**2).tolist()
    turn, grips = np.abs(curvature).tolist(), grip.tolist()
    inertia = MASS_KG * ROTATING_FACTOR

    def share(at: int, squared: float) -> float:
        """What the corner leaves of the friction circle."""
        used = squared * turn[at] / (GRIP_LATERAL * grips[at] * (GRAVITY + lift * squared))
        return math.sqrt(max(1.0 - used * used, 0.0))

    speed = list(limit)
    if kind is LapKind.OUT:
        speed[0] = 0.0
    for at in range(len(speed) - 1):
        now = speed[at]
        force = min(DRIVE_FORCE_N, DRIVE_POWER_W / math.sqrt(now + 1.0))
        pull = min(force / inertia, GRIP_ACCELERATION * grips[at] * share(at, now) * (GRAVITY + lift * now))
        speed[at + 1] = min(speed[at + 1], now + 2 * STEP_M * max(pull - drag * now - ROLLING * GRAVITY, -drag * now))
    braking = GRIP_BRAKING
    if kind is LapKind.IN:
        speed[-1], braking = 0.0, 0.5 * GRIP_BRAKING
    for at in range(len(speed) - 1, 0, -1):
        now = speed[at]
        brake = braking * grips[at] * share(at, now) * (GRAVITY + lift * now)
        speed[at - 1] = min(speed[at - 1], now + 2 * STEP_M * (brake + drag * now))
    return _ease(np.array(speed))


def _ease(squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the corners off the profile over about 4 m: feet need time. A standstill at an end stays one."""
    half = 8
    kernel = np.hanning(2 * half + 3)[1:-1]
    head = 2 * squared[0] - squared[half:0:-1]
    tail = 2 * squared[-1] - squared[-2 : -half - 2 : -1]
    return np.maximum(np.convolve(np.concatenate((head, squared, tail)), kernel / kernel.sum(), "valid"), 0.0)


def _run_into(previous: LapPlan, plan: LapPlan, n: int) -> LapPlan:
    """Begin `plan` as `previous` would have gone on, and change over smoothly."""
    share = 0.5 - 0.5 * np.cos(np.pi * np.arange(_BLEND + 1) / _BLEND)
    squared, offset = plan.speed_squared.copy(), plan.offset_m.copy()
    for new, old in ((squared, previous.speed_squared), (offset, previous.offset_m)):
        new[: _BLEND + 1] = (1 - share) * old[n : n + _BLEND + 1] + share * new[: _BLEND + 1]
    return LapPlan(plan.kind, squared, offset)
