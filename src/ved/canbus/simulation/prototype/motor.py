"""A hub motor with its controller: from force at the road to power from the battery, and the heat on the way.

Permanent-magnet motor seen from the battery: torque is proportional to current, losses are those of copper, iron and
controller. Temperatures: lumped heat capacities and the conductances between them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.simulation.signals import Floats

COPPER_PER_K: Final = 0.0039
SPIN_DOWN_S: Final = 1.5


@dataclass(frozen=True, slots=True)
class MotorSpec:
    """How a motor and its controller are made. Iron loss is `iron_w_s` * ω + `eddy_w_s2` * ω²; the controller's
    `idle_w` + `drop_v` * I + `bridge_ohm` * I². With a freewheel the wheel turns alone when the motor gives nothing."""

    wheel_radius_m: float
    nm_per_a: float
    phase_ohm: float
    iron_w_s: float
    eddy_w_s2: float
    idle_w: float
    drop_v: float
    bridge_ohm: float
    winding_j_k: float
    housing_j_k: float
    controller_j_k: float
    to_housing_w_k: float
    to_air_w_k: float
    controller_w_k: float
    has_freewheel: bool


@dataclass(frozen=True, slots=True, eq=False)
class MotorState:
    """Motor and controller at n steps, arrays (n,). `electric_w` is what they take from the battery."""

    torque_nm: Floats
    rad_s: Floats
    phase_a: Floats
    copper_w: Floats
    iron_w: Floats
    controller_w: Floats
    electric_w: Floats
    back_emf_v: Floats
    winding_c: Floats
    housing_c: Floats
    controller_c: Floats

    @property
    def shaft_w(self) -> Floats:
        """Mechanical power."""
        return self.torque_nm * self.rad_s


class Motor:
    """Temperatures and the freewheeling rotor between chunks."""

    def __init__(self, spec: MotorSpec, ambient_c: float) -> None:
        self._spec, self._ambient_c = spec, ambient_c
        self.winding_c, self._housing_c, self._controller_c = ambient_c + 3.0, ambient_c + 2.5, ambient_c + 4.0
        self._rad_s = 0.0

    def run(self, drive_n: Floats, speed_m_s: Floats, is_on: Floats, extra_w: Floats, step_s: float) -> MotorState:
        """Give `drive_n` at the road for n steps. `is_on` is 1 where the controller has power, `extra_w` is heat that
        a fault puts into the winding, at the battery's expense."""
        spec = self._spec
        torque = drive_n * spec.wheel_radius_m
        rad_s = self._spin(speed_m_s / spec.wheel_radius_m, drive_n != 0.0, step_s)
        current = np.abs(torque) / spec.nm_per_a
        copper = spec.phase_ohm * (1 + COPPER_PER_K * (self.winding_c - 25)) * current**2 + extra_w * is_on
        turns = drive_n != 0.0 if spec.has_freewheel else rad_s > 0
        iron = (spec.iron_w_s * rad_s + spec.eddy_w_s2 * rad_s**2) * turns * is_on
        controller = (spec.idle_w + spec.drop_v * current + spec.bridge_ohm * current**2) * is_on
        inward = spec.to_housing_w_k * (self.winding_c - self._housing_c)
        outward = spec.to_air_w_k * (1 + speed_m_s / 4) * (self._housing_c - self._ambient_c)
        radiated = spec.controller_w_k * (1 + speed_m_s / 8) * (self._controller_c - self._ambient_c)
        state = MotorState(
            torque_nm=torque,
            rad_s=rad_s,
            phase_a=current,
            copper_w=copper,
            iron_w=iron,
            controller_w=controller,
            electric_w=torque * rad_s + copper + iron + controller,
            back_emf_v=spec.nm_per_a * rad_s + spec.phase_ohm * current * np.sign(torque),
            winding_c=self.winding_c + np.cumsum(copper - inward) * (step_s / spec.winding_j_k),
            housing_c=self._housing_c + np.cumsum(iron + inward - outward) * (step_s / spec.housing_j_k),
            controller_c=self._controller_c + np.cumsum(controller - radiated) * (step_s / spec.controller_j_k),
        )
        self.winding_c, self._housing_c = float(state.winding_c[-1]), float(state.housing_c[-1])
        self._controller_c = float(state.controller_c[-1])
        return state

    def _spin(self, wheel_rad_s: Floats, drives: np.ndarray[tuple[int], np.dtype[np.bool_]], step_s: float) -> Floats:
        """Speed of the rotor: the wheel's, but behind a freewheel it runs out once the motor gives nothing."""
        if not self._spec.has_freewheel:
            return wheel_rad_s
        rows = np.arange(len(wheel_rad_s))
        last = np.maximum.accumulate(np.where(drives, rows, -1))
        first = np.where(last >= 0, wheel_rad_s[last], self._rad_s)
        out: Floats = first * np.exp((last - rows) * (step_s / SPIN_DOWN_S))
        self._rad_s = float(out[-1])
        return out
