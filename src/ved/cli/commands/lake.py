"""The long-term store. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(help="The long-term store: what is in it, whether it is whole.", no_args_is_help=True)


@app.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object of integers.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Count frames, bytes, vehicles, sessions, and channels with samples.

    Example: ved lake stats --json
    """
    from ved.cli.lake import print_stats
    from ved.cli.options import server_settings

    print_stats(server_settings(data, config), as_json=as_json)


@app.command()
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Read every byte: broken files are named, rows that are missing or there twice are counted. Exit code 1 then.

    Example: ved lake verify
    """
    from ved.cli.lake import verify_lake
    from ved.cli.options import server_settings

    if not verify_lake(server_settings(data, config), as_json=as_json):
        raise typer.Exit(1)


@app.command()
def vacuum(data: Data = None, config: ConfigFile = None) -> None:
    """Delete data files that no version needs any more: leftovers of kills and merges, and what was let go of.

    A running server does so by itself.

    Example: ved lake vacuum
    """
    from ved.cli.lake import vacuum_lake
    from ved.cli.options import server_settings

    vacuum_lake(server_settings(data, config))
