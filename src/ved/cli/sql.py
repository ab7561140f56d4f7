"""`ved sql`: one SELECT over decoded channels, as a table, CSV, JSON or Parquet."""

import datetime as dt
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from ved.api.opened import OpenedLake
from ved.api.sql import SqlResult
from ved.config.settings import ServerSettings
from ved.errors import UserError

MOST_ROWS: Final = 200
console = Console(highlight=False, soft_wrap=True)


def run_query(settings: ServerSettings, query: str, file_format: str, out: Path | None) -> None:
    """Print the rows, or write them to `out`, whose ending gives the format where none was named."""
    chosen = file_format or (out.suffix.lstrip(".").lower() if out is not None else "table")
    if chosen not in ("table", *_WRITERS):
        raise UserError(f"--format {chosen}: there is none; known are table, {', '.join(_WRITERS)}")
    if chosen == "table" and out is not None:
        raise UserError(f"--out {out}: a table is for the screen; write csv, json or parquet")
    if chosen == "parquet" and out is None:
        raise UserError("--format parquet: name the file with --out")
    with OpenedLake.of(settings) as lake:
        result = lake.sql(query)
        if chosen == "table":
            _print_table(result)
        elif out is None:
            _WRITERS[chosen](result, sys.stdout.buffer)
        else:
            console.print(f"{out}: {_write(result, _WRITERS[chosen], out):,} rows", markup=False)


def _write(result: SqlResult, writer: Callable[[SqlResult, BinaryIO], int], out: Path) -> int:
    """Write the file whole, under its name only when it is; rows."""
    draft = out.with_name(f".{out.name}.part")
    try:
        with draft.open("wb") as file:
            rows = writer(result, file)
        draft.replace(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return rows


def _print_table(result: SqlResult) -> None:
    table = Table(*result.names, box=None)
    rows = list(itertools.islice(_rows(result), MOST_ROWS + 1))
    for row in rows[:MOST_ROWS]:
        table.add_row(*(_shown(value) for value in row.values()))
    console.print(table)
    if len(rows) > MOST_ROWS:
        console.print(f"the first {MOST_ROWS} rows; all of them: --format csv, or --out FILE", markup=False)


def _write_csv(result: SqlResult, file: BinaryIO) -> int:
    from pyarrow import csv

    rows = 0
    with csv.CSVWriter(file, result.schema) as writer:
        for batch in result.batches():
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _write_json(result: SqlResult, file: BinaryIO) -> int:
    """An array with an object for each row, a row a line; times in ISO 8601, what is no number null."""
    rows = 0
    for row in _rows(result):
        file.write(b"[\n " if not rows else b",\n ")
        file.write(json.dumps({name: _plain(value) for name, value in row.items()}, ensure_ascii=False).encode())
        rows += 1
    file.write(b"\n]\n" if rows else b"[]\n")
    return rows


def _write_parquet(result: SqlResult, file: BinaryIO) -> int:
    import pyarrow.parquet as pq

    rows = 0
    with pq.ParquetWriter(file, result.schema, compression="zstd") as writer:
        for batch in result.batches():
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


_WRITERS: Final[dict[str, Callable[[SqlResult, BinaryIO], int]]] = {
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}


def _rows(result: SqlResult) -> Iterator[dict[str, Any]]:
    batch: pa.RecordBatch
    for batch in result.batches():
        yield from batch.to_pylist()


def _plain(value: object) -> object:
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        return value.isoformat() if not isinstance(value, dt.timedelta) else value.total_seconds()
    if isinstance(value, list | dict | str | int | float | bool | None):
        return value
    return str(value)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
