"""One drive into a server: a source, an agent, and the wait until everything is in the lake."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.broker.open import open_stream
from ved.canbus.source import Source
from ved.cli.describe import describe
from ved.cli.enrolment import enrol_here
from ved.cli.keys import check_vehicle_name, ensure_named_vehicle
from ved.cli.progress import LateProgress
from ved.cli.serve import stop_on_signals
from ved.cli.server import Server, find_running, open_database
from ved.config.settings import ServerSettings
from ved.errors import StorageError, UserError, VedError
from ved.lake.lake import Lake
from ved.link.credentials import load_credentials
from ved.model.records import BusDescription

STALL_S: Final = 120.0
FULL_S: Final = 5.0
FULL_BYTES: Final = 4 << 20
POLL_S: Final = 0.1
console = Console(highlight=False, soft_wrap=True)
notes = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Drive:
    """What drives: the vehicle, where its frames come from, its buses, and how many frames there will be if known.

    A drive at a pace `is_to_be_watched`: a server that is started for it serves the page too.
    """

    vehicle: str
    title: str
    source: Source
    buses: tuple[BusDescription, ...]
    is_to_be_watched: bool
    frame_count: int | None = None


def run_drive(drive: Drive, settings: ServerSettings, server_url: str | None, state: Path) -> None:
    """Drive to a far server (`server_url`, key in `state`), or to the one on the data folder, started if need be."""
    check_vehicle_name(drive.vehicle)
    if server_url is None:
        report = asyncio.run(_drive_here(drive, settings))
    else:
        report = asyncio.run(_drive_there(drive, server_url, state))
    console.print(_summary(report, where="the server's journal" if server_url else "the lake"))


async def _drive_there(drive: Drive, server_url: str, state: Path) -> AgentReport:
    known = load_credentials(state)
    if known.vehicle != drive.vehicle:
        raise UserError(
            f"{state}: this key is for vehicle '{known.vehicle}', not '{drive.vehicle}'; "
            f"give --vehicle {known.vehicle}, or enrol another key with --state"
        )
    if server_url not in known.server_urls:
        raise UserError(
            f"{state}: this key is for {', '.join(known.server_urls)}, not {server_url}; "
            f"enrol it: ved agent enrol --server {server_url} --code CODE --state {state}"
        )
    return await _send(drive, state)


async def _drive_here(drive: Drive, settings: ServerSettings) -> AgentReport:
    async with _server_on(settings, with_page=drive.is_to_be_watched) as link_url:
        db = open_database(settings)
        try:
            ensure_named_vehicle(db, drive.vehicle)
        finally:
            db.close()
        state = settings.data.resolve() / "cars" / drive.vehicle
        await enrol_here(settings, drive.vehicle, link_url, state)
        report = await _send(drive, state)
        await _await_stored(drive.vehicle, report, settings)
        return report


@contextlib.asynccontextmanager
async def _server_on(settings: ServerSettings, *, with_page: bool) -> AsyncIterator[str]:
    """Link address of the server on the data folder; one is started for the time of the block if none runs."""
    running = find_running(settings.data)
    if running is not None:
        yield running.link_url
        return
    server = Server(
        settings.model_copy(update={"web_port": 0, "link_port": 0, "link_host": "127.0.0.1"}), with_page=with_page
    )
    try:
        running = await server.start()
        if with_page:
            notes.print(f"A server runs for the time of this drive: {server.signin_link()}")
        yield running.link_url
    finally:
        await server.stop()


async def _send(drive: Drive, state: Path) -> AgentReport:
    with stop_on_signals() as stop, LateProgress(f"{drive.vehicle}: sending frames", drive.frame_count) as progress:

        def tell(now: AgentProgress) -> None:
            progress.update(now.stored_frames)

        return await run_agent(
            AgentSettings(state, drive.vehicle),
            drive.source,
            describe(drive.vehicle, drive.title, drive.buses),
            stop,
            tell,
        )


async def _await_stored(vehicle: str, report: AgentReport, settings: ServerSettings) -> None:
    """Return when the lake holds every frame of the epoch and watch has seen them. VedError when nothing moves."""
    stream = open_stream(settings.data.resolve(), "frames")
    reader = stream.reader("latest")
    end = reader.position
    reader.close()
    lake = Lake(settings.lake)
    clock = asyncio.get_running_loop().time
    moved_s, last = clock(), (-1, -1)
    with LateProgress(f"{vehicle}: storing frames in the lake", report.frames) as progress:
        while True:
            await asyncio.to_thread(lake.refresh)
            stored = lake.intervals(vehicle, report.epoch).count()
            watched = stream.cursor("watch") or 0
            progress.update(stored)
            if stored >= report.frames and watched >= end:
                return
            if (stored, watched) != last:
                moved_s, last = clock(), (stored, watched)
            elif clock() - moved_s > FULL_S and is_full(settings.data):
                raise StorageError(
                    f"{settings.data.resolve()}: the disk is full; {report.frames - stored:,} frames wait in the "
                    "server's journal and reach the lake when a server runs with room again"
                )
            elif clock() - moved_s > STALL_S:
                raise VedError(
                    f"the server stored nothing for {STALL_S:.0f} s ({stored:,} of {report.frames:,} frames are in "
                    "the lake); see its messages. Nothing is lost: what is missing lies in its journal"
                )
            await asyncio.sleep(POLL_S)


def is_full(folder: Path) -> bool:
    """True where no commit to the lake has room."""
    return shutil.disk_usage(folder).free < FULL_BYTES


def _summary(report: AgentReport, where: str) -> str:
    text = f"{report.frames:,} frames are in {where} (epoch {report.epoch.hex()})"
    if report.lost_frames:
        text += f"; {report.lost_frames:,} were lost on the way in, and are declared"
    return text
