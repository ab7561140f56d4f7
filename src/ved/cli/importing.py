"""`ved import`: recordings into the lake, each once, under the epoch that its content names."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.canbus.replay import OLDEST_UTC_US, ReplaySource
from ved.cli.arrival import Expected, await_in_lake
from ved.cli.describe import DbcOption, describe, describe_buses, ids_by_bus, read_dbc_option
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


def import_logs(names: tuple[str, ...], dbcs: tuple[str, ...], target: Target) -> None:
    """Store the recordings that are not stored yet, and say of each what became of it.

    A file that cannot be read does not stop the others; UserError at the end then.
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
        more = f" ({len(failed)} of {len(paths)} files could not be read)" if len(paths) > 1 else ""
        raise UserError(f"{failed[0]}{more}")


async def _import_all(
    paths: list[Path], options: list[DbcOption], buses: Mapping[str, int], target: Target
) -> list[str]:
    """Import each file; what could not be read, one line each."""
    failed: list[str] = []
    sent: list[tuple[Recording, Expected]] = []
    folder = vehicle_folder(target.vehicle, target.settings.data)
    gps = None if folder is None else load_vehicle(folder).gps
    lake = lake_of(target)
    async with contextlib.AsyncExitStack() as stack:
        delivery: Delivery | None = None
        for path in paths:
            try:
                recording = await asyncio.to_thread(look_through, path)
            except UserError as error:
                failed.append(str(error))
                if len(paths) > 1:
                    notes.print(f"ved: {error}", markup=False)
                continue
            if recording.problem is not None:
                notes.print(f"ved: {recording.problem}", markup=False)
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
            await delivery.bring(expected, records_of(recording, options, buses, target.vehicle, gps))
            sent.append((recording, expected))
        for recording, expected in sent:
            await await_arrival(expected, target)
            where = "the lake" if target.server_url is None else "the server's journal"
            _say(recording, f"{recording.frames:,} frames are in {where}")
    return failed


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
    """Description, clocks and batches, numbered and cut the same every time. UserError when the file changed."""
    source = ReplaySource((recording.path,), 0)
    source.number_buses(known)
    seen = {number: set(recording.ids.get(name, ())) for number, name in source.buses.items()}
    buses = describe_buses(source.buses, options, seen)
    blank = describe(vehicle, recording.path.stem, buses)
    described = Description(vehicle, recording.epoch, 1, blank.title, blank.buses)
    yield encode_record(described)
    if recording.start_utc_us >= OLDEST_UTC_US:
        yield encode_record(Clock(vehicle, recording.epoch, 2, 0, recording.start_utc_us, ClockSource.RECORDED, 0))
    receiver, number = None if gps is None else GpsClock(gps), 2
    batch = FrameBatch(vehicle, recording.epoch, 1, FrameColumns.empty())
    for frames in _pieces(source.one_round(), recording.frames):
        batch = replace(batch, first_seq=batch.last_seq + 1, frames=frames)
        yield encode_record(batch)
        for pair in () if receiver is None else receiver.pairs(frames):
            number += 1
            yield encode_record(
                Clock(vehicle, recording.epoch, number, pair.t_us, pair.utc_us, pair.source, pair.error_us)
            )
    if batch.last_seq != recording.frames:
        raise UserError(f"log {recording.path}: changed while it was read; import it again")


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
