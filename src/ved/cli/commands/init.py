"""Prepare a deployment. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the secrets.")] = Path("secrets"),
    owner: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER=UID", help="Give a folder and all in it to a user, by number. Repeatable."),
    ] = None,
) -> None:
    """Make fresh secrets for a deployment: one file each, readable by its owner alone.

    What is there stays as it is, so that it may run at every start. `docker compose up` does this by itself. Under
    another set-up, give each service its files, and the roles of ved VED_SECRETS=FOLDER/ved.

    Example: ved init /etc/ved/secrets
    """
    from ved.cli.init import run_init

    run_init(folder, tuple(owner or ()))
