"""The solar array: three strings on the car's back, each with its own MPPT into the battery."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.faults import Fault, FaultKind, active
from ved.canbus.simulation.signals import Floats
from ved.canbus.simulation.solar.sun import Light
from ved.canbus.simulation.track import Place

EFFICIENCY: Final = 0.228  # at 25 °C, behind lamination and dust
EFFICIENCY_PER_K: Final = -0.0034
ABSORBED: Final = 0.88
CELL_V: Final = 0.575  # at the maximum of power, 25 °C and full sun
CELL_V_PER_K: Final = -0.0019
CELL_V_PER_E: Final = 0.031  # per factor e of irradiance
AREA_J_M2_K: Final = 8_500.0
STILL_W_M2_K: Final = 11.0
WIND_W_M2_K: Final = 3.8  # per m/s
CONVERTER_SHARE: Final = 0.976
CONVERTER_W: Final = 1.4
CONVERTER_J_K: Final = 420.0
CONVERTER_W_K: Final = 0.9
SEARCH: Final = 0.012  # share of the voltage by which the tracker wanders to find the maximum
SEARCH_S: Final = 0.8
CURVE: Final = 9.0  # of power over voltage, at its maximum
LEAST_W: Final = 5.0
FULL_SOC: Final = 0.975
FULL_ROOM: Final = 0.02


@dataclass(frozen=True, slots=True)
class StringSpec:
    """A string of cells: its area, how far it is tilted to the front, and how many cells are in series."""

    area_m2: float
    forward_deg: float
    cells: int


STRINGS: Final = (StringSpec(1.25, 7.0, 84), StringSpec(1.55, 0.0, 104), StringSpec(1.2, -9.0, 80))


@dataclass(frozen=True, slots=True, eq=False)
class ArrayState:
    """The array at n steps, arrays (n, strings). `available_w` is what the cells could give at their best voltage,
    `input_w` what the trackers take, `output_w` what reaches the battery; `limit` is 1 unless the battery is full."""

    plane_w_m2: Floats
    available_w: Floats
    input_v: Floats
    input_w: Floats
    output_w: Floats
    cell_c: Floats
    tracker_c: Floats
    limit: float

    @property
    def input_a(self) -> Floats:
        """Current out of each string."""
        return self.input_w / self.input_v

    @property
    def total_w(self) -> Floats:
        """Power of the whole array into the battery, (n,)."""
        out: Floats = self.output_w.sum(axis=1)
        return out


class SolarArray:
    """Temperatures and the trackers' search between chunks. Faults of kind STRING_LOSS cut one string off."""

    def __init__(self, ambient_c: float, faults: Sequence[Fault] = ()) -> None:
        self._ambient_c = ambient_c
        self._lost: list[list[Fault]] = [[] for _ in STRINGS]
        for fault in faults:
            if fault.kind is FaultKind.STRING_LOSS:
                self._lost[fault.number(len(STRINGS), "string") - 1].append(fault)
        self._cell_c = np.full(len(STRINGS), ambient_c + 14.0)
        self._tracker_c = np.full(len(STRINGS), ambient_c + 6.0)

    def run(self, time_s: Floats, light: Light, place: Place, speed_m_s: Floats, soc: float) -> ArrayState:
        """Power for n steps on a car at `place`; a battery with the charge `soc` takes less when it is full."""
        step_s = float(time_s[1] - time_s[0])
        area = np.array([string.area_m2 for string in STRINGS])
        plane = np.stack([_plane(light, place, string) for string in STRINGS], axis=1)
        efficiency = EFFICIENCY * (1 + EFFICIENCY_PER_K * (self._cell_c - 25))
        connected = 1 - np.stack([active(faults, time_s) for faults in self._lost], axis=1)
        available = plane * area * efficiency * connected
        limit = min(max((FULL_SOC - soc) / FULL_ROOM, 0.0), 1.0)
        off = SEARCH * _triangle(time_s[:, None] / SEARCH_S + np.arange(len(STRINGS)) / 3)
        taken = available * (1 - CURVE * off**2) * limit * (available > LEAST_W)
        warm = CELL_V_PER_K * (self._cell_c - 25) + CELL_V_PER_E * np.log(np.maximum(plane, 5.0) / 1_000)
        cells = np.array([string.cells for string in STRINGS])
        voltage = cells * (CELL_V + warm) * (1 + off + 0.12 * (1 - limit))
        output = np.maximum(CONVERTER_SHARE * taken - CONVERTER_W, 0.0)
        cooling = (STILL_W_M2_K + WIND_W_M2_K * speed_m_s[:, None]) * (self._cell_c - self._ambient_c)
        lost = (taken - output) - CONVERTER_W_K * (self._tracker_c - self._ambient_c)
        state = ArrayState(
            plane_w_m2=plane,
            available_w=available,
            input_v=voltage,
            input_w=taken,
            output_w=output,
            cell_c=self._cell_c + np.cumsum(ABSORBED * plane - taken / area - cooling, axis=0) * (step_s / AREA_J_M2_K),
            tracker_c=self._tracker_c + np.cumsum(lost, axis=0) * (step_s / CONVERTER_J_K),
            limit=limit,
        )
        self._cell_c, self._tracker_c = state.cell_c[-1], state.tracker_c[-1]
        return state


def _plane(light: Light, place: Place, string: StringSpec) -> Floats:
    """Irradiance of a string in W/m²: the beam by the angle at which it falls in, diffuse light from all the sky."""
    tilt = np.radians(string.forward_deg)
    forward = light.east * np.cos(place.heading_rad) + light.north * np.sin(place.heading_rad)
    falls_in = np.maximum(np.cos(tilt) * light.up + np.sin(tilt) * forward, 0.0)
    out: Floats = light.beam_w_m2 * falls_in * (light.up > 0) + light.diffuse_w_m2 * (1 + np.cos(tilt)) / 2
    return out


def _triangle(turns: Floats) -> Floats:
    """A triangle wave from -1 to 1: the tracker steps up until power falls, then down."""
    out: Floats = np.abs(turns % 1 * 4 - 2) - 1
    return out
