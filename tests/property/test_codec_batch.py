"""Any frames whatever survive a batch: values, ties, time that runs backwards, all kinds of frame."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.batch import BatchWriter, columns_crc, decode_batch, encode_batch
from ved.codec.columns import unpack_columns
from ved.codec.records import decode_record
from ved.codec.stream import unpack_entry
from ved.errors import CorruptDataError
from ved.ingest.packkernel import pack_groups_compiled
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag

COMPILED = BatchWriter(pack_groups_compiled)
times = st.one_of(st.integers(0, 3), st.integers(0, 10**7), st.integers(-(2**54), 2**54))
numbers = st.one_of(st.integers(0, 2), st.integers(0, 2**32 - 1))
flag_bits = st.one_of(st.just(0), st.integers(0, 255))


@st.composite
def frame_rows(draw):
    flags = draw(flag_bits)
    data = draw(st.one_of(st.binary(max_size=8), st.binary(max_size=64), st.just(b"")))
    length = len(data)
    if flags & FrameFlag.REMOTE:
        data, length = b"", draw(st.integers(0, 64))
    return draw(times), draw(st.integers(0, 255)), draw(numbers), flags, length, data


def columns(rows) -> FrameColumns:
    width = 64 if any(len(row[5]) > 8 for row in rows) else 8
    kinds = (np.int64, np.uint8, np.uint32, np.uint8, np.uint8)
    payload = np.frombuffer(b"".join(row[5].ljust(width, b"\0") for row in rows), np.uint8).reshape(len(rows), width)
    return FrameColumns(*(np.array([row[at] for row in rows], kind) for at, kind in enumerate(kinds)), payload)


@settings(max_examples=200, deadline=None)
@given(st.lists(frame_rows(), max_size=30), st.integers(1, 2**54 - 30))
def test_any_frames_come_back(rows, first_seq):
    frames = columns(rows) if rows else FrameColumns.empty()
    batch = FrameBatch("fs", bytes(16), first_seq, frames)
    record = encode_batch(batch)
    assert COMPILED.encode(batch) == record
    found = decode_batch(record)
    assert found.first_seq == first_seq
    assert found.frames.equals(frames)
    assert columns_crc(found.frames) == columns_crc(frames)


@settings(max_examples=60, deadline=None)
@given(st.lists(frame_rows(), min_size=1, max_size=6), st.permutations(range(60)), st.integers(0, 59))
def test_any_interleaving_of_the_same_frames_comes_back(rows, order, cut):
    repeated = columns([rows[at % len(rows)] for at in range(60)])
    frames = repeated.take(np.array(order[: cut + 1]))
    batch = FrameBatch("fs", bytes(16), 1, frames)
    record = encode_batch(batch)
    assert COMPILED.encode(batch) == record
    assert decode_batch(record).frames.equals(frames)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 1), st.integers(0, 63), st.integers(1, 255))
def test_bytes_that_belong_to_no_frame_are_refused_by_both(length, remote, byte, value):
    payload = np.zeros((2, 64 if max(length, byte) >= 8 else 8), np.uint8)
    payload[1, byte] = value
    flags = np.full(2, remote * FrameFlag.REMOTE, np.uint8)
    lengths = np.full(2, length, np.uint8)
    frames = FrameColumns(np.arange(2), np.zeros(2, np.uint8), np.zeros(2, np.uint32), flags, lengths, payload)
    batch = FrameBatch("fs", bytes(16), 1, frames)
    written = []
    for write in (encode_batch, COMPILED.encode):
        try:
            written.append(write(batch))
        except ValueError:
            written.append(None)
    assert written[0] == written[1]
    assert (written[0] is None) == (bool(remote) or byte >= length)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 70_000))
def test_arbitrary_bytes_never_do_more_than_be_refused(data, count):
    for read in (decode_record, decode_batch, unpack_entry, lambda raw: unpack_columns(raw, min(count, 65_536))):
        try:
            read(data)
        except CorruptDataError:
            continue
