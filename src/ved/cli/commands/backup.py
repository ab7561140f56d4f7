"""Backups. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer()


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write, like ved-2026-05-01.tar.zst; - is standard output.")],
    no_keys: Annotated[
        bool, typer.Option("--no-keys", help="Leave keys, passwords and links out: a copy to give away.")
    ] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Copy all that the data folder holds into one file; the server may run meanwhile.

    In it: people's data, streams, lake, vehicles, and the server's private keys (the file is readable by you alone).
    Not in it: summaries that are made anew, a lake on s3://. PostgreSQL is asked by pg_dump. Every frame that was
    acknowledged as stored before it began is in it.

    Example: ved backup ved-2026-05-01.tar.zst --data ved-data
    """
    from ved.cli.backup import run_backup
    from ved.cli.options import server_settings

    run_backup(server_settings(data, config), file, with_keys=not no_keys)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'ved backup' wrote; - is standard input.")],
    data: Annotated[Path, typer.Option(help="Folder to restore into: new or empty.")],
) -> None:
    """Make a data folder of a backup. Every file's SHA-256 is checked; a damaged backup leaves nothing behind.

    Example: ved restore ved-2026-05-01.tar.zst --data ved-restored
    """
    from ved.cli.restore import run_restore

    run_restore(file, data)
