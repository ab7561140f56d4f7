"""Batches over one connection: each end remembers what went before, so that a frame costs what is new in it.

Sans-io: a `WireEncoder` and a `WireDecoder` for each connection, fed in the same order (docs/spec/wire.md). What comes
out are the batch's columns, checked by their CRC.
"""

import struct
from dataclasses import dataclass
from typing import Final, Protocol

import google_crc32c
import numpy as np

from ved.codec.batch import columns_crc
from ved.codec.columns import arrival_rows, group_keys, order_exceptions
from ved.codec.header import MAX_RECORD_BYTES
from ved.codec.layout import HISTORY, Layout, pack_layout, unpack_layout
from ved.codec.planes import unzigzag, zigzag
from ved.codec.rice import MAX_K, NumberReader, Numbers, pack_numbers
from ved.codec.varint import VarintReader, pack_varint
from ved.codec.wiregroups import GroupKey, Groups
from ved.codec.wirestate import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_WORDS,
    Columns,
    Indexes,
    Unsigned,
    cut_fields,
    join_fields,
    to_numbers,
    to_octets,
    to_values,
)
from ved.errors import CorruptDataError
from ved.model.frames import (
    CLASSIC_WIDTH,
    EPOCH_BYTES,
    FD_WIDTH,
    MAX_BATCH_FRAMES,
    FrameBatch,
    FrameColumns,
    FrameFlag,
    widen,
)

_HEAD: Final = struct.Struct("<IB")
_NAMES_EPOCH: Final = 1
_ANEW: Final = 2
_KEY: Final = struct.Struct("<BBBI")
_OPEN_LISTS: Final = 5
"""Lists with a parameter of their own: counts, gaps, shifts, places of changes, changes."""

_U64: Final = (1 << 64) - 1


class Layouts(Protocol):
    """What the writer has learned of groups from the frames that it saw."""

    def find(self, key: GroupKey) -> Layout | None:
        """The layout to use, when one was learned."""

    def observe(self, keys: list[GroupKey], counts: Indexes, frames: FrameColumns) -> None:
        """Frames sorted by group: so many of the first key, then of the next..."""


@dataclass(slots=True)
class _Place:
    """The epoch and the seq that the next batch begins with, as a rule."""

    epoch: bytes = b""
    next_seq: int = 1


