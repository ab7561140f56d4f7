"""A session to a file. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer()


@app.command()
def export(
    session: Annotated[str | None, typer.Argument(help="Id of a session, or its beginning.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest session.")] = False,
    vehicle: Annotated[str | None, typer.Option(help="With --last: of this vehicle.")] = None,
    lap: Annotated[int | None, typer.Option(help="Only this lap; laps count from 1.")] = None,
    file_format: Annotated[
        str,
        typer.Option(
            "--format", help="csv, parquet, mat, motec; messages, mcap: as they came; candump, blf, mf4: raw frames."
        ),
    ] = "csv",
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,…", help="Channels: names, unique ends of names, patterns with *.  [default: all]"
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Rows per second (csv, parquet, mat, motec).")] = 100.0,
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
