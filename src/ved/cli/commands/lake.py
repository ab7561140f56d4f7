"""The long-term store. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(help="The long-term store: what is in it.", no_args_is_help=True)


@app.callback()
def lake() -> None:
    """Keep `stats` a command of its own although it is the only one."""


@app.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object of integers.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Count frames, bytes, vehicles, sessions, and channels with samples."""
    from ved.cli.lake import print_stats
    from ved.cli.options import server_settings

    print_stats(server_settings(data, config), as_json=as_json)
