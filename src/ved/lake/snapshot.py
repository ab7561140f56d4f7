"""A version of a table as files: what to copy so that the copy is that version, and nothing half written."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ved.errors import StorageError
from ved.lake.commit import first_line

_LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest version, the data files that it names, and the log's files up to it; paths relative to the table."""

    version: int
    data: tuple[str, ...]
    log: tuple[str, ...]


def take_snapshot(folder: str) -> Snapshot | None:
    """Of the table in a local folder; None where there is none. StorageError when its log cannot be read.

    The log is copied whole: its commits say which seqs are stored. `_last_checkpoint` is a hint that readers do
    without, and may name a checkpoint newer than this version, so it is left out.
    """
    try:
        table = DeltaTable(folder)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise StorageError(f"cannot read the lake's log at {folder}: {first_line(error)}") from error
    version = table.version()
    data = tuple(sorted(unquote(path) for path in table.get_add_actions(flatten=True)["path"].to_pylist()))
    names = sorted(path.name for path in (Path(folder) / _LOG).iterdir())
    log = tuple(f"{_LOG}/{name}" for name in names if (found := _version_of(name)) is not None and found <= version)
    return Snapshot(version, data, log)


def _version_of(name: str) -> int | None:
    """The version of a commit or a checkpoint; None for anything else."""
    number, _, kind = name.partition(".")
    is_ours = number.isdigit() and len(number) == 20 and (kind == "json" or kind.endswith("parquet"))
    return int(number) if is_ours else None
