"""Signal definitions. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(
    help="Signal definitions (DBC, CSV, Excel, KCD, SYM, ARXML): check, show, compare, convert, guess.",
    no_args_is_help=True,
)


@app.command("lint")
def dbc_lint(
    files: Annotated[list[Path], typer.Argument(help="Definition files, all for one vehicle.")],
    log: Annotated[Path | None, typer.Option(help="A recording (.MF4, .log): compare with what the wire says.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="All findings, not the first ten of a kind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: findings and counts.")] = False,
) -> None:
    """Explain what is wrong or doubtful: line, reason, what to do.

    Exit code 0: no errors; 1: errors found; 2: a file cannot be read.

    Examples: ved dbc lint car.dbc; ved dbc lint powertrain.dbc chassis.dbc --log drive.MF4
    """
    from ved.cli.dbc import print_lint

    raise typer.Exit(print_lint(files, log, as_json=as_json, show_all=show_all))


@app.command("show")
def dbc_show(
    file: Annotated[Path, typer.Argument(help="A definition file.")],
    message: Annotated[str | None, typer.Option(help="Name or hex id of one message: show its signals.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
) -> None:
    """List the messages of a file, or the signals of one message.

    Examples: ved dbc show car.dbc; ved dbc show car.dbc --message 1F0
    """
    from ved.cli.dbc import print_messages

    print_messages(file, message, as_json=as_json)


@app.command("diff")
def dbc_diff(
    before: Annotated[Path, typer.Argument(help="The old file.")],
    after: Annotated[Path, typer.Argument(help="The new file.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of changes.")] = False,
) -> None:
    """Say what changed between two files, and what that does to channels.

    Exit code 0: no difference; 1: there are some; 2: a file cannot be read.

    Example: ved dbc diff car-v1.dbc car-v2.dbc
    """
    from ved.cli.dbc import print_diff

    raise typer.Exit(print_diff(before, after, as_json=as_json))


@app.command("convert")
def dbc_convert(
    source: Annotated[Path, typer.Argument(help="A .dbc, .csv, .xlsx, .kcd, .sym or .arxml file.")],
    target: Annotated[Path, typer.Argument(help="The file to write: .dbc or .csv.")],
    bus: Annotated[str | None, typer.Option(help="Take the messages of this bus only.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Translate a definition file, and say what the new format cannot.

    A .csv has one signal a row; its first line names the columns: id, message, signal, start and length are needed;
    bus, bytes, order, sign, scale, offset, minimum, maximum, unit, multiplexer, comment and values may be there.

    Examples: ved dbc convert car.dbc car.csv; ved dbc convert network.arxml powertrain.dbc --bus Powertrain
    """
    from ved.cli.dbc import convert_file

    convert_file(source, target, bus, is_forced=force)


@app.command("guess")
def dbc_guess(
    recording: Annotated[Path, typer.Argument(help="A recording (.MF4, .log).")],
    known: Annotated[
        list[Path] | None, typer.Option("--dbc", help="Leave out the ids of this file. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the guesses as a .dbc (or .csv) to edit.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
) -> None:
    """Guess what unknown ids carry: counters, checksums, numbers.

    Looks at how bits change from frame to frame. Each guess says how sure it is. Names, scales and units stay yours to
    find: brake, steer, switch, and see which field moves.

    Example: ved dbc guess drive.MF4 --dbc car.dbc --out guess.dbc
    """
    from ved.cli.dbc import guess_definitions

    guess_definitions(recording, known or [], out, is_forced=force)


@app.command("assign")
def dbc_assign(
    vehicle: Annotated[str, typer.Argument(help="Name of the vehicle.")],
    bus: Annotated[str, typer.Argument(help="Name or number of its bus.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="Definition files of the bus; none: read it as it was recorded.")
    ] = None,
    valid_from: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Valid from this UTC time on.  [default: always]")
    ] = None,
    valid_to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Valid until just before this UTC time.")
    ] = None,
    note: Annotated[str, typer.Option(help="Why; it stands in the history.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    alias: Annotated[
        bool, typer.Option("--aliases/--no-aliases", help="Let former names of renamed channels go on working.")
    ] = True,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Put definition files in force for a bus, for now and for all that is stored.

    No stored frame changes: history is read anew. What was assigned before stays in the history. A running server takes
    it up within two seconds.

    Examples: ved dbc assign fs powertrain new.dbc --note 'torque scale'; ved dbc assign fs 1 new.dbc --from 2026-05-01
    """
    from ved.cli.options import server_settings
    from ved.cli.registry import assign, draft_of

    draft = draft_of(vehicle, valid_from, valid_to, note)
    assign(server_settings(data, config), draft, bus, files or [], is_trial=dry_run, alias=alias)


@app.command("list")
def dbc_list(
    vehicle: Annotated[str, typer.Argument(help="Name of the vehicle.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: assignments and aliases.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """List what was assigned to the buses of a vehicle: what, for when, by whom, and why.

    Example: ved dbc list fs
    """
    from ved.cli.options import server_settings
    from ved.cli.registry import print_history

    print_history(server_settings(data, config), vehicle, as_json=as_json)


@app.command("compare")
def dbc_compare(
    session: Annotated[str, typer.Argument(help="Id of a session, or its beginning.")],
    before: Annotated[
        str, typer.Option(metavar="VERSION", help="'recorded', 'now', or a number from 'ved dbc list'.")
    ] = "recorded",
    after: Annotated[str, typer.Option(metavar="VERSION", help="The same.")] = "now",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of channels with examples.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Read a session with two versions of the definitions, and say which channels differ.

    A version is what the car had when it recorded, or the registry as it stood after an assignment.

    Examples: ved dbc compare 3f2a; ved dbc compare 3f2a --before 4 --after 7
    """
    from ved.cli.options import server_settings
    from ved.cli.registry import print_comparison

    print_comparison(server_settings(data, config), session, before, after, as_json=as_json)
