"""Grafana's files. What a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from ved.cli.commands.arguments import ConfigFile, Data

app = typer.Typer(
    help="Grafana: data source, dashboards and alert rules, made from the vehicles.", no_args_is_help=True
)


@app.callback()
def grafana() -> None:
    """Grafana: data source, dashboards and alert rules, made from the vehicles."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder to write to; files of the same names are replaced.")],
    vehicle: Annotated[
        list[str] | None, typer.Option(help="Only this vehicle. Repeatable.  [default: all]", show_default=False)
    ] = None,
    language: Annotated[str, typer.Option(help="Language of titles: en or fr.")] = "en",
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Write what Grafana is provisioned with, so that its first start needs no click.

    Dashboards come from the layout and the DBC files of each vehicle's folder (the shipped ones, and DATA/vehicles),
    alert rules from its thresholds. deploy/grafana has them ready for the shipped vehicles.

    Example: ved grafana build --out grafana --vehicle fs --language fr
    """
    from ved.cli.grafana import build_grafana
    from ved.cli.options import server_settings

    build_grafana(out, tuple(vehicle or ()), language, server_settings(data, config))
