"""Rows of the lake: frames with their seq, sorted for the disk and turned into Arrow columns and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ved.lake.layout import FRAMES, GROUP_LEAST_ROWS, GROUP_MOST_ROWS
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

_ID_BITS: Final = 29
_KEY_BITS: Final = _ID_BITS + 1 + 8
_INT64_BITS: Final = 63


@dataclass(frozen=True, slots=True, eq=False)
class FrameRows:
    """n frames with their seq (int64[n])."""

    seq: NDArray[np.int64]
    frames: FrameColumns

    def __len__(self) -> int:
        return len(self.seq)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "FrameRows":
        """The rows at `rows`, in that order."""
        return FrameRows(self.seq[rows], self.frames.take(rows))

    @staticmethod
    def concatenate(parts: Sequence["FrameRows"]) -> "FrameRows":
        """All parts one after the other."""
        if len(parts) == 1:
            return parts[0]
        seq = np.concatenate([part.seq for part in parts]) if parts else np.empty(0, np.int64)
        return FrameRows(seq, FrameColumns.concatenate([part.frames for part in parts]))

    def in_time_order(self) -> "FrameRows":
        """Sorted by (t_us, seq)."""
        t_us, seq = self.frames.t_us, self.seq
        falls = t_us[1:] <= t_us[:-1]
        if not falls.any() or not ((t_us[1:] < t_us[:-1]) | (falls & (seq[1:] <= seq[:-1]))).any():
            return self
        return self.take(np.lexsort((seq, t_us)))


def disk_order(rows: FrameRows) -> NDArray[np.intp]:
    """The order of rows in a file: by (bus, is_extended, arbitration_id, seq).

    One 64-bit key a row, the row's own number in its low bits: NumPy sorts that several times faster than it finds the
    order of several keys.
    """
    frames, n = rows.frames, len(rows)
    row_bits = max(1, n).bit_length()
    if _KEY_BITS + row_bits > _INT64_BITS:
        return np.lexsort((rows.seq, frames.arbitration_id, frames.is_extended, frames.bus))
    key = frames.arbitration_id.astype(np.int64)
    key |= frames.is_extended.astype(np.int64) << _ID_BITS
    key |= frames.bus.astype(np.int64) << (_ID_BITS + 1)
    key <<= row_bits
    if n < 2 or bool((rows.seq[1:] > rows.seq[:-1]).all()):
        key |= np.arange(n)
        key.sort()
        key &= (1 << row_bits) - 1
        return key
    by_seq = np.argsort(rows.seq, kind="stable")
    key[by_seq] |= np.arange(n)
    key.sort()
    key &= (1 << row_bits) - 1
    return by_seq[key]


def group_bounds(bus: NDArray[np.uint8], flags: NDArray[np.uint8], arbitration_id: NDArray[np.uint32]) -> list[int]:
    """Row-group limits for frames in disk order: 0, …, n.

    A group ends where (bus, is_extended) changes, so that the id limits of groups do not overlap; where the id changes
    once it has GROUP_LEAST_ROWS; and one id with more than GROUP_MOST_ROWS is cut in equal parts. So a query for one
    id reads little else. Few rows are one group.
    """
    n = len(bus)
    if n <= GROUP_LEAST_ROWS:
        return [0, n]
    is_new_part = bus[1:] != bus[:-1]
    extended = flags & np.uint8(FrameFlag.EXTENDED)
    is_new_part |= extended[1:] != extended[:-1]
    is_new_id = is_new_part | (arbitration_id[1:] != arbitration_id[:-1])
    return cut_groups(n, is_new_part, is_new_id)


def cut_groups(n: int, is_new_part: NDArray[np.bool_], is_new_id: NDArray[np.bool_]) -> list[int]:
    """Row-group limits of n rows, from where (bool[n - 1]) another part, and another id, begins after a row."""
    if n <= GROUP_LEAST_ROWS:
        return [0, n]
    parts = {*(np.flatnonzero(is_new_part) + 1).tolist(), n}
    bounds = [0]
    run_start = 0
    for end in [*(np.flatnonzero(is_new_id) + 1).tolist(), n]:
        run = end - run_start
        if run >= GROUP_LEAST_ROWS and run_start - bounds[-1] >= GROUP_LEAST_ROWS // 4:
            bounds.append(run_start)
        if run > GROUP_MOST_ROWS:
            if run_start > bounds[-1]:
                bounds.append(run_start)
            pieces = -(-run // GROUP_MOST_ROWS)
            bounds.extend(run_start + run * piece // pieces for piece in range(1, pieces + 1))
        elif end in parts or end - bounds[-1] >= GROUP_LEAST_ROWS:
            bounds.append(end)
        run_start = end
    return bounds


def disk_table(rows: FrameRows) -> tuple[pa.Table, list[int]]:
    """The rows in disk order as an Arrow table with the columns of FRAMES, and the limits of its row groups."""
    frames, order = rows.frames, disk_order(rows)
    bus, flags = np.take(frames.bus, order), np.take(frames.flags, order)
    arbitration_id = np.take(frames.arbitration_id, order)
    head = np.ascontiguousarray(frames.payload[:, :CLASSIC_WIDTH]).view("<i8").reshape(len(rows))
    numbers = [
        np.take(rows.seq, order),
        np.take(frames.t_us, order),
        bus.astype(np.int16),
        arbitration_id.astype(np.int32),
        flags.astype(np.int16),
        np.take(frames.length, order).astype(np.int16),
        np.take(head, order),
    ]
    # From buffers: pa.array would import pandas where that is installed, a second and 60 MB for nothing.
    columns = [
        pa.Array.from_buffers(field.type, len(order), [None, pa.py_buffer(column)])
        for field, column in zip(FRAMES.file_schema, numbers, strict=False)
    ]
    columns.append(_tail(frames, order))
    return pa.Table.from_arrays(columns, schema=FRAMES.file_schema), group_bounds(bus, flags, arbitration_id)


def _tail(frames: FrameColumns, order: NDArray[np.intp]) -> pa.Array:
    """Payload bytes 8 to length of the rows that have any; null for the others."""
    n = len(order)
    if frames.payload.shape[1] == CLASSIC_WIDTH:
        return pa.nulls(n, pa.binary())
    lengths = np.take(frames.length, order)
    has_tail = (lengths > CLASSIC_WIDTH) & ((np.take(frames.flags, order) & np.uint8(FrameFlag.REMOTE)) == 0)
    if not has_tail.any():
        return pa.nulls(n, pa.binary())
    sizes = np.where(has_tail, np.minimum(lengths, FD_WIDTH).astype(np.int32) - CLASSIC_WIDTH, 0)
    offsets = np.zeros(n + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    tail = frames.payload[order[has_tail], CLASSIC_WIDTH:]
    data = tail[np.arange(FD_WIDTH - CLASSIC_WIDTH) < sizes[has_tail][:, None]]
    validity = np.packbits(has_tail, bitorder="little")
    buffers = [pa.py_buffer(validity.tobytes()), pa.py_buffer(offsets), pa.py_buffer(data.tobytes())]
    return pa.Array.from_buffers(pa.binary(), n, buffers)


def numbers_of(column: pa.ChunkedArray, dtype: type[np.generic]) -> NDArray[Any]:
    """A column of numbers without nulls as a NumPy array of `dtype`; a view where it has one chunk of that type."""
    stored = np.dtype(f"{'f' if pa.types.is_floating(column.type) else 'i'}{column.type.bit_width // 8}")
    chunks = [
        np.frombuffer(chunk.buffers()[1], stored, count=len(chunk), offset=chunk.offset * stored.itemsize)
        for chunk in column.chunks
        if len(chunk)
    ]
    out = chunks[0] if len(chunks) == 1 else np.concatenate(chunks) if chunks else np.empty(0, stored)
    return out.astype(dtype, copy=False)


def payload_matrix(payload: NDArray[np.int64], tail: pa.Array | None) -> NDArray[np.uint8]:
    """The payload matrix (n, 8), or (n, 64) where any row has a tail, from the two columns of the file."""
    n = len(payload)
    head = payload.astype("<i8", copy=False).view(np.uint8).reshape(n, CLASSIC_WIDTH)
    if tail is None or tail.null_count == n:
        return head
    out = np.zeros((n, FD_WIDTH), np.uint8)
    out[:, :CLASSIC_WIDTH] = head
    offsets = np.frombuffer(tail.buffers()[1], np.int32)[tail.offset : tail.offset + n + 1]
    data = np.frombuffer(tail.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    out[:, CLASSIC_WIDTH:][np.arange(FD_WIDTH - CLASSIC_WIDTH) < np.diff(offsets)[:, None]] = data
    return out
