"""Recordings and simulated cars, through the real path. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import CarState, ConfigFile, Data, LinkUrl, Speed

app = typer.Typer()


@app.command()
def replay(
    logs: Annotated[
        list[Path], typer.Argument(help="Recordings (.MF4, candump .log, .blf, .asc, .trc), one after the other.")
    ],
    dbc: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[BUS=]FILE", help="DBC of a bus; without BUS, of the buses that carry its ids. Repeatable."
        ),
    ] = None,
    vehicle: Annotated[str, typer.Option(help="Vehicle to replay as; it is made if it is new.")] = "replay",
    speed: Speed = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, until Ctrl-C.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Move the recorded times to today.")] = False,
    server: LinkUrl = None,
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Send recordings through the real path, as if the car drove now.

    They go to the server on the data folder (one is started for the time it takes if none runs), or with --server to a
    far one, with the key that 'ved agent enrol' got. Returns when all is stored.

    Example: ved replay drive.MF4 --dbc car.dbc --speed max
    """
    from ved.cli.options import parse_speed, server_settings
    from ved.cli.replay import Recordings, run_replay

    recordings = Recordings(tuple(logs), tuple(dbc or ()), vehicle, parse_speed(speed), is_looped=loop, is_moved=now)
    run_replay(recordings, server_settings(data, config), server, state)


@app.command()
def simulate(
    vehicle: Annotated[str, typer.Argument(help="A shipped vehicle (fs, pe, ps) or one in DATA/vehicles.")],
    out: Annotated[Path | None, typer.Option(help="Write a candump log instead of driving into a server.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long; without it the car drives until Ctrl-C.")] = None,
    speed: Speed = "1",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND[:TARGET]@START+SECONDS",
            help="over_temperature, cell_sag, sensor_dropout or string_loss, from a second for so many. Repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another number is another drive.")] = 1,
    server: LinkUrl = None,
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Drive a simulated car, into a log file or into a server.

    Laps on a closed track, encoded on the vehicle's own CAN buses.

    Examples: ved simulate fs --speed max --minutes 10 --out drive.log;
    ved simulate fs --minutes 2 --fault over_temperature@60+30
    """
    from ved.cli.options import parse_speed, server_settings
    from ved.cli.simulate import Simulation, drive_simulation, write_simulation

    settings = server_settings(data, config)
    simulation = Simulation.prepare(settings, vehicle, tuple(fault or ()), seed, minutes)
    factor = parse_speed(speed)
    if out is not None:
        write_simulation(simulation, out)
    else:
        drive_simulation(simulation, factor, settings, server, state)
