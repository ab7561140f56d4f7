"""SQL over decoded channels. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer()


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT.")],
    file_format: Annotated[
        str, typer.Option("--format", help="table, csv, json or parquet.  [default: table]", show_default=False)
    ] = "",
    out: Annotated[Path | None, typer.Option(help="File to write; its ending gives the format.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Ask decoded channels by SQL (DuckDB), read-only; a query reads only the signals and the time that it asks for.

    Tables: VEHICLE."MESSAGE" (session, time in UTC, time_s, a column for each signal), channels (all samples in rows:
    vehicle, session, channel, time, time_s, value, unit), sessions, laps, and signals (what there is).

    Example: ved sql 'select session, max(Speed) from fs."VehicleMotion" group by session'
    """
    from ved.cli.options import server_settings
    from ved.cli.sql import run_query

    run_query(server_settings(data, config), query, file_format, out)
