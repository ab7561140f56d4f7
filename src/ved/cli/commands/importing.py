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
