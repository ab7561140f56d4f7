"""Resampled channels into files: CSV, Parquet, MATLAB."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ved.api.frame import Frame
from ved.errors import UserError

_MATLAB_NAME = re.compile(r"[^A-Za-z0-9_]")
_MATLAB_NAME_LENGTH = 63


def write_csv(path: Path, frames: Iterable[Frame]) -> int:
    """One row for each time: `time_s`, `utc` (ISO 8601), and the channels as `name [unit]`; empty: no value."""

    def shown(table: pa.Table) -> pa.Table:
        names = []
        for field in table.schema:
            unit = (field.metadata or {}).get(b"unit", b"").decode()
            names.append(f"{field.name} [{unit}]" if unit and field.name != "time_s" else field.name)
        return table.rename_columns(names)

    return _write_tables(path, frames, shown, lambda schema: pa_csv.CSVWriter(path, schema))


def write_parquet(path: Path, frames: Iterable[Frame]) -> int:
    """As `Frame.to_arrow`: units in the fields' metadata, null where there is no value."""
    return _write_tables(path, frames, lambda table: table, lambda schema: pq.ParquetWriter(path, schema))


def write_mat(path: Path, frames: Iterable[Frame]) -> int:
    """MATLAB 5: `time_s`, `utc_s` (seconds since 1970), and the struct `data` with a column vector for each channel.

    The structs `units` and `names` give each one's unit and full name. UserError when scipy is missing.
    """
    try:
        from scipy.io import savemat  # type: ignore[import-untyped]
    except ImportError as error:
        raise UserError(f"{path}: writing MATLAB files needs scipy; run `pip install 'ved[export]'`") from error
    parts = list(frames)
    first = parts[0]
    fields = _matlab_names(first.names)
    joined = {name: np.concatenate([part[name] for part in parts])[:, None] for name in first.names}
    utc_us = np.concatenate([part.utc_us for part in parts])
    content: Mapping[str, Any] = {
        "time_s": ((utc_us - first.start_utc_us) / 1e6)[:, None],
        "utc_s": (utc_us / 1e6)[:, None],
        "data": {fields[name]: column for name, column in joined.items()},
        "units": {fields[name]: unit for name, unit in first.units.items()},
        "names": {fields[name]: channel.name for name, channel in first.channels.items()},
    }
    try:
        savemat(path, content, long_field_names=True, do_compression=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    return len(utc_us)


def _write_tables(
    path: Path, frames: Iterable[Frame], shown: Callable[[pa.Table], pa.Table], opened: Callable[[pa.Schema], Any]
) -> int:
    writer, rows = None, 0
    try:
        for frame in frames:
            table = shown(frame.to_arrow())
            writer = writer or opened(table.schema)
            writer.write_table(table)
            rows += len(frame)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if writer is not None:
            writer.close()
    return rows


def _matlab_names(names: Iterable[str]) -> dict[str, str]:
    """Field names that MATLAB takes: a letter first, then letters, digits and _, at most 63, all different."""
    out: dict[str, str] = {}
    for name in names:
        plain = _MATLAB_NAME.sub("_", name)
        plain = (plain if plain[:1].isalpha() else f"x{plain}")[:_MATLAB_NAME_LENGTH]
        free, number = plain, 1
        while free in out.values():
            number += 1
            free = f"{plain[: _MATLAB_NAME_LENGTH - 4]}_{number}"
        out[name] = free
    return out
