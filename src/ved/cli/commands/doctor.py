"""A check-up. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer()


@app.command()
def doctor(
    car: Annotated[
        Path | None, typer.Option("--car", metavar="STATE", help="Check the board in the car, by its state folder.")
    ] = None,
    vehicle: Annotated[
        Path | None, typer.Option(help="With --car: the vehicle's folder, to check its buses and DBC files.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With --car: try this link address, not that of the enrolment."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Check a set-up, and say what to do: one line for each check. Exit code 1 when there is a problem.

    Server: settings, ports, disk, clock, certificates, database, vehicles, lake, journals, Kafka, InfluxDB, MQTT. Car
    (--car): key, the way to the server step by step, agent, CAN interfaces, disk, clock, service. Nothing is changed.

    Examples: ved doctor --data ved-data;
    ved doctor --car /var/lib/ved-agent --vehicle /etc/ved/vehicle
    """
    from ved.cli.doctor.report import print_findings
    from ved.errors import UserError

    if car is not None:
        from ved.cli.doctor.car import examine_car

        findings = examine_car(car, vehicle, server)
    elif vehicle is not None or server is not None:
        raise UserError("--vehicle and --server go with --car STATE")
    else:
        from ved.cli.doctor.server import examine_server

        findings = examine_server(data, config)
    if not print_findings(findings, as_json=as_json):
        raise typer.Exit(1)
