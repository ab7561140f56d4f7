"""What the efficiency prototype measures: all messages of its one bus."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.efficiency.car import AMBIENT_C, BODY, SCHEDULE, STEP_S, EfficiencyCar, EfficiencyState
from ved.canbus.simulation.efficiency.pilot import Phase
from ved.canbus.simulation.gps import GpsReceiver
from ved.canbus.simulation.prototype.ride import WIND_M_S
from ved.canbus.simulation.prototype.signals import battery_signals, motion_signals, motor_signals
from ved.canbus.simulation.signals import KMH, Noise, Signals, flag

FAULTS: Final = (FaultKind.OVER_TEMPERATURE, FaultKind.CELL_SAG, FaultKind.SENSOR_DROPOUT)
LEAST_J: Final = 500.0
"""Below this, kilometres per kilowatt-hour say nothing."""


class EfficiencyPrototype:
    """A `CarModel`."""

    step_s = STEP_S
    usual_dropout = "Joulemeter"

    def __init__(self, seed: int, faults: Sequence[Fault]) -> None:
        self._car = EfficiencyCar(seed, faults)
        self._gps = GpsReceiver(self._car.track, STEP_S)

    def run(self, steps: int) -> EfficiencyState:
        """The next `steps` steps of the day."""
        return self._car.run(steps)

    def measure(self, state: EfficiencyState, noise: Noise) -> dict[str, Signals]:
        """All messages of the bus."""
        return {
            **motion_signals(state.ride, BODY, noise),
            **self._gps.measure(state.ride.place, state.ride.speed_m_s, noise),
            **motor_signals(state.ride, state.motor, state.battery, noise),
            **battery_signals(state.battery, noise),
            **_energy(state, noise),
            **_pilot(state),
            "Accessory": {
                "Voltage": state.accessory.voltage_v + noise.of(0.003),
                "Current": state.accessory.current_a + noise.of(0.004),
            },
            "Environment": {
                "AirTemperature": AMBIENT_C + noise.of(0.03),
                "AirPressure": 1008.4 + noise.of(0.03),
                "Humidity": 58.0,
                "WindSpeed": np.maximum(WIND_M_S + noise.of(0.15), 0.0),
            },
        }


def _energy(state: EfficiencyState, noise: Noise) -> dict[str, Signals]:
    """The joulemeter, and what the display makes of it."""
    battery, ride = state.battery, state.ride
    per_kwh = np.where(state.joules > LEAST_J, 3_600 * ride.gone_m / np.maximum(state.joules, LEAST_J), 0.0)
    return {
        "Joulemeter": {
            "Voltage": battery.voltage_v + noise.of(0.003),
            "Current": battery.current_a + noise.of(0.003),
        },
        "JoulemeterEnergy": {
            "Energy": state.joules,
            "Power": battery.voltage_v * battery.current_a,
        },
        "Efficiency": {
            "DistancePerEnergy": per_kwh,
            "EnergyThisLap": state.lap_joules,
            "AverageSpeed": KMH * ride.gone_m / np.maximum(ride.run_s, 1.0) * (ride.lap > 0),
        },
    }


def _pilot(state: EfficiencyState) -> dict[str, Signals]:
    ride = state.ride
    return {
        "DriverControls": {
            "PulseButton": flag(ride.phase == Phase.PULSE),
            "BrakeLever": np.clip(100 * ride.brake_n / 120.0, 0.0, 100.0),
            "DeadMan": ride.is_driving,
            "Horn": 0.0,
        },
        "Strategy": {
            "Phase": ride.phase,
            "NeededSpeed": KMH * state.needed_m_s,
            "PulseFrom": KMH * state.low_m_s,
            "PulseTo": KMH * state.high_m_s,
            "TimeLeft": state.left_s,
            "LapsLeft": np.where(ride.lap > 0, SCHEDULE.laps + 1 - ride.lap, 0.0),
        },
    }
