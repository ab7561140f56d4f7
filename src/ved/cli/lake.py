"""`ved lake`: the long-term store."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ved.api.stats import lake_stats
from ved.cli.options import ConfigFile, Data, server_settings
from ved.cli.server import open_database
from ved.errors import UserError
from ved.lake.lake import Lake

app = typer.Typer(help="The long-term store: what is in it.", no_args_is_help=True)
console = Console(highlight=False, soft_wrap=True)


@app.callback()
def lake() -> None:
    """Keep `stats` a command of its own although it is the only one."""


@app.command()
def stats(
    data: Data = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object of integers.")] = False,
) -> None:
    """Count what the lake holds: frames, bytes, vehicles, sessions, channels with samples."""
    settings = server_settings(data, config)
    if not settings.data.is_dir():
        raise UserError(f"{settings.data}: no such data folder; name one with --data")
    db = open_database(settings)
    try:
        counts = lake_stats(Lake(settings.lake), db)
    finally:
        db.close()
    if as_json:
        typer.echo(json.dumps(counts))
        return
    table = Table("", "in the lake", box=None)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
