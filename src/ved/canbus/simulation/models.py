"""The physical models by the names that a vehicle.toml gives them."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.efficiency.model import FAULTS as EFFICIENCY_FAULTS
from ved.canbus.simulation.efficiency.model import EfficiencyPrototype
from ved.canbus.simulation.formula_student.model import FAULTS as FORMULA_STUDENT_FAULTS
from ved.canbus.simulation.formula_student.model import FormulaStudent
from ved.canbus.simulation.signals import CarModel
from ved.canbus.simulation.solar.model import FAULTS as SOLAR_FAULTS
from ved.canbus.simulation.solar.model import SolarPrototype
from ved.errors import UserError
from ved.model.vehicle import Vehicle

_Make = Callable[[int, Sequence[Fault]], CarModel[Any]]

MODELS: Final[dict[str, tuple[_Make, tuple[FaultKind, ...]]]] = {
    "formula_student": (FormulaStudent, FORMULA_STUDENT_FAULTS),
    "efficiency_prototype": (EfficiencyPrototype, EFFICIENCY_FAULTS),
    "solar_prototype": (SolarPrototype, SOLAR_FAULTS),
}


def make_model(vehicle: Vehicle, seed: int, faults: Sequence[Fault]) -> CarModel[Any]:
    """The car of a vehicle; UserError when it names no model, or the model cannot have one of the faults."""
    if vehicle.simulator not in MODELS:
        raise UserError(
            f"vehicle {vehicle.name} cannot be simulated: its vehicle.toml has no [simulator] with model = "
            + " or ".join(f'"{model}"' for model in MODELS)
        )
    make, possible = MODELS[vehicle.simulator]
    for fault in faults:
        if fault.kind not in possible:
            raise UserError(f"fault {fault.kind}: vehicle {vehicle.name} cannot have it, only {', '.join(possible)}")
    return make(seed, faults)
