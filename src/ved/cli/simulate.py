"""`ved simulate`: a car that is not there, into a log file or into a server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ved.canbus.faults import Fault
from ved.canbus.simulator import START_UTC_US, SimulatorSource, simulate_columns
from ved.cli.describe import buses_of
from ved.cli.drive import Drive, run_drive
from ved.cli.progress import LateProgress
from ved.config.places import vehicle_folder, vehicles_folder
from ved.config.settings import ServerSettings
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.logfiles.candump import write_candump
from ved.model.frames import FrameColumns
from ved.model.vehicle import Vehicle

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A car, its ordered faults, the seed of the drive, and its length (None: without end)."""

    car: Vehicle
    faults: tuple[Fault, ...]
    seed: int
    minutes: float | None

    @staticmethod
    def prepare(
        settings: ServerSettings, vehicle: str, faults: tuple[str, ...], seed: int, minutes: float | None
    ) -> "Simulation":
        """Find the vehicle and read the faults; UserError for what is not possible."""
        if minutes is not None and not 0 < minutes < float("inf"):
            raise UserError(f"--minutes {minutes}: give a positive number")
        return Simulation(
            find_vehicle(vehicle, settings.data), tuple(Fault.parse(text) for text in faults), seed, minutes
        )


def drive_simulation(
    simulation: Simulation, speed: float, settings: ServerSettings, server_url: str | None, state: Path
) -> None:
    """Drive into a server."""
    car = simulation.car
    source = SimulatorSource(
        car,
        seed=simulation.seed,
        faults=simulation.faults,
        speed=speed,
        duration_s=None if simulation.minutes is None else simulation.minutes * 60,
    )
    run_drive(Drive(car.name, car.title_en, source, buses_of(car), speed > 0), settings, server_url, state)


def write_simulation(simulation: Simulation, out: Path) -> None:
    """Write a candump log, as fast as it goes."""
    if simulation.minutes is None:
        raise UserError("--out needs --minutes: say how long the log shall be")
    car, seconds = simulation.car, simulation.minutes * 60
    chunks = simulate_columns(car, seconds, simulation.seed, simulation.faults)
    with LateProgress(f"simulating {car.name} (seconds)", int(seconds)) as progress:

        def told() -> Iterator[FrameColumns]:
            for chunk in chunks:
                if len(chunk):
                    progress.update(int(chunk.t_us[-1] // 1_000_000))
                yield chunk

        try:
            frames = write_candump(out, told(), START_UTC_US, {bus.index: bus.name for bus in car.buses})
        except OSError as error:
            raise UserError(f"{out}: cannot write this file ({error.strerror})") from None
    console.print(f"{out}: {frames:,} frames in {simulation.minutes:g} min of driving")


def find_vehicle(name: str, data: Path) -> Vehicle:
    """The vehicle of that name: from DATA/vehicles, else a shipped one. UserError lists those that there are."""
    folder = vehicle_folder(name, data)
    if folder is not None:
        return load_vehicle(folder)
    folders = (data / "vehicles", vehicles_folder())
    known = sorted({file.parent.name for folder in folders for file in folder.glob("*/vehicle.toml")})
    raise UserError(f"vehicle '{name}': there is no such vehicle; known are {', '.join(known)}")