class WireEncoder:
    """The writer's end of one connection."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts
        self._forget()

    def encode(self, batch: FrameBatch) -> bytes | None:
        """The message's body; None when the batch is empty or too varied: it must go as it stands."""
        if batch.count == 0:
            return None
        body = self._encode(batch)
        if body is None and len(self._groups):
            self._forget()
            body = self._encode(batch)
        if body is None or len(body) > MAX_RECORD_BYTES:
            self._forget()
            return None
        return body

    def _forget(self) -> None:
        """Start anew; the next message says so."""
        self._groups = Groups()
        self._place = _Place()
        self._index: dict[int, int] = {}
        self._used: list[Layout | None] = []
        self._seen: Indexes = np.zeros(0, np.intp)

    def _encode(self, batch: FrameBatch) -> bytes | None:
        """None, and nothing has changed, when the limits do not allow it."""
        frames, groups = batch.frames, self._groups
        numbers, key_of_frame = np.unique(group_keys(frames), return_inverse=True)
        new = [number for number in numbers.tolist() if number not in self._index]
        keys = [GroupKey.of_number(number) for number in new]
        index = self._index | {number: len(groups) + at for at, number in enumerate(new)}
        group_of_frame = np.array([index[number] for number in numbers.tolist()], np.intp)[key_of_frame]
        counts = np.bincount(group_of_frame, minlength=len(index))
        layouts = self._due_layouts()
        if not _fits(groups.widths, keys, layouts, counts):
            return None
        self._index = index
        self._used += [None] * len(keys)
        for group, layout in layouts.items():
            self._used[group] = layout
        head = self._pack_head(batch, keys, layouts)
        groups.add(keys)
        groups.set_layouts(layouts)
        order = np.argsort(group_of_frame, kind="stable")
        grouped = frames.take(order)
        body = _pack_body(_lists(groups, grouped, order, counts))
        groups.counts_before, groups.clock_us = counts, int(frames.t_us[-1])
        self._place = _Place(batch.epoch, batch.last_seq + 1)
        self._seen = counts + np.concatenate([self._seen, np.zeros(len(keys), np.intp)])
        present = np.flatnonzero(counts)
        self._layouts.observe([groups.keys[group] for group in present.tolist()], counts[present], grouped)
        return head + body

    def _due_layouts(self) -> dict[int, Layout]:
        """Layouts that were learned since, for groups with a history to predict from."""
        due = {}
        for group in np.flatnonzero(self._seen >= HISTORY).tolist():
            layout = self._layouts.find(self._groups.keys[group])
            if layout is not None and layout is not self._used[group]:
                due[group] = layout
        return due

    def _pack_head(self, batch: FrameBatch, keys: list[GroupKey], layouts: dict[int, Layout]) -> bytes:
        names_epoch = batch.epoch != self._place.epoch
        marks = (_NAMES_EPOCH if names_epoch else 0) | (0 if len(self._groups) else _ANEW)
        expected = 1 if names_epoch else self._place.next_seq
        jump = (batch.first_seq - expected + (1 << 63)) % (1 << 64) - (1 << 63)
        parts = [_HEAD.pack(_crc(batch), marks), batch.epoch if names_epoch else b""]
        parts += [pack_varint(2 * jump if jump >= 0 else -2 * jump - 1), pack_varint(len(keys))]
        parts += [_KEY.pack(key.bus, key.flags, key.length, key.arbitration_id) for key in keys]
        parts.append(pack_varint(len(layouts)))
        parts += [pack_varint(group) + pack_layout(layout) for group, layout in sorted(layouts.items())]
        return b"".join(parts)


class WireDecoder:
    """The reader's end of one connection. After an error it is of no use any more."""

    def __init__(self, vehicle: str) -> None:
        self._vehicle = vehicle
        self._forget()

    def _forget(self) -> None:
        self._groups = Groups()
        self._place = _Place()
        self._known: set[GroupKey] = set()

    def decode(self, data: bytes) -> FrameBatch:
        """The next batch. CorruptDataError when the bytes are wrong, or were not meant for this state."""
        try:
            crc, marks = _HEAD.unpack_from(data)
        except struct.error as error:
            raise CorruptDataError("a batch on the wire is cut short") from error
        if marks > _NAMES_EPOCH | _ANEW:
            raise CorruptDataError("a batch on the wire has unknown marks")
        if marks & _ANEW:
            self._forget()
        reader = VarintReader(data, _HEAD.size)
        epoch, first_seq = self._read_place(reader, marks)
        self._read_groups(reader)
        frames = _read_frames(self._groups, reader)
        batch = FrameBatch(self._vehicle, epoch, first_seq, frames)
        if _crc(batch) != crc:
            raise CorruptDataError("a batch on the wire came out changed")
        if batch.last_seq > _U64:
            raise CorruptDataError("batch seq out of range")
        self._groups.clock_us = int(frames.t_us[-1])
        self._place = _Place(epoch, batch.last_seq + 1)
        return batch

    def _read_place(self, reader: VarintReader, marks: int) -> tuple[bytes, int]:
        names_epoch = bool(marks & _NAMES_EPOCH)
        epoch = reader.octets(EPOCH_BYTES) if names_epoch else self._place.epoch
        if not epoch:
            raise CorruptDataError("the first batch on the wire names its epoch")
        zigzagged = reader.number()
        jump = zigzagged >> 1 ^ -(zigzagged & 1)
        first_seq = ((1 if names_epoch else self._place.next_seq) + jump) & _U64
        if first_seq < 1:
            raise CorruptDataError("batch seq out of range")
        return epoch, first_seq

    def _read_groups(self, reader: VarintReader) -> None:
        groups = self._groups
        keys = []
        for _ in range(reader.number(MAX_COLUMNS)):
            key = GroupKey(*_KEY.unpack(reader.octets(_KEY.size)))
            if key.length > FD_WIDTH or key in self._known:
                raise CorruptDataError("a group is out of range")
            self._known.add(key)
            keys.append(key)
        _must_fit(sum(groups.widths) + sum(1 + key.data_bytes for key in keys))
        groups.add(keys)
        layouts: dict[int, Layout] = {}
        for _ in range(reader.number(len(groups))):
            group = reader.number(len(groups) - 1)
            if layouts and group <= max(layouts):
                raise CorruptDataError("layouts are out of order")
            layouts[group], reader.at = unpack_layout(reader.data, reader.at, groups.keys[group].data_bytes)
        groups.set_layouts(layouts)
        _must_fit(sum(groups.widths))


