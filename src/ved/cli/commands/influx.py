"""The database that Grafana reads. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(help="The database that Grafana reads: fill it from the lake.", no_args_is_help=True)


@app.callback()
def influx() -> None:
    """The database that Grafana reads: fill it from the lake."""


@app.command()
def backfill(
    vehicle: Annotated[str | None, typer.Option(help="Only this vehicle.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this session (its id, or its beginning).")] = None,
    from_text: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Only from then on: 2025-05-01 or 2025-05-01T14:30 (UTC)."),
    ] = None,
    to_text: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only before then.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete the vehicle's points there first: after a DBC changed (v1 only).")
    ] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Write what the lake has, with the DBCs in force now, into the database of influx_url.

    For what was recorded before the role influx ran, what it missed, and after a change of DBCs. A point that is there
    already is written onto itself, so it may be run again at any time; a run that was stopped goes on where it was.

    Example: VED_INFLUX_URL=http://127.0.0.1:8086 ved influx backfill --vehicle fs --from 2025-05-01
    """
    from ved.cli.influx_backfill import Backfill, run_backfill
    from ved.cli.options import server_settings

    run_backfill(Backfill(vehicle, session, from_text, to_text, replace), server_settings(data, config))
