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
from ved.codec.columns import group_keys
from ved.codec.header import MAX_RECORD_BYTES
from ved.codec.layout import HISTORY, Layout, pack_layout, unpack_layout
from ved.codec.varint import VarintReader, pack_varint
from ved.codec.wirebody import ArrayEngine, Engine, fits, read_body, write_body
from ved.codec.wiregroups import GroupKey, Groups
from ved.codec.wirestate import MAX_COLUMNS, Indexes
from ved.errors import CorruptDataError
from ved.model.frames import EPOCH_BYTES, FD_WIDTH, FrameBatch, FrameColumns

_HEAD: Final = struct.Struct("<IB")
_NAMES_EPOCH: Final = 1
_ANEW: Final = 2
_KEY: Final = struct.Struct("<BBBI")
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
        body = write_body(groups, grouped, order, counts)
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

    def __init__(self, vehicle: str, engine: Engine | None = None) -> None:
        self._vehicle = vehicle
        self._engine = engine or ArrayEngine()
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
        frames = read_body(self._groups, reader, self._engine)
        batch = FrameBatch(self._vehicle, epoch, first_seq, frames)
        if _crc(batch) != crc:
            raise CorruptDataError("a batch on the wire came out changed")
        if batch.last_seq > _U64:
            raise CorruptDataError("batch seq out of range")
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
    return sum(after) <= MAX_COLUMNS and fits(sum(after), counts)
