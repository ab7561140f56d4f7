"""The program on the car. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import CarState

app = typer.Typer(help="On the car: get a key, run, see how it is doing.", no_args_is_help=True)


@app.command()
def enrol(
    server: Annotated[str, typer.Option(help="Link address of the server: wss://HOST:8790.")],
    code: Annotated[str, typer.Option(help="The code that 'ved keys code VEHICLE' printed on the server.")],
    state: CarState = Path("ved-car"),
) -> None:
    """Trade a one-time code for this car's own key.

    The server proves itself before the code is sent.
    """
    from ved.cli.enrolment import enrol_with_code

    enrol_with_code(server, code, state)


@app.command("run")
def agent_run(
    vehicle: Annotated[Path, typer.Argument(help="The vehicle's folder, with vehicle.toml and its DBC files.")],
    journal_gib: Annotated[float, typer.Option(help="Size to which the car's journal may grow, in GiB.")] = 1.0,
    state: CarState = Path("ved-car"),
) -> None:
    """Read the car's buses and send every frame to the server.

    The interfaces stand in vehicle.toml: a SocketCAN interface (can0), or kind:channel of python-can. Listens only: it
    cannot send on a bus. Under systemd, use deploy/systemd/ved-agent.service.
    """
    from ved.cli.car import run_car

    run_car(vehicle, state, journal_gib)


@app.command("status")
def agent_status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when it does not run or has no link.")] = False,
    state: CarState = Path("ved-car"),
) -> None:
    """Say how the agent on this board is doing: link, buses, what waits, what was lost."""
    from ved.cli.car import print_status

    print_status(state, as_json=as_json, is_checked=check)
