"""Cars' keys. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import CarState, ConfigFile, Data

app = typer.Typer(help="Cars' keys: enrol a car, list the keys, revoke one.", no_args_is_help=True)


@app.command("code")
def keys_code(
    vehicle: Annotated[str, typer.Argument(help="Name of the vehicle; it is made if it is new.")],
    hours: Annotated[float, typer.Option(help="How long the code may be used.")] = 24.0,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Print a one-time code that enrols a car.

    On the car: ved agent enrol --server wss://HOST:8790 --code CODE

    Example: ved keys code fs --hours 2
    """
    from ved.cli.keys import print_code
    from ved.cli.options import server_settings

    print_code(server_settings(data, config), vehicle, hours)


@app.command("enrol")
def keys_enrol(
    vehicle: Annotated[str, typer.Argument(help="Name of the vehicle; it is made if it is new.")],
    server: Annotated[str, typer.Option(help="Link address of this server: wss://HOST:8790.")],
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """See to it that a car's folder on this machine holds a valid key; a good one stays as it is.

    Example: ved keys enrol fs --server wss://localhost:8790 --state fs-car
    """
    from ved.cli.enrolment import enrol_car_here
    from ved.cli.options import server_settings

    enrol_car_here(server_settings(data, config), vehicle, server, state)


@app.command("datagram")
def keys_datagram(
    vehicle: Annotated[str, typer.Argument(help="Name of the vehicle; it is made if it is new.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Make a key for a microcontroller that sends datagrams, and print it as C (ved_sender.h). It is shown only once.

    Example: ved keys datagram fs > firmware/ved_key.h
    """
    from ved.cli.keys import print_datagram_key
    from ved.cli.options import server_settings

    print_datagram_key(server_settings(data, config), vehicle)


@app.command("list")
def keys_list(data: Data = None, config: ConfigFile = None) -> None:
    """List all keys.

    Example: ved keys list
    """
    from ved.cli.keys import print_keys
    from ved.cli.options import server_settings

    print_keys(server_settings(data, config))


@app.command("revoke")
def keys_revoke(
    key: Annotated[int, typer.Argument(help="Number of the key, from 'ved keys list'.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Refuse a key from now on; a car that uses it is disconnected.

    Example: ved keys revoke 3
    """
    from ved.cli.keys import revoke
    from ved.cli.options import server_settings

    revoke(server_settings(data, config), key)
