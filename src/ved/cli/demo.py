"""`ved demo`: the whole system on one machine, with a simulated car."""

import asyncio
from functools import partial

from rich.console import Console

from ved.cli.enrolment import enrol_here
from ved.cli.serve import serve_until_stopped
from ved.cli.server import RunningServer, Server
from ved.cli.simulated_car import SimulatedCarSettings
from ved.cli.supervisor import RoleSpec
from ved.config.places import vehicles_folder
from ved.config.settings import ServerSettings

CAR = "fs"
console = Console(highlight=False, soft_wrap=True)


def run_demo(settings: ServerSettings) -> None:
    """Run server and car until Ctrl-C or SIGTERM."""
    server = Server(settings)
    console.print("Starting the server and a simulated car…")
    asyncio.run(serve_until_stopped(server, partial(_drive, server)))
    console.print("Stopped. The data stays; 'ved demo' goes on with it.")


async def _drive(server: Server, running: RunningServer) -> None:
    state = server.data / "cars" / CAR
    await enrol_here(server.settings, CAR, running.link_url, state)
    await server.supervisor.add(RoleSpec("car", SimulatedCarSettings(vehicles_folder() / CAR, state, seed=1)))
    console.print()
    console.print(f"  Open this link to watch the car (it works once):  {server.signin_link()}")
    console.print(f"  The page afterwards:                              {running.web_url}")
    console.print(f"  The data:                                         {server.data}")
    console.print("  Ctrl-C stops everything.")
