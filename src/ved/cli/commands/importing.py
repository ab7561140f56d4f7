"""What a team already has, into the lake. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ved.cli.commands.arguments import CarState, ConfigFile, Data, LinkUrl

Vehicle = Annotated[str, typer.Option(help="Vehicle to store it under; it is made if it is new.")]


class _FilesUnlessNamed(TyperGroup):
    """`ved import PATH...` is `ved import files PATH...`: what is no command here is a path or an option of `files`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """See click."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["files", *args])


app = typer.Typer(
    cls=_FilesUnlessNamed,
    help="Store recordings (import PATH...), or what an InfluxDB has (import influx URL), each once.",
    no_args_is_help=True,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)


@app.command()
def files(
    paths: Annotated[
        list[str],
        typer.Argument(help="Recordings (.mf4, candump .log, .blf, .asc, .trc), folders of them, or patterns."),
    ],
    dbc: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[BUS=]FILE", help="DBC of a bus; without BUS, of the buses that carry its ids. Repeatable."
        ),
    ] = None,
    vehicle: Vehicle = "imported",
    server: LinkUrl = None,
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Store recordings with the times that they were made at.

    The same content is stored once, whatever its file is called; a run that was stopped goes on where it was. Of a
    damaged file what is readable is stored, and the rest is told. They go to the server on the data folder (one is
    started for the time it takes if none runs), or with --server to a far one, with the key that 'ved agent enrol' got.

    Example: ved import season-2025/ --vehicle fs --dbc car.dbc
    """
    from ved.cli.importing import Target, import_logs
    from ved.cli.options import server_settings

    import_logs(tuple(paths), tuple(dbc or ()), Target(vehicle, server_settings(data, config), server, state))


@app.command()
def influx(
    url: Annotated[str, typer.Argument(help="Address of an InfluxDB 1.x: http://[USER:PASSWORD@]HOST:PORT.")],
    db: Annotated[str | None, typer.Option(help="Database.  [default: the only one]", show_default=False)] = None,
    measurement: Annotated[
        list[str] | None, typer.Option(help="A measurement to read; without any, all. Repeatable.")
    ] = None,
    begin: Annotated[str | None, typer.Option("--from", metavar="TIME", help="First time (UTC) to read.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Time (UTC) to stop before.")] = None,
    vehicle: Vehicle = "imported",
    server: LinkUrl = None,
    state: CarState = Path("ved-car"),
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Store what an InfluxDB has: each numeric field of each series becomes a channel `measurement.field`.

    Where tags tell series of a measurement apart, they stand in the name: `engine[car=fs].rpm`. A run that was stopped
    goes on where it was, and a later one reads what came since.

    Example: ved import influx http://127.0.0.1:8086 --db telemetry --measurement engine --from 2025-05-01 --vehicle fs
    """
    from ved.cli.importing import Target
    from ved.cli.influx_import import InfluxImport, import_influx
    from ved.cli.options import server_settings

    wish = InfluxImport(url, db, tuple(measurement or ()), begin, end)
    import_influx(wish, Target(vehicle, server_settings(data, config), server, state))
