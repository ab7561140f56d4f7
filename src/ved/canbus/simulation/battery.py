"""The high-voltage battery: 96 cell groups in series, each with its own charge, resistance and voltage.

Equivalent circuit of each group: open-circuit voltage over state of charge, a series resistance and one RC pair (the
Thevenin model; Plett, "Battery Management Systems, Volume I", chapter 2).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.faults import Fault

CELLS: Final = 96
SENSORS: Final = 18
CAPACITY_AH: Final = 18.0
CELL_OHM: Final = 0.0024
RC_OHM: Final = 0.0008
RC_TIME_S: Final = 18.0
HEAT_CAPACITY_J_K: Final = 27_000.0
COOLING_W_K: Final = 22.0
SAG_V: Final = 0.14
SAG_FACTOR: Final = 3.5

_SOC: Final = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
_OPEN_V: Final = np.array([2.80, 3.28, 3.42, 3.54, 3.61, 3.67, 3.74, 3.84, 3.93, 4.02, 4.09, 4.18])

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BatteryState:
    """The battery at n times: `cell_v` (n, CELLS), `sensor_c` (n, SENSORS), the others (n,). Discharge is positive."""

    current_a: Floats
    voltage_v: Floats
    soc: Floats
    energy_wh: Floats
    recovered_wh: Floats
    resistance_ohm: Floats
    loss_w: Floats
    cell_v: Floats
    sensor_c: Floats


class Battery:
    """The battery's state between chunks of time."""

    def __init__(self, random: np.random.Generator, ambient_c: float, sags: list[tuple[Fault, int]]) -> None:
        self._random, self._ambient_c, self._sags = random, ambient_c, sags
        self._soc_spread = np.clip(random.normal(0, 0.004, CELLS), -0.012, 0.012)
        self._ohm = CELL_OHM * random.normal(1, 0.02, CELLS)
        self._cooling = np.linspace(1.2, 0.8, SENSORS) * random.normal(1, 0.03, SENSORS)  # air comes from the front
        self.cycles = 41
        self.soc = 0.0
        self.fit_charged()

    def fit_charged(self) -> None:
        """A charged battery takes the place of the empty one: the counters of energy begin again."""
        self.cycles += 1
        self.soc = float(self._random.uniform(0.90, 0.92))
        self._rc_v, self._energy_wh, self._recovered_wh = 0.0, 0.0, 0.0
        self._sensor_c = self._ambient_c + self._random.uniform(2.0, 5.0) + self._random.normal(0, 0.3, SENSORS)

    def run(self, time_s: Floats, step_s: float, power_w: Floats, airflow_m_s: Floats) -> BatteryState:
        """Give `power_w` at the terminals for n steps of `step_s`; the state is that at each step's beginning."""
        ohm = self._ohm * float(np.clip(1.25 - 0.011 * (self._sensor_c.mean() - 15), 0.75, 1.4))
        cell_ohm = np.broadcast_to(ohm, (len(time_s), CELLS))
        open_v = np.broadcast_to(self._open_v(self.soc), (len(time_s), CELLS))
        if any(fault.is_active(time_s).any() for fault, _ in self._sags):
            cell_ohm, open_v = cell_ohm.copy(), open_v.copy()
            for fault, cell in self._sags:
                active = fault.is_active(time_s)
                cell_ohm[active, cell] *= SAG_FACTOR
                open_v[active, cell] -= SAG_V
        slope = float(self._open_v(self.soc + 0.005).sum() - self._open_v(self.soc - 0.005).sum()) / 0.01
        pack_ohm, pack_open_v = cell_ohm.sum(axis=1), open_v.sum(axis=1)
        soc, rc_v = np.full(len(time_s), self.soc), np.full(len(time_s), self._rc_v)
        for _ in range(2):  # the second round knows how the charge moves within the chunk
            inner_v = pack_open_v + slope * (soc - self.soc) - CELLS * rc_v
            root = np.maximum(inner_v**2 - 4 * pack_ohm * power_w, 0.0)
            current = (inner_v - np.sqrt(root)) / (2 * pack_ohm)
            soc = self.soc - _before(current) * step_s / (3600 * CAPACITY_AH)
            rc_v = self._rc_v + _before(current * RC_OHM - self._rc_v) * step_s / RC_TIME_S
        cell_v = open_v + ((soc - self.soc) * slope / CELLS - rc_v)[:, None] - current[:, None] * cell_ohm
        voltage = cell_v.sum(axis=1)
        loss = current**2 * pack_ohm + current * CELLS * rc_v
        energy_step = current * voltage * step_s / 3600
        state = BatteryState(
            current_a=current,
            voltage_v=voltage,
            soc=soc,
            energy_wh=self._energy_wh + _before(energy_step),
            recovered_wh=self._recovered_wh + _before(np.maximum(-energy_step, 0.0)),
            resistance_ohm=pack_ohm,
            loss_w=loss,
            cell_v=cell_v,
            sensor_c=self._warm(loss, step_s, float(airflow_m_s.mean())),
        )
        self.soc -= float(current.sum()) * step_s / (3600 * CAPACITY_AH)
        self._rc_v += float((current * RC_OHM - self._rc_v).sum()) * step_s / RC_TIME_S
        self._energy_wh += float(energy_step.sum())
        self._recovered_wh += float(np.maximum(-energy_step, 0.0).sum())
        return state

    def _open_v(self, soc: float) -> Floats:
        out: Floats = np.interp(soc + self._soc_spread, _SOC, _OPEN_V)
        return out

    def _warm(self, loss_w: Floats, step_s: float, airflow_m_s: float) -> Floats:
        """Temperatures (n, SENSORS): all groups share the heat, those at the front get the coolest air."""
        cooling = COOLING_W_K * (1 + airflow_m_s / 15) * self._cooling * (self._sensor_c - self._ambient_c)
        rise = (loss_w[:, None] - cooling) * (step_s / HEAT_CAPACITY_J_K)
        out = self._sensor_c + np.vstack((np.zeros(SENSORS), np.cumsum(rise, axis=0)))
        self._sensor_c = out[-1]
        return out[:-1]


def _before(steps: Floats) -> Floats:
    """Sum of all steps before each one."""
    return np.concatenate(([0.0], np.cumsum(steps)[:-1]))
