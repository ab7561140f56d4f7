"""`ved lake`: the long-term store."""

import json

from rich.console import Console
from rich.table import Table

from ved.api.stats import lake_stats
from ved.cli.server import open_database
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.lake.lake import Lake

console = Console(highlight=False, soft_wrap=True)


def print_stats(settings: ServerSettings, *, as_json: bool) -> None:
    """Print the figures as a table or as one JSON object."""
    if not settings.data.is_dir():
        raise UserError(f"{settings.data}: no such data folder; name one with --data")
    db = open_database(settings)
    try:
        counts = lake_stats(Lake(settings.lake), db)
    finally:
        db.close()
    if as_json:
        print(json.dumps(counts))
        return
    table = Table("", "in the lake", box=None)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