def _crc(batch: FrameBatch) -> int:
    """CRC32C of the columns, then of what names the batch."""
    return int(google_crc32c.extend(columns_crc(batch.frames), batch.epoch + struct.pack("<Q", batch.first_seq)))


def _must_fit(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise CorruptDataError("too many groups on the wire")


def _fits(widths: list[int], keys: list[GroupKey], layouts: dict[int, Layout], counts: Indexes) -> bool:
    """True when a batch of these counts keeps the limits, once the keys are added and the layouts are changed."""
    after = [*widths, *(1 + key.data_bytes for key in keys)]
    for group, layout in layouts.items():
        after[group] = layout.column_count
    return sum(after) <= MAX_COLUMNS and (HISTORY + int(counts.max())) * sum(after) <= MAX_CELLS


def _lists(
    groups: Groups, grouped: FrameColumns, order: Indexes, counts: Indexes
) -> list[tuple[Numbers, Numbers | None]]:
    """All lists of a batch, each with its parameters (None: one parameter for all, free to choose)."""
    gaps, shifts = order_exceptions(grouped.t_us, order)
    columns, group_of_column = groups.columns, groups.group_of_column
    is_still, ks = columns.is_still, columns.ks
    column_counts = counts[group_of_column]
    steps = np.arange(int(counts.max()))
    starts = (np.cumsum(counts) - counts)[group_of_column]
    rows = np.minimum(starts + steps[:, None], len(order) - 1)
    payload = widen(grouped.payload) if np.any(columns.source % MAX_WORDS) else grouped.payload
    raw = cut_fields(columns, payload, grouped.t_us, rows)
    numbers = to_numbers(columns, raw, column_counts).T
    is_frame = steps < column_counts[:, None]
    still = numbers[is_still][is_frame[is_still]]
    changes = np.flatnonzero(still)
    moving = numbers[~is_still][is_frame[~is_still]]
    return [
        (zigzag((counts - groups.counts_before).astype(np.int64)), None),
        (gaps, None),
        (shifts, None),
        (_places_to_gaps(changes), None),
        (still[changes] - np.uint64(1), None),
        (moving, np.repeat(ks[~is_still], column_counts[~is_still])),
    ]


def _pack_body(lists: list[tuple[Numbers, Numbers | None]]) -> bytes:
    shape, all_ks = [], []
    for numbers, ks in lists:
        if ks is None:
            shape.append(best_k(numbers))
        all_ks.append(_same(shape[-1], len(numbers)) if ks is None else ks)
    quotients, escaped, low = pack_numbers(np.concatenate([one for one, _ in lists]), np.concatenate(all_ks))
    sizes = (len(lists[1][0]), len(lists[3][0]), len(quotients))
    return b"".join((bytes(shape), *(pack_varint(size) for size in sizes), quotients, escaped, low))


def _read_frames(groups: Groups, reader: VarintReader) -> FrameColumns:
    shape = reader.octets(_OPEN_LISTS)
    if max(shape) > MAX_K:
        raise CorruptDataError("a parameter is out of range")
    moved, changed = reader.number(MAX_BATCH_FRAMES), reader.number(MAX_CELLS)
    numbers = NumberReader(reader.octets(reader.number(len(reader.data))), reader.rest())
    counts = groups.counts_before + unzigzag(numbers.take(_same(shape[0], len(groups))))
    if len(counts) == 0 or int(counts.min()) < 0 or not 0 < _sum(counts) <= MAX_BATCH_FRAMES:
        raise CorruptDataError("frames of the groups are out of range")
    columns = groups.columns
    if (HISTORY + int(counts.max())) * len(columns) > MAX_CELLS:
        raise CorruptDataError("a batch on the wire is too large")
    gaps, shifts = numbers.take(_same(shape[1], moved)), numbers.take(_same(shape[2], moved))
    places = numbers.take(_same(shape[3], changed))
    changes = numbers.take(_same(shape[4], changed))
    column_counts = counts[groups.group_of_column]
    matrix = _read_matrix(columns, column_counts, numbers, (places, changes))
    values = to_values(columns, matrix, column_counts)
    groups.counts_before = counts
    return _to_frames(groups, counts, values, (gaps, shifts))


def _read_matrix(
    columns: Columns, column_counts: Indexes, numbers: NumberReader, changes: tuple[Numbers, Numbers]
) -> Unsigned:
    is_still = columns.is_still
    is_frame = np.arange(int(column_counts.max())) < column_counts[:, None]
    still = np.zeros(int(column_counts[is_still].sum()), np.uint64)
    still[_gaps_to_places(changes[0], len(still))] = changes[1] + np.uint64(1)
    moving = numbers.take(np.repeat(columns.ks[~is_still], column_counts[~is_still]))
    numbers.end()
    out = np.zeros(is_frame.shape, np.uint64)
    out[is_frame & is_still[:, None]] = still
    out[is_frame & ~is_still[:, None]] = moving
    return np.ascontiguousarray(out.T)


def _to_frames(groups: Groups, counts: Indexes, values: Unsigned, moves: tuple[Numbers, Numbers]) -> FrameColumns:
    keys = groups.key_numbers
    flags, length = (keys >> np.uint64(40)).astype(np.uint8), (keys >> np.uint64(32)).astype(np.uint8)
    has_wide = np.any((length > CLASSIC_WIDTH) & (flags & np.uint8(FrameFlag.REMOTE) == 0) & (counts > 0))
    word_count = FD_WIDTH // CLASSIC_WIDTH if has_wide else 1
    times, words = join_fields(groups.columns, values, groups.group_of_column, word_count)
    group = np.repeat(np.arange(len(keys)), counts)
    step = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    t_us = times[step, group]
    rows = arrival_rows(t_us, *moves)
    group, step = group[rows], step[rows]
    return FrameColumns(
        t_us[rows],
        (keys >> np.uint64(48)).astype(np.uint8)[group],
        keys.astype(np.uint32)[group],
        flags[group],
        length[group],
        to_octets(words[:, step, group].T),
    )


def best_k(numbers: Numbers) -> int:
    """A good parameter for a list."""
    return (int(numbers.sum(dtype=np.float64)) * 11 // (16 * len(numbers))).bit_length() if len(numbers) else 0


def _same(k: int, count: int) -> Numbers:
    return np.full(count, k, np.uint64)


def _sum(counts: Indexes) -> int:
    return int(counts.sum(dtype=np.float64))


def _places_to_gaps(places: Indexes) -> Numbers:
    return np.diff(places, prepend=-1).astype(np.uint64) - np.uint64(1)


def _gaps_to_places(gaps: Numbers, size: int) -> Indexes:
    if len(gaps) and int(gaps.max()) >= size:
        raise CorruptDataError("a change is out of range")
    places: Indexes = np.cumsum(gaps.astype(np.intp) + 1) - 1
    if len(places) and int(places[-1]) >= size:
        raise CorruptDataError("a change is out of range")
    return places
