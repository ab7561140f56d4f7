"""`ved agent`: what runs on the car."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ved.cli.options import CarState
from ved.link.enrol import enrol as trade_code

app = typer.Typer(help="On the car: get a key for the server.", no_args_is_help=True)
console = Console(highlight=False, soft_wrap=True)


@app.callback()
def agent() -> None:
    """Keep `enrol` a command of its own although it is the only one."""


@app.command()
def enrol(
    server: Annotated[str, typer.Option(help="Link address of the server: wss://HOST:8790.")],
    code: Annotated[str, typer.Option(help="The code that 'ved keys code VEHICLE' printed on the server.")],
    state: CarState = Path("ved-car"),
) -> None:
    """Trade a one-time code for this car's own key. The server proves itself before the code is sent."""
    known = asyncio.run(trade_code(server, code, state))
    console.print(f"This car is now '{known.vehicle}' for {', '.join(known.server_urls)}; its key lies in {state}")
