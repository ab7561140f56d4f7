"""The options that several commands share, and how settings come together from them."""

from pathlib import Path
from typing import Annotated

import typer

from ved.config.settings import ServerSettings, load_settings
from ved.errors import UserError

Data = Annotated[Path | None, typer.Option(help="Data folder of the server.  [default: ved-data]", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); see docs/ved.sample.toml.")]
WebPort = Annotated[
    int | None, typer.Option(help="Port of the page; 0: any free one.  [default: 8000]", show_default=False)
]
LinkPort = Annotated[
    int | None, typer.Option(help="Port for cars; 0: any free one.  [default: 8790]", show_default=False)
]
CarState = Annotated[Path, typer.Option("--state", help="Folder of the car's key, journal and epoch counter.")]
LinkUrl = Annotated[str | None, typer.Option("--server", help="Link address of a server: wss://HOST:PORT.")]


def server_settings(
    data: Path | None, config: Path | None, web_port: int | None = None, link_port: int | None = None
) -> ServerSettings:
    """Settings from the options that were given, over environment and file."""
    return load_settings(config, {"data": data, "web_port": web_port, "link_port": link_port})


def parse_speed(text: str) -> float:
    """`max` is 0 (as fast as possible), else a positive factor on real time; UserError otherwise."""
    if text == "max":
        return 0.0
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < float("inf"):
        raise UserError(f"--speed {text}: give a positive factor like 1 or 10, or max")
    return factor
