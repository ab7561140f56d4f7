"""Batches of the stream to frames, compiled: what record, watch and web each do with every batch of every car.

The same frames as `unpack_columns` of ved/codec/columns.py, which is NumPy and judges this one in the tests; that one
serves the car, where nothing is compiled.
"""

import struct
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

from ved.codec.columns import arrival_rows
from ved.codec.planes import MAX_PLANES
from ved.codec.records import decode_record
from ved.errors import CorruptDataError
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag
from ved.model.records import Record

_HEAD: Final = struct.Struct("<qIIBBBBBB")
_HEAD_BYTES: Final = _HEAD.size
_KEY_OCTETS: Final = 9
"""Of a group: bus, flags, length, four of the id, two of the count."""
_REMOTE: Final = int(FrameFlag.REMOTE)
_SHORT, _GROUPS, _CLASSES, _LONG = 1, 2, 3, 4
_REASONS: Final = {
    _SHORT: "batch body is too short",
    _GROUPS: "batch groups out of range or order",
    _CLASSES: "batch classes out of range",
    _LONG: "batch body is too long",
}


class _Head(NamedTuple):
    """The numbers in a body's head; `*_planes`: how many byte planes the numbers have."""

    base_us: int
    groups: int
    moved: int
    offset_planes: int
    period_planes: int
    residual_planes: int
    gap_planes: int
    shift_planes: int


class _Out(NamedTuple):
    """Frames sorted by group, to be filled; `payload` is zero. `gaps` and `shifts` say how arrival differs."""

    t_us: NDArray[np.int64]
    bus: NDArray[np.uint8]
    arbitration_id: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    length: NDArray[np.uint8]
    payload: NDArray[np.uint8]
    gaps: NDArray[np.uint64]
    shifts: NDArray[np.uint64]


def decode_entry(data: bytes) -> Record:
    """As `decode_record`, its batches and previews by compiled code. CorruptDataError when the bytes are wrong."""
    return decode_record(data, unpack_compiled)


def unpack_compiled(data: bytes, count: int) -> FrameColumns:
    """The `count` >= 1 frames of a batch body; CorruptDataError when it is not one."""
    if len(data) < _HEAD_BYTES:
        raise CorruptDataError(_REASONS[_SHORT])
    *numbers, reserved = _HEAD.unpack_from(data)
    head = _Head(*numbers)
    if not 1 <= head.groups <= count or head.moved > count or reserved or max(head[3:]) > MAX_PLANES:
        raise CorruptDataError("batch body out of range")
    if len(data) < _HEAD_BYTES + _KEY_OCTETS * head.groups:
        raise CorruptDataError(_REASONS[_SHORT])
    octets = np.frombuffer(data, np.uint8)
    read, widest = _compiled()
    longest = widest(octets, head.groups)
    if longest > FD_WIDTH:
        raise CorruptDataError(_REASONS[_GROUPS])
    out = _Out(
        np.empty(count, np.int64),
        np.empty(count, np.uint8),
        np.empty(count, np.uint32),
        np.empty(count, np.uint8),
        np.empty(count, np.uint8),
        np.zeros((count, CLASSIC_WIDTH if longest <= CLASSIC_WIDTH else FD_WIDTH), np.uint8),
        np.empty(head.moved, np.uint64),
        np.empty(head.moved, np.uint64),
    )
    wrong = read(octets, head, out)
    if wrong:
        raise CorruptDataError(_REASONS[wrong])
    rows = arrival_rows(out.t_us, out.gaps, out.shifts)
    return FrameColumns(
        out.t_us[rows],
        out.bus[rows],
        out.arbitration_id[rows],
        out.flags[rows],
        out.length[rows],
        out.payload[rows],
    )


def _widest(octets: Any, groups: Any) -> Any:
    """The most payload bytes of a frame, or a length that is too much for any frame."""
    most: Any = 0
    for group in range(groups):
        length = np.int64(octets[_HEAD_BYTES + 2 * groups + group])
        if length > FD_WIDTH:
            return length
        if not octets[_HEAD_BYTES + groups + group] & _REMOTE:
            most = max(most, length)
    return most


@register_jitable
def _number(octets: Any, at: Any, index: Any, count: Any, planes: Any) -> Any:
    """Number `index` of `count`, whose byte planes begin at `at`."""
    out = np.uint64(0)
    for plane in range(planes):
        out |= np.uint64(octets[at + plane * count + index]) << np.uint64(8 * plane)
    return out


@register_jitable
def _unzigzag(value: Any) -> Any:
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@register_jitable
def _read_groups(octets: Any, head: Any, out: Any) -> Any:
    """Fill what a group's key says of its frames; (counts, payload bytes of a frame), or no counts when it is wrong."""
    groups, rows = head.groups, len(out.bus)
    counts, sizes = np.empty(groups, np.int64), np.empty(groups, np.int64)
    ids_at, counts_at = _HEAD_BYTES + 3 * groups, _HEAD_BYTES + 7 * groups
    before: Any = np.uint64(0)
    row: Any = 0
    for group in range(groups):
        bus = octets[_HEAD_BYTES + group]
        flags = octets[_HEAD_BYTES + groups + group]
        length = octets[_HEAD_BYTES + 2 * groups + group]
        number = _number(octets, ids_at, group, groups, 4)
        high = (np.uint64(bus) << np.uint64(48)) | (np.uint64(flags) << np.uint64(40))
        key = high | (np.uint64(length) << np.uint64(32)) | number
        count = np.int64(_number(octets, counts_at, group, groups, 2)) + 1
        if (group > 0 and key <= before) or row + count > rows:
            return counts[:0], sizes[:0]
        before = key
        counts[group], sizes[group] = count, (0 if flags & _REMOTE else np.int64(length))
        out.bus[row : row + count] = bus
        out.flags[row : row + count] = flags
        out.length[row : row + count] = length
        out.arbitration_id[row : row + count] = np.uint32(number)
        row += count
    if row != rows:
        return counts[:0], sizes[:0]
    return counts, sizes


