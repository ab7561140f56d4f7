"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(help="Data folder of the server.  [default: ved-data]", show_default=False)]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML); see docs/ved.sample.toml.")]
WebPort = Annotated[
    int | None, typer.Option(help="Port of the page; 0: any free one.  [default: 8000]", show_default=False)
]
LinkPort = Annotated[
    int | None, typer.Option(help="Port for cars; 0: any free one.  [default: 8790]", show_default=False)
]
CarState = Annotated[Path, typer.Option("--state", help="Folder of the car's key, journal and epoch counter.")]
LinkUrl = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="Link address of a far server: wss://HOST:PORT.")
]
Speed = Annotated[str, typer.Option(metavar="FACTOR|max", help="Factor on real time, or max.")]
