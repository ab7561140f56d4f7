"""`ved import`: recordings into the lake, each once, under the epoch that its content names."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.canbus.replay import OLDEST_UTC_US, ReplaySource
from ved.cli.arrival import Expected, await_in_lake
from ved.cli.describe import DbcOption, describe, describe_buses, ids_by_bus, lacks_bus, read_dbc_option
from ved.cli.drive import server_on
from ved.cli.enrolment import enrol_here
from ved.cli.keys import check_vehicle_name, ensure_named_vehicle
from ved.cli.progress import LateProgress
from ved.cli.server import known_buses, open_database
from ved.codec.records import encode_record
from ved.config.places import vehicle_folder
from ved.config.settings import ServerSettings
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.link.courier import Courier, Parcel
from ved.link.credentials import Credentials, load_credentials
from ved.logfiles.content import ContentHash
from ved.logfiles.find_logs import find_logs
from ved.logfiles.open_log import open_log
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.gpsclock import GpsClock, GpsSignals
from ved.model.records import Clock, ClockSource, Description

BATCH_FRAMES: Final = 8192
console = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: the vehicle, and the server on a data folder, or a far one (`server_url`, with the key in `state`)."""

    vehicle: str
    settings: ServerSettings
    server_url: str | None
    state: Path


@dataclass(frozen=True, slots=True)
class Recording:
    """One file, looked through: what its content is named, and which ids stand on which bus (by the bus's name)."""

    path: Path
    epoch: bytes
    frames: int
    start_utc_us: int
    ids: Mapping[str, frozenset[int]]
    problem: str | None


@dataclass(frozen=True, slots=True)
class Failures:
    """What of the files could not be imported, one line each."""

    files: int
    lines: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """A file's UserError is told and kept: it does not stop the other files."""
        try:
            yield
        except UserError as error:
            self.lines.append(str(error))
            if self.files > 1:
                notes.print(f"ved: {error}", markup=False)


def import_logs(names: tuple[str, ...], dbcs: tuple[str, ...], target: Target) -> None:
    """Store the recordings that are not stored yet, and say of each what became of it.

    A file that cannot be imported does not stop the others; UserError at the end then.
    """
    check_vehicle_name(target.vehicle)
    options: list[DbcOption] = []
    for text in dbcs:
        option, problems = read_dbc_option(text)
        options.append(option)
        for problem in problems:
            notes.print(f"ved: {problem}", markup=False)
    paths = find_logs(names)
    buses = known_buses(target.settings, target.vehicle) if target.server_url is None else {}
    failed = asyncio.run(_import_all(paths, options, buses, target))
    if failed:
        more = f" ({len(failed)} of {len(paths)} files could not be imported)" if len(paths) > 1 else ""
        raise UserError(f"{failed[0]}{more}")


async def _import_all(
    paths: list[Path], options: list[DbcOption], buses: Mapping[str, int], target: Target
) -> list[str]:
    """Import each file; what could not be imported, one line each."""
    failures = Failures(len(paths))
    sent: list[tuple[Recording, Expected]] = []
    folder = vehicle_folder(target.vehicle, target.settings.data)
    gps = None if folder is None else load_vehicle(folder).gps
    lake = lake_of(target)
    recordings = _look_through_all(paths, options, buses, failures)
    async with contextlib.AsyncExitStack() as stack:
        delivery: Delivery | None = None
        while (recording := await asyncio.to_thread(next, recordings, None)) is not None:
            expected = Expected(target.vehicle, recording.epoch, recording.frames)
            twin = next((one.path for one, _ in sent if one.epoch == recording.epoch), None)
            if twin is not None:
                _say(recording, f"has the same content as {twin}")
                continue
            if is_in_lake(expected, lake):
                _say(recording, "is in the lake already")
                continue
            if delivery is None:
                delivery = await stack.enter_async_context(delivery_to(target))
            with failures.kept():
                await delivery.bring(expected, records_of(recording, options, buses, target.vehicle, gps))
                sent.append((recording, expected))
        for recording, expected in sent:
            await await_arrival(expected, target)
            where = "the lake" if target.server_url is None else "the server's journal"
            _say(recording, f"{recording.frames:,} frames are in {where}")
    return failures.lines


