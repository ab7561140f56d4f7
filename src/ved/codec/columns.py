"""The inside of a batch: frames <-> the byte columns that compress well (docs/spec/batch.md).

Frames are put into groups of equal (bus, flags, id, length). In a group, times become differences to the group's
period and payload bytes differences to the same byte of the frame before; columns of payload bytes that move alike
are laid side by side. All groups are worked on at once.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.codec.planes import (
    PlaneReader,
    plane_count,
    to_planes,
    unzigzag,
    unzigzag8,
    zigzag,
    zigzag8,
)
from ved.errors import CorruptDataError
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

_HEAD: Final = struct.Struct("<qIIBBBBBB")
_CLASSES: Final = 4
_COLUMNS_PER_OCTET: Final = 4
_MILLISECOND_US: Final = 1000
_SNAP_PARTS: Final = 50

_Indexes = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class BatchGroups:
    """The groups in key order: for each its key, and where its frames stand when frames are sorted by group."""

    bus: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    length: NDArray[np.uint8]
    arbitration_id: NDArray[np.uint32]
    counts: _Indexes

    @property
    def starts(self) -> _Indexes:
        """First row of each group."""
        out: _Indexes = np.cumsum(self.counts) - self.counts
        return out

    @property
    def data_bytes(self) -> _Indexes:
        """Payload bytes that a frame of the group carries: none for a remote frame."""
        return np.where(self.flags & np.uint8(FrameFlag.REMOTE), 0, self.length).astype(np.intp)


class _Layout:
    """Where payload bytes stand: rows sorted by group on one side; columns (group, byte), frame after frame, flat."""

    def __init__(self, groups: BatchGroups) -> None:
        self.per_frame = groups.data_bytes
        self.column_counts: _Indexes = np.repeat(groups.counts, self.per_frame)
        ends: _Indexes = np.cumsum(self.column_counts)
        self.column_starts: _Indexes = ends - self.column_counts
        self.size = int(ends[-1]) if len(ends) else 0
        self._groups = groups

    def places(self, width: int) -> tuple[NDArray[np.bool_], _Indexes]:
        """Which of the payload matrix (rows by group, `width` bytes) is data, and its places in the flat array."""
        groups, sizes = self._groups, self.per_frame * self._groups.counts
        bases = np.cumsum(sizes) - sizes - groups.starts
        bases = np.repeat(bases, groups.counts) + np.arange(int(groups.counts.sum()))
        byte = np.arange(width)
        is_data = byte < np.repeat(self.per_frame, groups.counts)[:, None]
        places = bases[:, None] + byte * np.repeat(groups.counts, groups.counts)[:, None]
        return is_data, places[is_data]


@dataclass(frozen=True, slots=True)
class PackedGroups:
    """What stands in a batch body of frames sorted by group: times as numbers, payloads as bytes.

    `offsets` has one number for each group, `periods` one for each of two or more frames, `residuals` one for each
    step; `firsts` and `classes` have a byte for each column; `streams` are the moves of classes 1 to 3.
    """

    base_us: int
    offsets: NDArray[np.uint64]
    periods: NDArray[np.uint64]
    residuals: NDArray[np.uint64]
    firsts: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    streams: tuple[NDArray[np.uint8], ...]


GroupPacker = Callable[[NDArray[np.int64], NDArray[np.uint8], BatchGroups], PackedGroups]
"""Packs times and payloads that are sorted by group. ValueError for payload bytes outside of a frame's length."""


Unpacker = Callable[[bytes, int], FrameColumns]
"""The frames (so many, at least one) of a batch body. CorruptDataError when it is not one."""


def pack_groups(t_us: NDArray[np.int64], payload: NDArray[np.uint8], groups: BatchGroups) -> PackedGroups:
    """The `GroupPacker` of whole arrays at once, in NumPy."""
    return PackedGroups(*_pack_times(t_us, groups), *_pack_payload(payload, groups))


def pack_columns(frames: FrameColumns, packer: GroupPacker = pack_groups) -> list[bytes]:
    """The blocks of a batch body, to be compressed each with its own statistics and read as one byte string.

    At least one frame. ValueError for frames that break the model's promise: a length over 64, or payload bytes that
    are not zero past the length or in a remote frame.
    """
    if int(frames.length.max()) > FD_WIDTH:
        raise ValueError("a frame longer than 64 bytes")
    groups, order = _group(frames)
    t_us = np.ascontiguousarray(frames.t_us[order])
    gaps, shifts = order_exceptions(t_us, order)
    parts = packer(t_us, frames.payload[order], groups)
    columns = (parts.offsets, parts.periods, parts.residuals, gaps, shifts)
    widths = [plane_count(column) for column in columns]
    head = _HEAD.pack(parts.base_us, len(groups.counts), len(gaps), *widths, 0)
    packed = [to_planes(column, width) for column, width in zip(columns, widths, strict=True)]
    first_block = [
        head,
        groups.bus.tobytes(),
        groups.flags.tobytes(),
        groups.length.tobytes(),
        *to_planes(groups.arbitration_id.astype(np.uint64), 4),
        *to_planes((groups.counts - 1).astype(np.uint64), 2),
        *packed[0],
        *packed[1],
        *packed[3],
        *packed[4],
    ]
    second_block = parts.firsts.tobytes() + _pack_classes(parts.classes)
    return [b"".join(first_block), second_block, *packed[2], *(stream.tobytes() for stream in parts.streams)]


