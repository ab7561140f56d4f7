"""The command `ved`: all commands with their options and texts. What they do is imported when one is called."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ved.errors import LinkLostError, LinkRefusedError, StorageError, UserError, VedError

Data = Annotated[Path | None, typer.Option(help="Data folder of the server.  [default: ved-data]", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); see docs/ved.sample.toml.")]
WebPort = Annotated[
    int | None, typer.Option(help="Port of the page; 0: any free one.  [default: 8000]", show_default=False)
]
LinkPort = Annotated[
    int | None, typer.Option(help="Port for cars; 0: any free one.  [default: 8790]", show_default=False)
]
CarState = Annotated[Path, typer.Option("--state", help="Folder of the car's key, journal and epoch counter.")]
LinkUrl = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="Link address of a far server: wss://HOST:PORT.")
]
Speed = Annotated[str, typer.Option(metavar="FACTOR|max", help="Factor on real time, or max.")]

app = typer.Typer(
    name="ved",
    help="Telemetry for racing teams: CAN frames from the car to a live page and a long-term store.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
agent_app = typer.Typer(help="On the car: get a key, run, see how it is doing.", no_args_is_help=True)
keys_app = typer.Typer(help="Cars' keys: enrol a car, list the keys, revoke one.", no_args_is_help=True)
lake_app = typer.Typer(help="The long-term store: what is in it.", no_args_is_help=True)
dbc_app = typer.Typer(
    help="Signal definitions (DBC, CSV, KCD, SYM, ARXML): check, show, compare, convert, guess.", no_args_is_help=True
)


@app.command()
def demo(data: Data = None, config: ConfigFile = None, web_port: WebPort = None, link_port: LinkPort = None) -> None:
    """Run a server and a simulated Formula Student car.

    The car drives laps on three CAN buses, through the real path. Ctrl-C stops everything; run it again to go on.
    """
    from ved.cli.demo import run_demo
    from ved.cli.options import server_settings

    run_demo(server_settings(data, config, web_port, link_port))


@app.command()
def serve(data: Data = None, config: ConfigFile = None, web_port: WebPort = None, link_port: LinkPort = None) -> None:
    """Run the server: cars connect, people watch, all is stored.

    Prints the page's address with a one-time sign-in link. Ctrl-C stops it.
    """
    from ved.cli.options import server_settings
    from ved.cli.serve import run_server

    run_server(server_settings(data, config, web_port, link_port))


@app.command()
def signin(
    role: Annotated[str, typer.Option(help="viewer, engineer or admin.")] = "admin",
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Print a one-time sign-in link for the running server."""
    from ved.cli.options import server_settings
    from ved.cli.serve import print_signin_link

    print_signin_link(server_settings(data, config), role)


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


