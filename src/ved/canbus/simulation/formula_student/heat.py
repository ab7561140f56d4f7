"""Where the losses of the Formula Student car go: lumped heat capacities and the conductances between them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.simulation.formula_student.dynamics import BRAKE_FRONT_SHARE, SLIP_STIFFNESS, Dynamics
from ved.canbus.simulation.formula_student.powertrain import DC_DC_EFFICIENCY, Powertrain
from ved.canbus.simulation.signals import Floats

AMBIENT_C: Final = 22.5
TRACK_C: Final = 31.0
FULL_FLOW_L_MIN: Final = 14.0
WATER_J_KG_K: Final = 4_186.0

WINDING_J_K: Final = 2_600.0
HOUSING_J_K: Final = 7_500.0
ROTOR_J_K: Final = 3_500.0
MODULE_J_K: Final = 900.0
WATER_J_K: Final = 8_000.0
DISC_J_K: Final = np.array([330.0, 330.0, 260.0, 260.0])
TYRE_J_K: Final = 1_900.0
DC_DC_J_K: Final = 700.0


@dataclass(frozen=True, slots=True, eq=False)
class HeatState:
    """Temperatures in °C at n times, (n,); `disc_c` and `tyre_c` (n, 4)."""

    winding_c: Floats
    housing_c: Floats
    rotor_c: Floats
    module_c: Floats
    water_c: Floats
    radiator_in_c: Floats
    radiator_out_c: Floats
    inverter_out_c: Floats
    dc_dc_c: Floats
    disc_c: Floats
    tyre_c: Floats
    flow_l_min: Floats
    pump_duty: float
    fan_duty: float


class Heat:
    """All temperatures between chunks. Flows follow from a chunk's first temperatures, which it hardly moves."""

    def __init__(self, random: np.random.Generator) -> None:
        self._winding, self._housing, self._rotor = AMBIENT_C + 4, AMBIENT_C + 3, AMBIENT_C + 3
        self._module, self._water, self._dc_dc = AMBIENT_C + 2, AMBIENT_C + 2, AMBIENT_C + 6
        self._disc = AMBIENT_C + 12 + random.normal(0, 2, 4)
        self._tyre = AMBIENT_C + 9 + random.normal(0, 1, 4)
        self._disc_factor = random.normal(1, 0.03, 4)
        self._on = False

    @property
    def winding_c(self) -> float:
        """The winding now."""
        return float(self._winding)

    @property
    def pump_duty(self) -> float:
        """What the pump is told, 0 to 1."""
        return 0.8 if self._on else 0.0

    @property
    def fan_duty(self) -> float:
        """What the fan is told, 0 to 1: it follows the water."""
        return float(np.clip((self._water - 34) / 14, 0.15, 1.0)) if self._on else 0.0

    def run(
        self, power: Powertrain, dynamics: Dynamics, speed_m_s: Floats, pump_fails: NDArray[np.bool_], step_s: float
    ) -> HeatState:
        """Warm and cool for n steps; temperatures are those at each step's end."""
        pump_duty, fan_duty = self.pump_duty, self.fan_duty
        flow = FULL_FLOW_L_MIN * pump_duty * (1 - 0.99 * pump_fails.astype(np.float64))
        share = flow / FULL_FLOW_L_MIN
        to_water_motor = (4 + 62 * share) * (self._housing - self._water)
        to_water_module = (2 + 30 * share) * (self._module - self._water)
        airflow = 6 + 2.4 * np.minimum(speed_m_s, 25) + 40 * fan_duty
        radiated = airflow * np.minimum(share + 0.02, 1.0) * (self._water - AMBIENT_C)
        inward = 15 * (self._winding - self._housing)
        to_rotor = 6 * (self._housing - self._rotor)
        water_w_k = np.maximum(flow / 60 * WATER_J_KG_K, 40.0)
        state = HeatState(
            winding_c=_advance(self._winding, (power.winding_loss_w - inward) * step_s / WINDING_J_K),
            housing_c=_advance(
                self._housing, (0.75 * power.iron_loss_w + inward - to_rotor - to_water_motor) * step_s / HOUSING_J_K
            ),
            rotor_c=_advance(self._rotor, (0.25 * power.iron_loss_w + to_rotor) * step_s / ROTOR_J_K),
            module_c=_advance(self._module, (power.inverter_loss_w - to_water_module) * step_s / MODULE_J_K),
            water_c=_advance(self._water, (to_water_motor + to_water_module - radiated) * step_s / WATER_J_K),
            radiator_in_c=self._water + radiated / (2 * water_w_k),
            radiator_out_c=self._water - radiated / (2 * water_w_k),
            inverter_out_c=self._water - radiated / (2 * water_w_k) + to_water_module / water_w_k,
            dc_dc_c=_advance(
                self._dc_dc,
                (power.dc_dc_w * (1 - DC_DC_EFFICIENCY) - 1.6 * (self._dc_dc - AMBIENT_C)) * step_s / DC_DC_J_K,
            ),
            disc_c=_advance(self._disc, self._disc_rise(dynamics, speed_m_s, step_s)),
            tyre_c=_advance(self._tyre, self._tyre_rise(dynamics, speed_m_s, step_s)),
            flow_l_min=flow,
            pump_duty=pump_duty,
            fan_duty=fan_duty,
        )
        self._keep(state)
        self._on = bool(power.dc_dc_w[-1] > 0)
        return state

    def _keep(self, state: HeatState) -> None:
        """The last temperatures are the next chunk's first."""
        self._winding, self._housing = float(state.winding_c[-1]), float(state.housing_c[-1])
        self._rotor, self._module = float(state.rotor_c[-1]), float(state.module_c[-1])
        self._water, self._dc_dc = float(state.water_c[-1]), float(state.dc_dc_c[-1])
        self._disc, self._tyre = state.disc_c[-1], state.tyre_c[-1]

    def _disc_rise(self, dynamics: Dynamics, speed_m_s: Floats, step_s: float) -> Floats:
        front, rear = BRAKE_FRONT_SHARE / 2, (1 - BRAKE_FRONT_SHARE) / 2
        heat = (dynamics.brake_n * speed_m_s)[:, None] * np.array([front, front, rear, rear]) * self._disc_factor
        cooling = (1.2 + 0.24 * speed_m_s)[:, None] * (self._disc - AMBIENT_C)
        out: Floats = (heat - cooling) * step_s / DISC_J_K
        return out

    def _tyre_rise(self, dynamics: Dynamics, speed_m_s: Floats, step_s: float) -> Floats:
        cornering = np.abs(dynamics.lateral_m_s2)[:, None] / 9.81 * dynamics.load_n * speed_m_s[:, None] * 0.045
        sliding = dynamics.slip**2 * dynamics.load_n * SLIP_STIFFNESS * speed_m_s[:, None] * 0.5
        cooling = (3.5 + 0.42 * speed_m_s)[:, None] * (self._tyre - (AMBIENT_C + TRACK_C) / 2)
        out: Floats = (cornering + sliding - cooling) * step_s / TYRE_J_K
        return out


def _advance(first: float | Floats, rise: Floats) -> Floats:
    """From the first temperature, all rises one after the other."""
    out: Floats = first + np.cumsum(rise, axis=0)
    return out
