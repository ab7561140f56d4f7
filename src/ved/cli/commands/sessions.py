"""Sessions: list, show, describe, split, merge. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(help="Sessions: list, show, describe, split, merge.", no_args_is_help=True)

Session = Annotated[str, typer.Argument(help="Id of a session, or its beginning.")]


@app.command(name="list")
def list_all(
    vehicle: Annotated[str | None, typer.Option(help="Of this vehicle.")] = None,
    track: Annotated[str | None, typer.Option(help="On this track (a part of its name).")] = None,
    tag: Annotated[str | None, typer.Option(help="With this tag.")] = None,
    driver: Annotated[str | None, typer.Option(help="Of this driver (a part of the name).")] = None,
    moved: Annotated[bool, typer.Option("--moved", help="Only where the vehicle moved.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List sessions, oldest first.

    Example: ved sessions list --vehicle fs --tag rain
    """
    from ved.api.choosing import Wanted
    from ved.cli.options import server_settings
    from ved.cli.sessions import print_sessions

    wanted = Wanted(track, tag, driver, None, True if moved else None)
    print_sessions(server_settings(data, config), vehicle, wanted, as_json=as_json)


@app.command()
def show(session: Session, data: Data = None, config: ConfigFile = None) -> None:
    """Show a session: what people wrote of it, its laps, and who changed what.

    Example: ved sessions show 3f2a
    """
    from ved.cli.options import server_settings
    from ved.cli.sessions import print_session

    print_session(server_settings(data, config), session)


@app.command()
def edit(
    session: Session,
    name: Annotated[str | None, typer.Option(help="What it is called.")] = None,
    driver: Annotated[str | None, typer.Option(help="Who drove.")] = None,
    track: Annotated[str | None, typer.Option(help="Track: its id or name; '' for the one that was found.")] = None,
    setup: Annotated[str | None, typer.Option(help="Set-up of the car.")] = None,
    notes: Annotated[str | None, typer.Option(help="Notes.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Add a tag. Repeatable.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="Take a tag away. Repeatable.")] = None,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Describe a session; what is not given stays.

    Example: ved sessions edit 3f2a --name Endurance --driver Léa --tag rain
    """
    from ved.cli.options import server_settings
    from ved.cli.sessions import NotesOrder, edit_session

    texts = {"name": name, "driver": driver, "track": track, "setup": setup, "notes": notes}
    order = NotesOrder({key: value for key, value in texts.items() if value is not None}, tag or [], untag or [])
    edit_session(server_settings(data, config), session, order)


@app.command()
def split(
    session: Session,
    at: Annotated[str, typer.Option(help="Seconds after its start, or a UTC time like 2026-07-04T14:30:00.")],
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Make two sessions of one. It stays so as more data come.

    Example: ved sessions split 3f2a --at 2026-05-03T14:10:00
    """
    from ved.cli.options import server_settings
    from ved.cli.sessions import split_at

    split_at(server_settings(data, config), session, at)


@app.command()
def merge(session: Session, other: Session, data: Data = None, config: ConfigFile = None) -> None:
    """Make one session of two that follow each other; the earlier keeps its id.

    Example: ved sessions merge 3f2a 4b01
    """
    from ved.cli.options import server_settings
    from ved.cli.sessions import merge_two

    merge_two(server_settings(data, config), session, other)
