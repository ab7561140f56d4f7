"""`ved serve` and `ved signin`."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from rich.console import Console

from ved.cli.logs import set_up_logging
from ved.cli.server import RunningServer, Server, find_running, open_database, page_url
from ved.cli.stopping import stop_on_signals
from ved.config.settings import ServerSettings
from ved.db.people import create_signin_token
from ved.errors import UserError

ROLES: Final = ("viewer", "engineer", "admin")
console = Console(highlight=False, soft_wrap=True)


def run_server(settings: ServerSettings) -> None:
    """Run until Ctrl-C or SIGTERM."""
    server = Server(settings)
    asyncio.run(serve_until_stopped(server, partial(_say_ready, server)))


def print_signin_link(settings: ServerSettings, role: str) -> None:
    """Make and print a one-time link; UserError when no server runs or the role is none."""
    if role not in ROLES:
        raise UserError(f"--role {role}: roles are {', '.join(ROLES)}")
    running = find_running(settings.data)
    if running is None or not running.web_url:
        raise UserError(f"{settings.data}: no server runs on this data folder; start one with 'ved serve'")
    db = open_database(settings)
    try:
        console.print(f"{page_url(settings, running)}/signin?token={create_signin_token(db, role)}")
    finally:
        db.close()


async def serve_until_stopped(server: Server, on_ready: Callable[[RunningServer], Awaitable[None]]) -> None:
    """Start the server, do `on_ready`, wait for Ctrl-C or SIGTERM (also while it starts), and stop in order."""
    set_up_logging("server", server.settings.log_format)

    async def start() -> None:
        await on_ready(await server.start())

    with stop_on_signals() as stop:
        starting = asyncio.create_task(start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            starting.cancel()
            stopping.cancel()
            await asyncio.gather(starting, stopping, return_exceptions=True)
            await server.stop()


async def _say_ready(server: Server, running: RunningServer) -> None:
    if running.web_url:
        console.print(f"Page:     {page_url(server.settings, running)}")
        console.print(f"Sign in:  {server.signin_link()}   (one time; 'ved signin' makes another)")
    if running.link_url:
        console.print(f"Cars:     {running.link_url.replace('127.0.0.1', server.settings.link_host)}")
    console.print(f"Data:     {server.data}   (Ctrl-C stops the server)")
