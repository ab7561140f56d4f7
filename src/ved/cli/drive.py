"""One drive into a server: a source, an agent, and the wait until everything is in the lake."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ved.agent.agent import AgentProgress, AgentReport, AgentSettings, run_agent
from ved.canbus.source import Source
from ved.cli.arrival import Expected, await_in_lake
from ved.cli.car import StatusFile
from ved.cli.describe import describe
from ved.cli.enrolment import enrol_here
from ved.cli.keys import check_vehicle_name, ensure_named_vehicle
from ved.cli.progress import LateProgress
from ved.cli.server import Server, find_running, open_database
from ved.cli.stopping import stop_on_signals
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.link.credentials import load_credentials
from ved.model.records import BusDescription

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
    async with server_on(settings, with_page=drive.is_to_be_watched) as link_url:
        db = open_database(settings)
        try:
            ensure_named_vehicle(db, drive.vehicle)
        finally:
            db.close()
        state = settings.data.resolve() / "cars" / drive.vehicle
        await enrol_here(settings, drive.vehicle, link_url, state)
        report = await _send(drive, state)
        await await_in_lake(Expected(drive.vehicle, report.epoch, report.stored_frames), settings)
        return report


@contextlib.asynccontextmanager
async def server_on(settings: ServerSettings, *, with_page: bool) -> AsyncIterator[str]:
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
    with (
        contextlib.closing(StatusFile(drive.vehicle, state)) as file,
        stop_on_signals() as stop,
        LateProgress(f"{drive.vehicle}: sending frames", drive.frame_count) as progress,
    ):

        def tell(now: AgentProgress) -> None:
            progress.update(now.stored_frames)
            file.tell(now)

        return await run_agent(
            AgentSettings(state, drive.vehicle),
            drive.source,
            describe(drive.vehicle, drive.title, drive.buses),
            stop,
            tell,
        )


def _summary(report: AgentReport, where: str) -> str:
    text = f"{report.stored_frames:,} frames are in {where} (epoch {report.epoch.hex()})"
    if not report.is_complete:
        waiting = max(0, report.frames - report.lost_frames - report.stored_frames)
        text += f"; {waiting:,} wait in the car's journal and go at the next start"
    if report.lost_frames:
        text += f"; {report.lost_frames:,} were lost on the way in, and are declared"
    return text
