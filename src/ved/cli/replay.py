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
from ved.logfiles.open_log import open_log
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
    seen = _scan(logs) if any(option.bus is None for option in options) else {}
    buses = describe_buses(source.buses, options, seen)
    drive = Drive(vehicle, vehicle, source, buses, None if loop else source.frame_count)
    run_drive(drive, settings, server, state)
    for problem in source.problems:
        notes.print(f"ved: {problem}", markup=False)


def _scan(logs: list[Path]) -> Mapping[int, set[int]]:
    """Which ids stand on which bus."""
    opened = [open_log(path) for path in logs]
    counts = [log.frame_count for log in opened]
    total = None if None in counts else sum(count or 0 for count in counts)
    with LateProgress("looking for the buses of each DBC", total) as progress:

        def chunks() -> Iterator[FrameColumns]:
            done = 0
            for log in opened:
                for chunk in log.chunks():
                    done += len(chunk)
                    progress.update(done)
                    yield chunk

        return ids_by_bus(chunks())
