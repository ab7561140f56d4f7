"""A lithium-ion battery: cell groups in series, each with its own charge, resistance and voltage.

Equivalent circuit of each group: open-circuit voltage over state of charge, a series resistance and one RC pair (the
Thevenin model; Plett, "Battery Management Systems, Volume I", chapter 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.signals import Floats, Signals, before, numbered

RC_TIME_S: Final = 18.0
SAG_V: Final = 0.14
SAG_FACTOR: Final = 3.5
WARNING_SPREAD_V: Final = 0.12

_SOC: Final = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
_OPEN_V: Final = np.array([2.80, 3.28, 3.42, 3.54, 3.61, 3.67, 3.74, 3.84, 3.93, 4.02, 4.09, 4.18])


@dataclass(frozen=True, slots=True)
class BatterySpec:
    """How a battery is made: cell groups in series, temperature sensors, and what one group is like.

    `cycles` it has behind it at first, `charged` the least and the most state of charge of a fresh one.
    """

    cells: int
    sensors: int
    capacity_ah: float
    cell_ohm: float
    rc_ohm: float
    heat_capacity_j_k: float
    cooling_w_k: float
    cycles: int
    charged: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class BatteryState:
    """The battery at n times: `cell_v` (n, cells), `sensor_c` (n, sensors), the others (n,). Discharge is positive."""

    current_a: Floats
    voltage_v: Floats
    soc: Floats
    energy_wh: Floats
    recovered_wh: Floats
    resistance_ohm: Floats
    loss_w: Floats
    cell_v: Floats
    sensor_c: Floats

    @property
    def is_uneven(self) -> NDArray[np.bool_]:
        """True where one cell stands so far below the others that the driver is warned."""
        out: NDArray[np.bool_] = self.cell_v.mean(axis=1) - self.cell_v.min(axis=1) > WARNING_SPREAD_V
        return out

    def cell_signals(self) -> dict[str, Signals]:
        """CellSummary and CellVoltages."""
        return {
            "CellSummary": {
                "MinimumVoltage": self.cell_v.min(axis=1),
                "MaximumVoltage": self.cell_v.max(axis=1),
                "MeanVoltage": self.cell_v.mean(axis=1),
                "MinimumCell": 1.0 + self.cell_v.argmin(axis=1),
                "MaximumCell": 1.0 + self.cell_v.argmax(axis=1),
            },
            "CellVoltages": numbered("Cell", self.cell_v),
        }


class Battery:
    """The battery's state between chunks of time."""

    def __init__(
        self, spec: BatterySpec, random: np.random.Generator, ambient_c: float, faults: Sequence[Fault] = ()
    ) -> None:
        """Of `faults`, those of kind CELL_SAG count; UserError when one names no cell of this battery."""
        self._spec, self._random, self._ambient_c = spec, random, ambient_c
        self._sags = [
            (fault, fault.number(spec.cells, "cell") - 1) for fault in faults if fault.kind is FaultKind.CELL_SAG
        ]
        self._soc_spread = np.clip(random.normal(0, 0.004, spec.cells), -0.012, 0.012)
        self._ohm = spec.cell_ohm * random.normal(1, 0.02, spec.cells)
        # The air comes from the front.
        self._cooling = np.linspace(1.2, 0.8, spec.sensors) * random.normal(1, 0.03, spec.sensors)
        self.cycles = spec.cycles
        self.soc = 0.0
        self.fit_charged()

    def fit_charged(self) -> None:
        """A charged battery takes the place of the empty one: the counters of energy begin again."""
        self.cycles += 1
        self.soc = float(self._random.uniform(*self._spec.charged))
        self._rc_v, self._energy_wh, self._recovered_wh = 0.0, 0.0, 0.0
        self._sensor_c = (
            self._ambient_c + self._random.uniform(2.0, 5.0) + self._random.normal(0, 0.3, self._spec.sensors)
        )

    def run(self, time_s: Floats, step_s: float, power_w: Floats, airflow_m_s: Floats) -> BatteryState:
        """Give `power_w` at the terminals for n steps of `step_s`; the state is that at each step's beginning."""
        cells, capacity_as = self._spec.cells, 3600 * self._spec.capacity_ah
        ohm = self._ohm * float(np.clip(1.25 - 0.011 * (self._sensor_c.mean() - 15), 0.75, 1.4))
        cell_ohm = np.broadcast_to(ohm, (len(time_s), cells))
        open_v = np.broadcast_to(self._open_v(self.soc), (len(time_s), cells))
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
            inner_v = pack_open_v + slope * (soc - self.soc) - cells * rc_v
            root = np.maximum(inner_v**2 - 4 * pack_ohm * power_w, 0.0)
            current = (inner_v - np.sqrt(root)) / (2 * pack_ohm)
            soc = self.soc - before(current) * step_s / capacity_as
            rc_v = self._rc_v + before(current * self._spec.rc_ohm - self._rc_v) * step_s / RC_TIME_S
        cell_v = open_v + ((soc - self.soc) * slope / cells - rc_v)[:, None] - current[:, None] * cell_ohm
        voltage = cell_v.sum(axis=1)
        loss = current**2 * pack_ohm + current * cells * rc_v
        energy_step = current * voltage * step_s / 3600
        state = BatteryState(
            current_a=current,
            voltage_v=voltage,
            soc=soc,
            energy_wh=self._energy_wh + before(energy_step),
            recovered_wh=self._recovered_wh + before(np.maximum(-energy_step, 0.0)),
            resistance_ohm=pack_ohm,
            loss_w=loss,
            cell_v=cell_v,
            sensor_c=self._warm(loss, step_s, float(airflow_m_s.mean())),
        )
        self.soc -= float(current.sum()) * step_s / capacity_as
        self._rc_v += float((current * self._spec.rc_ohm - self._rc_v).sum()) * step_s / RC_TIME_S
        self._energy_wh += float(energy_step.sum())
        self._recovered_wh += float(np.maximum(-energy_step, 0.0).sum())
        return state

    def _open_v(self, soc: float) -> Floats:
        out: Floats = np.interp(soc + self._soc_spread, _SOC, _OPEN_V)
        return out

    def _warm(self, loss_w: Floats, step_s: float, airflow_m_s: float) -> Floats:
        """Temperatures (n, SENSORS): all groups share the heat, those at the front get the coolest air."""
        cooling = self._spec.cooling_w_k * (1 + airflow_m_s / 15) * self._cooling * (self._sensor_c - self._ambient_c)
        rise = (loss_w[:, None] - cooling) * (step_s / self._spec.heat_capacity_j_k)
        out = self._sensor_c + np.vstack((np.zeros(self._spec.sensors), np.cumsum(rise, axis=0)))
        self._sensor_c = out[-1]
        return out[:-1]