def unpack_columns(data: bytes, count: int) -> FrameColumns:
    """The `count` >= 1 frames of a batch body; CorruptDataError when it is not one."""
    reader = PlaneReader(data)
    base_us, group_count, moved, *widths, reserved = _HEAD.unpack(reader.octets(_HEAD.size).tobytes())
    if not 1 <= group_count <= count or moved > count or reserved != 0:
        raise CorruptDataError("batch body out of range")
    groups = _read_groups(reader, group_count, count)
    offsets = reader.numbers(group_count, widths[0])
    periods = reader.numbers(int((groups.counts > 1).sum()), widths[1])
    gaps = reader.numbers(moved, widths[3])
    shifts = reader.numbers(moved, widths[4])
    layout = _Layout(groups)
    firsts = reader.octets(len(layout.column_counts))
    class_map = reader.octets(-(-len(layout.column_counts) // _COLUMNS_PER_OCTET))
    residuals = reader.numbers(count - group_count, widths[2])
    t_us = _unpack_times(groups, base_us, offsets, periods, residuals)
    payload = _unpack_payload(reader, layout, firsts, class_map)
    reader.end()
    rows = arrival_rows(t_us, gaps, shifts)
    return FrameColumns(
        t_us[rows],
        np.repeat(groups.bus, groups.counts)[rows],
        np.repeat(groups.arbitration_id, groups.counts)[rows],
        np.repeat(groups.flags, groups.counts)[rows],
        np.repeat(groups.length, groups.counts)[rows],
        payload[rows],
    )


def group_keys(frames: FrameColumns | BatchGroups) -> NDArray[np.uint64]:
    """bus, flags, length and id in one number: the order of groups."""
    high = (frames.bus.astype(np.uint64) << np.uint64(48)) | (frames.flags.astype(np.uint64) << np.uint64(40))
    low = (frames.length.astype(np.uint64) << np.uint64(32)) | frames.arbitration_id.astype(np.uint64)
    keys: NDArray[np.uint64] = high | low
    return keys


def _group(frames: FrameColumns) -> tuple[BatchGroups, _Indexes]:
    """The groups, and the rows sorted by group, in a group by arrival."""
    keys = group_keys(frames)
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))
    first = order[starts]
    counts = np.diff(starts, append=len(keys))
    groups = BatchGroups(
        frames.bus[first], frames.flags[first], frames.length[first], frames.arbitration_id[first], counts
    )
    return groups, order


def _read_groups(reader: PlaneReader, group_count: int, count: int) -> BatchGroups:
    bus, flags, length = (reader.octets(group_count) for _ in range(3))
    arbitration_id = reader.numbers(group_count, 4).astype(np.uint32)
    counts = reader.numbers(group_count, 2).astype(np.intp) + 1
    groups = BatchGroups(bus, flags, length, arbitration_id, counts)
    if int(counts.sum()) != count or int(length.max()) > FD_WIDTH:
        raise CorruptDataError("batch groups out of range")
    keys = group_keys(groups)
    if not np.all(keys[1:] > keys[:-1]):
        raise CorruptDataError("batch groups out of order")
    return groups


