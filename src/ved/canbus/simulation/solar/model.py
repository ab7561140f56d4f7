"""What the solar prototype measures: drive bus first, then energy bus."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.gps import GpsReceiver
from ved.canbus.simulation.prototype.signals import battery_signals, motion_signals, motor_signals
from ved.canbus.simulation.signals import KMH, Noise, Signals, flag
from ved.canbus.simulation.solar.array import LEAST_W
from ved.canbus.simulation.solar.car import AMBIENT_C, BODY, CONVERTER_SHARE, STEP_S, SolarCar, SolarState
from ved.canbus.simulation.solar.pilot import Phase

FAULTS: Final = (FaultKind.OVER_TEMPERATURE, FaultKind.CELL_SAG, FaultKind.STRING_LOSS, FaultKind.SENSOR_DROPOUT)
STRING_NAMES: Final = ("Front", "Middle", "Rear")


class SolarPrototype:
    """A `CarModel`."""

    step_s = STEP_S
    usual_dropout = "Irradiance"

    def __init__(self, seed: int, faults: Sequence[Fault]) -> None:
        self._car = SolarCar(seed, faults)
        self._gps = GpsReceiver(self._car.track, STEP_S)

    def run(self, steps: int) -> SolarState:
        """The next `steps` steps of the day."""
        return self._car.run(steps)

    def measure(self, state: SolarState, noise: Noise) -> dict[str, Signals]:
        """All messages of both buses."""
        return {
            **motion_signals(state.ride, BODY, noise),
            **self._gps.measure(state.ride.place, state.ride.speed_m_s, noise),
            **motor_signals(state.ride, state.motor, state.battery, noise),
            **_pilot(state),
            **battery_signals(state.battery, noise),
            **_array(state, noise),
            **_sky(state, noise),
            **_energy(state, noise),
        }


def _pilot(state: SolarState) -> dict[str, Signals]:
    ride = state.ride
    return {
        "DriverControls": {
            "Accelerator": np.clip(100 * ride.drive_n / BODY.drive_n, 0.0, 100.0),
            "BrakePedal": np.clip(100 * (ride.brake_n + np.maximum(-ride.drive_n, 0.0)) / 600.0, 0.0, 100.0),
            "CruiseActive": flag(ride.phase == Phase.CRUISE),
            "RecoveryActive": flag(ride.drive_n < 0),
        },
        "Strategy": {
            "Phase": ride.phase,
            "TargetSpeed": KMH * state.target_m_s,
            "PowerBudget": state.budget_w,
        },
    }


def _array(state: SolarState, noise: Noise) -> dict[str, Signals]:
    """The three trackers, and the temperatures of cells and trackers."""
    array, out = state.array, dict[str, Signals]()
    tracking = 1.0 if array.limit == 1.0 else 2.0
    for number, name in enumerate(STRING_NAMES):
        on = array.input_w[:, number] > LEAST_W
        out[f"Mppt{name}"] = {
            "InputVoltage": array.input_v[:, number] + noise.of(0.02),
            "InputCurrent": np.maximum(array.input_a[:, number] + noise.of(0.004) * on, 0.0),
            "OutputCurrent": array.output_w[:, number] / state.battery.voltage_v,
            "State": np.where(on, tracking, 0.0),
        }
    cells, trackers = array.cell_c.T, array.tracker_c.T
    out["ArrayTemperatures"] = {name: cells[row] + noise.of(0.1) for row, name in enumerate(STRING_NAMES)}
    out["MpptTemperatures"] = {name: trackers[row] + noise.of(0.05) for row, name in enumerate(STRING_NAMES)}
    return out


def _sky(state: SolarState, noise: Noise) -> dict[str, Signals]:
    light = state.light
    return {
        "Irradiance": {
            "Horizontal": np.maximum(light.horizontal_w_m2 * (1 + noise.of(0.002)), 0.0),
            "AirTemperature": AMBIENT_C + noise.of(0.03),
        },
        "Sun": {"Elevation": light.elevation_deg, "Azimuth": light.azimuth_deg},
    }


def _energy(state: SolarState, noise: Noise) -> dict[str, Signals]:
    return {
        "PowerBalance": {
            "Array": state.array.total_w,
            "Motor": state.motor.electric_w,
            "Auxiliary": state.auxiliary_w,
            "Battery": state.battery_w,
        },
        "EnergyTotals": {"Array": state.array_wh, "Motor": state.motor_wh},
        "EnergyLap": {"Recovered": state.recovered_wh, "ThisLap": state.lap_wh},
        "LowVoltage": {
            "Voltage": 12.6 + noise.of(0.005),
            "Current": state.auxiliary_w * CONVERTER_SHARE / 12.6 + noise.of(0.01),
        },
    }
