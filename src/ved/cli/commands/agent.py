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

    Example: ved agent enrol --server wss://telemetry.example.org:8790 --code VED1-…
    """
    from ved.cli.enrolment import enrol_with_code

    enrol_with_code(server, code, state)


@app.command("run")
def agent_run(
    vehicle: Annotated[Path, typer.Argument(help="The vehicle's folder, with vehicle.toml and its DBC files.")],
    bus: Annotated[
        list[str] | None, typer.Option(metavar="BUS=SOURCE", help="Read this bus from this source. Repeatable.")
    ] = None,
    sensors: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Read values that are no CAN frames. Repeatable.")
    ] = None,
    journal_gib: Annotated[float, typer.Option(help="Size to which the car's journal may grow, in GiB.")] = 1.0,
    state: CarState = Path("ved-car"),
) -> None:
    """Read the car's buses and sensors and send all of it to the server.

    The sources stand in vehicle.toml ([[bus]] interface, [[sensors]] interface); with --bus or --sensors only those
    named there are read, as for an agent beside the server. It cannot send on a bus, and asks each adapter that can to
    listen only (docs/connectors.md). Under systemd, use deploy/systemd/ved-agent.service.

    \b
    A bus comes from
      can0                                      a SocketCAN interface
      pcan:PCAN_USBBUS1                         kind:channel of python-can
      cannelloni://0.0.0.0:20000?from=IP        cannelloni datagrams that come to this port
      udp_multicast://239.74.163.2:43113        python-can's multicast (?interface=IP of this machine)
      socketcand://HOST:29536/can0              a socketcand daemon, read-only
      candump://HOST:28700/can0                 text of candump over TCP
      mqtt://HOST/TOPIC, mqtts://USER@HOST/TOPIC   docs/spec/mqtt.md (?password_file=FILE&ca=FILE&client_id=NAME)

    \b
    Sensors come from
      mqtt://HOST/sensors/{board}/{name}        JSON values; also mqtts:// (?channel={board}.{name}, and as above)
      influx://0.0.0.0:8186?token_file=FILE     InfluxDB line protocol over HTTP; this side listens

    docs/connectors.md says what each way can promise.

    Example: ved agent run vehicles/fs --bus powertrain=cannelloni://0.0.0.0:20000 --sensors influx://127.0.0.1:8186
    """
    from ved.cli.car import CarOptions, run_car

    run_car(CarOptions(vehicle, state, journal_gib, tuple(bus or ()), tuple(sensors or ())))


@app.command("status")
def agent_status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when it does not run or has no link.")] = False,
    state: CarState = Path("ved-car"),
) -> None:
    """Say how the agent on this board is doing: link, buses, what waits, what was lost.

    Example: ved agent status
    """
    from ved.cli.car import print_status

    print_status(state, as_json=as_json, is_checked=check)
