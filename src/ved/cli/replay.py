"""`ved replay`: recordings through the real path, as if the car drove now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ved.canbus.replay import ReplaySource
from ved.cli.describe import describe_buses, ids_by_bus, read_dbc_option
from ved.cli.drive import Drive, run_drive
from ved.cli.progress import LateProgress
from ved.cli.server import known_buses
from ved.config.settings import ServerSettings
from ved.model.frames import FrameColumns

notes = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Recordings:
    """What to replay and how: files, `[BUS=]FILE` of each DBC, vehicle, speed (0: as fast as possible)."""

    logs: tuple[Path, ...]
    dbcs: tuple[str, ...]
    vehicle: str
    speed: float
    is_looped: bool
    is_moved: bool


def run_replay(recordings: Recordings, settings: ServerSettings, server_url: str | None, state: Path) -> None:
    """Send the recordings to the server and say what could not be read."""
    options = []
    for text in recordings.dbcs:
        option, problems = read_dbc_option(text)
        options.append(option)
        for problem in problems:
            notes.print(f"ved: {problem}", markup=False)
    source = ReplaySource(
        recordings.logs, recordings.speed, loop=recordings.is_looped, moved_to_now=recordings.is_moved
    )
    if server_url is None:
        source.number_buses(known_buses(settings, recordings.vehicle))
    seen = _scan(source) if any(option.bus is None for option in options) else {}
    buses = describe_buses(source.buses, options, seen)
    frame_count = None if recordings.is_looped else source.frame_count
    drive = Drive(recordings.vehicle, recordings.vehicle, source, buses, recordings.speed > 0, frame_count)
    run_drive(drive, settings, server_url, state)
    for problem in source.problems:
        notes.print(f"ved: {problem}", markup=False)


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