def _look_through_all(
    paths: list[Path], options: list[DbcOption], known: Mapping[str, int], failures: Failures
) -> Iterator[Recording]:
    """What the files hold; those without the bus of a DBC come last. UserError before them when no file has it."""
    named = [option for option in options if option.bus is not None]
    looked: list[Mapping[int, str]] = []
    waiting: list[Recording] = []
    for path in paths:
        with failures.kept():
            recording = look_through(path)
            if recording.problem is not None:
                notes.print(f"ved: {recording.problem}", markup=False)
            looked.append(_opened(recording, known).buses if named else {})
            if any(lacks_bus(looked[-1], option) for option in named):
                waiting.append(recording)
            else:
                yield recording
    for option in named if looked else ():
        _tell_lacking(option, looked)
    yield from waiting


def _tell_lacking(option: DbcOption, looked: list[Mapping[int, str]]) -> None:
    """Say once how many of the logs lack the option's bus; UserError when all do."""
    lacking = sum(lacks_bus(buses, option) for buses in looked)
    what = f"--dbc {option.bus}={option.path}:"
    if lacking == len(looked):
        there = sorted({f"{name} ({number})" for buses in looked for number, name in buses.items()})
        raise UserError(f"{what} no log has the bus '{option.bus}'; there are {', '.join(there)}")
    if lacking:
        text = f"{what} {lacking} of {len(looked)} logs have no bus '{option.bus}'; they are imported without it"
        notes.print(f"ved: {text}", markup=False)


def look_through(path: Path) -> Recording:
    """Read a recording once, for its name and its buses. UserError when nothing of it can be read."""
    log = open_log(path)
    content = ContentHash()
    ids: dict[int, set[int]] = {}
    with LateProgress(f"{path.name}: reading", log.frame_count) as progress:
        for frames in log.chunks():
            content.update(frames)
            for bus, found in ids_by_bus([frames]).items():
                ids.setdefault(bus, set()).update(found)
            progress.update(content.frames)
    if not content.frames:
        raise UserError(log.problem or f"log {path}: holds no frames")
    names = log.buses
    by_name = {names[bus]: frozenset(found) for bus, found in ids.items() if bus in names}
    epoch = content.epoch(log.start_utc_us)
    return Recording(path, epoch, content.frames, log.start_utc_us, by_name, log.problem)


def records_of(
    recording: Recording,
    options: list[DbcOption],
    known: Mapping[str, int],
    vehicle: str,
    gps: GpsSignals | None = None,
) -> Iterator[bytes]:
    """Description, clocks and batches, numbered and cut the same every time; a DBC is for the buses that there are.

    UserError when the file changed, and when nothing says at what time it was recorded.
    """
    source = _opened(recording, known)
    seen = {number: set(recording.ids.get(name, ())) for number, name in source.buses.items()}
    fitting = [option for option in options if not lacks_bus(source.buses, option)]
    blank = describe(vehicle, recording.path.stem, describe_buses(source.buses, fitting, seen))
    clocks = _clocks(recording, source, gps)
    yield encode_record(Description(vehicle, recording.epoch, 1, blank.title, blank.buses))
    for number, pair in enumerate(clocks, 2):
        yield encode_record(Clock(vehicle, recording.epoch, number, pair.t_us, pair.utc_us, pair.source, pair.error_us))
    batch = FrameBatch(vehicle, recording.epoch, 1, FrameColumns.empty())
    for frames in _pieces(source.one_round(), recording.frames):
        batch = replace(batch, first_seq=batch.last_seq + 1, frames=frames)
        yield encode_record(batch)
    if batch.last_seq != recording.frames:
        raise UserError(f"log {recording.path}: changed while it was read; import it again")


