"""The Formula Student car as the frame maker sees it: it lives on, and it measures."""

from collections.abc import Sequence
from typing import Final

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.formula_student.car import STEP_S, Car, CarState
from ved.canbus.simulation.formula_student.sensors import Memory, chassis_signals, sensor_signals
from ved.canbus.simulation.formula_student.signals import powertrain_signals
from ved.canbus.simulation.signals import Noise, Signals

FAULTS: Final = (FaultKind.OVER_TEMPERATURE, FaultKind.CELL_SAG, FaultKind.SENSOR_DROPOUT)


class FormulaStudent:
    """A `CarModel`."""

    step_s = STEP_S
    usual_dropout = "WheelSpeeds"

    def __init__(self, seed: int, faults: Sequence[Fault]) -> None:
        self._car = Car(seed, faults)
        self._memory: Memory | None = None

    def run(self, steps: int) -> CarState:
        """The next `steps` steps of the day."""
        return self._car.run(steps)

    def measure(self, state: CarState, noise: Noise) -> dict[str, Signals]:
        """All messages of the three buses."""
        if self._memory is None:
            self._memory = Memory.of(state)
        return {
            **powertrain_signals(state, noise),
            **chassis_signals(state, noise, self._memory),
            **sensor_signals(state, noise),
        }
