"""Alarms. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(help="Alarms: what the rules would have found.", no_args_is_help=True)


@app.callback()
def alarms() -> None:
    """Keep `check` a command of its own although it is the only one."""


@app.command()
def check(
    session: Annotated[str | None, typer.Argument(help="Id of a session, or its beginning.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The newest session.")] = False,
    vehicle: Annotated[str | None, typer.Option(help="With --last: of this vehicle.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only this rule. Repeatable.  [default: all]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Run the alarm rules of today over a stored session: would they have fired?

    Example: ved alarms check --last --vehicle fs --rule cell-temperature-high
    """
    from ved.cli.alarms import CheckOrder, run_check
    from ved.cli.options import server_settings

    order = CheckOrder.parse(session, vehicle, rule or [], is_last=last, as_json=as_json)
    run_check(server_settings(data, config), order)