@register_jitable
def _read_times(octets: Any, head: Any, counts: Any, places: Any, out: Any) -> None:
    """`places`: where offsets, periods and residuals begin, and how many periods there are."""
    offsets_at, periods_at, residuals_at, repeated = places
    steps = len(out.t_us) - len(counts)
    row = period_at = step = 0
    for group in range(len(counts)):
        t_us = head.base_us + np.int64(_number(octets, offsets_at, group, len(counts), head.offset_planes))
        out.t_us[row] = t_us
        row += 1
        if counts[group] > 1:
            period = _unzigzag(_number(octets, periods_at, period_at, repeated, head.period_planes))
            period_at += 1
            for _ in range(counts[group] - 1):
                t_us += period + _unzigzag(_number(octets, residuals_at, step, steps, head.residual_planes))
                out.t_us[row] = t_us
                row += 1
                step += 1


@register_jitable
def _read_payload(octets: Any, layout: Any, places: Any, payload: Any) -> Any:
    """`layout`: counts and payload bytes of the groups. `places`: where firsts, classes and streams begin, and how many
    columns there are. 0, or what is wrong.
    """
    counts, sizes = layout
    firsts_at, classes_at, streams_at, columns = places
    totals, column = np.zeros(4, np.int64), 0
    for group in range(len(counts)):
        for _ in range(sizes[group]):
            totals[(octets[classes_at + column // 4] >> np.uint8(2 * (column % 4))) & np.uint8(3)] += counts[group] - 1
            column += 1
    if columns % 4 and octets[classes_at + columns // 4] >> np.uint8(2 * (columns % 4)):
        return _CLASSES
    if streams_at + totals[1] + totals[2] + totals[3] != len(octets):
        return _SHORT if streams_at + totals[1] + totals[2] + totals[3] > len(octets) else _LONG
    at = np.array([0, streams_at, streams_at + totals[1], streams_at + totals[1] + totals[2]])
    column = start = 0
    for group in range(len(counts)):
        for byte in range(sizes[group]):
            kind = (octets[classes_at + column // 4] >> np.uint8(2 * (column % 4))) & np.uint8(3)
            value = octets[firsts_at + column]
            payload[start, byte] = value
            for row in range(start + 1, start + counts[group]):
                if kind:
                    move = octets[at[kind]]
                    at[kind] += 1
                    value = np.uint8(value + ((move >> np.uint8(1)) ^ np.uint8(-np.int64(move & np.uint8(1)))))
                payload[row, byte] = value
            column += 1
        start += counts[group]
    return 0


def _read(octets: Any, head: Any, out: Any) -> Any:
    """Fill `out`; 0, or what is wrong."""
    counts, sizes = _read_groups(octets, head, out)
    groups, columns, repeated = len(counts), 0, 0
    if groups == 0:
        return _GROUPS
    for group in range(groups):
        columns += sizes[group]
        repeated += counts[group] > 1
    offsets_at = _HEAD_BYTES + _KEY_OCTETS * groups
    periods_at = offsets_at + groups * head.offset_planes
    gaps_at = periods_at + repeated * head.period_planes
    shifts_at = gaps_at + head.moved * head.gap_planes
    firsts_at = shifts_at + head.moved * head.shift_planes
    classes_at = firsts_at + columns
    residuals_at = classes_at + (columns + 3) // 4
    streams_at = residuals_at + (len(out.t_us) - groups) * head.residual_planes
    if streams_at > len(octets):
        return _SHORT
    _read_times(octets, head, counts, (offsets_at, periods_at, residuals_at, repeated), out)
    for index in range(head.moved):
        out.gaps[index] = _number(octets, gaps_at, index, head.moved, head.gap_planes)
        out.shifts[index] = _number(octets, shifts_at, index, head.moved, head.shift_planes)
    return _read_payload(octets, (counts, sizes), (firsts_at, classes_at, streams_at, columns), out.payload)


@cache
def _compiled() -> tuple[Callable[..., int], Callable[..., int]]:
    """Both, each compiled for one fixed signature."""

    def array(element: Any, dimensions: int = 1, *, is_readonly: bool = False) -> Any:
        return types.Array(element, dimensions, "C", readonly=is_readonly)

    i64, u8, u64 = types.int64, types.uint8, types.uint64
    octets = array(u8, is_readonly=True)
    head = types.NamedUniTuple(i64, len(_Head._fields), _Head)  # type: ignore[no-untyped-call]
    columns = (array(i64), array(u8), array(types.uint32), array(u8), array(u8), array(u8, 2), array(u64), array(u64))
    out = types.NamedTuple(columns, _Out)  # type: ignore[no-untyped-call]
    read = numba.njit(i64(octets, head, out), cache=True, nogil=True)(_read)
    return read, numba.njit(i64(octets, i64), cache=True, nogil=True)(_widest)


def compile_kernels() -> None:
    """Compile, or load what was compiled before: seconds or a moment."""
    _compiled()
