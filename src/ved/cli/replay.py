"""`ved replay`: recordings through the real path, as if the car drove now."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ved.canbus.replay import ReplaySource
from ved.cli.describe import describe_buses, ids_by_bus, read_dbc_option
from ved.cli.drive import Drive, run_drive
from ved.cli.options import CarState, ConfigFile, Data, LinkUrl, parse_speed, server_settings
from ved.cli.progress import LateProgress
from ved.cli.server import open_database, prepare_folder, seed_vehicles
from ved.config.settings import ServerSettings
from ved.db.dbcs import assignments
from ved.model.frames import FrameColumns

notes = Console(stderr=True, highlight=False, soft_wrap=True)


def replay(
    logs: Annotated[list[Path], typer.Argument(help="Recordings (.MF4, .log of candump), one after the other.")],
    dbc: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[BUS=]FILE", help="DBC of a bus; without BUS, of the buses that carry its ids. Repeatable."
        ),
    ] = None,
    vehicle: Annotated[str, typer.Option(help="Vehicle to replay as; it is made if it is new.")] = "replay",
    speed: Annotated[str, typer.Option(help="Factor on the recorded pace, or max.")] = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, until Ctrl-C.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Move the recorded times to today.")] = False,
    server: LinkUrl = None,
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Send recordings through the real path: agent, link, journal, lake, page.

    Goes to the server on the data folder (one is started for the time it takes if none runs), or with --server to a
    far one, with the key that 'ved agent enrol' got. Returns when all is stored.

    Example: ved replay drive.MF4 --dbc car.dbc --speed max
    """
    settings = server_settings(data, config)
    options = []
    for text in dbc or ():
        option, problems = read_dbc_option(text)
        options.append(option)
        for problem in problems:
            notes.print(f"ved: {problem}", markup=False)
    source = ReplaySource(logs, speed=parse_speed(speed), loop=loop, moved_to_now=now)
    if server is None:
        source.number_buses(_known_buses(settings, vehicle))
    seen = _scan(source) if any(option.bus is None for option in options) else {}
    buses = describe_buses(source.buses, options, seen)
    drive = Drive(vehicle, vehicle, source, buses, None if loop else source.frame_count)
    run_drive(drive, settings, server, state)
    for problem in source.problems:
        notes.print(f"ved: {problem}", markup=False)


def _known_buses(settings: ServerSettings, vehicle: str) -> dict[str, int]:
    """The numbers of the buses whose DBCs the server has assigned to the vehicle, by name."""
    data = prepare_folder(settings.data.resolve())
    db = open_database(settings)
    try:
        seed_vehicles(db, data)
        return {row.bus_name: row.bus_index for row in assignments(db, vehicle)}
    finally:
        db.close()


def _scan(source: ReplaySource) -> Mapping[int, set[int]]:
    """Which ids stand on which bus: one round over all files, without a pace."""
    with LateProgress("looking for the buses of each DBC", source.frame_count) as progress:

        def chunks() -> Iterator[FrameColumns]:
            done = 0
            for chunk in source.one_round():
                done += len(chunk)
                progress.update(done)
                yield chunk

        return ids_by_bus(chunks())
