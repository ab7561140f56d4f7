"""What an agent reads: the sources of a vehicle folder, or those that the command line names in their place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ved.canbus.merged import MergedSource, merge_buses
from ved.errors import UserError
from ved.model.vehicle import Vehicle, VehicleBus
from ved.sensors.readers import sensor_reader
from ved.sensors.source import MergedSensors


@dataclass(frozen=True, slots=True)
class CarSources:
    """Frames, samples, or both; never neither."""

    buses: MergedSource | None
    sensors: MergedSensors | None = None


def choose_sources(car: Vehicle, bus_options: Sequence[str], sensor_options: Sequence[str]) -> CarSources:
    """The sources of `--bus NAME=SOURCE` and `--sensors SOURCE`; without any, all that vehicle.toml names.

    UserError: one line, for a bus that the vehicle has not, or a wrong address.
    """
    if bus_options or sensor_options:
        buses = [_bus(car, option) for option in bus_options]
        sensors = list(sensor_options)
    else:
        buses = [bus for bus in car.buses if bus.interface]
        sensors = list(car.sensors)
    doubled = {bus.name for bus in buses if [one.index for one in buses].count(bus.index) > 1}
    if doubled:
        raise UserError(f"--bus {min(doubled)}: named twice; each bus has one source")
    if not buses and not sensors:
        raise UserError("nothing to read: give a [[bus]] of vehicle.toml an interface, or use --bus or --sensors")
    return CarSources(
        merge_buses(buses) if buses else None,
        MergedSensors([sensor_reader(text) for text in sensors]) if sensors else None,
    )


def _bus(car: Vehicle, option: str) -> VehicleBus:
    name, separator, interface = option.partition("=")
    if not separator or not interface:
        raise UserError(f"--bus {option}: write it BUS=SOURCE, like {car.buses[0].name}=cannelloni://0.0.0.0:20000")
    for bus in car.buses:
        if name in (bus.name, str(bus.index)):
            return replace(bus, interface=interface)
    known = ", ".join(f"{bus.name} ({bus.index})" for bus in car.buses)
    raise UserError(f"--bus {option}: {car.name} has no bus {name!r}; it has {known}")
