"""Forces on the Formula Student car: what the motion that the driver chose asks of tyres, motor, brakes and dampers.

A point mass on the track; loads, slips and wheel speeds follow from it with the car's geometry. Columns of four are
front left, front right, rear left, rear right.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.simulation.formula_student.driver import (
    AIR_DENSITY,
    DOWNFORCE_AREA_M2,
    DRAG_AREA_M2,
    GRAVITY,
    MASS_KG,
    ROLLING,
    ROTATING_FACTOR,
)
from ved.canbus.simulation.formula_student.motion import Motion
from ved.canbus.simulation.signals import Floats
from ved.canbus.simulation.track import Track

WHEELBASE_M: Final = 1.54
TRACK_WIDTH_M: Final = 1.20
CENTRE_OF_GRAVITY_M: Final = 0.28
REAR_SHARE: Final = 0.53
FRONT_ROLL_SHARE: Final = 0.52
SLIP_STIFFNESS: Final = 14.0  # force over load per slip
REGEN_FORCE_N: Final = 620.0
BRAKE_FRONT_SHARE: Final = 0.64
FRONT_N_PER_BAR: Final = 48.0
REAR_N_PER_BAR: Final = 38.0
HOLD_BAR: Final = 14.0
SPRING_N_MM: Final = 38.0
STEERING_RATIO: Final = 4.4


_LEFT: Final = np.array([1.0, -1.0, 1.0, -1.0])
_FRONT: Final = np.array([1.0, 1.0, -1.0, -1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Dynamics:
    """Forces and geometry at n times: arrays (n,), those per wheel (n, 4).

    `motor_n` is the motor's force at the road, negative in recovery; `brake_n` what the friction brakes add, positive.
    """

    curvature_per_m: Floats
    heading_rad: Floats
    x_m: Floats
    y_m: Floats
    lateral_m_s2: Floats
    yaw_rad_s: Floats
    drag_n: Floats
    motor_n: Floats
    brake_n: Floats
    front_bar: Floats
    rear_bar: Floats
    load_n: Floats
    slip: Floats
    wheel_m_s: Floats
    steering_deg: Floats
    side_slip_deg: Floats
    road_mm: Floats
    damper_mm: Floats


class Chassis:
    """The car on its track; the same place has the same bumps on every lap."""

    def __init__(self, track: Track, seed: int) -> None:
        self._track = track
        random = np.random.Generator(np.random.PCG64([seed, 0xB]))
        steps = len(track.x_m) * 2
        rough = random.normal(0, 1.0, (2, steps))
        kernel = np.array([0.25, 0.5, 0.25])
        self._road_mm = np.stack(
            [np.convolve(np.concatenate((side[-1:], side, side[:1])), kernel, "valid") for side in rough]
        )
        self._road_step_m = track.length_m / steps

    def run(self, motion: Motion) -> Dynamics:
        """Everything that follows from the motion alone."""
        speed, pull = motion.speed_m_s, motion.acceleration_m_s2
        curvature = self._track.at(self._track.curvature_per_m, motion.distance_m)
        heading = self._track.heading_at(motion.distance_m)
        lateral = curvature * speed**2
        yaw = curvature * speed
        drag = 0.5 * AIR_DENSITY * DRAG_AREA_M2 * speed**2
        moving = speed > 0.02
        motor, brake = _share_out(MASS_KG * ROTATING_FACTOR * pull + drag + ROLLING * MASS_KG * GRAVITY * moving, speed)
        load = _loads(speed, pull, lateral)
        front_brake, rear_brake = BRAKE_FRONT_SHARE * brake, (1 - BRAKE_FRONT_SHARE) * brake
        front_slip = -front_brake / (SLIP_STIFFNESS * (load[:, 0] + load[:, 1]))
        rear_slip = (motor - rear_brake) / (SLIP_STIFFNESS * (load[:, 2] + load[:, 3]))
        slip = np.stack((front_slip, front_slip, rear_slip, rear_slip), axis=1)
        wheel = (speed[:, None] - yaw[:, None] * _LEFT * (TRACK_WIDTH_M / 2)) * (1 + slip)
        steer_rad = WHEELBASE_M * curvature + 0.0016 * lateral
        holds = (motion.leaves_s < 4.2) & (motion.leaves_s > 0.25)
        road = self._road(motion.distance_m, speed)
        still = _loads(np.zeros(1), np.zeros(1), np.zeros(1))[0]
        return Dynamics(
            curvature_per_m=curvature,
            heading_rad=heading,
            x_m=self._track.at(self._track.x_m, motion.distance_m) - motion.offset_m * np.sin(heading),
            y_m=self._track.at(self._track.y_m, motion.distance_m) + motion.offset_m * np.cos(heading),
            lateral_m_s2=lateral,
            yaw_rad_s=yaw,
            drag_n=drag,
            motor_n=motor,
            brake_n=brake,
            front_bar=front_brake / FRONT_N_PER_BAR + HOLD_BAR * holds,
            rear_bar=rear_brake / REAR_N_PER_BAR + HOLD_BAR * 0.7 * holds,
            load_n=load,
            slip=slip,
            wheel_m_s=np.maximum(wheel, 0.0),
            steering_deg=np.degrees(steer_rad) * STEERING_RATIO,
            side_slip_deg=np.degrees(WHEELBASE_M * REAR_SHARE * curvature) - 0.16 * lateral,
            road_mm=road,
            damper_mm=25 + (load - still) / SPRING_N_MM + 0.55 * road,
        )

    def _road(self, distance_m: Floats, speed_m_s: Floats) -> Floats:
        """Height of the road under each wheel in mm, (n, 4): the rear wheels meet it a wheelbase later."""
        out = np.empty((len(distance_m), 4))
        for wheel in range(4):
            place = distance_m - WHEELBASE_M * (wheel // 2)
            position = np.mod(place, self._track.length_m) / self._road_step_m
            row = position.astype(np.intp)
            side = self._road_mm[wheel % 2]
            low, high = side[row % len(side)], side[(row + 1) % len(side)]
            out[:, wheel] = (low + (position - row) * (high - low)) * np.minimum(speed_m_s / 5, 1.0)
        return out


def _share_out(force_n: Floats, speed_m_s: Floats) -> tuple[Floats, Floats]:
    """Motor force and friction brake force for a wanted force: first the motor recovers, the brakes do the rest."""
    regen = np.minimum(np.maximum(-force_n, 0.0), REGEN_FORCE_N) * np.clip((speed_m_s - 1.5) / 3, 0.0, 1.0)
    return np.maximum(force_n, 0.0) - regen, np.maximum(-force_n, 0.0) - regen


def _loads(speed_m_s: Floats, pull_m_s2: Floats, lateral_m_s2: Floats) -> Floats:
    """Vertical load of each wheel in N, (n, 4): weight, downforce, and transfer by acceleration."""
    lift = 0.5 * AIR_DENSITY * DOWNFORCE_AREA_M2 * speed_m_s**2
    axle_share = np.array([1 - REAR_SHARE, 1 - REAR_SHARE, REAR_SHARE, REAR_SHARE]) / 2
    roll_share = np.array([FRONT_ROLL_SHARE, FRONT_ROLL_SHARE, 1 - FRONT_ROLL_SHARE, 1 - FRONT_ROLL_SHARE])
    pitch = MASS_KG * pull_m_s2 * CENTRE_OF_GRAVITY_M / WHEELBASE_M / 2
    roll = MASS_KG * lateral_m_s2 * CENTRE_OF_GRAVITY_M / TRACK_WIDTH_M
    out = (
        (MASS_KG * GRAVITY + lift)[:, None] * axle_share - pitch[:, None] * _FRONT - roll[:, None] * _LEFT * roll_share
    )
    loaded: Floats = np.maximum(out, 20.0)
    return loaded
