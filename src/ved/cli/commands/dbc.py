"""Signal definitions. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Signal definitions (DBC, CSV, Excel, KCD, SYM, ARXML): check, show, compare, convert, guess.", no_args_is_help=True
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
