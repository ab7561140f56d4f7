"""Decoded messages as they came into Parquet: a folder with one wide file for each message."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ved.api.parts import Part
from ved.dbc.decode import Decoded
from ved.errors import UserError
from ved.model.channel import Channel
from ved.model.frames import FrameColumns

_NOT_IN_A_FILE_NAME = re.compile(r"[^\w.@-]", re.ASCII)


def message_of(channel: Channel) -> str:
    """The channel's name without its signal: `Message`, `Message@1F0` or `bus.Message`."""
    return channel.name.rpartition(f".{channel.signal}")[0] or channel.name


def write_messages(
    folder: Path,
    parts: Iterable[tuple[Part, FrameColumns]],
    channels: Sequence[Channel],
    start_utc_us: int,
) -> int:
    """Write `<message>.parquet` for each message into `folder`, which must not be there; returns the rows of all.

    A row for each frame: `time_s`, `utc` and the message's wanted channels by the names of their signals, null where
    the frame does not carry one; units stand in the fields' metadata. `t_us` of `parts` counts from `start_utc_us`.
    """
    by_message: dict[str, list[Channel]] = {}
    for channel in channels:
        by_message.setdefault(message_of(channel), []).append(channel)
    writers: dict[str, Any] = {}
    rows = 0
    try:
        folder.mkdir()
        for part, frames in parts:
            decoded = part.decoder.decode(frames, _wanted(part, channels))
            for message, members in by_message.items():
                table = _table(part, decoded, frames, members, start_utc_us)
                if table is None:
                    continue
                if message not in writers:
                    name = _NOT_IN_A_FILE_NAME.sub("_", message)
                    writers[message] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
                writers[message].write_table(table)
                rows += table.num_rows
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        for writer in writers.values():
            writer.close()
    return rows


def _wanted(part: Part, channels: Sequence[Channel]) -> NDArray[np.bool_]:
    wanted = np.zeros(len(part.decoder.channels), np.bool_)
    for channel in channels:
        number = part.index(channel.name)
        if number is not None:
            wanted[number] = True
    return wanted


def _table(
    part: Part, decoded: Decoded, frames: FrameColumns, members: Sequence[Channel], start_utc_us: int
) -> pa.Table | None:
    """The rows of one message in these frames; None when there are none."""
    found: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
    for channel in members:
        number = part.index(channel.name)
        if number is not None:
            span = slice(int(decoded.starts[number]), int(decoded.starts[number + 1]))
            found[channel.name] = decoded.rows[span], decoded.values[span]
    rows = np.unique(np.concatenate([own for own, _ in found.values()])) if found else np.empty(0, np.int64)
    if not len(rows):
        return None
    t_us = frames.t_us[rows]
    fields = [pa.field("time_s", pa.float64()), pa.field("utc", pa.timestamp("us", "UTC"))]
    columns = [pa.array(t_us / 1e6), pa.array(t_us + start_utc_us).cast(fields[1].type)]
    for channel in members:
        values = np.full(len(rows), np.nan)
        if channel.name in found:
            own, numbers = found[channel.name]
            values[np.searchsorted(rows, own)] = numbers
        fields.append(pa.field(channel.signal, pa.float64(), metadata={"unit": channel.unit, "kind": channel.kind}))
        columns.append(pa.array(values, from_pandas=True))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
