"""Compiled unpacking of batches beside the NumPy one: the same frames, and the same bytes refused."""

import numpy as np
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.api.unpack import decode_entry, unpack_compiled
from ved.codec.batch import BatchWriter
from ved.codec.columns import unpack_columns
from ved.codec.header import verify
from ved.codec.records import decode_record
from ved.errors import CorruptDataError
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.records import Preview

WRITER = BatchWriter()
times = st.one_of(st.integers(0, 3), st.integers(0, 10**7), st.integers(-(2**54), 2**54))
numbers = st.one_of(st.integers(0, 2), st.integers(0, 2**32 - 1))
KINDS = (np.int64, np.uint8, np.uint32, np.uint8, np.uint8)


@st.composite
def frame_rows(draw):
    flags = draw(st.one_of(st.just(0), st.integers(0, 255)))
    data = draw(st.one_of(st.binary(max_size=8), st.binary(max_size=64), st.just(b"")))
    length = len(data)
    if flags & FrameFlag.REMOTE:
        data, length = b"", draw(st.integers(0, 64))
    return draw(times), draw(st.integers(0, 2)), draw(numbers), flags, length, data


@st.composite
def batches(draw):
    """Few keys and many frames, or many keys; in any order of arrival."""
    rows = draw(st.lists(frame_rows(), min_size=1, max_size=12))
    picked = draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), times, st.binary(max_size=64)), max_size=60))
    for at, t_us, data in picked:
        old = rows[at]
        rows.append((t_us, *old[1:5], data[: len(old[5])].ljust(len(old[5]), b"\0")))
    width = 64 if any(len(row[5]) > 8 for row in rows) else 8
    payload = np.frombuffer(b"".join(row[5].ljust(width, b"\0") for row in rows), np.uint8).reshape(len(rows), width)
    return FrameColumns(*(np.array([row[at] for row in rows], kind) for at, kind in enumerate(KINDS)), payload)


def assert_same(found: FrameColumns, expected: FrameColumns) -> None:
    assert found.equals(expected)
    for name in ("t_us", "bus", "arbitration_id", "flags", "length", "payload"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        assert getattr(found, name).shape == getattr(expected, name).shape


def body_of(frames: FrameColumns) -> bytes:
    record = WRITER.encode(FrameBatch("fs", bytes(16), 1, frames))
    return zstandard.ZstdDecompressor().decompress(record[verify(record).body_at :])


@settings(max_examples=150, deadline=None)
@given(batches())
def test_the_frames_are_the_same(frames: FrameColumns) -> None:
    record = WRITER.encode(FrameBatch("fs", bytes(16), 7, frames))
    ours, theirs = decode_entry(record), decode_record(record)
    assert isinstance(ours, FrameBatch)
    assert isinstance(theirs, FrameBatch)
    assert (ours.vehicle, ours.epoch, ours.first_seq) == (theirs.vehicle, theirs.epoch, theirs.first_seq)
    assert_same(ours.frames, theirs.frames)
    assert_same(ours.frames, frames)


def outcome(unpack, body: bytes, count: int) -> FrameColumns | None:
    try:
        return unpack(body, count)
    except CorruptDataError:
        return None


@settings(max_examples=300, deadline=None)
@given(batches(), st.data())
def test_damaged_bytes_are_refused_alike(frames: FrameColumns, data: st.DataObject) -> None:
    body = bytearray(body_of(frames))
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.one_of(st.integers(0, min(60, len(body) - 1)), st.integers(0, len(body) - 1)))
        body[where] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(body)), st.integers(0, len(body))))
    damaged = bytes(body[:cut]) + data.draw(st.one_of(st.just(b""), st.binary(max_size=3)))
    count = len(frames) + data.draw(st.sampled_from([0, 0, 0, 1, -1]))
    if count < 1:
        return
    ours, theirs = outcome(unpack_compiled, damaged, count), outcome(unpack_columns, damaged, count)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert_same(ours, theirs)


def test_previews_and_empty_batches_come_too() -> None:
    empty = decode_entry(WRITER.encode(FrameBatch("fs", bytes(16), 1, FrameColumns.empty())))
    assert isinstance(empty, FrameBatch)
    assert empty.count == 0
    zero = np.zeros(1, np.uint8)
    one = FrameColumns(np.array([5]), zero, np.array([256], np.uint32), zero, zero + 8, np.zeros((1, 8), np.uint8))
    from ved.codec.records import encode_record

    preview = decode_entry(encode_record(Preview("fs", bytes(16), 3, one)))
    assert isinstance(preview, Preview)
    assert_same(preview.frames, one)