def order_exceptions(t_us: NDArray[np.int64], order: _Indexes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Where arrival was not in the order of (time, group): the places, as gaps, and which of these places is meant."""
    expected = order[np.argsort(t_us, kind="stable")]
    places = np.flatnonzero(expected != np.arange(len(expected)))
    shifts = np.searchsorted(places, expected[places]) - np.arange(len(places))
    return np.diff(places, prepend=0).astype(np.uint64), zigzag(shifts.astype(np.int64))


def arrival_rows(t_us: NDArray[np.int64], gaps: NDArray[np.uint64], shifts: NDArray[np.uint64]) -> _Indexes:
    """For each frame in arrival order its row among the frames sorted by group."""
    expected = np.argsort(t_us, kind="stable")
    if len(gaps) == 0:
        return expected
    count, moved = len(t_us), len(gaps)
    if int(gaps.max()) >= count or int(shifts.max()) >= 2 * moved:
        raise CorruptDataError("batch order out of range")
    places = np.cumsum(gaps.astype(np.intp))
    targets = np.arange(moved) + unzigzag(shifts)
    in_order = bool(np.all(gaps[1:] > 0)) and int(places[-1]) < count
    in_range = int(targets.min()) >= 0 and int(targets.max()) < moved
    if not (in_order and in_range) or len(np.unique(targets)) != moved:
        raise CorruptDataError("batch order is no permutation")
    out = expected.copy()
    out[places[targets]] = expected[places]
    return out


def _pack_times(
    t_us: NDArray[np.int64], groups: BatchGroups
) -> tuple[int, NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Base, first time of each group above it, period of each group of two or more, steps less the period."""
    base_us = int(t_us.min())
    starts, steps_per_group = groups.starts, groups.counts - 1
    offsets = t_us[starts].view(np.uint64) - np.array(base_us, np.int64).view(np.uint64)
    is_step = np.ones(len(t_us), np.bool_)
    is_step[starts] = False
    steps = np.diff(t_us, prepend=t_us[:1])[is_step]
    repeated = steps_per_group[steps_per_group > 0]
    group_of_step = np.repeat(np.arange(len(repeated)), repeated)
    ranked = steps[np.lexsort((steps, group_of_step))]
    medians = ranked[np.cumsum(repeated) - repeated + repeated // 2]
    rounded = (medians + _MILLISECOND_US // 2) // _MILLISECOND_US * _MILLISECOND_US
    periods = np.where(np.abs(rounded - medians) <= medians // _SNAP_PARTS, rounded, medians)
    return base_us, offsets, zigzag(periods), zigzag(steps - periods[group_of_step])


def _unpack_times(
    groups: BatchGroups,
    base_us: int,
    offsets: NDArray[np.uint64],
    periods: NDArray[np.uint64],
    residuals: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Times of the frames sorted by group, in arithmetic modulo 2**64."""
    starts, counts = groups.starts, groups.counts
    steps = np.zeros(int(counts.sum()), np.int64)
    is_step = np.ones(len(steps), np.bool_)
    is_step[starts] = False
    steps[is_step] = np.repeat(unzigzag(periods), counts[counts > 1] - 1) + unzigzag(residuals)
    total = np.cumsum(steps)
    first = offsets.view(np.int64) + np.array(base_us, np.int64)
    return total + np.repeat(first - total[starts], counts)


def _pack_payload(
    payload: NDArray[np.uint8], groups: BatchGroups
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[NDArray[np.uint8], ...]]:
    """First bytes of all columns, their classes, and the differences, class after class."""
    layout = _Layout(groups)
    is_data, places = layout.places(payload.shape[1])
    if int(layout.per_frame.max()) > payload.shape[1] or bool(payload[~is_data].any()):
        raise ValueError("payload bytes outside of a frame's length")
    if layout.size == 0:
        return np.zeros(0, np.uint8), np.zeros(0, np.uint8), ()
    flat = np.empty(layout.size, np.uint8)
    flat[places] = payload[is_data]
    firsts = flat[layout.column_starts]
    moves = np.empty_like(flat)
    moves[1:] = zigzag8(flat[1:] - flat[:-1])
    moves[layout.column_starts] = 0
    # A column's class by the sum of its moves: 0 stands still, 1 up to 1.5 a step, 2 up to 12 a step, 3 more.
    sums = np.add.reduceat(moves, layout.column_starts, dtype=np.int64)
    steps = layout.column_counts - 1
    classes = ((sums > 0).astype(np.uint8) + (2 * sums > 3 * steps) + (sums > 12 * steps)).astype(np.uint8)
    is_step = np.ones(layout.size, np.bool_)
    is_step[layout.column_starts] = False
    class_of_move = np.repeat(classes, layout.column_counts)
    streams = tuple(moves[is_step & (class_of_move == number)] for number in range(1, _CLASSES))
    return firsts, classes, streams


def _unpack_payload(
    reader: PlaneReader, layout: _Layout, firsts: NDArray[np.uint8], class_map: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Payload matrix of the frames sorted by group: 8 bytes wide where that is enough, else 64."""
    width = CLASSIC_WIDTH if int(layout.per_frame.max()) <= CLASSIC_WIDTH else FD_WIDTH
    is_data, places = layout.places(width)
    payload = np.zeros(is_data.shape, np.uint8)
    if layout.size == 0:
        return payload
    classes = _unpack_classes(class_map, len(firsts))
    is_step = np.ones(layout.size, np.bool_)
    is_step[layout.column_starts] = False
    class_of_move = np.repeat(classes, layout.column_counts)
    moves = np.zeros(layout.size, np.uint8)
    for number in range(1, _CLASSES):
        rows = np.flatnonzero(is_step & (class_of_move == number))
        moves[rows] = unzigzag8(reader.octets(len(rows)))
    total = np.cumsum(moves, dtype=np.uint8)
    flat = total + np.repeat(firsts - total[layout.column_starts], layout.column_counts)
    payload[is_data] = flat[places]
    return payload


def _pack_classes(classes: NDArray[np.uint8]) -> bytes:
    padded = np.zeros(-(-len(classes) // _COLUMNS_PER_OCTET) * _COLUMNS_PER_OCTET, np.uint8)
    padded[: len(classes)] = classes
    quads = padded.reshape(-1, _COLUMNS_PER_OCTET)
    octets: NDArray[np.uint8] = (quads << np.array([0, 2, 4, 6], np.uint8)).sum(axis=1, dtype=np.uint8)
    return octets.tobytes()


def _unpack_classes(class_map: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    classes = (class_map[:, None] >> np.array([0, 2, 4, 6], np.uint8) & np.uint8(3)).reshape(-1)
    if classes[count:].any():
        raise CorruptDataError("batch classes out of range")
    return classes[:count]