@app.command()
def export(
    session: Annotated[str | None, typer.Argument(help="Id of a session, or the begin of one.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest session.")] = False,
    vehicle: Annotated[str | None, typer.Option(help="With --last: of this vehicle.")] = None,
    lap: Annotated[int | None, typer.Option(help="Only this lap; laps count from 1.")] = None,
    file_format: Annotated[
        str,
        typer.Option(
            "--format", help="csv, parquet, mat; messages, mcap: as they came; candump, blf, mf4: raw frames."
        ),
    ] = "csv",
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,…", help="Channels: names, unique ends of names, patterns with *.  [default: all]"
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Rows per second (csv, parquet, mat).")] = 100.0,
    out: Annotated[
        Path | None,
        typer.Option(help="The file; of messages, a folder.  [default: SESSION.FORMAT]", show_default=False),
    ] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Write a session, or a lap of it, to a file for other tools.

    Example: ved export --last --vehicle fs --format csv --channels VehicleMotion.Speed,MotorTorque --rate 100
    """
    from ved.cli.export import ExportOrder, run_export
    from ved.cli.options import server_settings

    order = ExportOrder.parse(session, file_format, channels, rate, lap, is_last=last, vehicle=vehicle)
    run_export(server_settings(data, config), order, out)


@agent_app.command()
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


@agent_app.command("run")
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


@agent_app.command("status")
def agent_status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    state: CarState = Path("ved-car"),
) -> None:
    """Say how the agent on this board is doing: link, buses, what waits, what was lost."""
    from ved.cli.car import print_status

    print_status(state, as_json=as_json)


@keys_app.command("code")
def keys_code(
    vehicle: Annotated[str, typer.Argument(help="Name of the vehicle; it is made if it is new.")],
    hours: Annotated[float, typer.Option(help="How long the code may be used.")] = 24.0,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Print a one-time code that enrols a car.

    On the car: ved agent enrol --server wss://HOST:8790 --code CODE
    """
    from ved.cli.keys import print_code
    from ved.cli.options import server_settings

    print_code(server_settings(data, config), vehicle, hours)


@keys_app.command("list")
def keys_list(data: Data = None, config: ConfigFile = None) -> None:
    """List all keys."""
    from ved.cli.keys import print_keys
    from ved.cli.options import server_settings

    print_keys(server_settings(data, config))


@keys_app.command("revoke")
def keys_revoke(
    key: Annotated[int, typer.Argument(help="Number of the key, from 'ved keys list'.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Refuse a key from now on; a car that uses it is disconnected."""
    from ved.cli.keys import revoke
    from ved.cli.options import server_settings

    revoke(server_settings(data, config), key)


@lake_app.callback()
def lake() -> None:
    """Keep `stats` a command of its own although it is the only one."""


@lake_app.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object of integers.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Count frames, bytes, vehicles, sessions, and channels with samples."""
    from ved.cli.lake import print_stats
    from ved.cli.options import server_settings

    print_stats(server_settings(data, config), as_json=as_json)


@dbc_app.command("lint")
def dbc_lint(
    files: Annotated[list[Path], typer.Argument(help="Definition files, all for one vehicle.")],
    log: Annotated[Path | None, typer.Option(help="A recording (.MF4, .log): compare with what the wire says.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="All findings, not the first ten of a kind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: findings and counts.")] = False,
) -> None:
    """Explain what is wrong or doubtful: line, reason, what to do.

    Exit code 0: no errors; 1: errors found; 2: a file cannot be read.

    Examples: ved dbc lint car.dbc; ved dbc lint powertrain.dbc chassis.dbc --log drive.MF4
    """
    from ved.cli.dbc import print_lint

    raise typer.Exit(print_lint(files, log, as_json=as_json, show_all=show_all))


@dbc_app.command("show")
def dbc_show(
    file: Annotated[Path, typer.Argument(help="A definition file.")],
    message: Annotated[str | None, typer.Option(help="Name or hex id of one message: show its signals.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
) -> None:
    """List the messages of a file, or the signals of one message.

    Examples: ved dbc show car.dbc; ved dbc show car.dbc --message 1F0
    """
    from ved.cli.dbc import print_messages

    print_messages(file, message, as_json=as_json)


@dbc_app.command("diff")
def dbc_diff(
    before: Annotated[Path, typer.Argument(help="The old file.")],
    after: Annotated[Path, typer.Argument(help="The new file.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of changes.")] = False,
) -> None:
    """Say what changed between two files, and what that does to channels.

    Exit code 0: no difference; 1: there are some; 2: a file cannot be read.

    Example: ved dbc diff car-v1.dbc car-v2.dbc
    """
    from ved.cli.dbc import print_diff

    raise typer.Exit(print_diff(before, after, as_json=as_json))


@dbc_app.command("convert")
def dbc_convert(
    source: Annotated[Path, typer.Argument(help="A .dbc, .csv, .kcd, .sym or .arxml file.")],
    target: Annotated[Path, typer.Argument(help="The file to write: .dbc or .csv.")],
    bus: Annotated[str | None, typer.Option(help="Take the messages of this bus only.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Translate a definition file, and say what the new format cannot.

    A .csv has one signal a row; its first line names the columns: id, message, signal, start and length are needed;
    bus, bytes, order, sign, scale, offset, minimum, maximum, unit, multiplexer, comment and values may be there.

    Examples: ved dbc convert car.dbc car.csv; ved dbc convert network.arxml powertrain.dbc --bus Powertrain
    """
    from ved.cli.dbc import convert_file

    convert_file(source, target, bus, is_forced=force)


@dbc_app.command("guess")
def dbc_guess(
    recording: Annotated[Path, typer.Argument(help="A recording (.MF4, .log).")],
    known: Annotated[
        list[Path] | None, typer.Option("--dbc", help="Leave out the ids of this file. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the guesses as a .dbc (or .csv) to edit.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Guess what unknown ids carry: counters, checksums, numbers.

    Looks at how bits change from frame to frame. Each guess says how sure it is. Names, scales and units stay yours to
    find: brake, steer, switch, and see which field moves.

    Example: ved dbc guess drive.MF4 --dbc car.dbc --out guess.dbc
    """
    from ved.cli.dbc import guess_definitions

    guess_definitions(recording, known or [], out, is_forced=force)


app.add_typer(agent_app, name="agent")
app.add_typer(dbc_app, name="dbc")
app.add_typer(keys_app, name="keys")
app.add_typer(lake_app, name="lake")


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed on the way, 2 bad input, 130 interrupted."""
    try:
        app()
    except (UserError, LinkRefusedError, LinkLostError) as error:
        _fail(str(error), 2)
    except StorageError as error:
        _fail(f"{error}; free some space or choose another folder, then try again", 2)
    except VedError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(text: str, code: int) -> None:
    sys.stderr.write(f"ved: {' '.join(text.split())}\n")
    sys.exit(code)