def _opened(recording: Recording, known: Mapping[str, int]) -> ReplaySource:
    """The recording's frames, buses numbered as the vehicle's are."""
    source = ReplaySource((recording.path,), 0)
    source.number_buses(known)
    return source


def _clocks(recording: Recording, source: ReplaySource, gps: GpsSignals | None) -> list[ClockPair]:
    """The recorded start, and all that a receiver says. Sessions are found in frames, so clocks come before them."""
    clocks = []
    if recording.start_utc_us >= OLDEST_UTC_US:
        clocks.append(ClockPair(0, recording.start_utc_us, ClockSource.RECORDED))
    if gps is not None:
        receiver, done = GpsClock(gps), 0
        title = f"{recording.path.name}: looking for the receiver's time"
        with LateProgress(title, recording.frames) as progress:
            for frames in _pieces(source.one_round(), recording.frames):
                clocks += receiver.pairs(frames)
                done += len(frames)
                progress.update(done)
    if not clocks:
        path = recording.path
        raise UserError(
            f"log {path}: does not say when it was recorded, so no session could show it and nothing of it was stored; "
            f"'ved replay {path} --now' sends it as if it were driven now"
        )
    return clocks


def _pieces(chunks: Iterator[FrameColumns], limit: int) -> Iterator[FrameColumns]:
    """The first `limit` frames of the chunks in pieces of BATCH_FRAMES."""
    held, left = FrameColumns.empty(), limit
    for chunk in chunks:
        held = FrameColumns.concatenate([held, chunk.take(slice(0, left))])
        left -= min(left, len(chunk))
        while len(held) >= BATCH_FRAMES:
            yield held.take(slice(0, BATCH_FRAMES))
            held = held.take(slice(BATCH_FRAMES, None))
    if len(held):
        yield held


@dataclass(frozen=True, slots=True)
class Delivery:
    """The way to a server that takes parcels."""

    courier: Courier

    async def bring(self, expected: Expected, records: Iterator[bytes]) -> None:
        """Return when the server has all of it on disk."""
        parcel = Parcel(expected.vehicle, expected.epoch, records, expected.rows)
        with LateProgress(f"{expected.vehicle}: sending {expected.what}", expected.rows) as progress:
            await self.courier.deliver(parcel, progress.update)


@contextlib.asynccontextmanager
async def delivery_to(target: Target) -> AsyncIterator[Delivery]:
    """The way to the target's server; one is started for the time of the block if none runs on the data folder."""
    if target.server_url is not None:
        yield Delivery(Courier(_far_credentials(target, target.server_url)))
        return
    settings = target.settings
    async with server_on(settings, with_page=False) as link_url:
        db = open_database(settings)
        try:
            ensure_named_vehicle(db, target.vehicle)
        finally:
            db.close()
        state = settings.data.resolve() / "imports" / target.vehicle
        await enrol_here(settings, target.vehicle, link_url, state)
        yield Delivery(Courier(load_credentials(state)))


async def await_arrival(expected: Expected, target: Target) -> None:
    """Return when it is in the lake, where that is here."""
    if target.server_url is None:
        await await_in_lake(expected, target.settings)


def lake_of(target: Target) -> Lake | None:
    """The lake on the data folder; None for a far server."""
    return Lake(target.settings.lake) if target.server_url is None else None


def is_in_lake(expected: Expected, lake: Lake | None) -> bool:
    """True when the lake has every row."""
    if lake is None:
        return False
    lake.refresh()
    return expected.stored(lake).contains(1, expected.rows)


def _far_credentials(target: Target, server_url: str) -> Credentials:
    known = load_credentials(target.state)
    if known.vehicle != target.vehicle:
        raise UserError(f"{target.state}: this key is for vehicle '{known.vehicle}'; give --vehicle {known.vehicle}")
    if server_url not in known.server_urls:
        raise UserError(f"{target.state}: this key is for {', '.join(known.server_urls)}, not {server_url}")
    return known


def _say(recording: Recording, what: str) -> None:
    console.print(f"{recording.path}: {what} (epoch {recording.epoch.hex()})", markup=False)
