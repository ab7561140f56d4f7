"""`ved lake`: the long-term store."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.table import Table

from ved.api.stats import lake_stats
from ved.cli.progress import LateProgress
from ved.cli.server import find_running, open_database
from ved.config.settings import ServerSettings
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.lake.verify import verify

KEEP_DEAD_FILES_S: Final = 3600.0
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
    _print_counts("in the lake", counts)


def verify_lake(settings: ServerSettings, *, as_json: bool) -> bool:
    """Read every byte, say what was found; False when something is wrong."""
    lake = Lake.existing(settings.lake)
    with LateProgress("reading the lake's files", None) as progress:
        verdict = verify(lake, lambda done, total: progress.update(done, total=total))
    if as_json:
        print(json.dumps({**asdict(verdict), "is_good": verdict.is_good}))
        return verdict.is_good
    for path, why in verdict.broken.items():
        console.print(f"broken: {settings.lake}/{path}: {why}", markup=False)
    counts = {name: count for name, count in asdict(verdict).items() if name != "broken"}
    _print_counts("in the lake", {**counts, "broken_files": len(verdict.broken)})
    good = "every row that the log names is there, once"
    console.print(good if verdict.is_good else "SOMETHING IS WRONG; docs/spec/lake.md says what can be done")
    return verdict.is_good


def vacuum_lake(settings: ServerSettings) -> None:
    """Delete the data files that no version needs any more, and say how many."""
    lake = Lake.existing(settings.lake)
    is_alone = settings.data.is_dir() and not settings.lake_url and find_running(settings.data) is None
    deleted = lake.vacuum(0.0 if is_alone else KEEP_DEAD_FILES_S, 0.0)
    note = "" if is_alone else "; those of the last hour stay, as a server may be about to use them"
    console.print(f"{deleted:,} files deleted{note}", markup=False)


def _print_counts(title: str, counts: Mapping[str, int]) -> None:
    table = Table("", title, box=None)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
