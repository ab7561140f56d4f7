"""Motor, inverter and 12 V system of the Formula Student car: from force at the road to power from the battery.

Permanent-magnet synchronous motor in rotor coordinates (d, q), figures near those of an EMRAX 228 with a single gear.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.simulation.formula_student.dynamics import Dynamics
from ved.canbus.simulation.formula_student.motion import Motion
from ved.canbus.simulation.signals import Floats

GEAR: Final = 3.6
GEAR_EFFICIENCY: Final = 0.96
WHEEL_RADIUS_M: Final = 0.228
POLE_PAIRS: Final = 10
FLUX_WB: Final = 0.0519
INDUCTANCE_H: Final = 0.00018
PHASE_OHM: Final = 0.030
TORQUE_LIMIT_NM: Final = 120.0
POWER_LIMIT_KW: Final = 36.0
PRECHARGE_S: Final = 4.5  # before the car leaves
CLOSED_S: Final = 3.0
READY_S: Final = 1.5
SHUT_DOWN_S: Final = 4.0  # after it has stopped
DC_DC_EFFICIENCY: Final = 0.92

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Which steps of power-up are done at n times."""

    precharge: Flags
    closed: Flags
    ready: Flags
    link_share: Floats  # DC link voltage over battery voltage

    @staticmethod
    def of(motion: Motion) -> "Sequence":
        """Power comes on a few seconds before the car leaves and goes off after it stopped."""
        leaves, stopped = motion.leaves_s, motion.stopped_s
        just_stopped = (stopped < SHUT_DOWN_S) & (motion.distance_m > 0)
        closed = (leaves < CLOSED_S) | (leaves > 1e8) | just_stopped
        precharge = ~closed & (leaves < PRECHARGE_S)
        rising = 1 - np.exp(-(PRECHARGE_S - np.minimum(leaves, PRECHARGE_S)) / 0.32)
        falling = np.exp(-np.maximum(stopped - SHUT_DOWN_S, 0.0) / 1.2) * (motion.distance_m > 0)
        link = np.where(closed, 1.0, np.where(precharge, rising, falling))
        return Sequence(precharge, closed, (leaves < READY_S) | (leaves > 1e8), link)


@dataclass(frozen=True, slots=True, eq=False)
class Powertrain:
    """Motor, inverter and 12 V side at n times, arrays (n,). Currents d and q are amplitudes."""

    torque_nm: Floats
    allowed_nm: Floats
    motor_rad_s: Floats
    current_d_a: Floats
    current_q_a: Floats
    voltage_d_v: Floats
    voltage_q_v: Floats
    winding_loss_w: Floats
    iron_loss_w: Floats
    inverter_loss_w: Floats
    inverter_w: Floats
    low_voltage_w: Floats
    dc_dc_w: Floats

    @property
    def battery_w(self) -> Floats:
        """Power that inverter and DC/DC converter take from the battery."""
        return self.inverter_w + self.dc_dc_w

    @property
    def motor_rpm(self) -> Floats:
        """Motor speed in revolutions per minute."""
        return self.motor_rad_s * (30 / np.pi)

    @property
    def phase_a(self) -> Floats:
        """RMS current of a phase."""
        out: Floats = np.hypot(self.current_d_a, self.current_q_a) / np.sqrt(2)
        return out


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the chunk before left behind, and what a fault adds (`extra_w`: watts in the winding at full speed)."""

    link_v: float
    winding_c: float
    pump_duty: float
    fan_duty: float
    extra_w: Floats


def run_powertrain(dynamics: Dynamics, sequence: Sequence, conditions: Conditions) -> Powertrain:
    """Currents, losses and power for the motor force of `dynamics`."""
    radians = (dynamics.wheel_m_s[:, 2] + dynamics.wheel_m_s[:, 3]) / 2 * (GEAR / WHEEL_RADIUS_M)
    force = dynamics.motor_n
    at_gear = force * WHEEL_RADIUS_M / GEAR
    torque = np.where(force > 0, at_gear / GEAR_EFFICIENCY, at_gear * GEAR_EFFICIENCY)
    electric = radians * POLE_PAIRS
    current_q = torque / (1.5 * POLE_PAIRS * FLUX_WB)
    # Field weakening: the back EMF must stay below what the DC link can give.
    excess = electric * FLUX_WB - 0.95 * conditions.link_v / np.sqrt(3)
    current_d = -np.maximum(excess, 0.0) / np.maximum(electric * INDUCTANCE_H, 1e-3) * (radians > 100)
    ohm = PHASE_OHM * (1 + 0.0039 * (conditions.winding_c - 25))
    amplitude_squared = current_d**2 + current_q**2
    winding = 1.5 * ohm * amplitude_squared + conditions.extra_w * np.minimum(radians / 200, 1.0)
    iron = 0.075 * radians**1.5
    rms = np.sqrt(amplitude_squared / 2)
    inverter = 90.0 * sequence.ready + 2.4 * rms + 0.006 * rms**2
    brakes = (dynamics.front_bar > 1.0).astype(np.float64)
    low_voltage = 108 + 21.0 + 12 * brakes + conditions.pump_duty * 72 + conditions.fan_duty * 130
    return Powertrain(
        torque_nm=torque,
        allowed_nm=np.minimum(TORQUE_LIMIT_NM, POWER_LIMIT_KW * 900 / np.maximum(radians, 1.0)) * sequence.ready,
        motor_rad_s=radians,
        current_d_a=current_d,
        current_q_a=current_q,
        voltage_d_v=ohm * current_d - electric * INDUCTANCE_H * current_q,
        voltage_q_v=ohm * current_q + electric * (FLUX_WB + INDUCTANCE_H * current_d),
        winding_loss_w=winding,
        iron_loss_w=iron,
        inverter_loss_w=inverter,
        inverter_w=torque * radians + winding + iron + inverter,
        low_voltage_w=low_voltage,
        dc_dc_w=np.where(sequence.closed, (low_voltage + 35) / DC_DC_EFFICIENCY, 0.0),
    )
