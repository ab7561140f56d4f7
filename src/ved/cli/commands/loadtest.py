"""The load test. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer()


@app.command()
def loadtest(
    cars: Annotated[int, typer.Option(help="Simulated cars, each with its own connection.")] = 2,
    frames: Annotated[int, typer.Option(help="CAN frames per second of each car.")] = 6000,
    link: Annotated[str, typer.Option(help="What lies between cars and server: none, 4g or 4g-bad.")] = "none",
    viewers: Annotated[int, typer.Option(help="People who watch, spread over the cars.")] = 10,
    signals: Annotated[int, typer.Option(help="Channels that each of them watches.")] = 20,
    rate: Annotated[float, typer.Option(help="Samples per second of each channel.")] = 100.0,
    seconds: Annotated[
        float, typer.Option(help="How long it is measured, after 3 s of warming up; at most 600.")
    ] = 20.0,
    seed: Annotated[int, typer.Option(help="Another number is another drive and other bad moments of the link.")] = 1,
    find_max: Annotated[
        str | None,
        typer.Option(metavar="cars|viewers", help="Find the most that hold the promises, from the number given on."),
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures into this file.")] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write a report with plots into this file.")] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Test a server that is started for it and goes with its data.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the test cars' data in the lake.")] = False,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Link address of a server without its data folder: wss://HOST:PORT."),
    ] = None,
    code: Annotated[
        list[str] | None,
        typer.Option(help="With --server: a code of 'ved keys code loadtest-01' and so on, one for each car."),
    ] = None,
    signin: Annotated[
        str | None, typer.Option(metavar="LINK", help="With --server: a link of 'ved signin --role viewer'.")
    ] = None,
    i_own_this_server: Annotated[
        bool, typer.Option("--i-own-this-server", help="Allow a server that is not this machine.")
    ] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Load a running server with cars and viewers, and measure what it does.

    Measured: capture to viewer (p50, p90, p99), frames stored per second, loss, duplicates, processors and memory of
    each role and of the generator itself. Promises: 99 % of the samples within 200 ms, every frame stored and in the
    lake once, no viewer misses anything. Exit code 1 when one is broken.

    The target is the server that runs on --data on this machine; another machine is refused. Its test cars are named
    loadtest-01, loadtest-02, …; at the end their keys are revoked and their data taken out of the lake.

    Examples: ved loadtest --scratch --cars 4 --viewers 50 --html report.html;
    ved loadtest --scratch --find-max cars --seconds 10
    """
    from ved.cli.loadtest import Wish, run_loadtest
    from ved.cli.loadtest_target import Far
    from ved.cli.options import server_settings
    from ved.errors import UserError
    from ved.loadtest.plan import Load

    if server is None and (code or signin):
        raise UserError("--code and --signin go with --server URL; without it the data folder's server is tested")
    far = None if server is None else Far(server, tuple(code or ()), signin)
    wish = Wish(far, scratch, i_own_this_server, keep, find_max, json_path, html_path)
    load = Load(cars, frames, link, viewers, signals, rate, seconds, seed)
    if not run_loadtest(load, wish, server_settings(data, config)):
        raise typer.Exit(1)
