"""`ved simulate`: a car that is not there, into a log file or into a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ved.canbus.faults import Fault
from ved.canbus.simulator import START_UTC_US, SimulatorSource, simulate_columns
from ved.cli.describe import buses_of
from ved.cli.drive import Drive, run_drive
from ved.cli.options import CarState, ConfigFile, Data, LinkUrl, parse_speed, server_settings
from ved.cli.progress import LateProgress
from ved.config.places import vehicles_folder
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.logfiles.candump import write_candump
from ved.model.frames import FrameColumns
from ved.model.vehicle import Vehicle

console = Console(highlight=False, soft_wrap=True)


def simulate(
    vehicle: Annotated[str, typer.Argument(help="A shipped vehicle (fs) or one in DATA/vehicles.")],
    out: Annotated[Path | None, typer.Option(help="Write a candump log instead of driving into a server.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long; without it the car drives until Ctrl-C.")] = None,
    speed: Annotated[str, typer.Option(help="Factor on real time, or max.")] = "1",
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND[:TARGET]@START+SECONDS, such as over_temperature@60+30; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another number is another drive.")] = 1,
    server: LinkUrl = None,
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Drive a simulated car: laps on a closed track, encoded on the vehicle's own CAN buses.

    Examples: ved simulate fs --speed max --minutes 10 --out drive.log;  ved simulate fs --minutes 2
    """
    settings = server_settings(data, config)
    car = find_vehicle(vehicle, settings.data)
    factor = parse_speed(speed)
    faults = [Fault.parse(text) for text in fault or ()]
    if minutes is not None and minutes <= 0:
        raise UserError(f"--minutes {minutes}: give a positive number")
    if out is not None:
        if minutes is None:
            raise UserError("--out needs --minutes: say how long the log shall be")
        chunks = simulate_columns(car, minutes * 60, seed, faults)
        _write_log(car, out, chunks, minutes)
        return
    source = SimulatorSource(
        car, seed=seed, faults=faults, speed=factor, duration_s=None if minutes is None else minutes * 60
    )
    run_drive(Drive(car.name, car.title_en, source, buses_of(car)), settings, server, state)


def find_vehicle(name: str, data: Path) -> Vehicle:
    """The vehicle of that name: from DATA/vehicles, else a shipped one. UserError lists those that there are."""
    folders = [data / "vehicles", vehicles_folder()]
    for folder in folders:
        if (folder / name / "vehicle.toml").is_file():
            return load_vehicle(folder / name)
    known = sorted({file.parent.name for folder in folders for file in folder.glob("*/vehicle.toml")})
    raise UserError(f"vehicle '{name}': there is no such vehicle; known are {', '.join(known)}")


def _write_log(car: Vehicle, out: Path, chunks: Iterator[FrameColumns], minutes: float) -> None:
    with LateProgress(f"simulating {car.name} (seconds)", int(minutes * 60)) as progress:

        def told() -> Iterator[FrameColumns]:
            for chunk in chunks:
                if len(chunk):
                    progress.update(int(chunk.t_us[-1] // 1_000_000))
                yield chunk

        try:
            frames = write_candump(out, told(), START_UTC_US, {bus.index: bus.name for bus in car.buses})
        except OSError as error:
            raise UserError(f"{out}: cannot write this file ({error.strerror})") from None
    console.print(f"{out}: {frames:,} frames in {minutes:g} min of driving")
