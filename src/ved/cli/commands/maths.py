"""Maths channels: list and try. What a command does is imported when it is called."""

from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(help="Maths channels: list, try.", no_args_is_help=True)


@app.command(name="list")
def list_all(
    vehicle: Annotated[str, typer.Argument(help="A vehicle.")], data: Data = None, config: ConfigFile = None
) -> None:
    """List the maths channels of a vehicle; people change them on the page.

    Example: ved maths list fs
    """
    from ved.cli.maths import print_maths
    from ved.cli.options import server_settings

    print_maths(server_settings(data, config), vehicle)


@app.command()
def check(
    vehicle: Annotated[str, typer.Argument(help="A vehicle.")],
    expression: Annotated[str, typer.Argument(help="An expression over its channels; see docs/spec/maths.md.")],
    unit: Annotated[str, typer.Option(help="Unit of the result.")] = "",
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Say what an expression gives, or where it is wrong.

    Example: ved maths check fs "lap_integral(BatteryPack.Voltage * BatteryPack.Current)" --unit Wh
    """
    from ved.cli.maths import check_expression
    from ved.cli.options import server_settings

    check_expression(server_settings(data, config), vehicle, expression, unit)
